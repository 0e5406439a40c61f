"""All of the engine's work takes turns on the device, is done again after memory ran out, and can be stopped."""

from __future__ import annotations

import dataclasses
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.contract import (
    Cancelled,
    EditRequest,
    ExploreRequest,
    MemoryBudgetError,
    Notice,
    Progress,
    SampleRequest,
    SampleResult,
    SetSummary,
)
from srflow.evaluation.perceptual import PerceptualDistance
from srflow.operations import Mask, Reroll
from srflow.sampling import editing, finishing, retouching
from srflow.sampling import engine as engine_module
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.inference import InferenceModel, PreparedPicture

LR = np.random.default_rng(0).integers(90, 160, (18, 20, 3), dtype=np.uint8)
TRUTH = np.kron(LR, np.ones((4, 4, 1), np.uint8))
PLACE = Mask(20, 18, (4, 4, 14, 12), (255, 80))
ROLLS = tuple((Reroll(PLACE, 1, roll),) for roll in range(4))


def no_memory(*_: object) -> object:
    """Not one error for all: an error holds the frames that it went through."""
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    make_toy("srflow-da-r-x4-compact", torch.float32).save_pretrained(folder)
    return folder


@pytest.fixture
def engine(folder: Path, tmp_path: Path) -> SamplingEngine:
    return SamplingEngine("cpu", "float32", [folder], spill_folder=tmp_path / "spill")


def sample(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    request = SampleRequest(lr=LR, num_samples=3, temperature=0.5, ground_truth=TRUTH, pairwise_lpips=True)
    return list(engine.sample(request, cancel))


def explore(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    recipe = engine.recipe(SampleRequest(lr=LR, num_samples=1, temperature=0.5))
    return list(engine.explore(ExploreRequest(lr=LR, recipe=recipe, variants=ROLLS, choose=2), cancel))


def edit(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    [before] = [
        event
        for event in engine.sample(SampleRequest(lr=LR, num_samples=1, temperature=0.5))
        if isinstance(event, SampleResult)
    ]
    picture = before.picture.copy()
    picture[20:40, 20:44] = 128
    return list(engine.edit(EditRequest(lr=LR, recipe=before.recipe, picture=picture), cancel))


def references(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    return list(engine.references(SampleRequest(lr=LR, ground_truth=TRUTH), cancel))


Ask = Callable[..., list[object]]
# Who works, where the work is called from, and which requests come there.
WORK = [
    (PerceptualDistance, "_features", (sample, explore, references)),
    (finishing, "back_project", (sample, explore, references)),
    (finishing, "to_uint8", (sample, explore)),
    (retouching, "bicubic_downscale", (explore, edit)),
    (retouching, "to_uint8", (explore, edit)),
    (retouching, "_log_prob", (explore, edit)),
    (editing, "back_project", (edit,)),
    (PreparedPicture, "crop", (explore, edit)),
    (InferenceModel, "condition", (sample, explore, edit)),
    (InferenceModel, "super_resolve", (references,)),
]
CASES = [(owner, name, ask) for owner, name, asks in WORK for ask in asks]
IDS = [f"{ask.__name__}: {name.strip('_')}" for _, name, ask in CASES]


@pytest.mark.parametrize(("owner", "name", "ask"), CASES, ids=IDS)
def test_all_work_is_done_with_the_device_taken(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, ask: Ask
) -> None:
    taken = []
    original = getattr(owner, name)

    def watched(*given: object, **more: object) -> object:
        taken.append(engine._worker._lock.locked())
        return original(*given, **more)

    monkeypatch.setattr(owner, name, watched)
    ask(engine)
    assert taken
    assert all(taken)


@pytest.mark.parametrize(("owner", "name", "ask"), CASES, ids=IDS)
def test_work_that_memory_ran_out_for_is_done_again(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, ask: Ask
) -> None:
    """Once: with an empty cache there is room. The results are the same."""
    expected = ask(engine)
    engine._states.clear()
    engine._worker.free()
    original = getattr(owner, name)
    calls = []

    def full_at_first(*given: object, **more: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            no_memory()
        return original(*given, **more)

    monkeypatch.setattr(owner, name, full_at_first)
    found = ask(engine)
    assert len(calls) > 1
    for ours, theirs in zip(_pictures(found), _pictures(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _pictures(events: list[object]) -> Iterator[np.ndarray]:
    for event in events:
        for name in ("picture", "patch", "pairwise_lpips", "distances", "unusual"):
            if getattr(event, name, None) is not None:
                yield getattr(event, name)


def test_without_memory_for_lpips_samples_are_kept_and_not_compared(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PerceptualDistance, "_features", no_memory)
    events = list(engine.sample(SampleRequest(lr=LR, num_samples=2, temperature=0.5, pairwise_lpips=True)))
    assert sum(isinstance(event, SampleResult) for event in events) == 2
    assert any(isinstance(event, Notice) and "not compared" in event.text for event in events)
    assert isinstance(events[-1], SetSummary)
    assert events[-1].final
    assert events[-1].pairwise_lpips is None
    for ask in (sample, references):
        with pytest.raises(MemoryBudgetError, match="ground truth"):
            ask(engine)
    with pytest.raises(MemoryBudgetError, match="compare these pictures"):
        explore(engine)


def test_without_memory_to_finish_a_sample_a_named_error(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finishing, "back_project", no_memory)
    with pytest.raises(MemoryBudgetError, match="smaller region"):
        list(engine.sample(SampleRequest(lr=np.tile(LR, (3, 3, 1)), num_samples=1, temperature=0.3)))


@pytest.mark.parametrize("ask", [sample, explore])
def test_comparing_stops_at_once_when_it_is_told(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    cancel = threading.Event()
    original = PerceptualDistance._features
    after = []

    def features(self: PerceptualDistance, picture: np.ndarray) -> object:
        if threading.current_thread() is not threading.main_thread():
            after.append(cancel.is_set())
            if comparing:
                cancel.set()
        return original(self, picture)

    comparing = False
    compare = PerceptualDistance.pairwise

    def pairwise(*given: object) -> object:
        nonlocal comparing
        comparing = True
        return compare(*given)

    monkeypatch.setattr(PerceptualDistance, "_features", features)
    monkeypatch.setattr(PerceptualDistance, "pairwise", pairwise)
    with pytest.raises(Cancelled):
        ask(engine, cancel)
    assert after.count(True) == 0


def test_the_work_that_failed_is_gone_before_smaller_tiles_are_planned(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is free decides on the tiles, and what failed was large."""
    prepared: list[weakref.ref] = []
    alive = []
    condition, replan = InferenceModel.condition, SamplingEngine._replan

    def remembered(*given: object) -> PreparedPicture:
        result = condition(*given)
        prepared.append(weakref.ref(result))
        return result

    def counted(self: SamplingEngine, task: object) -> object:
        gc.collect()
        alive.append(sum(each() is not None for each in prepared))
        return replan(self, task)

    def full(model: InferenceModel, latents: list[torch.Tensor], own: PreparedPicture, on_step: object) -> tuple:
        if own.height > 45:
            no_memory()
        return decode(model, latents, own, on_step)

    decode = InferenceModel.decode
    monkeypatch.setattr(InferenceModel, "decode", full)
    monkeypatch.setattr(InferenceModel, "condition", remembered)
    monkeypatch.setattr(SamplingEngine, "_replan", counted)
    lr = np.tile(LR, (3, 3, 1))
    list(engine.sample(SampleRequest(lr=lr, num_samples=1, temperature=0.3, tile=0)))
    list(engine.references(SampleRequest(lr=lr + 1, tile=0)))
    assert alive == [0, 0]


@pytest.fixture
def spilling(engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch) -> SamplingEngine:
    """An engine whose pictures do not fit into memory."""
    original = engine_module.make_plan

    def on_disk(*arguments: object, **settings: object) -> object:
        return dataclasses.replace(original(*arguments, **settings), on_disk=True)

    monkeypatch.setattr(engine_module, "make_plan", on_disk)
    return engine


def files(folder: Path) -> list[Path]:
    return list((folder / "spill").rglob("*"))


def test_no_file_is_left_of_results_that_were_not_taken(spilling: SamplingEngine, tmp_path: Path) -> None:
    events = spilling.sample(SampleRequest(lr=LR, num_samples=20, temperature=0.3, deep=True))
    taken = [next(event for event in events if isinstance(event, SampleResult)) for _ in range(2)]
    assert np.load(taken[1].path).shape == (72, 80, 3)
    assert len(files(tmp_path)) > 2
    events.close()
    assert files(tmp_path) == []
    list(spilling.sample(SampleRequest(lr=LR, num_samples=2, temperature=0.3)))
    assert files(tmp_path) == []


def test_no_file_is_left_of_a_sample_that_was_stopped_while_it_was_scored(
    spilling: SamplingEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def stop(*_: object) -> float:
        seen.extend(files(tmp_path))
        raise Cancelled("Stopped.")

    monkeypatch.setattr("srflow.sampling.drawing.lr_psnr", stop)
    with pytest.raises(Cancelled):
        list(spilling.sample(SampleRequest(lr=LR, num_samples=1)))
    assert seen
    assert files(tmp_path) == []
    recipe = spilling.recipe(SampleRequest(lr=LR, num_samples=1))
    with pytest.raises(Cancelled):
        list(spilling.explore(ExploreRequest(lr=LR, recipe=recipe, variants=ROLLS[:1])))
    gc.collect()
    assert files(tmp_path) == []


def test_waiting_for_the_device_and_loading_the_model_are_told(engine: SamplingEngine) -> None:
    lock = engine._worker._lock
    lock.acquire()
    threading.Timer(1.0, lock.release).start()
    request = SampleRequest(lr=LR, num_samples=1, summaries=False)
    stages = [event.stage for event in engine.sample(request) if isinstance(event, Progress)]
    assert stages[0] == "loading"
    assert stages.count("loading") == 1
    assert stages.count("waiting") >= 2
    assert stages[-1] == "sampling"
    again = engine.sample(request)
    assert all(event.stage not in ("loading", "waiting") for event in again if isinstance(event, Progress))

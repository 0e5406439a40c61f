"""All of the engine's work takes turns on the device, is done again after memory ran out, and can be stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import threading
import time
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
    GrainRequest,
    MemoryBudgetError,
    Notice,
    Progress,
    SampleRequest,
    SampleResult,
    SetSummary,
)
from srflow.evaluation.perceptual import PerceptualDistance
from srflow.model import SRFlow
from srflow.operations import Mask, Reroll
from srflow.sampling import editing, estimating, exploring, finishing, retouching
from srflow.sampling import engine as engine_module
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.estimating import Planner
from srflow.sampling.inference import InferenceModel, PreparedPicture
from srflow.steering.wishes import Roughness

LR = np.random.default_rng(0).integers(90, 160, (18, 20, 3), dtype=np.uint8)
TRUTH = np.kron(LR, np.ones((4, 4, 1), np.uint8))
PLACE = Mask(20, 18, (4, 4, 14, 12), (255, 80))
ROLLS = tuple((Reroll(PLACE, 1, roll),) for roll in range(4))


def no_memory(*_: object, **__: object) -> object:
    """Not one error for all: an error holds the frames that it went through."""
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    make_toy("srflow-da-r-x4-compact", torch.float32).save_pretrained(folder)
    return folder


Make = Callable[[], SamplingEngine]
Ask = Callable[..., list[object]]


@pytest.fixture
def make(folder: Path, tmp_path: Path) -> Make:
    return lambda: SamplingEngine("cpu", "float32", [folder], spill_folder=tmp_path / "spill")


@pytest.fixture(scope="module")
def expected() -> dict[Ask, list[object]]:
    """What each request gives, once it was asked."""
    return {}


@pytest.fixture
def engine(make: Make) -> SamplingEngine:
    return make()


def sample(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    request = SampleRequest(lr=LR, num_samples=3, temperature=0.5, ground_truth=TRUTH, pairwise_lpips=True)
    return list(engine.sample(request, cancel))


def explore(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    recipe = engine.recipe(SampleRequest(lr=LR, num_samples=1, temperature=0.5))
    return list(engine.explore(ExploreRequest(lr=LR, recipe=recipe, variants=ROLLS, choose=2), cancel))


def edit(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    [before] = [
        event
        for event in engine.sample(SampleRequest(lr=LR, num_samples=1, temperature=0.5), cancel)
        if isinstance(event, SampleResult)
    ]
    picture = before.picture.copy()
    picture[20:40, 20:44] = 128
    return list(engine.edit(EditRequest(lr=LR, recipe=before.recipe, picture=picture), cancel))


def references(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    return list(engine.references(SampleRequest(lr=LR, ground_truth=TRUTH), cancel))


def wish(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    recipe = engine.recipe(SampleRequest(lr=LR, num_samples=1, temperature=0.5))
    rolls = tuple((Reroll(PLACE, 1, roll),) for roll in range(16))
    request = ExploreRequest(lr=LR, recipe=recipe, variants=rolls, directions=2, wish=Roughness(), aim=True)
    return list(engine.explore(request, cancel))


def grain(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    recipe = engine.recipe(SampleRequest(lr=LR, num_samples=1, temperature=0.5))
    return list(engine.grain(GrainRequest(lr=LR, recipe=recipe, mask=PLACE, source=TRUTH, seed=1), cancel))


def encode(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    return [engine.encode(LR, [TRUTH], cancel=cancel)]


def could_be(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    left, top, right, bottom = PLACE.support
    piece = TRUTH[top * 4 : bottom * 4, left * 4 : right * 4]
    return list(engine.could_be(LR, TRUTH, PLACE, [piece, piece[::-1].copy()], cancel=cancel))


def super_resolve(engine: SamplingEngine, cancel: threading.Event | None = None) -> list[object]:
    return [engine.super_resolve(LR, cancel=cancel)]


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
    (InferenceModel, "super_resolve", (references, super_resolve)),
    (InferenceModel, "__init__", (sample, explore, references, edit, super_resolve)),
    (PerceptualDistance, "__init__", (sample, explore, references)),
    (finishing, "downscale_uint8", (sample, explore, edit, references)),
    (Roughness, "measure", (wish,)),
    (exploring, "place_features", (wish,)),
    (exploring, "find_directions", (wish,)),
    (engine_module, "lay_grain", (grain,)),
    (engine_module, "judge", (could_be,)),
    (SRFlow, "condition", (edit, grain, encode)),
    (SRFlow, "encode", (encode,)),
    (SRFlow, "encode_by_place", (edit, grain)),
]
CASES = [(owner, name, ask) for owner, name, asks in WORK for ask in asks]
IDS = [f"{ask.__name__}: {name.strip('_')}" for _, name, ask in CASES]


ASKS = tuple(dict.fromkeys(ask for _, _, ask in CASES))


@pytest.mark.parametrize("ask", ASKS)
def test_all_work_is_done_with_the_device_taken(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    taken: dict[tuple[object, str], set[bool]] = {}

    def watch(owner: object, name: str) -> None:
        original = getattr(owner, name)
        taken[owner, name] = set()

        def watched(*given: object, **more: object) -> object:
            taken[owner, name].add(engine._worker._lock.locked())
            return original(*given, **more)

        monkeypatch.setattr(owner, name, watched)

    for owner, name, own in CASES:
        if own is ask:
            watch(owner, name)
    ask(engine)
    assert all(found == {True} for found in taken.values()), taken


@pytest.mark.parametrize(("owner", "name", "ask"), CASES, ids=IDS)
def test_work_that_memory_ran_out_for_is_done_again(
    make: Make, expected: dict[Ask, list[object]], monkeypatch: pytest.MonkeyPatch, owner: object, name: str, ask: Ask
) -> None:
    """Once: with an empty cache there is room. The results are the same."""
    if ask not in expected:
        expected[ask] = ask(make())
    original = getattr(owner, name)
    calls = []

    def full_at_first(*given: object, **more: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            no_memory()
        return original(*given, **more)

    monkeypatch.setattr(owner, name, full_at_first)
    found = ask(make())
    assert len(calls) > 1
    for ours, theirs in zip(_pictures(found), _pictures(expected[ask]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _pictures(events: list[object]) -> Iterator[np.ndarray]:
    for event in events:
        for name in ("picture", "patch", "pairwise_lpips", "distances", "unusual", "pixels", "log_probs"):
            if getattr(event, name, None) is not None:
                yield getattr(event, name)
        if isinstance(event, np.ndarray):
            yield event


@pytest.mark.parametrize("ask", ASKS)
def test_whoever_waits_for_the_device_can_stop(engine: SamplingEngine, ask: Ask) -> None:
    """Though somebody else has it for long, e.g. to load a model."""
    cancel = threading.Event()
    with _taken(engine) as waiting:
        threading.Thread(target=lambda: (waiting.wait(60), cancel.set())).start()
        with pytest.raises(Cancelled):
            ask(engine, cancel)


@pytest.mark.parametrize(("owner", "name", "ask"), CASES, ids=IDS)
def test_without_memory_there_is_a_named_error_or_less_is_done(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, ask: Ask
) -> None:
    monkeypatch.setattr(owner, name, no_memory)
    with contextlib.suppress(MemoryBudgetError):
        ask(engine)


@contextlib.contextmanager
def _taken(engine: SamplingEngine) -> Iterator[threading.Event]:
    """Hold the device; gives what is set as soon as somebody waits for it."""
    waiting = threading.Event()
    lock = engine._worker._lock

    class Watched:
        def acquire(self, timeout: float) -> bool:
            waiting.set()
            time.sleep(timeout / 10)
            return False

        def release(self) -> None:
            lock.release()

    engine._worker._lock = Watched()
    try:
        yield waiting
    finally:
        engine._worker._lock = lock


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
    condition, replan = InferenceModel.condition, Planner.replan

    def remembered(*given: object) -> PreparedPicture:
        result = condition(*given)
        prepared.append(weakref.ref(result))
        return result

    def counted(self: Planner, task: object) -> object:
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
    monkeypatch.setattr(Planner, "replan", counted)
    lr = np.tile(LR, (3, 3, 1))
    list(engine.sample(SampleRequest(lr=lr, num_samples=1, temperature=0.3, tile=0)))
    list(engine.references(SampleRequest(lr=lr + 1, tile=0)))
    assert alive == [0, 0]


@pytest.fixture
def spilling(engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch) -> SamplingEngine:
    """An engine whose pictures do not fit into memory."""
    original = estimating.make_plan

    def on_disk(*arguments: object, **settings: object) -> object:
        return dataclasses.replace(original(*arguments, **settings), on_disk=True)

    monkeypatch.setattr(estimating, "make_plan", on_disk)
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


@pytest.mark.parametrize("is_explored", [False, True])
def test_waiting_for_the_device_and_loading_the_model_are_told(engine: SamplingEngine, is_explored: bool) -> None:
    lock = engine._worker._lock
    request = SampleRequest(lr=LR, num_samples=1, summaries=False)

    def stages() -> list[str]:
        events = engine.sample(request)
        if is_explored:
            explored = ExploreRequest(lr=LR, recipe=engine.recipe(request), variants=ROLLS)
            events = engine.explore(explored)
        return [event.stage for event in events if isinstance(event, Progress)]

    lock.acquire()
    threading.Timer(1.0, lock.release).start()
    told = stages()
    assert told[0] == "waiting"
    assert told.count("waiting") >= 2
    assert "loading" in told
    assert told[-1] == "sampling"
    assert {"loading", "waiting"}.isdisjoint(stages())


def test_a_model_that_is_being_loaded_can_be_waited_for_no_longer(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One visitor's model is loaded; another one, who waits for it, stops."""
    loading, loaded = threading.Event(), threading.Event()
    original = InferenceModel.__init__

    def slow(*given: object, **more: object) -> None:
        loading.set()
        assert loaded.wait(60)
        original(*given, **more)

    monkeypatch.setattr(InferenceModel, "__init__", slow)
    request = SampleRequest(lr=LR, num_samples=1, summaries=False)
    first = threading.Thread(target=lambda: list(engine.sample(request)))
    first.start()
    assert loading.wait(60)
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(Cancelled):
        list(engine.sample(request, cancel))
    assert not loaded.is_set()
    loaded.set()
    first.join()


def test_models_that_were_not_used_for_longest_leave_the_device(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    original = InferenceModel.__init__

    def counted(self: InferenceModel, *given: object, **more: object) -> None:
        made.append(weakref.ref(self))
        original(self, *given, **more)

    monkeypatch.setattr(InferenceModel, "__init__", counted)
    models, loaded = engine._models, engine._models.get(None)

    def take(key: str) -> InferenceModel:
        own = dataclasses.replace(loaded, info=dataclasses.replace(loaded.info, key=key))
        return models.rearranged(own, "float32", lambda: None)

    for key in ("a", "b", "c", "d", "b", "a"):
        take(key)
    gc.collect()
    assert len(made) == 5, "the first one had gone"
    assert sum(each() is not None for each in made) == 3
    used = take("b")
    engine._worker.free()
    gc.collect()
    assert sum(each() is not None for each in made) == 1, "when memory runs out, those that nobody uses go"
    assert take("b") is used, "and one that somebody does use is not there twice"

"""The sampling engine: the same pixels for the same recipe, exact numbers, stopping, taking turns, the guard."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy, toy_config

from srflow.checkpoints.shipped import DEFAULT_CHECKPOINT
from srflow.cli import main
from srflow.contract import (
    RECIPE_KEY,
    Cancelled,
    CheckpointError,
    InputError,
    MemoryBudgetError,
    Notice,
    PartialSample,
    Progress,
    SampleRecipe,
    SampleRequest,
    SampleResult,
    SetSummary,
)
from srflow.images import downscale_uint8, to_tensor
from srflow.likelihood import bits_per_dimension
from srflow.model import SRFlow
from srflow.pictures import load_image, read_png_text, save_png
from srflow.sampling import estimating
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.inference import InferenceModel
from srflow.sampling.planning import _rows_in_work
from srflow.sampling.tiling import make_grid
from srflow.sampling.turn import Turn

CAT = Path(__file__).resolve().parents[1] / "assets" / "examples" / "cat.png"
NAMES = ("srflow-da-r-x4-compact", "srflow-x4")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = [tmp_path_factory.mktemp("models") / name for name in NAMES]
    for folder, name in zip(folders, NAMES, strict=True):
        make_toy(name, torch.float32).save_pretrained(folder)
    return folders


@pytest.fixture
def engine(folders: list[Path]) -> SamplingEngine:
    return SamplingEngine("cpu", "float32", folders)


def picture(height: int = 9, width: int = 11, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 160, (height, width, 3), dtype=np.uint8)


def results(engine: SamplingEngine, request: SampleRequest) -> list[SampleResult]:
    return [event for event in engine.sample(request) if isinstance(event, SampleResult)]


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_those_of_the_model(folders: list[Path], engine: SamplingEngine, name: str) -> None:
    """Without the consistency step: what SRFlow.sample gives, odd sizes with padding included."""
    model = make_toy(name, torch.float32)
    lr = picture()
    expected = model.sample(to_tensor(lr), num_samples=2, temperature=0.3, seed=4)
    request = SampleRequest(lr=lr, model=name, num_samples=2, temperature=0.3, seed=4, consistency_rounds=0)
    drawn = results(engine, request)
    for result, raw in zip(drawn, expected, strict=True):
        ours = torch.from_numpy(result.picture).permute(2, 0, 1) / 255
        assert (ours - raw.clamp(0, 1)).abs().max() < 0.5 / 255 + 1e-3
        assert result.clipped == pytest.approx(((raw < 0) | (raw > 1)).float().mean().item(), abs=2e-3)


def test_bits_per_dimension_are_exact(engine: SamplingEngine) -> None:
    model = make_toy(NAMES[0], torch.float32)
    lr = picture()
    with torch.no_grad():
        conditioning = model.condition(to_tensor(lr))
        _, log_prob = model.decode_with_log_prob(model.draw_latents(9, 11, seed=1) * 0.5, conditioning)
    result = results(engine, SampleRequest(lr=lr, num_samples=1, temperature=0.5, seed=1))[0]
    assert result.bits_per_dimension == pytest.approx(bits_per_dimension(log_prob, 36, 44).item(), rel=1e-3)


def test_a_recipe_gives_the_same_pixels_again(engine: SamplingEngine, folders: list[Path]) -> None:
    lr = picture()
    drawn = results(engine, SampleRequest(lr=lr, num_samples=3, seed=2, temperature=0.4))
    recipe = SampleRecipe.from_json(drawn[2].recipe.to_json())
    again = results(SamplingEngine("cpu", "float32", folders), SampleRequest.from_recipe(recipe, lr))
    assert len(again) == 1
    np.testing.assert_array_equal(again[0].picture, drawn[2].picture)
    assert not np.array_equal(drawn[0].picture, drawn[2].picture)


def test_the_consistency_step_keeps_what_is_known(engine: SamplingEngine) -> None:
    lr = downscale_uint8(np.kron(picture(6, 6), np.ones((8, 8, 1), np.uint8)), 4)
    raw, consistent = (
        results(engine, SampleRequest(lr=lr, num_samples=1, temperature=0.2, consistency_rounds=rounds))[0]
        for rounds in (0, 8)
    )
    assert consistent.lr_psnr > raw.lr_psnr + 10


def test_the_picture_is_conditioned_once(engine: SamplingEngine) -> None:
    lr = picture()
    assert not engine.estimate(SampleRequest(lr=lr)).cached
    list(engine.sample(SampleRequest(lr=lr, num_samples=1)))
    assert engine.estimate(SampleRequest(lr=lr, seed=9, temperature=0.1)).cached
    assert not engine.estimate(SampleRequest(lr=picture(seed=1))).cached


def test_the_cache_is_bounded_and_forgets_the_longest_unused(folders: list[Path]) -> None:
    first = SamplingEngine("cpu", "float32", folders)
    list(first.sample(SampleRequest(lr=picture(), num_samples=1)))
    size = first._worker.cache.total
    engine = SamplingEngine("cpu", "float32", folders, cache_bytes=2 * size)
    for seed in (0, 1, 0, 2):
        list(engine.sample(SampleRequest(lr=picture(seed=seed), num_samples=1)))
    cached = [engine.estimate(SampleRequest(lr=picture(seed=seed))).cached for seed in (0, 1, 2)]
    assert cached == [True, False, True]


def test_summary_against_numpy(engine: SamplingEngine) -> None:
    events = list(engine.sample(SampleRequest(lr=picture(), num_samples=5, temperature=0.8, pairwise_lpips=True)))
    pictures = np.stack([event.picture for event in events if isinstance(event, SampleResult)]).astype(np.float64)
    summary = events[-1]
    assert isinstance(summary, SetSummary)
    assert summary.final
    np.testing.assert_array_equal(summary.mean, np.rint(pictures.mean(0)))
    np.testing.assert_allclose(summary.std_rgb, pictures.std(0), atol=1e-4)
    luma = pictures @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(summary.std_luma, luma.std(0), atol=1e-3)
    assert summary.diversity == pytest.approx(luma.std(0).mean(), abs=1e-3)
    halves = luma[0::2].std(0, ddof=1), luma[1::2].std(0, ddof=1)
    change = np.abs(halves[0] - halves[1]).mean() / luma.std(0).mean()
    assert summary.split_half_change == pytest.approx(change, rel=1e-3)
    distances = np.sqrt(((pictures - pictures.mean(0)) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(summary.distances_to_mean, distances, rtol=1e-6)
    assert summary.nearest_to_mean == distances.argmin()
    assert summary.pairwise_lpips.shape == (5, 5)
    assert summary.medoid == summary.pairwise_lpips.sum(1).argmin()
    # One summary after every sample, the first of one sample alone, which does not vary.
    summaries = [event for event in events if isinstance(event, SetSummary)]
    assert [len(each.indices) for each in summaries] == [1, 2, 3, 4, 5, 5]
    assert summaries[0].diversity == 0


def test_a_summary_takes_earlier_samples_in_without_drawing_them(engine: SamplingEngine) -> None:
    lr, truth = picture(16, 16), np.kron(picture(16, 16), np.ones((4, 4, 1), np.uint8))
    whole = list(engine.sample(SampleRequest(lr=lr, ground_truth=truth, num_samples=4, seed=3)))
    pictures = [(event.index, event.picture) for event in whole if isinstance(event, SampleResult)]
    request = SampleRequest(
        lr=lr, ground_truth=truth, num_samples=2, first_index=2, seed=3, earlier=tuple(pictures[:2])
    )
    more = list(engine.sample(request))
    assert [event.index for event in more if isinstance(event, SampleResult)] == [2, 3]
    assert more[-1].indices == (0, 1, 2, 3)
    np.testing.assert_array_equal(more[-1].std_luma, whole[-1].std_luma)
    np.testing.assert_array_equal(more[-1].mean, whole[-1].mean)
    assert more[-1].challenge == whole[-1].challenge


def test_ground_truth_adds_scores(engine: SamplingEngine) -> None:
    hr = np.kron(picture(10, 10), np.ones((4, 4, 1), np.uint8))
    lr, truth = engine.scale_down(hr)
    events = list(engine.sample(SampleRequest(lr=lr, ground_truth=truth, num_samples=2, temperature=0.3)))
    scores = [event.truth for event in events if isinstance(event, SampleResult)]
    error = (events[-3].picture.astype(float) - truth) ** 2 if isinstance(events[-3], SampleResult) else None
    assert all(score.lpips is not None and score.ssim is not None for score in scores)
    assert events[-1].challenge.psnr == pytest.approx(np.mean([score.psnr for score in scores]))
    assert events[-1].challenge.lpips_global == pytest.approx(min(score.lpips for score in scores), rel=1e-5)
    if error is not None:
        assert scores[-1].psnr == pytest.approx(10 * np.log10(255**2 / error.mean()))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_tiny_pictures_with_ground_truth(engine: SamplingEngine, size: tuple[int, int]) -> None:
    lr = picture(*size)
    truth = np.kron(lr, np.ones((4, 4, 1), np.uint8))
    request = SampleRequest(lr=lr, ground_truth=truth, num_samples=2, temperature=0.2, pairwise_lpips=True)
    events = list(engine.sample(request))
    assert events[-1].final
    assert next(iter(engine.references(request))).kind == "bicubic"


def test_references_are_in_size_and_the_spoilt_encoder_is_left_out(engine: SamplingEngine) -> None:
    references = {each.kind: each for each in engine.references(SampleRequest(lr=picture()))}
    assert references.keys() == {"bicubic", "zero_temperature"}  # a random encoder's picture is no reference
    assert all(each.picture.shape == (36, 44, 3) for each in references.values())
    zero = results(engine, SampleRequest(lr=picture(), num_samples=1, temperature=0.0, seed=123))[0]
    np.testing.assert_array_equal(references["zero_temperature"].picture, zero.picture)


def test_stopping_ends_the_work_at_the_next_step(engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = threading.Event()
    after = []
    original = Turn.stop

    def counting(self: Turn) -> None:
        if cancel.is_set():
            after.append(1)
        original(self)

    monkeypatch.setattr(Turn, "stop", counting)
    events = engine.sample(SampleRequest(lr=picture(), num_samples=50), cancel)
    next(event for event in events if isinstance(event, SampleResult))
    cancel.set()
    with pytest.raises(Cancelled):
        list(events)
    assert len(after) == 1
    # And the engine is free again.
    assert len(results(engine, SampleRequest(lr=picture(), num_samples=1))) == 1


def test_visitors_at_once_get_their_own_pictures(engine: SamplingEngine) -> None:
    requests = [SampleRequest(lr=picture(seed=seed), num_samples=3, seed=seed) for seed in range(8)]
    expected = [[result.picture for result in results(engine, request)] for request in requests]
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda request: [r.picture for r in results(engine, request)], requests))
    for ours, theirs in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_exploded_sample_is_decoded_again_from_clipped_latents(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = InferenceModel.decode
    seen = []

    def exploding(model: InferenceModel, latents: list[torch.Tensor], *rest: object) -> tuple:
        seen.append(max(latent.abs().max().item() for latent in latents))
        raw, log_dets = original(model, latents, *rest)
        if len(seen) == 1:
            raw[1] *= torch.nan
        return raw, log_dets

    monkeypatch.setattr(InferenceModel, "decode", exploding)
    good, bad, also_good = results(engine, SampleRequest(lr=picture(), num_samples=3, temperature=1.0))
    assert seen[0] > 1.5 >= seen[1]
    assert len(seen) == 2  # the others of the batch are left as they are
    assert bad.flagged
    assert "exploded" in bad.flags[0]
    assert not good.flagged
    assert not also_good.flagged

    def broken(model: InferenceModel, latents: list[torch.Tensor], *rest: object) -> tuple:
        raw, log_dets = original(model, latents, *rest)
        return raw * torch.inf, log_dets

    monkeypatch.setattr(InferenceModel, "decode", broken)
    [replaced] = results(engine, SampleRequest(lr=picture(), num_samples=1))
    assert not replaced.is_as_asked
    assert "explodes" in replaced.flags[0]
    assert replaced.lr_psnr > 30  # the encoder's picture, or the bicubic one; no noise

    def sound_when_small(model: InferenceModel, latents: list[torch.Tensor], *rest: object) -> tuple:
        raw, log_dets = original(model, latents, *rest)
        return raw if max(latent.abs().max() for latent in latents) < 0.5 else raw * torch.inf, log_dets

    monkeypatch.setattr(InferenceModel, "decode", sound_when_small)
    [lowered] = results(engine, SampleRequest(lr=picture(), num_samples=1, temperature=1.0))
    assert not lowered.is_as_asked
    assert "0.25 times the temperature" in lowered.flags[0]


def test_a_grey_picture_stays_grey(engine: SamplingEngine) -> None:
    grey = np.repeat(picture()[..., :1], 3, axis=2)
    [sample] = results(engine, SampleRequest(lr=grey, num_samples=1))
    assert (sample.picture == sample.picture[..., :1]).all()
    [coloured] = results(engine, SampleRequest(lr=picture(), num_samples=1))
    assert not (coloured.picture == coloured.picture[..., :1]).all()


BAD_REQUESTS = {
    "grey": ({"lr": picture()[..., 0]}, "uint8"),
    "floats": ({"lr": picture() / 255}, "float64"),
    "empty": ({"lr": picture()[:0]}, "empty"),
    "no samples": ({"num_samples": 0}, "num_samples"),
    "temperature": ({"temperature": float("nan")}, "temperature"),
    "seed": ({"seed": -1}, "seed"),
    "model": ({"model": "nobody"}, "nobody"),
    "rounds": ({"consistency_rounds": -1}, "consistency_rounds"),
    "tile": ({"tile": 3}, "tile"),
    "weights": ({"weights_sha256": "0" * 64}, "other weights"),
    "half a sample": ({"num_samples": 2.5}, "num_samples is 2.5; it must be a whole number"),
    "half a round": ({"consistency_rounds": 1.5}, "consistency_rounds is 1.5"),
    "half a pixel": ({"tile": 20.5}, "tile.* is 20.5"),
    "many samples": ({"num_samples": True}, "num_samples is True"),
    "a number below 0": ({"first_index": -1}, "first_index is -1; it must be a whole number from 0"),
    "a number too large": ({"first_index": 2**32 - 7, "num_samples": 9}, "first_index is 4294967289"),
    "a temperature in words": ({"temperature": "hot"}, "temperature is 'hot'"),
    "truth": ({"ground_truth": picture()}, "ground truth"),
    "precision": ({"precision": "int8"}, "precision"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_bad_requests_get_a_named_error(engine: SamplingEngine, case: str) -> None:
    changes, message = BAD_REQUESTS[case]
    with pytest.raises(InputError, match=message):
        list(engine.sample(SampleRequest(**({"lr": picture()} | changes))))


def test_the_last_number_of_a_seed_is_drawn_again_from_its_recipe(engine: SamplingEngine) -> None:
    [last] = results(engine, SampleRequest(lr=picture(), num_samples=1, first_index=2**32))
    recipe = SampleRecipe.from_json(last.recipe.to_json())
    [again] = results(engine, SampleRequest.from_recipe(recipe, picture()))
    np.testing.assert_array_equal(again.picture, last.picture)


def test_another_release_that_draws_a_recipe_is_told_of(engine: SamplingEngine) -> None:
    recipe = engine.recipe(SampleRequest(lr=picture(), num_samples=1))
    for version, count in ((recipe.version, 0), ("0.0.1", 1)):
        request = SampleRequest.from_recipe(dataclasses.replace(recipe, version=version), picture())
        told = [event.text for event in engine.sample(request) if isinstance(event, Notice)]
        assert [f"release '{version}'" in text for text in told] == [True] * count


def test_two_checkpoints_never_share_a_key(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name / "ema" for name in ("a", "b")]
    for path, folder in zip(paths, folders, strict=True):
        shutil.copytree(folder, path)
    shutil.copytree(folders[0], tmp_path / "a" / DEFAULT_CHECKPOINT)
    monkeypatch.chdir(tmp_path)
    names = ["a/ema", paths[0], paths[1], f"a/{DEFAULT_CHECKPOINT}", DEFAULT_CHECKPOINT]
    infos = SamplingEngine("cpu", "float32", names).info().models
    assert [info.key for info in infos] == ["a/ema", "b/ema", f"a/{DEFAULT_CHECKPOINT}", DEFAULT_CHECKPOINT]
    assert len({info.weights_sha256 for info in infos}) == 3  # the two of the toy are the same file
    [info] = SamplingEngine("cpu", "float32", [paths[1]]).info().models
    assert info.key == "ema"


def test_times_of_networks_of_one_name_are_not_mixed_up(folders: list[Path], tmp_path: Path) -> None:
    config = toy_config(NAMES[0]).resized(flow={"hidden_channels": 8})
    SRFlow(config).save_pretrained(tmp_path / "wide")
    both = SamplingEngine("cpu", "float32", [tmp_path / "wide", folders[0]])
    list(both.sample(SampleRequest(lr=picture(), model="wide", num_samples=1)))
    own, other = (both._models.get(key).model.config for key in ("wide", NAMES[0]))
    assert both._worker.seconds_per_pixel("sampling", own, torch.float32) is not None
    assert both._worker.seconds_per_pixel("sampling", other, torch.float32) is None


def test_too_large_a_picture_is_refused_before_work_starts(
    engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimating, "memory_limit", lambda _: 1000)
    with pytest.raises(MemoryBudgetError, match="smaller region"):
        list(engine.sample(SampleRequest(lr=picture())))


def test_devices_and_checkpoints_that_are_not_there(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cuda:77"):
        SamplingEngine("cuda:77", "float32", folders)
    with pytest.raises(CheckpointError):
        SamplingEngine("cpu", "float32", [tmp_path])


def test_tiles_give_the_picture_in_one_piece() -> None:
    """On the shipped checkpoint: at least 50 dB, rows from top to bottom, and nearly the same numbers."""
    engine = SamplingEngine("cpu", "float32")
    lr = downscale_uint8(load_image(CAT)[:240, :280], 4)  # 60 x 70
    request = SampleRequest(lr=lr, num_samples=2, temperature=0.8, seed=3)
    whole = results(engine, dataclasses.replace(request, tile=0))
    estimate, *events = engine.sample(dataclasses.replace(request, tile=24))
    assert (estimate.tile, estimate.num_tiles) == (24, 9)
    tiled = [event for event in events if isinstance(event, SampleResult)]
    for one, other in zip(whole, tiled, strict=True):
        error = np.mean((one.picture.astype(float) - other.picture) ** 2)
        assert error == 0 or 10 * np.log10(255**2 / error) >= 50
        assert other.bits_per_dimension == pytest.approx(one.bits_per_dimension, abs=0.01)
        assert other.clipped == pytest.approx(one.clipped, abs=1e-3)
        assert (one.recipe.tile, other.recipe.tile) == (0, 24)
        parts = [event for event in events if isinstance(event, PartialSample) and event.index == other.index]
        assert [part.top for part in parts] == [0, *np.cumsum([len(part.rows) for part in parts[:-1]])]
        assert len(parts) >= 2
        np.testing.assert_array_equal(np.concatenate([part.rows for part in parts]), other.picture)
    # All rows but the last ones are there before any sample is finished.
    kinds = [type(event) for event in events if isinstance(event, (PartialSample, SampleResult))]
    assert kinds.index(SampleResult) > 2
    recipe = SampleRecipe.from_json(tiled[1].recipe.to_json())
    again = results(engine, SampleRequest.from_recipe(recipe, lr))[0]
    np.testing.assert_array_equal(again.picture, tiled[1].picture)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 90), (70, 1), (33, 47)])
def test_any_size_in_tiles(engine: SamplingEngine, name: str, size: tuple[int, int]) -> None:
    request = SampleRequest(lr=picture(*size), model=name, num_samples=2, temperature=0.3, tile=16)
    drawn = results(engine, request)
    assert [result.picture.shape for result in drawn] == [(size[0] * 4, size[1] * 4, 3)] * 2
    assert all(result.recipe.tile == 16 for result in drawn)


def test_tiles_are_chosen_when_a_piece_is_limited(folders: list[Path]) -> None:
    engine = SamplingEngine("cpu", "float32", folders, piece_bytes=2_000_000)
    request = SampleRequest(lr=picture(80, 60), num_samples=1, temperature=0.3)
    estimate = engine.estimate(request)
    assert estimate.num_tiles > 1
    assert engine.estimate(dataclasses.replace(request, lr=picture())).num_tiles == 1
    references = {each.kind: each.picture.shape for each in engine.references(request)}
    assert references == {"bicubic": (320, 240, 3), "zero_temperature": (320, 240, 3)}


def test_smaller_tiles_when_memory_runs_out(engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples that are finished stay as they are; the others are made in tiles, and a person is told."""
    original = InferenceModel.decode
    calls = []

    def full(model: InferenceModel, latents: list[torch.Tensor], prepared: object, on_step: object) -> tuple:
        calls.append(prepared.height)
        if prepared.height > 45 and len(calls) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(model, latents, prepared, on_step)

    monkeypatch.setattr(InferenceModel, "decode", full)
    events = list(engine.sample(SampleRequest(lr=picture(50, 50), num_samples=3, temperature=0.3, tile=0)))
    drawn = [event for event in events if isinstance(event, SampleResult)]
    assert [result.index for result in drawn] == [0, 1, 2]
    assert [result.recipe.tile for result in drawn] == [0, 48, 48]
    assert any(isinstance(event, Notice) and "tiles of 48" in event.text for event in events)
    assert events[-1].indices == (0, 1, 2)

    monkeypatch.setattr(InferenceModel, "decode", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
    with pytest.raises(MemoryBudgetError):
        list(engine.sample(SampleRequest(lr=picture(50, 50), num_samples=3)))


def test_results_that_do_not_fit_go_to_files(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SamplingEngine("cpu", "float32", folders, spill_folder=tmp_path / "spill")
    request = SampleRequest(lr=picture(40, 40), num_samples=2, temperature=0.3, tile=16)
    expected = results(engine, request)
    needed = engine.estimate(request).num_bytes
    # Even if the second sample's rows waited until the first is finished, its results would not fit.
    rows = _rows_in_work(make_grid(40, 40, 16), 40, 4, request.consistency_rounds)
    monkeypatch.setattr(estimating, "memory_limit", lambda _: needed - rows - 1000)
    events = []
    for event in engine.sample(request):
        events.append(event)
        if isinstance(event, SampleResult):
            assert event.picture is None
            np.testing.assert_array_equal(np.load(event.path), expected[event.index].picture)
            assert event.lr_psnr == expected[event.index].lr_psnr
    assert sum(isinstance(event, SampleResult) for event in events) == 2
    assert any(isinstance(event, Notice) and "files" in event.text for event in events)
    assert not any(isinstance(event, SetSummary) for event in events)
    # Stopped half-way, nothing is left behind.
    events = engine.sample(request)
    next(event for event in events if isinstance(event, PartialSample))
    events.close()
    assert list((tmp_path / "spill").iterdir()) == []
    monkeypatch.setattr(estimating.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(MemoryBudgetError, match="disk space"):
        engine.estimate(request)


def test_smaller_tiles_do_not_change_where_results_go(engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes the samples relies on what was said when the work began."""
    task = engine._planner.task(SampleRequest(lr=picture(50, 50)))
    original = estimating.make_plan
    monkeypatch.setattr(
        estimating, "make_plan", lambda *given, **more: dataclasses.replace(original(*given, **more), on_disk=True)
    )
    smaller = engine._planner.replan(task)
    assert len(smaller.plan.grid) > 1
    assert not smaller.plan.on_disk


def test_times_are_estimated_before_and_after_the_first_request(engine: SamplingEngine) -> None:
    request = SampleRequest(lr=picture(), num_samples=40, summaries=False)
    before = engine.estimate(request)
    assert 0 < before.seconds_to_first < before.seconds
    list(engine.sample(request))
    after = engine.estimate(request)
    assert after.cached
    assert 0 < after.seconds_to_first < after.seconds


def test_progress_is_told_in_the_middle_of_a_piece(engine: SamplingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srflow.sampling.drawing._NEWS_SECONDS", 0.0)
    events = engine.sample(SampleRequest(lr=picture(40, 40), num_samples=2, temperature=0.3, tile=16))
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert len(fractions) > 20
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < 0.1
    assert fractions[-1] == 1.0


def test_compiled_networks_draw_the_same(
    engine: SamplingEngine, folders: list[Path], traced: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = SampleRequest(lr=picture(), num_samples=1, temperature=0.3)
    [expected] = results(engine, request)
    [result] = results(SamplingEngine("cpu", "float32", folders[:1], compiled=True), request)
    assert len(traced) > 5
    assert np.abs(result.picture.astype(int) - expected.picture).max() <= 1

    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(InputError, match="no compiler found"):
        SamplingEngine("cpu", "float32", folders[:1], compiled=True)


def test_precision_is_tried_out_and_said(folders: list[Path]) -> None:
    info = SamplingEngine("cpu", None, folders).info()
    assert info.precision in ("float32", "bfloat16")
    assert "times as fast" in info.precision_reason
    assert dataclasses.asdict(info.models[0])["scale_factor"] == 4


def test_bf16_is_close_to_float32_on_the_shipped_checkpoint() -> None:
    engine = SamplingEngine("cpu", "float32")
    base = np.add.outer(np.sin(np.arange(24) / 3), np.cos(np.arange(24) / 5))[..., None]
    lr = (128 + 50 * base + np.random.default_rng(0).normal(0, 8, (24, 24, 3))).clip(0, 255).astype(np.uint8)
    exact, half = (
        results(engine, SampleRequest(lr=lr, num_samples=1, precision=precision))[0].picture.astype(float)
        for precision in ("float32", "bfloat16")
    )
    assert 10 * np.log10(255**2 / np.mean((exact - half) ** 2)) > 45


def test_command_line_writes_pngs_that_can_be_made_again(folders: list[Path], tmp_path: Path) -> None:
    for seed in (0, 1):
        save_png(tmp_path / "in" / f"p{seed}.png", picture(seed=seed))
    arguments = ["--model", str(folders[0]), "--num-samples", "2", "--temperature", "0.3", "--seed", "5"]
    assert main(["sample", str(tmp_path / "in"), str(tmp_path / "out"), *arguments]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["p0_sample0.png", "p0_sample1.png", "p1_sample0.png", "p1_sample1.png"]
    recipe = SampleRecipe.from_json(read_png_text(tmp_path / "out" / "p1_sample1.png")[RECIPE_KEY])
    assert (recipe.seed, recipe.index, recipe.temperature) == (5, 1, 0.3)
    engine = SamplingEngine("cpu", recipe.precision, folders)
    again = results(engine, SampleRequest.from_recipe(recipe, picture(seed=1)))[0]
    np.testing.assert_array_equal(again.picture, load_image(tmp_path / "out" / "p1_sample1.png"))

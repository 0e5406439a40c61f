import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.contract import NOT_AS_ASKED, ImageError, InputError, SampleRequest, SampleResult
from srflow.evaluation.challenge import (
    GroundTruth,
    SampleScorer,
    evaluate_bicubic,
    evaluate_files,
    evaluate_model,
)
from srflow.evaluation.features import FeatureDistance
from srflow.evaluation.metrics import PSNR_CAP, lr_psnr, mse_map, psnr, score_maps, ssim
from srflow.evaluation.pairing import PicturePair, find_pairs
from srflow.evaluation.perceptual import PerceptualDistance
from srflow.evaluation.results import Scores
from srflow.images import bicubic_upscale, downscale_uint8, to_tensor, to_uint8, to_uint8_batch, upscale_uint8
from srflow.model import SRFlow
from srflow.pictures import save_png
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.inference import InferenceModel
from srflow.sampling.measured import MeasuredModel

PRESET = "srflow-da-r-x4-compact"


def picture(seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, -(-height // 8), -(-width // 8), generator=generator)
    fine = torch.rand(1, 3, height, width, generator=generator)
    return to_uint8((bicubic_upscale(coarse, 8)[..., :height, :width] * 0.8 + fine * 0.2).clamp(0, 1))


@pytest.fixture(scope="module")
def perceptual():
    return PerceptualDistance()


@pytest.fixture(scope="module")
def features():
    return FeatureDistance()


@pytest.fixture(scope="module")
def model():
    return make_toy(PRESET, torch.float32)


def measured(model: SRFlow, folder: Path, **options: object) -> MeasuredModel:
    """The model as commands measure it."""
    model.save_pretrained(folder)
    return MeasuredModel(SamplingEngine("cpu", "float32", checkpoints=[folder], **options))


@pytest.fixture(scope="module")
def engine(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    return SamplingEngine("cpu", "float32", checkpoints=[folder])


@pytest.fixture(scope="module")
def source(engine):
    return MeasuredModel(engine)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two pictures, 40x48 and 46x37 (W x H); the second is cropped to 40x32."""
    folder = tmp_path_factory.mktemp("hr")
    save_png(folder / "a.png", picture(1, 48, 40))
    save_png(folder / "b.png", picture(2, 37, 46))
    return find_pairs(folder, scale_factor=4)


@pytest.fixture(scope="module")
def rows(source, pairs, perceptual, features):
    return evaluate_model(
        source,
        pairs,
        num_samples=3,
        temperatures=[0.0, 0.6],
        seed=5,
        consistency_rounds=5,
        perceptual=perceptual,
        features=features,
    )


def expected_scores(samples, hr, scale_factor, perceptual, features):
    """The protocol once more, written plainly: all samples and maps at once."""
    samples = [sample[: hr.shape[0], : hr.shape[1]] for sample in samples]
    maps = np.stack([perceptual.map(sample, hr) for sample in samples]).astype(np.float64)
    best = maps.mean(axis=(1, 2)).min()
    local = maps.min(axis=0).mean()
    squared = np.stack([mse_map(sample, hr) for sample in samples]).astype(np.float64)
    best_squared = squared.mean(axis=(1, 2)).min()
    return {
        "psnr": np.mean([psnr(sample, hr) for sample in samples]),
        "ssim": np.mean([ssim(sample, hr) for sample in samples]),
        "lr_psnr": np.mean([lr_psnr(sample, hr, scale_factor) for sample in samples]),
        "lr_psnr_worst": min(lr_psnr(sample, hr, scale_factor) for sample in samples),
        "lpips": maps.mean(),
        "lpips_global": best,
        "lpips_local": local,
        "feature_distance": np.mean([features.distance(sample, hr) for sample in samples]),
        "diversity": 100 * (best - local) / best,
        "mse_diversity": 100 * (best_squared - squared.min(axis=0).mean()) / best_squared,
        "exploded": 0.0,
    }


def compared(scores):
    values = asdict(scores)
    return {name: values[name] for name in values if name not in ("seconds", "bits_per_dim")}


def test_the_rows_and_their_order(rows, model):
    assert [(row.method, row.temperature, row.num_samples) for row in rows] == [
        ("bicubic", None, 1),
        (f"{PRESET}, encoder alone", None, 1),
        (PRESET, 0.0, 3),
        (f"{PRESET} + consistency", 0.0, 3),
        (PRESET, 0.6, 3),
        (f"{PRESET} + consistency", 0.6, 3),
    ]
    assert all(list(row.pictures) == ["a", "b"] for row in rows)
    encoder, flow = (sum(p.numel() for p in part.parameters()) for part in (model.encoder, model.flow))
    assert [(row.params, row.params_total) for row in rows] == [
        (None, None),
        (encoder, encoder),
        *[(flow, flow + encoder)] * 4,
    ]


def drawn(engine, lr, **settings):
    """What `srflow sample` writes."""
    request = SampleRequest(lr=lr, num_samples=3, seed=5, summaries=False, **settings)
    return [event for event in engine.sample(request) if isinstance(event, SampleResult)]


@pytest.mark.parametrize("name", ["a", "b"])
@torch.no_grad()
def test_every_score_is_what_the_protocol_says(rows, model, engine, pairs, perceptual, features, name):
    hr, lr = next(pair for pair in pairs if pair.name == name).load(4)
    assert hr.shape == {"a": (48, 40, 3), "b": (32, 40, 3)}[name]
    for row, samples in (
        (rows[0], [upscale_uint8(lr, 4)]),
        (rows[1], to_uint8_batch(model.encoder.super_resolve(to_tensor(lr)))),
        (rows[2], [each.picture for each in drawn(engine, lr, temperature=0.0, consistency_rounds=0)]),
        (rows[4], [each.picture for each in drawn(engine, lr, temperature=0.6, consistency_rounds=0)]),
        (rows[5], [each.picture for each in drawn(engine, lr, temperature=0.6, consistency_rounds=5)]),
    ):
        expected = expected_scores(samples, hr, 4, perceptual, features)
        assert compared(row.pictures[name]) == pytest.approx(expected, rel=1e-5, abs=1e-4), row.method


@torch.no_grad()
def test_samples_are_those_of_the_model(source, model, pairs):
    """The engine's and `SRFlow.sample`'s pixels are at most one rounding apart."""
    _, lr = pairs[0].load(4)
    mine = np.stack([sample.plain for sample in source.draw(lr, 2, 0.6, 5, 0)]).astype(int)
    theirs = np.stack(list(to_uint8_batch(model.sample(to_tensor(lr), num_samples=2, temperature=0.6, seed=5))))
    assert np.abs(mine - theirs).max() <= 1


@pytest.mark.parametrize("rounds", [0, 5])
def test_what_is_measured_has_the_pixels_that_are_drawn(source, engine, pairs, rounds):
    """With and without the consistency step, though both come from one decoding."""
    _, lr = pairs[0].load(4)
    samples = list(source.draw(lr, 3, 0.6, 5, rounds))
    for sample, plain, consistent in zip(
        samples,
        drawn(engine, lr, temperature=0.6, consistency_rounds=0),
        drawn(engine, lr, temperature=0.6, consistency_rounds=rounds),
        strict=True,
    ):
        np.testing.assert_array_equal(sample.plain, plain.picture)
        assert (sample.consistent is None) == (rounds == 0)
        if rounds:
            np.testing.assert_array_equal(sample.consistent, consistent.picture)


def test_a_picture_that_needs_more_memory_is_measured_in_tiles(model, perceptual, tmp_path, monkeypatch):
    """And its samples, where they do not fit into memory, in files that go afterwards."""
    save_png(tmp_path / "hr" / "wide.png", picture(6, 96, 320))
    pairs = find_pairs(tmp_path / "hr", scale_factor=4)
    whole = measured(model, tmp_path / "model")
    whole_rows = evaluate_model(whole, pairs, num_samples=2, temperatures=[0.6], perceptual=perceptual)
    (tmp_path / "spilled").mkdir()
    engine = SamplingEngine(
        "cpu", "float32", checkpoints=[tmp_path / "model"], piece_bytes=1 << 20, spill_folder=tmp_path / "spilled"
    )
    _, lr = pairs[0].load(4)
    request = SampleRequest(lr=lr, num_samples=2, seed=0, temperature=0.6, plain=True, summaries=False)
    assert engine.estimate(request).num_tiles > 1
    # Enough for the work on one sample, without its pictures.
    needed = engine.estimate(replace(request, num_samples=1)).num_bytes - 6 * lr.size * 16 // 3
    monkeypatch.setattr("srflow.sampling.estimating.memory_limit", lambda device: needed + 1)
    results = [event for event in engine.sample(request) if isinstance(event, SampleResult)]
    assert all(result.picture is None and result.plain is None for result in results)
    rows = evaluate_model(MeasuredModel(engine), pairs, num_samples=2, temperatures=[0.6], perceptual=perceptual)
    assert not list((tmp_path / "spilled").iterdir())
    for row, other in zip(rows[2:], whole_rows[2:], strict=True):
        assert row.mean.psnr == pytest.approx(other.mean.psnr, abs=0.02)
        assert row.mean.lpips == pytest.approx(other.mean.lpips, abs=1e-3)


def test_diversity_needs_samples_that_differ(rows):
    for row in rows[:4]:
        assert row.mean.diversity == pytest.approx(0.0, abs=1e-3)
    for row in rows[4:]:
        assert row.mean.diversity > 0.2
        assert row.mean.mse_diversity > 1
        assert row.mean.lpips_local < row.mean.lpips_global <= row.mean.lpips


def test_the_consistency_step_raises_the_lr_psnr(rows):
    assert rows[5].mean.lr_psnr > rows[4].mean.lr_psnr + 10


@torch.no_grad()
def test_bits_per_dimension_are_of_the_ground_truth_and_in_the_models_own_rows(rows, model, pairs):
    for pair in pairs:
        hr, lr = pair.load(4)
        _, log_prob = model.encode(to_tensor(hr), model.condition(to_tensor(lr)))
        expected = -log_prob.item() / (hr.size * math.log(2))
        assert rows[2].pictures[pair.name].bits_per_dim == pytest.approx(expected, rel=1e-5)
        assert rows[4].pictures[pair.name].bits_per_dim == pytest.approx(expected, rel=1e-5)
    assert [row.mean.bits_per_dim is None for row in rows] == [True, True, False, True, False, True]


def test_times_are_measured_and_the_consistency_step_adds_to_them(rows):
    for row in rows:
        assert all(scores.seconds > 0 for scores in row.pictures.values())
    for plain, refined in ((rows[2], rows[3]), (rows[4], rows[5])):
        assert refined.mean.seconds > plain.mean.seconds


def test_the_default_temperature_is_the_models(source, model, pairs, perceptual):
    rows = evaluate_model(source, pairs[:1], num_samples=1, perceptual=perceptual)
    assert [row.temperature for row in rows] == [None, None, *[model.config.default_temperature] * 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, 50.0])
def test_samples_that_explode_are_counted_and_scored_as_they_are_drawn_again(
    engine, source, pairs, perceptual, monkeypatch, value
):
    decode = InferenceModel.decode

    def broken_decode(self, latents, prepared, on_step):
        raw, log_dets = decode(self, latents, prepared, on_step)
        if raw.shape[0] == 3:  # not when one is decoded again
            raw[1, 0, 3, 3] = value
        return raw, log_dets

    monkeypatch.setattr(InferenceModel, "decode", broken_decode)
    settings = {"temperatures": [0.6], "seed": 5, "perceptual": perceptual}
    rows = evaluate_model(source, pairs[:1], num_samples=3, **settings)
    hr, lr = pairs[0].load(4)
    samples = drawn(engine, lr, temperature=0.6, consistency_rounds=0)
    assert [bool(sample.flags) for sample in samples] == [False, True, False]
    assert not samples[1].flags[0].startswith(NOT_AS_ASKED)
    for row in rows[2:]:
        assert row.mean.exploded == pytest.approx(1 / 3)
    assert rows[2].mean.psnr == pytest.approx(np.mean([psnr(sample.picture, hr) for sample in samples]))
    assert rows[0].mean.exploded == 0.0


def test_means_over_pictures_leave_out_what_is_missing_and_stay_finite():
    mean = Scores.mean([Scores(psnr=20.0, ssim=0.5), Scores(psnr=PSNR_CAP), Scores(ssim=0.7)])
    assert mean.psnr == 60.0
    assert mean.ssim == pytest.approx(0.6)
    assert mean.lpips is None
    assert Scores.mean([]) == Scores()


def test_a_scorer_without_samples_refuses(perceptual):
    with pytest.raises(InputError, match="no samples"):
        SampleScorer(GroundTruth(np.zeros((32, 32, 3), dtype=np.uint8), 4, perceptual)).scores()


def test_given_lr_pictures_are_used_even_if_made_before_cropping(source, perceptual, tmp_path):
    full = picture(3, 44, 40)  # x4: LR 11x10; cropped to 40x40, LR 10x10
    save_png(tmp_path / "hr" / "c.png", full)
    save_png(tmp_path / "lr" / "cx4.png", downscale_uint8(full, 4))
    pairs = find_pairs(tmp_path / "hr", tmp_path / "lr", scale_factor=4)
    hr, lr = pairs[0].load(4)
    assert (hr.shape, lr.shape) == ((40, 40, 3), (11, 10, 3))
    rows = evaluate_model(source, pairs, num_samples=1, temperatures=[0.5], perceptual=perceptual)
    expected = psnr(upscale_uint8(lr, 4)[:40], hr)
    assert rows[0].mean.psnr == pytest.approx(expected)
    assert math.isfinite(rows[2].mean.bits_per_dim)


@pytest.mark.parametrize("name", ["srflow-x4", "srflow-x8", "srflow-da-s-x4-compact"])
def test_other_architectures_and_scales(name, perceptual, tmp_path):
    other = make_toy(name, torch.float32, lr_size=(4, 6))
    size = 40 if other.scale_factor == 8 else 44  # LR sides are odd: 5 at x8; 11 at x4, before cropping to 40
    full = picture(4, size, size)
    save_png(tmp_path / "hr" / "d.png", full)
    save_png(tmp_path / "lr" / "d.png", downscale_uint8(full, other.scale_factor))
    pairs = find_pairs(tmp_path / "hr", tmp_path / "lr", scale_factor=other.scale_factor)
    rows = evaluate_model(
        measured(other, tmp_path / name), pairs, num_samples=2, temperatures=[0.3], perceptual=perceptual
    )
    assert len(rows) == 4
    assert rows[2].mean.psnr is not None
    assert math.isfinite(rows[2].mean.bits_per_dim)


def test_bicubic_alone_is_the_first_row(pairs, perceptual, features, rows):
    alone = evaluate_bicubic(pairs, scale_factor=4, perceptual=perceptual, features=features)
    assert alone.method == "bicubic"
    for name, scores in alone.pictures.items():
        assert compared(scores) == compared(rows[0].pictures[name])


def test_pictures_of_another_method(pairs, perceptual, tmp_path):
    files = {}
    for pair in pairs:
        hr, _ = pair.load(4)
        save_png(tmp_path / f"{pair.name}_sample0.png", hr)
        save_png(tmp_path / f"{pair.name}_sample1.png", 255 - hr)
        files[pair.name] = [tmp_path / f"{pair.name}_sample{i}.png" for i in range(2)]
    row = evaluate_files("other", files, pairs, scale_factor=4, perceptual=perceptual)
    assert (row.method, row.num_samples, row.temperature) == ("other", 2, None)
    for pair in pairs:
        hr, _ = pair.load(4)
        scores = row.pictures[pair.name]
        assert scores.psnr == pytest.approx((PSNR_CAP + psnr(255 - hr, hr)) / 2)
        assert scores.lpips_global == 0
        assert scores.diversity == 0
        assert scores.seconds is None
        expected = score_maps([perceptual.map(hr, hr), perceptual.map(255 - hr, hr)])
        assert scores.lpips == pytest.approx(expected.mean)


def test_files_of_another_size_or_broken_are_named(pairs, perceptual, tmp_path):
    _, lr = pairs[0].load(4)
    save_png(tmp_path / "small.png", lr)
    save_png(tmp_path / "large.png", np.zeros((96, 80, 3), dtype=np.uint8))
    (tmp_path / "broken.png").write_bytes((tmp_path / "large.png").read_bytes()[:80])
    for name in ("small", "large", "broken"):
        with pytest.raises(ImageError, match=rf"{name}\.png"):
            evaluate_files("other", {"a": [tmp_path / f"{name}.png"]}, pairs[:1], scale_factor=4, perceptual=perceptual)


def test_broken_ground_truth_is_named(source, perceptual, tmp_path):
    save_png(tmp_path / "good.png", picture(1, 40, 40))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")
    with pytest.raises(ImageError, match=r"bad\.png"):
        evaluate_model(source, find_pairs(tmp_path, scale_factor=4), num_samples=1, perceptual=perceptual)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_samples": 0}, "num_samples is 0"),
        ({"temperatures": []}, "no temperatures"),
        ({"temperatures": [0.5, -0.1]}, "temperature is -0.1"),
        ({"temperatures": [math.nan]}, "temperature is nan"),
        ({"temperatures": [2.5]}, "from 0 to 2"),
        ({"pairs": []}, "no pictures"),
    ],
)
def test_settings_out_of_range_are_refused(source, pairs, perceptual, settings, message):
    with pytest.raises(InputError, match=message):
        evaluate_model(source, **({"pairs": pairs, "perceptual": perceptual} | settings))


def test_a_pair_without_a_file_says_so(perceptual, tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png"):
        evaluate_bicubic([PicturePair("gone", tmp_path / "gone.png")], scale_factor=4, perceptual=perceptual)


@pytest.mark.slow
def test_bicubic_on_bsd100_does_not_drift(shared, perceptual):
    """Every tenth picture; all hundred give 24.658 dB, LR-PSNR 37.972 and LPIPS .5241 (others measured .524)."""
    pairs = find_pairs(shared / "data" / "test" / "BSD100", scale_factor=4)[::10]
    mean = evaluate_bicubic(pairs, scale_factor=4, perceptual=perceptual).mean
    assert mean.lpips == pytest.approx(0.5236, abs=2e-4)
    assert mean.psnr == pytest.approx(25.120, abs=2e-3)
    assert 37 < mean.lr_psnr < 39.5

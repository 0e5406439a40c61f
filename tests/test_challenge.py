import math
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.consistency import back_project
from srflow.contract import ImageError, InputError
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
from srflow.pictures import save_png

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


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two pictures, 40x48 and 46x37 (W x H); the second is cropped to 40x32."""
    folder = tmp_path_factory.mktemp("hr")
    save_png(folder / "a.png", picture(1, 48, 40))
    save_png(folder / "b.png", picture(2, 37, 46))
    return find_pairs(folder, scale_factor=4)


@pytest.fixture(scope="module")
def rows(model, pairs, perceptual, features):
    return evaluate_model(
        model,
        pairs,
        num_samples=3,
        temperatures=[0.0, 0.6],
        seed=5,
        refine=partial(back_project, scale_factor=4, rounds=5),
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
        "non_finite": 0.0,
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


@pytest.mark.parametrize("name", ["a", "b"])
@torch.no_grad()
def test_every_score_is_what_the_protocol_says(rows, model, pairs, perceptual, features, name):
    hr, lr = next(pair for pair in pairs if pair.name == name).load(4)
    assert hr.shape == {"a": (48, 40, 3), "b": (32, 40, 3)}[name]
    low = to_tensor(lr)
    drawn = model.sample(low, num_samples=3, temperature=0.6, seed=5)
    projected = back_project(drawn, low, 4, 5)
    for row, samples in (
        (rows[0], [upscale_uint8(lr, 4)]),
        (rows[1], to_uint8_batch(model.encoder.super_resolve(low))),
        (rows[2], to_uint8_batch(model.sample(low, num_samples=3, temperature=0.0, seed=5))),
        (rows[4], to_uint8_batch(drawn)),
        (rows[5], to_uint8_batch(projected)),
    ):
        expected = expected_scores(samples, hr, 4, perceptual, features)
        assert compared(row.pictures[name]) == pytest.approx(expected, rel=1e-5, abs=1e-4), row.method


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


def test_samples_are_decoded_in_bounded_batches_that_change_nothing(
    model, pairs, perceptual, features, rows, monkeypatch
):
    sizes = []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda latents, *rest: sizes.append(len(latents[0])) or decode(latents, *rest))
    again = evaluate_model(
        model,
        pairs,
        num_samples=3,
        temperatures=[0.6],
        seed=5,
        perceptual=perceptual,
        features=features,
        max_pixels_per_batch=4000,
    )
    assert sizes == [2, 1, 3]  # 48x40 pixels, twice in 4000; 32x40, three times
    assert len(again) == 3
    for name in ("a", "b"):
        assert compared(again[2].pictures[name]) == pytest.approx(compared(rows[4].pictures[name]), rel=1e-3, abs=1e-3)


def test_the_models_mode_is_put_back(model, pairs, perceptual):
    model.train()
    try:
        evaluate_model(model, pairs[:1], num_samples=1, perceptual=perceptual)
        assert model.training
    finally:
        model.eval()


def test_the_default_temperature_is_the_models(model, pairs, perceptual):
    rows = evaluate_model(model, pairs[:1], num_samples=1, perceptual=perceptual)
    assert [row.temperature for row in rows] == [None, None, model.config.default_temperature]


def test_non_finite_samples_are_counted_and_in_no_score(model, pairs, perceptual, monkeypatch):
    decode = model.decode

    def broken_decode(latents, conditioning):
        sr = decode(latents, conditioning)
        sr[1, 0, 3, 3] = math.nan
        sr[2, 2, 0, 0] = math.inf
        return sr

    clean = evaluate_model(model, pairs[:1], num_samples=1, temperatures=[0.6], seed=5, perceptual=perceptual)
    monkeypatch.setattr(model, "decode", broken_decode)
    rows = evaluate_model(model, pairs[:1], num_samples=3, temperatures=[0.6], seed=5, perceptual=perceptual)
    scores = rows[2].pictures["a"]
    assert scores.non_finite == pytest.approx(2 / 3)
    assert scores.psnr == pytest.approx(clean[2].pictures["a"].psnr, abs=1e-2)
    monkeypatch.setattr(model, "decode", lambda latents, conditioning: decode(latents, conditioning) * math.nan)
    rows = evaluate_model(model, pairs[:1], num_samples=2, temperatures=[0.6], perceptual=perceptual)
    scores = rows[2].mean
    assert scores.non_finite == 1.0
    assert scores.psnr is None
    assert scores.diversity is None
    assert rows[0].mean.non_finite == 0.0


def test_samples_are_rounded_not_cut_off(perceptual):
    hr = np.full((32, 32, 3), 100, dtype=np.uint8)
    scorer = SampleScorer(GroundTruth(hr, 4, perceptual))
    scorer.add_float(torch.full((3, 32, 32), 100.4 / 255))
    assert scorer.scores().psnr == PSNR_CAP
    scorer.add_float(torch.full((3, 32, 32), 99.6 / 255))
    scorer.add_float(torch.full((3, 32, 32), 100.6 / 255))
    # 100 dB, 100 dB, and an offset of one: 48.13 dB
    assert scorer.scores().psnr == pytest.approx((2 * PSNR_CAP + 48.1308) / 3, abs=1e-4)


def test_means_over_pictures_leave_out_what_is_missing_and_stay_finite():
    mean = Scores.mean([Scores(psnr=20.0, ssim=0.5), Scores(psnr=PSNR_CAP), Scores(ssim=0.7)])
    assert mean.psnr == 60.0
    assert mean.ssim == pytest.approx(0.6)
    assert mean.lpips is None
    assert Scores.mean([]) == Scores()


def test_a_scorer_without_samples_refuses(perceptual):
    with pytest.raises(InputError, match="no samples"):
        SampleScorer(GroundTruth(np.zeros((32, 32, 3), dtype=np.uint8), 4, perceptual)).scores()


def test_given_lr_pictures_are_used_even_if_made_before_cropping(model, perceptual, tmp_path):
    full = picture(3, 44, 40)  # x4: LR 11x10; cropped to 40x40, LR 10x10
    save_png(tmp_path / "hr" / "c.png", full)
    save_png(tmp_path / "lr" / "cx4.png", downscale_uint8(full, 4))
    pairs = find_pairs(tmp_path / "hr", tmp_path / "lr", scale_factor=4)
    hr, lr = pairs[0].load(4)
    assert (hr.shape, lr.shape) == ((40, 40, 3), (11, 10, 3))
    rows = evaluate_model(model, pairs, num_samples=1, temperatures=[0.5], perceptual=perceptual)
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
    rows = evaluate_model(other, pairs, num_samples=2, temperatures=[0.3], perceptual=perceptual)
    assert len(rows) == 3
    assert rows[2].mean.non_finite is not None
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


def test_broken_ground_truth_is_named(model, perceptual, tmp_path):
    save_png(tmp_path / "good.png", picture(1, 40, 40))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")
    with pytest.raises(ImageError, match=r"bad\.png"):
        evaluate_model(model, find_pairs(tmp_path, scale_factor=4), num_samples=1, perceptual=perceptual)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_samples": 0}, "num_samples is 0"),
        ({"temperatures": []}, "no temperatures"),
        ({"temperatures": [0.5, -0.1]}, "temperature is -0.1"),
        ({"temperatures": [math.nan]}, "temperature is nan"),
        ({"pairs": []}, "no pictures"),
    ],
)
def test_settings_out_of_range_are_refused(model, pairs, perceptual, settings, message):
    with pytest.raises(InputError, match=message):
        evaluate_model(model, **({"pairs": pairs, "perceptual": perceptual} | settings))


def test_a_pair_without_a_file_says_so(model, perceptual, tmp_path):
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

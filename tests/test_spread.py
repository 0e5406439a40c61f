"""Measuring a model's spread: against direct computation, with samples of known dispersion, and as a command."""

import json
import math
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.calibration.bars import LAMBDAS, nominal_lambda
from srflow.calibration.file import load_calibration
from srflow.cli import main
from srflow.contract import InputError, SampleRequest, SampleResult
from srflow.evaluation import calibrating
from srflow.evaluation.calibrating import calibrate_model, check_calibration
from srflow.evaluation.drawing import DrawnSample
from srflow.evaluation.pairing import find_pairs
from srflow.evaluation.spread import SpreadMeter
from srflow.images import downscale_uint8
from srflow.pictures import save_png
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.measured import MeasuredModel

PRESET = "srflow-da-r-x4-compact"
WEIGHTS = "d" * 64


def noisy(base, sigma, random):
    return np.clip(np.rint(base + sigma * random.standard_normal(base.shape)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_toy(PRESET, torch.float32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def hr(tmp_path_factory):
    """Five pictures of 40x32 (W x H)."""
    folder = tmp_path_factory.mktemp("data") / "Photos"
    random = np.random.default_rng(0)
    for index in range(5):
        save_png(folder / f"{index}.png", noisy(np.full((32, 40, 3), 128.0), 12, random))
    return folder


def calibrate(*arguments):
    return main(["calibrate", *map(str, arguments)])


def test_the_meter_against_direct_computation():
    random = np.random.default_rng(1)
    base = random.uniform(60, 200, (33, 47, 3))
    truth, samples = noisy(base, 9, random), [noisy(base, 5, random) for _ in range(6)]
    meter = SpreadMeter(truth, [3, 6], [1, 8], scale_factor=4, num_rank_pixels=50)
    for sample in samples:
        meter.add(sample)
    assert sorted(meter.spreads) == [3, 6]
    for count, found in meter.spreads.items():
        drawn = np.stack(samples[:count]).astype(np.float64)
        values = {"rgb": (drawn, truth.astype(np.float64))}
        values["luma"] = tuple(v @ [[0.299], [0.587], [0.114]] for v in values["rgb"])
        for (kind, box), losses in found.losses.items():
            many, true = values[kind]
            if box == 8:  # 4 x 5 whole boxes
                many = many[:, :32, :40].reshape(count, 4, 8, 5, 8, -1).mean(axis=(2, 4))
                true = true[:32, :40].reshape(4, 8, 5, 8, -1).mean(axis=(1, 3))
            floor = 0.5 if box == 1 else 0.25
            sigma = math.sqrt(1 + 1 / count) * np.maximum(many.std(axis=0, ddof=1), floor)
            error = np.abs(true - many.mean(axis=0))
            assert found.squared_error[kind, box] == pytest.approx((error**2).mean(), rel=1e-4)
            assert found.squared_sigma[kind, box] == pytest.approx((sigma**2).mean(), rel=1e-4)
            for index in (0, 200, 300, 350, 400):
                expected = (error > LAMBDAS[index] * sigma).mean()
                assert losses[index] == pytest.approx(expected, abs=3 / error.size)
        assert found.truth.shape == (50,)
        assert found.samples.shape == (count, 50)
    # The pixels kept for the ranks are the same ones in truth and samples.
    luma = truth.astype(np.float32) @ np.float32([0.299, 0.587, 0.114])
    assert np.isin(found.truth, luma).all()
    assert np.corrcoef(found.truth, found.samples.mean(axis=0))[0, 1] > 0.9


def test_the_samples_are_those_that_the_engine_draws(checkpoint, hr, monkeypatch):
    taken = []
    original = SpreadMeter.add
    monkeypatch.setattr(SpreadMeter, "add", lambda self, sr: taken.append((self, sr)) or original(self, sr))
    engine = SamplingEngine("cpu", "float32", checkpoints=[checkpoint])
    source, pairs = MeasuredModel(engine), find_pairs(hr, scale_factor=4)
    arguments = {"temperatures": [0.6], "sample_counts": [3], "coverage": 0.5, "seed": 7}
    first = calibrate_model(source, pairs, consistency_rounds=2, **arguments)
    meters = list(dict.fromkeys(meter for meter, _ in taken))
    assert len(meters) == 10  # five pictures, without and with the consistency step
    request = SampleRequest(lr=pairs[0].load(4)[1], num_samples=3, temperature=0.6, seed=7, summaries=False)
    for meter, rounds in ((meters[0], 0), (meters[1], 2)):
        events = engine.sample(replace(request, consistency_rounds=rounds))
        expected = [event.picture for event in events if isinstance(event, SampleResult)]
        np.testing.assert_array_equal([sr for owner, sr in taken if owner is meter], expected)
    again = calibrate_model(source, pairs, consistency_rounds=2, **arguments)
    assert again == first
    assert calibrate_model(source, pairs, consistency_rounds=0, **arguments).settings[0].consistency_rounds == 0


class KnownPosterior:
    """A `SampleSource` of normal samples about the mean that the truth was drawn around; the model lends its name."""

    sigma = 10.0
    precision = "float32"

    def __init__(self, model):
        self.model = model
        self.means = {}

    def draw(self, lr, num_samples, temperature, seed, consistency_rounds):
        mean = self.means[lr.tobytes()]
        random = np.random.default_rng(zlib.crc32(mean.tobytes()))
        for _ in range(num_samples):
            plain = noisy(mean, temperature * self.sigma, random)
            consistent = plain if consistency_rounds else None
            yield DrawnSample(plain=plain, consistent=consistent, exploded=False, seconds=0.0, consistency_seconds=0.0)


@pytest.fixture
def known(tmp_path):
    """Thirty pictures drawn from known posteriors, and what draws these."""
    random = np.random.default_rng(2)
    model = make_toy(PRESET, torch.float32)
    model.save_pretrained(tmp_path / "model")
    source = KnownPosterior(model)
    for index in range(30):
        mean = random.uniform(90, 160, (32, 40, 3))
        truth = noisy(mean, KnownPosterior.sigma, random)
        save_png(tmp_path / "known" / f"{index:02}.png", truth)
        source.means[downscale_uint8(truth, 4).tobytes()] = mean
    return source, find_pairs(tmp_path / "known", scale_factor=4)


def test_samples_of_known_dispersion_are_put_right(known):
    source, pairs = known
    # Temperature 0.5: half as wide as the truth; 1: right.
    found = calibrate_model(
        source, pairs, temperatures=[0.5, 1.0], sample_counts=[5, 20], consistency_rounds=0, coverage=0.8
    )
    # (30 L + 1) / 31 <= 0.2
    expected = {count: nominal_lambda(count, 1 - (0.2 * 31 - 1) / 30) for count in (5, 20)}
    for setting in found.settings:
        assert sum(setting.ranks_before) == pytest.approx(1)
        for bar in setting.bars:
            wide = math.sqrt((1 / setting.temperature**2 + 1 / setting.num_samples) / (1 + 1 / setting.num_samples))
            if bar.box == 1:  # of larger ones there are few
                assert bar.error_ratio == pytest.approx(wide, rel=0.03)
                assert bar.lam == pytest.approx(expected[setting.num_samples] * wide, rel=0.05)
            assert bar.coverage >= 0.8 - 0.02
            assert bar.coverage_tenth <= bar.coverage
        pixel = setting.bars[0]
        assert pixel.coverage == pytest.approx(0.83, abs=0.03)
        right = setting.temperature == 1.0
        assert pixel.coverage_before == pytest.approx(0.8, abs=0.02) if right else pixel.coverage_before < 0.55
        # A rank histogram that is flat stays so, and one with horns becomes flat, but for the wider bar's surplus.
        flat = 1 / (setting.num_samples + 1)
        outer = [ranks[0] + ranks[-1] for ranks in (setting.ranks_before, setting.ranks_after)]
        assert outer[0] == pytest.approx(2 * flat, abs=0.015) if right else outer[0] > 3 * flat
        assert outer[1] == pytest.approx(2 * flat, abs=0.05)


def test_coverage_is_checked_on_pictures_that_were_left_out(known, monkeypatch):
    source, pairs = known
    calls = []
    original = calibrating.conformal_lambda

    def seen(losses, coverage):
        calls.append(len(losses))
        return original(losses, coverage)

    monkeypatch.setattr(calibrating, "conformal_lambda", seen)
    arguments = {"temperatures": [1.0], "sample_counts": [5], "consistency_rounds": 0, "boxes": []}
    found = calibrate_model(source, pairs, coverage=0.8, folds=3, **arguments)
    assert found.folds == 3
    assert sorted(calls) == [20] * 6 + [30] * 2  # two kinds of value
    # 9 pictures are needed for 90 %, so of 10 one at a time is left out.
    assert calibrate_model(source, pairs[:10], **arguments).folds == 10
    with pytest.raises(InputError, match="9 pictures are too few: the bars need 9, and one more"):
        calibrate_model(source, pairs[:9], **arguments)
    with pytest.raises(InputError, match="the bars need 22"):
        calibrate_model(source, pairs[:20], confidence=0.9, **arguments)
    wide = calibrate_model(source, pairs, coverage=0.8, confidence=0.9, **arguments)
    assert wide.settings[0].bars[0].lam > found.settings[0].bars[0].lam
    assert wide.confidence == 0.9


def test_finished_bars_are_checked_on_other_pictures(known):
    """The same pictures cover as they did; truths twice as far from the mean are covered less, and λ stays."""
    source, pairs = known
    arguments = {"temperatures": [1.0], "sample_counts": [20], "consistency_rounds": 0, "coverage": 0.8, "boxes": []}
    found = calibrate_model(source, pairs, **arguments)
    assert found.check is None
    same = check_calibration(source, found, pairs)
    assert (same.check.hr, same.check.num_pictures, same.check.pictures_sha256) == ("known", 30, found.pictures_sha256)
    # (30 L + 1) / 31 <= 0.2 on these very pictures
    assert same.settings[0].bars[0].coverage_checked == pytest.approx(1 - (0.2 * 31 - 1) / 30, abs=0.005)
    for pair in pairs:
        truth, lr = pair.load(4)
        mean = source.means[lr.tobytes()]
        farther = np.clip(np.rint(mean + 2 * (truth - mean)), 0, 255).astype(np.uint8)
        save_png(pair.hr, farther)
        source.means[downscale_uint8(farther, 4).tobytes()] = mean
    other = check_calibration(source, found, pairs)
    lam = found.settings[0].bars[0].lam
    assert other.settings[0].bars[0].lam == lam
    # A normal truth of twice the samples' σ lies within λ sqrt(1 + 1/20) σ of their mean.
    expected = math.erf(lam * math.sqrt(1.05 / (4 + 1 / 20)) / math.sqrt(2))
    assert other.settings[0].bars[0].coverage_checked == pytest.approx(expected, abs=0.03)
    source.model.metadata = replace(source.model.metadata, weights_sha256="e" * 64)
    with pytest.raises(InputError, match="other weights"):
        check_calibration(source, found, pairs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperatures": []}, "temperatures are"),
        ({"temperatures": [0.5, math.nan]}, "temperatures are"),
        ({"temperatures": [2.5]}, "from 0 to 2"),
        ({"sample_counts": [1, 4]}, "from 2 to 1000"),
        ({"consistency_rounds": -1}, "rounds is -1"),
        ({"boxes": [33]}, "from 1 to 32"),
        ({"boxes": [0]}, "from 1 to 32"),
        ({"folds": 1}, "at least 2"),
        ({"crop": 30}, "multiple of 8"),
        ({"crop": 24}, "from 32 on"),
        ({"coverage": 1.0}, "coverage is 1.0"),
        ({"confidence": 0.2}, "confidence is 0.2"),
    ],
)
def test_arguments_out_of_range_are_refused(known, change, message):
    source, pairs = known
    arguments = {"temperatures": [0.5], "sample_counts": [3], "coverage": 0.8} | change
    with pytest.raises(InputError, match=message):
        calibrate_model(source, pairs, **arguments)


def test_weights_that_were_never_on_disk_are_refused(hr):
    with pytest.raises(InputError, match="not loaded from a file"):
        calibrate_model(
            KnownPosterior(make_toy(PRESET, torch.float32)),
            find_pairs(hr, scale_factor=4),
            temperatures=[0.5],
            sample_counts=[2],
        )


def test_the_command_writes_beside_the_weights_and_prints_a_table(checkpoint, hr, tmp_path, capsys):
    options = ["--temperature", 0.5, 0.8, "--num-samples", 3, 2, "--coverage", 0.6, "--box", 4, "--device", "cpu"]
    assert calibrate(checkpoint, "--hr", hr, *options) == 0
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 8
    assert len({line.count("|") for line in lines}) == 1
    assert "λ for 60 %" in lines[0]
    assert "λ, 4 px" in lines[0]
    assert "on 5 pictures" in printed
    values = json.loads((checkpoint / "calibration.json").read_text())
    found = load_calibration(checkpoint, values["weights_sha256"])
    assert found.hr == "Photos"
    assert found.num_pictures == 5
    assert (found.model, found.conv_dtype, found.crop) == (PRESET, "float32", None)
    assert len({(one.temperature, one.num_samples, one.consistency_rounds) for one in found.settings}) == 8
    assert {one.consistency_rounds for one in found.settings} == {0, 5}
    assert {(bar.value, bar.box) for bar in found.settings[0].bars} == {
        (value, box) for value in ("luma", "rgb") for box in (1, 4)
    }
    assert str(hr.parent) not in (checkpoint / "calibration.json").read_text()
    low, high = (found.bar(temperature, 3, 5).lam for temperature in (0.5, 0.8))
    assert min(low, high) <= found.bar(0.65, 3, 5).lam <= max(low, high)
    assert found.check is None
    # Another file; a part of the pictures, and of each picture.
    options += ["--limit", 4, "--crop", 32, "--output", tmp_path / "other.json", "--precision", "bfloat16"]
    assert calibrate(checkpoint, "--hr", hr, *options) == 0
    other = json.loads((tmp_path / "other.json").read_text())
    assert (other["num_pictures"], other["crop"], other["conv_dtype"]) == (4, 32, "bfloat16")
    assert other["weights_sha256"] == values["weights_sha256"]
    assert other["pictures_sha256"] != values["pictures_sha256"]
    # With other pictures to check the bars on.
    capsys.readouterr()
    assert calibrate(checkpoint, "--hr", hr, *options, "--check", hr) == 0
    assert "On 5 others" in capsys.readouterr().out
    checked = json.loads((tmp_path / "other.json").read_text())
    assert checked["check"]["num_pictures"] == 5
    assert 0 < checked["settings"][0]["bars"][0]["coverage_checked"] <= 1


def test_few_pictures_are_said_to_widen_the_bars(checkpoint, hr, tmp_path, capsys):
    options = ["--temperature", 0.5, "--num-samples", 2, "--consistency-rounds", 0, "--output", tmp_path]
    assert calibrate(checkpoint, "--hr", hr, *options, "--coverage", 0.7) == 0
    # (5 L + 1) / 6 <= 0.3: the loss may be 0.16
    assert "84.0 % of the pixels of these 5 pictures" in capsys.readouterr().out
    assert (tmp_path / "calibration.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}", "--hr", "{hr}"], "5 pictures are too few: the bars need 9"),
        (["{model}", "--hr", "{hr}/nowhere"], "nowhere"),
        (["owner/name", "--hr", "{hr}"], "--output"),
        (["{model}", "--hr", "{hr}", "--consistency-rounds", "-1"], "rounds is -1"),
    ],
)
def test_mistakes_are_one_line_on_stderr(checkpoint, hr, capsys, arguments, message):
    filled = [argument.format(hr=hr, model=checkpoint) for argument in arguments]
    assert calibrate(*filled, "--temperature", "0.5", "--num-samples", "2") == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "Traceback" not in error

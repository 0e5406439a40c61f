"""`srflow measure`, and `srflow sample --export`: toy weights, with a calibration made by hand."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from conftest import make_toy
from fake_calibration import CALIBRATION

from srflow.calibration.file import CALIBRATION_FILE, save_calibration
from srflow.cli import main
from srflow.contract import NotCalibratedError
from srflow.pictures import read_picture, save_png
from srflow.sampling.engine import SamplingEngine

NAME = "srflow-da-r-x4-compact"
DRAWN = ("--temperature", "0.8", "--precision", "float32", "--device", "cpu", "--num-samples", "4")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    make_toy(NAME, torch.float32).save_pretrained(folder)
    return folder


@pytest.fixture
def calibrated(model) -> Path:
    sha256 = SamplingEngine("cpu", "float32", checkpoints=[model]).info().models[0].weights_sha256
    save_calibration(model / CALIBRATION_FILE, replace(CALIBRATION, weights_sha256=sha256))
    yield model
    (model / CALIBRATION_FILE).unlink()


@pytest.fixture
def given(tmp_path) -> Path:
    array = np.random.default_rng(0).integers(90, 160, (18, 20, 3), dtype=np.uint8)
    save_png(tmp_path / "lr.png", array)
    return tmp_path / "lr.png"


def test_a_place_a_line_and_the_agreement_are_measured(calibrated, given, tmp_path, capsys):
    out = tmp_path / "out"
    more = ["--region", "2", "3", "2", "2", "--line", "0", "0", "9", "4", "--frc"]
    files = ["--json", str(out / "all.json"), "--csv", str(out / "line.csv")]
    assert main(["measure", str(given), "--model", str(calibrated), *DRAWN, *more, *files]) == 0
    printed = capsys.readouterr().out
    found = json.loads((out / "all.json").read_text())
    brightness = found["place"]["channels"]["brightness"]
    assert f"{brightness['mean']:.2f} ± {brightness['half_width']:.2f}" in printed
    assert found["place"]["box"] == [8, 12, 16, 20]
    assert "Samples agree" in printed
    assert "contain 90 % of true values" in printed
    rows = list(csv.DictReader((out / "line.csv").read_text().splitlines()))
    assert len(rows) == 10
    assert float(rows[3]["mean"]) == pytest.approx(found["line"]["mean"][3], rel=1e-4)
    # of 16 bits, not of 8: the means of single samples are no whole numbers
    assert main(["sample", str(given), str(out), "--model", str(calibrated), *DRAWN]) == 0
    eight = np.stack([read_picture(out / f"lr_sample{i}.png").pixels for i in range(4)]).astype(np.float64)
    luma = eight[:, 12:20, 8:16].mean((1, 2)) @ [0.299, 0.587, 0.114]
    assert brightness["mean"] == pytest.approx(luma.mean(), abs=0.2)
    assert brightness["mean"] != pytest.approx(luma.mean(), abs=1e-6)


def test_without_calibration_the_spread_is_given_and_called_that(model, given, capsys):
    assert main(["measure", str(given), "--model", str(model), *DRAWN, "--region", "0", "0", "3", "3"]) == 0
    printed = capsys.readouterr().out
    assert "not calibrated: There is no calibration for toy" in printed
    assert "±" not in printed


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([], "nothing to measure"),
        (["--region", "0", "0", "21", "2"], "does not lie in the picture of 20x18"),
        (["--region", "-1", "0", "2", "2"], "does not lie in the picture"),
        (["--line", "0", "0", "80", "0"], "leaves the result of 80x72"),
        (["--frc", "--num-samples", "1"], "at least two"),
        (["--frc", "--csv", "x.csv"], "give --line"),
    ],
)
def test_what_cannot_be_measured_is_refused(model, given, more, why, capsys):
    assert main(["measure", str(given), "--model", str(model), *DRAWN, *more]) == 2
    assert why in capsys.readouterr().err


def test_the_engine_reads_a_calibration_of_its_own_weights_only(model, calibrated, caplog):
    engine = SamplingEngine("cpu", "float32", checkpoints=[model])
    assert engine.calibration().bar(0.85, 4, 5).lam == pytest.approx(2.0)
    save_calibration(model / CALIBRATION_FILE, replace(CALIBRATION, weights_sha256="9" * 64))
    other = SamplingEngine("cpu", "float32", checkpoints=[model])
    with pytest.raises(NotCalibratedError, match="There is no calibration for toy"):
        other.calibration()
    assert "belongs to other weights" in caplog.text


@pytest.mark.parametrize("bits", ["8", "16"])
def test_samples_are_exported_together(calibrated, given, tmp_path, bits):
    out = tmp_path / "out"
    formats = ["--export", "npz", "--export", "ome-tiff", "--bits", bits]
    assert main(["sample", str(given), str(out), "--model", str(calibrated), *DRAWN, *formats]) == 0
    samples = np.stack([read_picture(out / f"lr_sample{i}.png", bits=int(bits)).pixels for i in range(4)])
    with np.load(out / "lr_samples.npz") as found:
        np.testing.assert_array_equal(found["samples"], samples)
        assert found["coverage"] == 0.9
        assert [one["index"] for one in json.loads(str(found["facts"]))["samples"]] == [0, 1, 2, 3]
    stack = tifffile.imread(out / "lr_samples.ome.tif")
    step = 257 if bits == "16" else 1
    np.testing.assert_allclose(stack, samples.transpose(0, 3, 1, 2) / step, rtol=1e-6)

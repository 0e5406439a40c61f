"""Sets as files for other programs, read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from srflow.contract import Bar, Encoded, InputError
from srflow.evaluation.exporting import EXPORTS, SetData, as_csv, write_set
from srflow.latents import Latents, read_metadata

FACTS = {"seed": 3, "note": "τ × σ"}


@pytest.fixture(params=["uint8", "uint16"])
def samples(request) -> list[np.ndarray]:
    top = np.iinfo(request.param).max
    return list(np.random.default_rng(0).integers(0, top + 1, (5, 12, 20, 3)).astype(request.param))


def levels(samples: list[np.ndarray]) -> np.ndarray:
    return np.stack(samples).astype(np.float64) / (257 if samples[0].dtype == np.uint16 else 1)


def test_npz_holds_samples_mean_sigma_interval_and_recipe(samples, tmp_path):
    bars = {"luma": Bar(2.0, 0.5), "rgb": Bar(3.0, 0.5)}
    write_set(tmp_path / "a.npz", "npz", SetData(samples=samples, facts=FACTS, bars=bars, coverage=0.9))
    with np.load(tmp_path / "a.npz") as found:
        np.testing.assert_array_equal(found["samples"], np.stack(samples))
        values = levels(samples)
        values = np.concatenate([values, values @ [[0.299], [0.587], [0.114]]], axis=-1)
        np.testing.assert_allclose(found["mean"], values.mean(0), rtol=1e-5)
        sigma = values.std(0, ddof=1)
        np.testing.assert_allclose(found["sigma"], sigma, rtol=1e-3, atol=1e-3)
        half = np.sqrt(1 + 1 / 5) * np.maximum(sigma, 0.5) * [3, 3, 3, 2]
        np.testing.assert_allclose(found["half_width"], half, rtol=1e-3, atol=1e-2)
        assert found["coverage"] == 0.9
        assert json.loads(str(found["facts"])) == FACTS


def test_npz_without_calibration_has_no_interval(samples, tmp_path):
    write_set(tmp_path / "a.npz", "npz", SetData(samples=samples, facts=FACTS))
    with np.load(tmp_path / "a.npz") as found:
        assert set(found) == {"samples", "mean", "sigma", "facts"}


def test_the_stack_is_float_with_a_slice_a_sample(samples, tmp_path):
    write_set(tmp_path / "a.tif", "tiff", SetData(samples=samples, facts=FACTS))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        series = tif.series[0]
        assert (series.axes, series.dtype) == ("ZCYX", np.float32)
        np.testing.assert_allclose(series.asarray(), levels(samples).transpose(0, 3, 1, 2), rtol=1e-6)
        assert json.loads(tif.imagej_metadata["Info"]) == FACTS


def test_ome_tiff_says_which_axis_is_what(samples, tmp_path):
    write_set(tmp_path / "a.ome.tif", "ome-tiff", SetData(samples=samples, facts=FACTS))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        assert tif.is_ome
        assert tif.series[0].axes == "ZCYX"
        np.testing.assert_allclose(tif.series[0].asarray(), levels(samples).transpose(0, 3, 1, 2), rtol=1e-6)
        text = tif.ome_metadata
    assert 'SizeZ="5"' in text
    assert 'Name="Green"' in text
    assert "seed" in text


def test_what_cannot_be_written_leaves_no_file(samples, tmp_path):
    for form, data in (("png", SetData(samples=samples, facts={})), ("npz", SetData(samples=[], facts={}))):
        with pytest.raises(InputError):
            write_set(tmp_path / "a", form, data)
    with pytest.raises(TypeError):
        write_set(tmp_path / "a", "npz", SetData(samples=samples, facts={"x": object()}))
    assert list(tmp_path.iterdir()) == []
    assert set(EXPORTS) == {"npz", "tiff", "ome-tiff", "latents", "latents-npz"}


def test_tables_are_csv():
    assert as_csv(["a", "b"], [[1, None], ["x, y", np.float32(0.25)]]) == 'a,b\n1,\n"x, y",0.25\n'


def test_latents_are_read_back_from_both_formats(samples, tmp_path):
    rng = np.random.default_rng(1)
    levels = tuple(rng.standard_normal(shape, np.float32) for shape in ((5, 6, 6, 10), (5, 24, 3, 5)))
    data = SetData(samples=samples, facts=FACTS, latents=Encoded(levels=levels, log_probs=np.arange(5.0)))
    write_set(tmp_path / "a.safetensors", "latents", data)
    for level, found in zip(levels, Latents.load(tmp_path / "a.safetensors"), strict=True):
        np.testing.assert_array_equal(found.numpy(), level)
    assert json.loads(read_metadata(tmp_path / "a.safetensors")["facts"]) == FACTS
    write_set(tmp_path / "a.npz", "latents-npz", data)
    with np.load(tmp_path / "a.npz") as found:
        assert set(found) == {"level_0", "level_1", "log_prob", "facts"}
        np.testing.assert_array_equal(found["level_1"], levels[1])
        np.testing.assert_array_equal(found["log_prob"], np.arange(5.0))
        assert json.loads(str(found["facts"])) == FACTS

"""Exports, and the endpoints for measuring and exporting, without a browser."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import tifffile
from page_harness import Harness
from PIL import Image

from app.exports import FORMATS
from srflow.latents import Latents, read_metadata


@pytest.fixture
def harness(engine, sessions) -> Harness:
    return Harness(engine, sessions)


@pytest.fixture
def image(tmp_path: Path) -> str:
    pixels = np.random.default_rng(3).integers(40, 200, (80, 96, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    return str(tmp_path / "mine.png")


def export(harness: Harness, form: str) -> str:
    harness.values[harness.exports.form] = form
    harness.fire(harness.exports.button)
    return harness.values[harness.exports.file]


def sampled(harness: Harness) -> np.ndarray:
    harness.change("num_samples", 4)
    harness.fire(harness.controls.sample)
    return np.stack([np.array(Image.open(sample.path)) for sample in harness.session.view.run.samples])


def test_every_format_holds_the_samples(harness):
    samples = sampled(harness)
    with np.load(export(harness, "npz")) as found:
        np.testing.assert_array_equal(found["samples"], samples)
        assert found["half_width"].shape == (*samples.shape[1:3], 4)
        facts = json.loads(str(found["facts"]))
    assert len(facts["samples"]) == 4
    assert facts["samples"][0]["recipe"]["seed"] == harness.session.view.settings.seed
    assert facts["set"]["bars"]["coverage"] == 0.9
    for form in ("tiff", "ome-tiff"):
        np.testing.assert_array_equal(tifffile.imread(export(harness, form)), samples.transpose(0, 3, 1, 2))
    assert set(FORMATS) == {"npz", "tiff", "ome-tiff", "csv", "latents", "latents-npz"}


def test_of_latents_the_page_says_how_far_they_are(harness):
    sampled(harness)
    harness.values[harness.exports.form] = "latents"
    shown = harness.fire(harness.exports.button)
    status = [one[harness.page.status] for one in shown]
    assert [f"Encoding picture {number} of 4" in text for number, text in enumerate(status, 1)] == [True] * 4 + [False]
    assert "50" in status[2], "half of it"
    assert "Exported: tau" in status[4]
    assert harness.values[harness.exports.file].endswith(".safetensors")
    harness.fire(harness.controls.sample)
    before = harness.session.view.run
    harness.fire(harness.exports.button)
    assert harness.session.view.run is before, "nothing that is shown is touched"


def test_without_calibration_there_is_no_interval(harness):
    harness.change("temperature", 0.2)
    sampled(harness)
    with np.load(export(harness, "npz")) as found:
        assert "half_width" not in found


def test_tables_hold_what_was_measured(harness):
    sampled(harness)
    picture = harness.session.view.picture
    subject = f"{picture.subject} {picture.scale_factor}"
    width, height = harness.scene.grid
    mask = {"width": width, "height": height, "box": [2, 2, 4, 4], "runs": [255, 4]}
    harness.fire(harness.results.viewer, "mask", {"mask": mask, "id": "s0", "subject": subject})
    harness.fire(harness.results.viewer, "line", {"line": [0, 3, 9, 3], "subject": subject})
    with zipfile.ZipFile(export(harness, "csv")) as archive:
        tables = {name: archive.read(name).decode() for name in archive.namelist()}
    rows = {name: list(csv.DictReader(io.StringIO(text))) for name, text in tables.items() if name.endswith("csv")}
    assert [row["sample"] for row in rows["samples.csv"]] == ["1", "2", "3", "4"]
    assert [row["channel"] for row in rows["place.csv"]] == ["red", "green", "blue", "brightness"]
    assert len(rows["line.csv"]) == 10
    assert {"half_width_of_90_percent_bar", "truth", "Sample 4"} <= set(rows["line.csv"][0])
    assert float(rows["agreement.csv"][-1]["size_in_pixels"]) == pytest.approx(2, rel=0.02)
    assert json.loads(tables["run.json"])["program"] == "SRFlow-DA Explorer"


def test_with_nothing_to_export_the_page_says_so(harness):
    assert export(harness, "npz") is None
    assert "no samples to export" in harness.status
    sampled(harness)
    assert export(harness, "exe") is None
    assert "The format" in harness.status


def call(harness: Harness, name: str, *values: object) -> object:
    fn = next(fn for fn in harness.page.blocks.fns.values() if fn.api_name == name)
    *_, last = fn.fn(*values)
    return last


def test_the_measure_endpoint_gives_place_line_and_agreement(harness, image):
    found = call(harness, "measure", image, 3, 2, 2, 2, "0, 0, 20, 10", "", -1.0, 0, 4, True, True)
    assert found["place"]["box"] == [12, 8, 20, 16]
    assert found["place"]["coverage"] == 0.9
    brightness = found["place"]["channels"]["brightness"]
    assert brightness["lowest"] <= brightness["mean"] <= brightness["highest"]
    assert brightness["half_width"] > 0
    assert len(found["line"]["mean"]) == 21
    assert len(found["line"]["truth"]) == 21
    assert 2 <= found["agreement"]["size_in_pixels"] <= 80
    assert 0 <= found["bars"]["truth_inside"]["luma"] <= 1
    json.dumps(found)


def test_the_measure_endpoint_says_what_is_not_calibrated(harness, image):
    found = call(harness, "measure", image, 0, 0, 0, 0, "", "", 0.2, 0, 4, True, False)
    assert found["place"] is None
    assert found["bars"]["calibrated"] is False
    assert "temperature 0.2" in found["bars"]["why"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ((0, 0, 99, 2, "", "", -1.0, 0, 4, True, True), "width"),
        ((0, 0, 0, 0, "0, 0, 1", "", -1.0, 0, 4, True, True), "four whole numbers"),
        ((0, 0, 0, 0, "a", "", -1.0, 0, 4, True, True), "four whole numbers"),
        ((0, 0, 0, 0, "0, 0, 0, 80", "", -1.0, 0, 4, True, True), "leaves the picture"),
        ((0, 0, 0, 0, "", "", -1.0, 0, 1, True, True), "at least 2"),
    ],
)
def test_the_measure_endpoint_refuses_in_words(harness, image, values, why):
    with pytest.raises(gr.Error, match=why):
        call(harness, "measure", image, *values)


def test_the_export_endpoint_gives_one_file(harness, image):
    path = call(harness, "export", image, "ome-tiff", "", 0.9, 5, 3, True, False)
    assert tifffile.imread(path).shape == (3, 3, 320, 384)
    with pytest.raises(gr.Error, match="The format"):
        call(harness, "export", image, "bmp", "", 0.9, 5, 3, True, False)


def test_latents_are_of_all_samples_and_of_what_is_explored(harness):
    samples = sampled(harness)
    width, height = harness.scene.grid
    mask = {"width": width, "height": height, "box": [2, 2, 4, 4], "runs": [255, 4]}
    asked = {"action": "roll", "id": "s1", "mask": mask, "dial": 0, "subject": harness.scene.subject}
    harness.fire(harness.results.viewer, "explore", asked)
    harness.fire(harness.results.viewer, "explore", asked | {"action": "accept", "id": harness.scene.walk.ids[2]})
    explored = np.array(Image.open(harness.session.view.explored.state.path))
    pictures = np.stack([*samples, explored]).transpose(0, 3, 1, 2).astype(np.float32) / 255
    path = export(harness, "latents")
    assert path.endswith(".latents.safetensors")
    np.testing.assert_array_equal(Latents.load(path)[0].numpy(), pictures)
    order = json.loads(read_metadata(path)["facts"])["latents"]
    assert [each["label"] for each in order] == [*(f"Sample {number}" for number in range(1, 5)), "Explored, 1 change"]
    assert "operations" in order[4]["recipe"]
    with np.load(export(harness, "latents-npz")) as found:
        np.testing.assert_array_equal(found["level_0"], pictures)


def test_the_endpoint_gives_latents(harness, image):
    path = call(harness, "export", image, "latents", "", 0.9, 5, 3, True, False)
    assert Latents.load(path).num_samples == 3

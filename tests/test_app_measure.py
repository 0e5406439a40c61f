"""Measuring on the page, without a browser: places and lines that a visitor chooses, and what is shown of them."""

from __future__ import annotations

import numpy as np
import pytest
from page_harness import Harness

from app.measuring import measure_chosen_line, measure_chosen_place
from srflow.operations import Mask

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture
def harness(engine, sessions) -> Harness:
    harness = Harness(engine, sessions)
    harness.change("num_samples", 4)
    harness.fire(harness.controls.sample)
    return harness


def subject(harness: Harness) -> str:
    picture = harness.session.view.picture
    return f"{picture.subject} {picture.scale_factor}"


def box(harness: Harness, left: int, top: int, right: int, bottom: int) -> dict:
    width, height = harness.scene.grid
    return {
        "mask": {
            "width": width,
            "height": height,
            "box": [left, top, right, bottom],
            "runs": [255, (right - left) * (bottom - top)],
        },
        "id": "s0",
        "subject": subject(harness),
    }


def choose(harness: Harness, *edges: int) -> None:
    harness.fire(harness.results.viewer, "mask", box(harness, *edges))


def pixels(harness: Harness) -> np.ndarray:
    return np.stack(harness.measure.samples.read(harness.session.view.run)).astype(np.float64)


def test_a_small_place_has_a_bar_from_the_samples_own_means(harness):
    choose(harness, 5, 6, 7, 8)
    run = harness.session.view.run
    means = pixels(harness)[:, 24:32, 20:28].mean((1, 2)) @ LUMA
    # λ = 2 for brightness, the floor of a box of 8 is 1/16, see the engine
    half = 2 * np.sqrt(1 + 1 / 4) * max(means.std(ddof=1), 0.0625)
    assert f"Region of 64 px: brightness {means.mean():.1f} ± {half:.1f} (90 %)" in harness.values[harness.measure.line]
    report = measure_chosen_place(pixels(harness), run, harness.session.view.chosen.place)
    assert report.box == (20, 24, 28, 32)
    truth = run.picture.truth()[24:32, 20:28].mean((0, 1))
    assert report.truth[:3] == pytest.approx(truth)


def test_a_large_place_is_not_promised_what_was_not_measured(harness):
    choose(harness, 0, 0, 20, 10)
    assert "bar not calibrated" in harness.values[harness.measure.line]
    harness.open_tab("Measure")
    shown = harness.values[harness.measure.table]
    assert "not calibrated" in shown
    assert "There are no bars for rgb over 57 pixels a side; 1, 8 were measured." in shown
    assert "Samples agree" in shown
    assert "in the whole picture (the region is too small or too narrow: it has an effective size of 40 px; 64" in shown


def test_a_place_of_64_pixels_and_more_tells_how_far_samples_agree_there(harness):
    harness.open_tab("Measure")
    choose(harness, 0, 0, 16, 16)
    assert "in the region, which has an effective size of 64 px" in harness.values[harness.measure.table]


def test_a_soft_mask_weighs_its_pixels(harness):
    run = harness.session.view.run
    width, height = harness.scene.grid
    soft = Mask(width, height, (2, 3, 4, 4), (255, 1, 51, 1))
    report = measure_chosen_place(pixels(harness), run, soft)
    first, second = (pixels(harness)[:, 12:16, x : x + 4].mean((1, 2)) for x in (8, 12))
    assert report.area == pytest.approx(16 * 1.2)
    assert report.means[:3] == pytest.approx(((first + 0.2 * second) / 1.2).mean(0), rel=1e-5)


def test_a_line_gives_a_profile_with_its_band(harness):
    harness.open_tab("Measure")
    harness.fire(harness.results.viewer, "line", {"line": [3, 5, 40, 5], "subject": subject(harness)})
    assert [harness.values[end] for end in harness.measure.ends] == [3, 5, 40, 5]
    luma = pixels(harness)[:, 5, 3:41] @ LUMA
    *_, upper, mean, truth = harness.values[harness.measure.profile].data
    assert list(mean.y) == pytest.approx(luma.mean(0), rel=1e-4)
    half = 2 * np.sqrt(1 + 1 / 4) * np.maximum(luma.std(0, ddof=1), 0.5)
    assert np.subtract(upper.y, mean.y) == pytest.approx(half, rel=1e-3)
    assert list(truth.y) == pytest.approx(harness.session.view.run.picture.truth()[5, 3:41] @ LUMA, rel=1e-4)
    assert "of the truth along it (promised 90 %)" in harness.values[harness.measure.table]
    harness.values |= dict(zip(harness.measure.ends, (0, 0, 0, 9), strict=True))
    harness.fire(harness.measure.button)
    assert len(harness.values[harness.measure.profile].data[0].x) == 10


def test_without_calibration_the_band_is_sigma_and_says_so(harness):
    harness.change("temperature", 0.3)
    harness.fire(harness.controls.sample)
    run = harness.session.view.run
    report = measure_chosen_line(pixels(harness), run, (0, 0, 9, 9))
    assert report.coverage is None
    assert "temperature 0.3" in report.why_not
    assert report.half_width == pytest.approx(report.samples.std(axis=0, ddof=1))


def test_what_was_chosen_is_measured_anew_in_the_next_set_and_forgotten_with_the_picture(harness):
    choose(harness, 5, 6, 7, 8)
    before = harness.values[harness.measure.line]
    harness.fire(harness.controls.sample)
    after = harness.values[harness.measure.line]
    assert "Region of 64 px" in after
    assert after != before
    harness.fire(harness.picture.examples[1])
    assert "Select a region" in harness.values[harness.measure.line]


@pytest.mark.parametrize("line", [[0, 0, 10**6, 3], [0, 0, 1], "0011", [0.5, 0, 1, 1], [True, 0, 1, 1]], ids=str)
def test_lines_that_are_none_are_refused(harness, line):
    harness.fire(harness.results.viewer, "line", {"line": line, "subject": subject(harness)})
    assert "error" in harness.status
    assert harness.session.view.chosen is None


def test_an_event_of_another_picture_is_refused(harness):
    harness.fire(harness.results.viewer, "line", {"line": [0, 0, 3, 3], "subject": "old"})
    assert "no longer shown" in harness.status

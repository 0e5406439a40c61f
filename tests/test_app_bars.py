"""Bars on the page: what is promised, what it rests on, and what is said where nothing can be promised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_engine import CALIBRATION
from page_harness import Harness

from app.bars import find_bars
from app.downloads import bar_facts
from app.records import OpenedPicture, Region, Source
from app.settings import Settings
from srflow.contract import NotCalibratedError


@pytest.fixture
def settings(engine) -> Settings:
    return Settings.read({"num_samples": 4}, engine.info())


def opened(folder, has_truth: bool) -> OpenedPicture:
    source = Source(folder / "picture.png")
    return OpenedPicture(
        folder=folder,
        files=folder,
        source=source,
        width=8,
        height=8,
        scale_factor=4,
        has_truth=has_truth,
        region=Region(0, 0, 8, 8),
        subject="one",
    )


def test_a_set_that_was_measured_has_bars_and_says_what_they_rest_on(engine, settings, tmp_path):
    bars = find_bars(engine, opened(tmp_path, True), settings, 8)
    assert bars.coverage == 0.9
    assert bars.title("luma") == "90 % of true pixels lie within ± this"
    assert "20 pictures" in bars.details("luma")
    assert "50 others (Others), such bars contained 91.0 %" in bars.details("luma")
    assert "bicubic" in bars.details("luma")
    # std comes divided by the number of samples
    std = np.float32([0.0, 10.0])
    expected = 2.0 * np.sqrt(1 + 1 / 8) * np.maximum(np.sqrt(8 / 7) * std, 0.5)
    np.testing.assert_allclose(bars.half_width("luma", std), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "count", "why"),
    [
        ({"model": "fake-x8"}, 8, "No calibration was measured for fake-x8"),
        ({"temperature": 0.5}, 8, "temperature 0.5; they were measured from 0.7 to 1"),
        ({"consistency_rounds": 2}, 8, "2 consistency rounds; 0, 5 were measured"),
        ({}, 3, "3 samples; at least 4 are needed"),
    ],
    ids=["model", "temperature", "rounds", "samples"],
)
def test_elsewhere_nothing_is_promised_and_the_reason_is_said(engine, settings, tmp_path, changes, count, why):
    bars = find_bars(engine, opened(tmp_path, True), replace(settings, **changes), count)
    assert bars.coverage is None
    assert bars.remark("luma") == "Not calibrated"
    assert why in bars.details("luma")
    assert why in bars.sentence()


def test_a_picture_brought_small_is_promised_nothing_without_its_reduction(engine, settings, tmp_path):
    brought, known = (find_bars(engine, opened(tmp_path, has_truth), settings, 8) for has_truth in (False, True))
    assert brought.remark("luma") == "Holds only if this picture was scaled down by bicubic interpolation"
    assert "not known" in brought.details("luma")
    assert "bicubic" not in known.remark("luma")
    assert "not known" not in known.details("luma")


def test_between_temperatures_the_real_reader_interpolates(engine):
    with pytest.raises(NotCalibratedError):
        CALIBRATION.bar(0.69, 4, 5)
    assert CALIBRATION.bar(0.85, 4, 5).lam == pytest.approx(2.0)
    assert CALIBRATION.bar(0.85, 4, 5).coverage_checked == 0.91


def test_the_map_and_the_panel_speak_grey_levels_and_say_how_it_turned_out(engine, sessions):
    harness = Harness(engine, sessions)
    harness.change("num_samples", 4)
    harness.fire(harness.controls.sample)
    run = harness.session.view.run
    inside = run.bars.check.inside["luma"]
    assert 0 < inside < 1
    overlay = harness.scene.overlay
    assert (overlay.bars, overlay.of_luma) == (0.9, True)
    assert f"Truth inside in {100 * inside:.0f} % (promised 90 %)" in overlay.remark
    assert "of the true pixels here (promised 90 %" in harness.values[harness.diversity.readout]
    assert sum(run.bars.check.ranks) == pytest.approx(1)
    harness.open_tab("Diversity")
    assert len(harness.values[harness.diversity.ranks].data[0].y) == 5
    facts = bar_facts(run)
    factor = facts["half_width"]["luma"]["factor_of_std"]
    assert factor == pytest.approx(2 * np.sqrt(1.25) * np.sqrt(4 / 3))
    assert facts["truth_inside"]["luma"] == inside

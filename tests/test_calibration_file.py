import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from srflow.calibration.file import (
    CALIBRATION_FILE,
    Calibration,
    CalibrationError,
    Check,
    MeasuredBar,
    MeasuredSetting,
    NotCalibratedError,
    load_calibration,
    save_calibration,
)

WEIGHTS = "a" * 64


def bar(value="luma", box=1, lam=1.5, floor=0.5):
    return MeasuredBar(
        value=value,
        box=box,
        sigma_floor=floor,
        lam=lam,
        error_ratio=1.2,
        coverage_before=0.8,
        coverage=0.905,
        coverage_tenth=0.85,
    )


def setting(temperature=0.8, num_samples=4, rounds=0, bars=None, lam=1.5):
    ranks = (1 / (num_samples + 1),) * (num_samples + 1)
    return MeasuredSetting(
        temperature=temperature,
        num_samples=num_samples,
        consistency_rounds=rounds,
        ranks_before=ranks,
        ranks_after=ranks,
        bars=bars or (bar(lam=lam),),
    )


def calibration(*settings):
    return Calibration(
        weights_sha256=WEIGHTS,
        model="toy",
        scale_factor=4,
        coverage=0.9,
        confidence=None,
        hr="Photos",
        num_pictures=30,
        pictures_sha256="b" * 64,
        crop=None,
        folds=5,
        seed=0,
        conv_dtype="float32",
        srflow_version="0.1.0",
        settings=settings or (setting(),),
    )


def test_what_is_saved_is_loaded(tmp_path):
    saved = calibration(setting(), setting(0.9, 6, 5, (bar("rgb", 8, 2.25, 0.25), bar(lam=3.0))))
    checked = replace(setting(), bars=(replace(bar(), coverage_checked=0.88),))
    check = Check(hr="Others", num_pictures=7, pictures_sha256="c" * 64)
    for one in (
        saved,
        replace(saved, crop=96, confidence=0.9),
        replace(saved, settings=(checked,), check=check),
    ):
        save_calibration(tmp_path / CALIBRATION_FILE, one)
        loaded = load_calibration(tmp_path, WEIGHTS)
        assert replace(loaded, settings=()) == replace(one, settings=())
        for mine, theirs in zip(loaded.settings, one.settings, strict=True):
            assert mine.bars == theirs.bars
            assert mine.ranks_before == pytest.approx(theirs.ranks_before, abs=1e-5)
    save_calibration(tmp_path / CALIBRATION_FILE, saved)
    assert '"lambda": 2.25' in (tmp_path / CALIBRATION_FILE).read_text()


def test_other_weights_and_no_file_are_refused(tmp_path):
    with pytest.raises(NotCalibratedError, match=r"no .*calibration\.json"):
        load_calibration(tmp_path, WEIGHTS)
    save_calibration(tmp_path / CALIBRATION_FILE, calibration())
    for other in ("c" * 64, None, WEIGHTS[:12]):
        with pytest.raises(CalibrationError, match="other weights"):
            load_calibration(tmp_path, other)
    (tmp_path / "folder" / CALIBRATION_FILE).mkdir(parents=True)
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_calibration(tmp_path / "folder", WEIGHTS)


def test_lambda_is_interpolated_between_temperatures_and_nowhere_else():
    table = calibration(setting(0.9, lam=1.0), setting(0.7, lam=2.0), setting(1.0, lam=0.8))
    for temperature, expected in ((0.7, 2.0), (0.75, 1.75), (0.9, 1.0), (0.95, 0.9), (1.0, 0.8), (0.7 - 1e-9, 2.0)):
        assert table.bar(temperature, 4, 0).lam == pytest.approx(expected)
    for temperature in (0.69, 1.01, math.nan):
        with pytest.raises(NotCalibratedError, match=r"from 0\.7 to 1"):
            table.bar(temperature, 4, 0)


def test_other_numbers_of_samples_take_the_next_smaller_one_measured():
    table = calibration(setting(num_samples=4, lam=2.0), setting(num_samples=8, lam=1.5))
    assert [table.bar(0.8, count, 0).lam for count in (4, 7, 8, 100)] == [2.0, 2.0, 1.5, 1.5]
    with pytest.raises(NotCalibratedError, match="at least 4"):
        table.bar(0.8, 3, 0)


def test_the_consistency_step_has_bars_of_its_own():
    table = calibration(setting(lam=2.0), setting(rounds=5, lam=1.5))
    assert (table.bar(0.8, 4, 0).lam, table.bar(0.8, 4, 5).lam) == (2.0, 1.5)
    with pytest.raises(NotCalibratedError, match="0, 5 were measured"):
        table.bar(0.8, 4, 8)


def test_boxes_between_those_measured_take_the_wider_bar():
    bars = (bar(lam=1.5), bar(box=8, lam=2.5, floor=0.25), bar(box=16, lam=2.0, floor=0.125), bar("rgb", lam=9.0))
    table = calibration(setting(bars=bars))
    found = {box: table.bar(0.8, 4, 0, box=box) for box in (1, 5, 8, 12, 16)}
    assert [one.lam for one in found.values()] == [1.5, 2.5, 2.5, 2.5, 2.0]
    assert [one.sigma_floor for one in found.values()] == [0.5, 0.5, 0.25, 0.25, 0.125]
    assert table.bar(0.8, 4, 0, "rgb").lam == 9.0
    for value, box in (("luma", 17), ("luma", 0), ("rgb", 8)):
        with pytest.raises(NotCalibratedError, match=f"{value} over {box} pixels"):
            table.bar(0.8, 4, 0, value, box)


def test_the_width_of_a_bar():
    one = calibration(setting(lam=2.0)).bar(0.8, 4, 0)
    np.testing.assert_allclose(one.half_width(np.array([0.1, 3.0]), 4), 2 * math.sqrt(1.25) * np.array([0.5, 3.0]))


def whole():
    return {
        "format_version": 1,
        "weights_sha256": WEIGHTS,
        "model": "toy",
        "scale_factor": 4,
        "coverage": 0.9,
        "confidence": None,
        "hr": "Photos",
        "num_pictures": 30,
        "pictures_sha256": "b" * 64,
        "crop": None,
        "folds": 5,
        "seed": 0,
        "conv_dtype": "float32",
        "srflow_version": "0.1.0",
        "check": {"hr": "Others", "num_pictures": 7, "pictures_sha256": "c" * 64},
        "settings": [
            {
                "temperature": 0.8,
                "num_samples": 2,
                "consistency_rounds": 0,
                "ranks_before": [0.5, 0.25, 0.25],
                "ranks_after": [0.5, 0.25, 0.25],
                "bars": [
                    {
                        "value": "luma",
                        "box": 1,
                        "sigma_floor": 0.5,
                        "lambda": 1.5,
                        "error_ratio": 1.2,
                        "coverage_before": 0.8,
                        "coverage": 0.9,
                        "coverage_tenth": 0.85,
                        "coverage_checked": 0.88,
                    }
                ],
            }
        ],
    }


def changed(path, value):
    values = whole()
    *parents, last = path
    place = values
    for key in parents:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return json.dumps(values)


ONE, BAR = ("settings", 0), ("settings", 0, "bars", 0)


def test_the_file_written_by_hand_is_read(tmp_path):
    (tmp_path / CALIBRATION_FILE).write_text(json.dumps(whole()))
    assert load_calibration(tmp_path, WEIGHTS).bar(0.8, 2, 0).lam == 1.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        (json.dumps(whole())[:-30], "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        ("[]", "an object was expected"),
        ("{}", "format_version is missing"),
        (" " * 4_000_001, "more than 4000000 bytes"),
        (changed(("format_version",), 2), "format version '2'"),
        (changed(("format_version",), True), "format version 'True'"),
        (changed(("seed",), KeyError), "seed is missing"),
        (changed(("surprise",), 1), "'surprise' is unknown"),
        (changed(("model",), "x" * 201), "at most 200"),
        (changed(("coverage",), 1.5), "coverage is '1.5'"),
        (changed(("coverage",), math.nan), "NaN is not a number"),
        (changed(("num_pictures",), True), "num_pictures is 'True'"),
        (changed(("num_pictures",), 3.0), "whole number"),
        (changed(("check", "num_pictures"), 0), "num_pictures is '0'"),
        (changed(("check", "surprise"), 0), "check cannot be used: 'surprise' is unknown"),
        (changed(("check",), 7), "check cannot be used: an object was expected"),
        (changed((*BAR, "coverage_checked"), 2), "coverage_checked is '2'"),
        (changed(("settings",), []), "list of 1 to 1000"),
        (changed(("settings",), {}), "list of 1 to 1000"),
        (changed(("settings",), whole()["settings"] * 2), "two of the settings"),
        (changed(("settings",), [3]), "an object was expected"),
        (changed((*ONE, "num_samples"), 1), "num_samples is '1'"),
        (changed((*ONE, "num_samples"), 10**9), "num_samples is '1000000000'"),
        (changed((*ONE, "temperature"), -1), "temperature is '-1'"),
        (changed((*ONE, "ranks_before"), [0.5, 0.5]), "3 shares"),
        (changed((*ONE, "ranks_after"), [0.5, 0.5, 0.5]), "add up to 1"),
        (changed((*ONE, "ranks_after"), [0.5, "a", 0.5]), "no share"),
        (changed((*ONE, "bars"), whole()["settings"][0]["bars"] * 2), "two of the bars"),
        (changed((*ONE, "bars"), whole()["settings"][0]["bars"] * 21), "list of 1 to 20"),
        (changed((*BAR, "lambda"), 0), "lambda is '0'"),
        (changed((*BAR, "lambda"), "1.5"), "lambda is '1.5'"),
        (changed((*BAR, "lambda"), 1e300), "lambda is '1e"),
        (changed((*BAR, "value"), "hue"), "luma, rgb"),
        (changed((*BAR, "value"), ["luma"]), "a text"),
        (changed((*BAR, "sigma_floor"), 0), "sigma_floor"),
        (json.dumps(whole()).replace("1.5", "1" * 5000), "not valid JSON|lambda is"),
        (json.dumps(whole()).replace("1.5", "1e999"), "lambda is 'inf'"),
    ],
)
def test_damaged_and_hostile_files_are_refused_by_name(tmp_path, text, message):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / CALIBRATION_FILE).write_bytes(data)
    with pytest.raises(CalibrationError, match=message) as caught:
        load_calibration(tmp_path, WEIGHTS)
    assert "calibration.json" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_reading_needs_no_torch():
    code = "import sys, srflow.calibration.file; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

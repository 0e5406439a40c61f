"""A calibration that was never measured: bars of single pixels and of boxes, without and with five rounds."""

from __future__ import annotations

from srflow.calibration.file import Check, MeasuredBar, MeasuredSetting
from srflow.contract import Calibration


def _setting(temperature: float, num_samples: int, rounds: int) -> MeasuredSetting:
    measured = {"error_ratio": 1.0, "coverage_before": 0.9, "coverage": 0.9, "coverage_tenth": 0.8}
    bars = tuple(
        MeasuredBar(value=value, box=box, sigma_floor=0.5 / box, lam=lam, coverage_checked=0.91, **measured)
        for value, lam in (("luma", 2.0), ("rgb", 3.0))
        for box in (1, 8)
    )
    flat = (1 / (num_samples + 1),) * (num_samples + 1)
    return MeasuredSetting(
        temperature=temperature,
        num_samples=num_samples,
        consistency_rounds=rounds,
        ranks_before=flat,
        ranks_after=flat,
        bars=bars,
    )


CALIBRATION = Calibration(
    weights_sha256="4" * 64,
    model="fake-x4",
    scale_factor=4,
    coverage=0.9,
    confidence=None,
    hr="val",
    num_pictures=20,
    pictures_sha256="0" * 64,
    crop=None,
    folds=5,
    seed=0,
    conv_dtype="float32",
    srflow_version="0",
    check=Check(hr="Others", num_pictures=50, pictures_sha256="1" * 64),
    settings=tuple(_setting(temperature, 4, rounds) for temperature in (0.7, 1.0) for rounds in (0, 5)),
)

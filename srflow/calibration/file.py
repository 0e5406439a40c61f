"""The file `calibration.json`: the results of a calibration, stored beside the weights and tied to them by their hash.

The file may come from anywhere, so all of its values are checked. Reading it needs neither torch nor an image library.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, cast, get_args

import numpy as np

from srflow.calibration.bars import LAMBDAS, MAX_BOX, prediction_sigma
from srflow.errors import CalibrationError, NotCalibratedError
from srflow.files import atomic_write

__all__ = [
    "CALIBRATION_FILE",
    "MAX_SAMPLES",
    "MAX_TEMPERATURE",
    "Bar",
    "Calibration",
    "CalibrationError",
    "Check",
    "MeasuredBar",
    "MeasuredSetting",
    "NotCalibratedError",
    "Value",
    "load_calibration",
    "save_calibration",
]

CALIBRATION_FILE = "calibration.json"
MAX_SAMPLES = 1000
MAX_TEMPERATURE = 2.0

Value = Literal["luma", "rgb"]
"""The quantity of a bar: brightness (ITU-R BT.601), or the three channels, which share one λ."""

_FORMAT_VERSION = 1
_MAX_BYTES = 4_000_000
_MAX_SETTINGS, _MAX_BARS, _MAX_TEXT = 1000, 20, 200
_TOLERANCE = 1e-6  # for temperatures that were written as decimals


@dataclass(frozen=True, kw_only=True)
class MeasuredBar:
    """The measurements for one quantity at one setting.

    value: see `Value`.
    box: side in pixels of the boxes whose means have these bars; 1: single pixels.
    sigma_floor: in grey levels.
    lam: λ, chosen with all pictures.
    error_ratio: root mean square error of the mean / root mean square of sqrt(1 + 1/K) σ; 1 if the spread is right.
    coverage_before: share of the truth inside bars with the λ of samples with the right spread.
    coverage: the same with the calibrated λ, chosen for each picture without it; the mean over pictures.
    coverage_tenth: a tenth of the pictures have a smaller coverage.
    coverage_checked: the mean coverage over the pictures of `Calibration.check`; None without such a check.
    """

    value: Value
    box: int
    sigma_floor: float
    lam: float
    error_ratio: float
    coverage_before: float
    coverage: float
    coverage_tenth: float
    coverage_checked: float | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """The pictures on which finished bars were checked: the folder's name, their number, and their hash."""

    hr: str
    num_pictures: int
    pictures_sha256: str


@dataclass(frozen=True, kw_only=True)
class MeasuredSetting:
    """The measurements at one temperature, number of samples and number of consistency rounds (0: without the step).

    ranks_before, ranks_after: the share of pixels whose brightness is above 0, 1, … num_samples of the samples, before
    and after moving these away from their mean by λ; flat if the samples are distributed like the truth.
    """

    temperature: float
    num_samples: int
    consistency_rounds: int
    ranks_before: tuple[float, ...]
    ranks_after: tuple[float, ...]
    bars: tuple[MeasuredBar, ...]


@dataclass(frozen=True)
class Bar:
    """The parameters of a bar.

    lam: λ.
    sigma_floor: in grey levels.
    coverage_checked: the smallest coverage of such bars on the pictures of `Calibration.check`; None without such a
        check.
    """

    lam: float
    sigma_floor: float
    coverage_checked: float | None = field(default=None, compare=False)

    def half_width(self, sigma: np.ndarray | float, num_samples: int) -> np.ndarray:
        """Return λ sqrt(1 + 1/K) max(σ, floor), in grey levels: the truth is promised to lie within the mean ± this.

        Args:
            sigma: the samples' standard deviation, with the divisor K - 1, any shape; for a box: that of the samples'
                box means.
            num_samples: K.
        """
        return self.lam * prediction_sigma(np.asarray(sigma), num_samples, self.sigma_floor)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The calibration of one file of weights.

    coverage: the share of the truth that is promised to lie inside the bars, on average over pictures.
    confidence: None for conformal risk control; otherwise that of the risk-controlling sets.
    hr, num_pictures, pictures_sha256, crop: the folder's name, the number of pictures and their hash; side in pixels of
        the central crops, None for whole pictures.
    folds: number of folds of the cross-fitting.
    check: other pictures, on which the coverage was measured afterwards; None if it was not.
    """

    weights_sha256: str
    model: str
    scale_factor: int
    coverage: float
    confidence: float | None
    hr: str
    num_pictures: int
    pictures_sha256: str
    crop: int | None
    folds: int
    seed: int
    conv_dtype: str
    srflow_version: str
    check: Check | None = None
    settings: tuple[MeasuredSetting, ...] = field(default=())

    def bar(
        self, temperature: float, num_samples: int, consistency_rounds: int, value: Value = "luma", box: int = 1
    ) -> Bar:
        """Return the bar for samples with the given settings. Nothing is extrapolated.

        temperature: between measured values, λ is interpolated; outside there is no bar.
        num_samples: the largest measured number that is not larger is used; λ decreases as the number grows, so that
            the bar is too wide rather than too narrow.
        consistency_rounds: only measured values.
        box: between measured sizes, the wider bar of the two is used; for a region, pass the square root of its area.

        Raises: NotCalibratedError: the setting was not measured; the message says what was.
        """
        same = [setting for setting in self.settings if setting.consistency_rounds == consistency_rounds]
        if not same:
            rounds = _listed({setting.consistency_rounds for setting in self.settings})
            raise NotCalibratedError(
                f"There are no bars for {consistency_rounds} consistency rounds; {rounds} were measured."
            )
        counts = {setting.num_samples for setting in same}
        count = max((one for one in counts if one <= num_samples), default=None)
        if count is None:
            raise NotCalibratedError(f"There are no bars for {num_samples} samples; at least {min(counts)} are needed.")
        points = sorted((setting.temperature, setting) for setting in same if setting.num_samples == count)
        temperatures = [point for point, _ in points]
        if not temperatures[0] - _TOLERANCE <= temperature <= temperatures[-1] + _TOLERANCE:
            raise NotCalibratedError(
                f"There are no bars for temperature {temperature:g}; they were measured from {temperatures[0]:g} to "
                f"{temperatures[-1]:g}."
            )
        bars = [_bar_of_box(setting.bars, value, box) for _, setting in points]
        lam = float(np.interp(temperature, temperatures, [bar.lam for bar in bars]))
        return Bar(lam, max(bar.sigma_floor for bar in bars), _least([bar.coverage_checked for bar in bars]))


def save_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write the file atomically. Raises OSError: it cannot be written."""
    with atomic_write(path, "w") as file:
        file.write(_to_json(calibration))


def load_calibration(folder: str | Path, weights_sha256: str | None) -> Calibration:
    """Read the calibration of a checkpoint's folder.

    Args: weights_sha256: of the weights in use, see `checkpoints.own.Metadata`.

    Raises:
        NotCalibratedError: there is none.
        CalibrationError: the file is damaged, of another format, or belongs to other weights.
    """
    path = Path(folder) / CALIBRATION_FILE
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotCalibratedError(f"There is no {path}; `python -m srflow calibrate` makes one.") from error
    except OSError as error:
        raise CalibrationError(f"{path} cannot be read ({error}).") from error
    calibration = _from_json(data, str(path))
    if calibration.weights_sha256 != weights_sha256:
        raise CalibrationError(
            f"{path} belongs to other weights ({calibration.weights_sha256[:12]}…) than those in use "
            f"({str(weights_sha256)[:12]}…); run `python -m srflow calibrate` again."
        )
    return calibration


def _bar_of_box(bars: Sequence[MeasuredBar], value: Value, box: int) -> Bar:
    """Return the bar of a box size, or the wider bar of the two nearest sizes, with the floor of the smaller one."""
    measured = sorted((bar.box, bar) for bar in bars if bar.value == value)
    sizes = [size for size, _ in measured]
    if not sizes or not sizes[0] <= box <= sizes[-1]:
        raise NotCalibratedError(
            f"There are no bars for {value} over {box} pixels a side; {_listed(sizes) or 'none'} were measured."
        )
    below = max(size for size in sizes if size <= box)
    above = min(size for size in sizes if size >= box)
    near = [bar for size, bar in measured if size in (below, above)]
    checked = _least([bar.coverage_checked for bar in near])
    return Bar(max(bar.lam for bar in near), max(bar.sigma_floor for bar in near), checked)


def _least(shares: Sequence[float | None]) -> float | None:
    """Return the smaller coverage; None if one of them is not known."""
    return None if None in shares else min(share for share in shares if share is not None)


def _to_json(calibration: Calibration) -> str:
    values = {"format_version": _FORMAT_VERSION, **asdict(calibration)}
    for setting in values["settings"]:
        for name in ("ranks_before", "ranks_after"):
            setting[name] = [round(share, 5) for share in setting[name]]
        setting["bars"] = [
            {("lambda" if name == "lam" else name): _rounded(number) for name, number in bar.items()}
            for bar in setting["bars"]
        ]
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


class _Fields:
    """The values of one JSON object; each is taken once and checked."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            _refuse(where, "an object was expected")
        self._values = dict(values)
        self._where = where

    def take(self, name: str) -> Any:
        if name not in self._values:
            _refuse(self._where, f"{name} is missing")
        return self._values.pop(name)

    def number(self, name: str, low: float, high: float) -> float:
        value = self.take(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            self._out_of_range(name, value, f"a number from {low} to {high}")
        return float(value)

    def integer(self, name: str, low: int, high: int) -> int:
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self._out_of_range(name, value, f"a whole number from {low} to {high}")
        return value

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            self._out_of_range(name, value, f"a text of at most {_MAX_TEXT} characters")
        return value

    def optional(self, name: str) -> bool:
        """Return whether a value exists; a null is removed."""
        if self._values.get(name, 0) is None:
            del self._values[name]
            return False
        return True

    def items(self, name: str, most: int) -> Iterator[tuple[Any, str]]:
        """Return the entries of a list, and their positions for error messages."""
        value = self.take(name)
        if not isinstance(value, list) or not 0 < len(value) <= most:
            _refuse(self._where, f"{name} must be a list of 1 to {most} entries")
        for index, item in enumerate(value):
            yield item, f"{self._where}, {name}[{index}]"

    def end(self) -> None:
        """Raise CalibrationError if values are left over."""
        if self._values:
            _refuse(self._where, f"{str(min(self._values))[:40]!r} is unknown")

    def _out_of_range(self, name: str, value: Any, what: str) -> NoReturn:
        _refuse(self._where, f"{name} is {str(value)[:40]!r}; it must be {what}")


def _from_json(data: bytes, source: str) -> Calibration:
    if len(data) > _MAX_BYTES:
        _refuse(source, f"it has more than {_MAX_BYTES} bytes")
    try:
        values = json.loads(
            data.decode("utf-8"), parse_constant=lambda text: _refuse(source, f"{text} is not a number")
        )
    except (ValueError, RecursionError) as error:  # also for bytes that are not UTF-8, and numbers of 5,000 digits
        raise CalibrationError(f"{source} is not valid JSON ({error}); run `python -m srflow calibrate`.") from error
    fields = _Fields(values, source)
    version = fields.take("format_version")
    if version != _FORMAT_VERSION or isinstance(version, bool):
        raise CalibrationError(
            f"{source} has format version {str(version)[:40]!r}; this release reads version {_FORMAT_VERSION}. Update "
            "the package, or run `python -m srflow calibrate` again."
        )
    calibration = Calibration(
        weights_sha256=fields.text("weights_sha256"),
        model=fields.text("model"),
        scale_factor=fields.integer("scale_factor", 1, 64),
        coverage=fields.number("coverage", 0.5, 0.999),
        confidence=fields.number("confidence", 0.5, 0.999) if fields.optional("confidence") else None,
        hr=fields.text("hr"),
        num_pictures=fields.integer("num_pictures", 1, 10**9),
        pictures_sha256=fields.text("pictures_sha256"),
        crop=fields.integer("crop", 1, 10**6) if fields.optional("crop") else None,
        folds=fields.integer("folds", 2, 10**9),
        seed=fields.integer("seed", 0, 2**64),
        conv_dtype=fields.text("conv_dtype"),
        srflow_version=fields.text("srflow_version"),
        check=_check(fields.take("check"), f"{source}, check") if fields.optional("check") else None,
        settings=tuple(_setting(item, where) for item, where in fields.items("settings", _MAX_SETTINGS)),
    )
    fields.end()
    _no_repeats(
        [(one.temperature, one.num_samples, one.consistency_rounds) for one in calibration.settings], source, "settings"
    )
    return calibration


def _check(values: Any, where: str) -> Check:
    fields = _Fields(values, where)
    check = Check(
        hr=fields.text("hr"),
        num_pictures=fields.integer("num_pictures", 1, 10**9),
        pictures_sha256=fields.text("pictures_sha256"),
    )
    fields.end()
    return check


def _setting(values: Any, where: str) -> MeasuredSetting:
    fields = _Fields(values, where)
    num_samples = fields.integer("num_samples", 2, MAX_SAMPLES)
    setting = MeasuredSetting(
        temperature=fields.number("temperature", 0, MAX_TEMPERATURE),
        num_samples=num_samples,
        consistency_rounds=fields.integer("consistency_rounds", 0, 1000),
        ranks_before=_ranks(fields, "ranks_before", num_samples),
        ranks_after=_ranks(fields, "ranks_after", num_samples),
        bars=tuple(_bar(item, place) for item, place in fields.items("bars", _MAX_BARS)),
    )
    fields.end()
    _no_repeats([(bar.value, bar.box) for bar in setting.bars], where, "bars")
    return setting


def _bar(values: Any, where: str) -> MeasuredBar:
    fields = _Fields(values, where)
    value = fields.text("value")
    if value not in get_args(Value):
        _refuse(where, f"value is {value[:40]!r}; it must be one of {', '.join(get_args(Value))}")
    bar = MeasuredBar(
        value=cast(Value, value),
        box=fields.integer("box", 1, MAX_BOX),
        sigma_floor=fields.number("sigma_floor", 1e-6, 255),
        lam=fields.number("lambda", float(LAMBDAS[0]), float(LAMBDAS[-1]) * 1.001),
        error_ratio=fields.number("error_ratio", 0, 1e6),
        coverage_before=fields.number("coverage_before", 0, 1),
        coverage=fields.number("coverage", 0, 1),
        coverage_tenth=fields.number("coverage_tenth", 0, 1),
        coverage_checked=fields.number("coverage_checked", 0, 1) if fields.optional("coverage_checked") else None,
    )
    fields.end()
    return bar


def _ranks(fields: _Fields, name: str, num_samples: int) -> tuple[float, ...]:
    shares = []
    for share, where in fields.items(name, num_samples + 1):
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            _refuse(where, f"{str(share)[:40]!r} is not a share from 0 to 1")
        shares.append(float(share))
    if len(shares) != num_samples + 1 or not math.isclose(sum(shares), 1, abs_tol=0.01):
        _refuse(where, f"{name} must be {num_samples + 1} shares that add up to 1")
    return tuple(shares)


def _no_repeats(keys: Sequence[tuple], where: str, what: str) -> None:
    if len(set(keys)) < len(keys):
        _refuse(where, f"two of the {what} are of the same kind")


def _refuse(where: str, why: str) -> NoReturn:
    raise CalibrationError(f"{where} cannot be used: {why}. Run `python -m srflow calibrate` to create it again.")


def _listed(numbers: set[int] | Sequence[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))

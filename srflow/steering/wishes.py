"""Wishes for a region: measures of a picture to increase or decrease, in standard deviations.

A wish is carried out without an optimiser. Rolls of the region, drawn from independent noises e₁ … e_N, differ in the
measure. With the deviation u_i of roll i from their mean, the mixture d = Σ u_i e_i / ‖u‖ is noise as likely as the
rolls' own, but turned towards more of the measure. It gives the `weights` of a `srflow.operations.Slide`, which draws
it anywhere to the last bit. The measure is compared with the rolls' mean and standard deviation (`Aim`), so that the
visitor sees how far a wish goes beyond what the model considers possible.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from srflow.errors import InputError, brief
from srflow.luma import LUMA
from srflow.operations.slide import MAX_WEIGHT
from srflow.steering.strokes import MAX_STROKES, Stroke, open_share

__all__ = [
    "MAX_REFERENCE",
    "MIN_ROLLS",
    "Aim",
    "Brightness",
    "Colour",
    "Like",
    "Roughness",
    "Scribble",
    "Stripes",
    "TwoTone",
    "Wish",
    "angle_for",
    "find_aim",
    "remark",
    "wish_from_values",
]

MIN_ROLLS = 16
"""With fewer rolls, neither mean nor standard deviation is reliable."""

_MIN_PERIOD, _MAX_PERIOD = 2.0, 64.0
_PATCH = 6  # pixels a side, as in Bahat and Michaeli's explorable super-resolution (2020)
_MAX_PATCHES = 400
MAX_REFERENCE = 256
"""Maximum side of a patch to imitate, in pixels."""

_LITTLE = 0.5  # of strokes; if the input leaves less than that undetermined, they are too broad
_OPEN = 1.5  # 8-bit units; below, a wish has no visible effect


@dataclass(frozen=True)
class Wish(ABC):
    """A measure to increase or decrease. A new kind is a subclass, and one entry in `_KINDS`."""

    name: ClassVar[str]
    words: ClassVar[tuple[str, str]]
    """The words for less of it and for more of it."""

    @abstractmethod
    def measure(self, picture: np.ndarray, weight: np.ndarray) -> float:
        """Return the value of the measure.

        Args: picture: uint8, (h, w, 3).  weight: (h, w), 0 to 1: the region; at least one value is above 0.
        """

    def to_values(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {"type": self.name} | {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True)
class Roughness(Wish):
    """The root mean square of the gradient of luma, in 8-bit units per pixel."""

    name: ClassVar[str] = "roughness"
    words: ClassVar[tuple[str, str]] = ("smoother", "rougher")

    def measure(self, picture: np.ndarray, weight: np.ndarray) -> float:
        """See `Wish`."""
        down, across = np.gradient(picture @ LUMA)
        return math.sqrt(_mean(np.square(down) + np.square(across), weight))


@dataclass(frozen=True)
class Brightness(Wish):
    """The mean of luma, 0 to 255."""

    name: ClassVar[str] = "brightness"
    words: ClassVar[tuple[str, str]] = ("darker", "brighter")

    def measure(self, picture: np.ndarray, weight: np.ndarray) -> float:
        """See `Wish`."""
        return _mean(picture @ LUMA, weight)


@dataclass(frozen=True)
class TwoTone(Wish):
    """How closely luma is limited to two levels, as in lettering and clean edges, at any contrast: at most 0.

    With the means a and b of two clusters of the values, -mean |x - a| |x - b| / (b - a)².
    """

    name: ClassVar[str] = "two-tone"
    words: ClassVar[tuple[str, str]] = ("softer", "sharper")

    def measure(self, picture: np.ndarray, weight: np.ndarray) -> float:
        """See `Wish`."""
        luma = picture @ LUMA
        chosen = luma[weight > 0]
        low, high = np.quantile(chosen, [0.1, 0.9])
        for _ in range(8):  # two-means, which converges long before
            is_high = chosen > (low + high) / 2
            if not is_high.any() or is_high.all():
                return 0.0  # one level is as clean as two
            low, high = chosen[~is_high].mean(), chosen[is_high].mean()
        if high - low < 1:
            return 0.0
        return -_mean(np.abs(luma - low) * np.abs(luma - high), weight) / (high - low) ** 2


@dataclass(frozen=True)
class Stripes(Wish):
    """The covariance of luma with itself at one period, minus that at half a period; positive for stripes in that
    direction.

    Args:
        period: in pixels of the HR picture, 2 to 64.
        direction: in which the stripes follow each other, in degrees: 0 to the right, 90 downwards; 0 to 180.
    """

    name: ClassVar[str] = "stripes"
    words: ClassVar[tuple[str, str]] = ("less striped", "striped")
    period: float
    direction: float

    def __post_init__(self) -> None:
        _check_number(self, "period", _MIN_PERIOD, _MAX_PERIOD)
        _check_number(self, "direction", 0.0, 180.0)

    def measure(self, picture: np.ndarray, weight: np.ndarray) -> float:
        """See `Wish`."""
        angle = math.radians(self.direction)
        reach = weight.shape[1] * abs(math.cos(angle)) + weight.shape[0] * abs(math.sin(angle))
        if reach <= self.period + 1:
            raise InputError(
                f"The region is {reach:.0f} pixels wide in that direction, too narrow for stripes every "
                f"{self.period:g}. Select a larger region or a shorter period."
            )
        luma = picture @ LUMA
        luma = luma - _mean(luma, weight)
        return self._covariance(luma, weight, self.period) - self._covariance(luma, weight, self.period / 2)

    def _covariance(self, luma: np.ndarray, weight: np.ndarray, distance: float) -> float:
        angle = math.radians(self.direction)
        right, down = distance * math.cos(angle), distance * math.sin(angle)
        return _mean(luma * _shifted(luma, down, right), weight * _shifted(weight, down, right))


@dataclass(frozen=True)
class Colour(Wish):
    """How close the pixels are to a colour: the root mean square distance in 8-bit units, negated.

    Args: red, green, blue: 0 to 255.
    """

    name: ClassVar[str] = "colour"
    words: ClassVar[tuple[str, str]] = ("less of the colour", "more of the colour")
    red: float
    green: float
    blue: float

    def __post_init__(self) -> None:
        for name in ("red", "green", "blue"):
            _check_number(self, name, 0.0, 255.0)

    def measure(self, picture: np.ndarray, weight: np.ndarray) -> float:
        """See `Wish`."""
        distances = np.square(picture - np.array([self.red, self.green, self.blue])).sum(-1)
        return -math.sqrt(_mean(distances, weight))


@dataclass(frozen=True)
class Scribble(Wish):
    """How well a picture agrees with strokes drawn into the region: the mean of `Stroke.agreement` over their pixels.

    Args: strokes: 1 to 32.
    """

    name: ClassVar[str] = "scribble"
    words: ClassVar[tuple[str, str]] = ("the opposite of the strokes", "as drawn")
    strokes: tuple[Stroke, ...]

    def __post_init__(self) -> None:
        strokes = self.strokes
        if not isinstance(strokes, tuple) or not all(isinstance(stroke, Stroke) for stroke in strokes):
            raise InputError(f"A scribble is a tuple of strokes; got {brief(strokes)}.")
        if not 1 <= len(strokes) <= MAX_STROKES:
            raise InputError(f"A scribble has 1 to {MAX_STROKES} strokes; got {len(strokes)}.")

    def measure(self, picture: np.ndarray, weight: np.ndarray) -> float:
        """See `Wish`. Only strokes inside the region count. Raises: InputError: none of them is inside."""
        total = area = 0.0
        for stroke in self.strokes:
            coverage = stroke.coverage(*weight.shape) * weight
            own = float(coverage.sum())
            if own > 0:
                total, area = total + own * stroke.agreement(picture, coverage), area + own
        if not area:
            raise InputError("No stroke is inside the selected region. Draw inside it.")
        return total / area

    def to_values(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {"type": self.name, "strokes": [stroke.to_values() for stroke in self.strokes]}


@dataclass(frozen=True, eq=False)
class Like(Wish):
    """How well patches of 6x6 pixels, without their means, match a reference: the mean log-likelihood of a patch under
    a mixture of Gaussians around the reference's patches.

    Args: reference: uint8, (h, w, 3), sides of 6 to 256: e.g. another region of the picture, or of another sample.
    """

    name: ClassVar[str] = "like"
    words: ClassVar[tuple[str, str]] = ("less like the patch", "more like the patch")
    reference: np.ndarray

    def __post_init__(self) -> None:
        shape: tuple[int, ...] = getattr(self.reference, "shape", ())
        if (
            not isinstance(self.reference, np.ndarray)
            or self.reference.dtype != np.uint8
            or len(shape) != 3
            or shape[2] != 3
            or not all(_PATCH <= side <= MAX_REFERENCE for side in shape[:2])
        ):
            raise InputError(
                f"The patch to imitate has shape {shape}; it must be a colour picture of 8 bits with sides of "
                f"{_PATCH} to {MAX_REFERENCE} pixels."
            )

    def measure(self, picture: np.ndarray, weight: np.ndarray) -> float:
        """See `Wish`."""
        height, width = weight.shape
        if min(height, width) < _PATCH:
            raise InputError(f"A region of {width}x{height} pixels contains no patch of {_PATCH}x{_PATCH}.")
        own, theirs = _patches(picture @ LUMA), _patches(self.reference @ LUMA)
        shares = _patches(weight, centre=False).mean(1)
        # The variance follows the reference: a patch as far away as its patches are from each other counts little.
        scale = 2 * max(1.0, float(np.square(theirs).sum(1).mean()) / 4)
        squared = np.square(own).sum(1)[:, None] + np.square(theirs).sum(1) - 2 * own @ theirs.T
        exponents = -np.maximum(squared, 0) / scale
        top = exponents.max(1)
        logs = top + np.log(np.exp(exponents - top[:, None]).mean(1))
        return float((logs * shares).sum() / max(shares.sum(), 1e-12))

    def to_values(self) -> dict[str, Any]:
        """Return values for JSON, with the reference as nested lists."""
        return {"type": self.name, "reference": self.reference.tolist()}


_NO_REFERENCE = "The reference of a wish must be rows of pixels, each of three whole numbers from 0 to 255."
_KINDS: dict[str, type[Wish]] = {
    kind.name: kind for kind in (Roughness, Brightness, TwoTone, Stripes, Colour, Scribble, Like)
}


def wish_from_values(values: object) -> Wish:
    """Create a wish from the values of `Wish.to_values`. Raises: InputError: they are invalid or out of range."""
    name = values.get("type") if isinstance(values, Mapping) else None
    if not isinstance(values, Mapping) or not isinstance(name, str) or name not in _KINDS:
        raise InputError(f'A wish must be a JSON object whose "type" is one of {", ".join(_KINDS)}; got {brief(name)}.')
    given = {key: value for key, value in values.items() if key != "type"}
    known = [each.name for each in fields(_KINDS[name])]
    if set(given) != set(known):
        raise InputError(f"A wish for {name} takes {', '.join(known) or 'nothing else'}; got {brief(sorted(given))}.")
    if name == Scribble.name:
        strokes = given["strokes"]
        if not isinstance(strokes, list) or len(strokes) > MAX_STROKES:
            raise InputError(f"The strokes of a scribble are a list of 1 to {MAX_STROKES}; got {brief(strokes)}.")
        return Scribble(tuple(map(Stroke.from_values, strokes)))
    if name == Like.name:
        try:
            rows = np.array(given["reference"])
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(_NO_REFERENCE) from error
        if rows.dtype.kind not in "iu" or rows.size == 0 or rows.min() < 0 or rows.max() > 255:
            raise InputError(_NO_REFERENCE)
        given["reference"] = rows.astype(np.uint8)
    return _KINDS[name](**given)


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What the rolls of a region say about a wish.

    weights: of the rolls, for a `Slide`.
    mean, deviation: of the measure over the rolls.
    present: the measure of the picture itself.
    log_probs: of the rolls, sorted (see `Variant.log_prob`).
    """

    weights: tuple[int, ...]
    mean: float
    deviation: float
    present: float
    log_probs: tuple[float, ...]

    def deviations(self, value: float) -> float:
        """Return a value of the measure relative to the rolls' mean, in their standard deviations."""
        return (value - self.mean) / self.deviation

    def plausibility(self, log_prob: float) -> float:
        """Return the share of the rolls that are at least as unusual as a picture of that log-likelihood; 0 to 1.

        The farther from the rolls' median, on either side, the more unusual: a flat picture is more likely than any
        real one.
        """
        own = np.array(self.log_probs)
        middle = float(np.median(own))
        return float((np.abs(own - middle) >= abs(log_prob - middle)).mean())


def find_aim(wish: Wish, values: Sequence[float], present: float, log_probs: Sequence[float]) -> Aim:
    """Find the direction of a wish from a region's rolls.

    Args: values: the measure of every roll.  present: of the picture itself.  log_probs: of every roll.
    Raises: InputError: there are too few rolls, or the measure is the same in all of them.
    """
    measured = np.array(values, float)
    if len(measured) < MIN_ROLLS or not np.isfinite(measured).all():
        raise InputError(f"A wish needs at least {MIN_ROLLS} rolls of the region, with finite measures.")
    deviation = float(measured.std(ddof=1))
    if deviation <= 1e-9 * max(1.0, float(np.abs(measured).max())):
        less, more = wish.words
        raise InputError(
            f"All versions of this region are equal in this respect: neither {less} nor {more} is possible here."
        )
    centred = measured - measured.mean()
    weights = tuple(int(weight) for weight in np.rint(centred / np.abs(centred).max() * MAX_WEIGHT))
    return Aim(
        weights=weights,
        mean=float(measured.mean()),
        deviation=deviation,
        present=present,
        log_probs=tuple(sorted(map(float, log_probs))),
    )


def remark(wish: Wish, aim: Aim, size: tuple[int, int], scale: int) -> str | None:
    """Return a remark on a wish about levels if the input leaves little freedom: it fixes the mean of all but tiny
    regions.

    Args:
        size: (height, width) of the region, in LR pixels.
        scale: scale factor of the picture.
    """
    if isinstance(wish, Scribble):
        share = open_share(wish.strokes, size[0] * scale, size[1] * scale, scale)
        if share < _LITTLE:
            return (
                f"The input determines {100 * (1 - share):.0f} % of these strokes: more would contradict it. Draw "
                "thinner ones, or lines side by side that are brighter and darker."
            )
        return None if aim.deviation >= _OPEN else _narrow("The model leaves little freedom along these strokes", aim)
    if not isinstance(wish, Brightness | Colour) or aim.deviation >= _OPEN:
        return None
    return f"{_narrow('The input nearly fixes this', aim)} More would contradict the input."


def _narrow(reason: str, aim: Aim) -> str:
    return f"{reason}: versions that match it differ by only ±{aim.deviation:.1f} grey levels."


def angle_for(target: float, angles: Sequence[float], values: Sequence[float]) -> tuple[float, bool]:
    """Return the angle of a `Slide` at which the measure reaches a target, given its values at several angles.

    Between the angles it is interpolated. If the target is reached at several angles, the one nearest to 0 is returned,
    because it changes least; if it is never reached, the angle where the measure is nearest.

    Args: angles: ascending, in radians.  values: of the measure, at each of them.
    Returns: the angle, and whether the target is reached.
    """
    found = []
    for (a, before), (b, after) in zip(
        zip(angles, values, strict=True), list(zip(angles, values, strict=True))[1:], strict=False
    ):
        if min(before, after) <= target <= max(before, after):
            found.append(a if before == after else a + (b - a) * (target - before) / (after - before))
    if found:
        return min(found, key=abs), True
    nearest = min(range(len(angles)), key=lambda number: abs(values[number] - target))
    return angles[nearest], False


def _check_number(wish: Wish, field: str, low: float, high: float) -> None:
    value = getattr(wish, field)
    if type(value) not in (int, float) or not low <= value <= high:  # false for NaN, too
        raise InputError(f"The {field} of a wish for {wish.name} is {brief(value)}; it must be {low:g} to {high:g}.")
    object.__setattr__(wish, field, float(value))


def _mean(values: np.ndarray, weight: np.ndarray) -> float:
    return float((values * weight).sum() / max(float(weight.sum()), 1e-12))


def _shifted(values: np.ndarray, down: float, right: float) -> np.ndarray:
    """Return the values at an offset below and to the right of every pixel, interpolated bilinearly; 0 outside."""
    result = np.zeros_like(values, float)
    rows, columns = math.floor(down), math.floor(right)
    for row, row_share in ((rows, 1 - (down - rows)), (rows + 1, down - rows)):
        for column, column_share in ((columns, 1 - (right - columns)), (columns + 1, right - columns)):
            if row_share * column_share:
                result += row_share * column_share * _moved(values, row, column)
    return result


def _moved(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    height, width = values.shape
    result = np.zeros_like(values, float)
    if abs(rows) < height and abs(columns) < width:
        to_rows = slice(max(0, -rows), height - max(0, rows))
        to_columns = slice(max(0, -columns), width - max(0, columns))
        from_rows = slice(max(0, rows), height + min(0, rows))
        from_columns = slice(max(0, columns), width + min(0, columns))
        result[to_rows, to_columns] = values[from_rows, from_columns]
    return result


def _patches(values: np.ndarray, *, centre: bool = True) -> np.ndarray:
    """Return evenly spread patches, (N, 36), at most `_MAX_PATCHES`, each minus its mean."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (_PATCH, _PATCH))
    step = max(1, math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / _MAX_PATCHES)))
    patches = windows[::step, ::step].reshape(-1, _PATCH * _PATCH).astype(float)
    return patches - patches.mean(1, keepdims=True) if centre else patches

"""Names for the two ends of a slider, in words, as far as the differences have a name.

Each measure expresses its change in units of the smallest visible change; the strongest one gives the name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from srflow.luma import LUMA

__all__ = ["UNNAMED", "name_ends"]

UNNAMED = ("one way", "the other way")
"""The names if no named property changes enough."""

_CELL = 8  # pixels: side of the cells in which a line is searched
_SEEN = 4.0  # grey levels: minimum difference between parts of the region
_SEEN_LINE = 12.0  # grey levels per pixel: the same for a line's steepness
_SEEN_RATIO = 1.25  # of roughness
_NEW_EDGE = 2.0  # minimum ratio of steepness between the ends: below it, the weaker end has an edge too
_ROWS, _COLUMNS = ("upper", "", "lower"), ("left", "", "right")
_ALONE = {"upper": "top", "lower": "bottom"}


class _Change(NamedTuple):
    strength: float  # in units of the smallest visible change
    ends: tuple[str, str]


class _End(NamedTuple):
    """The measurements of one end.

    luma: (h, w).
    roughness: the median steepness of all cells, so that a single line does not count as rough.
    lines: (rows, columns), the steepness of each cell in one direction.
    """

    luma: np.ndarray
    roughness: float
    lines: np.ndarray


def name_ends(low: np.ndarray, high: np.ndarray, weight: np.ndarray) -> tuple[str, str]:
    """Name the two ends, e.g. ("darker", "lighter"), ("edge left", "no edge") or `UNNAMED`.

    Args:
        low: uint8, (h, w, 3), the region at one end.
        high: the same at the other.
        weight: (h, w), 0 to 1: the region.
    """
    ends = _measure(low, weight), _measure(high, weight)
    measures: tuple[Callable[[_End, _End, np.ndarray], _Change], ...] = (_lightness, _sides, _levels, _roughness, _line)
    strongest = max((measure(*ends, weight) for measure in measures), key=lambda change: change.strength)
    return strongest.ends if strongest.strength >= 1 else UNNAMED


def _measure(picture: np.ndarray, weight: np.ndarray) -> _End:
    luma = picture @ LUMA
    down, across = np.gradient(luma)
    height, width = weight.shape
    rows, columns = max(1, height // _CELL), max(1, width // _CELL)
    cell = height // rows, width // columns

    def mean(values: np.ndarray) -> np.ndarray:
        whole = (values * weight)[: rows * cell[0], : columns * cell[1]]
        return whole.reshape(rows, cell[0], columns, cell[1]).mean((1, 3))

    # For the structure tensor of each cell, √(λ₁ - λ₂) is the steepness in one direction, as that of a line.
    xx, yy, xy = mean(across**2), mean(down**2), mean(across * down)
    share = mean(np.ones_like(weight))
    inside = share > 0
    roughness = float(np.sqrt(np.median((xx + yy)[inside] / share[inside]))) if inside.any() else 0.0
    return _End(luma, roughness, ((xx - yy) ** 2 + 4 * xy**2) ** 0.25)


def _lightness(low: _End, high: _End, weight: np.ndarray) -> _Change:
    change = _mean(high.luma - low.luma, weight)
    return _Change(abs(change) / _SEEN, _in_order(change, "darker", "lighter"))


def _sides(low: _End, high: _End, weight: np.ndarray) -> _Change:
    half = weight.shape[1] // 2
    change = high.luma - low.luma
    tilt = _mean(change[:, -half:], weight[:, -half:]) - _mean(change[:, :half], weight[:, :half])
    return _Change(abs(tilt) / _SEEN, _in_order(tilt, "lighter left", "lighter right"))


def _levels(low: _End, high: _End, weight: np.ndarray) -> _Change:
    half = weight.shape[0] // 2
    change = high.luma - low.luma
    tilt = _mean(change[-half:], weight[-half:]) - _mean(change[:half], weight[:half])
    return _Change(abs(tilt) / _SEEN, _in_order(tilt, "lighter above", "lighter below"))


def _roughness(low: _End, high: _End, _weight: np.ndarray) -> _Change:
    # Add one grey level to avoid an infinite ratio.
    ratio = np.log((high.roughness + 1) / (low.roughness + 1))
    return _Change(abs(ratio) / np.log(_SEEN_RATIO), _in_order(ratio, "smoother", "rougher"))


def _line(low: _End, high: _End, _weight: np.ndarray) -> _Change:
    """Name an edge that exists only at one end, or lies elsewhere at the other, or is sharper there."""
    gain = high.lines - low.lines
    lost, won = (np.unravel_index(found, gain.shape) for found in (gain.argmin(), gain.argmax()))
    at_low, at_high = _edge_words(low.lines, high.lines, lost), _edge_words(high.lines, low.lines, won)
    is_elsewhere = _where(lost, gain.shape) != _where(won, gain.shape)
    strengths = -float(gain[lost]) / _SEEN_LINE, float(gain[won]) / _SEEN_LINE
    strength = max(strengths)
    if min(strengths) >= 1 and is_elsewhere:
        return _Change(strength, (at_low, at_high))
    more = strengths[1] >= strengths[0]
    less = "no edge" if (at_high if more else at_low).startswith("edge") else "softer"
    return _Change(strength, (less, at_high) if more else (at_low, less))


def _edge_words(there: np.ndarray, elsewhere: np.ndarray, place: tuple[np.intp, ...]) -> str:
    """Name the end that has more of an edge at a position; the other one may have some of it."""
    kind = "edge" if there[place] >= _NEW_EDGE * elsewhere[place] else "sharper"
    return f"{kind} {_where(place, there.shape)}"


def _where(place: tuple[np.intp, ...], shape: tuple[int, ...]) -> str:
    row, column = (
        names[min(int(3 * (at + 0.5) / count), 2)]
        for names, at, count in zip((_ROWS, _COLUMNS), place, shape, strict=True)
    )
    return f"{row} {column}" if row and column else column or _ALONE.get(row, "centre")


def _in_order(change: float, less: str, more: str) -> tuple[str, str]:
    return (less, more) if change >= 0 else (more, less)


def _mean(values: np.ndarray, weight: np.ndarray) -> float:
    return float((values * weight).sum() / max(float(weight.sum()), 1e-9))

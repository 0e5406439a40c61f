"""Operations in plain words: what a list does, and how two lists differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from srflow.operations.base import RIGHT_ANGLE, Operation
from srflow.operations.draw import Draw
from srflow.operations.given import Given
from srflow.operations.heat import Heat
from srflow.operations.masks import Mask
from srflow.operations.mix import Mix
from srflow.operations.reroll import Reroll
from srflow.operations.slide import Slide

__all__ = ["brief_words", "describe_difference", "describe_list", "place_words"]

_ROWS = ("upper", "", "lower")
_COLUMNS = ("left", "", "right")
_ALONE = {"upper": "top", "lower": "bottom"}
_NEARLY = 0.9
"""Minimum share of the picture, or of one half, at which a region is named after it."""
_CALM = 0.3
"""Up to this fraction of the previous temperature, a region is called calm rather than calmer."""


@lru_cache(maxsize=64)  # the history asks for the same regions again and again, and large masks take time
def place_words(mask: Mask | None) -> str:
    """Describe where a region is, e.g. "whole picture", "left half", "parts of the picture", "region at the upper
    right".
    """
    if mask is None:
        return "whole picture"
    left, top, right, bottom = mask.support
    width, height = (right - left) / mask.width, (bottom - top) / mask.height
    x, y = (left + right) / 2 / mask.width, (top + bottom) / 2 / mask.height
    if mask.array((left, top, right, bottom)).mean() / 255 >= _NEARLY:
        if min(width, height) >= _NEARLY:
            return "whole picture"
        if height >= _NEARLY and abs(width - 0.5) <= 0.1 and abs(x - 0.5) >= 0.2:
            return f"{'left' if x < 0.5 else 'right'} half"
        if width >= _NEARLY and abs(height - 0.5) <= 0.1 and abs(y - 0.5) >= 0.2:
            return f"{'upper' if y < 0.5 else 'lower'} half"
    if min(width, height) >= _NEARLY:
        return "parts of the picture"
    row, column = (names[min(int(3 * at), 2)] for names, at in ((_ROWS, y), (_COLUMNS, x)))
    where = f"{row} {column}" if row and column else column or _ALONE.get(row, "centre")
    return f"region at the {where}"


def brief_words(operations: Sequence[Operation]) -> str:
    """Describe the last operation of a list that begins with a draw, in two or three words."""
    last, temperature = operations[-1], _temperature(operations[:-1])
    if isinstance(last, Draw):
        return f"Sample {last.index + 1}"
    if isinstance(last, Reroll):
        return f"Variant {last.roll + 1}"
    if isinstance(last, Mix):
        return f"{_percent(last.angle)} away"
    if isinstance(last, Slide):
        return f"Slide {_percent(last.angle)}"
    if isinstance(last, Heat):
        return _warmth(last, temperature).capitalize()
    if isinstance(last, Given):
        return last.origin.capitalize()
    return last.name.capitalize()


def describe_list(operations: Sequence[Operation]) -> str:
    """Describe all operations of a list, e.g. "sample 2 of seed 5; then left half re-rolled, 1st variant"."""
    draw, *others = _steps(operations)
    return draw if not others else f"{draw}; then {'; '.join(others)}"


def describe_difference(before: Sequence[Operation], after: Sequence[Operation]) -> str:
    """Describe the changes from one list to another; both begin with a draw."""
    common = 0
    while common < min(len(before), len(after)) and before[common] == after[common]:
        common += 1
    if common == 0:
        return f"another sample: {describe_list(after)}"
    undone, done = _steps(before)[common:], _steps(after)[common:]
    if not undone and not done:
        return "the same"
    parts = ["kept" if not undone else f"without {'; without '.join(undone)}"]
    parts += [f"then {'; '.join(done)}"] if done else []
    return "; ".join(parts)


def _steps(operations: Sequence[Operation]) -> list[str]:
    return [_describe(operation, _temperature(operations[:number])) for number, operation in enumerate(operations)]


def _describe(operation: Operation, temperature: float) -> str:
    """Describe one operation; the temperature is the one before it."""
    place = place_words(operation.place)
    if isinstance(operation, Draw):
        return f"sample {operation.index + 1} of seed {operation.seed}"
    if isinstance(operation, Reroll):
        return f"{place} re-rolled, {_ordinal(operation.roll + 1)} variant"
    if isinstance(operation, Mix):
        other = "another sample" if operation.inner is None else "another picture"
        coarse = "" if operation.coarse_angle is None else f" (coarse structure {_percent(operation.coarse_angle)})"
        return f"{place} {_percent(operation.angle)}{coarse} towards {other}"
    if isinstance(operation, Slide):
        return f"{place} moved by a slider, {_percent(operation.angle)}"
    if isinstance(operation, Heat):
        return f"{place} {_warmth(operation, temperature)}, temperature {operation.temperature:.2g}"
    if isinstance(operation, Given):
        done = "given other grain" if operation.origin.endswith("grain") else "edited by hand"
        natural = " and made natural" if operation.origin.startswith("natural") else ""
        return f"{place} {done}{natural}"
    return f"{place}: {operation.name}"


def _temperature(operations: Sequence[Operation]) -> float:
    """Return the temperature in most of the picture: calmer or wilder regions do not count."""
    temperature = 0.0
    for operation in operations:
        if isinstance(operation, (Draw, Heat)) and operation.place is None:
            temperature = operation.temperature
    return temperature


def _warmth(operation: Heat, temperature: float) -> str:
    if operation.temperature > temperature:
        return "wilder"
    return "calm" if operation.temperature <= _CALM * temperature else "calmer"


def _percent(angle: float) -> str:
    return f"{round(100 * angle / RIGHT_ANGLE)} %"


def _ordinal(number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number // 10 % 10 != 1 else "th"
    return f"{number}{suffix}"

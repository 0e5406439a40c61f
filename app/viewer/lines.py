"""Checks of what the browser sends when a visitor draws a line."""

from __future__ import annotations

from typing import Any

from srflow.contract import InputError
from srflow.errors import brief
from srflow.evaluation.reports import Line

__all__ = ["Line", "parse_line"]


def parse_line(value: Any, width: int, height: int) -> Line | None:
    """Check and read the line of a "line" event.

    Args:
        value: what the browser sent, meant to be {"line": [x, y, x, y] or None, …}.
        width: of the frame, in SR pixels.
        height: of the frame, in SR pixels.

    Returns:
        The line, or None if it was removed.

    Raises:
        InputError: it is anything else.
    """
    if not isinstance(value, dict) or "line" not in value:
        raise InputError(f"A line must be an object with a line; got {type(value).__name__}.")
    numbers = value["line"]
    if numbers is None:
        return None
    if not isinstance(numbers, list) or len(numbers) != 4 or any(type(number) is not int for number in numbers):
        raise InputError(f"A line must be four whole numbers, x and y of its two ends; got {brief(numbers)}.")
    for number, size in zip(numbers, (width, height) * 2, strict=True):
        if not 0 <= number < size:
            raise InputError(f"The line leaves the picture of {width}×{height} pixels; got {brief(numbers)}.")
    return numbers[0], numbers[1], numbers[2], numbers[3]

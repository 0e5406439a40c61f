"""Checks of what the browser sends when a visitor paints temperatures, and regions found for painting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from app.viewer.masks import parse_mask
from srflow.contract import InputError
from srflow.errors import brief
from srflow.operations import Heat, Mask

__all__ = ["MAX_STRENGTHS", "Found", "FoundName", "parse_heat"]

MAX_STRENGTHS = 32
"""Temperatures in one painting; the browser offers 25."""

FoundName = Literal["flat", "uncertain"]


@dataclass(frozen=True)
class Found:
    """A region that the visitor requested by name, for the browser to paint. name: "flat" or "uncertain"."""

    name: FoundName
    mask: Mask


def parse_heat(value: Any, width: int, height: int) -> tuple[Heat, ...]:
    """Check and read what is painted.

    Args:
        value: what the browser sent, meant to be [{"temperature", "mask"}, …].
        width: of the low-resolution picture.
        height: of the low-resolution picture.

    Raises:
        InputError: it is anything else, or (as its subclass OperationError) a temperature is out of range.
    """
    if not isinstance(value, list) or len(value) > MAX_STRENGTHS:
        raise InputError(f"What is painted must be a list of at most {MAX_STRENGTHS} temperatures; got {brief(value)}.")
    painted = []
    for entry in value:
        if not isinstance(entry, dict) or set(entry) != {"temperature", "mask"}:
            raise InputError(
                f"A painted temperature must have a temperature and a mask, and nothing else; got {brief(entry)}."
            )
        mask = parse_mask(entry, width, height)
        if mask is None:
            raise InputError("A painted temperature must have a region; its mask is empty.")
        painted.append(Heat(entry["temperature"], mask))
    return tuple(painted)

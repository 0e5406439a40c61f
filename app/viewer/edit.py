"""Checks of what the browser sends when a visitor edits a selected region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from srflow.contract import InputError
from srflow.errors import brief

__all__ = ["Contrast", "Edit", "Paint", "Paste", "parse_edit"]

_MAX_FACTOR = 4.0
_MAX_ID = 100


@dataclass(frozen=True)
class Paint:
    """Fill the region with a colour. red, green, blue: 0 to 255."""

    red: int
    green: int
    blue: int


@dataclass(frozen=True)
class Contrast:
    """Change the contrast about the region's mean colour. factor: 0 to 4; 1: no change."""

    factor: float


@dataclass(frozen=True)
class Paste:
    """Paste the same region of another picture. id: of that picture."""

    id: str


Edit = Paint | Contrast | Paste


def parse_edit(value: Any) -> Edit:
    """Check and read an edit. Raises: InputError: it is not an edit."""
    kind = value.get("type") if isinstance(value, dict) else None
    given = {name: each for name, each in value.items() if name != "type"} if isinstance(value, dict) else {}
    if kind == "paint" and set(given) == {"red", "green", "blue"}:
        if all(type(each) is int and 0 <= each <= 255 for each in given.values()):
            return Paint(**given)
        raise InputError(f"A colour must be red, green and blue from 0 to 255; got {brief(given)}.")
    if kind == "contrast" and set(given) == {"factor"}:
        factor = given["factor"]
        if type(factor) in (int, float) and 0 <= factor <= _MAX_FACTOR:
            return Contrast(float(factor))
        raise InputError(f"The contrast factor must be 0 to {_MAX_FACTOR:g}; got {brief(factor)}.")
    if kind == "paste" and set(given) == {"id"} and isinstance(given["id"], str) and len(given["id"]) <= _MAX_ID:
        return Paste(given["id"])
    raise InputError(f"An edit must paint, change the contrast or paste; got {brief(value)}.")

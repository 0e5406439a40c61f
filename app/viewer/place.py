"""Checks of what the browser sends when a visitor clicks a source region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from srflow.contract import InputError
from srflow.errors import brief
from srflow.operations import Box

__all__ = ["SourcePlace", "parse_source"]

_MAX_ID = 100


@dataclass(frozen=True)
class SourcePlace:
    """A region of some picture, as a source. id: of the picture. box: left, top, right, bottom in LR pixels."""

    id: str
    box: Box


def parse_source(value: Any, width: int, height: int) -> SourcePlace:
    """Check and read a source region. width, height: of the LR picture. Raises: InputError: it is not one."""
    if not isinstance(value, dict) or set(value) != {"id", "box"}:
        raise InputError(f"A source region must have a picture's id and a box; got {brief(value)}.")
    name, box = value["id"], value["box"]
    if not isinstance(name, str) or len(name) > _MAX_ID:
        raise InputError(f"The picture's id must be a short text; got {brief(name)}.")
    if not isinstance(box, list) or len(box) != 4 or not all(type(edge) is int for edge in box):
        raise InputError(f"A box must be left, top, right and bottom; got {brief(box)}.")
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise InputError(f"The source box is {brief(box)}; it must lie in the {width}×{height} pixels.")
    return SourcePlace(name, (left, top, right, bottom))

"""Checks of what the browser sends with every event: a position, a picture, and the scene that they belong to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from srflow.contract import InputError
from srflow.errors import brief

__all__ = [
    "parse_picture_id",
    "parse_place",
    "parse_subject",
]


def parse_place(value: Any, width: int, height: int) -> tuple[int, int]:
    """Check and read the position of a "place" event.

    Args:
        value: what the browser sent, meant to be {"x": int, "y": int, …}.
        width: of the frame, in SR pixels.
        height: of the frame, in SR pixels.

    Returns:
        (x, y) in SR pixels, 0 <= x < width and 0 <= y < height.

    Raises:
        InputError: it is anything else.
    """
    if not isinstance(value, dict):
        raise InputError(f"A position must be an object with x and y; got {type(value).__name__}.")
    place = []
    for name, size in (("x", width), ("y", height)):
        number = value.get(name)
        if type(number) is not int:  # bool is a subclass of int
            raise InputError(f"The position's {name} must be a whole number; got {brief(number)}.")
        if not 0 <= number < size:
            raise InputError(f"The position's {name} must be in 0 … {size - 1}; got {brief(number)}.")
        place.append(number)
    return place[0], place[1]


def parse_picture_id(value: Any, ids: Collection[str]) -> str:
    """Check and read which picture a "place" or "pick" event refers to.

    Args:
        value: what the browser sent, meant to be {"id": str, …}.
        ids: the ids of the visitor's scene.

    Returns:
        One of `ids`.

    Raises:
        InputError: it is anything else.
    """
    chosen = value.get("id") if isinstance(value, dict) else None
    if not isinstance(chosen, str) or chosen not in ids:
        raise InputError(f"The picture is not in the scene; got {brief(chosen)}.")
    return chosen


def parse_subject(value: Any, subject: str) -> str:
    """Check that an event was sent from the current scene.

    Args:
        value: what the browser sent, meant to be {"subject": str, …}.
        subject: of the visitor's current scene.

    Returns:
        `subject`.

    Raises:
        InputError: the event belongs to another scene, or names none.
    """
    sent = value.get("subject") if isinstance(value, dict) else None
    if not isinstance(sent, str) or sent != subject:
        raise InputError(f"The event belongs to a picture that is no longer shown ({brief(sent)}).")
    return subject

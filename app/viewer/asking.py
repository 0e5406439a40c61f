"""What a visitor asks for while exploring, as the browser sends it, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from app.viewer.masks import parse_mask
from srflow.contract import InputError
from srflow.errors import brief
from srflow.operations import Mask

__all__ = ["Action", "Asked", "parse_asked"]

Action = Literal["roll", "more", "accept", "leave"]
_MAX_ID = 100


@dataclass(frozen=True)
class Asked:
    """One "explore" event.

    action: "roll": new noise at the place. "more": neighbours. "accept": a way becomes the state. "leave": none does.
    id: of the picture that it is about. mask: the place; None: none is chosen. dial: of neighbours, in percent.
    """

    action: Action
    id: str
    mask: Mask | None
    dial: int


def parse_asked(value: Any, width: int, height: int) -> Asked:
    """Read an "explore" event, trusting nothing.

    Args:
        value: what the browser sent, meant to be {"action", "id", "mask", "dial", …}.
        width: of the low-resolution picture.
        height: of the low-resolution picture.

    Raises:
        InputError: if it is anything else.
    """
    mask = parse_mask(value, width, height)
    action, name, dial = (value.get(key) for key in ("action", "id", "dial"))
    if not isinstance(action, str) or action not in get_args(Action):
        raise InputError(f"What is asked for is one of {', '.join(get_args(Action))}; got {brief(action)}.")
    if not isinstance(name, str) or len(name) > _MAX_ID:
        raise InputError(f"The picture's id is a short text; got {brief(name)}.")
    if type(dial) is not int or not 0 <= dial <= 100:
        raise InputError(f"The dial is a whole number from 0 to 100; got {brief(dial)}.")
    return Asked(cast(Action, action), name, mask, dial)

"""Checks of what the browser sends when a visitor uses the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from srflow.contract import InputError
from srflow.errors import brief

__all__ = ["MAX_NAME", "Mark", "parse_mark", "parse_step"]

MAX_NAME = 40
"""Maximum length of a step's name, in characters."""

_Action = Literal["name", "pin", "compare"]
_MAX_NUMBER = 2**53 - 1


@dataclass(frozen=True)
class Mark:
    """One "mark" event. action: "name" the step, "pin" or unpin it, or "compare" with it."""

    action: _Action
    number: int
    name: str
    is_pinned: bool


def parse_step(value: Any) -> int:
    """Check and read which step a "travel" or "mark" event refers to; the step may no longer exist.

    Raises: InputError: it is anything other than {"number": a whole number, …}.
    """
    number = value.get("number") if isinstance(value, dict) else None
    if type(number) is not int or not 0 <= number <= _MAX_NUMBER:
        raise InputError(f"A step of the history must have a whole number; got {brief(number)}.")
    return number


def parse_mark(value: Any) -> Mark:
    """Check and read a "mark" event. Runs of white space in a name become single spaces.

    Raises: InputError: it is anything other than {"action", "number", "name", "is_pinned"}.
    """
    number = parse_step(value)
    action, name, is_pinned = (value.get(key) for key in ("action", "name", "is_pinned"))
    if not isinstance(action, str) or action not in get_args(_Action):
        raise InputError(f"The action on a step must be one of {', '.join(get_args(_Action))}; got {brief(action)}.")
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise InputError(f"A step's name must be a text of at most {MAX_NAME} characters; got {brief(name)}.")
    name = " ".join(name.split())
    if not name.isprintable():
        raise InputError(f"A step's name may contain only letters, digits and signs; got {brief(name)}.")
    if type(is_pinned) is not bool:
        raise InputError(f"A step must be pinned or not pinned; got {brief(is_pinned)}.")
    return Mark(cast(_Action, action), number, name, is_pinned)

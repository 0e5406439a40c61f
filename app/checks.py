"""The only module that checks values from a browser: each function returns a value of the right type, or raises
InputError.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from srflow.contract import InputError
from srflow.errors import brief

__all__ = ["brief", "read_bool", "read_choice", "read_float", "read_int", "read_text"]


def read_float(value: Any, name: str, low: float, high: float) -> float:
    """Read a finite number from `low` to `high`. Text, as from an address, is accepted."""
    number = _number(value, name)
    if not low <= number <= high:
        raise InputError(f"{name} must be a number from {low:g} to {high:g}; got {brief(value)}.")
    return number


def read_int(value: Any, name: str, low: int, high: int) -> int:
    """Read a whole number from `low` to `high`. Browsers sometimes send whole numbers as 3.0."""
    number = _number(value, name)
    if number != int(number) or not low <= number <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}; got {brief(value)}.")
    return int(number)


def read_bool(value: Any, name: str) -> bool:
    """Read True or False; text may be "1", "true", "0" or "false"."""
    if isinstance(value, str):
        value = {"1": True, "true": True, "0": False, "false": False}.get(value.lower(), value)
    if not isinstance(value, bool):
        raise InputError(f"{name} must be on or off; got {brief(value)}.")
    return value


def read_choice(value: Any, name: str, choices: Collection[str]) -> str:
    """Read one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}; got {brief(value)}.")
    return value


def read_text(value: Any, name: str, longest: int) -> str:
    """Read a text of at most `longest` characters."""
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"{name} must be a text of at most {longest} characters; got {brief(value)}.")
    return value


def _number(value: Any, name: str) -> float | int:
    if isinstance(value, str) and len(value) <= 30:
        with suppress(ValueError):
            value = int(value) if value.strip().lstrip("-").isdigit() else float(value)
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not right or (isinstance(value, int) and value.bit_length() > 64) or not math.isfinite(value):
        raise InputError(f"{name} must be a number; got {brief(value)}.")
    return value

"""Settings as fields of frozen dataclasses: each with its type and its range, checked when they are read."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from srflow.contract import TrainingRecipeError

__all__ = ["build", "flatten", "setting"]


def setting(default: Any, minimum: float = -math.inf, maximum: float = math.inf) -> Any:
    """A field whose number, or each of whose numbers, lies in [minimum, maximum]."""
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum})


def build(cls: type, values: Any, prefix: str = "") -> Any:
    """Build a dataclass of settings from plain values; settings that have a default may be missing.

    Args:
        cls: a dataclass whose fields are settings, tables of them, or dictionaries.
        values: by name; lists become tuples.
        prefix: what the names in messages begin with, such as "training.".

    Raises: TrainingRecipeError: a setting is missing, unknown, of another type, or out of range; the message names it.
    """
    if not isinstance(values, Mapping):
        raise TrainingRecipeError(f"{prefix.rstrip('.')} is {values!r}; it must be a table of settings.")
    known = {f.name: f for f in fields(cls)}
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f" Did you mean {prefix + close[0]!r}?" if close else ""
            raise TrainingRecipeError(
                f"Unknown setting {prefix + key!r} (value {values[key]!r}).{hint} Known are {', '.join(known)}."
            )
    for key, item in known.items():
        if key not in values and item.default is MISSING and item.default_factory is MISSING:
            options = item.metadata.get("options")
            hint = f"; name one of {', '.join(options)}" if options else ""
            raise TrainingRecipeError(f"{prefix}{key} is missing{hint}.")
    hints = get_type_hints(cls)
    built = {}
    for key, value in values.items():
        if is_dataclass(hints[key]):
            built[key] = build(hints[key], value, f"{prefix}{key}.")
        else:
            built[key] = _checked(value, hints[key], known[key].metadata, prefix + key)
    return cls(**built)


def _checked(value: Any, kind: Any, bounds: Mapping[str, float], key: str) -> Any:
    """Return `value` as `kind`, if it has that type and lies within the bounds."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise TrainingRecipeError(f"{key} is {value!r}; it must be one of {', '.join(map(repr, get_args(kind)))}.")
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise TrainingRecipeError(f"{key} is {value!r}; it must be a list of numbers.")
        return tuple(_checked(item, get_args(kind)[0], bounds, key) for item in value)
    if get_origin(kind) is dict:
        if not isinstance(value, Mapping):
            raise TrainingRecipeError(f"{key} is {value!r}; it must be a table of settings.")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise TrainingRecipeError(f"{key} is {value!r}; it must be {names[kind]}.")
    if kind in (int, float) and not bounds["minimum"] <= value <= bounds["maximum"]:
        upper = "" if math.isinf(bounds["maximum"]) else f" and at most {bounds['maximum']:g}"
        raise TrainingRecipeError(f"{key} is {value}; it must be at least {bounds['minimum']:g}{upper}.")
    return value


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested tables by dotted key, such as "training.steps"."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat

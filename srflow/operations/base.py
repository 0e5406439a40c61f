"""The base of operations: a frozen value with a name, checked on creation, that changes the latents of a region."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from srflow.errors import OperationError, brief
from srflow.operations.masks import Mask

if TYPE_CHECKING:
    from srflow.operations.field import Field

__all__ = ["MAX_INDEX", "MAX_SEED", "MAX_TEMPERATURE", "RIGHT_ANGLE", "Operation", "ReadList"]

MAX_SEED = 2**64 - 1
MAX_INDEX = 2**32
MAX_TEMPERATURE = 2.0
RIGHT_ANGLE = math.pi / 2
"""The angle of a mix that fully reaches the other noise."""

ReadList = Callable[[object], "tuple[Operation, ...]"]
"""Reads a list inside an operation; its limits are shared with those of the outer list."""


@dataclass(frozen=True)
class Operation(ABC):
    """One operation of a list. A new kind is a file with a subclass, and one line in `srflow.operations.lists`.

    A subclass is a frozen dataclass. Its fields are numbers and, if it acts on a region, a `mask`. `__post_init__`
    checks them, so that no operation is ever out of range. It does not import torch: `change` calls methods of the
    field.
    """

    name: ClassVar[str]
    """The operation's name in JSON."""

    @property
    def place(self) -> Mask | None:
        """The mask of the region that it changes; None: the whole picture."""
        return getattr(self, "mask", None)

    @property
    def inner(self) -> tuple[Operation, ...] | None:
        """The list inside it, if there is one."""
        return None

    @property
    def num_noises(self) -> int:
        """The maximum number of noises to draw for it, which determines its cost."""
        return 1

    @property
    def num_latents(self) -> int:
        """The number of latents that it contains as numbers."""
        return 0

    @abstractmethod
    def change(self, field: Field) -> None:
        """Change the latents or the temperature after the preceding operations."""

    def to_values(self) -> dict[str, Any]:
        """Return values for JSON: the type and the fields; fields that are None are left out."""
        values: dict[str, Any] = {"type": self.name}
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None:
                values[each.name] = value.to_values() if isinstance(value, Mask) else value
        return values

    @classmethod
    def from_values(cls, values: Mapping[str, Any], read_list: ReadList) -> Operation:  # noqa: ARG003 - for those with a list inside
        """Create the operation from the values of `to_values`, which may come from anywhere. Raises: OperationError."""
        given = {name: value for name, value in values.items() if name != "type"}
        required = [each.name for each in fields(cls) if each.default is MISSING]
        check_names(cls.name, given, required, [each.name for each in fields(cls)])
        if "mask" in given:
            given["mask"] = Mask.from_values(given["mask"])
        return cls(**given)

    # -- for subclasses: checks in __post_init__ -----------------------------------------------------------------------

    def _integer(self, field: str, high: int) -> None:
        value = getattr(self, field)
        if type(value) is not int or not 0 <= value <= high:
            raise self._error(field, value, f"a whole number from 0 to {high}")

    def _number(self, field: str, high: float, low: float = 0.0) -> None:
        value = getattr(self, field)
        if type(value) not in (int, float) or not low <= value <= high:  # false for NaN, too
            raise self._error(field, value, f"a number from {low:.4g} to {high:.4g}")
        object.__setattr__(self, field, float(value))

    def _mask(self, *, required: bool = False) -> None:
        if not isinstance(self.place, Mask) and (required or self.place is not None):
            raise self._error("mask", self.place, "a Mask")

    def _error(self, field: str, value: object, expected: str) -> OperationError:
        return OperationError(f"The {field} of a {self.name} is {brief(value)}; it must be {expected}.")


def check_names(what: str, given: Mapping[str, Any], required: list[str], known: list[str]) -> None:
    """Check field names. Raises: OperationError: a field is missing, or unknown."""
    missing = [name for name in required if name not in given]
    unknown = sorted(str(name)[:40] for name in given if name not in known)
    if missing or unknown:
        wrong = [f"no {', '.join(missing)}"] if missing else []
        wrong += [f"unknown fields: {', '.join(unknown[:8])}"] if unknown else []
        raise OperationError(f"A {what} has {' and '.join(wrong)}. It takes {', '.join(known)}.")

"""The operation mix: goes part of the way to another sample, or to another list of operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from srflow.errors import OperationError
from srflow.operations.base import MAX_INDEX, MAX_SEED, RIGHT_ANGLE, Operation, ReadList, check_names
from srflow.operations.masks import Mask

if TYPE_CHECKING:
    from srflow.operations.field import Field

__all__ = ["Mix", "Sample"]


@dataclass(frozen=True)
class Sample(Operation):
    """Noise to mix with: sample number `index` of `seed`. It has no temperature: the mixture keeps its own."""

    name: ClassVar[str] = "sample"
    seed: int
    index: int

    def __post_init__(self) -> None:
        self._integer("seed", MAX_SEED)
        self._integer("index", MAX_INDEX)

    def change(self, field: Field) -> None:
        """Begin with that noise."""
        field.begin((self.seed, self.index), None)


@dataclass(frozen=True)
class Mix(Operation):
    """Moves towards other latents on the great circle: at angle 0 nothing changes, at π/2 the others are reached.

    For independent noise this is cos(angle) z + sin(angle) z_other. If the two share noise, the circle between them is
    shorter, and `angle` is the same fraction of it as of the quarter circle otherwise (see `Field.turn`); where they
    are equal nothing changes. So a slider between two rolls of a region needs no mask but the region's box.

    Args:
        other: a `Sample`; or a list of operations, whose temperature is approached as well.
        angle: 0 to π/2.
        coarse_angle: of the coarsest latents, if it differs. The temperature follows `angle`.
        mask: the factor of the angle, from 0 to 1; None: everywhere.
    """

    name: ClassVar[str] = "mix"
    other: Sample | tuple[Operation, ...]
    angle: float
    coarse_angle: float | None = None
    mask: Mask | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.other, (Sample, tuple)):
            raise OperationError(f"A mix needs a Sample or a tuple of operations; got {type(self.other).__name__}.")
        self._mask()
        self._number("angle", RIGHT_ANGLE)
        if self.coarse_angle is not None:
            self._number("coarse_angle", RIGHT_ANGLE)

    @property
    def inner(self) -> tuple[Operation, ...] | None:
        """The other list, if it is one."""
        return self.other if isinstance(self.other, tuple) else None

    def change(self, field: Field) -> None:
        """Turn towards the other latents."""
        other = field.anew()
        other.apply(self.other if isinstance(self.other, tuple) else (self.other,))
        coarse = self.angle if self.coarse_angle is None else self.coarse_angle
        shares = field.shares_of(self.mask)
        angles = [self.angle] * (len(shares) - 1) + [coarse]
        fractions = [share * (angle / RIGHT_ANGLE) for share, angle in zip(shares, angles, strict=True)]
        field.turn(other, fractions)
        field.approach(other, self.mask, self.angle / RIGHT_ANGLE)

    def to_values(self) -> dict[str, Any]:
        """Return values for JSON as for any operation; the other latents are called `with`: a seed and an index, or a
        list.
        """
        values = super().to_values()
        del values["other"]
        if isinstance(self.other, Sample):
            values["with"] = {"seed": self.other.seed, "index": self.other.index}
        else:
            values["with"] = {"operations": [operation.to_values() for operation in self.other]}
        return values

    @classmethod
    def from_values(cls, values: Mapping[str, Any], read_list: ReadList) -> Mix:
        """Create the operation from the values of `to_values`."""
        check_names(cls.name, values, ["with", "angle"], ["type", "with", "angle", "coarse_angle", "mask"])
        given = dict(values)
        other = given.pop("with")
        if not isinstance(other, Mapping):
            raise OperationError('The "with" of a mix must be a JSON object: a seed and an index, or operations.')
        if "operations" in other:
            check_names("mix's with", other, ["operations"], ["operations"])
            given["other"] = read_list(other["operations"])
        else:
            check_names("mix's with", other, ["seed", "index"], ["seed", "index"])
            given["other"] = Sample(other["seed"], other["index"])
        return super().from_values(given, read_list)  # type: ignore[return-value]

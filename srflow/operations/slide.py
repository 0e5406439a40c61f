"""slide: towards a mixture of rolls, such as the way in which the rolls of a place differ most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from srflow.operations.base import MAX_SEED, RIGHT_ANGLE, Operation, ReadList
from srflow.operations.masks import Mask
from srflow.operations.reroll import roll_stream

if TYPE_CHECKING:
    from srflow.operations.field import Field

__all__ = ["MAX_WEIGHT", "MAX_WEIGHTS", "Slide"]

MAX_WEIGHTS = 256
"""How many rolls may be mixed."""

MAX_WEIGHT = 32767


@dataclass(frozen=True)
class Slide(Operation):
    """Go along a great circle at a place, towards d = Σ wᵢ eᵢ, with eᵢ the noise of roll number i and Σ wᵢ² = 1.

    d is standard normal, as the rolls' noises are; with z independent of it, z' = cos(angle) z + sin(angle) d. At
    angle 0 nothing changes, at ±π/2 the mixture ±d is reached. Where z holds some of d already, the circle is shorter,
    and `angle` is the same share of it as of the quarter otherwise (see `Field.turn`).

    Args:
        mask: by which the angle is multiplied, from 0 to 1.
        seed: of the rolls (see `Reroll`).
        weights: of rolls 0, 1, 2 …, as whole numbers from -32767 to 32767; only their ratios count.
        angle: -π/2 to π/2.
    """

    name: ClassVar[str] = "slide"
    mask: Mask
    seed: int
    weights: tuple[int, ...]
    angle: float

    def __post_init__(self) -> None:
        self._mask(required=True)
        self._integer("seed", MAX_SEED)
        weights = self.weights
        if (
            not isinstance(weights, tuple)
            or not 1 <= len(weights) <= MAX_WEIGHTS
            or not all(type(weight) is int and abs(weight) <= MAX_WEIGHT for weight in weights)
            or not any(weights)
        ):
            raise self._error(
                "weights", weights, f"1 to {MAX_WEIGHTS} whole numbers from {-MAX_WEIGHT} to {MAX_WEIGHT}, not all 0"
            )
        self._number("angle", RIGHT_ANGLE, low=-RIGHT_ANGLE)

    @property
    def num_noises(self) -> int:
        """One a weight."""
        return len(self.weights)

    def change(self, field: Field) -> None:
        """Turn towards the mixture, or away from it."""
        norm = math.copysign(math.sqrt(sum(weight * weight for weight in self.weights)), self.angle)
        other = field.anew()
        other.begin_mixture(
            {roll_stream(self.seed, roll): weight / norm for roll, weight in enumerate(self.weights) if weight}
        )
        share = abs(self.angle) / RIGHT_ANGLE
        field.turn(other, [part * share for part in field.shares_of(self.mask)])

    @classmethod
    def from_values(cls, values: Mapping[str, Any], read_list: ReadList) -> Slide:
        """The inverse of `to_values`."""
        given = dict(values)
        if isinstance(given.get("weights"), list):
            given["weights"] = tuple(given["weights"])
        return super().from_values(given, read_list)  # type: ignore[return-value]

    def to_values(self) -> dict[str, Any]:
        """As of any operation, the weights as a list."""
        return super().to_values() | {"weights": list(self.weights)}

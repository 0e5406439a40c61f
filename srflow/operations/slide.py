"""The operation slide: moves towards a mixture of rolls, such as the direction in which the rolls of a region differ
most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from srflow.operations.base import MAX_SEED, RIGHT_ANGLE, Operation, ReadList
from srflow.operations.masks import Mask
from srflow.operations.reroll import roll_stream

if TYPE_CHECKING:
    from srflow.operations.field import Field

__all__ = ["MAX_WEIGHT", "MAX_WEIGHTS", "Slide"]

MAX_WEIGHTS = 256
"""Maximum number of rolls in a mixture."""

MAX_WEIGHT = 32767


@dataclass(frozen=True)
class Slide(Operation):
    """Moves along a great circle in a region, towards d = Σ wᵢ eᵢ, with the noise eᵢ of roll number i and Σ wᵢ² = 1.

    d is standard normal, as the rolls' noises are; for z independent of it, z' = cos(angle) z + sin(angle) d. At angle
    0 nothing changes, at ±π/2 the mixture ±d is reached. If z already contains some of d, the circle is shorter, and
    `angle` is the same fraction of it as of the quarter circle otherwise (see `Field.turn`).

    Args:
        mask: the factor of the angle, from 0 to 1.
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

    @classmethod
    def combined(cls, mask: Mask, seed: int, moves: Sequence[tuple[Sequence[int], float]]) -> Slide | None:
        """Combine several sliders of a region into one slide, independent of the order of their moves; None: all are at
        0.

        A slide after a slide turns away from the first: at the end of the second, nothing of the first is left. Here
        every mixture d_k has its own share sin(angle_k) of the noise, independent of the others, until together they
        are all of it; then they divide it among themselves:

            z' = √(1 - Σ s_k²) z + Σ s_k d_k,   s_k = sin(angle_k);   Σ s_k d_k / √Σ s_k²  where Σ s_k² > 1

        Args:
            mask, seed: as for a slide.
            moves: weights and angle of each slider, -π/2 to π/2; the weights are orthogonal to each other.
        """
        parts = [
            [math.sin(angle) * weight / math.hypot(*weights) for weight in weights] for weights, angle in moves if angle
        ]
        if not parts:
            return None
        total = [sum(column) for column in zip(*parts, strict=True)]
        largest = max(total, key=abs)
        angle = math.copysign(math.asin(min(1.0, math.hypot(*total))), largest)
        return cls(mask, seed, tuple(round(part / largest * MAX_WEIGHT) for part in total), angle)

    @property
    def num_noises(self) -> int:
        """One noise per weight."""
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
        """Create the operation from the values of `to_values`."""
        given = dict(values)
        if isinstance(given.get("weights"), list):
            given["weights"] = tuple(given["weights"])
        return super().from_values(given, read_list)  # type: ignore[return-value]

    def to_values(self) -> dict[str, Any]:
        """Return values for JSON as for any operation, with the weights as a list."""
        return super().to_values() | {"weights": list(self.weights)}

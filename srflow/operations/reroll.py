"""The operation reroll: new noise in a region, like rolling dice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from srflow.operations.base import MAX_INDEX, MAX_SEED, Operation
from srflow.operations.masks import Mask

if TYPE_CHECKING:
    from srflow.operations.field import Field

__all__ = ["Reroll", "roll_stream"]

_FIRST_SAMPLE = 2**63  # samples of a draw end at 2**32, so no roll ever repeats the noise of a draw


def roll_stream(seed: int, roll: int) -> tuple[int, int]:
    """Return the stream of a roll's noise."""
    return seed, _FIRST_SAMPLE + roll


@dataclass(frozen=True)
class Reroll(Operation):
    """New noise in a region, number `roll` of `seed`: z' = √(1 - m) z + √m z_new, with the mask m from 0 to 1.

    If z already contains some of z_new, because the same roll was applied there before, the mixture follows the great
    circle between the two instead (see `Field.turn`), so that it is standard normal in any case.
    """

    name: ClassVar[str] = "reroll"
    mask: Mask
    seed: int
    roll: int

    def __post_init__(self) -> None:
        self._mask(required=True)
        self._integer("seed", MAX_SEED)
        self._integer("roll", MAX_INDEX)

    def change(self, field: Field) -> None:
        """Turn towards the roll's noise, by the angle whose squared sine is the mask."""
        other = field.anew()
        other.begin(roll_stream(self.seed, self.roll), 1.0)
        field.turn(other, [field.squared_sine(share) for share in field.shares_of(self.mask)])

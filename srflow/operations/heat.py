"""The operation heat: changes the temperature, like a brush."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from srflow.operations.base import MAX_TEMPERATURE, Operation
from srflow.operations.masks import Mask

if TYPE_CHECKING:
    from srflow.operations.field import Field

__all__ = ["Heat"]


@dataclass(frozen=True)
class Heat(Operation):
    """Moves the temperature towards another one: T' = T + m (temperature - T), with the mask m from 0 to 1.

    The noise stays the same; only its strength changes. A map between two temperatures needs two of these: one to the
    lower temperature, without a mask or with a full one, and one to the higher, with the map as its mask.

    Args:
        temperature: 0 (calm) to 2 (wild).
        mask: None: everywhere.
    """

    name: ClassVar[str] = "heat"
    temperature: float
    mask: Mask | None = None

    def __post_init__(self) -> None:
        self._mask()
        self._number("temperature", MAX_TEMPERATURE)

    def change(self, field: Field) -> None:
        """Change only the temperature."""
        field.heat(self.temperature, self.mask)

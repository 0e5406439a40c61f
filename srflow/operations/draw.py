"""The operation draw: a sample, with which every list begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from srflow.operations.base import MAX_INDEX, MAX_SEED, MAX_TEMPERATURE, Operation

if TYPE_CHECKING:
    from srflow.operations.field import Field

__all__ = ["Draw"]


@dataclass(frozen=True)
class Draw(Operation):
    """Sample number `index` of `seed`, at a temperature from 0 to 2: independent standard normal latents."""

    name: ClassVar[str] = "draw"
    seed: int
    index: int
    temperature: float

    def __post_init__(self) -> None:
        self._integer("seed", MAX_SEED)
        self._integer("index", MAX_INDEX)
        self._number("temperature", MAX_TEMPERATURE)

    def change(self, field: Field) -> None:
        """Begin with the sample's latents."""
        field.begin((self.seed, self.index), self.temperature)

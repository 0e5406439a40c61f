"""The effect of a list of operations on the latents of any region: they stay exactly standard normal, by construction.

Latents are represented as sums of independent noises, z = Σ aₖ eₖ, with known weights aₖ at every position. Σ aₖ² = 1
makes z standard normal, and Σ aₖ bₖ is the correlation of two such sums. All operations change latents in the same way:
they turn them on the great circle towards others; the correlation gives the angle between the two. So the result is
exact even if the same noise occurs twice, as when two rolls of the same sample are mixed. Every position is turned
separately, so that a part of the picture can be computed without the rest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from srflow.errors import OperationError
from srflow.latents import draw_region
from srflow.operations.base import Operation
from srflow.operations.masks import Box, Mask, common_box
from srflow.operations.noises import Noises

__all__ = ["Field", "Place", "Stream"]

Stream = tuple[int, int]
"""Seed and sample number, which identify independent noises (see `srflow.latents.draw`)."""

_NEARLY_EQUAL = 1e-6  # the sine of the angle between latents; below it, the circle is practically straight

_NOISES = Noises()


@dataclass(frozen=True)
class Place:
    """A box of a picture's latents.

    shapes: (C, H, W) of every level of the whole picture, finest first.
    height, width: of the LR picture, padded as the model needs it.
    box: in LR pixels, edges at multiples of the model's `lr_multiple`.
    """

    shapes: tuple[tuple[int, int, int], ...]
    height: int
    width: int
    box: Box

    def noise(self, stream: Stream) -> list[Tensor]:
        """Return a stream's values in this box, (C, h, w) of every level; callers must not change them."""
        seed, sample = stream
        return _NOISES.get(
            (self, stream),
            lambda: [
                draw_region(shape, level, sample, seed, *self.slices(shape)) for level, shape in enumerate(self.shapes)
            ],
        )

    def meets(self, mask: Mask | None) -> bool:
        """Return whether the mask selects anything in this box; None selects everything."""
        if mask is None:
            return True
        a, b = self.box, mask.support
        return max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])

    def share(self, mask: Mask | None) -> Tensor:
        """Return the mask from 0 to 1 on the LR grid, (h, w), float64; None: 1."""
        if mask is None:
            return torch.ones((), dtype=torch.float64)
        return torch.from_numpy(mask.array(self.box)).double() / 255

    def at_level(self, values: Tensor, level: int) -> Tensor:
        """Resample a map on the LR grid to the positions of a level: repeat it for finer levels, average blocks for
        coarser ones.
        """
        if values.ndim == 0:
            return values
        rows, columns = self.slices(self.shapes[level])
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if height >= values.shape[0]:
            factor = height // values.shape[0]
            return values.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
        factor = values.shape[0] // height
        return values.view(height, factor, width, factor).mean((1, 3))

    def slices(self, shape: tuple[int, int, int], box: Box | None = None) -> tuple[slice, slice]:
        """Return rows and columns of a box among a level's positions; None: of this place's box."""
        left, top, right, bottom = box or self.box
        # A level's positions are finer or coarser than LR pixels by a whole factor.
        rows = slice(top * shape[1] // self.height, bottom * shape[1] // self.height)
        return rows, slice(left * shape[2] // self.width, right * shape[2] // self.width)


class Field:
    """Latents and temperature of a region after some operations of a list.

    `evaluate`, `apply`, `copy`, `latents` and `temperatures` are for all callers; the other methods are for operations.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.levels: list[Tensor] = []  # (C, h, w), float32: standard normal, before temperature
        self.weights: dict[Stream, list[Tensor]] = {}  # of every noise, per level: (h, w) or (), float64
        self._temperature: float | Tensor | None = None  # on the LR grid, (h, w), float64, if it is a map

    @classmethod
    def evaluate(cls, operations: Sequence[Operation], place: Place) -> Field:
        """Return the result of a complete list for a region."""
        field = cls(place)
        field.apply(operations)
        return field

    def apply(self, operations: Sequence[Operation]) -> None:
        """Apply more operations; those outside this box cost nothing."""
        for operation in operations:
            if self.place.meets(operation.place):
                operation.change(self)

    def copy(self) -> Field:
        """Return a copy, for different continuations."""
        field = Field(self.place)
        field.levels, field.weights, field._temperature = list(self.levels), dict(self.weights), self._temperature
        return field

    def latents(self) -> list[Tensor]:
        """Return the latents times temperature, (C, h, w) of every level, float32."""
        return [level * temperature for level, temperature in zip(self.levels, self.temperatures(), strict=True)]

    def temperatures(self) -> list[float | Tensor]:
        """Return the temperature at every level: a number, or a map (h, w), float32."""
        assert self._temperature is not None
        if not isinstance(self._temperature, Tensor):
            return [self._temperature] * len(self.levels)
        return [self.place.at_level(self._temperature, number).float() for number in range(len(self.levels))]

    # -- methods for operations
    # ------------------------------------------------------------------------------------------

    def begin(self, stream: Stream, temperature: float | None) -> None:
        """Begin with new noise. temperature: None: for latents that are only mixed with."""
        self.levels = self.place.noise(stream)
        self.weights = {stream: [torch.ones((), dtype=torch.float64)] * len(self.levels)}
        self._temperature = temperature

    def begin_mixture(self, parts: Mapping[Stream, float]) -> None:
        """Begin with new noise, a sum of streams with factors whose squares add up to 1; for other latents to turn
        towards.
        """
        noises = [[factor * level for level in self.place.noise(stream)] for stream, factor in parts.items()]
        # Add them one after the other: the summation order of `torch.sum`, and so the last bit, depends on the size of
        # the box.
        self.levels = [functools.reduce(torch.add, level) for level in zip(*noises, strict=True)]
        count = len(self.levels)
        self.weights = {stream: [torch.tensor(part, dtype=torch.float64)] * count for stream, part in parts.items()}
        self._temperature = None

    def begin_given(self, levels: Sequence[np.ndarray], box: Box, stream: Stream) -> None:
        """Begin with given latents inside a box, and 0 outside of it; for other latents to turn towards.

        Args:
            levels: float32, (C, h, w) of every level.
            box: in LR pixels; it overlaps this place.
            stream: identifies them among all noises; it is never drawn.
        Raises: OperationError: they belong to another model.
        """
        place, common = self.place, common_box(self.place.box, box)
        assert common is not None
        expected = [(shape[0], *_lengths(place.slices(shape, box))) for shape in place.shapes]
        if [level.shape for level in levels] != expected:
            raise OperationError(
                f"The given latents have shapes {[level.shape for level in levels]}, but this region of this model "
                f"has {expected}. Use the model with which they were made."
            )
        self.levels = []
        for shape, level in zip(place.shapes, levels, strict=True):
            inner = place.slices(shape, common)
            filled = torch.zeros((shape[0], *_lengths(place.slices(shape))))
            filled[_within(inner, place.slices(shape))] = torch.from_numpy(level)[
                _within(inner, place.slices(shape, box))
            ]
            self.levels.append(filled)
        self.weights = {stream: [torch.ones((), dtype=torch.float64)] * len(self.levels)}
        self._temperature = None

    def anew(self) -> Field:
        """Return an empty field of the same place, for other latents to turn towards."""
        return Field(self.place)

    def shares_of(self, mask: Mask | None) -> list[Tensor]:
        """Return the mask from 0 to 1 at every level's positions, (h, w) or (), float64."""
        share = self.place.share(mask)
        return [self.place.at_level(share, level) for level in range(len(self.levels))]

    @staticmethod
    def squared_sine(share: Tensor) -> Tensor:
        """Return fractions for `turn` such that independent latents become √(1 - share) z + √share z_other."""
        return share.sqrt().asin() / (math.pi / 2)

    def turn(self, other: Field, fractions: Sequence[Tensor]) -> None:
        """Turn the latents towards others, on the great circle, separately at every position.

            z' = (sin((1 - f) ω) z + sin(f ω) z_other) / sin ω,   cos ω their correlation: standard normal again

        Between latents and their negatives there is no shortest path: halfway, the one becomes the other.

        Args: fractions: f from 0 to 1, per level; at 0 nothing changes (to the bit), at 1 the others are reached.
        """
        for number, fraction in enumerate(fractions):
            own, theirs = self._steps(other, number, fraction)
            self.levels[number] = own.float() * self.levels[number] + theirs.float() * other.levels[number]
            zero = torch.zeros((), dtype=torch.float64)
            for stream in self.weights.keys() | other.weights.keys():
                a = self.weights.get(stream, [zero] * len(fractions))
                b = other.weights.get(stream, [zero] * len(fractions))
                mixed = own * a[number] + theirs * b[number]
                self.weights[stream] = [*a[:number], mixed, *a[number + 1 :]]

    def _steps(self, other: Field, number: int, fraction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of z and z_other."""
        shared = self.weights.keys() & other.weights.keys()
        correlation = sum(
            (self.weights[stream][number] * other.weights[stream][number] for stream in shared),
            start=torch.zeros((), dtype=torch.float64),
        )
        angle = correlation.clamp(-1.0, 1.0).acos()
        sine = angle.sin()
        is_near = sine < _NEARLY_EQUAL
        is_opposite = is_near & (correlation < 0)
        straight = torch.where(is_opposite, (fraction >= 0.5).double(), fraction)
        sine = torch.where(is_near, 1.0, sine)
        own = torch.where(is_near, 1 - straight, ((1 - fraction) * angle).sin() / sine)
        return own, torch.where(is_near, straight, (fraction * angle).sin() / sine)

    def heat(self, temperature: float, mask: Mask | None) -> None:
        """Move the temperature towards another one, as far as the mask says."""
        self._temperature = self._between(temperature, self.place.share(mask))

    def approach(self, other: Field, mask: Mask | None, fraction: float) -> None:
        """Move the temperature towards that of the other latents, if they have one."""
        if other._temperature is not None:
            self._temperature = self._between(other._temperature, self.place.share(mask) * fraction)

    def _between(self, temperature: float | Tensor, share: Tensor) -> float | Tensor:
        own = self._temperature
        assert own is not None
        if not isinstance(temperature, Tensor) and not isinstance(own, Tensor) and own == temperature:
            return own
        mixed = own + share * (temperature - own)
        return torch.where(share == 1, temperature, mixed) if mixed.ndim else float(mixed)


def _lengths(slices: tuple[slice, slice]) -> tuple[int, int]:
    rows, columns = slices
    return rows.stop - rows.start, columns.stop - columns.start


def _within(inner: tuple[slice, slice], outer: tuple[slice, slice]) -> tuple[slice, slice, slice]:
    """Return the inner sizes of (C, h, w) within the outer ones."""
    rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return slice(None), rows, columns

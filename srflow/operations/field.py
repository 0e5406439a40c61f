"""What a list of operations makes of the latents, at any place: exactly standard normal, by construction.

Latents are kept as sums of independent noises, z = Σ aₖ eₖ, with the weights aₖ known at every position. Σ aₖ² = 1
makes z standard normal, and Σ aₖ bₖ is the correlation of two such sums. An operation changes latents in one way only:
it turns them on the great circle towards others, by the angle between them that follows from the correlation. So it
stays exact when noises meet again, as when two rolls of the same sample are mixed. Every position is turned by itself,
so that a part of the picture can be had without the rest.
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
"""Seed and sample number: by which independent noises are told apart (see `srflow.latents.draw`)."""

_NEARLY_EQUAL = 1e-6  # the sine of the angle between latents; closer together, the circle is as good as straight

_NOISES = Noises()


@dataclass(frozen=True)
class Place:
    """A box of a picture's latents.

    shapes: (C, H, W) of every level of the whole picture, finest first. height, width: of the LR picture, padded as the
    model needs it. box: in LR pixels, edges at multiples of the model's `lr_multiple`.
    """

    shapes: tuple[tuple[int, int, int], ...]
    height: int
    width: int
    box: Box

    def noise(self, stream: Stream) -> list[Tensor]:
        """A stream's values here, (C, h, w) of every level; not to be changed."""
        seed, sample = stream
        return _NOISES.get(
            (self, stream),
            lambda: [
                draw_region(shape, level, sample, seed, *self.slices(shape)) for level, shape in enumerate(self.shapes)
            ],
        )

    def meets(self, mask: Mask | None) -> bool:
        """Whether the mask chooses anything here; None chooses everything."""
        if mask is None:
            return True
        a, b = self.box, mask.support
        return max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])

    def share(self, mask: Mask | None) -> Tensor:
        """The mask from 0 to 1 on the LR grid, (h, w), float64; None: 1."""
        if mask is None:
            return torch.ones((), dtype=torch.float64)
        return torch.from_numpy(mask.array(self.box)).double() / 255

    def at_level(self, values: Tensor, level: int) -> Tensor:
        """A map on the LR grid at the positions of a level: repeated where these are finer, else means of blocks."""
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
        """Rows and columns of a box among a level's positions; None: of this place's box."""
        left, top, right, bottom = box or self.box
        # Positions of a level are a whole number of times finer than LR pixels, or coarser.
        rows = slice(top * shape[1] // self.height, bottom * shape[1] // self.height)
        return rows, slice(left * shape[2] // self.width, right * shape[2] // self.width)


class Field:
    """Latents and temperature at a place, on the way through a list.

    `evaluate`, `apply`, `copy`, `latents` and `temperatures` are for everyone; the rest is what operations are made of.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.levels: list[Tensor] = []  # (C, h, w), float32: standard normal, before temperature
        self.weights: dict[Stream, list[Tensor]] = {}  # of every noise, per level: (h, w) or (), float64
        self._temperature: float | Tensor | None = None  # on the LR grid, (h, w), float64, where it is a map

    @classmethod
    def evaluate(cls, operations: Sequence[Operation], place: Place) -> Field:
        """What a complete list comes to at a place."""
        field = cls(place)
        field.apply(operations)
        return field

    def apply(self, operations: Sequence[Operation]) -> None:
        """Go on with more operations; those that are about other places cost nothing."""
        for operation in operations:
            if self.place.meets(operation.place):
                operation.change(self)

    def copy(self) -> Field:
        """To go on from here in several ways."""
        field = Field(self.place)
        field.levels, field.weights, field._temperature = list(self.levels), dict(self.weights), self._temperature
        return field

    def latents(self) -> list[Tensor]:
        """Times temperature, (C, h, w) of every level, float32."""
        return [level * temperature for level, temperature in zip(self.levels, self.temperatures(), strict=True)]

    def temperatures(self) -> list[float | Tensor]:
        """At every level: a number, or a map (h, w), float32."""
        assert self._temperature is not None
        if not isinstance(self._temperature, Tensor):
            return [self._temperature] * len(self.levels)
        return [self.place.at_level(self._temperature, number).float() for number in range(len(self.levels))]

    # -- what operations are made of -----------------------------------------------------------------------------------

    def begin(self, stream: Stream, temperature: float | None) -> None:
        """Fresh noise. temperature: None: of latents that are only mixed with."""
        self.levels = self.place.noise(stream)
        self.weights = {stream: [torch.ones((), dtype=torch.float64)] * len(self.levels)}
        self._temperature = temperature

    def begin_mixture(self, parts: Mapping[Stream, float]) -> None:
        """Fresh noise, a sum of streams by factors whose squares add up to 1; for other latents to turn to."""
        noises = [[factor * level for level in self.place.noise(stream)] for stream, factor in parts.items()]
        # One after the other: the order in which `torch.sum` adds, and so the last bit, depends on the size of the box.
        self.levels = [functools.reduce(torch.add, level) for level in zip(*noises, strict=True)]
        count = len(self.levels)
        self.weights = {stream: [torch.tensor(part, dtype=torch.float64)] * count for stream, part in parts.items()}
        self._temperature = None

    def begin_given(self, levels: Sequence[np.ndarray], box: Box, stream: Stream) -> None:
        """Latents of a box as they are given, and 0 outside of it; for other latents to turn to.

        Args:
            levels: float32, (C, h, w) of every level.
            box: in LR pixels; it has pixels in common with the place.
            stream: that tells them from all noise; it is never drawn.
        Raises: OperationError: they are not of this model.
        """
        place, common = self.place, common_box(self.place.box, box)
        assert common is not None
        expected = [(shape[0], *_lengths(place.slices(shape, box))) for shape in place.shapes]
        if [level.shape for level in levels] != expected:
            raise OperationError(
                f"Latents are given as {[level.shape for level in levels]}, but this place of this model has "
                f"{expected}. Use the model that they were made with."
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
        """An empty one of the same place, for other latents to turn to."""
        return Field(self.place)

    def shares_of(self, mask: Mask | None) -> list[Tensor]:
        """The mask from 0 to 1 at every level's positions, (h, w) or (), float64."""
        share = self.place.share(mask)
        return [self.place.at_level(share, level) for level in range(len(self.levels))]

    @staticmethod
    def squared_sine(share: Tensor) -> Tensor:
        """For `turn`: such that independent latents become √(1 - share) z + √share z_other."""
        return share.sqrt().asin() / (math.pi / 2)

    def turn(self, other: Field, fractions: Sequence[Tensor]) -> None:
        """Turn the latents towards others, on the great circle, at every position by itself.

            z' = (sin((1 - f) ω) z + sin(f ω) z_other) / sin ω,   cos ω their correlation: standard normal again

        Between latents and their opposites there is no shortest way: half way, the one becomes the other.

        Args: fractions: f of the way, 0 to 1, per level; at 0 nothing changes to the bit, at 1 the others are reached.
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
        """The factors of z and z_other."""
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
        """Bring the temperature closer to another one, as far as the mask says."""
        self._temperature = self._between(temperature, self.place.share(mask))

    def approach(self, other: Field, mask: Mask | None, fraction: float) -> None:
        """Bring the temperature closer to that of the other latents, if they have one."""
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
    """Of (C, h, w) that begins with the outer ones: the inner ones."""
    rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return slice(None), rows, columns

"""The operation given: latents of a region as numbers, such as those of an edited picture."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from srflow.errors import OperationError, brief
from srflow.operations.base import Operation, ReadList
from srflow.operations.masks import Box, Mask

if TYPE_CHECKING:
    from srflow.operations.field import Field

__all__ = ["MAX_GIVEN", "Given", "Origin"]

MAX_GIVEN = 1_000_000
"""Maximum number of latents in all such operations of a list; with 48 per LR pixel of a x4 model, 144x144 LR pixels."""

Origin = Literal["edit", "natural edit", "grain", "natural grain"]
"""The origin of the latents: a picture that was edited, or given the grain of another region; either the latents of its
consistent form, or those after it was made natural.
"""

_MAX_LATENT = 1000.0
_MAX_LEVELS = 8
_NO_NOISE = -1  # the sample number of streams that are never drawn
_KIND = np.dtype("<f2")


@dataclass(frozen=True)
class Given(Operation):
    """Replaces the latents by given ones, as far as the mask selects them.

    The latents are standard normal before temperature only as far as their origin makes them so. Later operations treat
    them as a separate noise, independent of all others.

    Args:
        mask: the factor of the way to these latents, from 0 to 1.
        box: left, top, right, bottom in LR pixels of the latents; it contains everything that the mask selects.
        shapes: (C, h, w) of every level, finest first.
        values: the levels one after the other, float16, little-endian; finite.
        origin: see `Origin`.
    """

    name: ClassVar[str] = "given"
    mask: Mask
    box: Box
    shapes: tuple[tuple[int, int, int], ...]
    values: bytes
    origin: Origin

    def __post_init__(self) -> None:
        self._mask(required=True)
        if self.origin not in get_args(Origin):
            raise self._error("origin", self.origin, f"one of {', '.join(get_args(Origin))}")
        if not _is_whole(self.box, 4):
            raise self._error("box", self.box, "left, top, right, bottom")
        (left, top, right, bottom), (a, b, c, d) = self.box, self.mask.support
        if not (0 <= left <= a and 0 <= top <= b and c <= right and d <= bottom):
            raise self._error("box", self.box, f"a box around everything that the mask selects, {self.mask.support}")
        shapes = self.shapes
        if not isinstance(shapes, tuple) or not 1 <= len(shapes) <= _MAX_LEVELS:
            raise self._error("shapes", shapes, f"(channels, height, width) of 1 to {_MAX_LEVELS} levels")
        if not all(_is_whole(shape, 3) and min(shape) >= 1 for shape in shapes):
            raise self._error("shapes", shapes, "(channels, height, width) of every level")
        if self.num_latents > MAX_GIVEN:
            raise OperationError(
                f"The region has {self.num_latents} latents; the maximum is {MAX_GIVEN}. Select a smaller one."
            )
        if not isinstance(self.values, bytes) or len(self.values) != _KIND.itemsize * self.num_latents:
            raise OperationError(f"The values of a given must be {self.num_latents} numbers of two bytes each.")
        numbers = np.frombuffer(self.values, _KIND)
        if not (np.abs(numbers.astype(np.float32)) <= _MAX_LATENT).all():  # false for NaN, too
            raise OperationError(f"The values of a given must be finite, from -{_MAX_LATENT:g} to {_MAX_LATENT:g}.")

    @classmethod
    def of(cls, mask: Mask, box: Box, levels: list[np.ndarray], origin: Origin) -> Given:
        """Create it from latents before temperature, float32, (C, h, w) of every level; they are rounded to float16."""
        shapes = tuple((level.shape[0], level.shape[1], level.shape[2]) for level in levels)
        values = b"".join(np.clip(level, -_MAX_LATENT, _MAX_LATENT).astype(_KIND).tobytes() for level in levels)
        return cls(mask, box, shapes, values, origin)

    @property
    def num_latents(self) -> int:
        """The number of latents of all levels."""
        return sum(math.prod(shape) for shape in self.shapes)

    def levels(self) -> list[np.ndarray]:
        """Return the latents, float32, (C, h, w) each."""
        numbers = np.frombuffer(self.values, _KIND).astype(np.float32)
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(numbers, ends), self.shapes, strict=True)]

    def change(self, field: Field) -> None:
        """Turn to the given latents."""
        other = field.anew()
        digest = hashlib.sha256(repr((self.box, self.shapes)).encode() + self.values).digest()
        other.begin_given(self.levels(), self.box, (int.from_bytes(digest[:8], "little"), _NO_NOISE))
        field.turn(other, field.shares_of(self.mask))

    def to_values(self) -> dict[str, Any]:
        """Return values for JSON as for any operation, with the latents in base64."""
        values = super().to_values()
        values["box"], values["shapes"] = list(self.box), [list(shape) for shape in self.shapes]
        values["values"] = base64.b64encode(self.values).decode()
        return values

    @classmethod
    def from_values(cls, values: Mapping[str, Any], read_list: ReadList) -> Given:
        """Create the operation from the values of `to_values`."""
        given = dict(values)
        if isinstance(given.get("box"), list):
            given["box"] = tuple(given["box"])
        if isinstance(given.get("shapes"), list):
            given["shapes"] = tuple(tuple(each) if isinstance(each, list) else each for each in given["shapes"])
        text = given.get("values")
        if isinstance(text, str):
            if len(text) > 2 * _KIND.itemsize * MAX_GIVEN:
                raise OperationError(f"There are too many values in a given; the maximum is {MAX_GIVEN} numbers.")
            try:
                given["values"] = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError) as error:
                raise OperationError(f"The values of a given must be base64; got {brief(text)}.") from error
        return super().from_values(given, read_list)  # type: ignore[return-value]


def _is_whole(value: object, length: int) -> bool:
    return isinstance(value, tuple) and len(value) == length and all(type(each) is int for each in value)

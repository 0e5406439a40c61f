"""A region of a picture: what is decoded again, what is laid into the picture, and how softly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from srflow.operations import Box, Mask

__all__ = ["CONTEXT", "DRAFT_MARGIN", "FEATHER", "MARGIN", "Region", "feather", "scaled"]

MARGIN = 12
"""LR pixels around a region that are decoded with it. With the shipped ×4 model and a region of 32×32, the part laid
into the picture then differs from decoding the whole picture by .002 grey levels RMS and .04 at most (8 pixels: .02 and
.5; 16: .0002 and .005).
"""

DRAFT_MARGIN = 6
"""The margin of drafts, which halves the work for a region of 24×24. With the shipped ×4 model and a region of 32×32,
drafts differ from decoding the whole picture by .08 grey levels RMS and 2.3 at most.
"""

FEATHER = 2
"""LR pixels around a region over which the new picture fades into the old one."""

CONTEXT = 16
"""LR pixels around the decoded part that the encoder also sees, if a picture's conditioning is not kept whole."""

_WORK = 8  # LR pixels around a patch for its error: the consistency step sees 4 of them, its borders reach 4 more


@dataclass(frozen=True)
class Region:
    """Boxes in LR pixels, one inside the other: selected by the mask, laid into the picture, used for the error,
    decoded.

    All except `decoded` are within the picture; that one is within the padded picture, with edges at multiples.
    """

    chosen: Box
    patch: Box
    work: Box
    decoded: Box

    @classmethod
    def around(cls, mask: Mask, multiple: int, margin: int = MARGIN) -> Region:
        """Create the region of everything that the mask selects.

        Args:
            multiple: LR pixels (per side) of the model's coarsest latents.
            margin: LR pixels around the mask that are decoded with it, at least `FEATHER`.
        """
        left, top, right, bottom = mask.support
        left, top = (edge // multiple * multiple for edge in (left, top))
        right, bottom = (-(-edge // multiple) * multiple for edge in (right, bottom))
        padded = (-(-mask.width // multiple) * multiple, -(-mask.height // multiple) * multiple)

        def grown(by: int, width: int, height: int) -> Box:
            return max(0, left - by), max(0, top - by), min(width, right + by), min(height, bottom + by)

        within = (mask.width, mask.height)
        return cls(grown(0, *within), grown(FEATHER, *within), grown(FEATHER + _WORK, *within), grown(margin, *padded))


def scaled(box: Box, factor: int, origin: Box = (0, 0, 0, 0)) -> tuple[slice, slice]:
    """Return rows and columns of a box in a picture `factor` times as fine that begins at the corner of `origin`."""
    left, top = origin[:2]
    return (
        slice((box[1] - top) * factor, (box[3] - top) * factor),
        slice((box[0] - left) * factor, (box[2] - left) * factor),
    )


def feather(mask: Mask, box: Box, scale: int, multiple: int) -> Tensor:
    """Return the weight of the new picture at every HR pixel of a box, (1, 1, s h, s w), float32.

    It is 1 where the mask selects anything at all, falls to 0 within `FEATHER` LR pixels, and is exactly 0 beyond.
    """
    left, top, right, bottom = box
    height, width = bottom - top, right - left
    aligned = (left, top, left + -(-width // multiple) * multiple, top + -(-height // multiple) * multiple)
    chosen = torch.from_numpy(mask.array(aligned) > 0).float()[None, None]
    chosen = F.max_pool2d(chosen, multiple)
    step = multiple * scale
    chosen = chosen.repeat_interleave(step, 2).repeat_interleave(step, 3)[..., : height * scale, : width * scale]
    radius = FEATHER * scale // 2
    size = 2 * radius + 1
    grown = chosen
    for kernel, padding in (((size, 1), (radius, 0)), ((1, size), (0, radius))):
        grown = F.max_pool2d(grown, kernel, 1, padding)
    for kernel, padding in (((size, 1), (radius, 0)), ((1, size), (0, radius))):
        grown = F.avg_pool2d(grown, kernel, 1, padding, count_include_pad=False)
    return torch.where(chosen > 0, 1.0, grown)

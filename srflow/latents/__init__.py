"""Latents: the flow's representation of a picture, which can be drawn, scaled, mixed and edited to get new pictures.

There is one tensor per level, finest level first, in the order of the flow's forward pass. All operations return new
`Latents`; none changes its inputs.
"""

from __future__ import annotations

from srflow.latents.drawing import check_seed, draw, draw_region
from srflow.latents.editing import mix, replace, walk
from srflow.latents.files import read_metadata
from srflow.latents.levels import Latents
from srflow.latents.maps import Temperature, resize_map

__all__ = [
    "Latents",
    "Temperature",
    "check_seed",
    "draw",
    "draw_region",
    "mix",
    "read_metadata",
    "replace",
    "resize_map",
    "walk",
]

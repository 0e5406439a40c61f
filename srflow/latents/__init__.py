"""Latents: what a flow turns a picture into, and what is drawn, scaled, mixed and edited to get new pictures.

One tensor per level, finest level first, the order in which the flow's forward pass emits them. All operations return
new `Latents`; none writes into the tensors that it was given.
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

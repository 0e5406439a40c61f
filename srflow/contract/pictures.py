"""Pictures as read from files: pixels and metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "Metadata",
    "Picture",
    "picture_sha256",
]


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The metadata of a picture file; all of it may be copied to another file.

    dpi: pixels per inch, horizontally and vertically.
    exif: a TIFF block (without the "Exif" prefix) of the tags that remain true for an enlarged picture: no orientation,
        sizes or thumbnail.
    xmp: an XMP packet.
    text: of a PNG, by name.
    """

    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    text: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture as read from a file.

    pixels: (H, W, 3), uint8, or uint16 if requested; sRGB. Under full transparency they continue the neighbouring
    colours, so that no other colours bleed into the edge when the picture is enlarged.
    alpha: (H, W) of the same type, the opacity; None if the picture is fully opaque.
    is_grey: whether red, green and blue are equal everywhere.
    notes: how the file was converted, in short phrases, e.g. "Display P3 → sRGB", "first of 3 pages".
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    is_grey: bool = False
    notes: tuple[str, ...] = ()
    metadata: Metadata = Metadata()

    def on_white(self) -> np.ndarray:
        """Return the pixels as they look on white, (H, W, 3)."""
        if self.alpha is None:
            return self.pixels
        top = int(np.iinfo(self.pixels.dtype).max)
        colour, weight = self.pixels.astype(np.uint32), self.alpha.astype(np.uint32)[..., None]
        mixed = (colour * weight + top * (top - weight) + top // 2) // top
        return mixed.astype(self.pixels.dtype)


#
# Pictures are uint8 arrays, (H, W, 3), RGB. Nothing here is a tensor, and nothing refers to a device's memory.


def picture_sha256(picture: np.ndarray) -> str:
    """Return the SHA-256 of a picture's size and pixels (not of a file), which identifies a recipe's LR picture."""
    digest = hashlib.sha256(f"{picture.shape}".encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()

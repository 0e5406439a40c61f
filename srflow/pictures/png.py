"""Reads PNGs with all their bits: Pillow decodes 16-bit colour to 8 bits, and misreads some transparent colours."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin

__all__ = ["is_deep", "key_alpha", "plain_grey", "png_bits", "read_deep"]


def is_deep(header: bytes) -> bool:
    """Return whether a PNG has 16 bits per value, by the content of its IHDR chunk."""
    return len(header) >= 10 and header[8] == 16


def png_bits(path: str | Path) -> int:
    """Return the bits of each value in a PNG; IHDR is always the first chunk."""
    with Path(path).open("rb") as file:
        return file.read(25)[24]


def read_deep(file: BinaryIO, image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """Read the first picture of a 16-bit PNG: uint16, (H, W) or (H, W, 3), and its alpha channel, uint16 (H, W), if
    any.

    image: of the same file, opened and not loaded. Pillow has no mode with 16 bits and several channels, but it can
    return the first bytes of all values, and then the second ones.
    """
    arguments = image.tile[0].args
    raw = str(arguments if isinstance(arguments, str) or arguments is None else arguments[0])
    if raw == "I;16B":
        image.load()
        return np.asarray(image).astype(np.uint16), None
    if raw == "LA;16B":  # four bytes per pixel, as in 8-bit RGBA
        image.tile = [image.tile[0]._replace(args="RGBA")]
        image.load()
        values = np.asarray(image).view(">u2").astype(np.uint16)
        return values[..., 0], values[..., 1]
    image.load()
    high = np.asarray(image)
    file.seek(0)
    second = PngImagePlugin.PngImageFile(file, "")
    second.tile = [second.tile[0]._replace(args=raw.replace("16B", "16L"))]
    second.load()
    values = np.left_shift(high.astype(np.uint16), 8)
    values |= np.asarray(second)
    return values[..., :3], values[..., 3] if values.shape[2] == 4 else None


def key_alpha(values: np.ndarray, chunks: Mapping[bytes, bytes]) -> np.ndarray | None:
    """Return the alpha channel for a PNG's transparent colour; None: it names none.

    values: (H, W) or (H, W, 3), uint8 or uint16, grey of 1, 2 and 4 bits scaled to 8. Palettes are handled by Pillow.
    """
    header, key = chunks.get(b"IHDR", b""), chunks.get(b"tRNS")
    if key is None or len(header) < 10:
        return None
    bits, kind = header[8], header[9]
    if kind == 0 and len(key) >= 2:
        (colour,) = struct.unpack_from(">H", key)
        if bits < 8:
            colour = (colour & ((1 << bits) - 1)) * 255 // ((1 << bits) - 1)
        elif bits == 8:
            colour &= 255
        see_through = values == colour
    elif kind == 2 and len(key) >= 6:
        colours = struct.unpack_from(">HHH", key)
        if bits == 8:
            colours = tuple(colour & 255 for colour in colours)
        see_through = (values == np.array(colours, values.dtype)).all(axis=2)
    else:
        return None
    return np.where(see_through, 0, np.iinfo(values.dtype).max).astype(values.dtype)


def plain_grey(image: Image.Image) -> np.ndarray:
    """Convert grey of at most 8 bits, modes 1 and L, to uint8 (H, W)."""
    return np.asarray(image.convert("L") if image.mode == "1" else image)

"""Writes PNG files that Pillow cannot write, or not from files: strip by strip, and with 16 bits (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import IO

import numpy as np

__all__ = ["write_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels
_UP = 2  # filter: each byte minus the one above it, which compresses photographs well and is fast in numpy
_STRIP_BYTES = 1 << 24
_COMPRESSION = 3


def write_png(
    file: IO[bytes], array: np.ndarray, alpha: np.ndarray | None = None, chunks: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    r"""Write a picture; at most a few strips of it and of the output are in memory at once.

    Args:
        array: uint8 or uint16, (H, W, 3) RGB or (H, W) grey; may be mapped from a file.
        alpha: (H, W), of the same type.
        chunks: name and content of other chunks to write before the pixels, e.g. (b"tEXt", b"name\0value").
    """
    height, width = array.shape[:2]
    channels = (array.shape[2] if array.ndim == 3 else 1) + (alpha is not None)
    size = array.dtype.itemsize
    file.write(_SIGNATURE)
    header = struct.pack(">IIBBBBB", width, height, 8 * size, _COLOUR_TYPES[channels], 0, 0, 0)
    _write_chunk(file, b"IHDR", header)
    for name, content in chunks:
        _write_chunk(file, name, content)
    compressor = zlib.compressobj(_COMPRESSION)
    row_bytes = width * channels * size
    above = np.zeros((1, row_bytes), np.uint8)
    strip = max(1, _STRIP_BYTES // row_bytes)
    for top in range(0, height, strip):
        values = array[top : top + strip]
        if alpha is not None:
            values = np.concatenate([np.atleast_3d(values), alpha[top : top + strip, :, None]], axis=2)
        rows = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder(">")).view(np.uint8).reshape(-1, row_bytes)
        lines = np.empty((len(rows), 1 + row_bytes), np.uint8)
        lines[:, 0] = _UP
        np.subtract(rows, np.concatenate([above, rows[:-1]]), out=lines[:, 1:])  # modulo 256
        above = rows[-1:]
        _write_chunk(file, b"IDAT", compressor.compress(lines.tobytes()))
    _write_chunk(file, b"IDAT", compressor.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: IO[bytes], name: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + name + content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))

"""PNG files of pictures that do not fit into memory: written strip by strip (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import IO

import numpy as np

__all__ = ["write_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2  # colour type
_UP = 2  # filter: every byte less the one above it, which photographs pack well with and numpy computes in one go
_STRIP_BYTES = 1 << 24
_COMPRESSION = 3


def write_png(file: IO[bytes], array: np.ndarray, chunks: Iterable[tuple[bytes, bytes]] = ()) -> None:
    r"""Write a picture; of it and of what is made of it, no more than a few strips are in memory at once.

    Args:
        array: uint8 (H, W, 3), RGB; may be mapped from a file.
        chunks: name and content of others to be written before the pixels, e.g. (b"tEXt", b"name\0value").
    """
    height, width = array.shape[:2]
    file.write(_SIGNATURE)
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _RGB, 0, 0, 0))
    for name, content in chunks:
        _write_chunk(file, name, content)
    compressor = zlib.compressobj(_COMPRESSION)
    above = np.zeros((1, width * 3), np.uint8)
    strip = max(1, _STRIP_BYTES // (width * 3))
    for top in range(0, height, strip):
        rows = np.ascontiguousarray(array[top : top + strip]).reshape(-1, width * 3)
        lines = np.empty((len(rows), 1 + width * 3), np.uint8)
        lines[:, 0] = _UP
        np.subtract(rows, np.concatenate([above, rows[:-1]]), out=lines[:, 1:])  # modulo 256
        above = rows[-1:]
        _write_chunk(file, b"IDAT", compressor.compress(lines.tobytes()))
    _write_chunk(file, b"IDAT", compressor.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: IO[bytes], name: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + name + content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))

"""Decodes TIFF data for which tifffile needs imagecodecs: LZW, PackBits, float predictors, 12 bits.

The segments of a page are decoded here, and passed to tifffile as an uncompressed file.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import TiffImagePlugin

from srflow.contract import ImageError

__all__ = ["needs_repacking", "repack"]

_NONE, _LZW, _PACKBITS = 1, 5, 32773
_DEFLATE = (8, 32946)
_FLOAT_PREDICTOR = 3
_SLACK_BYTES = 1 << 26  # maximum for a small picture in one large tile
_HEADER_BYTES = 8 + 2 + 10 * 12 + 4  # of a TIFF with one directory of ten entries


def needs_repacking(page: tifffile.TiffPage) -> bool:
    """Return whether tifffile alone cannot decode a page, or only slowly."""
    if tifffile.TIFF.DECOMPRESSORS is not None and _has_imagecodecs():
        return False
    return (
        page.compression in (_LZW, _PACKBITS)
        or page.predictor == _FLOAT_PREDICTOR
        or page.bitspersample not in (1, 8, 16, 32, 64)
    )


def _has_imagecodecs() -> bool:
    return _LZW in tifffile.TIFF.DECOMPRESSORS


def repack(file: BinaryIO, page: tifffile.TiffPage, number: int, name: str) -> bytes:
    """Return the file with that page uncompressed. Raises ImageError: it needs the package imagecodecs."""
    bits, predictor = page.bitspersample, page.predictor
    if page.compression not in (_NONE, _LZW, _PACKBITS, *_DEFLATE) or predictor not in (1, 2, 3):
        raise ImageError(
            f"{name}: a TIFF compressed by {page.compression!r}, which needs a package: pip install imagecodecs."
        )
    if not isinstance(bits, int) or not (bits in (8, 16, 32, 64) or (1 <= bits < 16 and predictor == 1)):
        raise ImageError(f"{name}: a TIFF of {bits} bits in this arrangement needs a package: pip install imagecodecs.")
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    width = page.tilewidth if page.is_tiled else page.imagewidth
    rows_each = page.tilelength if page.is_tiled else min(page.rowsperstrip or page.imagelength, page.imagelength)
    row_bytes = (width * samples * bits + 7) // 8
    strips = max(1, -(-page.imagelength // rows_each))
    segments: list[bytes] = []
    total = 0
    for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        rows = rows_each
        if not page.is_tiled:
            rows = min(rows_each, page.imagelength - index % strips * rows_each)
        total += rows * row_bytes
        if total > _SLACK_BYTES + 8 * page.imagelength * row_bytes * page.samplesperpixel:
            raise ImageError(f"{name}: a TIFF whose segments are larger than the picture.")
        file.seek(offset)
        segment = _decompressed(file.read(size), rows * row_bytes, page.compression, page.fillorder)
        if predictor == _FLOAT_PREDICTOR:
            segment = _undo_float_predictor(segment, rows, width, samples, bits // 8, page.parent.byteorder)
        if bits not in (8, 16, 32, 64):
            segment = _unpacked(segment, rows, row_bytes, width * samples, bits, page.parent.byteorder)
        segments.append(segment)
    return _rewritten(file, page, number, segments, is_unpacked=bits not in (8, 16, 32, 64))


def _rewritten(
    file: BinaryIO, page: tifffile.TiffPage, number: int, segments: list[bytes], *, is_unpacked: bool
) -> bytes:
    file.seek(0)
    stream = io.BytesIO(file.read())
    stream.seek(0, 2)
    stream.write(bytes(stream.tell() % 2))
    offsets, sizes = [], []
    for segment in segments:
        offsets.append(stream.tell())
        sizes.append(len(segment))
        stream.write(segment)
    stream.seek(0)
    with tifffile.TiffFile(stream, mode="r+") as tif:
        tags = tif.pages[number].tags
        places, lengths = (324, 325) if page.is_tiled else (273, 279)
        kind = 4 if max(offsets, default=0) < 1 << 32 else 16
        tags[places].overwrite(tuple(offsets), dtype=kind)
        if lengths in tags:
            tags[lengths].overwrite(tuple(sizes), dtype=kind)
        tags[259].overwrite(_NONE)
        if 317 in tags and page.predictor == _FLOAT_PREDICTOR:
            tags[317].overwrite(1)
        if 266 in tags:
            tags[266].overwrite(1)
        if is_unpacked:
            tags[258].overwrite((16,) * page.samplesperpixel)
    return stream.getvalue()


def _decompressed(data: bytes, size: int, compression: int, fillorder: int) -> bytes:
    if compression in _DEFLATE:
        content = zlib.decompressobj().decompress(data, size)
    elif compression in (_LZW, _PACKBITS):
        return _by_pillow(data, size, compression, fillorder)
    else:
        content = data[:size]
    if len(content) < size:
        raise ValueError(f"a segment of {len(content)} bytes instead of {size}")
    if fillorder == 2 and compression == _NONE:
        content = np.packbits(np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")).tobytes()
    return content


def _by_pillow(data: bytes, size: int, compression: int, fillorder: int) -> bytes:
    """Decode bytes with libtiff: as the only strip of a grey picture of that many pixels in one row."""
    entries = [
        *((256, 4, size), (257, 4, 1), (258, 3, 8), (259, 3, compression), (262, 3, 1)),
        *((266, 3, fillorder), (273, 4, _HEADER_BYTES), (277, 3, 1), (278, 4, 1), (279, 4, len(data))),
    ]
    header = b"II*\0" + struct.pack("<IH", 8, len(entries))
    header += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    with TiffImagePlugin.TiffImageFile(io.BytesIO(header + bytes(4) + data), "") as image:
        return image.tobytes()


def _undo_float_predictor(segment: bytes, rows: int, width: int, samples: int, size: int, byteorder: str) -> bytes:
    """Undo the predictor of TIFF Technical Note 3: byte differences, first bytes of a row, then second ones, …"""
    planes = np.frombuffer(segment, np.uint8).reshape(rows, -1, samples)
    summed = np.cumsum(planes, axis=1, dtype=np.uint8).reshape(rows, size, width * samples)
    values = np.ascontiguousarray(summed.transpose(0, 2, 1))  # big-endian, regardless of the file's byte order
    return (values if byteorder == ">" else values[..., ::-1]).tobytes()


def _unpacked(segment: bytes, rows: int, row_bytes: int, count: int, bits: int, byteorder: str) -> bytes:
    """Unpack numbers of an odd number of bits to 16 bits; white stays white."""
    packed = np.frombuffer(segment, np.uint8).reshape(rows, row_bytes)
    places = np.unpackbits(packed, axis=1)[:, : count * bits].reshape(rows, count, bits)
    values = places @ (1 << np.arange(bits - 1, -1, -1, dtype=np.uint32))
    top = (1 << bits) - 1
    return ((values * 65535 + top // 2) // top).astype(f"{byteorder}u2").tobytes()

"""Colours that a file declares by numbers, without an ICC profile: PNG's chunks, and the nclx box of AVIF and HEIC.

PNG, third edition: cICP has priority over iCCP, iCCP over sRGB, sRGB over gAMA and cHRM. The codes are those of ITU-T
H.273.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from srflow.contract import ImageError
from srflow.pictures.colour import BT709_CURVE, Space, decode_curve, primaries_matrix

__all__ = ["declared_by_nclx", "declared_by_png", "read_png_chunks"]

_WANTED = (b"IHDR", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"tRNS", b"sBIT")
_MAX_CHUNK = 1 << 20  # of the chunks that are read; the content of a profile is not read here

_D65 = (0.3127, 0.3290)
_PRIMARIES = {  # H.273, table 2: name, white, red, green, blue
    1: ("BT.709", _D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    4: ("BT.470 M", (0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: ("BT.470 BG", _D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: ("BT.601", _D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: ("SMPTE 240M", _D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: ("BT.2020", _D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ("DCI-P3", (0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: ("Display P3", _D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_CURVES = {4: 2.2, 5: 2.8, 8: 1.0, 13: None}  # H.273, table 3: powers; None is sRGB's own curve
_VIDEO_CURVES = (1, 6, 14, 15)  # all BT.709's
_HDR = {16: "PQ", 18: "HLG"}
_UNSPECIFIED = 2


def read_png_chunks(file: BinaryIO) -> dict[bytes, bytes]:
    """Read the chunks before a PNG's pixels that define its colours, by name, without iCCP's content.

    The file's position is restored. From a damaged file all readable chunks are returned; decoding reports the damage.
    """
    start = file.tell()
    chunks: dict[bytes, bytes] = {}
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name in (b"IDAT", b"IEND"):
            break
        if name in _WANTED and name not in chunks and size <= _MAX_CHUNK:
            content = b"" if name == b"iCCP" else file.read(size)
            if name == b"iCCP":
                file.seek(size, 1)
            chunks[name] = content
            file.seek(4, 1)
        else:
            file.seek(size + 4, 1)
    file.seek(start)
    return chunks


def declared_by_png(chunks: Mapping[bytes, bytes], name: str) -> Space | None:
    """Return the space that a PNG's chunks define; None: sRGB, or its ICC profile decides. name: the file's, for
    messages.

    Raises: ImageError: it is coded for HDR, or in an unknown way.
    """
    if len(chunks.get(b"cICP", b"")) == 4:
        return _by_codes(*chunks[b"cICP"], name=name, is_video=False)
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return None
    exponent, matrix, label = None, None, []
    if len(chunks.get(b"gAMA", b"")) == 4:
        (value,) = struct.unpack(">I", chunks[b"gAMA"])
        # 45455 stands for sRGB, whose curve is not a power; programs round it in several ways.
        if value and not 45000 <= value <= 46000:
            exponent = 100_000 / value
            label.append(f"gamma {value / 100_000:.4g}")
    if len(chunks.get(b"cHRM", b"")) == 32:
        values = [number / 100_000 for number in struct.unpack(">8I", chunks[b"cHRM"])]
        points = list(zip(values[::2], values[1::2], strict=True))
        if not np.allclose(points, [_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)], atol=0.002):
            matrix = primaries_matrix(*points)
            if matrix is not None:
                label.append("primaries by cHRM")
                if exponent is None and b"gAMA" in chunks:
                    exponent = 100_000 / struct.unpack(">I", chunks[b"gAMA"])[0] if any(chunks[b"gAMA"]) else None
    if not label:
        return None
    return Space(" and ".join(label), decode_curve(exponent), matrix)


def declared_by_nclx(prefix: bytes, name: str) -> Space | None:
    """Return the space that the nclx box defines, from the first bytes of an AVIF or HEIC file; None: sRGB or no box.

    Raises: ImageError: it is coded for HDR.
    """
    at = prefix.find(b"colrnclx")
    if at < 0 or len(prefix) < at + 14:
        return None
    primaries, transfer = struct.unpack_from(">HH", prefix, at + 8)
    # The range is that of the luma, which the decoder has already converted to full-range RGB.
    return _by_codes(primaries, transfer, 0, 1, name=name, is_video=True)


def _by_codes(
    primaries: int, transfer: int, matrix: int, full_range: int, *, name: str, is_video: bool
) -> Space | None:
    if transfer in _HDR:
        raise ImageError(
            f"{name}: is coded for HDR screens ({_HDR[transfer]}), which has no unique conversion to sRGB. Save it "
            "as an ordinary 8-bit or 16-bit picture first."
        )
    if (
        matrix != 0
        or transfer not in (*_CURVES, *_VIDEO_CURVES, _UNSPECIFIED)
        or (primaries not in _PRIMARIES and primaries != _UNSPECIFIED)
    ):
        raise ImageError(
            f"{name}: its colours are coded in an unknown way (H.273 codes {primaries}, {transfer}, {matrix}). "
            "Save it as sRGB first."
        )
    # Video files name BT.709's curve for content to be shown like sRGB; a PNG that names it means the curve.
    if transfer == _UNSPECIFIED or (transfer in _VIDEO_CURVES and is_video):
        curve = decode_curve(None)
    else:
        curve = BT709_CURVE if transfer in _VIDEO_CURVES else decode_curve(_CURVES[transfer])
    found = _PRIMARIES.get(primaries, _PRIMARIES[1])
    label = found[0] if transfer != 8 else f"{found[0]}, linear"
    return Space(label, curve, None if found[0] == "BT.709" else primaries_matrix(*found[1:]), bool(full_range))

"""Reads ICC profiles of curves and a matrix, for pictures of more than 8 bits (ICC.1:2022, clauses 8, 10).

Little CMS, as used by Pillow, converts only 8-bit pictures; in a linear-light profile that destroys the shadows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["MatrixProfile", "colour_space_of", "read_matrix_profile"]

Curve = Callable[[np.ndarray], np.ndarray]
"""Maps device values in [0, 1] to linear light in [0, 1], elementwise."""


@dataclass(frozen=True)
class MatrixProfile:
    """A profile's curves, of red, green and blue, or of grey alone. matrix: (3, 3), linear RGB → XYZ under D50; None
    for grey.
    """

    curves: tuple[Curve, ...]
    matrix: np.ndarray | None


def colour_space_of(profile: bytes) -> str:
    """Return the kind of picture a profile is for: "RGB", "GRAY", "CMYK", "Lab", …; "" if unknown."""
    return profile[16:20].decode("latin-1").strip() if len(profile) >= 128 else ""


def read_matrix_profile(profile: bytes) -> MatrixProfile | None:
    """Read the curves and the matrix of a profile; None if it uses tables, is damaged, or is for something else."""
    try:
        tags = _read_tags(profile)
        if colour_space_of(profile) == "GRAY" and "kTRC" in tags:
            return MatrixProfile((_read_curve(tags["kTRC"]),), None)
        if colour_space_of(profile) != "RGB" or "A2B0" in tags or "D2B0" in tags:
            return None
        curves = tuple(_read_curve(tags[name]) for name in ("rTRC", "gTRC", "bTRC"))
        columns = [struct.unpack(">3i", tags[name][8:20]) for name in ("rXYZ", "gXYZ", "bXYZ")]
        return MatrixProfile(curves, np.array(columns, dtype=np.float64).T / 65536)
    except (KeyError, ValueError, struct.error, IndexError):
        return None


def _read_tags(profile: bytes) -> dict[str, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > 200:
        raise ValueError("too many tags")
    tags = {}
    for number in range(count):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if start + size > len(profile):
            raise ValueError("a tag lies outside the profile")
        tags[name.decode("latin-1")] = profile[start : start + size]
    return tags


def _read_curve(tag: bytes) -> Curve:
    kind = tag[:4]
    if kind == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return lambda x: x
        if count == 1:
            gamma = struct.unpack_from(">H", tag, 12)[0] / 256
            return lambda x: np.power(x, gamma)
        table = np.frombuffer(tag, ">u2", count, 12) / 65535
        places = np.linspace(0.0, 1.0, count)
        return lambda x: np.interp(x, places, table)
    if kind == b"para":
        (parametric_kind,) = struct.unpack_from(">H", tag, 8)
        return _parametric(parametric_kind, tag[12:])
    raise ValueError(f"a curve of unknown kind {kind!r}")


def _parametric(kind: int, content: bytes) -> Curve:
    """Return the curve of Table 70 of ICC.1:2022: y = (a x + b)^g + e from x = d on, otherwise c x + f."""
    count = (1, 3, 4, 5, 7)[kind]
    values = [number / 65536 for number in struct.unpack_from(f">{count}i", content)]
    g, a, b, c, d, e, f = 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind == 0:
        (g,) = values
    elif kind == 1:
        g, a, b = values
        d = -b / a
    elif kind == 2:
        g, a, b, e = values
        d, f = -b / a, e
    elif kind == 3:
        g, a, b, c, d = values
    else:
        g, a, b, c, d, e, f = values
    return lambda x: np.where(x >= d, np.power(np.maximum(a * x + b, 0.0), g) + e, c * x + f)

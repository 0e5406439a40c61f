"""Converts any colours in a file to sRGB, by what its profile or its chunks define, never by their names."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageCms

from srflow.pictures.icc import MatrixProfile, colour_space_of, read_matrix_profile

__all__ = [
    "ADOBE_RGB",
    "BT709_CURVE",
    "Space",
    "apply_profile",
    "apply_profile_deep",
    "apply_space",
    "decode_curve",
    "fits",
    "lab_to_srgb",
    "primaries_matrix",
    "srgb_encode",
    "to_depth",
]

Curve = Callable[[np.ndarray], np.ndarray]

_D50 = np.array([0.9642, 1.0, 0.8249])
_D65_XY = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_STRIP_VALUES = 1 << 22  # pixels that are converted at once, as float64
_NEGLIGIBLE = 1  # 8-bit levels


@dataclass(frozen=True)
class Space:
    """An RGB space that a file declares without a profile.

    name: for people.
    to_linear: the transfer function, coded → linear, both in [0, 1].
    matrix: (3, 3), linear RGB → XYZ under D50; None: sRGB's primaries.
    full_range: False for video levels, 16 to 235 of 255.
    """

    name: str
    to_linear: Curve
    matrix: np.ndarray | None = None
    full_range: bool = True


# -- curves and matrices -----------------------------------------------------------------------------------------------


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """Convert linear light in [0, 1] to sRGB's coded value in [0, 1] (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(np.maximum(linear, 0.0), 1 / 2.4) - 0.055)


def _srgb_decode(coded: np.ndarray) -> np.ndarray:
    return np.where(coded <= 0.04045, coded / 12.92, np.power((coded + 0.055) / 1.055, 2.4))


def _bt709_decode(coded: np.ndarray) -> np.ndarray:
    return np.where(coded < 0.081, coded / 4.5, np.power((coded + 0.099) / 1.099, 1 / 0.45))


def decode_curve(exponent: float | None) -> Curve:
    """Convert coded values to linear ones by a power; None: by sRGB's curve."""
    return _srgb_decode if exponent is None else lambda coded: np.power(coded, exponent)


BT709_CURVE: Curve = _bt709_decode


def primaries_matrix(white: tuple[float, float], *primaries: tuple[float, float]) -> np.ndarray | None:
    """Return the matrix linear RGB → XYZ under D50, (3, 3), for the chromaticities (x, y) of white, red, green and
    blue.

    Returns: None if they are impossible: zero, or all on one line.
    """
    try:
        columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
        white_xyz = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
        matrix = columns * np.linalg.solve(columns, white_xyz)
        scale = (_BRADFORD @ _D50) / (_BRADFORD @ white_xyz)
        matrix = np.linalg.solve(_BRADFORD, scale[:, None] * (_BRADFORD @ matrix))
    except (ZeroDivisionError, np.linalg.LinAlgError):
        return None
    return matrix if np.isfinite(matrix).all() else None


@cache
def _srgb_matrix() -> np.ndarray:
    matrix = primaries_matrix(_D65_XY, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
    assert matrix is not None
    return matrix


ADOBE_RGB = Space(
    "Adobe RGB (by its EXIF data)",
    decode_curve(563 / 256),
    primaries_matrix(_D65_XY, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
)


# -- values of any depth -----------------------------------------------------------------------------------------------


def to_depth(values: np.ndarray, dtype: type) -> np.ndarray:
    """Convert uint8, uint16 or float in [0, 1] to uint8 or uint16, rounded; no copy if the type is right already."""
    if values.dtype == dtype:
        return values
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if values.dtype == np.uint8:
        return values.astype(np.uint16) * np.uint16(257)
    return np.rint(np.clip(values, 0.0, 1.0) * np.iinfo(dtype).max).astype(dtype)


def _to_unit(values: np.ndarray) -> np.ndarray:
    """Convert any depth to float64 in [0, 1]."""
    if values.dtype.kind == "f":
        return np.clip(values.astype(np.float64), 0.0, 1.0)
    return values.astype(np.float64) / np.iinfo(values.dtype).max


def _in_strips(values: np.ndarray, dtype: type, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Map (H, W, C) or (H, W) to (H, W, 3) strip by strip, because float64 takes eight times as much memory."""
    height, width = values.shape[:2]
    result: np.ndarray = np.empty((height, width, 3), dtype)
    rows = max(1, _STRIP_VALUES // max(1, width * 3))
    for top in range(0, height, rows):
        result[top : top + rows] = to_depth(convert(values[top : top + rows]), dtype)
    return result


# -- spaces that a file declares by numbers ----------------------------------------------------------------------------


def apply_space(values: np.ndarray, space: Space, dtype: type) -> tuple[np.ndarray, bool]:
    """Convert grey (H, W) or RGB (H, W, 3) of any depth to sRGB (H, W, 3) of `dtype`; say whether anything changed.

    The picture is unchanged if no colour moves by more than a level of 255.
    """

    def convert(part: np.ndarray) -> np.ndarray:
        coded = _to_unit(part if part.ndim == 3 else np.repeat(part[..., None], 3, axis=2))
        if not space.full_range:
            coded = np.clip((coded * 255 - 16) / 219, 0.0, 1.0)
        linear = space.to_linear(coded)
        if space.matrix is not None:
            linear = linear @ np.linalg.solve(_srgb_matrix(), space.matrix).T
        return srgb_encode(np.clip(linear, 0.0, 1.0))

    grid = _grid()
    moved = np.abs(np.rint(convert(grid[None])[0] * 255) - grid).max()
    if moved <= _NEGLIGIBLE:
        return _as_rgb(values, dtype), False
    if values.dtype == np.uint8 and space.matrix is None and dtype is np.uint8:
        table = to_depth(convert(np.arange(256, dtype=np.uint8)[None])[0, :, 0], np.uint8)
        return _as_rgb(table[values], dtype), True
    return _in_strips(values, dtype, convert), True


@cache
def _grid() -> np.ndarray:
    """Return colours for testing a conversion: all greys, and a cube of nine levels a side. uint8, (N, 3)."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    return np.concatenate([greys, cube])


def _as_rgb(values: np.ndarray, dtype: type) -> np.ndarray:
    values = to_depth(values, dtype)
    return values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)


# -- ICC profiles ------------------------------------------------------------------------------------------------------


def apply_profile(image: Image.Image, profile: bytes) -> tuple[Image.Image, str | None]:
    """Convert an 8-bit picture, mode L, RGB or CMYK, to RGB or L in sRGB, by Little CMS.

    Returns: the picture, and a description of the conversion; None: nothing was changed, because the profile is broken,
        made for another kind of picture, or moves no colour by more than a level.
    """
    found = _transform(profile, image.mode)
    if found is None:
        return image, None
    transform, name, moves = found
    if image.mode != "CMYK" and not moves:
        return image, None
    try:
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image, None
    assert converted is not None  # the result of converting in place
    return converted, f"{name} → sRGB"


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform, str, bool] | None:
    """Return the transform to sRGB, the profile's name, and whether it moves any colour. None: it cannot be used."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = " ".join(ImageCms.getProfileDescription(source).split())[:60] or "colour profile without a name"
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
        if mode == "CMYK":
            return transform, name, True
        grid = _grid() if mode == "RGB" else _grid()[:256, :1].repeat(3, axis=1)
        tried = Image.fromarray(grid[None] if mode == "RGB" else np.ascontiguousarray(grid[None, :, 0]))
        result = np.asarray(ImageCms.applyTransform(tried, transform))[0].astype(int)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # unconverted colours are better than no picture
    return transform, name, bool(np.abs(result - grid).max() > _NEGLIGIBLE)


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def apply_profile_deep(values: np.ndarray, profile: bytes, dtype: type) -> tuple[np.ndarray, str | None]:
    """Convert uint16 or float, grey (H, W) or RGB (H, W, 3), to sRGB (H, W, 3) of `dtype`, as `apply_profile` does.

    Profiles of curves and a matrix are applied to all bits; those with tables are applied to 8 bits, by Little CMS.
    """
    mode = "L" if values.ndim == 2 else "RGB"
    found = _transform(profile, mode)
    if found is None or not found[2]:
        return _as_rgb(values, dtype), None
    name = found[1]
    exact = read_matrix_profile(profile)
    if exact is not None and len(exact.curves) == (1 if mode == "L" else 3):
        return _in_strips(values, dtype, lambda part: _by_matrix(part, exact)), f"{name} → sRGB"
    image, done = apply_profile(Image.fromarray(to_depth(values, np.uint8)), profile)
    return _as_rgb(np.asarray(image.convert("RGB")), dtype), done and f"{done} (in 8 bits)"


def _by_matrix(part: np.ndarray, profile: MatrixProfile) -> np.ndarray:
    coded = _to_unit(part)
    if profile.matrix is None:
        return np.repeat(srgb_encode(np.clip(profile.curves[0](coded), 0.0, 1.0))[..., None], 3, axis=2)
    linear = np.stack([curve(coded[..., i]) for i, curve in enumerate(profile.curves)], axis=-1)
    linear = linear @ np.linalg.solve(_srgb_matrix(), profile.matrix).T
    return srgb_encode(np.clip(linear, 0.0, 1.0))


def fits(profile: bytes, mode: str) -> bool:
    """Return whether a profile is for pictures of that mode: L, RGB or CMYK."""
    return colour_space_of(profile) == {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[mode]


# -- CIE Lab -----------------------------------------------------------------------------------------------------------


def lab_to_srgb(lab: np.ndarray, dtype: type) -> np.ndarray:
    """Convert (H, W, 3) of L* from 0 to 100, a* and b*, under D50, to sRGB (H, W, 3) of `dtype`."""

    def convert(part: np.ndarray) -> np.ndarray:
        fy = (part[..., 0] + 16) / 116
        f = np.stack([fy + part[..., 1] / 500, fy, fy - part[..., 2] / 200], axis=-1)
        xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _D50
        return srgb_encode(np.clip(xyz @ np.linalg.inv(_srgb_matrix()).T, 0.0, 1.0))

    return _in_strips(lab, dtype, convert)

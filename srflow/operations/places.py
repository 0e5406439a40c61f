"""Finds regions by a rule instead of by hand, as soft masks for calming them with `Heat`."""

from __future__ import annotations

import numpy as np

from srflow.errors import OperationError
from srflow.luma import LUMA
from srflow.operations.masks import Mask

__all__ = ["changed_place", "flat_areas", "uncertain_areas"]

_FLAT, _DETAILED = 3.0, 9.0  # contrast in 5x5 pixels, in grey levels, of fully flat and of not flat areas
_WINDOW = 2  # pixels on each side
_LEAST = 0.5  # of the 7x7 pixels around one that must also be flat: a flat speck between two leaves does not count
_LEAST_HEAT = 0.2  # of the temperature remains where samples differ most
_STEPS = 8  # of strength: finer steps are invisible, and cost runs


def flat_areas(lr: np.ndarray) -> Mask:
    """Find where a picture has no detail, e.g. sky or walls: 255 where it is flat, less where it is less flat.

    It uses the standard deviation of luma (BT.601) in 5x5 pixels. Strong noise and grain count as detail.

    Args: lr: uint8, (h, w, 3).
    Raises: OperationError: nothing in it is flat.
    """
    luma = np.asarray(lr, float) @ LUMA
    mean = _box(luma, _WINDOW)
    contrast = np.sqrt(np.maximum(_box(luma * luma, _WINDOW) - mean * mean, 0.0))
    flat = _ramp((_DETAILED - contrast) / (_DETAILED - _FLAT))
    around = _box(flat, _WINDOW + 1)
    return _mask(
        _box(flat * (around >= _LEAST), 1),
        "Nothing in this picture is flat enough: there is detail everywhere. Paint the region by hand.",
    )


def uncertain_areas(deviation: np.ndarray, width: int, height: int) -> Mask:
    """Find where samples differ much: stronger where they differ more, so that afterwards all regions differ about
    equally.

    With it as the mask of a `Heat` to 0, the temperature T becomes T min(1, median of σ / σ), but at least a fifth of
    T.

    Args:
        deviation: σ over the samples, (H, W), whole multiples of the LR picture's height and width.
        width, height: of the LR picture.
    Raises: OperationError: sizes do not fit, or the samples differ equally everywhere.
    """
    rows, columns = deviation.shape
    if rows % height or columns % width:
        raise OperationError(f"A map of {columns}x{rows} pixels does not fit an LR picture of {width}x{height}.")
    blocks = deviation.reshape(height, rows // height, width, columns // width).mean((1, 3), dtype=float)
    smooth = _box(blocks, _WINDOW)
    usual = np.median(smooth)
    heat = np.clip(usual / np.maximum(smooth, 1e-9), _LEAST_HEAT, 1.0) if usual > 0 else 1.0 - (smooth > 0)
    return _mask(1.0 - heat, "The samples differ about equally everywhere: no region is more uncertain than others.")


def _mask(share: np.ndarray, words: str) -> Mask:
    """Quantise to a few steps of strength. words: of the error if it is 0 everywhere."""
    steps = np.rint(share * (_STEPS - 1)) * (255 / (_STEPS - 1))
    array = np.rint(steps).astype(np.uint8)
    if not array.any():
        raise OperationError(words)
    return Mask.from_array(array)


def changed_place(before: np.ndarray, after: np.ndarray, scale: int, tolerance: int) -> Mask | None:
    """Return the LR pixels in which two pictures, uint8 (s h, s w, 3), differ by more than `levels`; None: nowhere."""
    differs = (np.abs(before.astype(np.int16) - after) > tolerance).any(-1)
    height, width = differs.shape
    cells = differs.reshape(height // scale, scale, width // scale, scale).any((1, 3))
    return Mask.from_array(cells.astype(np.uint8) * 255) if cells.any() else None


def _ramp(values: np.ndarray) -> np.ndarray:
    """Return 0 below 0, 1 above 1, and a smooth transition in between."""
    t = np.clip(values, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _box(values: np.ndarray, reach: int) -> np.ndarray:
    """Return the mean over a square around each pixel, with the border repeated."""
    result = values
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (reach, reach)
        padded = np.pad(result, padding, mode="edge")
        result = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis).mean(-1)
    return result

"""Opacity: colours under transparent pixels must not show when a picture is enlarged."""

from __future__ import annotations

import numpy as np

__all__ = ["continue_colours", "unpremultiply"]


def unpremultiply(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Undo the multiplication of colours by their opacity. (H, W, C) or (H, W), and (H, W); of one type."""
    weight = alpha if values.ndim == 2 else alpha[..., None]
    if values.dtype.kind == "f":
        return np.clip(values / np.where(weight > 0, weight, 1), 0, 1)
    top = int(np.iinfo(values.dtype).max)
    weight = weight.astype(np.uint32)
    divided = (values.astype(np.uint32) * top + weight // 2) // np.maximum(weight, 1)
    return np.minimum(divided, top).astype(values.dtype)


def continue_colours(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give invisible pixels the colours of their neighbours. (H, W, 3) and (H, W) → (H, W, 3).

    The colours that editors leave there, often black, would bleed into the visible edge. The new ones are means over
    blocks of 2, 4, 8, … pixels, weighted by opacity, from the finest level with visible pixels (push and pull).
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    weights = alpha.astype(np.float32) / np.iinfo(alpha.dtype).max
    filled = _pull(pixels.astype(np.float32) * weights[..., None], weights)
    result = pixels.copy()
    result[hidden] = np.rint(filled[hidden]).astype(pixels.dtype)
    return result


def _pull(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fill in weighted colours (h, w, 3) with weights (h, w), so that there are colours everywhere."""
    known = weights > 0
    colours = sums / np.where(known, weights, 1.0)[..., None]
    if known.all() or max(weights.shape) == 1:
        return colours
    coarse = _pull(_halved(sums), _halved(weights))
    height, width = weights.shape
    spread = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[:height, :width]
    return np.where(known[..., None], colours, spread)


def _halved(values: np.ndarray) -> np.ndarray:
    """Return means over blocks of two by two; an odd row or column at the end counts twice."""
    pad = [(0, side % 2) for side in values.shape[:2]] + [(0, 0)] * (values.ndim - 2)
    values = np.pad(values, pad, mode="edge")
    return (values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]) / 4

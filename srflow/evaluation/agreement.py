"""The smallest size of detail on which the samples of a set agree: Fourier ring correlation (FRC) among them.

    FRC(f) = mean over pairs of  Re Σ F_a F_b* / sqrt(Σ|F_a|² Σ|F_b|²),   sums over the ring of frequencies about f

It is computed for the brightness minus its mean, under a Hann window: for a box the usual one, for a region of another
shape one that rises in the same way from its edge to its middle (`window_of`). At the frequency f where the correlation
first falls below 1/7, the samples stop agreeing; 1/f is the size of these details in pixels (the threshold is a common
one, see van Heel and Schatz 2005). The result describes how far the samples agree with each other; they agree somewhat
less with the truth. Strong edges that all samples share correlate at every frequency, and may keep the curve above 1/7
to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from srflow.errors import InputError
from srflow.evaluation.measuring import LUMA

__all__ = ["MIN_SIDE", "THRESHOLD", "Agreement", "Window", "find_agreement", "ring_correlation", "window_of"]

MIN_SIDE = 64
"""Side of the smallest region in pixels: in a smaller one, a ring contains too few frequencies."""

THRESHOLD = 1 / 7

_MAX_SIDE = 1024  # larger pictures are cropped to their middle: more pixels would add no information


@dataclass(frozen=True)
class Window:
    """The window of a region. values: (h, w), 0 to 1. side: its effective size in pixels, see `window_of`."""

    values: np.ndarray
    side: float


def window_of(weights: np.ndarray) -> Window:
    """Return a Hann-like window of a region: 0 outside of it and at its edge, highest where it is deepest.

        w = m sin²(π/2 · d / max d),   side = min(2 max d, 3/2 Σw / sqrt(Σw²))

    with the weights m and the distance d to the next pixel outside. If the region fills its box, the window is the
    product of the two Hann windows, and the side is the shorter side of the box; for a square the formula gives the
    same side.

    Args: weights: (h, w), 0 to 1, of the region in its box, at the pixels of the samples.
    """
    from scipy import ndimage

    height, width = weights.shape
    if (weights == 1).all():
        return Window(np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1], float(min(height, width)))
    depth = ndimage.distance_transform_edt(np.pad(weights > 0, 1))[1:-1, 1:-1] - 0.5  # to the edge, not the next pixel
    deepest = float(depth.max())
    if deepest <= 0:
        return Window(np.zeros(weights.shape), 0.0)
    values = weights * np.sin(np.pi / 2 * np.maximum(depth, 0) / deepest) ** 2
    spread = 1.5 * float(values.sum() / np.sqrt(np.square(values).sum()))
    return Window(values, min(2 * deepest, spread))


@dataclass(frozen=True)
class Agreement:
    """How far samples agree.

    size: in pixels; smaller details differ from sample to sample.
    reaches_end: they agree on everything that pixels can show, down to 2 pixels.
    frequencies: of the rings, in cycles per pixel.
    correlation: there.
    """

    size: float
    reaches_end: bool
    frequencies: np.ndarray
    correlation: np.ndarray


def find_agreement(
    samples: Sequence[np.ndarray], threshold: float = THRESHOLD, window: Window | None = None
) -> Agreement:
    """Measure how far pictures, (H, W, 3), or their brightness, (H, W), agree.

    window: of a region; None: a box.

    Raises: InputError: there are fewer than two, or they, or the window's side, are smaller than `MIN_SIDE`.
    """
    luma = [sample.astype(np.float32) @ LUMA if sample.ndim == 3 else sample for sample in samples]
    frequencies, correlation = ring_correlation(luma, window)
    below = np.flatnonzero(correlation < threshold)
    if not below.size:
        return Agreement(2.0, True, frequencies, correlation)
    first = int(below[0])
    if first == 0:
        return Agreement(float(1 / frequencies[0]), False, frequencies, correlation)
    pair = slice(first - 1, first + 1)
    crossing = np.interp(-threshold, -correlation[pair], frequencies[pair])  # interp needs increasing values
    return Agreement(float(1 / crossing), False, frequencies, correlation)


def ring_correlation(samples: Sequence[np.ndarray], window: Window | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies in cycles per pixel, up to 1/2, and the mean correlation of all pairs there.

    Args: samples: of brightness, (H, W) each. Those larger than 1024 pixels a side are cropped to their middle.
    Raises: as `find_agreement`.
    """
    if len(samples) < 2:
        raise InputError(f"There is {len(samples)} sample; at least two are needed to see how far they agree.")
    height, width = samples[0].shape
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"The region has {width}x{height} pixels; {MIN_SIDE} a side are needed to see how far samples agree. "
            "Select a larger region, or none for the whole picture."
        )
    rows, columns = (_middle(side) for side in (height, width))
    if window is None:
        window = window_of(np.ones((rows.stop - rows.start, columns.stop - columns.start)))
        values = window.values
    else:
        values = window.values[rows, columns]
    if window.side < MIN_SIDE:
        raise InputError(
            f"The region has an effective size of {window.side:.0f} pixels, less than its box of {width}x{height}; "
            f"{MIN_SIDE} are needed to see how far samples agree. Select a larger or a less narrow region."
        )
    spectra = np.stack([_spectrum(sample[rows, columns], values) for sample in samples], axis=-1)  # (h, w / 2 + 1, K)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    step = 1 / min(height, width)
    number = np.rint(frequency / step).astype(np.int64)
    # For a real picture half of the spectrum is stored: each column except the first and, for even widths, the last
    # counts twice.
    twice = np.full(spectra.shape[1], 2.0, np.float32)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    spectra *= np.sqrt(twice)[None, :, None]
    order = np.argsort(number, axis=None, kind="stable")
    flat, rings = spectra.reshape(-1, len(samples))[order], number.ravel()[order]
    last = int(0.5 / step)
    edges = np.searchsorted(rings, np.arange(1, last + 2))
    found = [_mean_of_pairs(flat[start:stop]) for start, stop in pairwise(edges)]
    return np.arange(1, last + 1) * step, np.array(found)


def _mean_of_pairs(ring: np.ndarray) -> float:
    """Return the mean correlation of pairs. ring: spectra at the ring's frequencies, (n, K)."""
    gram = (ring.conj().T @ ring).real.astype(np.float64)
    power = np.sqrt(np.diag(gram))
    scale = np.outer(power, power)
    upper = np.triu_indices(len(gram), 1)
    # Without any signal there is nothing to disagree about.
    return float(np.mean(np.divide(gram, scale, out=np.ones_like(gram), where=scale > 0)[upper]))


def _spectrum(sample: np.ndarray, window: np.ndarray) -> np.ndarray:
    mean = np.average(sample, weights=window)
    return np.fft.rfft2((sample - mean) * window).astype(np.complex64)


def _middle(side: int) -> slice:
    used = min(side, _MAX_SIDE)
    return slice((side - used) // 2, (side - used) // 2 + used)

"""Statistics of a set of samples, and its comparison with a known truth. Arrays only: no tensors, no files.

Pictures are (H, W, 3), 0 to 255: uint8, or float if a program provides floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from srflow import luma
from srflow.calibration.bars import rank_histogram
from srflow.calibration.file import Bar, Value
from srflow.errors import InputError

__all__ = [
    "LUMA",
    "PlaceMeans",
    "TruthCheck",
    "check_truth",
    "line_pixels",
    "measure_line",
    "measure_place",
    "with_luma",
]

Point = tuple[int, int]

LUMA = luma.LUMA.astype(np.float32)
"""For pictures in float32."""

_CHANNELS: Mapping[Value, slice] = {"luma": slice(3, 4), "rgb": slice(0, 3)}
_RANK_PIXELS = 50_000


@dataclass(frozen=True)
class TruthCheck:
    """The comparison of a set with the ground truth.

    inside: share of the true values that lie within their bars, by quantity; empty if there are no bars.
    ranks: share of the pixels whose true brightness is above 0, 1, … K of the samples; flat if the truth is distributed
        like the samples.
    """

    inside: Mapping[Value, float]
    ranks: tuple[float, ...]


def with_luma(picture: np.ndarray) -> np.ndarray:
    """Convert (H, W, 3) to R, G, B and brightness, (H, W, 4), float32."""
    rgb = picture.astype(np.float32)
    return np.concatenate([rgb, (rgb @ LUMA)[..., None]], axis=2)


def check_truth(truth: np.ndarray, samples: Iterable[np.ndarray], bars: Mapping[Value, Bar]) -> TruthCheck:
    """Compare a set with its ground truth.

    Samples are processed one by one, so that memory does not grow with their number.

    Args: bars: of single pixels.
    Raises: InputError: there are fewer than two samples, or one of another size than the truth.
    """
    values = with_luma(truth)
    places = np.random.default_rng(0).permutation(values.shape[0] * values.shape[1])[:_RANK_PIXELS]
    total, squares, at_places, count = np.zeros_like(values), np.zeros_like(values), [], 0
    for sample in samples:
        if sample.shape != truth.shape:
            raise InputError(f"The truth is {truth.shape}, a sample {sample.shape}; they must be of one size.")
        one = with_luma(sample)
        at_places.append(one[..., 3].ravel()[places])
        one -= values  # sums of differences are small, so float32 is precise enough
        total += one
        squares += np.square(one)
        count += 1
    if count < 2:
        raise InputError(f"There is {count} sample; at least two are needed for a comparison with the truth.")
    error = np.abs(total / count)
    variance = np.maximum(squares / count - np.square(error), 0) * (count / (count - 1))
    sigma = np.sqrt(variance)
    inside: dict[Value, float] = {
        value: float(np.mean(error[..., _CHANNELS[value]] <= bar.half_width(sigma[..., _CHANNELS[value]], count)))
        for value, bar in bars.items()
    }
    ranks = rank_histogram(values[..., 3].ravel()[places], np.stack(at_places), np.random.default_rng(0))
    return TruthCheck(inside, tuple(map(float, ranks / ranks.sum())))


@dataclass(frozen=True)
class PlaceMeans:
    """Means over a region, of each sample.

    values: (K, 4) of R, G, B and brightness, K samples.
    area: in pixels; for a soft region, the sum of its weights.
    """

    values: np.ndarray
    area: float

    @property
    def mean(self) -> np.ndarray:
        """Over the samples, (4,)."""
        return self.values.mean(axis=0)

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviation of the samples' means, divisor K - 1, (4,)."""
        return self.values.std(axis=0, ddof=1)

    @property
    def side(self) -> int:
        """Side in pixels of the square of the same area, for bars of box means."""
        return max(1, round(self.area**0.5))


def measure_place(samples: Sequence[np.ndarray], weights: np.ndarray | None = None) -> PlaceMeans:
    """Return weighted means of samples, (h, w, 3) each.

    weights: (h, w), 0 to 1; None: 1 everywhere.

    Raises: InputError: the weights are 0 everywhere, or there are fewer than two samples.
    """
    if len(samples) < 2:
        raise InputError(f"There is {len(samples)} sample; at least two are needed to see how much they differ.")
    weights = np.ones(samples[0].shape[:2]) if weights is None else weights.astype(np.float64)
    area = float(weights.sum())
    if area <= 0:
        raise InputError("The region is empty. Select at least one pixel.")
    colours = np.stack([np.tensordot(weights, sample.astype(np.float64), axes=2) / area for sample in samples])
    return PlaceMeans(np.concatenate([colours, (colours @ LUMA)[:, None]], axis=1), area)


def line_pixels(start: Point, end: Point) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of a line, one per step, and their distances from the first.

    Args: start, end: (x, y) of pixels; both belong to the line.
    Returns: (N, 2) of whole (x, y), and (N,) distances in pixels.
    """
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    shares = np.linspace(0, 1, steps + 1)[:, None]
    exact = np.array(start) + shares * (np.array(end) - np.array(start))
    pixels = np.floor(exact + 0.5).astype(np.int64)
    return pixels, np.hypot(*(pixels - pixels[0]).T)


def measure_line(samples: Sequence[np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """Return the brightness of the samples along a line, (K, N). pixels: (N, 2), see `line_pixels`."""
    return np.stack([sample[pixels[:, 1], pixels[:, 0]].astype(np.float32) @ LUMA for sample in samples])

"""Metrics on 8-bit RGB pictures, and statistics of the error maps of several samples.

The rules are those of the NTIRE challenges "Learning the Super-Resolution Space" (2021, and 2022 for the squared
error); the whole protocol is in `srflow.evaluation.challenge`. Pictures are uint8 arrays (H, W, 3), RGB, and no border
is cropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from srflow.contract import InputError
from srflow.images import crop_to_multiple, downscale_uint8

__all__ = [
    "CROP_MULTIPLE",
    "MSE_BOX",
    "PSNR_CAP",
    "SSIM_WINDOW",
    "BestOfSamples",
    "MapScores",
    "capped_psnr",
    "crop_ground_truth",
    "crop_to_ground_truth",
    "lr_psnr",
    "mse_map",
    "psnr",
    "score_maps",
    "ssim",
]

PSNR_CAP = 100.0
"""Largest PSNR that is reported, in dB, so that equal pictures (infinite PSNR) do not make a mean infinite.

Every value is capped, not only infinity: otherwise equal pictures would score below nearly equal ones.
"""

CROP_MULTIPLE = 8
"""Ground truth is cropped to multiples of this, at every scale factor."""

SSIM_WINDOW = 11
"""Side in pixels of the window of `ssim`; smaller pictures have no SSIM."""

MSE_BOX = 16
"""Side in pixels of the box that smooths the squared error in `mse_map`."""


def crop_ground_truth(hr: np.ndarray) -> np.ndarray:
    """Crop a ground-truth picture at the right and the bottom to multiples of `CROP_MULTIPLE`.

    Args: hr: uint8, (H, W, 3).
    Raises: InputError: a side has fewer than `CROP_MULTIPLE` pixels.
    """
    if min(hr.shape[:2]) < CROP_MULTIPLE:
        raise InputError(
            f"The picture is {hr.shape[1]}x{hr.shape[0]}; cropping to multiples of {CROP_MULTIPLE} leaves nothing."
        )
    return crop_to_multiple(hr, CROP_MULTIPLE)


def crop_to_ground_truth(sr: np.ndarray, hr: np.ndarray) -> np.ndarray:
    """Crop a super-resolution at the right and the bottom to the size of the (cropped) ground truth.

    Args:
        sr: uint8, (H, W, 3).
        hr: uint8, not larger than `sr`.

    Raises: InputError: `sr` is the smaller one, in either direction.
    """
    height, width = hr.shape[:2]
    if sr.shape[0] < height or sr.shape[1] < width:
        raise InputError(
            f"The super-resolution is {sr.shape[1]}x{sr.shape[0]}, smaller than the ground truth, {width}x{height}; "
            "check the scale factor and that the two show the same picture."
        )
    return sr[:height, :width]


def capped_psnr(mean_squared_error: float) -> float:
    """Return 10 log10(255² / MSE) in dB, at most `PSNR_CAP`, which is also the value for an MSE of zero."""
    if mean_squared_error == 0:
        return PSNR_CAP
    return min(PSNR_CAP, 10 * math.log10(255**2 / mean_squared_error))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio over all pixels and channels, range 255, in dB, at most `PSNR_CAP`.

    Args: a, b: uint8, (H, W, 3).
    Raises: InputError: they are anything else, or differ in size.
    """
    _check_pair(a, b)
    difference = np.subtract(a, b, dtype=np.int32)
    return capped_psnr(float(np.mean(np.square(difference), dtype=np.float64)))


def lr_psnr(sr: np.ndarray, hr: np.ndarray, scale_factor: int) -> float:
    """Return the PSNR between the two downscaled pictures: does a super-resolution agree with the LR picture?

    Both are scaled by MATLAB's bicubic imresize in its uint8 form, as the challenge does. In dB, at most `PSNR_CAP`;
    the challenge requires 45 dB.

    Args: sr, hr: uint8, (H, W, 3), cropped, so that the scale factor divides the sides.
    Raises: InputError: they are anything else, or differ in size.
    """
    _check_pair(sr, hr)
    return psnr(downscale_uint8(sr, scale_factor), downscale_uint8(hr, scale_factor))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Return the structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), averaged over channels; 1: equal.

    The settings are theirs: Gaussian window of 11x11 with sigma 1.5, K1 = 0.01, K2 = 0.03, range 255, population
    covariances. The window does not reach over the borders (5 px). Other papers report the SSIM of the luma channel,
    which is higher.

    Args: a, b: uint8, (H, W, 3), at least `SSIM_WINDOW` pixels a side.
    Raises: InputError: they are anything else, or differ in size.
    """
    _check_pair(a, b)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise InputError(f"SSIM needs {SSIM_WINDOW} pixels a side; the pictures are {a.shape[1]}x{a.shape[0]}.")
    from skimage.metrics import structural_similarity  # SciPy is slow to import, and rarely needed

    return float(
        structural_similarity(
            a, b, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def mse_map(sr: np.ndarray, hr: np.ndarray) -> np.ndarray:
    """Return the squared error, averaged over R, G and B, then over a box of 16x16 pixels (NTIRE 2022).

    The challenge uses a convolution of the kind called "full": the picture is surrounded by zeros, and the map is 15
    pixels larger than the picture. This lowers all means by the same factor, but it also affects the minima, so we do
    the same.

    Args: sr, hr: uint8, (H, W, 3), H and W at least 1.
    Returns: float32, (H + 15, W + 15), in squared 8-bit units.
    Raises: InputError: they are anything else, or differ in size.
    """
    _check_pair(sr, hr)
    squared = np.square(np.subtract(sr, hr, dtype=np.int32)).sum(axis=2)  # (H, W), whole numbers
    # Box means are differences of cumulative sums, which are exact for whole numbers.
    for axis in (0, 1):
        squared = _box_sums(squared, axis)
    return (squared / (3 * MSE_BOX**2)).astype(np.float32)


@dataclass(frozen=True)
class MapScores:
    """Scores from the error maps of all samples of one picture. Smaller is better, except for the diversity.

    mean: the mean over samples of the maps' means.
    global_best: the smallest of them, G.
    local_best: the mean of the smallest value at every pixel, L.
    diversity: 100 (G - L) / G, in percent; 0 if G is 0, and for one sample.
    """

    mean: float
    global_best: float
    local_best: float
    diversity: float


class BestOfSamples:
    """Collects the error maps of a picture's samples one after the other, and stores only one map.

    The diversity depends on the number of samples: compare only values for the same number (the challenge: 10).
    """

    def __init__(self) -> None:
        self._means: list[float] = []
        self._minimum: np.ndarray | None = None

    def add(self, error_map: np.ndarray) -> float:
        """Add one sample's map, (H, W), and return its mean. Raises InputError: its size differs from the first."""
        if self._minimum is None:
            self._minimum = error_map.copy()
        elif self._minimum.shape != error_map.shape:
            raise InputError(f"A map of {error_map.shape} follows one of {self._minimum.shape}; sizes must be equal.")
        else:
            np.minimum(self._minimum, error_map, out=self._minimum)
        mean = float(error_map.mean(dtype=np.float64))
        self._means.append(mean)
        return mean

    def scores(self) -> MapScores:
        """Return the scores of all maps so far. Raises InputError: there were none."""
        if self._minimum is None:
            raise InputError("There are no samples to score; give at least one.")
        best = min(self._means)
        local = float(self._minimum.mean(dtype=np.float64))
        diversity = 100 * (best - local) / best if best > 0 else 0.0
        return MapScores(float(np.mean(self._means)), best, local, diversity)


def score_maps(error_maps: Iterable[np.ndarray]) -> MapScores:
    """Return scores of a picture's samples by their error maps, (H, W) each. Raises InputError: there are none."""
    best = BestOfSamples()
    for error_map in error_maps:
        best.add(error_map)
    return best.scores()


def _box_sums(values: np.ndarray, axis: int) -> np.ndarray:
    """Return sums over all windows of `MSE_BOX` that touch the zero-padded array; integers give integers."""
    padding = [(0, 0), (0, 0)]
    padding[axis] = (MSE_BOX, MSE_BOX - 1)  # one more zero before, as the start of the cumulative sum
    sums = np.pad(values, padding).cumsum(axis=axis, dtype=np.int64)
    return np.take(sums, range(MSE_BOX, sums.shape[axis]), axis) - np.take(
        sums, range(sums.shape[axis] - MSE_BOX), axis
    )


def _check_pair(a: np.ndarray, b: np.ndarray) -> None:
    for picture in (a, b):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
            raise InputError(
                f"Metrics take uint8 pictures of shape (H, W, 3); got {picture.dtype} of {picture.shape}. "
                "images.to_uint8 converts tensors in [0, 1]."
            )
    if a.shape != b.shape:
        raise InputError(
            f"The pictures differ in size: {a.shape[1]}x{a.shape[0]} and {b.shape[1]}x{b.shape[0]}; crop them first."
        )

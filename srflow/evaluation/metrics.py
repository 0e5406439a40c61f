"""Metrics on 8-bit RGB pictures, and what is made of the maps of several samples.

The rules are those of the NTIRE challenges "Learning the Super-Resolution Space" (2021, and 2022 for the squared
error); the whole protocol is in `srflow.evaluation.challenge`. Pictures are uint8 arrays (H, W, 3), RGB, and no border
is shaved.
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
"""dB. No PSNR is reported above it, so that equal pictures (infinite PSNR) do not turn a mean into infinity.

Every value is capped, not infinity alone: otherwise pictures that are equal would score below those that nearly are.
"""

CROP_MULTIPLE = 8
"""Ground truth is cropped to multiples of this, at every scale factor."""

SSIM_WINDOW = 11
"""Pixels a side of the window of `ssim`; smaller pictures have no SSIM."""

MSE_BOX = 16
"""Pixels a side of the box that smooths the squared error in `mse_map`."""


def crop_ground_truth(hr: np.ndarray) -> np.ndarray:
    """Cut a ground-truth picture at the right and the bottom to multiples of `CROP_MULTIPLE`.

    Args: hr: uint8, (H, W, 3).
    Raises: InputError: if a side has fewer than `CROP_MULTIPLE` pixels.
    """
    if min(hr.shape[:2]) < CROP_MULTIPLE:
        raise InputError(
            f"The picture is {hr.shape[1]}x{hr.shape[0]}; cropping to multiples of {CROP_MULTIPLE} leaves nothing."
        )
    return crop_to_multiple(hr, CROP_MULTIPLE)


def crop_to_ground_truth(sr: np.ndarray, hr: np.ndarray) -> np.ndarray:
    """Cut a super-resolution at the right and the bottom to the size of the (cropped) ground truth.

    Args: sr: uint8, (H, W, 3). hr: uint8, not larger than `sr`.
    Raises: InputError: if `sr` is the smaller one, in either direction.
    """
    height, width = hr.shape[:2]
    if sr.shape[0] < height or sr.shape[1] < width:
        raise InputError(
            f"The super-resolution is {sr.shape[1]}x{sr.shape[0]}, smaller than the ground truth, {width}x{height}; "
            "check the scale factor and that the two show the same picture."
        )
    return sr[:height, :width]


def capped_psnr(mean_squared_error: float) -> float:
    """10 log10(255² / MSE) in dB, at most `PSNR_CAP`; an MSE of zero gives the cap."""
    if mean_squared_error == 0:
        return PSNR_CAP
    return min(PSNR_CAP, 10 * math.log10(255**2 / mean_squared_error))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio over all pixels and channels, range 255, in dB, at most `PSNR_CAP`.

    Args: a, b: uint8, (H, W, 3).
    Raises: InputError: if they are anything else, or differ in size.
    """
    _check_pair(a, b)
    difference = np.subtract(a, b, dtype=np.int32)
    return capped_psnr(float(np.mean(np.square(difference), dtype=np.float64)))


def lr_psnr(sr: np.ndarray, hr: np.ndarray, scale_factor: int) -> float:
    """PSNR between the two pictures scaled down: does a super-resolution agree with what the LR picture shows?

    Both are scaled by MATLAB's bicubic imresize in its uint8 form, as the challenge does. In dB, at most `PSNR_CAP`;
    the challenge asks for 45 dB.

    Args: sr, hr: uint8, (H, W, 3), cropped, so that the scale factor divides the sides.
    Raises: InputError: if they are anything else, or differ in size.
    """
    _check_pair(sr, hr)
    return psnr(downscale_uint8(sr, scale_factor), downscale_uint8(hr, scale_factor))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), the mean over the three channels; 1 is equal.

    Their settings: Gaussian window of 11x11 with sigma 1.5, K1 = 0.01, K2 = 0.03, range 255, population covariances.
    The window is kept off the borders (5 px). Other papers give SSIM of the luma channel; those values are higher.

    Args: a, b: uint8, (H, W, 3), at least `SSIM_WINDOW` pixels a side.
    Raises: InputError: if they are anything else, or differ in size.
    """
    _check_pair(a, b)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise InputError(f"SSIM needs {SSIM_WINDOW} pixels a side; the pictures are {a.shape[1]}x{a.shape[0]}.")
    from skimage.metrics import structural_similarity  # with SciPy: slow to import, and rarely needed

    return float(
        structural_similarity(
            a, b, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def mse_map(sr: np.ndarray, hr: np.ndarray) -> np.ndarray:
    """Squared error, the mean over R, G and B, then averaged over a box of 16x16 pixels (NTIRE 2022).

    The challenge's convolution is of the kind called "full": the picture is surrounded by zeros, and the map is 15
    pixels larger than the picture. That lowers all means by the same factor; it also enters the minima, so it is kept.

    Args: sr, hr: uint8, (H, W, 3), H and W at least 1.
    Returns: float32, (H + 15, W + 15), in squared 8-bit units.
    Raises: InputError: if they are anything else, or differ in size.
    """
    _check_pair(sr, hr)
    squared = np.square(np.subtract(sr, hr, dtype=np.int32)).sum(axis=2)  # (H, W), whole numbers
    # The box as differences of running sums; on whole numbers those are exact.
    for axis in (0, 1):
        squared = _box_sums(squared, axis)
    return (squared / (3 * MSE_BOX**2)).astype(np.float32)


@dataclass(frozen=True)
class MapScores:
    """What the maps of all samples of one picture tell. Smaller is better, but for the diversity.

    mean: the mean over samples of the maps' means. global_best: the smallest of them, G. local_best: the mean of the
    smallest value at every pixel, L. diversity: 100 (G - L) / G, in percent; 0 where G is 0, and for one sample.
    """

    mean: float
    global_best: float
    local_best: float
    diversity: float


class BestOfSamples:
    """Takes the error maps of a picture's samples one after the other, and keeps one map only.

    The diversity depends on the number of samples: compare values of the same number (the challenge: 10).
    """

    def __init__(self) -> None:
        self._means: list[float] = []
        self._minimum: np.ndarray | None = None

    def add(self, error_map: np.ndarray) -> float:
        """Take one sample's map, (H, W), and return its mean. Raises InputError if its size is not the first one's."""
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
        """The scores of all maps so far. Raises InputError if there were none."""
        if self._minimum is None:
            raise InputError("There are no samples to score; give at least one.")
        best = min(self._means)
        local = float(self._minimum.mean(dtype=np.float64))
        diversity = 100 * (best - local) / best if best > 0 else 0.0
        return MapScores(float(np.mean(self._means)), best, local, diversity)


def score_maps(error_maps: Iterable[np.ndarray]) -> MapScores:
    """Scores of a picture's samples by their error maps, (H, W) each. Raises InputError if there are none."""
    best = BestOfSamples()
    for error_map in error_maps:
        best.add(error_map)
    return best.scores()


def _box_sums(values: np.ndarray, axis: int) -> np.ndarray:
    """Sums over all windows of `MSE_BOX` that touch the array, zeros around it; integers in, integers out."""
    padding = [(0, 0), (0, 0)]
    padding[axis] = (MSE_BOX, MSE_BOX - 1)  # one zero more before, for the running sum to start at
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

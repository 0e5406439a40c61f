"""The spread of a model's samples compared with their true error, measured on pictures with a known truth.

Every picture's samples are those that `srflow sample` writes and the page shows. They are processed one by one: sums
per pixel for mean and standard deviation, and the brightness of every sample at a few pixels for the ranks. Of each
picture, only its losses (see `calibration`) and these few pixels are kept, so that memory does not grow with its size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm import tqdm

from srflow.calibration.bars import MAX_BOX, box_means, outside_shares, prediction_sigma, sigma_floor
from srflow.calibration.file import MAX_SAMPLES, MAX_TEMPERATURE, Value
from srflow.contract import InputError, picture_sha256
from srflow.evaluation.drawing import SampleSource
from srflow.evaluation.measuring import with_luma
from srflow.evaluation.metrics import CROP_MULTIPLE, crop_to_ground_truth
from srflow.evaluation.pairing import PicturePair
from srflow.evaluation.perceptual import MIN_SIDE
from srflow.evaluation.summary import RunningMoments
from srflow.images import downscale_uint8

__all__ = ["PictureSpread", "SpreadMeter", "Spreads", "Survey", "measure_spreads"]

_CHANNELS: Mapping[Value, slice] = {"luma": slice(3, 4), "rgb": slice(0, 3)}  # of the stored values
_RANK_PIXELS = 50_000  # of all pictures together, at which samples are kept for the ranks
_RANK_PIXELS_PER_PICTURE = 2000


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The settings at which samples are drawn and measured.

    temperatures, sample_counts: increasing, without duplicates. The first K samples of a seed serve for every number K,
        so that only the largest one costs time.
    consistency_rounds: of the samples with the consistency step, in addition to those without; 0 leaves them out.
    boxes: sides in pixels of the boxes whose means are measured, including 1 (single pixels); increasing.
    crop: side in pixels of the central crop of every picture, a multiple of 8; None for whole pictures.
    seed: of the samples.

    Raises: InputError: one of them is out of range.
    """

    temperatures: tuple[float, ...]
    sample_counts: tuple[int, ...]
    consistency_rounds: int
    boxes: tuple[int, ...]
    crop: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        temperatures, counts = self.temperatures, self.sample_counts
        if not temperatures or not all(0 <= temperature <= MAX_TEMPERATURE for temperature in temperatures):
            raise InputError(f"The temperatures are {list(temperatures)}; give numbers from 0 to {MAX_TEMPERATURE:g}.")
        if not counts or counts[0] < 2 or counts[-1] > MAX_SAMPLES:
            raise InputError(f"The numbers of samples are {list(counts)}; give numbers from 2 to {MAX_SAMPLES}.")
        if self.consistency_rounds < 0:
            raise InputError(f"The number of consistency rounds is {self.consistency_rounds}; it must be 0 or more.")
        if self.boxes[0] < 1 or self.boxes[-1] > MAX_BOX:
            raise InputError(f"The boxes are {list(self.boxes)}; give pixels a side from 1 to {MAX_BOX}.")
        crop = self.crop
        if crop is not None and (crop < MIN_SIDE or crop % CROP_MULTIPLE):
            raise InputError(
                f"The crop is {crop} pixels a side; give a multiple of {CROP_MULTIPLE} from {MIN_SIDE} on."
            )


@dataclass(frozen=True)
class Spreads:
    """The measurements of all pictures.

    settings: by (temperature, number of samples, consistency rounds), one entry per picture.
    pictures_sha256: hash of the pictures' hashes.
    """

    settings: dict[tuple[float, int, int], list[PictureSpread]]
    pictures_sha256: str


@dataclass(frozen=True)
class PictureSpread:
    """The measurements of a picture at one number of samples.

    losses, squared_error, squared_sigma: by quantity and box. The first: (len(LAMBDAS),), see `calibration`; the
    others: means over pixels, of the mean's error and of the factor of λ, in squared grey levels. truth, samples:
    brightness at some pixels, (P,) and (K, P).
    """

    losses: dict[tuple[Value, int], np.ndarray]
    squared_error: dict[tuple[Value, int], float]
    squared_sigma: dict[tuple[Value, int], float]
    truth: np.ndarray
    samples: np.ndarray


class SpreadMeter:
    """Measures the samples of one picture, one after the other.

    Args:
        hr: the truth, uint8, (H, W, 3).
        counts: numbers of samples at which to measure.
        boxes: pixels a side; with 1 for single pixels.
        scale_factor: see `calibration.sigma_floor`.
        num_rank_pixels: maximum number of pixels whose samples are kept.
    """

    def __init__(
        self, hr: np.ndarray, counts: Sequence[int], boxes: Sequence[int], scale_factor: int, num_rank_pixels: int
    ) -> None:
        self._hr = hr
        self._scale_factor = scale_factor
        self._counts = frozenset(counts)
        values = with_luma(hr)
        self._truth = {box: box_means(values, box) for box in boxes}
        self._moments = {box: RunningMoments() for box in boxes}
        places = hr.shape[0] * hr.shape[1]
        self._places = np.random.default_rng(0).choice(places, min(places, num_rank_pixels), replace=False)
        self._rank_truth = self._at_places(values)
        self._rank_samples: list[np.ndarray] = []
        self.spreads: dict[int, PictureSpread] = {}

    def add(self, sr: np.ndarray) -> None:
        """Add one more sample: uint8, at least as large as the truth, to which it is cropped."""
        values = with_luma(crop_to_ground_truth(sr, self._hr))
        for box, moments in self._moments.items():
            moments.add(box_means(values, box))
        self._rank_samples.append(self._at_places(values))
        count = len(self._rank_samples)
        if count in self._counts:
            self.spreads[count] = self._spread(count)

    def _spread(self, count: int) -> PictureSpread:
        losses, squared_error, squared_sigma = {}, {}, {}
        for box, moments in self._moments.items():
            error = np.abs(self._truth[box] - moments.mean())
            floor = sigma_floor(box, self._scale_factor)
            sigma = prediction_sigma(moments.std(corrected=True), count, floor)
            ratios = error / sigma
            for value, channels in _CHANNELS.items():
                losses[value, box] = outside_shares(ratios[..., channels])
                squared_error[value, box] = float(np.mean(np.square(error[..., channels]), dtype=np.float64))
                squared_sigma[value, box] = float(np.mean(np.square(sigma[..., channels]), dtype=np.float64))
        return PictureSpread(losses, squared_error, squared_sigma, self._rank_truth, np.stack(self._rank_samples))

    def _at_places(self, values: np.ndarray) -> np.ndarray:
        return values[..., 3].ravel()[self._places]


def measure_spreads(
    source: SampleSource, pairs: Sequence[PicturePair], survey: Survey, *, progress: bool = False
) -> Spreads:
    """Draw samples of every picture and compare them with the truth. LR is made by MATLAB's bicubic imresize.

    Args:
        source: draws the samples, see `srflow.sampling.measured.MeasuredModel`.
        pairs: see `pairing.find_pairs`.
        progress: show a bar on stderr.

    Raises:
        ImageError: a picture is broken; the message names it.
    """
    rounds, scale = survey.consistency_rounds, source.model.scale_factor
    meters = partial(
        SpreadMeter,
        counts=survey.sample_counts,
        boxes=survey.boxes,
        scale_factor=scale,
        num_rank_pixels=max(1, min(_RANK_PIXELS_PER_PICTURE, _RANK_PIXELS // len(pairs))),
    )
    found: dict[tuple[float, int], list[dict[int, PictureSpread]]] = {}
    hashes = []
    for pair in tqdm(pairs, desc=source.model.config.name, unit="picture", disable=not progress):
        hr, lr = _load(pair, scale, survey.crop)
        hashes.append(picture_sha256(hr))
        for temperature in survey.temperatures:
            plain, consistent = meters(hr), meters(hr)
            for sample in source.draw(lr, survey.sample_counts[-1], temperature, survey.seed, rounds):
                plain.add(sample.plain)
                if sample.consistent is not None:
                    consistent.add(sample.consistent)
            found.setdefault((temperature, 0), []).append(plain.spreads)
            if rounds:
                found.setdefault((temperature, rounds), []).append(consistent.spreads)
    settings = {
        (temperature, count, own_rounds): [one[count] for one in pictures]
        for (temperature, own_rounds), pictures in sorted(found.items(), key=lambda item: item[0][::-1])
        for count in survey.sample_counts
    }
    return Spreads(settings, hashlib.sha256("".join(hashes).encode()).hexdigest())


def _load(pair: PicturePair, scale_factor: int, crop: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the truth, or its central crop, and the LR picture made from it."""
    hr, lr = pair.load(scale_factor)
    if crop is None:
        return hr, lr
    top, left = ((side - min(side, crop)) // 2 for side in hr.shape[:2])
    hr = np.ascontiguousarray(hr[top : top + crop, left : left + crop])
    return hr, downscale_uint8(hr, scale_factor)

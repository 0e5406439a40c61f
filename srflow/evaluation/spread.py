"""How far the spread of a model's samples is from their true error, measured on pictures whose truth is known.

Every picture's samples are drawn as in the evaluation, rounded to 8 bits as they are shown, and taken in one by one:
sums by place for mean and standard deviation, and the brightness of every sample at a few pixels for the ranks. A
picture leaves behind its losses (see `calibration`) and these few pixels, so that memory does not grow with its size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from srflow import __version__
from srflow.contract import InputError, picture_sha256
from srflow.evaluation.calibration import (
    LAMBDAS,
    MAX_BOX,
    Choose,
    box_means,
    conformal_lambda,
    cross_fit,
    min_pictures,
    nominal_lambda,
    outside_shares,
    prediction_sigma,
    rank_histogram,
    rcps_lambda,
    sigma_floor,
)
from srflow.evaluation.calibration_file import (
    MAX_SAMPLES,
    MAX_TEMPERATURE,
    Calibration,
    MeasuredBar,
    MeasuredSetting,
    Value,
)
from srflow.evaluation.drawing import MAX_PIXELS_PER_BATCH, PictureSampler
from srflow.evaluation.metrics import CROP_MULTIPLE, crop_to_ground_truth
from srflow.evaluation.pairing import PicturePair
from srflow.evaluation.perceptual import MIN_SIDE
from srflow.images import downscale_uint8, to_uint8
from srflow.sampling.consistency import DEFAULT_ROUNDS, back_project
from srflow.sampling.summary import LUMA, RunningMoments

if TYPE_CHECKING:
    from srflow.model import SRFlow

__all__ = ["DEFAULT_BOXES", "DEFAULT_FOLDS", "PictureSpread", "SpreadMeter", "calibrate_model"]

DEFAULT_BOXES = (8, 16)
"""Pixels a side of the boxes whose means get bars, beside single pixels."""

DEFAULT_FOLDS = 5

_CHANNELS: Mapping[Value, slice] = {"luma": slice(3, 4), "rgb": slice(0, 3)}  # of the values that are kept
_RANK_PIXELS = 50_000  # of all pictures together, whose samples are kept for the ranks
_RANK_PIXELS_PER_PICTURE = 2000


@dataclass(frozen=True)
class PictureSpread:
    """What a picture leaves behind at one number of samples.

    losses, squared_error, squared_sigma: by kind of value and box. The first: (len(LAMBDAS),), see `calibration`; the
    others: means over places, of the mean's error and of what λ multiplies, in squared grey levels.
    truth, samples: brightness at some pixels, (P,) and (K, P).
    """

    losses: dict[tuple[Value, int], np.ndarray]
    squared_error: dict[tuple[Value, int], float]
    squared_sigma: dict[tuple[Value, int], float]
    truth: np.ndarray
    samples: np.ndarray


class SpreadMeter:
    """Takes the samples of one picture, one after the other.

    Args:
        hr: the truth, uint8, (H, W, 3).
        counts: numbers of samples at which to look.
        boxes: pixels a side; with 1 for single pixels.
        scale_factor: see `calibration.sigma_floor`.
        num_rank_pixels: how many pixels to keep the samples of, at most.
    """

    def __init__(
        self, hr: np.ndarray, counts: Sequence[int], boxes: Sequence[int], scale_factor: int, num_rank_pixels: int
    ) -> None:
        self._hr = hr
        self._scale_factor = scale_factor
        self._counts = frozenset(counts)
        values = _with_luma(hr)
        self._truth = {box: box_means(values, box) for box in boxes}
        self._moments = {box: RunningMoments() for box in boxes}
        places = hr.shape[0] * hr.shape[1]
        self._places = np.random.default_rng(0).choice(places, min(places, num_rank_pixels), replace=False)
        self._rank_truth = self._at_places(values)
        self._rank_samples: list[np.ndarray] = []
        self._is_broken = False
        self.spreads: dict[int, PictureSpread] = {}

    def add_float(self, sr: Tensor) -> None:
        """Round a sample, (3, H', W'), to 8 bits and take it; one with NaN or infinity, and all after it, are not."""
        self._is_broken = self._is_broken or not bool(torch.isfinite(sr).all())
        if not self._is_broken:
            self.add(to_uint8(sr))

    def add(self, sr: np.ndarray) -> None:
        """Take one more sample: uint8, not smaller than the truth, to which it is cropped."""
        values = _with_luma(crop_to_ground_truth(sr, self._hr))
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


def calibrate_model(
    model: SRFlow,
    pairs: Sequence[PicturePair],
    *,
    temperatures: Sequence[float],
    sample_counts: Sequence[int],
    consistency_rounds: int = DEFAULT_ROUNDS,
    coverage: float = 0.9,
    confidence: float | None = None,
    boxes: Sequence[int] = DEFAULT_BOXES,
    folds: int = DEFAULT_FOLDS,
    crop: int | None = None,
    seed: int = 0,
    max_pixels_per_batch: int = MAX_PIXELS_PER_BATCH,
    progress: bool = False,
) -> Calibration:
    """Measure the samples' spread against the truth, and choose λ for every setting.

    λ is chosen with all pictures. Its coverage is checked by cross-fitting: the pictures are dealt into folds, and each
    fold is covered by a λ that was chosen with the other ones only. The samples are those of one seed; the first K of
    them serve for every smaller number, so that only the largest one costs time. LR pictures are made by MATLAB's
    bicubic imresize.

    A setting where the model gave a sample with NaN or infinity is left out: pictures must not be chosen by that.

    Args:
        model: its weights from a file, on the device where it is to run; put back into its own mode afterwards.
        pairs: see `pairing.find_pairs`; pictures that the model was not trained on.
        temperatures, sample_counts: at which to measure.
        consistency_rounds: of the samples with the consistency step, beside those without; 0 leaves them out.
        coverage: that is promised. confidence: for risk-controlling sets; None for conformal risk control.
        boxes: pixels a side of the boxes whose means get bars, too.
        folds: raised where the pictures left in would be too few.
        crop: pixels a side of the middle of every picture to use, a multiple of 8; None for all of it.
        seed: of the samples, and of how the pictures are dealt.
        max_pixels_per_batch: HR pixels of the samples that are decoded together; bounds the memory.
        progress: show a bar on stderr.

    Raises:
        InputError: an argument is out of range, or there are too few pictures; or every setting was left out.
        ImageError: a picture is broken; the message names it.
    """
    counts, temperatures = sorted(set(sample_counts)), sorted(set(temperatures))
    boxes = sorted({1, *boxes})
    _check(temperatures, counts, consistency_rounds, boxes, folds, crop)
    if model.metadata.weights_sha256 is None:
        raise InputError(
            "The model's weights were never on disk, so no file can be tied to them; save the model first."
        )
    assigned = _assign_folds(len(pairs), folds, min_pictures(coverage, confidence), seed)
    meters = partial(
        SpreadMeter,
        counts=counts,
        boxes=boxes,
        scale_factor=model.scale_factor,
        num_rank_pixels=max(1, min(_RANK_PIXELS_PER_PICTURE, _RANK_PIXELS // len(pairs))),
    )
    refine = partial(back_project, scale_factor=model.scale_factor, rounds=consistency_rounds)
    spreads: dict[tuple[float, int], list[dict[int, PictureSpread]]] = {}
    hashes = []
    was_training = model.training
    model.eval()
    try:
        for pair in tqdm(pairs, desc=model.config.name, unit="picture", disable=not progress):
            hr, lr = _load(pair, model.scale_factor, crop)
            hashes.append(picture_sha256(hr))
            sampler = PictureSampler(model, lr, refine if consistency_rounds else None, max_pixels_per_batch)
            for temperature in temperatures:
                plain, refined = meters(hr), meters(hr)
                for batch in sampler.draw(counts[-1], temperature, seed):
                    for sample in batch.plain:
                        plain.add_float(sample)
                    for sample in () if batch.refined is None else batch.refined:
                        refined.add_float(sample)
                spreads.setdefault((temperature, 0), []).append(plain.spreads)
                if consistency_rounds:
                    spreads.setdefault((temperature, consistency_rounds), []).append(refined.spreads)
    finally:
        model.train(was_training)
    plan = _Plan(assigned, coverage, confidence, model.scale_factor)
    settings = [
        plan.measured(temperature, count, rounds, [one[count] for one in pictures])
        for (temperature, rounds), pictures in sorted(spreads.items(), key=lambda item: item[0][::-1])
        for count in counts
        if all(count in one for one in pictures)
    ]
    if not settings:
        raise InputError(
            "At every temperature the model gave samples with NaN or infinity; see `python -m srflow evaluate`."
        )
    return Calibration(
        weights_sha256=model.metadata.weights_sha256,
        model=model.config.name,
        scale_factor=model.scale_factor,
        coverage=coverage,
        confidence=confidence,
        hr=pairs[0].hr.parent.resolve().name,
        num_pictures=len(pairs),
        pictures_sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
        crop=crop,
        folds=int(assigned.max()) + 1,
        seed=seed,
        conv_dtype=_conv_dtype(model),
        srflow_version=__version__,
        settings=tuple(settings),
    )


@dataclass(frozen=True)
class _Plan:
    """What is done with the pictures' spreads, the same at every setting. folds: of every picture, (n,)."""

    folds: np.ndarray
    coverage: float
    confidence: float | None
    scale_factor: int

    def measured(
        self, temperature: float, count: int, rounds: int, spreads: Sequence[PictureSpread]
    ) -> MeasuredSetting:
        """What all pictures together say at one setting."""
        nominal = nominal_lambda(count, self.coverage)
        choose: Choose = partial(conformal_lambda, coverage=self.coverage)
        if self.confidence is not None:
            choose = partial(rcps_lambda, coverage=self.coverage, confidence=self.confidence)
        bars, checked = [], {}
        for key in spreads[0].losses:
            losses = np.stack([spread.losses[key] for spread in spreads])
            checked[key] = cross_fit(losses, self.folds, choose)
            outside = losses[np.arange(len(losses)), np.searchsorted(LAMBDAS, checked[key])].astype(np.float64)
            error = np.mean([spread.squared_error[key] for spread in spreads])
            sigma = np.mean([spread.squared_sigma[key] for spread in spreads])
            bars.append(
                MeasuredBar(
                    value=key[0],
                    box=key[1],
                    sigma_floor=sigma_floor(key[1], self.scale_factor),
                    lam=choose(losses),
                    error_ratio=float(np.sqrt(error / sigma)),
                    coverage_before=1 - float(losses[:, np.searchsorted(LAMBDAS, nominal)].mean(dtype=np.float64)),
                    coverage=1 - float(outside.mean()),
                    coverage_tenth=1 - float(np.quantile(outside, 0.9)),
                )
            )
        return MeasuredSetting(
            temperature=temperature,
            num_samples=count,
            consistency_rounds=rounds,
            ranks_before=_ranks(spreads, np.ones(len(spreads))),
            ranks_after=_ranks(spreads, checked["luma", 1] / nominal),
            bars=tuple(bars),
        )


def _ranks(spreads: Sequence[PictureSpread], stretches: np.ndarray) -> tuple[float, ...]:
    """Shares of the ranks; every picture weighs the same."""
    random = np.random.default_rng(0)
    shares = []
    for spread, stretch in zip(spreads, stretches, strict=True):
        counts = rank_histogram(spread.truth, spread.samples, random, float(stretch))
        shares.append(counts / counts.sum())
    return tuple(map(float, np.mean(shares, axis=0)))


def _with_luma(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) → R, G, B and brightness, (H, W, 4), float32."""
    rgb = picture.astype(np.float32)
    return np.concatenate([rgb, (rgb @ LUMA)[..., None]], axis=2)


def _load(pair: PicturePair, scale_factor: int, crop: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The truth, or its middle, and the LR picture made from that."""
    hr, lr = pair.load(scale_factor)
    if crop is None:
        return hr, lr
    top, left = ((side - min(side, crop)) // 2 for side in hr.shape[:2])
    hr = np.ascontiguousarray(hr[top : top + crop, left : left + crop])
    return hr, downscale_uint8(hr, scale_factor)


def _conv_dtype(model: SRFlow) -> str:
    dtype = next(module.weight.dtype for module in model.modules() if isinstance(module, nn.Conv2d))
    return str(dtype).removeprefix("torch.")


def _assign_folds(count: int, folds: int, needed: int, seed: int) -> np.ndarray:
    """Deal pictures into folds of nearly the same size, at random; at least `needed` of them are in no one fold."""
    if count <= needed:
        raise InputError(
            f"{count} pictures are too few: the bars need {needed}, and one more to check them on. Give more pictures, "
            "or ask for less coverage or confidence."
        )
    folds = min(folds, count)
    while count - -(-count // folds) < needed:
        folds += 1
    return np.random.default_rng(seed).permutation(count) % folds


def _check(
    temperatures: Sequence[float],
    counts: Sequence[int],
    rounds: int,
    boxes: Sequence[int],
    folds: int,
    crop: int | None,
) -> None:
    if not temperatures or not all(0 <= temperature <= MAX_TEMPERATURE for temperature in temperatures):
        raise InputError(f"The temperatures are {list(temperatures)}; give numbers from 0 to {MAX_TEMPERATURE:g}.")
    if not counts or counts[0] < 2 or counts[-1] > MAX_SAMPLES:
        raise InputError(f"The numbers of samples are {list(counts)}; give numbers from 2 to {MAX_SAMPLES}.")
    if rounds < 0:
        raise InputError(f"The number of consistency rounds is {rounds}; it must be 0 or more.")
    if boxes[0] < 1 or boxes[-1] > MAX_BOX:
        raise InputError(f"The boxes are {list(boxes)}; give pixels a side from 1 to {MAX_BOX}.")
    if folds < 2:
        raise InputError(f"The number of folds is {folds}; it must be at least 2.")
    if crop is not None and (crop < MIN_SIDE or crop % CROP_MULTIPLE):
        raise InputError(f"The crop is {crop} pixels a side; give a multiple of {CROP_MULTIPLE} from {MIN_SIDE} on.")

"""The calibration of a model: λ for every setting, chosen on some pictures and checked on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from srflow import __version__
from srflow.calibration.bars import (
    LAMBDAS,
    Choose,
    conformal_lambda,
    cross_fit,
    min_pictures,
    nominal_lambda,
    rank_histogram,
    rcps_lambda,
    sigma_floor,
)
from srflow.calibration.file import Calibration, Check, MeasuredBar, MeasuredSetting
from srflow.consistency import DEFAULT_ROUNDS
from srflow.contract import InputError
from srflow.evaluation.drawing import SampleSource
from srflow.evaluation.pairing import PicturePair
from srflow.evaluation.spread import PictureSpread, Survey, measure_spreads

__all__ = ["DEFAULT_BOXES", "DEFAULT_FOLDS", "calibrate_model", "check_calibration"]

DEFAULT_BOXES = (8, 16)
"""Sides in pixels of the boxes whose means get bars, in addition to single pixels."""

DEFAULT_FOLDS = 5


def calibrate_model(
    source: SampleSource,
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
    progress: bool = False,
) -> Calibration:
    """Measure the samples' spread against the truth, and choose λ for every setting.

    λ is chosen with all pictures. Its coverage is checked by cross-fitting: the pictures are divided into folds, and
    the coverage of each fold is measured with a λ that was chosen on the other folds.

    Args:
        source: draws the samples of a model whose weights come from a file.
        pairs: see `pairing.find_pairs`; pictures that the model was not trained on.
        temperatures, sample_counts, consistency_rounds, boxes, crop: see `spread.Survey`.
        coverage: the promised share.
        confidence: for risk-controlling sets; None for conformal risk control.
        folds: increased if too few pictures would remain without a fold.
        seed: of the samples, and of the division into folds.
        progress: show a bar on stderr.

    Raises:
        InputError: an argument is out of range, or there are too few pictures.
        ImageError: a picture is broken; the message names it.
    """
    survey = Survey(
        temperatures=tuple(sorted(set(temperatures))),
        sample_counts=tuple(sorted(set(sample_counts))),
        consistency_rounds=consistency_rounds,
        boxes=tuple(sorted({1, *boxes})),
        crop=crop,
        seed=seed,
    )
    if folds < 2:
        raise InputError(f"The number of folds is {folds}; it must be at least 2.")
    model = source.model
    if model.metadata.weights_sha256 is None:
        raise InputError(
            "The model's weights were not loaded from a file, so the calibration cannot refer to one; save the "
            "model first."
        )
    assigned = _assign_folds(len(pairs), folds, min_pictures(coverage, confidence), seed)
    spreads = measure_spreads(source, pairs, survey, progress=progress)
    plan = _Plan(assigned, coverage, confidence, model.scale_factor)
    return Calibration(
        weights_sha256=model.metadata.weights_sha256,
        model=model.config.name,
        scale_factor=model.scale_factor,
        coverage=coverage,
        confidence=confidence,
        hr=_folder_name(pairs),
        num_pictures=len(pairs),
        pictures_sha256=spreads.pictures_sha256,
        crop=crop,
        folds=int(assigned.max()) + 1,
        seed=seed,
        conv_dtype=source.precision,
        srflow_version=__version__,
        settings=tuple(plan.measured(*setting, pictures) for setting, pictures in spreads.settings.items()),
    )


def check_calibration(
    source: SampleSource,
    calibration: Calibration,
    pairs: Sequence[PicturePair],
    *,
    progress: bool = False,
) -> Calibration:
    """Return the calibration with the measured coverage of its bars on other pictures, which do not influence λ.

    Args:
        source: draws the samples of the model that was calibrated.
        pairs: pictures used neither in training nor in the calibration.
        progress: show a bar on stderr.

    Raises:
        InputError: the model has other weights than the calibration.
        ImageError: a picture is broken; the message names it.
    """
    if source.model.metadata.weights_sha256 != calibration.weights_sha256:
        raise InputError("The calibration belongs to other weights than the model's; calibrate these weights first.")
    settings = calibration.settings
    survey = Survey(
        temperatures=tuple(sorted({setting.temperature for setting in settings})),
        sample_counts=tuple(sorted({setting.num_samples for setting in settings})),
        consistency_rounds=max(setting.consistency_rounds for setting in settings),
        boxes=tuple(sorted({bar.box for setting in settings for bar in setting.bars})),
        crop=calibration.crop,
        seed=calibration.seed,
    )
    spreads = measure_spreads(source, pairs, survey, progress=progress)
    return replace(
        calibration,
        check=Check(hr=_folder_name(pairs), num_pictures=len(pairs), pictures_sha256=spreads.pictures_sha256),
        settings=tuple(_checked(setting, spreads.settings) for setting in settings),
    )


def _checked(setting: MeasuredSetting, found: dict[tuple[float, int, int], list[PictureSpread]]) -> MeasuredSetting:
    """Return the setting with its coverage on other pictures."""
    pictures = found[setting.temperature, setting.num_samples, setting.consistency_rounds]
    bars = []
    for bar in setting.bars:
        index = int(np.argmin(np.abs(LAMBDAS - bar.lam)))  # a file stores λ rounded
        outside = [float(picture.losses[bar.value, bar.box][index]) for picture in pictures]
        bars.append(replace(bar, coverage_checked=1 - float(np.mean(outside))))
    return replace(setting, bars=tuple(bars))


def _folder_name(pairs: Sequence[PicturePair]) -> str:
    return pairs[0].hr.parent.resolve().name


@dataclass(frozen=True)
class _Plan:
    """How the pictures' spreads are evaluated, the same at every setting. folds: of every picture, (n,)."""

    folds: np.ndarray
    coverage: float
    confidence: float | None
    scale_factor: int

    def measured(
        self, temperature: float, count: int, rounds: int, spreads: Sequence[PictureSpread]
    ) -> MeasuredSetting:
        """Return the measurements over all pictures at one setting."""
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
    """Return the shares of the ranks; every picture has the same weight."""
    random = np.random.default_rng(0)
    shares = []
    for spread, stretch in zip(spreads, stretches, strict=True):
        counts = rank_histogram(spread.truth, spread.samples, random, float(stretch))
        shares.append(counts / counts.sum())
    return tuple(map(float, np.mean(shares, axis=0)))


def _assign_folds(count: int, folds: int, needed: int, seed: int) -> np.ndarray:
    """Divide pictures at random into folds of nearly equal size; at least `needed` pictures remain without any one
    fold.
    """
    if count <= needed:
        raise InputError(
            f"{count} pictures are too few: the bars need {needed}, and one more to check them on. Give more pictures, "
            "or ask for less coverage or confidence."
        )
    folds = min(folds, count)
    while count - -(-count // folds) < needed:
        folds += 1
    return np.random.default_rng(seed).permutation(count) % folds

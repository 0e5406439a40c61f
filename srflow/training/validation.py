"""Scores of the averaged weights on held-out pictures: of samples, not only of the loss.

The loss can decrease while samples are black or broken (the inverse pass divides by the factors of the forward pass).
So a few samples are drawn and scored at several temperatures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from srflow.contract import CheckpointError, DatasetError
from srflow.evaluation.features import FeatureDistance, MissingPackageError
from srflow.evaluation.metrics import BestOfSamples, lr_psnr, psnr
from srflow.evaluation.perceptual import MIN_SIDE, PerceptualDistance
from srflow.images import bicubic_upscale, downscale_uint8, to_tensor, to_uint8
from srflow.likelihood import bits_per_dimension
from srflow.model import Conditioning, SRFlow
from srflow.training.precision import AUTOCAST_DTYPES
from srflow.training.recipe import TrainingRecipe
from srflow.training.store import PictureStore, centre_crops

__all__ = ["ValidationResult", "ValidationSet", "best_score", "error_over_spread"]

_NUM_SHOWN = 3  # pictures that go to TensorBoard
_NUM_SAMPLES_SHOWN = 2  # of each temperature
_MIN_VARIANCE = 1 / 12  # of rounding to 8 bits


@dataclass(frozen=True)
class ValidationResult:
    """The means over the pictures.

    values: what is logged; keys of values from samples end in "@temperature". "features" is the second perceptual
        distance, by EfficientNet's features. The finetuning phase trains on such features; no loss contains LPIPS.
    score: the best weights have the lowest.
    pictures: uint8 (H, W, 3), by name.
    """

    values: dict[str, float]
    score: float
    pictures: dict[str, np.ndarray]

    def summary(self) -> str:
        """Summarise the values in one line."""
        return ", ".join(f"{key} {value:.4g}" for key, value in self.values.items())


class ValidationSet:
    """Centre crops of held-out pictures, with their LR, and the noise that is added for the likelihood.

    Raises: DatasetError: no picture is large enough to be scored.
    """

    def __init__(self, store: PictureStore, recipe: TrainingRecipe, device: torch.device) -> None:
        self._recipe = recipe
        self._device = device
        settings = recipe.validation
        self._scale_factor = recipe.model.config().scale_factor
        multiple = self._scale_factor * recipe.model.config().lr_multiple
        crops = centre_crops(store, settings.num_pictures, settings.crop_size, multiple)
        self._crops = [(name, hr) for name, hr in crops if min(hr.shape[:2]) >= MIN_SIDE]
        if not self._crops:
            raise DatasetError(f"No validation picture has {MIN_SIDE} pixels a side, which LPIPS needs.")
        try:
            self._perceptual = PerceptualDistance(device)
        except CheckpointError as error:
            raise CheckpointError(f"{error} Or train without --validation.") from error
        self._features = _feature_distance(device)

    @torch.no_grad()
    def score(self, model: SRFlow, what: Literal["encoder", "samples"]) -> ValidationResult:
        """Score `model` (in eval mode). Args: what: a stage's `scores`: the encoder's own output or samples."""
        return self._score_encoder(model) if what == "encoder" else self._score_samples(model)

    def _score_encoder(self, model: SRFlow) -> ValidationResult:
        rows, pictures = [], {}
        for index, (name, hr) in enumerate(self._crops):
            with self._autocast():
                sr = model.encoder.super_resolve(self._lr(hr))
            row, picture = self._compare(sr.float(), hr)
            rows.append(row | {"l1": (sr.float() - self._to_device(hr)).abs().mean().item()})
            if index < _NUM_SHOWN:
                pictures[f"{name}/encoder"] = picture
        values = _means(rows)
        return ValidationResult(values, values["l1"], pictures)

    def _score_samples(self, model: SRFlow) -> ValidationResult:
        settings = self._recipe.validation
        rows, pictures = [], {}
        for index, (name, hr) in enumerate(self._crops):
            with self._autocast():
                lr = self._lr(hr)
                conditioning = model.condition(lr)
                _, log_prob = model.encode(self._noisy(hr, seed=index), conditioning)
                row = {"bits_per_dimension": bits_per_dimension(log_prob, *hr.shape[:2]).item()}
                encoder_output = model.encoder.super_resolve(lr)
            row["encoder_psnr"] = self._compare(encoder_output, hr)[0]["psnr"]
            shown = [hr, to_uint8(bicubic_upscale(lr, self._scale_factor))]
            for temperature in settings.temperatures:
                scores, samples = self._score_temperature(model, conditioning, temperature, hr, seed=index)
                row |= {f"{key}@{temperature:g}": value for key, value in scores.items()}
                shown += samples[:_NUM_SAMPLES_SHOWN]
            rows.append(row)
            if index < _NUM_SHOWN:
                pictures[f"{name} (truth, bicubic, samples by temperature)"] = np.concatenate(shown, axis=1)
        values = _means(rows)
        score = best_score(values, settings.temperatures, settings.best_temperature, settings.best_diversity)
        return ValidationResult(values, score, pictures)

    def _score_temperature(
        self, model: SRFlow, conditioning: Conditioning, temperature: float, hr: np.ndarray, seed: int
    ) -> tuple[dict[str, float], list[np.ndarray]]:
        """Return means over the samples of one picture at one temperature; and the samples, uint8 (H, W, 3).

        If there are several samples, statistics of the set are included: NTIRE's diversity, and the calibration of
        their spread (`calibration`): the root mean square error of their mean relative to the error expected from their
        standard deviation; 1 if the spread is right, above 1 if it is too small.
        """
        best, rows, samples = BestOfSamples(), [], []
        size = (conditioning.height, conditioning.width)
        # Not by the engine, which `srflow evaluate` uses: these weights are in no file, they run under the training's
        # autocast, and the engine's guard would hide a sample that explodes.
        for number in range(self._recipe.validation.num_samples):
            latents = model.draw_latents(*size, seed=seed, first_sample=number).to(self._device)
            with self._autocast():
                sample = model.decode(latents * temperature, conditioning).float()
            scores, picture = self._compare(sample, hr, best)
            rows.append(scores)
            samples.append(picture)
        values = _means(rows)
        if len(samples) > 1:
            values["diversity"] = best.scores().diversity
            values["calibration"] = error_over_spread(np.stack(samples), hr)
        return values, samples

    def _compare(
        self, sr: Tensor, hr: np.ndarray, best: BestOfSamples | None = None
    ) -> tuple[dict[str, float], np.ndarray]:
        """Return metrics of one picture. Non-finite values count as black; `non_finite` is 1 if there are any.

        Args: best: receives the picture's LPIPS map.
        """
        non_finite = not torch.isfinite(sr).all().item()
        picture = to_uint8(torch.nan_to_num(sr, 0.0, 0.0, 0.0))
        lpips = (best or BestOfSamples()).add(self._perceptual.map(picture, hr))
        values = {
            "psnr": psnr(picture, hr),
            "lr_psnr": lr_psnr(picture, hr, self._scale_factor),
            "lpips": lpips,
            "non_finite": float(non_finite),
        }
        if self._features is not None:
            values["features"] = self._features.distance(picture, hr)
        return values, picture

    def _lr(self, hr: np.ndarray) -> Tensor:
        return self._to_device(downscale_uint8(hr, self._scale_factor))

    def _to_device(self, picture: np.ndarray) -> Tensor:
        return to_tensor(picture).to(self._device)

    def _noisy(self, hr: np.ndarray, seed: int) -> Tensor:
        """Return HR with the training noise, the same in every call, so that likelihoods can be compared."""
        data = self._recipe.data
        generator = torch.Generator().manual_seed(seed)
        shape = (1, 3, *hr.shape[:2])
        if data.noise == "gaussian":
            noise = torch.randn(shape, generator=generator)
        else:
            noise = torch.rand(shape, generator=generator) - 0.5
        weight = 0.0 if data.noise == "none" else data.noise_scale / 255
        return self._to_device(hr) + weight * noise.to(self._device)

    def _autocast(self) -> AbstractContextManager:
        dtype = AUTOCAST_DTYPES.get(self._recipe.runtime.precision)
        return nullcontext() if dtype is None else torch.autocast(self._device.type, dtype)


def best_score(
    values: Mapping[str, float], temperatures: Sequence[float], best_temperature: float, best_diversity: float
) -> float:
    """Return the score of weights: LPIPS at `best_temperature` or, if it is above 0, at `best_diversity`.

    Lower is better.

    The latter is interpolated linearly on the curve of LPIPS over diversity at the temperatures. Weights whose samples
    reach that diversity at no temperature, or are not finite, score infinity.

    Args: values: by "lpips@temperature" and so on, as in `ValidationResult`.
    """
    if not best_diversity:
        score = values[f"lpips@{best_temperature:g}"] + values[f"non_finite@{best_temperature:g}"]
        return score if math.isfinite(score) else math.inf
    curve = [(values[f"diversity@{t:g}"], values[f"lpips@{t:g}"], values[f"non_finite@{t:g}"]) for t in temperatures]
    for (low, lpips_low, bad_low), (high, lpips_high, bad_high) in pairwise(sorted(curve)):
        if low <= best_diversity <= high and not bad_low + bad_high and math.isfinite(lpips_low + lpips_high):
            share = (best_diversity - low) / (high - low) if high > low else 0.0
            return lpips_low + share * (lpips_high - lpips_low)
    return math.inf


def error_over_spread(samples: np.ndarray, truth: np.ndarray) -> float:
    """Return the root mean square error of the samples' mean relative to the expected error, sqrt(1 + 1/K) σ.

    Args:
        samples: uint8, (K, H, W, 3), K at least 2.
        truth: uint8, (H, W, 3).
    """
    values = samples.astype(np.float64)
    error = np.square(values.mean(0) - truth).mean()
    variance = values.var(0, ddof=1).mean() * (1 + 1 / len(samples))
    return math.sqrt(error / max(variance, _MIN_VARIANCE))


def _feature_distance(device: torch.device) -> FeatureDistance | None:
    """Return the second perceptual distance, if the package that builds its network is installed."""
    try:
        return FeatureDistance(device)
    except MissingPackageError:
        return None


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}

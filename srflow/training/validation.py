"""Scores of the averaged weights on held-out pictures: of samples, not of the loss alone.

The loss can fall while samples are black or broken (the inverse pass divides by what the forward pass multiplies by),
so a few samples are drawn at several temperatures and looked at.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from srflow.contract import CheckpointError, DatasetError
from srflow.evaluation.metrics import lr_psnr, psnr
from srflow.evaluation.perceptual import MIN_SIDE, PerceptualDistance
from srflow.images import downscale_uint8, to_tensor, to_uint8
from srflow.likelihood import bits_per_dimension
from srflow.model import SRFlow
from srflow.training.data import PictureStore, centre_crops
from srflow.training.precision import AUTOCAST_DTYPES
from srflow.training.recipe import Recipe

__all__ = ["ValidationResult", "ValidationSet"]

_NUM_SHOWN = 3  # pictures that go to TensorBoard


@dataclass(frozen=True)
class ValidationResult:
    """Means over the pictures.

    values: what is logged; keys end in "@temperature" where they are of samples.
    score: what the best weights have the lowest of.
    pictures: uint8 (H, W, 3), by name.
    """

    values: dict[str, float]
    score: float
    pictures: dict[str, np.ndarray]

    def summary(self) -> str:
        """The values in one line."""
        return ", ".join(f"{key} {value:.4g}" for key, value in self.values.items())


class ValidationSet:
    """Centre crops of held-out pictures, with their LR, and the noise that is added for the likelihood.

    Raises: DatasetError: if no picture is large enough to be scored.
    """

    def __init__(self, store: PictureStore, recipe: Recipe, device: torch.device) -> None:
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

    @torch.no_grad()
    def score(self, model: SRFlow, stage: str) -> ValidationResult:
        """Score `model` (in eval mode): the encoder's own output in the stage "encoder", else samples."""
        return self._score_encoder(model) if stage == "encoder" else self._score_flow(model)

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

    def _score_flow(self, model: SRFlow) -> ValidationResult:
        settings = self._recipe.validation
        rows, pictures = [], {}
        for index, (name, hr) in enumerate(self._crops):
            with self._autocast():
                lr = self._lr(hr)
                conditioning = model.condition(lr)
                _, log_prob = model.encode(self._noisy(hr, seed=index), conditioning)
                row = {"bits_per_dimension": bits_per_dimension(log_prob, *hr.shape[:2]).item()}
                latents = model.draw_latents(*lr.shape[-2:], seed=index).to(self._device)
                encoder_output = model.encoder.super_resolve(lr)
                samples = {t: model.decode(latents * t, conditioning).float() for t in settings.temperatures}
            row["encoder_psnr"] = self._compare(encoder_output, hr)[0]["psnr"]
            for temperature, sample in samples.items():
                scores, picture = self._compare(sample, hr)
                row |= {f"{key}@{temperature:g}": value for key, value in scores.items()}
                if index < _NUM_SHOWN:
                    pictures[f"{name}/{temperature:g}"] = picture
            rows.append(row)
        values = _means(rows)
        score = values[f"lpips@{settings.best_temperature:g}"] + values[f"non_finite@{settings.best_temperature:g}"]
        return ValidationResult(values, score if math.isfinite(score) else math.inf, pictures)

    def _compare(self, sr: Tensor, hr: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """Metrics of one picture. What is not finite counts as black; `non_finite` is 1 if there is any."""
        non_finite = not torch.isfinite(sr).all().item()
        picture = to_uint8(torch.nan_to_num(sr, 0.0, 0.0, 0.0))
        return {
            "psnr": psnr(picture, hr),
            "lr_psnr": lr_psnr(picture, hr, self._scale_factor),
            "lpips": float(self._perceptual.map(picture, hr).mean()),
            "non_finite": float(non_finite),
        }, picture

    def _lr(self, hr: np.ndarray) -> Tensor:
        return self._to_device(downscale_uint8(hr, self._scale_factor))

    def _to_device(self, picture: np.ndarray) -> Tensor:
        return to_tensor(picture).to(self._device)

    def _noisy(self, hr: np.ndarray, seed: int) -> Tensor:
        """HR with the noise of training, the same at every call, so that likelihoods can be compared."""
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


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}

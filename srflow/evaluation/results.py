"""The results of an evaluation: scores of a picture, and of a method over all pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

__all__ = ["MethodResult", "Scores"]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of a method on one picture, or their mean over pictures. None: not measured.

    psnr, ssim: against the ground truth, the mean over samples; dB, and 1 for equal.
    lr_psnr, lr_psnr_worst: of the downscaled pictures, the mean and the smallest over samples; dB.
    lpips, lpips_global, lpips_local: the mean over samples, the best sample, and the best sample at every pixel.
    feature_distance: to the ground truth by `features.FeatureDistance`, the mean over samples; None without timm.
    diversity, mse_diversity: how much lower the local best is than the global best, in percent, by LPIPS and by the
        squared error (NTIRE 2022).
    bits_per_dim: of the ground truth under the model, for a density over [0, 1]; + 8 for 8-bit values.
    seconds: to make one super-resolution of one LR picture in memory.
    exploded: share of the samples that were at first far outside of [0, 1] or not finite, 0 to 1. They were decoded
        again from clipped latents, as everywhere in this package (`srflow.sampling.guard`), and then scored.
    """

    psnr: float | None = None
    ssim: float | None = None
    lr_psnr: float | None = None
    lr_psnr_worst: float | None = None
    lpips: float | None = None
    lpips_global: float | None = None
    lpips_local: float | None = None
    feature_distance: float | None = None
    diversity: float | None = None
    mse_diversity: float | None = None
    bits_per_dim: float | None = None
    seconds: float | None = None
    exploded: float | None = None

    @classmethod
    def mean(cls, scores: Sequence[Scores]) -> Scores:
        """Return the mean of each score over those that have it; None if none has."""
        means: dict[str, float | None] = {}
        for name in (one.name for one in fields(cls)):
            values = [value for one in scores if (value := getattr(one, name)) is not None]
            means[name] = math.fsum(values) / len(values) if values else None
        return cls(**means)


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """All scores of one method.

    method: its name.
    pictures: scores by the picture's name.
    num_samples: for each LR picture.
    temperature: None if the method has none.
    params: number of weights, for a flow without those of the encoder, as the papers count.
    params_total: including the encoder.
    """

    method: str
    pictures: dict[str, Scores] = field(default_factory=dict)
    num_samples: int = 1
    temperature: float | None = None
    params: int | None = None
    params_total: int | None = None

    @property
    def mean(self) -> Scores:
        """The mean over pictures."""
        return Scores.mean(list(self.pictures.values()))

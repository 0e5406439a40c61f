"""The losses of the stages: L1 of the encoder, the likelihood, and losses of samples drawn in the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srflow.evaluation.features import feature_distance, feature_scales
from srflow.images import bicubic_downscale, bicubic_upscale
from srflow.likelihood import bits_per_dimension
from srflow.model import SRFlow
from srflow.training.adversarial import Adversary, Views
from srflow.training.patches import MAX_SHIFT
from srflow.training.recipe import DataRecipe, FinetuningRecipe

__all__ = ["EncoderObjective", "FinetuningObjective", "LikelihoodObjective", "Losses", "energy_score"]

Features = list[Tensor]


class Losses(NamedTuple):
    """The result of an objective for one step.

    minimised: a scalar with gradients.
    reported: scalars without gradients, by name, including "loss".
    views: the discriminator's training data after the step, (photographs, samples); None if there is no discriminator.
    """

    minimised: Tensor
    reported: dict[str, Tensor]
    views: tuple[Views, Views] | None = None


class EncoderObjective(nn.Module):
    """The mean absolute error of the encoder's own super-resolution, values in [0, 1]."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, hr: Tensor, noise: Tensor, lr: Tensor) -> Losses:  # noqa: ARG002
        """Compute the loss. Args: hr: (B, 3, s h, s w), in [0, 1]. noise: not used. lr: (B, 3, h, w)."""
        loss = F.l1_loss(self.encoder.super_resolve(lr), hr)
        return Losses(loss, {"loss": loss.detach()})


class LikelihoodObjective(nn.Module):
    """The negative log-likelihood in bits per dimension of a density over [0, 1] (eq. 2 of the SRFlow-DA paper).

    encoder_output_weight: see `LikelihoodRecipe`; 0: without that term.
    """

    def __init__(self, model: SRFlow, data: DataRecipe, encoder_output_weight: float = 0.0) -> None:
        super().__init__()
        self.model = model
        self.encoder_output_weight = encoder_output_weight
        self.dequantisation = _dequantisation(data)

    def forward(self, hr: Tensor, noise: Tensor, lr: Tensor) -> Losses:
        """Compute the loss.

        Args:
            hr: (B, 3, s h, s w), in [0, 1].
            noise: the same shape, added to hr.
            lr: (B, 3, h, w).
        """
        if not self.encoder_output_weight:
            loss = _bits(self.model.log_prob(hr + noise, lr), hr) + self.dequantisation
            return Losses(loss, {"loss": loss.detach()})
        log_prob, encoder_output = self.model.log_prob_and_encoder_output(hr + noise, lr)
        bits = _bits(log_prob, hr) + self.dequantisation
        loss = bits + self.encoder_output_weight * F.l1_loss(encoder_output, hr)
        return Losses(loss, {"loss": bits.detach()})


class FinetuningObjective(nn.Module):
    """The weighted sum of the likelihood and of losses of samples; `FinetuningRecipe` describes each of them.

    Args:
        features: maps RGB pictures (N, 3, H, W) in [0, 1] to features, per stride (N, C, h, w); None if no loss uses
            them. It is a function rather than a module, so that its weights do not become part of the model.
        critic_layers: the indices of the features that discriminators see.
        adversary: None if `adversarial_weight` is 0. `adversarial_on` says whether its loss counts yet; the
            discriminator is trained in any case.
    """

    def __init__(
        self,
        model: SRFlow,
        data: DataRecipe,
        recipe: FinetuningRecipe,
        features: Callable[[Tensor], Features] | None,
        critic_layers: Sequence[int],
        adversary: Adversary | None,
    ) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.dequantisation = _dequantisation(data)
        self.adversarial_on = True
        self._features = features
        self._critic_layers = critic_layers
        self._adversary = adversary

    def forward(
        self,
        hr: Tensor,
        noise: Tensor,
        lr: Tensor,
        latents: Sequence[Tensor],
        critic_noise: Tensor | None,
        shift: Tensor,
    ) -> Losses:
        """Compute the losses. Args: as in `srflow.training.patches.Batch`."""
        recipe, count = self.recipe, latents[0].shape[1]
        sets = [[level[:, index] for level in latents] for index in range(count)]
        if recipe.l1_weight:
            sets.append([torch.zeros_like(level) for level in sets[0]])
        log_prob, pictures, encoder_output = self.model.log_prob_and_samples(hr + noise, lr, sets)
        samples = [picture.to(hr.dtype) for picture in pictures[:count]]
        bits = _bits(log_prob, hr) + self.dequantisation
        terms = {"bits_per_dimension": (recipe.likelihood_weight, bits)}
        if recipe.l1_weight:
            terms["l1"] = (recipe.l1_weight, F.l1_loss(pictures[count].to(hr.dtype), hr))
        if recipe.encoder_output_weight:
            terms["encoder_l1"] = (recipe.encoder_output_weight, F.l1_loss(encoder_output, hr))
        if recipe.consistency_weight:
            scale = self.model.scale_factor
            misfits = [(bicubic_downscale(sample, scale) - lr).abs().mean() for sample in samples]
            terms["consistency"] = (recipe.consistency_weight, torch.stack(misfits).mean())
        if recipe.energy_weight or recipe.unit_energy_weight or recipe.feature_weight:
            terms |= self._feature_terms(hr, samples, shift)
        views = None
        if self._adversary is not None:
            real, fake = self._views(hr, samples, lr, critic_noise, shift)
            views = (real.detached(), fake.detached())
            if self.adversarial_on:
                terms["adversarial"] = (recipe.adversarial_weight, self._adversary.generator_loss(real, fake))
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        reported = {name: value.detach() for name, (_, value) in terms.items()}
        return Losses(loss, {"loss": loss.detach()} | reported, views)

    def _feature_terms(self, hr: Tensor, samples: list[Tensor], shift: Tensor) -> dict[str, tuple[float, Tensor]]:
        assert self._features is not None
        with torch.no_grad():
            truth = self._features(_shifted(hr, shift))
        drawn = [self._features(_shifted(sample, shift)) for sample in samples]
        terms = {}
        if self.recipe.energy_weight:
            score = energy_score(truth, drawn, self.recipe.energy_spread)
            terms["energy"] = (self.recipe.energy_weight, score)
        if self.recipe.unit_energy_weight:
            score = energy_score(_unit_length(truth), [_unit_length(x) for x in drawn], self.recipe.energy_spread)
            terms["unit_energy"] = (self.recipe.unit_energy_weight, score)
        if self.recipe.feature_weight:
            distances = [_mean_l1(_unit_length(features), _unit_length(truth)) for features in drawn]
            terms["features"] = (self.recipe.feature_weight, torch.stack(distances).mean())
        return terms

    def _views(
        self, hr: Tensor, samples: list[Tensor], lr: Tensor, critic_noise: Tensor, shift: Tensor
    ) -> tuple[Views, Views]:
        """Return the discriminator's views of the photographs and of all samples, both with noise."""
        noise = critic_noise * (self.recipe.adversarial_noise / 255)
        base = bicubic_upscale(lr, self.model.scale_factor)
        with torch.no_grad():
            real = self._view(hr + noise[:, 0], base, shift, None)
            scales = feature_scales(real.features, shared=True)
            real = Views(_divided(real.features, scales), real.pixels)
        fakes = torch.cat([sample + noise[:, 1 + index] for index, sample in enumerate(samples)])
        return real, self._view(fakes, base.repeat(len(samples), 1, 1, 1), shift, scales)

    def _view(self, pictures: Tensor, base: Tensor, shift: Tensor, scales: list[Tensor] | None) -> Views:
        assert self._features is not None
        features = self._features(_shifted(pictures, shift))
        features = [features[index] for index in self._critic_layers]
        pixels = torch.cat([2 * pictures - 1, pictures - base], 1)
        return Views(features if scales is None else _divided(features, scales), pixels)


def energy_score(truth: Features, samples: Sequence[Features], spread: float) -> Tensor:
    """Return the energy score of N samples of each picture, with a weight for their mutual distance; a scalar.

        mean_i d(x_i, y) - spread / 2 · mean_{i ≠ j} d(x_i, x_j)

    d is `feature_distance`, scaled by the ground truth's features y. With `spread` 1 it is a proper scoring rule: in
    expectation no distribution of samples has a lower score than the true one (Gneiting and Raftery 2007, eq. 21).
    """
    scales = feature_scales(truth, shared=True)  # one scale for the batch, or the score is not proper
    score = torch.stack([feature_distance(x, truth, scales).mean() for x in samples]).mean()
    pairs = [
        feature_distance(x, other, scales).mean()
        for index, x in enumerate(samples)
        for other in samples[index + 1 :]
        if spread
    ]
    return score - 0.5 * spread * torch.stack(pairs).mean() if pairs else score


def _bits(log_prob: Tensor, hr: Tensor) -> Tensor:
    return bits_per_dimension(log_prob, *hr.shape[-2:]).mean()


def _dequantisation(data: DataRecipe) -> float:
    """Return the dequantisation term: with uniform noise of width q, the density is the probability of a bin over q
    (SRFlow).
    """
    return math.log2(255 / data.noise_scale) if data.noise == "uniform" else 0.0


def _shifted(pictures: Tensor, shift: Tensor) -> Tensor:
    """Crop `MAX_SHIFT` rows and columns: `shift` of them at the top and left, the rest at the bottom and right."""
    top, left = shift.tolist()
    height, width = (side - MAX_SHIFT for side in pictures.shape[-2:])
    return pictures[..., top : top + height, left : left + width]


def _divided(features: Features, scales: list[Tensor]) -> Features:
    return [feature / scale for feature, scale in zip(features, scales, strict=True)]


def _unit_length(features: Features) -> Features:
    """Divide every feature vector by its length: contrast then has no influence, only content has."""
    return [F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=1) for x in features]


def _mean_l1(features: Features, truth: Features) -> Tensor:
    """Return the mean over layers and positions of the summed absolute difference between feature vectors."""
    return torch.stack([(x - y).abs().sum(1).mean() for x, y in zip(features, truth, strict=True)]).mean()

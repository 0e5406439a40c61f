"""Log-densities and their units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

__all__ = ["bits_per_dimension", "log_likelihood", "log_likelihood_map", "standard_normal_log_prob"]


def standard_normal_log_prob(x: Tensor) -> Tensor:
    """Return log N(x; 0, 1) of every element, in nats; the shape of x."""
    return -0.5 * (x.square() + math.log(2 * math.pi))


def log_likelihood(latents: Sequence[Tensor], log_dets: Sequence[Tensor]) -> Tensor:
    """Return log p(hr | lr) = sum log N(latent; 0, I) + sum log_det (eq. 2 of the paper, negated).

    Args:
        latents: (B, C, H, W) each.
        log_dets: per position, (B or 1, H, W) each.

    Returns: (B,), in nats.
    """
    total = sum(standard_normal_log_prob(latent).flatten(1).sum(1) for latent in latents)
    return total + sum(log_det.flatten(1).sum(1) for log_det in log_dets)


def log_likelihood_map(latents: Sequence[Tensor], log_dets: Sequence[Tensor], height: int, width: int) -> Tensor:
    """Return the same sum as a map: every term is spread evenly over the HR pixels that its position covers.

    Returns: (B, height, width), in nats per pixel; its sum is `log_likelihood`. Coarse latents are shared by the pixels
    they cover, so a value describes a pixel and its surroundings.
    """
    total = 0.0
    terms = [standard_normal_log_prob(latent).sum(1) for latent in latents] + list(log_dets)
    for term in terms:
        share = term.shape[-2] * term.shape[-1] / (height * width)
        total = total + F.interpolate(term.unsqueeze(1), size=(height, width), mode="nearest").squeeze(1) * share
    return total


def bits_per_dimension(log_prob: Tensor, height: int, width: int, *, for_8_bit_values: bool = False) -> Tensor:
    """Return -log_prob / (3 H W ln 2): bits per *dimension*, three per pixel (the released code prints bits per pixel).

    Args:
        log_prob: nats, a density over [0, 1].
        for_8_bit_values: adds 8 bits, for a density over 0 … 255.
    """
    return -log_prob / (3 * height * width * math.log(2)) + (8.0 if for_8_bit_values else 0.0)

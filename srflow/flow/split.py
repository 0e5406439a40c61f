"""Split: half of the channels leave the flow as a latent, standardised by values predicted from the other half."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srflow.flow.affine import bounded
from srflow.flow.conv_blocks import ZeroConv2d

__all__ = ["Split"]


class Split(nn.Module):
    """Split: latent = (x₂ - mean) / sigma, with mean and log-sigma from a 3x3 convolution of the kept half x₁ alone.

    Standardising makes every latent N(0, I), so the prior's density appears as log_det = -sum log sigma. As in the
    released networks, the prior does not see the conditioning.

    It is not an `InvertibleLayer`: one tensor goes in and two come out.
    """

    def __init__(self, channels: int, log_sigma_bound: float | None) -> None:
        super().__init__()
        self.prior = ZeroConv2d(channels // 2, 2 * (channels - channels // 2))
        self.num_kept = channels // 2
        self.log_sigma_bound = log_sigma_bound

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map x (B, C, H, W) to kept (B, C/2, H, W), latent (B, C/2, H, W), and log_det per position (B, H, W)."""
        kept, given = x.split([self.num_kept, x.shape[1] - self.num_kept], 1)
        mean, log_sigma = self._predict(kept)
        return kept, (given - mean) * (-log_sigma).exp(), -log_sigma.sum(1)

    def inverse(self, kept: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Map kept and latent to x (B, C, H, W), and log |det d(x₂)/d(latent)| per position (B, H, W)."""
        mean, log_sigma = self._predict(kept)
        return torch.cat([kept, latent * log_sigma.exp() + mean], 1), log_sigma.sum(1)

    def _predict(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        x = kept.to(self.prior.weight.dtype, memory_format=torch.channels_last)
        raw = self.prior(x)
        mean, log_sigma = (raw if raw.dtype == torch.float64 else raw.float()).chunk(2, 1)
        return mean, log_sigma if self.log_sigma_bound is None else bounded(log_sigma, self.log_sigma_bound)

"""The invertible 1x1 convolution (Glow, Section 3.2): mixes the channels by a trained matrix, not a permutation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srflow.flow.layer import InvertibleLayer

__all__ = ["InvertibleConv1x1"]


class InvertibleConv1x1(InvertibleLayer):
    """The invertible 1x1 convolution: z = W x at every position; log_det per position = log |det W|.

    It stays in float32 under autocast, and W is inverted in float64: errors here reach every pixel of every sample.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # As in Glow, start from a random rotation, whose log-determinant is 0.
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0])

    def forward(self, x: Tensor, prepared: None = None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return self._mix(self.weight, x), self._log_det()

    def inverse(self, z: Tensor, prepared: None = None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return self._mix(self.inverse_weight(), z), -self._log_det()

    def inverse_weight(self) -> Tensor:
        """Return W⁻¹, (C, C), in the weight's own dtype. For MPS, which has no float64, it is inverted on the CPU."""
        device = "cpu" if self.weight.device.type == "mps" else self.weight.device
        return torch.linalg.inv(self.weight.to(device, torch.float64)).to(self.weight)

    def _log_det(self) -> Tensor:
        return torch.linalg.slogdet(self.weight)[1].reshape(1, 1, 1)

    @staticmethod
    def _mix(weight: Tensor, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            # For a few channels, a batched matrix product is faster on a CPU than the equivalent convolution.
            return torch.matmul(weight, x.flatten(2)).view_as(x)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}"

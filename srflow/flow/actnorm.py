"""Actnorm (Glow, Kingma and Dhariwal 2018, Section 3.1): scale and shift per channel, set from the first batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from srflow.flow.layer import InvertibleLayer

__all__ = ["ActNorm"]

_EPSILON = 1e-6  # prevents an infinite scale for a channel that never varies


class ActNorm(InvertibleLayer):
    """Actnorm: z = (x + bias) exp(logs); log_det per position = sum of logs.

    The first batch in training mode sets bias and logs such that the outputs have zero mean and unit variance in every
    channel. With several processes the statistics are those of all their batches together. The flag `initialized` is a
    buffer, so a loaded layer is never initialised again.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.logs = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.register_buffer("initialized", torch.tensor(False))
        self._known_initialized = False  # a copy of the buffer once that is true

    @property
    def is_initialized(self) -> bool:
        """Whether the first batch was seen. Once true, the buffer is not read again, because reading it would stall a
        GPU.
        """
        if not self._known_initialized:
            self._known_initialized = bool(self.initialized)
        return self._known_initialized

    def forward(self, x: Tensor, prepared: None = None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        if self.training and not self.is_initialized:
            self._initialize(x)
        return (x + self.bias) * self.logs.exp(), self._log_det()

    def inverse(self, z: Tensor, prepared: None = None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return z * (-self.logs).exp() - self.bias, -self._log_det()

    def _log_det(self) -> Tensor:
        return self.logs.sum().reshape(1, 1, 1)

    @torch.no_grad()
    def _initialize(self, x: Tensor) -> None:
        sums = _sums(x.detach())
        count = sums.new_full((1,), x.numel() / x.shape[1])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(count)
            dist.all_reduce(sums)
        mean, mean_square = sums / count
        std = (mean_square - mean.square()).clamp_min(0).sqrt()
        self.bias.copy_((-mean).to(self.bias.dtype).view_as(self.bias))
        self.logs.copy_(-(std + _EPSILON).log().to(self.logs.dtype).view_as(self.logs))
        self.initialized.fill_(True)
        self._known_initialized = True

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known_initialized = False  # the buffer has changed: read it again

    def extra_repr(self) -> str:
        return f"{self.bias.shape[1]}"


def _sums(x: Tensor) -> Tensor:
    """Return the sums of the values and of their squares per channel of x (B, C, H, W): (2, C), float64.

    They are float64 because the variance is a small difference of large numbers. On MPS, which has no float64, they are
    computed on the CPU.
    """
    values = x.to("cpu" if x.device.type == "mps" else x.device).double()
    return torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])

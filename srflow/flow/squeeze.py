"""Squeeze: moves space to channels. It permutes the values, so it preserves volumes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from srflow.contract import InputError
from srflow.flow.layer import InvertibleLayer, no_log_det

__all__ = ["Squeeze"]


class Squeeze(InvertibleLayer):
    """Squeeze: (B, C, H, W) → (B, C f², H/f, W/f); each f×f square of a channel becomes f² channels, row by row."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, prepared: None = None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Squeeze x. Raises InputError: H or W is not a multiple of the factor."""
        height, width = x.shape[-2:]
        if height % self.factor or width % self.factor:
            raise InputError(f"Cannot squeeze {height}x{width} by {self.factor}; both sides must be multiples of it.")
        z = F.pixel_unshuffle(x, self.factor)
        return z, no_log_det(z)

    def inverse(self, z: Tensor, prepared: None = None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Undo the squeeze. Raises InputError: the number of channels is not a multiple of the squared factor."""
        if z.shape[1] % self.factor**2:
            raise InputError(
                f"Cannot undo a squeeze by {self.factor} of {z.shape[1]} channels; the number must be a "
                "multiple of its square."
            )
        return F.pixel_shuffle(z, self.factor), no_log_det(z)

    def extra_repr(self) -> str:
        return f"factor={self.factor}"

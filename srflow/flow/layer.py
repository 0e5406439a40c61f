"""The interface of an invertible layer, and a sequence of such layers.

`forward` goes from the picture to the latents (the training direction), `inverse` goes back. Both return the
log-determinant of this layer alone, in nats, *per position*: (B or 1, H, W), at the layer's own size. Its sum over
positions is log |det dz/dx|. Keeping positions separate costs nothing, and gives the likelihood of every pixel.

A part of a layer's computation depends only on the LR picture. `prepare` computes it once, for all samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

__all__ = ["InvertibleLayer", "InvertibleSequence", "no_log_det"]


class InvertibleLayer(nn.Module, ABC):
    """A bijection of (B, C, H, W) tensors."""

    def prepare(self, conditioning: Tensor) -> Any:  # noqa: ARG002 - most layers ignore it
        """Return what the layer needs of the conditioning, (B, channels, H, W); None for a layer that ignores it."""
        return None

    @abstractmethod
    def forward(self, x: Tensor, prepared: Any = None) -> tuple[Tensor, Tensor]:
        """Return z and log |det dz/dx| per position."""

    @abstractmethod
    def inverse(self, z: Tensor, prepared: Any = None) -> tuple[Tensor, Tensor]:
        """Return x and log |det dx/dz| per position."""


class InvertibleSequence(InvertibleLayer):
    """Layers of equal H and W in sequence. It defines their order and sums their log-determinants, nothing else."""

    def __init__(self, layers: Iterable[InvertibleLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def prepare(self, conditioning: Tensor) -> list[Any]:
        return [layer.prepare(conditioning) for layer in self.layers]

    def forward(self, x: Tensor, prepared: Sequence[Any] | None = None) -> tuple[Tensor, Tensor]:
        return self._run(x, prepared, inverse=False)

    def inverse(self, z: Tensor, prepared: Sequence[Any] | None = None) -> tuple[Tensor, Tensor]:
        return self._run(z, prepared, inverse=True)

    def _run(self, x: Tensor, prepared: Sequence[Any] | None, *, inverse: bool) -> tuple[Tensor, Tensor]:
        pairs = list(zip(self.layers, prepared or [None] * len(self.layers), strict=True))
        total = no_log_det(x)
        for layer, own in reversed(pairs) if inverse else pairs:
            x, log_det = layer.inverse(x, own) if inverse else layer(x, own)
            total = total + log_det
        return x, total


def no_log_det(x: Tensor) -> Tensor:
    """Return zeros of shape (1, H, W), the log-determinant of a layer that preserves volumes."""
    return x.new_zeros(1, *x.shape[-2:])

"""The affine map z = (x + shift) * scale, applied element by element, and the two layers of a flow step that use it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from srflow.contract import InputError
from srflow.flow.conv_blocks import ConvBlock, project_conditioning
from srflow.flow.layer import InvertibleLayer

__all__ = ["Affine", "AffineInjector", "ConditionalAffineCoupling", "bounded"]

_SMALLEST_SCALE = 1e-4  # as in the released networks; the smallest number by which a sample is divided


def bounded(s: Tensor, bound: float) -> Tensor:
    """Return b tanh(s / b): close to the identity near 0, and never beyond ±b."""
    return bound * torch.tanh(s / bound)


class Affine(NamedTuple):
    """Shift and scale, each (B or 1, C, H, W), and the logarithm of the scale."""

    shift: Tensor
    scale: Tensor
    log_scale: Tensor

    @classmethod
    def from_raw(cls, raw: Tensor, bound: float | None) -> Affine:
        """Split the output of a conv block: the first half of the channels are shifts, the second half is s.

        If bound is None, scale = sigmoid(s + 2) + 1e-4, as in the released code (the paper writes exp(s)); if it is a
        number b, scale = exp(b tanh(s / b)).
        """
        shift, s = raw.chunk(2, 1)
        if bound is None:
            scale = torch.sigmoid(s + 2) + _SMALLEST_SCALE
            return cls(shift, scale, scale.log())
        log_scale = bounded(s, bound)
        return cls(shift, log_scale.exp(), log_scale)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (x + shift) * scale, and its log-determinant per position, (B or 1, H, W)."""
        return (x + self.shift) * self.scale, self.log_scale.sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return z / scale - shift, and its log-determinant per position."""
        return z / self.scale - self.shift, -self.log_scale.sum(1)


class AffineInjector(InvertibleLayer):
    """Shifts and scales every channel by values predicted from the conditioning alone (SRFlow, "affine injector")."""

    def __init__(self, block: ConvBlock, log_scale_bound: float | None) -> None:
        super().__init__()
        self.block = block
        self.log_scale_bound = log_scale_bound

    def prepare(self, conditioning: Tensor) -> Affine:
        return self.prepare_projected(*project_conditioning([self.block], conditioning))

    def prepare_projected(self, projected: Tensor) -> Affine:
        """Do the same as `prepare`, from the block's share of `project_conditioning`, (B, hidden, H, W)."""
        return Affine.from_raw(self.block(None, projected), self.log_scale_bound)

    def forward(self, x: Tensor, prepared: Affine) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        _check_sizes(x, prepared.shift)
        return prepared.forward(x)

    def inverse(self, z: Tensor, prepared: Affine) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        _check_sizes(z, prepared.shift)
        return prepared.inverse(z)


class ConditionalAffineCoupling(InvertibleLayer):
    """Predicts shift and scale of the second half of the channels from the first half and the conditioning.

    `prepare` returns the conditioning's part of the block's first convolution, (B, hidden, H, W).
    """

    def __init__(self, block: ConvBlock, log_scale_bound: float | None) -> None:
        super().__init__()
        self.block = block
        self.log_scale_bound = log_scale_bound

    def prepare(self, conditioning: Tensor) -> Tensor:
        return project_conditioning([self.block], conditioning)[0]

    def forward(self, x: Tensor, prepared: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        kept, changed = x.chunk(2, 1)
        changed, log_det = self._predict(kept, prepared).forward(changed)
        return torch.cat([kept, changed], 1), log_det

    def inverse(self, z: Tensor, prepared: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        kept, changed = z.chunk(2, 1)
        changed, log_det = self._predict(kept, prepared).inverse(changed)
        return torch.cat([kept, changed], 1), log_det

    def _predict(self, kept: Tensor, prepared: Tensor) -> Affine:
        _check_sizes(kept, prepared)
        return Affine.from_raw(self.block(kept, prepared), self.log_scale_bound)


def _check_sizes(x: Tensor, conditioning: Tensor) -> None:
    if x.shape[-2:] != conditioning.shape[-2:]:
        raise InputError(
            f"Activations are {tuple(x.shape[-2:])} and the conditioning {tuple(conditioning.shape[-2:])}; "
            "both must have the same height and width."
        )

"""The networks that predict shift and scale inside the affine injector and the conditional affine coupling.

All have the same form: a first 3x3 convolution of [activations, conditioning], a body that depends on the variant, and
a last 3x3 convolution that is initialised with zeros. The first convolution is split into two parts, because the part
that sees the conditioning does not depend on the sample (`project_conditioning`); the sum of both parts is the
convolution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srflow.flow.actnorm import ActNorm
from srflow.fused import conv_relu
from srflow.presets import ConvBlockKind

__all__ = ["ConvBlock", "ZeroConv2d", "build_conv_block", "project_conditioning"]

_INITIAL_STD = 0.05  # standard deviation of the weights of all convolutions but the last (released code)


class ZeroConv2d(nn.Conv2d):
    """A 3x3 convolution initialised with zeros, times exp(3 logs) per output channel (Glow's `Conv2dZeros`)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        self.logs = nn.Parameter(torch.zeros(out_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        # Apply the factor to the weights, which are far smaller than the activations.
        factor = (3 * self.logs).exp()
        return F.conv2d(x, self.weight * factor.unsqueeze(1), self.bias * factor.flatten(), padding=1)

    @torch.no_grad()
    def fold_log_factors(self) -> None:
        """Multiply the factors into weight and bias and set them to 1, which is exact in every precision."""
        factor = (3 * self.logs).exp()
        self.weight *= factor.unsqueeze(1)
        self.bias *= factor.flatten()
        self.logs.zero_()


class ConvBlock(nn.Module, ABC):
    """A network [x, conditioning] → `out_channels` values per position: the first half are shifts, the rest is s.

    Args:
        in_channels: channels of x; 0 for the affine injector, which sees only the conditioning.
        conditioning_channels: channels of the conditioning.
        out_channels: channels of the result.
        hidden_channels: width of the layers between.
    """

    def __init__(self, in_channels: int, conditioning_channels: int, out_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.first = self._conv(in_channels + conditioning_channels, hidden_channels)
        self.last = ZeroConv2d(hidden_channels, out_channels)

    def forward(self, x: Tensor | None, projected: Tensor) -> Tensor:
        """Compute the block.

        Args:
            x: (B, in_channels, H, W), or None.
            projected: (B or 1, hidden, H, W), of `project_conditioning`.

        Returns: (B, out_channels, H, W), float32 (float64 if the weights are), in whatever type the convolutions ran.
        """
        hidden = projected
        if x is not None:
            weight = self.first.weight[:, : self.in_channels]
            # Convert to the memory layout of the weights once: otherwise every convolution of the block would reorder
            # its input.
            x = x.to(weight.dtype, memory_format=torch.channels_last)
            hidden = hidden + F.conv2d(x, weight, padding=1)
        result = self.last(self._body(hidden))
        dtype = torch.promote_types(result.dtype, torch.float32)
        # Convert to the memory layout of the activations: slicing half of the channels would be several times slower
        # otherwise.
        return result.to(dtype, memory_format=torch.contiguous_format)

    @abstractmethod
    def _body(self, hidden: Tensor) -> Tensor:
        """Map the first convolution's output, before its ReLU, to the last convolution's input."""

    @staticmethod
    def _conv(in_channels: int, out_channels: int, kernel: int = 3, *, bias: bool = True) -> nn.Conv2d:
        conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)
        nn.init.normal_(conv.weight, std=_INITIAL_STD)
        if bias:
            nn.init.zeros_(conv.bias)
        return conv


class DeepBlock(ConvBlock):
    """The block of SRFlow-DA: six 3x3 convolutions, ReLU after all but the last (Fig. 1b); with `skip` SRFlow-DA-R
    (Fig. 3a).

    With `skip`, the output of the first ReLU is added to the input of the last convolution.
    """

    def __init__(self, *channels: int, skip: bool) -> None:
        super().__init__(*channels)
        self.skip = skip
        hidden = channels[-1]
        self.convs = nn.ModuleList(self._conv(hidden, hidden) for _ in range(4))

    def _body(self, hidden: Tensor) -> Tensor:
        first = hidden = F.relu(hidden)
        for conv in self.convs:
            hidden = conv_relu(conv, hidden)
        return hidden + first if self.skip else hidden


class ResidualBlock(ConvBlock):
    """The block of SRFlow-DA-D: 38 3x3 convolutions, the middle ones in 18 pairs h ← h + ReLU(conv(ReLU(conv h))) (Fig.
    3b).
    """

    def __init__(self, *channels: int) -> None:
        super().__init__(*channels)
        hidden = channels[-1]
        self.convs = nn.ModuleList(self._conv(hidden, hidden) for _ in range(36))

    def _body(self, hidden: Tensor) -> Tensor:
        hidden = F.relu(hidden)
        for inner, outer in zip(self.convs[::2], self.convs[1::2], strict=True):
            hidden = hidden + conv_relu(outer, conv_relu(inner, hidden))
        return hidden


class ShallowBlock(ConvBlock):
    """The block of SRFlow: 3x3, actnorm, ReLU, 1x1, actnorm, ReLU, 3x3 (Fig. 1a); the first two without bias."""

    def __init__(self, *channels: int) -> None:
        super().__init__(*channels)
        hidden = channels[-1]
        self.first_norm = ActNorm(hidden)
        self.second = self._conv(hidden, hidden, kernel=1, bias=False)
        self.second_norm = ActNorm(hidden)
        self.first.register_parameter("bias", None)  # the actnorm's bias replaces it

    def _body(self, hidden: Tensor) -> Tensor:
        hidden = F.relu(self._normalize(self.first_norm, hidden))
        return F.relu(self._normalize(self.second_norm, self.second(hidden)))

    @staticmethod
    def _normalize(norm: ActNorm, x: Tensor) -> Tensor:
        return norm(x)[0].to(x.dtype)


def build_conv_block(
    kind: ConvBlockKind, in_channels: int, conditioning_channels: int, out_channels: int, hidden_channels: int
) -> ConvBlock:
    """Build the block that `kind` names; no other function distinguishes variants by name."""
    channels = (in_channels, conditioning_channels, out_channels, hidden_channels)
    if kind == "residual":
        return ResidualBlock(*channels)
    if kind == "shallow":
        return ShallowBlock(*channels)
    return DeepBlock(*channels, skip=kind == "skip")


def project_conditioning(
    blocks: Sequence[ConvBlock], conditioning: Tensor, repeated: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Compute the conditioning's part of every block's first convolution in one convolution.

    One wide convolution reads the conditioning only once, unlike many narrow ones.

    Args:
        conditioning: (B, channels, H, W).
        repeated: (B, further channels, H/f, W/f), or None: its nearest-upsampled copy would be the conditioning's last
            channels; this function computes the result without making the copy.

    Returns: for every block, (B, hidden, H, W), in the weights' dtype.
    """
    firsts = [block.first for block in blocks]
    weight = torch.cat([block.first.weight[:, block.in_channels :] for block in blocks])
    bias = torch.cat([first.bias for first in firsts]) if firsts[0].bias is not None else None
    conditioning = conditioning.to(weight.dtype, memory_format=torch.channels_last)
    own = weight[:, : conditioning.shape[1]].contiguous(memory_format=torch.channels_last)
    together = F.conv2d(conditioning, own, bias, padding=1)
    if repeated is not None:
        factor = conditioning.shape[-1] // repeated.shape[-1]
        together = together + _conv_of_repeated(repeated, weight[:, conditioning.shape[1] :], factor)
    return together.split([first.out_channels for first in firsts], 1)


def _conv_of_repeated(x: Tensor, weight: Tensor, factor: int) -> Tensor:
    """Return the padded 3x3 convolution of x's nearest-upsampled copy, computed from x itself.

    Upsampling is a transposed convolution by f x f ones with stride f, and a convolution after it turns both into one
    transposed convolution: each of its (f + 2)² taps is the sum of the taps that meet the same pixel of x. So an output
    takes 4 products instead of 9 at factor 2, and the backward pass saves as much.

    Args:
        x: (B, in, h, w).
        weight: (out, in, 3, 3).

    Returns: (B, out, f h, f w), in the weight's dtype or autocast's.
    """
    x = x.to(weight.dtype, memory_format=torch.channels_last)
    flipped = F.pad(weight.flip(2, 3).transpose(0, 1), [factor - 1] * 4)
    kernel = F.avg_pool2d(flipped, factor, stride=1, divisor_override=1)  # (in, out, f + 2, f + 2)
    return F.conv_transpose2d(x, kernel, stride=factor, padding=1)

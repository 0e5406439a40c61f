"""The plain method of sampling, as in the released code: the baseline for the engine.

It uses float32 and NCHW, and shares nothing: for every sample the encoder runs again, every flow step convolves the
whole conditioning concatenated with its activations, and inverts its 1x1 convolution. The weights and the pictures are
the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from srflow.flow.affine import Affine
from srflow.flow.conv_blocks import ConvBlock, ZeroConv2d
from srflow.flow.network import FlowLevel, FlowStep, TransitionStep
from srflow.images import bicubic_upscale
from srflow.model import SRFlow

__all__ = ["PlainSampler"]

_SLOPE = 0.2
_RESIDUAL = 0.2


class PlainSampler:
    """Samples of a model with deep conv blocks (SRFlow-DA and -R).

    Args: model: float32, on the CPU; its LR sizes need no padding.
    """

    def __init__(self, model: SRFlow) -> None:
        if model.config.flow.conv_block not in ("deep", "skip") or model.config.lr_multiple != 1:
            raise ValueError(f"The baseline knows SRFlow-DA and -R, not {model.config.name}.")
        self._model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def sample(self, lr: Tensor, latents: Sequence[Tensor]) -> Tensor:
        """Return one sample, (1, 3, s h, s w), not clipped. Args: lr: (1, 3, h, w).  latents: times temperature."""
        return self.decode(lr, self.encode(lr), latents)

    @torch.no_grad()
    def encode(self, lr: Tensor) -> list[Tensor]:
        """Return the conditioning of every level, (1, channels, H, W)."""
        encoder = self._model.encoder
        x = encoder.conv_first(lr)
        outputs = []
        for block in encoder.blocks:
            start = x
            for dense in block.dense_blocks:
                features = x
                for conv in dense.convs[:-1]:
                    features = torch.cat([features, F.leaky_relu(conv(features), _SLOPE)], 1)
                x = x + _RESIDUAL * dense.convs[-1](features)
            x = start + _RESIDUAL * x
            outputs.append(x)
        trunk = x + encoder.trunk_conv(x)
        stride, features = self._model.scale_factor, trunk
        by_stride = {stride: trunk}
        for conv in encoder.up_convs:
            features = F.leaky_relu(conv(F.interpolate(features, scale_factor=2, mode="nearest")), _SLOPE)
            stride //= 2
            by_stride[stride] = features
            if stride == min(encoder.level_strides):
                break
        stacked = torch.cat([outputs[index] for index in encoder.config.stacked_blocks], 1)
        return [
            torch.cat([own, F.interpolate(stacked, size=own.shape[-2:], mode="nearest")], 1)
            for own in (by_stride[level_stride] for level_stride in encoder.level_strides)
        ]

    @torch.no_grad()
    def decode(self, lr: Tensor, conditioning: Sequence[Tensor], latents: Sequence[Tensor]) -> Tensor:
        """Map latents to a picture."""
        *remaining, x = latents
        for level, own in zip(reversed(self._model.flow.levels), reversed(conditioning), strict=True):
            x = _inverse_level(level, x, remaining, own)
        return x + bicubic_upscale(lr, self._model.scale_factor) if self._model.config.flow.residual else x


def _inverse_level(level: FlowLevel, x: Tensor, remaining: list[Tensor], conditioning: Tensor) -> Tensor:
    if level.projection is not None:
        conditioning = F.relu(level.projection(conditioning))
    for number in range(len(level.steps), 0, -1):
        if str(number) in level.splits:
            x, _ = level.splits[str(number)].inverse(x, remaining.pop())
        x = _inverse_step(level.steps[number - 1], x, conditioning)
    for transition in reversed(level.transitions.layers):
        x = _inverse_linear(transition, x)
    return F.pixel_shuffle(x, level.squeeze.factor)


def _inverse_step(step: FlowStep, z: Tensor, conditioning: Tensor) -> Tensor:
    kept, changed = z.chunk(2, 1)
    raw = _conv_block(step.coupling.block, torch.cat([kept, conditioning], 1))
    changed, _ = Affine.from_raw(raw, step.coupling.log_scale_bound).inverse(changed)
    raw = _conv_block(step.injector.block, conditioning)
    x, _ = Affine.from_raw(raw, step.injector.log_scale_bound).inverse(torch.cat([kept, changed], 1))
    return _inverse_linear(step, x)


def _inverse_linear(step: FlowStep | TransitionStep, x: Tensor) -> Tensor:
    norm, mix = step.layers[0], step.layers[1]
    x = F.conv2d(x, torch.inverse(mix.weight.double()).float()[..., None, None])
    return x * torch.exp(-norm.logs) - norm.bias


def _conv_block(block: ConvBlock, x: Tensor) -> Tensor:
    first = hidden = F.relu(F.conv2d(x, block.first.weight, block.first.bias, padding=1))
    for conv in block.convs:
        hidden = F.relu(conv(hidden))
    return _zero_conv(block.last, hidden + first if block.skip else hidden)


def _zero_conv(conv: ZeroConv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight, conv.bias, padding=1) * torch.exp(3 * conv.logs)

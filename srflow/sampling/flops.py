"""Counts the arithmetic of the engine: its convolutions per LR pixel."""

from __future__ import annotations

from typing import Literal

from torch import nn

from srflow.flow.conv_blocks import ConvBlock
from srflow.flow.network import FlowLevel
from srflow.model import SRFlow

__all__ = ["flops_per_pixel"]


def flops_per_pixel(model: SRFlow, what: Literal["conditioning", "sampling"]) -> float:
    """Return the operations of all convolutions of `inference` per LR pixel: once per picture, or for each sample.

    Each multiplication counts twice, because it comes with an addition. Scale and shift, the flow's 1x1 convolutions
    and
    everything else are left out: a few percent.
    """
    encoder, scale = model.encoder, model.scale_factor
    levels = zip(model.flow.levels, encoder.level_strides, strict=True)
    if what == "sampling":
        return 2 * sum((scale / stride) ** 2 * _for_a_sample(level) for level, stride in levels)
    products = float(sum(_num_weights(part) for part in (encoder.conv_first, encoder.blocks, encoder.trunk_conv)))
    tail = encoder.super_resolution_tail()
    for number, conv in enumerate(encoder.up_convs):
        if f"up_convs.{number}.weight" not in tail:
            products += _num_weights(conv) * 4.0 ** (number + 1)
    num_features = model.config.encoder.num_features
    for level, stride in levels:
        products += (scale / stride) ** 2 * _for_a_picture(level, num_features, max(1, scale // stride))
    return 2 * products


def _for_a_sample(level: FlowLevel) -> float:
    """Return products per position of the level: of the couplings' blocks, without the part that depends only on the
    picture.
    """
    blocks = [step.coupling.block for step in level.steps]
    return sum(_after_first(block) + block.first.weight[:, : block.in_channels].numel() for block in blocks)


def _for_a_picture(level: FlowLevel, num_features: int, factor: int) -> float:
    """Return products per position of the level: all blocks' first convolutions on the conditioning, and the injectors'
    blocks.

    factor: by which the stacked blocks are upsampled; they are convolved before, with fewer taps.
    """
    products, of_blocks = 0.0, ((factor + 2) / (3 * factor)) ** 2 if factor > 1 else 1.0
    if level.projection is not None:
        weight = level.projection.weight
        products += weight[:, :num_features].numel() + weight[:, num_features:].numel() / factor**2
        num_features, of_blocks = weight.shape[0], 1.0
    for step in level.steps:
        products += _after_first(step.injector.block)
        for block in (step.injector.block, step.coupling.block):
            weight = block.first.weight[:, block.in_channels :]
            products += weight[:, :num_features].numel() + of_blocks * weight[:, num_features:].numel()
    return products


def _after_first(block: ConvBlock) -> int:
    return _num_weights(block) - block.first.weight.numel()


def _num_weights(module: nn.Module) -> int:
    """Return the number of weights of all convolutions in it, without biases."""
    return sum(conv.weight.numel() for conv in module.modules() if isinstance(conv, nn.Conv2d))

"""The RRDB encoder: it turns an LR picture into one conditioning tensor per level of the flow.

It is ESRGAN's network (Wang et al., ECCVW 2018), used by SRFlow as g in eq. 2 of the SRFlow-DA paper. Attribute names
are ours; `srflow.conversion.released` maps the names of the released files.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srflow.fused import conv_leaky_relu
from srflow.images import bicubic_upscale
from srflow.presets import EncoderConfig
from srflow.work import OnStep

__all__ = ["RRDBEncoder"]

_RESIDUAL_WEIGHT = 0.2  # of every dense block and every RRDB (ESRGAN, "residual scaling")


def _conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def _conv_leaky_relu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return conv_leaky_relu(conv, x, 0.2)


class DenseBlock(nn.Module):
    """Five 3x3 convolutions, each of which sees all previous outputs; 0.2 times the result is added to the input."""

    def __init__(self, num_features: int, growth_channels: int) -> None:
        super().__init__()
        widths = [num_features + i * growth_channels for i in range(5)]
        outputs = [growth_channels] * 4 + [num_features]
        self.convs = nn.ModuleList(_conv3x3(i, o) for i, o in zip(widths, outputs, strict=True))
        for conv in self.convs:
            # ESRGAN's initialisation: Kaiming, scaled by 0.1, so that deep stacks begin near the identity.
            nn.init.kaiming_normal_(conv.weight)
            conv.weight.data *= 0.1
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for conv in self.convs[:-1]:
            features.append(_conv_leaky_relu(conv, torch.cat(features, 1)))
        return torch.add(x, self.convs[-1](torch.cat(features, 1)), alpha=_RESIDUAL_WEIGHT)


class ResidualDenseBlocks(nn.Module):
    """An RRDB: three dense blocks in sequence, added to the input with weight 0.2."""

    def __init__(self, num_features: int, growth_channels: int) -> None:
        super().__init__()
        self.dense_blocks = nn.Sequential(*(DenseBlock(num_features, growth_channels) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.dense_blocks(x), alpha=_RESIDUAL_WEIGHT)


class RRDBEncoder(nn.Module):
    """Maps an LR picture to the conditioning per level, or (`super_resolve`) to its own super-resolution, trained by
    L1.

    Args:
        config: width, depth and which blocks are stacked.
        scale_factor: 4 or 8; the number of upsampling convolutions is its base-2 logarithm.
        level_strides: for every level of the flow, finest first, how many HR pixels (per side) one position covers.
    """

    def __init__(self, config: EncoderConfig, scale_factor: int, level_strides: tuple[int, ...]) -> None:
        super().__init__()
        self.config = config
        self.scale_factor = scale_factor
        self.level_strides = level_strides
        features = config.num_features
        self.conv_first = _conv3x3(3, features)
        self.blocks = nn.ModuleList(
            ResidualDenseBlocks(features, config.growth_channels) for _ in range(config.num_blocks)
        )
        self.trunk_conv = _conv3x3(features, features)
        self.up_convs = nn.ModuleList(_conv3x3(features, features) for _ in range(scale_factor.bit_length() - 1))
        self.hr_conv = _conv3x3(features, features)
        self.conv_last = _conv3x3(features, 3)

    def forward(self, lr: Tensor, on_step: OnStep | None = None) -> list[Tensor]:
        """Return the conditioning of every level, finest first.

        The channels are [features, blocks]: the features at that level's size, then the outputs of the stacked blocks,
        nearest-resized. For upsampled sizes the features are the upsampling convolution's output, after its LeakyReLU
        (which works in place in the released code); for the LR size, the trunk's sum; for half the LR size (original
        SRFlow), the trunk's sum scaled down bilinearly.

        Args:
            lr: (B, 3, h, w), in [0, 1].
            on_step: called between blocks; it may raise an exception to cancel the work.

        Returns: a list with, for level i, (B, features * (1 + stacked), s h / stride_i, s w / stride_i).
        """
        return self.stack(*self.features(lr, on_step))

    @staticmethod
    def stack(features: list[Tensor], stacked: list[Tensor]) -> list[Tensor]:
        """Combine the results of `features` into that of `forward`."""
        levels = []
        for level in features:
            resized = [F.interpolate(block, size=level.shape[-2:], mode="nearest") for block in stacked]
            levels.append(torch.cat([level, *resized], 1))
        return levels

    def features(self, lr: Tensor, on_step: OnStep | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Return the inputs of `stack`: the features at every level's size, and the stacked blocks at the LR size."""
        trunk, stacked = self._trunk(lr, on_step)
        by_stride = {self.scale_factor: trunk}
        stride = self.scale_factor
        upsampled = trunk
        for conv in self.up_convs[: self._num_up_convs_used()]:
            upsampled = _conv_leaky_relu(conv, _double(upsampled))
            stride //= 2
            by_stride[stride] = upsampled
        features = []
        for level_stride in self.level_strides:
            if level_stride in by_stride:
                features.append(by_stride[level_stride])
            else:
                factor = self.scale_factor / level_stride
                features.append(F.interpolate(trunk, scale_factor=factor, mode="bilinear", align_corners=False))
        return features, stacked

    def super_resolve(self, lr: Tensor, on_step: OnStep | None = None) -> Tensor:
        """Return the encoder's own super-resolution, which L1 pretraining trains.

        Args: lr: (B, 3, h, w), in [0, 1].  on_step: called between blocks; it may raise.
        Returns: (B, 3, s h, s w), float32, not clipped.
        """
        features, _ = self._trunk(lr, on_step)
        return self._super_resolve_from(features, 0, lr)

    def super_resolve_from_finest(self, features: list[Tensor], lr: Tensor) -> Tensor:
        """Do the same as `super_resolve`, from the results of `features` for `lr`; gradients stop at the features.

        So a loss on it trains only the parameters of `super_resolution_tail`, and does not affect the conditioning.
        """
        return self._super_resolve_from(features[0].detach(), self._num_up_convs_used(), lr)

    def _super_resolve_from(self, features: Tensor, num_doubled: int, lr: Tensor) -> Tensor:
        for conv in self.up_convs[num_doubled:]:
            features = _conv_leaky_relu(conv, _double(features))
        result = self.conv_last(_conv_leaky_relu(self.hr_conv, features)).float()
        return result + bicubic_upscale(lr.float(), self.scale_factor) if self.config.residual else result

    def _num_up_convs_used(self) -> int:
        """Return how many of the upsampling convolutions the conditioning needs."""
        return (self.scale_factor // min(self.level_strides)).bit_length() - 1

    def super_resolution_tail(self) -> dict[str, nn.Parameter]:
        """Return the parameters, by name, that only `super_resolve` uses: the likelihood gives them no gradient."""
        num_used = self._num_up_convs_used()
        unused = {f"up_convs.{i}": conv for i, conv in enumerate(self.up_convs) if i >= num_used}
        unused |= {"hr_conv": self.hr_conv, "conv_last": self.conv_last}
        return {f"{name}.{key}": p for name, module in unused.items() for key, p in module.named_parameters()}

    def _trunk(self, lr: Tensor, on_step: OnStep | None) -> tuple[Tensor, list[Tensor]]:
        first = x = self.conv_first(lr.to(self.conv_first.weight.dtype))
        outputs = {}
        for index, block in enumerate(self.blocks):
            if on_step is not None:
                on_step()
            x = block(x)
            if index in self.config.stacked_blocks:
                outputs[index] = x
        skipped = first if self.config.long_skip == "first_conv" else x
        return skipped + self.trunk_conv(x), [outputs[index] for index in self.config.stacked_blocks]


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")

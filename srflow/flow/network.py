"""The whole flow: steps form a level, levels form the flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srflow.contract import InputError
from srflow.flow.actnorm import ActNorm
from srflow.flow.affine import Affine, AffineInjector, ConditionalAffineCoupling
from srflow.flow.conv_blocks import build_conv_block, project_conditioning
from srflow.flow.layer import InvertibleSequence, no_log_det
from srflow.flow.permutation import InvertibleConv1x1
from srflow.flow.split import Split
from srflow.flow.squeeze import Squeeze
from srflow.presets import FlowConfig
from srflow.work import OnStep

__all__ = ["ConditionalFlow", "FlowLevel", "FlowStep", "PreparedLevel", "PreparedStep", "TransitionStep"]

_NUM_TRANSITION_STEPS = 2


class PreparedStep(NamedTuple):
    """The conditioning's part of one flow step: the injector's shift and scale, and the coupling's projection."""

    injector: Affine
    coupling: Tensor


PreparedLevel = tuple[PreparedStep, ...]


class TransitionStep(InvertibleSequence):
    """Actnorm and invertible 1x1 convolution, without coupling: mixes the channels after a squeeze (SRFlow)."""

    def __init__(self, channels: int) -> None:
        super().__init__([ActNorm(channels), InvertibleConv1x1(channels)])


class FlowStep(InvertibleSequence):
    """Actnorm, invertible 1x1 convolution, affine injector and conditional affine coupling."""

    def __init__(self, channels: int, conditioning_channels: int, config: FlowConfig) -> None:
        def block(in_channels: int, out_channels: int) -> nn.Module:
            return build_conv_block(
                config.conv_block, in_channels, conditioning_channels, out_channels, config.hidden_channels
            )

        num_kept = channels // 2
        self_channels = channels - num_kept
        super().__init__(
            [
                ActNorm(channels),
                InvertibleConv1x1(channels),
                AffineInjector(block(0, 2 * channels), config.log_scale_bound),
                ConditionalAffineCoupling(block(num_kept, 2 * self_channels), config.log_scale_bound),
            ]
        )

    @property
    def injector(self) -> AffineInjector:
        """The affine injector of the step."""
        return self.layers[2]

    @property
    def coupling(self) -> ConditionalAffineCoupling:
        """The conditional affine coupling of the step."""
        return self.layers[3]

    def prepare(self, conditioning: Tensor) -> PreparedStep:  # type: ignore[override]
        return PreparedStep(self.injector.prepare(conditioning), self.coupling.prepare(conditioning))

    def _run(  # type: ignore[override]
        self, x: Tensor, prepared: PreparedStep, *, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        return super()._run(x, [None, None, prepared.injector, prepared.coupling], inverse=inverse)


class FlowLevel(nn.Module):
    """A squeeze, two transition steps and K flow steps, with a split after each step that the configuration names.

    It is not an `InvertibleLayer`, because latents leave it between steps.
    """

    def __init__(
        self, in_channels: int, squeeze_factor: int, split_after: Sequence[int], conditioning: int, config: FlowConfig
    ) -> None:
        super().__init__()
        self.squeeze = Squeeze(squeeze_factor)
        self.projection = None
        if config.projection_channels:
            self.projection = nn.Conv2d(conditioning, config.projection_channels, 1)
            conditioning = config.projection_channels
        channels = in_channels * squeeze_factor**2
        self.transitions = InvertibleSequence(TransitionStep(channels) for _ in range(_NUM_TRANSITION_STEPS))
        self.steps = nn.ModuleList()
        self.splits = nn.ModuleDict()  # keyed by the number of the step, from 1, after which the split comes
        self.latent_channels: list[int] = []
        for step in range(1, config.steps_per_level + 1):
            self.steps.append(FlowStep(channels, conditioning, config))
            if step in split_after:
                self.splits[str(step)] = Split(channels, config.log_sigma_bound)
                self.latent_channels.append(channels - channels // 2)
                channels //= 2
        self.out_channels = channels

    def prepare(
        self, conditioning: Tensor, on_step: OnStep | None = None, repeated: Tensor | None = None
    ) -> PreparedLevel:
        """Compute everything that the level's steps need of the conditioning.

        Args:
            conditioning: (B, channels, H, W), at the level's size.
            on_step: called between steps.
            repeated: (B, further channels, h, w), or None: nearest-resized, it is the conditioning's last channels.
        """
        if repeated is not None and not _divides(repeated, conditioning):
            resized = F.interpolate(repeated, size=conditioning.shape[-2:], mode="nearest")
            conditioning, repeated = torch.cat([conditioning, resized], 1), None
        if self.projection is not None:
            conditioning, repeated = self._project(conditioning, repeated), None
        blocks = [block for step in self.steps for block in (step.injector.block, step.coupling.block)]
        projected = project_conditioning(blocks, conditioning, repeated)
        prepared = []
        for step, injector, coupling in zip(self.steps, projected[::2], projected[1::2], strict=True):
            _check(on_step)
            prepared.append(PreparedStep(step.injector.prepare_projected(injector), coupling))
        return tuple(prepared)

    def _project(self, conditioning: Tensor, repeated: Tensor | None) -> Tensor:
        """Return ReLU of the level's 1x1 convolution; the part of `repeated` is computed before it is upsampled."""
        assert self.projection is not None
        weight, bias = self.projection.weight, self.projection.bias
        own, rest = weight.split([conditioning.shape[1], weight.shape[1] - conditioning.shape[1]], 1)
        result = F.conv2d(conditioning.to(weight.dtype, memory_format=torch.channels_last), own, bias)
        if repeated is not None:
            small = F.conv2d(repeated.to(weight.dtype, memory_format=torch.channels_last), rest)
            result = result + F.interpolate(small, size=result.shape[-2:], mode="nearest")
        return torch.relu(result)

    def forward(self, x: Tensor, prepared: PreparedLevel) -> tuple[Tensor, list[Tensor], Tensor]:
        """Map x (B, C, H, W) to the input of the next level, the latents in the order they leave, and log_det per
        position.

        The log_det is (B, H/f, W/f), with the squeeze factor f.
        """
        x, _ = self.squeeze(x)
        x, log_det = self.transitions(x)
        latents = []
        for number, (step, own) in enumerate(zip(self.steps, prepared, strict=True), start=1):
            x, step_log_det = step(x, own)
            log_det = log_det + step_log_det
            if str(number) in self.splits:
                x, latent, split_log_det = self.splits[str(number)](x)
                latents.append(latent)
                log_det = log_det + split_log_det
        return x, latents, log_det

    def inverse(
        self, x: Tensor, latents: Sequence[Tensor], prepared: PreparedLevel, on_step: OnStep | None = None
    ) -> tuple[Tensor, Tensor]:
        """Invert `forward`: `latents` are in the same order. Returns x and log_det per position."""
        remaining = list(latents)
        log_det = no_log_det(x)
        for number, (step, own) in reversed(list(enumerate(zip(self.steps, prepared, strict=True), start=1))):
            _check(on_step)
            if str(number) in self.splits:
                x, split_log_det = self.splits[str(number)].inverse(x, remaining.pop())
                log_det = log_det + split_log_det
            x, step_log_det = step.inverse(x, own)
            log_det = log_det + step_log_det
        x, transition_log_det = self.transitions.inverse(x)
        x, _ = self.squeeze.inverse(x)
        return x, log_det + transition_log_det


class ConditionalFlow(nn.Module):
    """All levels: the function f of eq. 1 of the SRFlow-DA paper, z = f(y; x).

    Args:
        config: levels, steps, variant.
        conditioning_channels: of the encoder's output, the same at every level.
    """

    def __init__(self, config: FlowConfig, conditioning_channels: int) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.ModuleList()
        channels = 3
        for factor, split_after in zip(config.squeeze_factors, config.splits, strict=True):
            level = FlowLevel(channels, factor, split_after, conditioning_channels, config)
            self.levels.append(level)
            channels = level.out_channels
        self.last_channels = channels

    def prepare(
        self,
        conditioning: Sequence[Tensor],
        on_step: OnStep | None = None,
        repeated: Tensor | None = None,
    ) -> list[PreparedLevel]:
        """Compute everything that depends only on the LR picture, once for all samples.

        Args:
            conditioning: per level, finest first, (B, channels, H, W).
            on_step: called between steps.
            repeated: (B, further channels, h, w), or None: nearest-resized, it is the last channels at every level.
        """
        return [level.prepare(u, on_step, repeated) for level, u in zip(self.levels, conditioning, strict=True)]

    def latent_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Return (C, H, W) of every latent of an HR picture of that size, in the order of the forward pass."""
        shapes = []
        for level in self.levels:
            height, width = height // level.squeeze.factor, width // level.squeeze.factor
            shapes += [(channels, height, width) for channels in level.latent_channels]
        return [*shapes, (self.last_channels, height, width)]

    def forward(self, x: Tensor, prepared: Sequence[PreparedLevel]) -> tuple[list[Tensor], list[Tensor]]:
        """Map x (B, 3, H, W) to its latents, and per level the log_det per position, (B, H/stride, W/stride)."""
        latents, log_dets = [], []
        for level, own in zip(self.levels, prepared, strict=True):
            x, level_latents, log_det = level(x, own)
            latents += level_latents
            log_dets.append(log_det)
        return [*latents, x], log_dets

    def inverse(
        self, latents: Sequence[Tensor], prepared: Sequence[PreparedLevel], on_step: OnStep | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Invert `forward`. Returns x (B, 3, H, W), and per level the log_det of the inverse per position.

        Args: on_step: called between steps; it may raise an exception to cancel the work.
        """
        *remaining, x = latents
        expected = sum(len(level.latent_channels) for level in self.levels)
        if len(remaining) != expected:
            raise InputError(f"This flow takes {expected + 1} latents; got {len(remaining) + 1}.")
        log_dets = []
        for level, own in reversed(list(zip(self.levels, prepared, strict=True))):
            count = len(level.latent_channels)
            taken, remaining = remaining[len(remaining) - count :], remaining[: len(remaining) - count]
            x, log_det = level.inverse(x, taken, own, on_step)
            log_dets.append(log_det)
        return x, log_dets[::-1]


def _divides(small: Tensor, large: Tensor) -> bool:
    """Return whether the sides of `large` are the same whole multiple, 2 or more, of those of `small`."""
    (h, w), (height, width) = small.shape[-2:], large.shape[-2:]
    return height > h and height % h == 0 and (height // h) * w == width


def _check(on_step: OnStep | None) -> None:
    if on_step is not None:
        on_step()

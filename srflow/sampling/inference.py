"""A model rearranged for sampling: the same function as `SRFlow.condition` and `SRFlow.decode`, with less work.

Some work is done once per model instead of in every call: the 1x1 convolutions are inverted and merged with the
actnorms (and with the transition steps, if these follow); the log factors of the last convolutions are folded in.
Everything that does not depend on the sample is done once per picture. And the stacked blocks, which the networks see
nearest-upsampled, are convolved at their own size (`RepeatedConv`).

The gain over `SRFlow.set_conv_dtype`, which needs no second implementation: the processor time of `SRFlow` divided by
that of `InferenceModel`, on one CPU thread, for one sample, alternating, medians of 4 to 10 pairs. The data kept of a
picture also take less memory, by a factor of 1.15 to 1.3. It has not been measured on GPUs.

    network, LR side             condition    decode
    compact ×4, 48, bfloat16     1.01         1.18
    compact ×4, 48, float32      1.00         1.15
    srflow-da-r-x4, 24, bfloat16 1.10         1.26
    srflow-da-r-x4, 24, float32  1.15         1.16
    srflow-x4, 24, bfloat16      1.40         1.74
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srflow.flow.actnorm import ActNorm
from srflow.flow.affine import Affine
from srflow.flow.conv_blocks import ConvBlock
from srflow.flow.network import FlowLevel, FlowStep
from srflow.flow.permutation import InvertibleConv1x1
from srflow.images import bicubic_upscale
from srflow.model import SRFlow
from srflow.work import OnStep

__all__ = ["InferenceModel", "PreparedPicture", "RepeatedConv", "cut_box"]


@dataclass(frozen=True)
class _PreparedStep:
    """The injector's inverse, x → x * scale + shift, and the coupling's part of the conditioning."""

    scale: Tensor = field(repr=False)  # (1, C, H, W), float32
    shift: Tensor = field(repr=False)  # (1, C, H, W), float32
    coupling: Tensor = field(repr=False)  # (1, hidden, H, W), in the convolutions' dtype


@dataclass(frozen=True)
class _PreparedLevel:
    steps: list[_PreparedStep] = field(repr=False)
    log_det: Tensor = field(repr=False)  # (1, H, W): of everything that does not depend on the sample


@dataclass(frozen=True)
class PreparedPicture:
    """Everything that decoding needs of one LR picture (or a tile of one), for any number of samples.

    height, width: of the LR picture.
    base: (1, 3, s h, s w), its bicubic upscaling, if the flow models the difference.
    """

    levels: list[_PreparedLevel] = field(repr=False)
    height: int
    width: int
    base: Tensor | None = field(repr=False)

    def crop(self, rows: slice, columns: slice) -> PreparedPicture:
        """Return a copy of a part: the result of `condition` for the whole picture at these LR pixels; edges at
        multiples.
        """

        def cut(tensor: Tensor) -> Tensor:
            return cut_box(tensor, rows, columns, (self.height, self.width))

        levels = [
            _PreparedLevel(
                [_PreparedStep(cut(step.scale), cut(step.shift), cut(step.coupling)) for step in level.steps],
                cut(level.log_det),
            )
            for level in self.levels
        ]
        base = None if self.base is None else cut(self.base)
        return PreparedPicture(levels, rows.stop - rows.start, columns.stop - columns.start, base)

    def num_bytes(self) -> int:
        """The bytes held in memory."""
        tensors = [tensor for level in self.levels for step in level.steps for tensor in vars(step).values()]
        tensors += [level.log_det for level in self.levels]
        tensors += [] if self.base is None else [self.base]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def cut_box(tensor: Tensor, rows: slice, columns: slice, size: tuple[int, int]) -> Tensor:
    """Copy the part of a tensor, (…, H, W), at a box of LR pixels.

    Args: size: of the LR picture that the whole tensor belongs to; H and W are whole multiples of it, or fractions.
    """
    if tensor.shape[-1] == 1 and tensor.shape[-2] == 1:  # the same at every position
        return tensor
    (top, bottom), (left, right) = (
        (span.start * side // whole, span.stop * side // whole)
        for span, side, whole in zip((rows, columns), tensor.shape[-2:], size, strict=True)
    )
    part = tensor[..., top:bottom, left:right]
    channels_last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return part.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


class InferenceModel:
    """A model for sampling only. It takes over `model`, and converts its convolutions to `dtype`.

    Args:
        model: with float32 weights, on the device where it is to run.
        dtype: of the convolutions; everything else stays float32. float64 (for tests) needs a float64 model.
        compiled: let PyTorch compile the conv blocks, when they first run.
    """

    def __init__(self, model: SRFlow, dtype: torch.dtype, *, compiled: bool = False) -> None:
        self.config = model.config
        self.metadata = model.metadata
        self.dtype = dtype
        self._model = model.eval().requires_grad_(False)
        with torch.inference_mode():
            factors = [max(1, model.scale_factor // stride) for stride in model.encoder.level_strides]
            self._levels = [
                _Level(level, factor, model.config.encoder.num_features, dtype)
                for level, factor in zip(model.flow.levels, factors, strict=True)
            ]
            model.set_conv_dtype(dtype)
        if compiled:
            for block in (*model.encoder.blocks, *(part for level in self._levels for part in level.conv_blocks)):
                block.compile(dynamic=True)

    @property
    def device(self) -> torch.device:
        """The device where it runs."""
        return self._model.device

    @property
    def scale_factor(self) -> int:
        """4 or 8."""
        return self.config.scale_factor

    @property
    def num_steps(self) -> tuple[int, int]:
        """How often `condition` and `decode` call `on_step`."""
        steps = sum(len(level.steps) for level in self._levels)
        return len(self._model.encoder.blocks) + 2 * steps, steps

    def latent_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Return (C, H, W) of every latent for an LR picture of that size; see `SRFlow.latent_shapes`."""
        return self._model.latent_shapes(height, width)

    @torch.inference_mode()
    def condition(self, lr: Tensor, on_step: OnStep) -> PreparedPicture:
        """Compute everything that does not depend on the sample.

        Args:
            lr: (1, 3, h, w), in [0, 1], both sides multiples of `ModelConfig.lr_multiple`.
            on_step: called between blocks and convolutions; it may raise.
        """
        features, stacked = self._model.encoder.features(lr, on_step)
        together = torch.cat(stacked, 1) if stacked else None
        levels = [level.prepare(own, together, on_step) for level, own in zip(self._levels, features, strict=True)]
        base = bicubic_upscale(lr, self.scale_factor) if self.config.flow.residual else None
        height, width = lr.shape[-2:]
        return PreparedPicture(levels, height, width, base)

    @torch.inference_mode()
    def decode(
        self, latents: Sequence[Tensor], prepared: PreparedPicture, on_step: OnStep
    ) -> tuple[Tensor, list[Tensor]]:
        """Map latents (times temperature) to pictures, (N, 3, s h, s w), float32, not clipped.

        Also return, per level, log |det| of this direction at every position, (N, H, W).
        """
        *remaining, x = latents
        x = x.clone()  # the steps work in place
        log_dets = []
        for level, own in zip(reversed(self._levels), reversed(prepared.levels), strict=True):
            x, log_det = level.inverse(x, remaining, own, on_step)
            log_dets.append(log_det)
        return x if prepared.base is None else x + prepared.base, log_dets[::-1]

    @torch.inference_mode()
    def super_resolve(self, lr: Tensor, on_step: OnStep) -> Tensor:
        """Return the encoder's own picture, (1, 3, s h, s w), not clipped."""
        return self._model.encoder.super_resolve(lr, on_step)


class RepeatedConv:
    """A 3x3 convolution of a nearest-upsampled map, computed from the small map.

    An output pixel sees, along each axis, three neighbours of which at least two are copies of the same small pixel:
    their taps are added up beforehand. Factor 2 leaves 16 products of 36, factor 4 leaves 36 of 144.

    Args:
        weight: (out, in, 3, 3), float.
        factor: of the upsampling.
        dtype: of the computation.
    """

    def __init__(self, weight: Tensor, factor: int, dtype: torch.dtype) -> None:
        self.factor = factor
        self._phases = []
        for row in range(factor):
            for column in range(factor):
                top, merged = _merge_taps(weight, row, factor, dim=2)
                left, merged = _merge_taps(merged, column, factor, dim=3)
                kernel = merged.to(dtype).contiguous(memory_format=torch.channels_last)
                self._phases.append((row, column, top, left, kernel))

    def add_to(self, out: Tensor, padded: Tensor) -> None:
        """Add the convolution to `out`. Args: out: (B, out, f H, f W).  padded: (B, in, H + 2, W + 2), zero-padded."""
        height, width = (side - 2 for side in padded.shape[-2:])
        for row, column, top, left, kernel in self._phases:
            rows, columns = kernel.shape[-2:]
            seen = padded[..., 1 + top : top + height + rows, 1 + left : left + width + columns]
            out[..., row :: self.factor, column :: self.factor] += F.conv2d(seen, kernel)


def _merge_taps(weight: Tensor, phase: int, factor: int, dim: int) -> tuple[int, Tensor]:
    """Add up the taps of a kernel that meet the same small pixel. Returns the first one's offset, and the kernel."""
    taps = list(weight.unbind(dim))
    offsets = [(phase + tap - 1) // factor for tap in range(3)]
    merged = []
    for offset in range(offsets[0], offsets[-1] + 1):
        merged.append(sum(tap for tap, own in zip(taps, offsets, strict=True) if own == offset))
    return offsets[0], torch.stack(merged, dim)


class _Projection:
    """The conditioning's part of a block's first convolution, (1, hidden, H, W).

    The conditioning is [features, blocks]: features at this level's size, then the stacked blocks at the LR size, which
    stand for their nearest-upsampled copies.
    """

    def __init__(self, block: ConvBlock, factor: int, num_features: int, dtype: torch.dtype) -> None:
        weight = block.first.weight[:, block.in_channels :]
        # Without upsampling one convolution sees both; with a projection there are no blocks here.
        num_features = num_features if factor > 1 else weight.shape[1]
        self._features = weight[:, :num_features].to(dtype).contiguous(memory_format=torch.channels_last)
        self._bias = None if block.first.bias is None else block.first.bias.to(dtype)
        self._blocks = None
        if weight.shape[1] > num_features:
            self._blocks = RepeatedConv(weight[:, num_features:], factor, dtype)

    def __call__(self, features: Tensor, blocks: Tensor | None) -> Tensor:
        hidden = F.conv2d(features, self._features, self._bias, padding=1)
        if self._blocks is not None:
            self._blocks.add_to(hidden, blocks)
        return hidden


class _Step:
    """One flow step, run backwards; its actnorm and 1x1 convolution are one matrix and one offset."""

    def __init__(
        self,
        step: FlowStep,
        merged_with: tuple[Tensor, Tensor] | None,
        factor: int,
        num_features: int,
        dtype: torch.dtype,
    ) -> None:
        self.injector, self.coupling = step.injector, step.coupling
        self.projections = [
            _Projection(part.block, factor, num_features, dtype) for part in (step.injector, step.coupling)
        ]
        norm, mix = step.layers[0], step.layers[1]
        matrix, offset, self.log_det = _inverse_of_linear(norm, mix)
        if merged_with is not None:
            outer, outer_offset = merged_with
            matrix, offset = outer @ matrix, outer @ offset + outer_offset
        self.matrix, self.offset = matrix.to(mix.weight).unsqueeze(0), offset.to(mix.weight).view(1, -1, 1)

    def prepare(self, features: Tensor, blocks: Tensor | None, on_step: OnStep) -> tuple[_PreparedStep, Tensor]:
        on_step()
        injector = self.injector.prepare_projected(self.projections[0](features, blocks))
        scale = injector.scale.reciprocal()
        # Use the memory layout of the activations, which are contiguous (B, C, H, W): the 1x1 convolutions are matrix
        # products.
        scale, shift = scale.contiguous(), injector.shift.neg().contiguous()
        on_step()
        coupling = self.projections[1](features, blocks)
        return _PreparedStep(scale, shift, coupling), self.log_det - injector.log_scale.sum(1)

    def inverse(self, z: Tensor, prepared: _PreparedStep) -> tuple[Tensor, Tensor]:
        """Invert the step in place; z must be contiguous (N, C, H, W)."""
        kept, changed = z.chunk(2, 1)
        raw = self.coupling.block(kept, prepared.coupling)
        changed_back, log_det = Affine.from_raw(raw, self.coupling.log_scale_bound).inverse(changed)
        changed.copy_(changed_back)
        z = torch.addcmul(prepared.shift, z, prepared.scale)
        matrix = self.matrix.expand(z.shape[0], -1, -1)
        return torch.baddbmm(self.offset, matrix, z.flatten(2)).view_as(z), log_det


class _Level:
    """One level, run backwards."""

    def __init__(self, level: FlowLevel, factor: int, num_features: int, dtype: torch.dtype) -> None:
        self._squeeze_factor = level.squeeze.factor
        self._splits = {int(number): split for number, split in level.splits.items()}
        self._projection = None
        if level.projection is not None:
            self._projection = _PointwiseProjection(level.projection, num_features, dtype)
            factor, num_features = 1, level.projection.out_channels
        self._factor = factor
        transitions = [_inverse_of_linear(step.layers[0], step.layers[1]) for step in level.transitions.layers]
        matrix, offset, log_det = transitions[-1]
        for outer, outer_offset, outer_log_det in transitions[-2::-1]:
            matrix, offset, log_det = outer @ matrix, outer @ offset + outer_offset, outer_log_det + log_det
        self._log_det = log_det
        self.steps = [
            _Step(step, (matrix, offset) if number == 1 else None, factor, num_features, dtype)
            for number, step in enumerate(level.steps, start=1)
        ]

    @property
    def conv_blocks(self) -> list[ConvBlock]:
        """The conv blocks of all steps' injectors and couplings."""
        return [part.block for step in self.steps for part in (step.injector, step.coupling)]

    def prepare(self, features: Tensor, blocks: Tensor | None, on_step: OnStep) -> _PreparedLevel:
        """Prepare the level. Args: features: (1, F, H, W) at its size.  blocks: (1, S, h, w), at the LR size."""
        features = features.contiguous(memory_format=torch.channels_last)
        if self._projection is not None:
            features, blocks = self._projection(features, blocks), None
        elif blocks is not None and self._factor > 1:
            blocks = F.pad(blocks, (1, 1, 1, 1)).contiguous(memory_format=torch.channels_last)
        elif blocks is not None:
            resized = F.interpolate(blocks, size=features.shape[-2:], mode="nearest")
            features = torch.cat([features, resized], 1).contiguous(memory_format=torch.channels_last)
            blocks = None
        steps, log_det = [], self._log_det
        for step in self.steps:
            prepared, own_log_det = step.prepare(features, blocks, on_step)
            steps.append(prepared)
            log_det = log_det + own_log_det
        return _PreparedLevel(steps, log_det)

    def inverse(
        self, x: Tensor, remaining: list[Tensor], prepared: _PreparedLevel, on_step: OnStep
    ) -> tuple[Tensor, Tensor]:
        """Invert the level; take its latents off the end of `remaining`."""
        log_det = prepared.log_det
        for number in range(len(self.steps), 0, -1):
            on_step()
            if number in self._splits:
                x, split_log_det = self._splits[number].inverse(x, remaining.pop())
                x, log_det = x.contiguous(), log_det + split_log_det
            x, own_log_det = self.steps[number - 1].inverse(x, prepared.steps[number - 1])
            log_det = log_det + own_log_det
        return F.pixel_shuffle(x, self._squeeze_factor), log_det


class _PointwiseProjection:
    """ReLU of a level's 1x1 convolution of [features, upsampled blocks]; the blocks' part is computed before
    upsampling.
    """

    def __init__(self, conv: nn.Conv2d, num_features: int, dtype: torch.dtype) -> None:
        self._features = conv.weight[:, :num_features].to(dtype).contiguous(memory_format=torch.channels_last)
        self._blocks = conv.weight[:, num_features:].to(dtype).contiguous(memory_format=torch.channels_last)
        self._bias = conv.bias.to(dtype)

    def __call__(self, features: Tensor, blocks: Tensor | None) -> Tensor:
        result = F.conv2d(features, self._features, self._bias)
        if blocks is not None:
            own = F.conv2d(blocks, self._blocks)
            result += F.interpolate(own, size=features.shape[-2:], mode="nearest")
        return result.relu_()


def _inverse_of_linear(norm: ActNorm, mix: InvertibleConv1x1) -> tuple[Tensor, Tensor, Tensor]:
    """Invert actnorm and 1x1 convolution: x = matrix z + offset, float64, and its log |det| per position."""
    device = "cpu" if norm.logs.device.type == "mps" else norm.logs.device  # MPS has no float64
    logs, bias, weight = (
        tensor.to(device, torch.float64) for tensor in (norm.logs.flatten(), norm.bias.flatten(), mix.weight)
    )
    matrix = torch.linalg.inv(weight) * (-logs).exp().unsqueeze(1)
    log_det = -(logs.sum() + torch.linalg.slogdet(weight)[1])
    return matrix, -bias, log_det.to(norm.logs).view(1, 1, 1)

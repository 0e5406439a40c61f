"""Reads the files of the released networks: SRFlow, SRFlow-DA and its variants, and plain RRDB / ESRGAN encoders.

Only tensors are accepted. Every key must be accounted for: it becomes one of ours, or it is known to be unused. The
numbers of the networks are read from the weights. The stacked encoder blocks cannot be read from them, so they come
from the preset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srflow.checkpoints.metadata import Metadata
from srflow.checkpoints.own import load_tensors_strictly
from srflow.conversion.foreign import read_tensors
from srflow.conversion.naming import pick_network
from srflow.empty import without_weights
from srflow.errors import CheckpointError, InputError
from srflow.flow.network import ConditionalFlow
from srflow.model import SRFlow
from srflow.presets import PRESETS, ConvBlockKind, EncoderConfig, FlowConfig, ModelConfig

__all__ = ["Converted", "convert", "read_released"]

RELEASED_LICENSE = "cc-by-nc-sa-4.0"
_PROVENANCE = (
    "Converted from the released file {source}. The released SRFlow and SRFlow-DA networks are under CC BY-NC-SA: "
    "attribution, no commercial use, share alike."
)
_ENCODER_PREFIX = "RRDB."
_FLOW_PREFIX = "flowUpsamplerNet."
_DEAD_PREFIX = "flowUpsamplerNet.f."  # 276,576 parameters in every released flow, which the released code never uses


@dataclass(frozen=True)
class Converted:
    """The result of converting a released file.

    model: the network.
    has_flow: False if the file contained only an encoder; the model's flow is then random and must be trained.
    dead_keys: the keys that were left out, because the released code never uses them.
    left_out: parts of a trainer's file that are not the network, such as a discriminator.
    """

    model: SRFlow
    has_flow: bool
    dead_keys: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def read_released(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a released file, or of a trainer's: see `foreign.read_tensors`."""
    return read_tensors(path)


def convert(tensors: dict[str, Tensor], source: str, *, blocks: Sequence[int] | None = None) -> Converted:
    """Build the network that released tensors belong to, and load them into it.

    Args:
        tensors: as returned by `read_released`.
        source: the file's name, for messages and the note on the weights' origin.
        blocks: which encoder blocks are stacked, counted from 0; None uses the detected preset's.
    Raises: CheckpointError: keys left over or missing, shapes that contradict each other, or an unknown network. All of
        this is detected before anything is built.
    """
    try:
        return _convert(tensors, source, blocks)
    except InputError as error:  # of the configuration
        raise CheckpointError(f"{source} is not a network of this family: {error}") from error


def _convert(tensors: dict[str, Tensor], source: str, blocks: Sequence[int] | None) -> Converted:
    network = pick_network(tensors, source)
    tensors = network.tensors
    _check_kinds(tensors, source)
    dead = tuple(sorted(name for name in tensors if name.startswith(_DEAD_PREFIX)))
    flow = {
        name.removeprefix(_FLOW_PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(_FLOW_PREFIX) and name not in dead
    }
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(_FLOW_PREFIX)}
    encoder = {name.removeprefix(_ENCODER_PREFIX): tensor for name, tensor in rest.items()}
    encoder_config, scale_factor = _read_encoder_config(encoder, source)
    if not flow:
        return Converted(_encoder_alone(encoder, encoder_config, scale_factor, source), False, dead, network.left_out)
    layers = _read_layers(flow, source)
    flow_config = _read_flow_config(layers, source)
    name = f"{_family(flow_config)}-x{scale_factor}"
    stacked = tuple(blocks) if blocks is not None else PRESETS[name].encoder.stacked_blocks
    if max(stacked, default=0) >= encoder_config.num_blocks:
        raise CheckpointError(
            f"{source} looks like {name}, whose encoder stacks blocks {stacked}, but it has only "
            f"{encoder_config.num_blocks} blocks; name the blocks to stack (--blocks)."
        )
    config = ModelConfig(
        name=name,
        scale_factor=scale_factor,
        encoder=replace(encoder_config, stacked_blocks=stacked),
        flow=flow_config,
    )
    with without_weights():
        model = SRFlow(config, Metadata(RELEASED_LICENSE, _PROVENANCE.format(source=Path(source).name)))
    ours = {f"encoder.{key}": value for key, value in _rename_encoder(encoder, source).items()}
    ours |= {f"flow.{key}": value for key, value in _rename_flow(layers, flow_config, source)}
    load_tensors_strictly(model, ours, source)
    return Converted(model.eval(), True, dead, network.left_out)


def _encoder_alone(tensors: dict[str, Tensor], config: EncoderConfig, scale_factor: int, source: str) -> SRFlow:
    """Return a model whose encoder comes from an RRDB / ESRGAN file, with a random flow to be trained."""
    preset = PRESETS[f"srflow-da-r-x{scale_factor}"]
    stacked = preset.encoder.stacked_blocks
    if max(stacked) >= config.num_blocks:  # a small encoder: four blocks, evenly spaced, including the last one
        stacked = tuple(sorted({round((i + 1) * config.num_blocks / 4) - 1 for i in range(4)} - {-1}))
    encoder = replace(config, stacked_blocks=stacked, long_skip="first_conv")
    metadata = Metadata(
        "other",
        f"Encoder converted from {Path(source).name}, under the licence of that file; the flow is random, not trained.",
    )
    with without_weights():
        model = SRFlow(replace(preset, encoder=encoder), metadata)
    load_tensors_strictly(model.encoder, _rename_encoder(tensors, source), source)
    model.flow = ConditionalFlow(model.config.flow, encoder.conditioning_channels)
    return model.eval()


def _check_kinds(tensors: dict[str, Tensor], source: str) -> None:
    """Check tensors by shape. Raises CheckpointError: a tensor cannot be a layer's weights."""
    for name, tensor in tensors.items():
        is_whole = tensor.layout is torch.strided and tensor.untyped_storage().nbytes() >= tensor.nbytes
        if not is_whole or not 1 <= tensor.ndim <= 4 or tensor.numel() == 0:
            raise CheckpointError(
                f"{source}: {name} has shape {tuple(tensor.shape)}, {tensor.layout}; a layer's weights are dense, "
                "not empty, and have one to four dimensions."
            )


def _read_encoder_config(tensors: dict[str, Tensor], source: str) -> tuple[EncoderConfig, int]:
    block_numbers = {int(match[1]) for name in tensors if (match := re.match(r"RRDB_trunk\.(\d{1,4})\.", name))}
    growth = tensors.get("RRDB_trunk.0.RDB1.conv1.weight")
    num_up_convs = sum(re.fullmatch(r"upconv\d\.weight", name) is not None for name in tensors)
    first, last = tensors["conv_first.weight"], tensors.get("conv_last.weight")
    if first.ndim != 4 or first.shape[1] != 3:
        folded = first.shape[1] if first.ndim == 4 else 0
        what = "of x2 or x1, which folds pixels into channels first" if folded in (12, 48) else "not of RGB pictures"
        raise CheckpointError(
            f"{source} is an RRDB network {what} (its first convolution takes {folded} channels); the flow needs one "
            "of scale factor 4 or 8 that takes 3."
        )
    if growth is None or last is None or last.shape[:1] != (3,) or num_up_convs not in (2, 3):
        raise CheckpointError(
            f"{source} is not an RRDB network of scale factor 4 or 8 for RGB: it has {len(block_numbers)} trunk "
            f"blocks and {num_up_convs} upsampling convolutions (scale factor {2**num_up_convs})."
        )
    config = EncoderConfig(
        num_features=tensors["conv_first.weight"].shape[0],
        growth_channels=growth.shape[0],
        num_blocks=len(block_numbers),
        stacked_blocks=(),
    )
    return config, 2**num_up_convs


def _rename_encoder(tensors: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    plain = {"HRconv": "hr_conv", "conv_first": "conv_first", "conv_last": "conv_last", "trunk_conv": "trunk_conv"}
    renamed = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        if module in plain:
            ours = plain[module]
        elif match := re.fullmatch(r"upconv(\d)", module):
            ours = f"up_convs.{int(match[1]) - 1}"
        elif match := re.fullmatch(r"RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)", module):
            ours = f"blocks.{match[1]}.dense_blocks.{int(match[2]) - 1}.convs.{int(match[3]) - 1}"
        else:
            raise CheckpointError(f"{source} has the key {name}, which no RRDB network has; it is not converted.")
        renamed[f"{ours}.{kind}"] = tensor
    return renamed


@dataclass(frozen=True)
class _Layer:
    """One entry of the released `flowUpsamplerNet.layers`; those without tensors are squeezes."""

    kind: str  # "squeeze", "transition", "step" or "split"
    tensors: dict[str, Tensor]
    number: int

    @property
    def channels(self) -> int:
        """The channels of its input."""
        if self.kind == "split":
            return 2 * self.tensors["conv.weight"].shape[1]
        return self.tensors["invconv.weight"].shape[0]


def _read_layers(tensors: dict[str, Tensor], source: str) -> list[_Layer]:
    grouped: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"layers\.(\d{1,4})\.(.+)", name)
        if match is None:
            raise CheckpointError(f"{source} has the key {_FLOW_PREFIX}{name}, which no released flow has.")
        grouped.setdefault(int(match[1]), {})[match[2]] = tensor
    layers = []
    for number in range(max(grouped) + 1):
        own = grouped.get(number, {})
        if not own:
            kind = "squeeze"
        elif "conv.weight" in own:
            kind = "split"
            if own["conv.weight"].ndim != 4:
                raise CheckpointError(
                    f"{source}: conv.weight of layer {number} of the flow has shape "
                    f"{tuple(own['conv.weight'].shape)}; a convolution's has four dimensions."
                )
        elif "invconv.weight" not in own:
            raise CheckpointError(f"{source}: layer {number} of the flow has no invconv.weight; its kind is unknown.")
        else:
            kind = "step" if any(name.startswith("affine.") for name in own) else "transition"
        layers.append(_Layer(kind, own, number))
    return layers


def _read_flow_config(layers: Sequence[_Layer], source: str) -> FlowConfig:
    squeeze_factors: list[int] = []
    splits: list[list[int]] = []
    steps: list[int] = []
    channels = 3
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if layer.kind == "squeeze" and following is not None:
            if following.kind not in ("transition", "step") or not channels:
                raise CheckpointError(
                    f"{source}: layer {layer.number} of the flow has no tensors, and no step follows it; this is "
                    "not a released network."
                )
            squeeze_factors.append(round((following.channels / channels) ** 0.5))
            splits.append([])
            steps.append(0)
            channels = following.channels
        elif not steps:
            raise CheckpointError(f"{source}: the flow does not begin with a squeeze; this is not a released network.")
        elif layer.kind == "step":
            steps[-1] += 1
        elif layer.kind == "split":
            splits[-1].append(steps[-1])
            channels = layer.channels // 2
    if len(set(steps)) != 1 or not steps[0]:
        raise CheckpointError(
            f"{source}: levels have {steps} flow steps; in released networks all levels have the same number."
        )
    first_step = next(layer for layer in layers if layer.kind == "step")
    kind = _conv_block_kind(first_step)
    first_conv, _ = _BLOCK_NAMES[kind]
    first_name = f"affine.fAffine{first_conv}.weight"
    if first_name not in first_step.tensors:
        raise CheckpointError(f"{source}: layer {first_step.number} of the flow has no {first_name}.")
    return FlowConfig(
        squeeze_factors=tuple(squeeze_factors),
        steps_per_level=steps[0],
        splits=tuple(tuple(level) for level in splits),
        conv_block=kind,
        hidden_channels=first_step.tensors[first_name].shape[0],
    )


# For each conv block: the names after fAffine / fFeatures of its first and of its last convolution.
_BLOCK_NAMES: dict[ConvBlockKind, tuple[str, str]] = {
    "deep": (".0", ".10"),
    "skip": ("1.0", "3.0"),
    "residual": ("1.0", "3.0"),
    "shallow": (".0", ".4"),
}


def _conv_block_kind(step: _Layer) -> ConvBlockKind:
    names = step.tensors.keys()
    if "affine.fAffine.0.actnorm.bias" in names:
        return "shallow"
    if "affine.fAffine2.0.0.weight" in names:
        return "residual"
    if "affine.fAffine2.0.weight" in names:
        return "skip"
    if "affine.fAffine.10.weight" in names:
        return "deep"
    raise CheckpointError(f"Layer {step.number} of the flow is of an unknown kind: {', '.join(sorted(names)[:4])}, ….")


def _family(config: FlowConfig) -> str:
    if config.conv_block == "deep":
        return "srflow-da-s" if config.num_levels == 1 else "srflow-da"
    return {"skip": "srflow-da-r", "residual": "srflow-da-d", "shallow": "srflow"}[config.conv_block]


def _rename_flow(layers: Sequence[_Layer], config: FlowConfig, source: str) -> Iterator[tuple[str, Tensor]]:
    level, step, transition = -1, 0, 0
    for layer in layers:
        if layer.kind == "squeeze":
            level, step, transition = level + 1, 0, 0
            continue
        if layer.kind == "split":
            own = f"levels.{level}.splits.{step}."
        elif layer.kind == "transition":
            own = f"levels.{level}.transitions.layers.{transition}."
            transition += 1
        else:
            own = f"levels.{level}.steps.{step}."
            step += 1
        yield from ((own + name, tensor) for name, tensor in _rename_layer(layer, config.conv_block, source))


def _rename_layer(layer: _Layer, kind: ConvBlockKind, source: str) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in layer.tensors.items():
        if layer.kind == "split":
            yield name.replace("conv.", "prior.", 1), _halves(tensor)
        elif name.startswith("actnorm."):
            yield name.replace("actnorm.", "layers.0.", 1), tensor
        elif name == "invconv.weight":
            yield "layers.1.weight", tensor
        elif match := re.fullmatch(r"affine\.(fFeatures|fAffine)(.+)\.(\w+)", name):
            own = _rename_in_block(match[2], kind)
            if own is None:
                raise CheckpointError(f"{source}: layer {layer.number} has the key {name}, unknown in a {kind} block.")
            position = 2 if match[1] == "fFeatures" else 3
            values = _halves(tensor) if own == "last" else tensor
            yield f"layers.{position}.block.{own}.{match[3]}", values
        else:
            raise CheckpointError(f"{source}: layer {layer.number} has the key {name}, which no released flow has.")
    # Released networks are trained: their actnorms must not be initialised again from the next batch.
    done: dict[str, Any] = {"actnorm.bias": "layers.0"}
    for part, position in (("fFeatures", 2), ("fAffine", 3)):
        done[f"affine.{part}.0.actnorm.bias"] = f"layers.{position}.block.first_norm"
        done[f"affine.{part}.2.actnorm.bias"] = f"layers.{position}.block.second_norm"
    yield from ((f"{own}.initialized", torch.tensor(True)) for name, own in done.items() if name in layer.tensors)


def _rename_in_block(name: str, kind: ConvBlockKind) -> str | None:
    """Map the released name after fAffine / fFeatures to the module inside our conv block."""
    first, last = _BLOCK_NAMES[kind]
    if name in (first, last):
        return "first" if name == first else "last"
    if kind == "shallow":
        return {".0.actnorm": "first_norm", ".2": "second", ".2.actnorm": "second_norm"}.get(name)
    if kind == "residual":
        match = re.fullmatch(r"2\.(\d+)\.([02])", name)
        return f"convs.{2 * int(match[1]) + int(match[2]) // 2}" if match else None
    match = re.fullmatch(r"2\.(\d)" if kind == "skip" else r"\.(\d)", name)
    # Every other entry is a ReLU; a "deep" block includes its first convolution in the count.
    return f"convs.{int(match[1]) // 2 - (kind == 'deep')}" if match else None


def _halves(tensor: Tensor) -> Tensor:
    """Reorder channels: the released shift and s (mean and log-sigma) alternate, ours are two halves."""
    return torch.cat([tensor[0::2], tensor[1::2]])

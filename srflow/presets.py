"""The configurations that distinguish the networks of the family, as checked numbers; nothing here builds anything.

The presets without "-compact" follow Jo, Yang and Kim (CVPRW 2021, Sections 3.2 and 4.5), and the released code where
the two differ; each difference is named where it is set. The `-compact` presets are our own small relatives, made of
the same parts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from srflow.errors import InputError, brief

__all__ = ["PRESETS", "ConvBlockKind", "EncoderConfig", "FlowConfig", "ModelConfig", "get_preset"]

ConvBlockKind = Literal["deep", "skip", "residual", "shallow"]
LongSkip = Literal["last_block", "first_conv"]


# Limits far beyond any network of the family. A modified configuration must not cause millions of layers, or layers
# with more weights than fit into memory, to be built before the mismatch with the weights is noticed.
_MAX_WIDTH = 1024
_MAX_LAYERS = 256
_MAX_SQUEEZE = 16


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _require_between(what: str, value: int, low: int, high: int) -> None:
    _require(low <= value <= high, f"{what} is {brief(value)}; it must be from {low} to {high}.")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The RRDB encoder: `num_features` channels, `num_blocks` residual-in-residual dense blocks of `growth_channels`.

    stacked_blocks: the blocks, counted from 0, whose outputs are stacked into the conditioning.
    long_skip: what is added to the trunk's last convolution: the output of the "last_block", as in the released SRFlow
        and SRFlow-DA, or of the "first_conv", as in ESRGAN. Trained weights depend on it.
    residual: the encoder's own super-resolution is bicubic(lr) plus the network's output (not in the released ones).
    """

    num_features: int = 64
    growth_channels: int = 32
    num_blocks: int = 23
    stacked_blocks: tuple[int, ...] = (1, 8, 15, 22)
    long_skip: LongSkip = "last_block"
    residual: bool = False

    def __post_init__(self) -> None:
        _require_between("EncoderConfig.num_features", self.num_features, 1, _MAX_WIDTH)
        _require_between("EncoderConfig.growth_channels", self.growth_channels, 1, _MAX_WIDTH)
        _require_between("EncoderConfig.num_blocks", self.num_blocks, 1, _MAX_LAYERS)
        _require(
            self.long_skip in get_args(LongSkip),
            f"EncoderConfig.long_skip is {self.long_skip!r}; use one of {', '.join(get_args(LongSkip))}.",
        )
        bad = [block for block in self.stacked_blocks if not 0 <= block < self.num_blocks]
        _require(
            not bad,
            f"EncoderConfig.stacked_blocks names {brief(bad)}, but there are only blocks 0 to {self.num_blocks - 1}; "
            "give indices in that range.",
        )
        _require(
            len(set(self.stacked_blocks)) == len(self.stacked_blocks),
            f"EncoderConfig.stacked_blocks is {brief(self.stacked_blocks)}; name each block once.",
        )

    @property
    def conditioning_channels(self) -> int:
        """The channels of the conditioning at every level: the features of that size, then the stacked blocks."""
        return self.num_features * (1 + len(self.stacked_blocks))


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """The invertible part. A level is: squeeze, two transition steps, `steps_per_level` flow steps, splits.

    squeeze_factors: by how much each level reduces height and width, finest level first.
    splits: per level, the steps (counted from 1) after which half of the channels leave as a latent.
    conv_block: the network inside the affine injector and coupling: "deep" (SRFlow-DA, Fig. 1b), "skip" (-R, Fig. 3a),
        "residual" (-D, Fig. 3b) or "shallow" (SRFlow, Fig. 1a).
    log_scale_bound: None: scale = sigmoid(s + 2) + 1e-4, as released; a number b: log scale = b tanh(s / b), whose
        inverse cannot blow up.
    log_sigma_bound: the same bound for the log-sigma of the split priors; None leaves it free, as released.
    projection_channels: if not 0, one 1x1 convolution and ReLU per level reduces the conditioning to that many channels
        before all steps of the level use it (not in the released networks).
    residual: the flow models hr - bicubic(lr) instead of hr (not in the released networks).
    """

    squeeze_factors: tuple[int, ...]
    steps_per_level: int
    splits: tuple[tuple[int, ...], ...]
    conv_block: ConvBlockKind
    hidden_channels: int = 64
    log_scale_bound: float | None = None
    log_sigma_bound: float | None = None
    projection_channels: int = 0
    residual: bool = False

    def __post_init__(self) -> None:
        _require(
            len(self.squeeze_factors) == len(self.splits),
            f"FlowConfig has {len(self.squeeze_factors)} squeeze factors, but splits for {len(self.splits)} levels; "
            "give one entry per level in both.",
        )
        _require(len(self.squeeze_factors) >= 1, "FlowConfig.squeeze_factors is empty; a flow has at least one level.")
        for factor in self.squeeze_factors:
            _require_between("A factor in FlowConfig.squeeze_factors", factor, 2, _MAX_SQUEEZE)
        _require_between("The product of FlowConfig.squeeze_factors", self.total_squeeze, 2, _MAX_SQUEEZE)
        _require_between("FlowConfig.steps_per_level", self.steps_per_level, 1, _MAX_LAYERS)
        _require_between("FlowConfig.hidden_channels", self.hidden_channels, 1, _MAX_WIDTH)
        _require_between("FlowConfig.projection_channels", self.projection_channels, 0, _MAX_WIDTH)
        for bound in (self.log_scale_bound, self.log_sigma_bound):
            _require(
                bound is None or 0 < bound < math.inf,
                f"A log-scale bound is {bound}; use None or a number above 0.",
            )
        _require(
            self.conv_block in get_args(ConvBlockKind),
            f"FlowConfig.conv_block is {self.conv_block!r}; use one of {', '.join(get_args(ConvBlockKind))}.",
        )
        for steps in self.splits:
            bad = [step for step in steps if not 1 <= step <= self.steps_per_level]
            _require(not bad, f"FlowConfig.splits names steps {brief(bad)}; steps are 1 to {self.steps_per_level}.")
            _require(
                len(set(steps)) == len(steps),
                f"FlowConfig.splits names steps {brief(steps)} of one level; name each once.",
            )
        self._check_channels()

    def _check_channels(self) -> None:
        """Check the channels. Raises InputError: a coupling or a split would have to halve an odd number."""
        channels = 3
        for level, (factor, splits) in enumerate(zip(self.squeeze_factors, self.splits, strict=True), start=1):
            channels *= factor**2
            for step in range(1, self.steps_per_level + 1):
                _require(
                    channels % 2 == 0,
                    f"Step {step} of level {level} of the flow has {channels} channels, which cannot be halved; use "
                    "even squeeze factors, and fewer splits.",
                )
                channels //= 2 if step in splits else 1

    @property
    def num_levels(self) -> int:
        """L in the papers."""
        return len(self.squeeze_factors)

    @property
    def total_squeeze(self) -> int:
        """How many HR pixels (per side) one position of the coarsest level covers."""
        return math.prod(self.squeeze_factors)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A whole model. `default_temperature` is the default of sampling (the paper: 0.9)."""

    name: str
    scale_factor: int
    encoder: EncoderConfig
    flow: FlowConfig
    default_temperature: float = 0.9

    def __post_init__(self) -> None:
        _require(self.scale_factor in (4, 8), f"ModelConfig.scale_factor is {brief(self.scale_factor)}; use 4 or 8.")
        ratio = self.flow.total_squeeze / self.scale_factor
        _require(
            ratio in (1, 2),
            f"The flow's levels squeeze {self.flow.total_squeeze} times, which does not fit scale factor "
            f"{self.scale_factor}; the last level must have the LR size or half of it.",
        )
        _require(
            0 <= self.default_temperature <= 2,
            f"ModelConfig.default_temperature is {self.default_temperature}; it must be between 0 and 2.",
        )

    @property
    def lr_multiple(self) -> int:
        """LR sizes are padded to a multiple of this: 2 if the last level works at half the LR size, otherwise 1."""
        return self.flow.total_squeeze // self.scale_factor

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Convert from the values of `to_dict`.

        Raises: InputError: a field is unknown, missing, of another type or out of range.
        """
        return _build(cls, values, "model")

    def resized(self, encoder: Mapping[str, Any] | None = None, flow: Mapping[str, Any] | None = None) -> ModelConfig:
        """Return the same architecture with other numbers, e.g. `resized(flow={"hidden_channels": 8})`."""
        return replace(self, encoder=replace(self.encoder, **(encoder or {})), flow=replace(self.flow, **(flow or {})))


def _build(cls: type, values: Any, what: str) -> Any:
    if not isinstance(values, Mapping):
        raise InputError(f"The {what} configuration is {brief(values)}, not a table of settings.")
    kinds = get_type_hints(cls)
    unknown = sorted(set(values) - {field.name for field in fields(cls)})
    _require(not unknown, f"The {what} configuration has unknown settings {brief(unknown)}; known are {sorted(kinds)}.")
    built = {
        name: _build(kinds[name], value, name) if name in _TABLES else _checked(value, kinds[name], f"{what}.{name}")
        for name, value in values.items()
    }
    try:
        return cls(**built)
    except TypeError as error:
        raise InputError(f"The {what} configuration is incomplete: {error}.") from error


_TABLES = ("encoder", "flow")
_KIND_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}


def _checked(value: Any, kind: Any, name: str) -> Any:
    """Return a JSON `value` if it has that type; lists become tuples. Raises InputError: it has another type."""
    if get_origin(kind) is Literal:
        _require(isinstance(value, str), f"The setting {name} is {brief(value)}; it must be a text.")
        return value
    if get_origin(kind) is tuple:
        _require(isinstance(value, (list, tuple)), f"The setting {name} is {brief(value)}; it must be a list.")
        return tuple(_checked(item, get_args(kind)[0], f"{name}[{number}]") for number, item in enumerate(value))
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if float in kinds and type(value) is int and abs(value) < _MAX_WIDTH:
        return float(value)
    _require(
        type(value) in kinds,
        f"The setting {name} is {brief(value)}; it must be {' or '.join(_KIND_NAMES[each] for each in kinds)}.",
    )
    return value


def _multi_scale(
    scale_factor: int, conv_block: ConvBlockKind, steps: int, *, extra_level: bool = False, **settings: Any
) -> FlowConfig:
    """Build levels that halve the size, down to the LR size or (`extra_level`, the original SRFlow) half of it.

    Every level except the last ends in a split; the original SRFlow has none after its last two.
    """
    halvings = scale_factor.bit_length() - 1
    num_levels = halvings + extra_level
    num_split_levels = halvings - 1
    return FlowConfig(
        squeeze_factors=(2,) * num_levels,
        steps_per_level=steps,
        splits=tuple((steps,) if level < num_split_levels else () for level in range(num_levels)),
        conv_block=conv_block,
        **settings,
    )


def _single_scale(scale_factor: int, conv_block: ConvBlockKind, steps: int, **settings: Any) -> FlowConfig:
    """Build one level at the LR size (-S). The released code splits after steps 1, 7, 13, …, not 6, 12, …."""
    return FlowConfig(
        squeeze_factors=(scale_factor,),
        steps_per_level=steps,
        splits=(tuple(range(1, steps, 6)),),
        conv_block=conv_block,
        **settings,
    )


def _paper_presets() -> dict[str, ModelConfig]:
    presets: dict[str, ModelConfig] = {}
    for scale_factor in (4, 8):
        flows = {
            "srflow-da": _multi_scale(scale_factor, "deep", 6),
            "srflow-da-r": _multi_scale(scale_factor, "skip", 6),
            "srflow-da-s": _single_scale(scale_factor, "deep", 12 if scale_factor == 4 else 18),
            "srflow-da-d": _multi_scale(scale_factor, "residual", 1),
            "srflow": _multi_scale(scale_factor, "shallow", 16, extra_level=True),
        }
        for family, flow in flows.items():
            name = f"{family}-x{scale_factor}"
            # The released original SRFlow x8 stacks different blocks from all the others.
            blocks = (1, 3, 5, 7) if name == "srflow-x8" else (1, 8, 15, 22)
            presets[name] = ModelConfig(
                name=name, scale_factor=scale_factor, encoder=EncoderConfig(stacked_blocks=blocks), flow=flow
            )
    return presets


def _compact_presets() -> dict[str, ModelConfig]:
    encoder = EncoderConfig(
        num_features=32, growth_channels=16, num_blocks=6, stacked_blocks=(0, 2, 4, 5), residual=True
    )
    settings: dict[str, Any] = {
        "hidden_channels": 32,
        "log_scale_bound": 1.0,
        "log_sigma_bound": 3.0,
        "projection_channels": 64,
        "residual": True,
    }
    flows = {
        "srflow-da-r-x4-compact": (4, _multi_scale(4, "skip", 6, **settings)),
        "srflow-da-r-x8-compact": (8, _multi_scale(8, "skip", 6, **settings)),
        "srflow-da-s-x4-compact": (4, _single_scale(4, "skip", 12, **settings | {"hidden_channels": 64})),
    }
    return {
        name: ModelConfig(name=name, scale_factor=scale_factor, encoder=encoder, flow=flow, default_temperature=0.8)
        for name, (scale_factor, flow) in flows.items()
    }


PRESETS: dict[str, ModelConfig] = _paper_presets() | _compact_presets()


def get_preset(name: str) -> ModelConfig:
    """Return the configuration called `name`. Raises InputError, with the known names: there is none."""
    if name not in PRESETS:
        raise InputError(f"There is no preset {name!r}; known are {', '.join(PRESETS)}.")
    return PRESETS[name]

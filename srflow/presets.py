"""What distinguishes one network of the family from another, as checked numbers; nothing here builds anything.

The presets without "-compact" follow Jo, Yang and Kim (CVPRW 2021, Sections 3.2 and 4.5), and the released code where
the two differ; each difference is named where it is set. The `-compact` presets are our own small relatives, made of
the same parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from srflow.errors import InputError

__all__ = ["PRESETS", "ConvBlockKind", "EncoderConfig", "FlowConfig", "ModelConfig", "get_preset"]

ConvBlockKind = Literal["deep", "skip", "residual", "shallow"]
LongSkip = Literal["last_block", "first_conv"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The RRDB encoder: `num_features` channels, `num_blocks` residual-in-residual dense blocks of `growth_channels`.

    stacked_blocks: the blocks, counted from 0, whose outputs are stacked to the conditioning.
    long_skip: what is added to the trunk's last convolution: the output of the "last_block", as in the released SRFlow
        and SRFlow-DA, or of the "first_conv", as in ESRGAN. Trained weights depend on it.
    residual: the encoder's own super-resolution is bicubic(lr) plus what the network gives (not in the released ones).
    """

    num_features: int = 64
    growth_channels: int = 32
    num_blocks: int = 23
    stacked_blocks: tuple[int, ...] = (1, 8, 15, 22)
    long_skip: LongSkip = "last_block"
    residual: bool = False

    def __post_init__(self) -> None:
        for name in ("num_features", "growth_channels", "num_blocks"):
            value = getattr(self, name)
            _require(value >= 1, f"EncoderConfig.{name} is {value}; it must be at least 1.")
        _require(
            self.long_skip in get_args(LongSkip),
            f"EncoderConfig.long_skip is {self.long_skip!r}; use one of {', '.join(get_args(LongSkip))}.",
        )
        bad = [block for block in self.stacked_blocks if not 0 <= block < self.num_blocks]
        _require(
            not bad,
            f"EncoderConfig.stacked_blocks names {bad}, but there are only blocks 0 to {self.num_blocks - 1}; "
            "give indices in that range.",
        )

    @property
    def conditioning_channels(self) -> int:
        """Channels of the conditioning at every level: the features of that size, then the stacked blocks."""
        return self.num_features * (1 + len(self.stacked_blocks))


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """The invertible part. A level is: squeeze, two transition steps, `steps_per_level` flow steps, splits.

    squeeze_factors: by how much each level reduces height and width, finest level first.
    splits: per level, the steps (counted from 1) after which half of the channels leave as a latent.
    conv_block: the network inside the affine injector and coupling: "deep" (SRFlow-DA, Fig. 1b), "skip" (-R, Fig. 3a),
        "residual" (-D, Fig. 3b) or "shallow" (SRFlow, Fig. 1a).
    log_scale_bound: None gives scale = sigmoid(s + 2) + 1e-4, as released; a number b gives log scale = b tanh(s / b),
        whose inverse cannot blow up.
    log_sigma_bound: the same bound for the log-sigma of the split priors; None leaves it free, as released.
    projection_channels: if not 0, one 1x1 convolution and ReLU per level reduces the conditioning to that many channels
        before all steps of the level use it (not in the released networks).
    residual: the flow describes hr - bicubic(lr) instead of hr (not in the released networks).
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
            "give one entry a level in both.",
        )
        _require(len(self.squeeze_factors) >= 1, "FlowConfig.squeeze_factors is empty; a flow has at least one level.")
        for factor in self.squeeze_factors:
            _require(factor >= 2, f"FlowConfig.squeeze_factors holds {factor}; factors are 2 or more.")
        _require(self.steps_per_level >= 1, f"FlowConfig.steps_per_level is {self.steps_per_level}; at least 1.")
        _require(self.hidden_channels >= 1, f"FlowConfig.hidden_channels is {self.hidden_channels}; at least 1.")
        _require(self.projection_channels >= 0, f"FlowConfig.projection_channels is {self.projection_channels}; min 0.")
        for bound in (self.log_scale_bound, self.log_sigma_bound):
            _require(bound is None or bound > 0, f"A log-scale bound is {bound}; use None or a number above 0.")
        _require(
            self.conv_block in get_args(ConvBlockKind),
            f"FlowConfig.conv_block is {self.conv_block!r}; use one of {', '.join(get_args(ConvBlockKind))}.",
        )
        for steps in self.splits:
            bad = [step for step in steps if not 1 <= step <= self.steps_per_level]
            _require(not bad, f"FlowConfig.splits names steps {bad}; steps are 1 to {self.steps_per_level}.")

    @property
    def num_levels(self) -> int:
        """L in the papers."""
        return len(self.squeeze_factors)

    @property
    def total_squeeze(self) -> int:
        """How many HR pixels a side one position of the coarsest level stands for."""
        product = 1
        for factor in self.squeeze_factors:
            product *= factor
        return product


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A whole model. `default_temperature` is what sampling uses when the caller names none (the paper: 0.9)."""

    name: str
    scale_factor: int
    encoder: EncoderConfig
    flow: FlowConfig
    default_temperature: float = 0.9

    def __post_init__(self) -> None:
        _require(self.scale_factor in (4, 8), f"ModelConfig.scale_factor is {self.scale_factor}; 4 and 8 are known.")
        ratio = self.flow.total_squeeze / self.scale_factor
        _require(
            ratio in (1, 2),
            f"The flow's levels squeeze {self.flow.total_squeeze} times, which does not fit scale factor "
            f"{self.scale_factor}; the last level has the LR size or half of it.",
        )
        _require(
            0 <= self.default_temperature <= 2,
            f"ModelConfig.default_temperature is {self.default_temperature}; it lies between 0 and 2.",
        )

    @property
    def lr_multiple(self) -> int:
        """LR sizes are padded to a multiple of this: 2 where the last level works at half the LR size, else 1."""
        return self.flow.total_squeeze // self.scale_factor

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`. Raises InputError if a field is unknown, missing or out of range."""
        values = dict(values)
        values["encoder"] = _build(EncoderConfig, values.get("encoder"), "encoder")
        values["flow"] = _build(FlowConfig, values.get("flow"), "flow")
        return _build(cls, values, "model")

    def resized(self, encoder: Mapping[str, Any] | None = None, flow: Mapping[str, Any] | None = None) -> ModelConfig:
        """The same architecture with other numbers, e.g. `resized(flow={"hidden_channels": 8})`."""
        return replace(self, encoder=replace(self.encoder, **(encoder or {})), flow=replace(self.flow, **(flow or {})))


def _build(cls: type, values: Any, what: str) -> Any:
    if not isinstance(values, Mapping):
        raise InputError(f"The {what} configuration is {type(values).__name__}, not a table of settings.")
    known = {field.name for field in fields(cls)}
    unknown = sorted(set(values) - known)
    _require(not unknown, f"The {what} configuration has unknown settings {unknown}; known are {sorted(known)}.")
    try:
        return cls(**{key: _tupled(value) for key, value in values.items()})
    except TypeError as error:
        raise InputError(f"The {what} configuration is incomplete or holds a wrong type: {error}.") from error


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list) else value


def _multi_scale(
    scale_factor: int, conv_block: ConvBlockKind, steps: int, *, extra_level: bool = False, **settings: Any
) -> FlowConfig:
    """Levels that halve the size, down to the LR size or (`extra_level`, the original SRFlow) half of it.

    Every level ends in a split but the last; the original SRFlow has none after its last two.
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
    """One level at the LR size (-S). The released code splits after steps 1, 7, 13, …, not 6, 12, …."""
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
            # The released original SRFlow x8 stacks other blocks than all the rest.
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
    """The configuration called `name`. Raises InputError, with the known names, if there is none."""
    if name not in PRESETS:
        raise InputError(f"There is no preset {name!r}; known are {', '.join(PRESETS)}.")
    return PRESETS[name]

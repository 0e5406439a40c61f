"""The recipe of a training run: frozen, checked numbers, read from small TOML files and overrides on the command line.

A recipe file may say `extends = "name"`, and then contains only the differences. It may say `for_presets = [...]`, and
then serves each of those names, with `model.preset` set to it. The package's recipes are in `srflow/recipes/`.
"""

from __future__ import annotations

import difflib
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from srflow.contract import InputError, TrainingRecipeError
from srflow.presets import PRESETS, ModelConfig, get_preset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "CheckpointRecipe",
    "DataRecipe",
    "FinetuningRecipe",
    "LikelihoodRecipe",
    "LogRecipe",
    "ModelRecipe",
    "PhaseRecipe",
    "Precision",
    "RuntimeRecipe",
    "TrainingRecipe",
    "ValidationRecipe",
    "load_recipe",
    "recipe_names",
]

Precision = Literal["float32", "bf16", "fp16"]


def _setting(default: Any, minimum: float = -math.inf, maximum: float = math.inf) -> Any:
    """A field whose number, or each of whose numbers, lies in [minimum, maximum]."""
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum})


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """The network: a preset, and by name the numbers of its encoder and flow that differ from the preset's."""

    preset: str
    encoder: dict[str, Any] = field(default_factory=dict)
    flow: dict[str, Any] = field(default_factory=dict)

    def config(self) -> ModelConfig:
        """Return the model's configuration. Raises TrainingRecipeError: the preset or a number of it is not allowed."""
        try:
            preset = get_preset(self.preset)
            encoder, flow = (_lists_to_tuples(table) for table in (self.encoder, self.flow))
            return preset.resized(encoder=encoder, flow=flow)
        except (InputError, TypeError) as error:
            raise TrainingRecipeError(f"The recipe's model cannot be built: {error}") from error


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """How patches are drawn.

    noise, noise_scale: the noise added to HR in the likelihood stages, in 8-bit units: "gaussian" with that standard
        deviation (SRFlow-DA: 4/√3), or "uniform" with that full width, centred (SRFlow: 255/32, that is ±1/64 of the
        value range). With "uniform" the loss has the dequantisation term, a constant: + log2(255 / noise_scale).
    reductions: whole numbers; each picture is also stored downscaled by each of them (MATLAB's bicubic). A picture that
        is soft at its full size has sharp edges at half of it. Patches of all copies are proposed about equally often.
    candidates: number of random proposals in all pictures and copies; the one whose LR patch varies most is used. So
        less time is spent on skies, and more on downscaled pictures. Because the choice depends only on LR, the
        distribution of HR given LR, which is all that the flow learns, stays the same among pictures of one reduction.
    """

    reductions: tuple[int, ...] = _setting((1,), 1, 16)
    candidates: int = _setting(1, 1, 64)
    noise: Literal["gaussian", "uniform", "none"] = "gaussian"
    noise_scale: float = _setting(4 / math.sqrt(3), 0, 64)
    flips: bool = True
    rotations: bool = True


@dataclass(frozen=True, kw_only=True)
class PhaseRecipe:
    """A range of steps with one optimiser and one learning-rate schedule.

    steps: number of steps; 0 leaves the phase out.
    batch_size: patches per step over all processes together, so that a recipe means the same on any number of them.
    patch_size: side of the HR patches, in pixels.
    schedule: "constant"; "halving" at each of `milestones` (fractions of `steps`); or "cosine" from `learning_rate`
        down to `final_learning_rate`. The first `warmup_steps` rise linearly.
    optimizer: "adam"; or "muon", which takes steps of `muon_factor` times `learning_rate` for the convolutions inside
        the networks (see `srflow.training.muon`), and uses Adam for the rest.
    betas: of Adam.
    clip_norm: maximum norm of the gradient, over all parameters together; 0 does not clip.
    ema_decay: of the averaged weights (EMA), which are validated and exported; 0 keeps only the last weights.
    """

    steps: int = _setting(0, 0)
    batch_size: int = _setting(16, 1)
    patch_size: int = _setting(160, 16, 4096)
    learning_rate: float = _setting(2e-4, 1e-9, 1)
    schedule: Literal["constant", "halving", "cosine"] = "halving"
    milestones: tuple[float, ...] = _setting((0.5, 0.75, 0.9, 0.95), 0, 1)
    final_learning_rate: float = _setting(0.0, 0, 1)
    warmup_steps: int = _setting(0, 0)
    optimizer: Literal["adam", "muon"] = "adam"
    muon_factor: float = _setting(1.0, 1e-6, 1000)
    betas: tuple[float, ...] = _setting((0.9, 0.999), 0, 0.999999)
    clip_norm: float = _setting(0.0, 0)
    ema_decay: float = _setting(0.999, 0, 0.999999)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of step `step`, counted from 0."""
        progress = step / max(self.steps, 1)
        if self.schedule == "constant":
            rate = self.learning_rate
        elif self.schedule == "halving":
            rate = self.learning_rate * 0.5 ** sum(progress >= milestone for milestone in self.milestones)
        else:
            falling = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
            rate = self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * falling
        return rate * min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else rate


@dataclass(frozen=True, kw_only=True)
class LikelihoodRecipe(PhaseRecipe):
    """The phase that maximises the likelihood.

    encoder_joins_at: the fraction of `steps` during which the encoder is frozen; after it both parts are trained.
    encoder_output_weight: weight of the L1 error of the encoder's own super-resolution, values in [0, 1], beside the
        bits per dimension, once the encoder is trained too. Only layers that nothing else uses learn from it, so that
        the encoder's own picture stays useful; 0 leaves these layers unchanged (the paper).
    """

    encoder_joins_at: float = _setting(0.5, 0, 1)
    encoder_output_weight: float = _setting(0.0, 0, 1000)

    @property
    def join_step(self) -> int:
        """The first step that trains the encoder too."""
        return round(self.steps * self.encoder_joins_at)


@dataclass(frozen=True, kw_only=True)
class FinetuningRecipe(PhaseRecipe):
    """The phase that adds losses on samples drawn inside the training step, after the likelihood phase.

    Every loss has a weight. That of the likelihood may be small but not 0, because without it the density would become
    meaningless.

    optimizer: as in `PhaseRecipe`. The shipped ×8 model improved in fewer steps with Muon than with Adam.
    likelihood_weight: of the negative log-likelihood, in bits per dimension.
    num_samples: samples drawn for each LR patch in a step, in addition to the picture at temperature 0.
    temperatures: lowest and highest temperature of the samples; one is drawn for each batch.
    backbone: the frozen network whose features losses and discriminators use (see `srflow.evaluation.features`).
    energy_weight: of the energy score, the mean feature distance of samples to the ground truth, minus `energy_spread`
        / 2 times their mean distance to each other (Gneiting and Raftery 2007, eq. 21). With `energy_spread` 1 the
        score is proper: its minimum is the true distribution, as far as the features distinguish it. Below 1, samples
        are pulled towards each other. Needs 2 samples or more.
    unit_energy_weight: of the energy score of unit-length feature vectors, which does not weight positions by contrast.
    feature_weight: of the mean absolute difference between unit-length features of samples and ground truth. It
        increases similarity at the cost of diversity.
    l1_weight: of the mean absolute error of the picture at temperature 0, values in [0, 1].
    consistency_weight: of the mean absolute difference between downscaled samples and LR, values in [0, 1].
    encoder_output_weight: as in `LikelihoodRecipe`.
    adversarial_weight: of the relativistic average GAN loss (see `srflow.training.adversarial`); 0: no discriminator.
    adversarial_start: the first step of the phase at which the GAN loss counts; the discriminator trains from step 0.
    adversarial_noise: standard deviation of the noise added to the discriminators' input, in 8-bit units. Otherwise
        they would recognise samples by the training noise that these contain.
    discriminator_learning_rate: of the discriminator's own Adam; constant.
    discriminator_width: channels inside its heads and its patch network.
    """

    likelihood_weight: float = _setting(0.05, 1e-4, 1000)
    num_samples: int = _setting(2, 1, 16)
    temperatures: tuple[float, ...] = _setting((0.8, 0.8), 0, 2)
    backbone: str = "efficientnet-lite0"
    energy_weight: float = _setting(1.0, 0, 1000)
    energy_spread: float = _setting(1.0, 0, 1)
    unit_energy_weight: float = _setting(0.0, 0, 1000)
    feature_weight: float = _setting(0.0, 0, 1000)
    l1_weight: float = _setting(0.0, 0, 1000)
    consistency_weight: float = _setting(0.0, 0, 1000)
    encoder_output_weight: float = _setting(0.0, 0, 1000)
    adversarial_weight: float = _setting(0.0, 0, 1000)
    adversarial_start: int = _setting(0, 0)
    adversarial_noise: float = _setting(4.0, 0, 64)
    discriminator_learning_rate: float = _setting(1e-4, 1e-9, 1)
    discriminator_width: int = _setting(64, 8, 1024)

    def __post_init__(self) -> None:
        if len(self.temperatures) != 2 or self.temperatures[0] > self.temperatures[1]:
            raise TrainingRecipeError(
                f"finetuning.temperatures is {list(self.temperatures)}; give the lowest and the highest, such as "
                "[0.7, 0.9]."
            )
        if (self.energy_weight or self.unit_energy_weight) and self.energy_spread and self.num_samples < 2:
            raise TrainingRecipeError(
                f"finetuning.num_samples is {self.num_samples}; the energy score compares 2 samples or more. Raise it, "
                "or set finetuning.energy_spread=0."
            )

    @property
    def needs_features(self) -> bool:
        """Whether any loss uses the backbone's features."""
        return any((self.energy_weight, self.unit_energy_weight, self.feature_weight, self.adversarial_weight))


@dataclass(frozen=True, kw_only=True)
class RuntimeRecipe:
    """How the arithmetic is done.

    precision: "bf16" and "fp16" run the convolutions in that type by autocast over float32 weights; "fp16" scales the
        loss and needs a GPU. "auto" is the fastest of the three on the machine that begins the run; the choice is saved
        with the run and kept when it resumes.
    compile: use `torch.compile`, for GPUs; a CPU was not faster with it (see `benchmarks/results/training.md`). It
        needs Triton (on a CPU, a C++ compiler), and minutes at the start of every stage.
    low_memory: recompute activations of the flow steps in the backward pass instead of keeping them. max_bad_steps:
    number of successive steps with non-finite losses or gradients that stops the run.
    """

    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    low_memory: bool = False
    max_bad_steps: int = _setting(20, 1)
    prefetch: int = _setting(2, 1, 64)


@dataclass(frozen=True, kw_only=True)
class ValidationRecipe:
    """Validation: samples of the averaged weights on held-out pictures, every `every_steps` steps; 0: never.

    It uses centre crops of `crop_size` pixels a side of the first `num_pictures` pictures. The weights whose samples
    have the lowest LPIPS are kept as the best. The LPIPS is that at `best_temperature` (one of `temperatures`) or, if
    `best_diversity` is not 0, that at the temperature at which `num_samples` samples have that diversity (NTIRE's, in
    percent), interpolated between `temperatures`. The latter is a fair comparison of weights for which the same
    temperature has different effects.
    """

    every_steps: int = _setting(1000, 0)
    num_pictures: int = _setting(6, 1)
    crop_size: int = _setting(192, 32, 4096)
    temperatures: tuple[float, ...] = _setting((0.0, 0.5, 0.9), 0, 2)
    num_samples: int = _setting(1, 1, 64)
    best_diversity: float = _setting(0.0, 0, 100)
    best_temperature: float = _setting(0.9, 0, 2)


@dataclass(frozen=True, kw_only=True)
class CheckpointRecipe:
    """When checkpoints are saved: every `every_steps` steps and every `every_minutes`; the last `keep` are kept."""

    every_steps: int = _setting(1000, 1)
    every_minutes: float = _setting(10.0, 0.01)
    keep: int = _setting(3, 2)


@dataclass(frozen=True, kw_only=True)
class LogRecipe:
    """The log: means over `every_steps` steps are written to metrics.jsonl and TensorBoard."""

    every_steps: int = _setting(20, 1)


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """All settings of a training run.

    `pretraining` trains only the encoder by L1, `training` maximises the likelihood, and `finetuning` adds losses on
    samples.
    """

    name: str
    model: ModelRecipe
    seed: int = _setting(0, 0, 2**63 - 1)
    data: DataRecipe = field(default_factory=DataRecipe)
    pretraining: PhaseRecipe = field(default_factory=PhaseRecipe)
    training: LikelihoodRecipe = field(default_factory=LikelihoodRecipe)
    finetuning: FinetuningRecipe = field(default_factory=FinetuningRecipe)
    runtime: RuntimeRecipe = field(default_factory=RuntimeRecipe)
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    checkpoint: CheckpointRecipe = field(default_factory=CheckpointRecipe)
    log: LogRecipe = field(default_factory=LogRecipe)

    def __post_init__(self) -> None:
        if not any(phase.steps for phase in self.phases().values()):
            names = ", ".join(f"{key}.steps" for key in self.phases())
            raise TrainingRecipeError(f"{names} are all 0; there is nothing to train.")
        multiple = max(self.model.config().flow.total_squeeze, self.model.config().scale_factor)
        sizes = {f"{key}.patch_size": phase.patch_size for key, phase in self.phases().items()}
        for key, size in (sizes | {"validation.crop_size": self.validation.crop_size}).items():
            if size % multiple:
                raise TrainingRecipeError(f"{key} is {size}; {self.model.preset} needs a multiple of {multiple}.")
        for key, phase in self.phases().items():
            if len(phase.betas) != 2:
                raise TrainingRecipeError(f"{key}.betas is {list(phase.betas)}; Adam has two.")
        reductions = self.data.reductions
        if not reductions or len(set(reductions)) < len(reductions):
            raise TrainingRecipeError(
                f"data.reductions is {list(reductions)}; give different whole numbers, or [1] for none."
            )
        if self.validation.best_diversity and self.validation.num_samples < 2:
            raise TrainingRecipeError(
                f"validation.num_samples is {self.validation.num_samples}; validation.best_diversity needs 2 or more."
            )
        if self.validation.best_temperature not in self.validation.temperatures:
            raise TrainingRecipeError(
                f"validation.best_temperature is {self.validation.best_temperature}; it must be one of "
                f"validation.temperatures, {list(self.validation.temperatures)}."
            )

    def phases(self) -> dict[str, PhaseRecipe]:
        """The phases in order, by the name of their table, including those without steps."""
        return {"pretraining": self.pretraining, "training": self.training, "finetuning": self.finetuning}

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingRecipe:
        """Convert from the values of `to_dict`. Raises TrainingRecipeError: a setting is unknown or out of range."""
        return _build(cls, values, "")

    def with_precision(self, precision: Precision) -> TrainingRecipe:
        """Return the same recipe with another `runtime.precision`."""
        return replace(self, runtime=replace(self.runtime, precision=precision))

    def differences(self, other: TrainingRecipe) -> dict[str, tuple[Any, Any]]:
        """Return the settings that differ, by dotted key: (mine, the other's)."""
        mine, others = _flatten(self.to_dict()), _flatten(other.to_dict())
        return {
            key: (mine.get(key), others.get(key)) for key in sorted(mine | others) if mine.get(key) != others.get(key)
        }


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes, including those in `for_presets`."""
    names = {path.stem: _read(path) for path in _shipped()}
    served = {name for values in names.values() for name in values.get("for_presets", ())}
    return sorted(served | {name for name, values in names.items() if "for_presets" not in values})


def load_recipe(source: str | Path, overrides: Iterable[str] = ()) -> TrainingRecipe:
    """Read and check a recipe.

    Args:
        source: the name of a shipped recipe, or the path of a .toml file or of a run's recipe.json.
        overrides: "dotted.key=value", the value written as in TOML; quotes around a word may be left out.

    Raises: TrainingRecipeError: no such recipe, an unknown setting, or a value out of range; the message names it.
    """
    values = _resolve(str(source), Path.cwd(), ())
    for override in overrides:
        _apply(values, override)
    return TrainingRecipe.from_dict(values)


def _shipped() -> list[Path]:
    folder = resources.files("srflow") / "recipes"
    return sorted(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _resolve(source: str, folder: Path, seen: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings of `source` merged with everything that it extends."""
    if source in seen:
        raise TrainingRecipeError(f"Recipes extend each other in a circle: {' -> '.join((*seen, source))}.")
    path, preset = _find(source, folder)
    values = _read(path)
    parent = values.pop("extends", None)
    served = values.pop("for_presets", None)
    if preset is not None:
        values = _merge(values, {"name": preset, "model": {"preset": preset}})
    elif served is None:
        values.setdefault("name", path.stem)
    return _merge(_resolve(str(parent), path.parent, (*seen, source)), values) if parent else values


def _find(source: str, folder: Path) -> tuple[Path, str | None]:
    """Return the file of a recipe, and the preset to serve if `source` is one of its `for_presets`."""
    if source.endswith((".toml", ".json")):
        path = folder / source
        if not path.is_file():
            raise TrainingRecipeError(f"There is no recipe file {path}.")
        return path, None
    by_name = {path.stem: path for path in _shipped()}
    if source in by_name:
        return by_name[source], None
    for path in by_name.values():
        if source in _read(path).get("for_presets", ()):
            return path, source
    raise TrainingRecipeError(
        f"There is no recipe {source!r}; shipped are {', '.join(recipe_names())}. The path of a .toml file works too."
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise TrainingRecipeError(f"The recipe {path} cannot be read: {error}.") from error


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both_tables = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one value; an inline table changes only the settings that it names."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise TrainingRecipeError(
            f"The override {override!r} is not of the form key=value, such as training.steps=1000."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise TrainingRecipeError(f"Unknown setting {key!r}: {table!r} is a value, not a table.")
    values.update(_merge(values, {last: value}))


def _build(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, Mapping):
        raise TrainingRecipeError(f"{prefix.rstrip('.')} is {values!r}; it must be a table of settings.")
    known = {f.name: f for f in fields(cls)}
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f" Did you mean {prefix + close[0]!r}?" if close else ""
            raise TrainingRecipeError(
                f"Unknown setting {prefix + key!r} (value {values[key]!r}).{hint} Known are {', '.join(known)}."
            )
    if "preset" in known and "preset" not in values:
        raise TrainingRecipeError(f"{prefix}preset is missing; name one of {', '.join(PRESETS)}.")
    hints = get_type_hints(cls)
    built = {}
    for key, value in values.items():
        if is_dataclass(hints[key]):
            built[key] = _build(hints[key], value, f"{prefix}{key}.")
        else:
            built[key] = _checked(value, hints[key], known[key].metadata, prefix + key)
    try:
        return cls(**built)
    except TypeError as error:
        raise TrainingRecipeError(f"The recipe is incomplete: {error}.") from error


def _checked(value: Any, kind: Any, bounds: Mapping[str, float], key: str) -> Any:
    """Return `value` as `kind`, if it has that type and lies within the bounds."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise TrainingRecipeError(f"{key} is {value!r}; it must be one of {', '.join(map(repr, get_args(kind)))}.")
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise TrainingRecipeError(f"{key} is {value!r}; it must be a list of numbers.")
        return tuple(_checked(item, get_args(kind)[0], bounds, key) for item in value)
    if get_origin(kind) is dict:
        if not isinstance(value, Mapping):
            raise TrainingRecipeError(f"{key} is {value!r}; it must be a table of settings.")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise TrainingRecipeError(f"{key} is {value!r}; it must be {names[kind]}.")
    if kind in (int, float) and not bounds["minimum"] <= value <= bounds["maximum"]:
        upper = "" if math.isinf(bounds["maximum"]) else f" and at most {bounds['maximum']:g}"
        raise TrainingRecipeError(f"{key} is {value}; it must be at least {bounds['minimum']:g}{upper}.")
    return value


def _lists_to_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lists_to_tuples(item) for key, item in value.items()}
    return tuple(_lists_to_tuples(item) for item in value) if isinstance(value, list) else value


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat

"""The recipe of a training run: frozen, checked settings. `srflow.training.recipe_files` reads it from files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from srflow.contract import InputError, TrainingRecipeError
from srflow.presets import PRESETS, ModelConfig, get_preset
from srflow.training.settings import build, flatten, setting

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
]

Precision = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """The network: a preset, and by name the numbers of its encoder and flow that differ from the preset's."""

    preset: str = field(metadata={"options": PRESETS})
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

    reductions: tuple[int, ...] = setting((1,), 1, 16)
    candidates: int = setting(1, 1, 64)
    noise: Literal["gaussian", "uniform", "none"] = "gaussian"
    noise_scale: float = setting(4 / math.sqrt(3), 0, 64)
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

    steps: int = setting(0, 0)
    batch_size: int = setting(16, 1)
    patch_size: int = setting(160, 16, 4096)
    learning_rate: float = setting(2e-4, 1e-9, 1)
    schedule: Literal["constant", "halving", "cosine"] = "halving"
    milestones: tuple[float, ...] = setting((0.5, 0.75, 0.9, 0.95), 0, 1)
    final_learning_rate: float = setting(0.0, 0, 1)
    warmup_steps: int = setting(0, 0)
    optimizer: Literal["adam", "muon"] = "adam"
    muon_factor: float = setting(1.0, 1e-6, 1000)
    betas: tuple[float, ...] = setting((0.9, 0.999), 0, 0.999999)
    clip_norm: float = setting(0.0, 0)
    ema_decay: float = setting(0.999, 0, 0.999999)

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

    encoder_joins_at: float = setting(0.5, 0, 1)
    encoder_output_weight: float = setting(0.0, 0, 1000)

    @property
    def join_step(self) -> int:
        """The first step that trains the encoder too."""
        return round(self.steps * self.encoder_joins_at)


@dataclass(frozen=True, kw_only=True)
class FinetuningRecipe(PhaseRecipe):
    """The phase that adds losses on samples drawn inside the training step, after the likelihood phase.

    Every loss has a weight. That of the likelihood may be small but not 0, because without it the density would become
    meaningless.

    optimizer: as in `PhaseRecipe`. The shipped ×8 model improved in fewer steps with Muon than with Adam; ×4 did not.
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

    likelihood_weight: float = setting(0.05, 1e-4, 1000)
    num_samples: int = setting(2, 1, 16)
    temperatures: tuple[float, ...] = setting((0.8, 0.8), 0, 2)
    backbone: str = "efficientnet-lite0"
    energy_weight: float = setting(1.0, 0, 1000)
    energy_spread: float = setting(1.0, 0, 1)
    unit_energy_weight: float = setting(0.0, 0, 1000)
    feature_weight: float = setting(0.0, 0, 1000)
    l1_weight: float = setting(0.0, 0, 1000)
    consistency_weight: float = setting(0.0, 0, 1000)
    encoder_output_weight: float = setting(0.0, 0, 1000)
    adversarial_weight: float = setting(0.0, 0, 1000)
    adversarial_start: int = setting(0, 0)
    adversarial_noise: float = setting(4.0, 0, 64)
    discriminator_learning_rate: float = setting(1e-4, 1e-9, 1)
    discriminator_width: int = setting(64, 8, 1024)

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
    low_memory: recompute activations of the flow steps in the backward pass instead of keeping them.
    max_bad_steps: number of successive steps with non-finite losses or gradients that stops the run.
    prefetch: number of batches that are prepared ahead.
    """

    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    low_memory: bool = False
    max_bad_steps: int = setting(20, 1)
    prefetch: int = setting(2, 1, 64)


@dataclass(frozen=True, kw_only=True)
class ValidationRecipe:
    """Validation: samples of the averaged weights on held-out pictures, every `every_steps` steps; 0: never.

    It uses centre crops of `crop_size` pixels a side of the first `num_pictures` pictures. The weights whose samples
    have the lowest LPIPS are kept as the best. The LPIPS is that at `best_temperature` (one of `temperatures`) or, if
    `best_diversity` is not 0, that at the temperature at which `num_samples` samples have that diversity (NTIRE's, in
    percent), interpolated between `temperatures`. The latter is a fair comparison of weights for which the same
    temperature has different effects.
    """

    every_steps: int = setting(1000, 0)
    num_pictures: int = setting(6, 1)
    crop_size: int = setting(192, 32, 4096)
    temperatures: tuple[float, ...] = setting((0.0, 0.5, 0.9), 0, 2)
    num_samples: int = setting(1, 1, 64)
    best_diversity: float = setting(0.0, 0, 100)
    best_temperature: float = setting(0.9, 0, 2)


@dataclass(frozen=True, kw_only=True)
class CheckpointRecipe:
    """When checkpoints are saved: every `every_steps` steps and every `every_minutes`; the last `keep` are kept."""

    every_steps: int = setting(1000, 1)
    every_minutes: float = setting(10.0, 0.01)
    keep: int = setting(3, 2)


@dataclass(frozen=True, kw_only=True)
class LogRecipe:
    """The log: means over `every_steps` steps are written to metrics.jsonl and TensorBoard."""

    every_steps: int = setting(20, 1)


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """All settings of a training run.

    `pretraining` trains only the encoder by L1, `training` maximises the likelihood, and `finetuning` adds losses on
    samples.
    """

    name: str
    model: ModelRecipe
    seed: int = setting(0, 0, 2**63 - 1)
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
        return build(cls, values, "")

    def with_precision(self, precision: Precision) -> TrainingRecipe:
        """Return the same recipe with another `runtime.precision`."""
        return replace(self, runtime=replace(self.runtime, precision=precision))

    def differences(self, other: TrainingRecipe) -> dict[str, tuple[Any, Any]]:
        """Return the settings that differ, by dotted key: (mine, the other's)."""
        mine, others = flatten(self.to_dict()), flatten(other.to_dict())
        return {
            key: (mine.get(key), others.get(key)) for key in sorted(mine | others) if mine.get(key) != others.get(key)
        }


def _lists_to_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lists_to_tuples(item) for key, item in value.items()}
    return tuple(_lists_to_tuples(item) for item in value) if isinstance(value, list) else value

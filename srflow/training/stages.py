"""The stages of a run, encoder → flow → both → finetuning: their steps, parameters and losses.

`plan` is the only table of stages. It describes all differences between them as data, so that no other module
distinguishes stages by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from srflow.evaluation.features import FeatureNetwork
from srflow.model import SRFlow
from srflow.training.adversarial import Adversary
from srflow.training.muon import Muon, hidden_convolutions
from srflow.training.objectives import EncoderObjective, FinetuningObjective, LikelihoodObjective
from srflow.training.patches import Batch, Draws
from srflow.training.recipe import FinetuningRecipe, PhaseRecipe, TrainingRecipe

__all__ = [
    "Part",
    "Stage",
    "build_adversary",
    "build_features",
    "build_objective",
    "build_optimizer",
    "freeze_all_but",
    "leaves_out_pretraining",
    "phase_parameters",
    "placeholder_batch",
    "plan",
]


_MIN_CRITIC_STRIDE = 4


class Part(Flag):
    """Parts of a model that a stage can train. TAIL: the encoder's layers that only its own super-resolution uses."""

    ENCODER = auto()
    TAIL = auto()
    FLOW = auto()


@dataclass(frozen=True)
class Stage:
    """A range of steps in which the same parameters are trained.

    phase_key: the recipe's table that the stage belongs to.
    phase_start: the run's step at which the phase, and its optimiser, begins.
    first, last: the run's steps [first, last), counted over all phases from 0.
    parts: the parts that are trained.
    phase_parts: all parts that the phase trains at any time; its optimiser has them.
    objective: (model, recipe, features, adversary) → the module that is minimised.
    noisy: whether the training noise is added to HR.
    scores: what validation scores: the encoder's own super-resolution, or samples.
    stream: differs between phases, so that their random crops differ.
    """

    name: str
    phase_key: str
    phase: PhaseRecipe
    phase_start: int
    first: int
    last: int
    parts: Part
    phase_parts: Part
    objective: Callable[[SRFlow, TrainingRecipe, FeatureNetwork | None, Adversary | None], nn.Module]
    noisy: bool
    scores: Literal["encoder", "samples"]
    stream: int

    def inputs(self, batch: Batch) -> tuple[Any, ...]:
        """Return the objective's inputs from a batch."""
        pictures = (batch.hr, batch.noise, batch.lr)
        return pictures if self.finetuning is None else (*pictures, batch.latents, batch.critic_noise, batch.shift)

    def set_up_step(self, objective: nn.Module, step: int) -> None:
        """Set what depends on the step, counted from the phase's start: whether the adversarial loss counts yet."""
        if self.finetuning is not None:
            objective.adversarial_on = step >= self.finetuning.adversarial_start

    @property
    def finetuning(self) -> FinetuningRecipe | None:
        """The settings of losses of samples; None in stages that draw none."""
        return self.phase if isinstance(self.phase, FinetuningRecipe) else None

    def draws(self, model_shapes: Callable[[int, int], list[tuple[int, int, int]]], scale_factor: int) -> Draws | None:
        """Return what a batch draws for samples. Args: model_shapes: `SRFlow.latent_shapes`."""
        if self.finetuning is None:
            return None
        side = self.phase.patch_size // scale_factor
        low, high = self.finetuning.temperatures
        return Draws(
            num_samples=self.finetuning.num_samples,
            temperatures=(low, high),
            latent_shapes=tuple(model_shapes(side, side)),
            critic_noise=self.finetuning.adversarial_weight > 0,
        )


def plan(recipe: TrainingRecipe) -> list[Stage]:
    """Return the stages with at least one step, in order."""
    pretraining, training, finetuning = recipe.pretraining, recipe.training, recipe.finetuning
    flow_start = pretraining.steps
    join = flow_start + training.join_step
    finetuning_start = flow_start + training.steps
    end = finetuning_start + finetuning.steps
    encoder_and_tail = Part.ENCODER | Part.TAIL
    both = Part.ENCODER | Part.FLOW | _tail_if(training.encoder_output_weight)
    all_parts = Part.ENCODER | Part.FLOW | _tail_if(finetuning.encoder_output_weight)

    def encoder_objective(model: SRFlow, _recipe: TrainingRecipe, *_: object) -> nn.Module:
        return EncoderObjective(model.encoder)

    def flow_objective(model: SRFlow, recipe: TrainingRecipe, *_: object) -> nn.Module:
        return LikelihoodObjective(model, recipe.data)

    def both_objective(model: SRFlow, recipe: TrainingRecipe, *_: object) -> nn.Module:
        return LikelihoodObjective(model, recipe.data, recipe.training.encoder_output_weight)

    def finetuning_objective(
        model: SRFlow, recipe: TrainingRecipe, features: FeatureNetwork | None, adversary: Adversary | None
    ) -> nn.Module:
        look, layers = (None, ()) if features is None else (features.features, _critic_layers(features))
        return FinetuningObjective(model, recipe.data, recipe.finetuning, look, layers, adversary)

    stages = [
        Stage("encoder", "pretraining", pretraining, 0, 0, flow_start,
              encoder_and_tail, encoder_and_tail, encoder_objective, False, "encoder", 0),
        Stage("flow", "training", training, flow_start, flow_start, join,
              Part.FLOW, both, flow_objective, True, "samples", 1),
        Stage("both", "training", training, flow_start, join, finetuning_start,
              both, both, both_objective, True, "samples", 1),
        Stage("finetuning", "finetuning", finetuning, finetuning_start, finetuning_start, end,
              all_parts, all_parts, finetuning_objective, True, "samples", 2),
    ]  # fmt: skip
    return [stage for stage in stages if stage.last > stage.first]


def leaves_out_pretraining(recipe: TrainingRecipe, encoder_given: bool) -> bool:
    """Return whether a run leaves out the encoder's own training, because a trained encoder is given.

    A recipe with nothing else to do trains the given encoder further.
    """
    return encoder_given and bool(recipe.pretraining.steps) and bool(recipe.training.steps or recipe.finetuning.steps)


def placeholder_batch(stage: Stage, model: SRFlow) -> Batch:
    """Return a batch of the right sizes with noise as pictures, for timing a step."""
    size, count, scale = stage.phase.patch_size, stage.phase.batch_size, model.scale_factor
    draws = stage.draws(model.latent_shapes, scale)
    hr = torch.rand(count, 3, size, size)
    latents: tuple[Tensor, ...] = ()
    critic_noise = None
    if draws is not None:
        latents = tuple(0.1 * torch.rand(count, draws.num_samples, *shape) for shape in draws.latent_shapes)
        critic_noise = torch.rand(count, 1 + draws.num_samples, 3, size, size) if draws.critic_noise else None
    return Batch(
        hr=hr,
        noise=torch.zeros_like(hr),
        lr=torch.rand(count, 3, size // scale, size // scale),
        latents=latents,
        critic_noise=critic_noise,
        shift=torch.zeros(2, dtype=torch.int64),
        numbers=np.zeros((count, 4), dtype=np.int64),
    )


def build_features(stage: Stage, device: torch.device) -> FeatureNetwork | None:
    """Return the frozen network for a stage's losses; None if none needs it.

    Raises: InputError, CheckpointError, MissingPackageError: there is no network of that name, or its weights or its
        package are missing.
    """
    if stage.finetuning is None or not stage.finetuning.needs_features:
        return None
    return FeatureNetwork(stage.finetuning.backbone).to(device)


def build_adversary(
    stage: Stage, features: FeatureNetwork | None, device: torch.device, reduce: Callable[[Tensor], Tensor]
) -> Adversary | None:
    """Return the discriminator of a stage, with random weights; None if the adversarial loss has no weight."""
    settings = stage.finetuning
    if settings is None or not settings.adversarial_weight or features is None:
        return None
    channels = [features.channels[index] for index in _critic_layers(features)]
    return Adversary(channels, settings.discriminator_width, settings.discriminator_learning_rate, device, reduce)


def build_objective(
    stage: Stage,
    model: SRFlow,
    recipe: TrainingRecipe,
    *,
    features: FeatureNetwork | None = None,
    adversary: Adversary | None = None,
    compiled: bool = False,
) -> nn.Module:
    """Return the module that computes a stage's `Losses` from a batch.

    Args:
        features, adversary: of `build_features` and `build_adversary`.
        compiled: whether to use `torch.compile`, for inputs of one size.
    """
    objective = stage.objective(model, recipe, features, adversary)
    return torch.compile(objective, dynamic=False) if compiled else objective  # a stage's patches are all of one size


def freeze_all_but(stage: Stage, model: SRFlow) -> list[nn.Parameter]:
    """Let only the parameters that a stage trains require gradients; return them.

    The encoder's super-resolution tail gets no gradient from the likelihood. Several processes must not
    wait for gradients that never come, so the tail is frozen unless it has its own loss.
    """
    chosen = {id(parameter) for parameter in _parameters(stage.parts, model)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
        if not parameter.requires_grad:
            parameter.grad = None
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def build_optimizer(stage: Stage, model: SRFlow) -> torch.optim.Optimizer:
    """Return the optimiser of the stage's phase, for all parameters of the phase.

    Its learning rate is 0: set it at every step.
    """
    parameters = phase_parameters(stage, model)
    betas = (stage.phase.betas[0], stage.phase.betas[1])
    if stage.phase.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=0.0, betas=betas, fused=True)
    hidden = {id(parameter) for parameter in hidden_convolutions(model)}
    for_muon, for_adam = ([p for p in parameters if (id(p) in hidden) is chosen] for chosen in (True, False))
    return Muon(for_muon, for_adam, lr=0.0, betas=betas, factor=stage.phase.muon_factor)


def phase_parameters(stage: Stage, model: SRFlow) -> list[nn.Parameter]:
    """Return the parameters in the optimiser of a stage's phase: all that the phase trains at any time."""
    return _parameters(stage.phase_parts, model)


def _parameters(parts: Part, model: SRFlow) -> list[nn.Parameter]:
    """Return the parameters of the given parts, in the model's order."""
    tail = {id(parameter) for parameter in model.encoder.super_resolution_tail().values()}
    encoder = {id(parameter) for parameter in model.encoder.parameters()} - tail
    flow = {id(parameter) for parameter in model.flow.parameters()}
    wanted: set[int] = set()
    for part, members in ((Part.ENCODER, encoder), (Part.TAIL, tail), (Part.FLOW, flow)):
        wanted |= members if part in parts else set()
    return [parameter for parameter in model.parameters() if id(parameter) in wanted]


def _critic_layers(features: FeatureNetwork) -> list[int]:
    """Return the last feature of every stride from 4 on: finer structure is left to the patch network."""
    last = {stride: index for index, stride in enumerate(features.strides)}
    return [index for stride, index in last.items() if stride >= _MIN_CRITIC_STRIDE]


def _tail_if(weight: float) -> Part:
    return Part.TAIL if weight else Part(0)

"""The parts that a stage's steps need, and one update of it on a single process."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from srflow.model import SRFlow
from srflow.training.adversarial import Adversary
from srflow.training.objectives import Losses
from srflow.training.recipe import TrainingRecipe
from srflow.training.stages import (
    Stage,
    build_adversary,
    build_features,
    build_objective,
    build_optimizer,
    freeze_all_but,
)

__all__ = ["StageParts", "build_parts", "update"]


@dataclass(frozen=True)
class StageParts:
    """The parts of a stage.

    objective: the module that computes its `Losses`.
    optimizer: of all parameters that the stage's phase trains at any time; its learning rate is 0 at first.
    parameters: those that this stage trains.
    adversary: the discriminator; None in a stage without one.
    """

    objective: nn.Module
    optimizer: torch.optim.Optimizer
    parameters: list[nn.Parameter]
    adversary: Adversary | None


def build_parts(
    stage: Stage,
    model: SRFlow,
    recipe: TrainingRecipe,
    device: torch.device,
    *,
    reduce: Callable[[Tensor], Tensor] = lambda value: value,
    compiled: bool = False,
) -> StageParts:
    """Build a stage's parts, and let only the parameters that it trains require gradients.

    Args:
        device: that of the model.
        reduce: averages a tensor over the processes; the default is for one process.
        compiled: whether the objective is compiled by `torch.compile`.
    Raises: InputError, CheckpointError, MissingPackageError: the feature network cannot be built.
    """
    parameters = freeze_all_but(stage, model)
    optimizer = build_optimizer(stage, model)
    features = build_features(stage, device)
    adversary = build_adversary(stage, features, device, reduce)
    objective = build_objective(stage, model, recipe, features=features, adversary=adversary, compiled=compiled)
    return StageParts(objective.train(), optimizer, parameters, adversary)


def update(
    stage: Stage, parts: StageParts, inputs: tuple[Any, ...], device: torch.device, dtype: torch.dtype | None
) -> Losses:
    """Make one update, without the trainer's guards, loss scaling and distribution of a batch.

    Args:
        inputs: the objective's inputs: `Stage.inputs` of a batch.
        dtype: of autocast; None for float32 throughout.
    """
    parts.optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        losses: Losses = parts.objective(*inputs)
    losses.minimised.backward()
    nn.utils.clip_grad_norm_(parts.parameters, stage.phase.clip_norm or math.inf)
    parts.optimizer.step()
    if parts.adversary is not None:
        assert losses.views is not None
        parts.adversary.update(*losses.views)
    return losses

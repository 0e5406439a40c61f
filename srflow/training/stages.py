"""The stages of a run, encoder → flow → both: which steps, which parameters, which loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srflow.likelihood import bits_per_dimension
from srflow.model import SRFlow
from srflow.training.muon import Muon, hidden_convolutions
from srflow.training.recipe import DataRecipe, PhaseRecipe, Recipe

__all__ = [
    "EncoderObjective",
    "LikelihoodObjective",
    "Stage",
    "build_objective",
    "build_optimizer",
    "freeze_all_but",
    "phase_parameters",
    "plan",
]


@dataclass(frozen=True)
class Stage:
    """A span of steps in which the same parameters are trained.

    first, last: the run's steps [first, last), counted over all phases from 0.
    phase_start: the run's step at which the phase that the stage belongs to, and its optimiser, begins.
    """

    name: Literal["encoder", "flow", "both"]
    phase: PhaseRecipe
    phase_start: int
    first: int
    last: int

    @property
    def stream(self) -> int:
        """Tells the phases' random patches apart."""
        return 0 if self.name == "encoder" else 1

    @property
    def encoder_output_weight(self) -> float:
        """Of the L1 term beside the likelihood, see `LikelihoodRecipe`; 0 in stages that have none."""
        return self.phase.encoder_output_weight if self.name == "both" else 0.0


def plan(recipe: Recipe) -> list[Stage]:
    """The stages with at least one step, in order."""
    start = recipe.pretraining.steps
    join, end = start + recipe.training.join_step, start + recipe.training.steps
    stages = [
        Stage("encoder", recipe.pretraining, 0, 0, start),
        Stage("flow", recipe.training, start, start, join),
        Stage("both", recipe.training, start, join, end),
    ]
    return [stage for stage in stages if stage.last > stage.first]


class EncoderObjective(nn.Module):
    """Mean absolute error of the encoder's own super-resolution, values in [0, 1]."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Hr (B, 3, s h, s w), lr (B, 3, h, w) → what to minimise and what to report, both scalars."""
        loss = F.l1_loss(self.encoder.super_resolve(lr), hr)
        return loss, loss.detach()


class LikelihoodObjective(nn.Module):
    """Negative log-likelihood in bits per dimension of a density over [0, 1] (eq. 2 of the SRFlow-DA paper).

    encoder_output_weight: see `LikelihoodRecipe`; 0: without that term.
    """

    def __init__(self, model: SRFlow, data: DataRecipe, encoder_output_weight: float = 0.0) -> None:
        super().__init__()
        self.model = model
        self.encoder_output_weight = encoder_output_weight
        # Uniform noise of width q makes the density at a value the probability of a bin, divided by q (SRFlow).
        self.dequantisation = math.log2(255 / data.noise_scale) if data.noise == "uniform" else 0.0

    def forward(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Hr (B, 3, s h, s w), with noise, lr (B, 3, h, w) → what to minimise and what to report, both scalars."""
        if not self.encoder_output_weight:
            loss = self._bits(self.model(hr, lr), hr)
            return loss, loss.detach()
        log_prob, encoder_output = self.model.log_prob_and_encoder_output(hr, lr)
        bits = self._bits(log_prob, hr)
        return bits + self.encoder_output_weight * F.l1_loss(encoder_output, hr), bits.detach()

    def _bits(self, log_prob: Tensor, hr: Tensor) -> Tensor:
        return bits_per_dimension(log_prob, *hr.shape[-2:]).mean() + self.dequantisation


def build_objective(stage: Stage, model: SRFlow, data: DataRecipe, *, compiled: bool = False) -> nn.Module:
    """The module that makes of (hr, lr) what a stage minimises, and the loss that it reports.

    Args: compiled: by `torch.compile`, for inputs of one size.
    """
    objective: nn.Module
    if stage.name == "encoder":
        objective = EncoderObjective(model.encoder)
    else:
        objective = LikelihoodObjective(model, data, stage.encoder_output_weight)
    return torch.compile(objective, dynamic=False) if compiled else objective  # a stage's patches are all of one size


def freeze_all_but(stage: Stage, model: SRFlow) -> list[nn.Parameter]:
    """Let only the parameters that a stage trains require gradients; returns them.

    The encoder's super-resolution tail gets no gradient from the likelihood, and several processes wait in vain for
    such parameters, so it is frozen with the rest unless it has a loss of its own.
    """
    chosen = {id(parameter) for parameter in _trained(stage, model)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
        if not parameter.requires_grad:
            parameter.grad = None
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def build_optimizer(stage: Stage, model: SRFlow) -> torch.optim.Optimizer:
    """The optimiser of the stage's phase, over all that the phase ever trains. Its rate is 0: set it at every step."""
    parameters = phase_parameters(stage, model)
    betas = (stage.phase.betas[0], stage.phase.betas[1])
    if stage.phase.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=0.0, betas=betas, fused=True)
    hidden = {id(parameter) for parameter in hidden_convolutions(model)}
    for_muon, for_adam = ([p for p in parameters if (id(p) in hidden) is chosen] for chosen in (True, False))
    return Muon(for_muon, for_adam, lr=0.0, betas=betas, factor=stage.phase.muon_factor)


def phase_parameters(stage: Stage, model: SRFlow) -> list[nn.Parameter]:
    """What the optimiser of a stage's phase holds: all that the phase ever trains."""
    last_of_phase = stage if stage.name == "encoder" else Stage("both", stage.phase, 0, 0, 1)
    chosen = {id(parameter) for parameter in _trained(last_of_phase, model)}
    return [parameter for parameter in model.parameters() if id(parameter) in chosen]


def _trained(stage: Stage, model: SRFlow) -> Iterator[nn.Parameter]:
    if stage.name != "flow":
        tail = {id(parameter) for parameter in model.encoder.super_resolution_tail().values()}
        keep_tail = stage.name == "encoder" or stage.encoder_output_weight > 0
        yield from (p for p in model.encoder.parameters() if keep_tail or id(p) not in tail)
    if stage.name != "encoder":
        yield from model.flow.parameters()

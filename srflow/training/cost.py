"""Estimates what a recipe costs, without data and without computing anything."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from srflow.model import SRFlow
from srflow.training.memory import recompute_activations
from srflow.training.precision import AUTOCAST_DTYPES
from srflow.training.recipe import TrainingRecipe
from srflow.training.stages import Stage, build_objective, freeze_all_but, placeholder_batch, plan

__all__ = ["Cost", "StageCost", "estimate"]

_BYTES_PER_TRAINED = 4 * 4  # weight, gradient and Adam's two moments (Muon has one), in float32
_BYTES_PER_WEIGHT = 2 * 4  # weight and its average


@dataclass(frozen=True)
class StageCost:
    """The cost of one stage.

    flops: of one step over the whole batch; multiplications and additions count separately.
    activation_bytes: what the forward pass keeps for the backward pass.
    """

    name: str
    steps: int
    batch_size: int
    patch_size: int
    trained_parameters: int
    flops: int
    activation_bytes: int


@dataclass(frozen=True)
class Cost:
    """The cost of a whole run on one process."""

    recipe: TrainingRecipe
    parameters: int
    stages: tuple[StageCost, ...]

    @property
    def total_flops(self) -> int:
        """The operations of all steps."""
        return sum(stage.flops * stage.steps for stage in self.stages)

    @property
    def memory_bytes(self) -> int:
        """Estimate of the peak memory: weights, optimiser and kept activations of the most expensive stage.

        Temporary buffers of single operations are not included.
        """
        return max(
            _BYTES_PER_WEIGHT * self.parameters
            + (_BYTES_PER_TRAINED - 4) * stage.trained_parameters
            + stage.activation_bytes
            for stage in self.stages
        )

    def hours(self, tflops: float) -> float:
        """Return the hours that the run takes at a sustained `tflops` · 10¹² operations per second."""
        return self.total_flops / (tflops * 1e12) / 3600

    def report(self, tflops: float | None) -> str:
        """Describe the cost in words and numbers."""
        runtime = self.recipe.runtime
        mode = f"{runtime.precision}{', low memory' if runtime.low_memory else ''}"
        lines = [
            f"{self.recipe.name}: {self.recipe.model.preset}, {self.parameters:,} parameters, {mode}",
            f"{'stage':8} {'steps':>9} {'batch':>6} {'patch':>6} {'trained':>12} {'TFLOP/step':>11} {'kept':>12}",
        ]
        lines += [
            f"{s.name:8} {s.steps:>9,} {s.batch_size:>6} {s.patch_size:>6} {s.trained_parameters:>12,} "
            f"{s.flops / 1e12:>11.3f} {s.activation_bytes / 2**30:>8.2f} GiB"
            for s in self.stages
        ]
        lines.append(f"Memory: about {self.memory_bytes / 2**30:.1f} GiB on one process.")
        lines.append(f"All steps: {self.total_flops / 1e15:,.1f} PFLOP.")
        for speed in [tflops] if tflops else [0.2, 1.0, 50.0]:
            lines.append(f"At {speed:g} TFLOP/s: {self.hours(speed):,.1f} hours.")
        if not tflops:
            lines.append("Set --throughput for your own machine.")
        return "\n".join(lines)


def estimate(recipe: TrainingRecipe) -> Cost:
    """Count a recipe's operations and bytes. Nothing is computed: the tensors have shapes but no values.

    The feature network and discriminator of the finetuning phase are left out; `--dry-run` measures a whole step. The
    precision "auto" counts as float32, which takes the most memory.
    """
    with FakeTensorMode():
        model = SRFlow(recipe.model.config()).eval()  # in training mode actnorms would read values
        if recipe.runtime.low_memory:
            recompute_activations(model)
        counted = _without_judges(recipe)
        stages = tuple(_stage_cost(stage, model, counted) for stage in plan(counted))
    return Cost(recipe, sum(parameter.numel() for parameter in model.parameters()), stages)


def _without_judges(recipe: TrainingRecipe) -> TrainingRecipe:
    """Return the recipe without losses that need another network, because those have real weights and need values."""
    none = replace(
        recipe.finetuning, energy_weight=0.0, unit_energy_weight=0.0, feature_weight=0.0, adversarial_weight=0.0
    )
    return replace(recipe, finetuning=none)


def _stage_cost(stage: Stage, model: SRFlow, recipe: TrainingRecipe) -> StageCost:
    trained = freeze_all_but(stage, model)
    batch, size = stage.phase.batch_size, stage.phase.patch_size
    objective = build_objective(stage, model, recipe)
    inputs = stage.inputs(placeholder_batch(stage, model))
    dtype = AUTOCAST_DTYPES.get(recipe.runtime.precision)
    kept: dict[int, int] = {}  # by storage, since many saved tensors are views of the same storage

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with FlopCounterMode(display=False) as counter:
        with torch.autocast("cpu", dtype) if dtype else nullcontext(), saved_tensors_hooks(note, lambda x: x):
            losses = objective(*inputs)
        losses.minimised.backward()
    for parameter in trained:
        parameter.grad = None
    return StageCost(
        name=stage.name,
        steps=stage.last - stage.first,
        batch_size=batch,
        patch_size=size,
        trained_parameters=sum(parameter.numel() for parameter in trained),
        flops=counter.get_total_flops(),
        activation_bytes=sum(kept.values()),
    )

"""Measures the time of a step on this machine, and fits the number of steps into a given time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from srflow.contract import TrainingRecipeError
from srflow.model import SRFlow
from srflow.training.memory import recompute_activations
from srflow.training.precision import AUTOCAST_DTYPES
from srflow.training.recipe import FinetuningRecipe, PhaseRecipe, TrainingRecipe
from srflow.training.stages import Stage, placeholder_batch, plan
from srflow.training.step import build_parts, update

__all__ = ["fit_to_minutes", "planned_minutes", "seconds_per_step", "steps_of"]

_REPEATS = 3
# On a CPU, a step of the paper's recipe takes half a minute; its time is proportional to the batch size.
_MAX_PATCHES_ON_CPU = 4
_MAX_WARMUP = 0.1  # of a phase's steps, once they are fitted to a time


def seconds_per_step(recipe: TrainingRecipe, device: torch.device, num_processes: int = 1) -> dict[str, float]:
    """Measure the seconds of one training step, by stage name: the median of three steps, after one to warm up.

    It makes whole updates, on a model with random weights and random pictures. On a CPU it uses at most 4 patches and
    scales the time up to the batch size. Reading pictures, the exchange of gradients between processes, validation and
    saving are not included.

    Args: num_processes: of a run on several processes, which share each batch; all of them must call this at once.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SRFlow(recipe.model.config()).train()
        layout = torch.channels_last if recipe.runtime.channels_last else torch.contiguous_format
        model.to(device, memory_format=layout)
        _initialise(model, device)
        if recipe.runtime.low_memory:
            recompute_activations(model)
        return {stage.name: _time_stage(stage, model, recipe, device, layout, num_processes) for stage in plan(recipe)}


def planned_minutes(recipe: TrainingRecipe, seconds: Mapping[str, float]) -> float:
    """Return how many minutes the recipe's steps take. Args: seconds: as returned by `seconds_per_step`."""
    return sum((stage.last - stage.first) * seconds[stage.name] for stage in plan(recipe)) / 60


def fit_to_minutes(recipe: TrainingRecipe, minutes: float, seconds: Mapping[str, float]) -> TrainingRecipe:
    """Return the recipe with the steps of its phases scaled by one factor, so that they take `minutes`.

    Learning rates follow the new numbers of steps, because they depend on the completed fraction of a phase. Warm-up
    and the delay of the adversarial loss are limited to a tenth of a phase.

    Args: seconds: as `seconds_per_step` gives them.
    Raises: TrainingRecipeError: not even one step of every phase fits.
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise TrainingRecipeError(f"--minutes is {minutes}; give a positive number of minutes.")
    factor = minutes / planned_minutes(recipe, seconds)
    phases: dict[str, Any] = {key: _shortened(phase, factor) for key, phase in recipe.phases().items()}
    if any(phase.steps and not phases[key].steps for key, phase in recipe.phases().items()):
        raise TrainingRecipeError(
            f"{minutes:g} minutes are too few: the recipe's {sum(s.last - s.first for s in plan(recipe)):,} steps "
            f"take about {planned_minutes(recipe, seconds):,.1f} minutes here, and at least one phase would get no "
            "steps."
        )
    return replace(recipe, **phases)


def steps_of(recipe: TrainingRecipe, other: TrainingRecipe) -> TrainingRecipe:
    """Return `recipe` with the step settings of `other`, so that a resumed run keeps its steps."""
    phases: dict[str, Any] = {}
    for key, phase in recipe.phases().items():
        saved = other.phases()[key]
        changes: dict[str, Any] = {"steps": saved.steps, "warmup_steps": saved.warmup_steps}
        if isinstance(saved, FinetuningRecipe):
            changes["adversarial_start"] = saved.adversarial_start
        phases[key] = replace(phase, **changes)
    return replace(recipe, **phases)


def _shortened(phase: PhaseRecipe, factor: float) -> PhaseRecipe:
    steps = round(phase.steps * factor)
    longest = math.ceil(steps * _MAX_WARMUP)
    changes: dict[str, Any] = {"steps": steps, "warmup_steps": min(phase.warmup_steps, longest)}
    if isinstance(phase, FinetuningRecipe):
        changes["adversarial_start"] = min(phase.adversarial_start, longest)
    return replace(phase, **changes)


def _initialise(model: SRFlow, device: torch.device) -> None:
    """Initialise every actnorm with a batch, as they are when a later stage begins."""
    side = 4 * model.config.lr_multiple
    with torch.no_grad():
        lr = torch.rand(2, 3, side, side, device=device)
        model.log_prob(torch.rand(2, 3, side * model.scale_factor, side * model.scale_factor, device=device), lr)


def _time_stage(
    stage: Stage,
    model: SRFlow,
    recipe: TrainingRecipe,
    device: torch.device,
    layout: torch.memory_format,
    num_processes: int,
) -> float:
    count = math.ceil(stage.phase.batch_size / num_processes)
    measured = min(count, _MAX_PATCHES_ON_CPU) if device.type == "cpu" else count
    stage = replace(stage, phase=replace(stage.phase, batch_size=measured))
    parts = build_parts(stage, model, recipe, device)  # the learning rate is 0, so the weights stay the same
    inputs = stage.inputs(placeholder_batch(stage, model).to(device, layout))
    dtype = AUTOCAST_DTYPES.get(recipe.runtime.precision)
    seconds = []
    for _ in range(1 + _REPEATS):
        started = time.perf_counter()
        update(stage, parts, inputs, device, dtype)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    parts.optimizer.zero_grad(set_to_none=True)
    return statistics.median(seconds[1:]) * count / measured

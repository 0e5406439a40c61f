"""Settles what a recipe leaves open until a run starts: its precision, and the steps that fit into a given time.

The main process decides for all, and a resumed run keeps its earlier values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from accelerate.utils import broadcast_object_list

from srflow.training.budget import fit_to_minutes, seconds_per_step, steps_of
from srflow.training.precision import choose_precision
from srflow.training.recipe import TrainingRecipe
from srflow.training.run_folder import RunFolder
from srflow.training.stages import leaves_out_pretraining, plan

if TYPE_CHECKING:
    from accelerate import PartialState

__all__ = ["settle_precision", "settle_steps"]


def settle_precision(
    recipe: TrainingRecipe, folder: RunFolder, processes: PartialState, report: Callable[[str], None]
) -> TrainingRecipe:
    """Return the recipe with precision "auto" replaced: by that of the resumed run, or by the fastest one here.

    Args:
        processes: as returned by `srflow.processes.join_processes`.
        report: called with a line of text that says what was chosen and why.
    """
    if recipe.runtime.precision != "auto":
        return recipe
    return broadcast_object_list([_chosen(recipe, folder, processes, report) if processes.is_main_process else None])[0]


def settle_steps(
    recipe: TrainingRecipe,
    minutes: float,
    encoder_given: bool,
    folder: RunFolder,
    processes: PartialState,
    report: Callable[[str], None],
) -> TrainingRecipe:
    """Return the recipe with as many steps as fit into `minutes`: measured in a new run, kept in a resumed one.

    Args:
        encoder_given: whether the encoder's weights are given, so that its own training may be left out.
        processes, report: as in `settle_precision`.
    Raises: TrainingRecipeError: not even one step of every phase fits.
    """
    saved = None
    if processes.is_main_process and folder.checkpoints():
        saved = folder.saved_recipe()
    saved = broadcast_object_list([saved])[0]
    if saved is not None:
        report("Steps: as many as at the start of the run.")
        return steps_of(recipe, saved)
    if leaves_out_pretraining(recipe, encoder_given):
        recipe = replace(recipe, pretraining=replace(recipe.pretraining, steps=0))
    # All processes measure at once: they will share the machine, and every actnorm's first batch needs all of them.
    measured = seconds_per_step(recipe, processes.device, processes.num_processes)
    seconds = broadcast_object_list([measured])[0]
    fitted = fit_to_minutes(recipe, minutes, seconds)
    found = ", ".join(f"{name} {value:.3g} s" for name, value in seconds.items())
    steps = ", ".join(f"{stage.name} {stage.last - stage.first:,}" for stage in plan(fitted))
    report(f"One step takes: {found}. Steps for {minutes:g} minutes: {steps}.")
    return fitted


def _chosen(
    recipe: TrainingRecipe, folder: RunFolder, processes: PartialState, report: Callable[[str], None]
) -> TrainingRecipe:
    saved = folder.saved_recipe()
    if saved is not None and saved.runtime.precision != "auto":
        report(f"Precision: {saved.runtime.precision}, as at the start of the run.")
        return recipe.with_precision(saved.runtime.precision)
    precision, reason = choose_precision(processes.device)
    report(f"Precision: {precision} ({reason}).")
    return recipe.with_precision(precision)

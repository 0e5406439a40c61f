"""`python -m srflow train RECIPE [key=value …] --data FOLDER --output RUN`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from srflow.contract import TrainingRecipeError

if TYPE_CHECKING:
    from srflow.training.recipe import TrainingRecipe
    from srflow.training.stage_run import Outcome

HELP = "train a model by a recipe; the same command resumes a run that was stopped"

_INTERRUPTED = 130  # the usual exit code after Ctrl-C


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", help="name of a shipped recipe or path of a .toml file")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="e.g. training.steps=1000 runtime.compile=true"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="training pictures, including subfolders")
    parser.add_argument("--validation", type=Path, metavar="FOLDER", help="held-out pictures; default: no validation")
    parser.add_argument(
        "--output", type=Path, metavar="RUN", help="the run's folder; if it contains this run, the run is resumed"
    )
    parser.add_argument(
        "--init",
        metavar="CHECKPOINT",
        help="start from a checkpoint folder, RUN/encoder or RUN/last of another run, or a shipped model",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help=(
            "train for about this long: the recipe's steps are scaled to the speed of this machine, measured at "
            "the start"
        ),
    )
    parser.add_argument("--stop-after", type=float, metavar="SECONDS", help="save and end after this time")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="folder for decoded pictures (3 bytes per pixel)")
    parser.add_argument("--change-recipe", action="store_true", help="resume a run although the recipe differs")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print steps, FLOPs, memory and hours, and time a few steps; train nothing",
    )
    parser.add_argument(
        "--throughput", type=float, metavar="TFLOPS", help="for --dry-run: sustained speed of the machine, in TFLOP/s"
    )


def _dry_run(recipe: TrainingRecipe, throughput: float | None, minutes: float | None) -> None:
    from srflow.sampling.hardware import resolve_device
    from srflow.training.budget import fit_to_minutes, planned_minutes, seconds_per_step
    from srflow.training.cost import estimate
    from srflow.training.precision import choose_precision

    if recipe.runtime.precision == "auto":
        precision, reason = choose_precision(resolve_device("auto"))
        recipe = recipe.with_precision(precision)
        print(f"Precision here: {precision} ({reason}).")
    print(estimate(recipe).report(throughput))
    device = resolve_device("auto")
    seconds = seconds_per_step(recipe, device)
    print(f"Measured here, on {device.type}, whole steps on one process:")
    for name, value in seconds.items():
        print(f"  {name:10} {value:.3g} s a step")
    print(f"All steps: {planned_minutes(recipe, seconds) / 60:,.1f} hours, without validation and saving.")
    if minutes is not None:
        fitted = fit_to_minutes(recipe, minutes, seconds)
        steps = ", ".join(f"{key}.steps={phase.steps}" for key, phase in fitted.phases().items() if phase.steps)
        print(f"In {minutes:g} minutes: {steps}.")


def run(arguments: argparse.Namespace) -> int:
    """Train. Exit code 0: finished, or the time of --stop-after is over; 130: stopped by a signal, and saved."""
    from srflow.training.recipe_files import load_recipe

    recipe = load_recipe(arguments.recipe, arguments.overrides)
    if arguments.dry_run:
        _dry_run(recipe, arguments.throughput, arguments.minutes)
        return 0
    if arguments.data is None or arguments.output is None:
        raise TrainingRecipeError("Training needs --data FOLDER and --output RUN (or --dry-run, which needs neither).")

    # By default idle OpenMP threads spin, which wastes most of a machine that has other work too. The variable is read
    # when PyTorch is loaded, below.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from srflow.processes import leave_processes

    outcome = _train(recipe, arguments)
    leave_processes()  # not after an error: the other processes may be waiting for this one
    return _INTERRUPTED if outcome == "stopped" else 0


def _train(recipe: TrainingRecipe, arguments: argparse.Namespace) -> Outcome:
    """Train with handlers for the signals that stop it, and report how it ended."""
    from tqdm import tqdm

    from srflow.training.trainer import Trainer

    def report(message: str) -> None:
        tqdm.write(message, file=sys.stderr)

    trainer = Trainer(
        recipe,
        arguments.data,
        arguments.output,
        validation=arguments.validation,
        initial=arguments.init,
        cache=arguments.cache,
        minutes=arguments.minutes,
        allow_changes=arguments.change_recipe,
        command=arguments.words,
        overrides=arguments.overrides,
        show_progress=True,
        report=report,
    )

    def stop(signal_number: int, _frame: object) -> None:
        # Nothing is printed here: the signal may have interrupted a print, and a second one would raise an error.
        trainer.request_stop(
            f"{signal.Signals(signal_number).name}: saving now. Send it once more to end at once, without saving."
        )
        signal.signal(signal_number, signal.SIG_DFL)

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, stop)
    outcome = trainer.run(arguments.stop_after)
    report(
        f"The run has {'finished' if outcome == 'finished' else f'ended ({outcome}) and is saved'}: {arguments.output}"
    )
    return outcome

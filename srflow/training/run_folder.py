"""The files of a run, and how they are found again.

RUN/recipe.json                 the resolved recipe
RUN/provenance.json             where the weights come from (`srflow.training.provenance`); a copy is beside all weights
RUN/metrics.jsonl               one line per log interval and per validation
RUN/checkpoints/step-*.pt       everything that is needed to resume, bit for bit; the last few
RUN/last/, RUN/best/            the averaged weights in the model's own format, for `SRFlow.from_pretrained`
RUN/encoder/                    the same at the end of L1 pretraining, for `--init`
RUN/tensorboard/                if TensorBoard is installed
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from srflow.contract import InputError, TrainingRecipeError
from srflow.files import atomic_directory, atomic_write
from srflow.model import SRFlow
from srflow.training.provenance import Provenance
from srflow.training.recipe import TrainingRecipe
from srflow.training.recipe_files import load_recipe
from srflow.training.stages import plan

__all__ = ["RunFolder"]

_FORMAT = 1


class RunFolder:
    """Reads and writes a run's files.

    Args:
        path: the run's folder; created if it is missing.
        report: called with one line of text for each message to the user.
    """

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self.path = path
        self.report = report

    @property
    def metrics_file(self) -> Path:
        """The log, with one JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def _recipe_file(self) -> Path:
        return self.path / "recipe.json"

    def saved_recipe(self) -> TrainingRecipe | None:
        """Return the recipe of the run in this folder, or None. Raises TrainingRecipeError: it cannot be read."""
        return load_recipe(self._recipe_file) if self._recipe_file.exists() else None

    def check_recipe(self, recipe: TrainingRecipe, *, allow_changes: bool = False) -> None:
        """Check that the run in this folder can be resumed with `recipe`. Nothing is written: the start may still fail.

        `validation`, `checkpoint`, `log` and `runtime` may differ: they change neither weights nor data. Of these,
        `runtime` changes how numbers are rounded, which is reported. With `allow_changes` other settings may differ
        too, except the network (`model`) and the steps of stages that have been trained already. A folder without any
        checkpoint contains no progress, so any recipe is accepted.

        Raises: TrainingRecipeError: names the differences; or the saved recipe cannot be read.
        """
        saved = self.saved_recipe()
        changed = {} if saved is None else recipe.differences(saved)
        if saved is None or not changed:
            return
        if not any((self.path / "checkpoints").glob("step-*")):
            self.report(f"The run in {self.path} was never saved; it starts again with this recipe.")
            return
        network = [key for key in changed if key.startswith("model.")]
        if network:
            raise TrainingRecipeError(
                f"{self.path} contains a run of another network: {_in_words(changed, network)}. The network of a "
                f"run cannot change: choose another --output (--init {self.path / 'last'} takes over the weights that "
                "fit)."
            )
        harmful = [key for key in changed if not key.startswith(("validation.", "checkpoint.", "log.", "runtime."))]
        if harmful and not allow_changes:
            raise TrainingRecipeError(
                f"{self.path} contains a run of another recipe: {_in_words(changed, harmful)}. Choose another "
                "--output, start with the same settings, or give --change-recipe to resume with the new ones."
            )
        self._check_stages(recipe, saved)
        if rounding := [key for key in changed if key.startswith("runtime.")]:
            self.report(f"The run resumes with other settings: {_in_words(changed, rounding)}.")

    def _check_stages(self, recipe: TrainingRecipe, saved: TrainingRecipe) -> None:
        """Refuse settings that would change completed work: the phases that began, and the stage that the run reached.

        The first step that trains the encoder is a fraction of `training.steps`, so more steps would freeze it again.
        """
        files = self.checkpoints()
        step = int(files[-1].stem.removeprefix("step-")) if files else 0
        begun, planned = (sorted({s.phase_start for s in plan(r) if s.phase_start < step}) for r in (saved, recipe))
        if begun != planned:
            raise TrainingRecipeError(
                f"The run in {self.path} is at step {step}, and its phases began at the steps {begun}; with these "
                f"settings they would have begun at {planned}. Keep the numbers of steps of the phases that have ended,"
                f" or start a new run with --init {self.path / 'last'}."
            )
        reached = next((stage.name for stage in plan(saved) if stage.first < step <= stage.last), None)
        again = next((stage for stage in plan(recipe) if stage.name == reached and stage.first > step), None)
        if again is not None:
            fraction = math.floor((step - again.phase_start) / again.phase.steps * 1e4) / 1e4
            raise TrainingRecipeError(
                f"The run in {self.path} is at step {step}, in the stage {reached!r}; with these settings that stage "
                f"begins at step {again.first}, and the encoder would be frozen again until then. Set "
                f"training.encoder_joins_at={fraction:g} or less, or start a new run with --init {self.path / 'last'}."
            )

    def write_recipe(self, recipe: TrainingRecipe) -> None:
        """Save the recipe, once nothing else can fail. Raises InputError: the folder cannot be written."""
        if self.saved_recipe() == recipe:
            return
        try:
            with atomic_write(self._recipe_file, "w") as stream:
                stream.write(json.dumps(recipe.to_dict(), indent=2) + "\n")
        except OSError as error:
            raise InputError(f"The run's folder {self.path} cannot be written: {error}.") from error

    def checkpoints(self) -> list[Path]:
        """Return the checkpoint files, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.pt"))

    def save_checkpoint(self, step: int, state: dict[str, Any], keep: int) -> None:
        """Write a checkpoint, then remove all but the last `keep`. A full disk is reported, not raised."""
        file = self.path / "checkpoints" / f"step-{step:09d}.pt"
        try:
            with atomic_write(file) as stream:
                torch.save({"format": _FORMAT, "step": step, **state}, stream)
        except (OSError, RuntimeError) as error:  # torch wraps some write errors in RuntimeError
            self.report(f"Could not save {file}: {error}. Training goes on; the previous checkpoint still exists.")
            return
        for old in self.checkpoints()[:-keep]:
            old.unlink(missing_ok=True)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Load the newest checkpoint that can be read completely; None if there is none."""
        for file in reversed(self.checkpoints()):
            try:
                # torch.load would not notice a changed byte inside a tensor, but the checksums of the archive do.
                with zipfile.ZipFile(file) as archive:
                    damaged = archive.testzip()
                if damaged is not None:
                    raise zipfile.BadZipFile(f"{damaged} is damaged")
                state = torch.load(file, map_location="cpu", weights_only=True)
                if state["format"] != _FORMAT:
                    raise ValueError(f"it has format {state['format']}, this version reads {_FORMAT}")
                return state
            except (OSError, RuntimeError, ValueError, KeyError, zipfile.BadZipFile, UnpicklingError) as error:
                self.report(f"The checkpoint {file} cannot be used ({error}); trying the previous one.")
                with suppress(OSError):  # rename it, so that it does not count among the last few
                    file.rename(file.with_suffix(".damaged"))
        return None

    def export(self, name: str, model: SRFlow, provenance: Provenance) -> None:
        """Write the weights and their provenance to RUN/`name`, in the model's own format, and update
        RUN/provenance.json.

        A full disk is reported, not raised.
        """
        model.metadata = replace(model.metadata, provenance=provenance.text)
        try:
            with atomic_directory(self.path / name) as folder:
                model.save_pretrained(folder)
                provenance.write(folder, model.metadata.weights_sha256)
        except OSError as error:
            self.report(f"Could not export the weights to {self.path / name}: {error}. Training goes on.")
        self.write_provenance(provenance)

    def write_provenance(self, provenance: Provenance) -> None:
        """Write RUN/provenance.json. A full disk is reported, not raised."""
        try:
            provenance.write(self.path)
        except OSError as error:
            self.report(f"Could not write the provenance to {self.path}: {error}. Training goes on.")


def _in_words(changed: dict[str, tuple[Any, Any]], keys: list[str]) -> str:
    return "; ".join("{} is {!r}, was {!r}".format(key, *changed[key]) for key in keys)

"""What a run leaves on disk, and how it is found again.

RUN/recipe.json                 the resolved recipe
RUN/metrics.jsonl               one line per log interval and per validation
RUN/checkpoints/step-*.pt       everything that is needed to go on, bit for bit; the last few
RUN/last/, RUN/best/            the averaged weights in the model's own format, for `SRFlow.from_pretrained`
RUN/encoder/                    the same at the end of L1 pretraining, for `--init`
RUN/tensorboard/                if TensorBoard is installed
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from srflow.contract import InputError, RecipeError
from srflow.files import atomic_directory, atomic_write
from srflow.model import SRFlow
from srflow.training.recipe import Recipe, load_recipe

__all__ = ["RunFolder"]

_FORMAT = 1


class RunFolder:
    """Reads and writes a run's files.

    Args:
        path: the run's folder; made if it is missing.
        report: is called with one line of text for what a person should know.
    """

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self.path = path
        self.report = report

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def _recipe_file(self) -> Path:
        return self.path / "recipe.json"

    def saved_recipe(self) -> Recipe | None:
        """The recipe of the run in this folder; None if it holds none. Raises RecipeError if it cannot be read."""
        return load_recipe(self._recipe_file) if self._recipe_file.exists() else None

    def settle_recipe(self, recipe: Recipe, *, allow_changes: bool = False) -> None:
        """Save the recipe in a new run; in an old one, see that it is the same.

        Only what changes neither weights nor data (`validation`, `checkpoint`, `log`, `runtime`) may differ. Of these,
        `runtime` changes how numbers are rounded, which is reported.

        Raises:
            RecipeError: names what differs, unless `allow_changes`; or the saved recipe cannot be read.
            InputError: the folder cannot be written.
        """
        saved = self.saved_recipe()
        changed = {} if saved is None else recipe.differences(saved)
        if saved is not None and not changed:
            return
        harmful = [key for key in changed if not key.startswith(("validation.", "checkpoint.", "log.", "runtime."))]
        if harmful and not allow_changes:
            raise RecipeError(
                f"{self.path} holds a run of another recipe: {_in_words(changed, harmful)}. Choose another --output, "
                "start with the same settings, or give --change-recipe to go on with the new ones."
            )
        if rounding := [key for key in changed if key.startswith("runtime.")]:
            self.report(f"The run goes on with other settings: {_in_words(changed, rounding)}.")
        try:
            with atomic_write(self._recipe_file, "w") as stream:
                stream.write(json.dumps(recipe.to_dict(), indent=2) + "\n")
        except OSError as error:
            raise InputError(f"The run's folder {self.path} cannot be written: {error}.") from error

    def checkpoints(self) -> list[Path]:
        """The checkpoint files, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.pt"))

    def save_checkpoint(self, step: int, state: dict[str, Any], keep: int) -> None:
        """Write a checkpoint, then remove all but the last `keep`. A full disk is reported, not raised."""
        file = self.path / "checkpoints" / f"step-{step:09d}.pt"
        try:
            with atomic_write(file) as stream:
                torch.save({"format": _FORMAT, "step": step, **state}, stream)
        except (OSError, RuntimeError) as error:  # torch wraps some write errors in RuntimeError
            self.report(f"Could not save {file}: {error}. Training goes on; the checkpoint before it is still there.")
            return
        for old in self.checkpoints()[:-keep]:
            old.unlink(missing_ok=True)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest checkpoint that can be read whole; None if there is none."""
        for file in reversed(self.checkpoints()):
            try:
                # A changed byte inside a tensor would go unnoticed by torch.load, but not by the archive's checksums.
                with zipfile.ZipFile(file) as archive:
                    damaged = archive.testzip()
                if damaged is not None:
                    raise zipfile.BadZipFile(f"{damaged} is damaged")
                state = torch.load(file, map_location="cpu", weights_only=True)
                if state["format"] != _FORMAT:
                    raise ValueError(f"it has format {state['format']}, this version reads {_FORMAT}")
                return state
            except (OSError, RuntimeError, ValueError, KeyError, zipfile.BadZipFile, UnpicklingError) as error:
                self.report(f"The checkpoint {file} cannot be used ({error}); trying the one before it.")
                with suppress(OSError):  # out of the way, so that it does not count among the last few
                    file.rename(file.with_suffix(".damaged"))
        return None

    def export(self, name: str, model: SRFlow, provenance: str) -> None:
        """Write the weights to RUN/`name` in the model's own format. A full disk is reported, not raised."""
        model.metadata = replace(model.metadata, provenance=provenance)
        try:
            with atomic_directory(self.path / name) as folder:
                model.save_pretrained(folder)
        except OSError as error:
            self.report(f"Could not export the weights to {self.path / name}: {error}. Training goes on.")


def _in_words(changed: dict[str, tuple[Any, Any]], keys: list[str]) -> str:
    return "; ".join("{} is {!r}, was {!r}".format(key, *changed[key]) for key in keys)

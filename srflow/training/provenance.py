"""The provenance of a run's weights, for those who want to repeat it: stored with the run and each copy of them.

RUN/provenance.json is written when a run starts and whenever its weights are exported. The folders RUN/last, RUN/best
and RUN/encoder contain a copy that also identifies the weights beside it. The record of a run that began with `--init`
contains the record of the previous run, and so on back to random weights or to a file from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import device as Device  # the class below has a field with the same name as the module

from srflow import __version__
from srflow.checkpoints.own import Metadata
from srflow.checkpoints.shipped import resolve_checkpoint
from srflow.environment import num_cores, processor_name, source_commit
from srflow.files import atomic_write
from srflow.training.recipe import TrainingRecipe
from srflow.training.store import Sources

__all__ = ["PROVENANCE_FILE", "Parent", "Provenance", "Start"]

PROVENANCE_FILE = "provenance.json"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Start:
    """The circumstances of one start of a run.

    date: UTC, ISO 8601.
    step: the run's step from which it resumed.
    command: the words of the command line; of absolute paths, only the last part.
    overrides: the command's "key=value".
    recipe: all settings, as in recipe.json.
    commit: of the source, see `srflow.environment.source_commit`.
    hardware: device, processor, cores, threads, processes.
    pictures, validation_pictures: see `srflow.training.store.Sources`.
    """

    date: str
    step: int
    command: tuple[str, ...]
    overrides: tuple[str, ...]
    recipe: dict[str, Any]
    version: str
    commit: str | None
    torch: str
    hardware: dict[str, Any]
    pictures: dict[str, Any] | None
    validation_pictures: dict[str, Any] | None

    @classmethod
    def now(
        cls,
        *,
        step: int,
        recipe: TrainingRecipe,
        device: Device,
        num_processes: int,
        pictures: Sources | None,
        validation_pictures: Sources | None = None,
        command: Sequence[str] = (),
        overrides: Sequence[str] = (),
    ) -> Start:
        """Describe the present start."""
        return cls(
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            step=step,
            command=tuple(_without_folders(word) for word in command),
            overrides=tuple(overrides),
            recipe=recipe.to_dict(),
            version=__version__,
            commit=source_commit(),
            torch=torch.__version__,
            hardware={
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
                "processor": processor_name(),
                "cores": num_cores(),
                "threads": torch.get_num_threads(),
                "processes": num_processes,
            },
            pictures=None if pictures is None else asdict(pictures),
            validation_pictures=None if validation_pictures is None else asdict(validation_pictures),
        )


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The checkpoint that a run began with.

    source: the argument of `--init`; of an absolute path, only its last part.
    parts: the parts whose weights were used: "encoder", "flow".
    license, provenance, weights_sha256: as in its `Metadata`.
    record: its own provenance.json; None if it has none.
    """

    source: str
    parts: tuple[str, ...]
    license: str
    provenance: str
    weights_sha256: str | None
    record: dict[str, Any] | None

    @classmethod
    def of(cls, initial: str | Path, metadata: Metadata, parts: Sequence[str]) -> Parent:
        """Describe a checkpoint.

        Args:
            initial: as given to `initial_model`.
            metadata, parts: its metadata, and the parts used.
        """
        file = Path(resolve_checkpoint(initial)) / PROVENANCE_FILE
        return cls(
            source=_without_folders(str(initial)),
            parts=tuple(parts),
            license=metadata.license,
            provenance=metadata.provenance,
            weights_sha256=metadata.weights_sha256,
            record=_read(file),
        )


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The provenance of a run's weights at a step.

    name: the recipe's.
    parent: the checkpoint that the run began with; None for random weights.
    starts: each start whose circumstances differ from those of the previous one; if the first one has a step above 0,
        the record of earlier steps was lost.
    steps: those that this run made (steps that `--init` saved do not count), out of `planned`.
    skipped: steps without an update, because something was not finite.
    seconds: spent in steps.
    """

    name: str
    parent: Parent | None = None
    starts: tuple[Start, ...] = ()
    steps: int = 0
    planned: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """Describe it in one paragraph: what is known of the parent, then what this run did."""
        by = f"by `srflow train {self.name}`: averaged weights after step {self.steps} of {self.planned}."
        if self.parent is None:
            return f"Trained {by}"
        weights = "those weights" if "flow" in self.parent.parts else "the encoder of those weights"
        sha256 = f" (sha256 {self.parent.weights_sha256[:12]})" if self.parent.weights_sha256 else ""
        return f"{self.parent.provenance} From {weights}{sha256}, trained {by}"

    def started(self, start: Start) -> Provenance:
        """Return it with one more start, unless only the date and step are new."""
        if self.starts and replace(start, date=self.starts[-1].date, step=self.starts[-1].step) == self.starts[-1]:
            return self
        return replace(self, starts=(*self.starts, start))

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        return json.loads(json.dumps({"format": _FORMAT, "text": self.text, **asdict(self)}))

    @classmethod
    def read(cls, folder: Path) -> Provenance | None:
        """Read what `write` wrote; None if the folder has no readable record."""
        values = _read(folder / PROVENANCE_FILE)
        try:
            if values is None or values["format"] != _FORMAT:
                return None
            parent = values["parent"]
            return cls(
                **{field.name: values[field.name] for field in fields(cls) if field.name not in ("parent", "starts")},
                parent=None if parent is None else Parent(**_tuples(parent, "parts")),
                starts=tuple(Start(**_tuples(start, "command", "overrides")) for start in values["starts"]),
            )
        except (KeyError, TypeError):
            return None

    def write(self, folder: Path, weights_sha256: str | None = None) -> None:
        """Write provenance.json. Args: weights_sha256: of the weights file beside it. Raises: OSError."""
        values = self.to_dict() | ({"weights_sha256": weights_sha256} if weights_sha256 else {})
        with atomic_write(folder / PROVENANCE_FILE, "w") as stream:
            stream.write(json.dumps(values, indent=2) + "\n")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def _tuples(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: tuple(value) if key in keys else value for key, value in values.items()}


def _without_folders(word: str) -> str:
    """Keep only the last part of absolute paths, also after "--option=": records may be published."""
    option, separator, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{separator}{Path(value).name if Path(value).is_absolute() else value}"

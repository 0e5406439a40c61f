"""The run's diary: metrics.jsonl always, TensorBoard where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from srflow.files import atomic_write

__all__ = ["Journal"]


class Journal:
    """Appends lines to metrics.jsonl and writes the same numbers, and pictures, for TensorBoard.

    Args:
        file: metrics.jsonl. Lines of steps after `step` are dropped: a run that was killed after its last checkpoint
            repeats them.
        tensorboard: the folder for TensorBoard's files.
        step: the step from which the run goes on.
    """

    def __init__(self, file: Path, tensorboard: Path, step: int) -> None:
        self._file = file
        _drop_later_lines(file, step)
        self._writer = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(tensorboard), purge_step=step + 1)

    def write(self, kind: str, step: int, values: Mapping[str, float | int | str | None]) -> None:
        """One line, {"kind": kind, "step": step, **values}; values that are not finite are written as null."""
        line = {"kind": kind, "step": step} | {key: _json_value(value) for key, value in values.items()}
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, allow_nan=False) + "\n")
        if self._writer is not None:
            for key, value in values.items():
                if isinstance(value, (int, float)):
                    self._writer.add_scalar(f"{kind}/{key}", value, step)

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """uint8 (H, W, 3) pictures, by name, to TensorBoard alone."""
        if self._writer is not None:
            for name, picture in pictures.items():
                self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Have everything reach the disk."""
        if self._writer is not None:
            self._writer.close()


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _drop_later_lines(file: Path, step: int) -> None:
    if not file.exists():
        return
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):  # the last line of a killed run may be half written
            continue
    with atomic_write(file, "w") as stream:
        stream.writelines(line + "\n" for line in kept)

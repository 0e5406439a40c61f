"""The log of a run: metrics.jsonl always, TensorBoard if it is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srflow.files import atomic_write

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["Journal"]


class Journal:
    """Appends lines to metrics.jsonl, and writes the same numbers, and pictures, for TensorBoard.

    Args:
        file: metrics.jsonl. Lines of steps after `step` are removed: a run that was killed after its last checkpoint
            repeats those steps.
        tensorboard: the folder for TensorBoard's files.
        step: the step from which the run resumes.
        report: called with one message for the user if a write fails, for example on a full disk, and only once.
        Training
            goes on without its log; lines that could not be written are lost.
    """

    def __init__(self, file: Path, tensorboard: Path, step: int, report: Callable[[str], None]) -> None:
        self._file = file
        self._report = report
        self._complained = False
        self._writer = None
        try:
            _drop_later_lines(file, step)
            if find_spec("tensorboard") is not None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(tensorboard), purge_step=step + 1)
        except OSError as error:
            self._complain(error)

    def write(self, kind: str, step: int, values: Mapping[str, float | int | str | None]) -> None:
        """Write one line, {"kind": kind, "step": step, **values}; values that are not finite are written as null."""
        line = {"kind": kind, "step": step} | {key: _json_value(value) for key, value in values.items()}
        try:
            _append_line(self._file, json.dumps(line, allow_nan=False))
        except OSError as error:
            self._complain(error)
        numbers = {key: value for key, value in values.items() if isinstance(value, (int, float))}
        self._to_tensorboard(
            lambda writer: [writer.add_scalar(f"{kind}/{key}", value, step) for key, value in numbers.items()]
        )

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Write uint8 (H, W, 3) pictures, by name, to TensorBoard only."""
        self._to_tensorboard(
            lambda writer: [writer.add_image(name, p, step, dataformats="HWC") for name, p in pictures.items()]
        )

    def close(self) -> None:
        """Flush everything to the disk."""
        self._to_tensorboard(lambda writer: writer.close())

    def _to_tensorboard(self, write: Callable[[SummaryWriter], object]) -> None:
        """Call `write`, unless TensorBoard is not installed or has failed before: its writer does not recover."""
        if self._writer is not None:
            try:
                write(self._writer)
            except OSError as error:
                self._writer = None
                self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._report(f"The run's log cannot be written: {error}. Training goes on without these lines.")
        self._complained = True


def _append_line(file: Path, line: str) -> None:
    """Append the whole line or nothing: a partial line would corrupt the next one too."""
    size = file.stat().st_size if file.exists() else 0
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError:
        with suppress(OSError):
            os.truncate(file, size)
        raise


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _drop_later_lines(file: Path, step: int) -> None:
    if not file.exists():
        return
    text = file.read_text(encoding="utf-8")
    kept = []
    for line in text.splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError):  # the last line of a killed run may be incomplete
            continue
    if "".join(kept) != text:
        with atomic_write(file, "w") as stream:
            stream.writelines(kept)

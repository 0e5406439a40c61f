"""The common part of commands that measure a model: the device, loading, and the consistency step's rounds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from srflow.contract import InputError, Precision

if TYPE_CHECKING:
    from srflow.sampling.measured import MeasuredModel

__all__ = ["add_device_arguments", "consistency_rounds", "load_measured"]


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --device, for `hardware.resolve_device`, and --precision, for `load_measured`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="float32",
        help="data type of the convolutions (default: float32)",
    )


def load_measured(name: str | Path, device: str, precision: Precision) -> MeasuredModel:
    """A model that is to be measured: a shipped checkpoint by its name, a folder, or a Hub id.

    Raises: CheckpointError: it cannot be loaded. InputError: there is no such device.
    """
    from srflow.checkpoints.shipped import resolve_checkpoint
    from srflow.sampling.engine import SamplingEngine
    from srflow.sampling.measured import MeasuredModel

    return MeasuredModel(SamplingEngine(device, precision, checkpoints=[resolve_checkpoint(name)]))


def consistency_rounds(given: int | None) -> int:
    """Return the option's value, or the default. Raises InputError: it is below 0."""
    from srflow.consistency import DEFAULT_ROUNDS

    rounds = DEFAULT_ROUNDS if given is None else given
    if rounds < 0:
        raise InputError(f"--consistency-rounds is {rounds}; it must be 0 or more.")
    return rounds

"""What commands that measure a model share: where it runs, how it is loaded, the consistency step's rounds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from srflow.contract import InputError

if TYPE_CHECKING:
    import torch

    from srflow.model import SRFlow

__all__ = ["add_device_arguments", "choose_device", "consistency_rounds", "load_model"]


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that `choose_device` and `load_model` take: --device and --conv-dtype."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, … (default: auto)")
    parser.add_argument(
        "--conv-dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of the model's convolutions (default: float32)",
    )


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU if there is one. Raises InputError: it cannot be used here."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {name!r} cannot be used here ({error}); try --device cpu.") from error
    return device


def load_model(name: str | Path, device: torch.device, conv_dtype: str) -> SRFlow:
    """A shipped checkpoint by its name, a folder, or a Hub id. Raises CheckpointError: it cannot be loaded."""
    import torch

    from srflow.checkpoints.shipped import resolve_checkpoint
    from srflow.model import SRFlow

    model = SRFlow.from_pretrained(resolve_checkpoint(name)).to(device)
    return model if conv_dtype == "float32" else model.set_conv_dtype(getattr(torch, conv_dtype))


def consistency_rounds(given: int | None) -> int:
    """The option's value, or the default. Raises InputError: it is below 0."""
    from srflow.consistency import DEFAULT_ROUNDS

    rounds = DEFAULT_ROUNDS if given is None else given
    if rounds < 0:
        raise InputError(f"--consistency-rounds is {rounds}; it must be 0 or more.")
    return rounds

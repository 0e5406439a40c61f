"""Latents in safetensors files: tensors `level_0`, `level_1`, … and text as metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from srflow.errors import InputError
from srflow.files import atomic_write

__all__ = ["read_levels", "read_metadata", "write_levels"]

_FORMAT = "srflow-latents"


def write_levels(path: str | Path, levels: Sequence[Tensor], metadata: Mapping[str, str] | None) -> None:
    """Write levels; see `Latents.save`."""
    metadata = dict(metadata or {})
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"Metadata of latents must be text; got {key!r}: {value!r}.")
        if key == "format":
            raise InputError('"format" is the one name that the metadata of latents cannot use.')
    tensors = {f"level_{i}": level.detach().cpu().contiguous() for i, level in enumerate(levels)}
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(tensors, metadata={**metadata, "format": _FORMAT}))


def read_levels(path: str | Path) -> list[Tensor]:
    """The levels in a file; see `Latents.load`."""
    levels, _ = _read(path, with_levels=True)
    if not all(bool(torch.isfinite(level).all()) for level in levels):
        raise InputError(f"{path}: the latents hold values that are not finite (NaN or infinity).")
    return levels


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text that was saved with latents; reads the file's header only.

    Raises: InputError: if the file is missing, damaged or holds something else.
    """
    _, metadata = _read(path, with_levels=False)
    del metadata["format"]
    return metadata


def _read(path: str | Path, with_levels: bool) -> tuple[list[Tensor], dict[str, str]]:
    """Levels (none, if not asked for) and metadata of a file of latents."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of latents.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            names = set(file.keys())
            if metadata.get("format") != _FORMAT or names != {f"level_{i}" for i in range(len(names))}:
                raise InputError(f"{path}: a safetensors file, but not one of latents.")
            levels = [file.get_tensor(f"level_{i}") for i in range(len(names))] if with_levels else []
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged, or not a file of latents ({error}).") from error
    return levels, metadata

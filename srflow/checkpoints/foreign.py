"""Weights files of other programs: reads their tensors without running code, or says what a file is instead."""

from __future__ import annotations

import argparse
import collections
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from srflow.contract import CheckpointError
from srflow.pictures.kinds import describe

__all__ = ["read_tensors"]

# The keys under which trainers store a network's weights, preferred ones first: averages, then the generator.
_WRAPPERS = (
    *("params_ema", "model_ema", "ema_model", "ema_state_dict", "ema", "params", "netG_ema", "g_ema"),
    *("netG", "net_g", "generator", "gen", "G", "model_state_dict", "state_dict", "model", "network", "weights"),
)
_MAX_DEPTH = 4
# Containers of settings that checkpoints contain beside tensors; unpickling them is harmless.
_HARMLESS = [argparse.Namespace, collections.OrderedDict, collections.defaultdict, collections.Counter, dict, list, set]


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a network, by name, from a .pth, .pt, .ckpt or .safetensors file. The content decides the
    format.

    From a trainer's checkpoint the network's own table is taken, averaged weights (EMA) preferred. Code in a pickle is
    refused, not run.

    Raises: CheckpointError: the file is not found, truncated, not a file of weights (with what it seems to be), or
        contains code.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}; give the path of a weights file, e.g. a released .pth.")
    _refuse_other_kinds(path)
    try:
        if _is_safetensors(path):
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} contains more than tensors, or is not a PyTorch file. Code in it was not run, and it is not "
            "loaded."
        ) from error
    except MemoryError as error:
        raise CheckpointError(f"{path} does not fit into memory.") from error
    except Exception as error:  # torch and safetensors raise errors of every kind for damaged files
        said = " ".join(str(error).split())
        if "TorchScript" in said:
            raise CheckpointError(f"{path} is a TorchScript program, not a table of weights.") from error
        raise CheckpointError(f"{path} is truncated or is not a PyTorch file ({said[:160]}); get it again.") from error
    table = _network_table(values)
    if table is None:
        raise CheckpointError(f"{path} is not a table of tensors, so it contains no network's weights.")
    return table


def _refuse_other_kinds(path: Path) -> None:
    with path.open("rb") as file:
        prefix = file.read(4096)
    known = describe(prefix)
    if known == "a ZIP archive" and zipfile.is_zipfile(path):  # PyTorch's files are ZIP files, too
        known = None
    if known is None and prefix.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8")):
        known = "a picture"
    if known is None and path.suffix.lower() == ".onnx":
        known = "an ONNX file; get the PyTorch weights from which it was made"
    if known is not None:
        raise CheckpointError(f"{path} is not a file of weights; it looks like {known}.")


def _is_safetensors(path: Path) -> bool:
    """Return whether a file begins like safetensors: the length of its header in 8 bytes, then a JSON object."""
    with path.open("rb") as file:
        prefix = file.read(9)
    is_zip_or_pickle = prefix[:2] in (b"PK", b"\x80\x02", b"\x80\x04")
    return not is_zip_or_pickle and (path.suffix == ".safetensors" or prefix[8:] == b"{")


def _network_table(values: Any) -> dict[str, Tensor] | None:
    """Return the likeliest table of a network's tensors in nested dicts, without entries that are not tensors."""
    tables = list(_tables(values, (), 0))
    if not tables:
        return None

    def rank(found: tuple[tuple[str, ...], dict[str, Tensor]]) -> tuple[int, int]:
        places = [_WRAPPERS.index(name) for name in found[0] if name in _WRAPPERS]
        return min(places, default=len(_WRAPPERS)), -len(found[1])

    return min(tables, key=rank)[1]


def _tables(values: Any, path: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    if not isinstance(values, dict) or depth > _MAX_DEPTH or any("optim" in name.lower() for name in path):
        return
    own = {str(name): value for name, value in values.items() if isinstance(value, Tensor)}
    if own:
        yield path, own
    for name, value in values.items():
        yield from _tables(value, (*path, str(name)), depth + 1)

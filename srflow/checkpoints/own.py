"""Our own checkpoint format: a folder with config.json, model.safetensors and a model card, README.md.

Safetensors files contain no code, so loading one is safe whoever wrote it. The same folder is a Hugging Face Hub
repository.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError

from srflow.checkpoints.card import model_card
from srflow.checkpoints.metadata import Metadata
from srflow.errors import CheckpointError, InputError, brief
from srflow.files import atomic_write
from srflow.presets import ModelConfig

__all__ = [
    "CONFIG_FILE",
    "HUB_OPTIONS",
    "PUSH_OPTIONS",
    "WEIGHTS_FILE",
    "Checkpoint",
    "Metadata",
    "load_tensors_strictly",
    "read",
    "write",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
HUB_OPTIONS = ("revision", "cache_dir", "token", "local_files_only", "force_download")
"""Options of `SRFlow.from_pretrained` that are passed to the Hub's download."""

PUSH_OPTIONS = (
    "commit_message",
    "private",
    "token",
    "branch",
    "create_pr",
    "allow_patterns",
    "ignore_patterns",
    "delete_patterns",
)
"""Options of `SRFlow.save_pretrained` that are passed to the Hub's `push_to_hub`."""

_FORMAT_VERSION = 1

_MAX_CONFIG_BYTES = 1 << 20
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint's folder. tensors: a model's `state_dict`, by the same names."""

    config: ModelConfig
    metadata: Metadata
    tensors: dict[str, torch.Tensor] = field(repr=False)


def write(folder: str | Path, checkpoint: Checkpoint, *, details: str | None = None) -> Metadata:
    """Write a checkpoint to `folder`, each file under a temporary name first. An existing model card is not changed.

    Args: details: Markdown for the model card, below its summary.
    Returns: the metadata with the hash of the weights file that was written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    data = safetensors.torch.save(tensors, metadata={"format": "pt"})
    metadata = replace(checkpoint.metadata, weights_sha256=hashlib.sha256(data).hexdigest())
    config = {
        "format_version": _FORMAT_VERSION,
        "model": checkpoint.config.to_dict(),
        "license": metadata.license,
        "provenance": metadata.provenance,
    }
    with atomic_write(folder / WEIGHTS_FILE) as file:
        file.write(data)
    with atomic_write(folder / CONFIG_FILE) as file:
        file.write((json.dumps(config, indent=2) + "\n").encode())
    if not (folder / CARD_FILE).exists():
        with atomic_write(folder / CARD_FILE) as file:
            sizes = {name: tensor.numel() for name, tensor in tensors.items() if tensor.is_floating_point()}
            file.write(model_card(checkpoint.config, metadata, sizes, details).encode())
    return metadata


def read(folder_or_hub_id: str | Path, **hub_options: Any) -> Checkpoint:
    """Read a folder, or a repository of the Hub.

    Raises: CheckpointError: not found, truncated, of a newer format, or with a configuration that no model has.
    """
    config_path, weights_path = _locate(folder_or_hub_id, hub_options)
    config, metadata = _read_config(config_path)
    tensors = _read_tensors(weights_path)
    return Checkpoint(config, replace(metadata, weights_sha256=_sha256(weights_path)), tensors)


def load_tensors_strictly(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy all `tensors` into `module`, converted to the data type that the module has for each.

    The module may be on the meta device: then it is on the CPU afterwards, and no other weights were ever allocated.

    Raises: CheckpointError: names the keys that are missing, unexpected, of another shape or type, or not finite.
    """
    expected = module.state_dict()
    missing = sorted(expected.keys() - tensors.keys())
    extra = sorted(tensors.keys() - expected.keys())
    reshaped = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    problems = [
        f"{len(names)} {what} ({_some(names)})"
        for names, what in (
            (missing, "keys missing"),
            (extra, "keys too many"),
            (reshaped, "of another shape"),
            (_of_another_kind(tensors, expected), "of another kind"),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{source} does not fit the model: {'; '.join(problems)}. It belongs to another preset or scale factor."
        )
    is_empty = any(tensor.device.type == "meta" for tensor in expected.values())
    if is_empty:
        tensors = {name: tensor.to("cpu", expected[name].dtype, copy=True) for name, tensor in tensors.items()}
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(f"{source} contains values that are not finite, in {_some(broken)}. Use another file.")
    module.load_state_dict(tensors, assign=is_empty)


def _of_another_kind(tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """Describe tensors that cannot be converted: our networks use no sparse, quantised or 8-bit tensors."""
    wrong = []
    for name, tensor in expected.items():
        if name in tensors:
            dtype = tensors[name].dtype
            is_right = dtype in _FLOATS if tensor.is_floating_point() else dtype == tensor.dtype
            if not is_right or tensors[name].layout is not torch.strided:
                wrong.append(f"{name} holds {dtype}, {tensors[name].layout}")
    return wrong


def _locate(folder_or_hub_id: str | Path, hub_options: dict[str, Any]) -> tuple[Path, Path]:
    folder = Path(folder_or_hub_id)
    if folder.is_dir():
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise CheckpointError(f"{folder} has no {name}, so it is not a checkpoint; choose another folder.")
        return folder / CONFIG_FILE, folder / WEIGHTS_FILE
    try:
        paths = [
            Path(hf_hub_download(str(folder_or_hub_id), name, **hub_options)) for name in (CONFIG_FILE, WEIGHTS_FILE)
        ]
    except HFValidationError as error:
        raise CheckpointError(
            f"{folder_or_hub_id} is neither a folder nor a name on the Hugging Face Hub (owner/name)."
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{folder_or_hub_id} is not a folder here, and the Hugging Face Hub could not be reached to look for "
            "it there."
        ) from error
    except EntryNotFoundError as error:
        raise CheckpointError(
            f"{folder_or_hub_id} on the Hugging Face Hub is not a checkpoint of this package: {error}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"Could not download {folder_or_hub_id} from the Hugging Face Hub: {error}") from error
    return paths[0], paths[1]


def _read_config(path: Path) -> tuple[ModelConfig, Metadata]:
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise CheckpointError(f"{path} has {path.stat().st_size} bytes; the maximum is {_MAX_CONFIG_BYTES}.")
        values = json.loads(path.read_text(encoding="utf-8"))
        version, model = values["format_version"], values["model"]
        texts = {name: values[name] for name in ("license", "provenance")}
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path} is not a configuration of this package ({error!r}); choose another.") from error
    for name, text in texts.items():
        if not isinstance(text, str):
            raise CheckpointError(f"{path}: the setting {name} is {brief(text)}; it must be a text.")
    metadata = Metadata(**texts)
    if type(version) is not int or version != _FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {brief(version)}; this release reads version {_FORMAT_VERSION}. Update the "
            "package."
        )
    try:
        return ModelConfig.from_dict(model), metadata
    except InputError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or is not a safetensors file ({error}); get it again.") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

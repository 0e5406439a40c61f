"""Our own checkpoint format: a folder with config.json, model.safetensors and a model card, README.md.

Safetensors hold no code, so loading one is safe whoever wrote it. The same folder is a Hugging Face Hub repository.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import safetensors.torch
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError

from srflow.checkpoints.card import model_card
from srflow.contract import CheckpointError, InputError
from srflow.files import atomic_write
from srflow.presets import ModelConfig

if TYPE_CHECKING:
    from srflow.model import SRFlow

__all__ = [
    "CONFIG_FILE",
    "HUB_OPTIONS",
    "PUSH_OPTIONS",
    "WEIGHTS_FILE",
    "Metadata",
    "load",
    "load_tensors_strictly",
    "save",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
HUB_OPTIONS = ("revision", "cache_dir", "token", "local_files_only", "force_download")
"""What `SRFlow.from_pretrained` hands on to the Hub's download."""

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
"""What `SRFlow.save_pretrained` hands on to the Hub's `push_to_hub`."""

_FORMAT_VERSION = 1

Model = TypeVar("Model", bound="SRFlow")


@dataclass(frozen=True)
class Metadata:
    """What is known of the weights beside their values.

    license: an SPDX identifier in lower case, as on the Hub. provenance: where they come from, for people to read.
    weights_sha256: of the weights file last loaded or saved, so that a picture can name what made it; None for weights
    that were never on disk.
    """

    license: str = "apache-2.0"
    provenance: str = "Randomly initialised; not trained."
    weights_sha256: str | None = None


def save(model: SRFlow, folder: str | Path, *, details: str | None = None) -> None:
    """Write `model` to `folder`, each file to a temporary name first. An existing model card is left as it is.

    Args: details: Markdown for the model card, below its summary.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    data = safetensors.torch.save(tensors, metadata={"format": "pt"})
    model.metadata = replace(model.metadata, weights_sha256=hashlib.sha256(data).hexdigest())
    config = {
        "format_version": _FORMAT_VERSION,
        "model": model.config.to_dict(),
        "license": model.metadata.license,
        "provenance": model.metadata.provenance,
    }
    with atomic_write(folder / WEIGHTS_FILE) as file:
        file.write(data)
    with atomic_write(folder / CONFIG_FILE) as file:
        file.write((json.dumps(config, indent=2) + "\n").encode())
    if not (folder / CARD_FILE).exists():
        with atomic_write(folder / CARD_FILE) as file:
            file.write(model_card(model, details).encode())


def load(cls: type[Model], folder_or_hub_id: str | Path, **hub_options: Any) -> Model:
    """Read a folder, or a repository of the Hub, into a new model of class `cls`, on the CPU and in eval mode.

    Raises: CheckpointError: not found, truncated, of a newer format, or keys or shapes differ from the model's.
    """
    config_path, weights_path = _locate(folder_or_hub_id, hub_options)
    config, metadata = _read_config(config_path)
    model = cls(config, replace(metadata, weights_sha256=_sha256(weights_path)))
    load_tensors_strictly(model, _read_tensors(weights_path), str(weights_path))
    return model.eval()


def load_tensors_strictly(module: torch.nn.Module, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Copy `tensors` into `module`, every one into its place.

    Raises: CheckpointError: names the keys that are missing, left over, of another shape, or not finite.
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
        for names, what in ((missing, "keys missing"), (extra, "keys too many"), (reshaped, "of another shape"))
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{source} does not fit the model: {'; '.join(problems)}. It belongs to another preset or scale factor."
        )
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(f"{source} holds values that are not finite, in {_some(broken)}. Take another file.")
    module.load_state_dict(tensors)


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
            f"{folder_or_hub_id} is no folder here, and the Hugging Face Hub could not be reached to look for it there."
        ) from error
    except EntryNotFoundError as error:
        raise CheckpointError(
            f"{folder_or_hub_id} on the Hugging Face Hub is not a checkpoint of this package: {error}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"Could not fetch {folder_or_hub_id} from the Hugging Face Hub: {error}") from error
    return paths[0], paths[1]


def _read_config(path: Path) -> tuple[ModelConfig, Metadata]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version, model = values["format_version"], values["model"]
        metadata = Metadata(str(values["license"]), str(values["provenance"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a configuration of this package ({error!r}); choose another.") from error
    if version != _FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version!r}; this release reads version {_FORMAT_VERSION}. Update the package."
        )
    try:
        return ModelConfig.from_dict(model), metadata
    except InputError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or is no safetensors file ({error}); fetch it again.") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

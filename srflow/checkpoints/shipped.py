"""Finds the checkpoints that come with the repository, and the default one among them."""

from __future__ import annotations

from pathlib import Path

from srflow.contract import CheckpointError
from srflow.shipped_files import shipped_folder

__all__ = ["DEFAULT_CHECKPOINT", "resolve_checkpoint", "shipped_checkpoints"]

_FOLDER = shipped_folder("checkpoints")
DEFAULT_CHECKPOINT = "srflow-da-r-x4-compact"


def shipped_checkpoints() -> list[Path]:
    """Return the folders of all shipped checkpoints, sorted by name; empty if the package is installed without them."""
    return sorted(path.parent for path in _FOLDER.glob("*/config.json"))


def resolve_checkpoint(name: str | Path | None) -> str | Path:
    """Return what `SRFlow.from_pretrained` should load: a shipped checkpoint by its name, otherwise `name` itself.

    Args: name: of a shipped checkpoint, a folder, or a Hub id; None: the default one.
    Raises: CheckpointError: None is given and the default one does not exist.
    """
    folder = _FOLDER / str(name or DEFAULT_CHECKPOINT)
    if (folder / "config.json").is_file():
        return folder
    if name is not None and Path(name).is_file():
        raise CheckpointError(
            f"{name} is a file, but a checkpoint is a folder. Convert the file first: python -m srflow convert "
            f"{name} FOLDER."
        )
    if name is None:
        raise CheckpointError(f"There is no {folder}; run from the repository, or name a checkpoint (--model).")
    return name

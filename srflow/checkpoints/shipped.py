"""Where the checkpoints that come with the repository are, and which of them is used when none is named."""

from __future__ import annotations

from pathlib import Path

from srflow.contract import CheckpointError
from srflow.shipped_files import shipped_folder

__all__ = ["DEFAULT_CHECKPOINT", "resolve_checkpoint", "shipped_checkpoints"]

_FOLDER = shipped_folder("checkpoints")
DEFAULT_CHECKPOINT = "srflow-da-r-x4-compact"


def shipped_checkpoints() -> list[Path]:
    """The folders of all shipped checkpoints, sorted by name; empty where the package is installed without them."""
    return sorted(path.parent for path in _FOLDER.glob("*/config.json"))


def resolve_checkpoint(name: str | Path | None) -> str | Path:
    """What `SRFlow.from_pretrained` is to load: a shipped checkpoint by its name, else `name` itself.

    Args: name: of a shipped checkpoint, a folder, or a Hub id; None takes the default one.
    Raises: CheckpointError: if None is given and the default one is not there.
    """
    folder = _FOLDER / str(name or DEFAULT_CHECKPOINT)
    if (folder / "config.json").is_file():
        return folder
    if name is not None and Path(name).is_file():
        raise CheckpointError(
            f"{name} is a file; a checkpoint is a folder. Make one of it first: python -m srflow convert {name} FOLDER."
        )
    if name is None:
        raise CheckpointError(f"There is no {folder}; run from the repository, or name a checkpoint (--model).")
    return name

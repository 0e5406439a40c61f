"""The paths of checkpoints and assets that come with the package: in a checkout at its root, in a wheel inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

__all__ = ["shipped_folder"]

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(kind: Literal["checkpoints", "assets"]) -> Path:
    """Return the folder of that name. It may lack a file: a wheel contains only the default model."""
    inside = _PACKAGE / f"shipped_{kind}"  # named so in pyproject.toml
    return inside if inside.is_dir() else _PACKAGE.parent / kind

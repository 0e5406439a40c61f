"""MkDocs hooks: they let the documentation use the pictures of the README without a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ASSETS = Path(__file__).resolve().parents[1] / "assets"


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures in `assets/` as if they were in the documentation's folder."""
    for path in sorted(_ASSETS.glob("*.*")):
        if path.suffix in (".png", ".jpg"):
            files.append(File.generated(config, f"assets/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Rewrite links to these pictures, which are relative to the repository, for the site."""
    return markdown.replace("](../assets/", "](assets/")

"""The viewer's script: the modules in `src`, joined into the one string that Gradio runs."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["MODULES", "SOURCE_FOLDER", "join_modules"]

SOURCE_FOLDER = Path(__file__).with_name("src")
MODULES = (
    *("geometry", "values", "budget", "keys", "choices", "messages"),  # without the DOM: tested by node alone
    *("dom", "images", "loader", "pictures", "draw", "differences", "panes", "tools", "lens", "crops", "wipe"),
    *("toolbar", "chooser", "help", "readout", "keyboard", "viewport", "scene", "actions", "describe"),
    *("viewer", "index"),
)
"""In an order in which each class comes after the one it extends."""

_IMPORT = re.compile(r"^import [^;]*;\n", flags=re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class) )", flags=re.MULTILINE)


def join_modules() -> str:
    """One script of all modules, without their import and export words: top-level names must differ between modules."""
    texts = ((SOURCE_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in MODULES)
    return '"use strict";\n' + "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)

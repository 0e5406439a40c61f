"""The viewer's script and style: many files, each kind joined into the one string that Gradio accepts."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["MODULES", "SOURCE_FOLDER", "join_modules", "join_styles"]

SOURCE_FOLDER = Path(__file__).with_name("src")
MODULES = (
    *("geometry", "values", "budget", "keys", "choices", "messages"),  # without the DOM: tested with node alone
    *("maskgrid", "maskruns", "maskcontour", "maskboxes", "maskstate", "maskkeys"),  # the same
    *("heatgrid", "heatstate", "walking", "steps", "latest", "spread"),  # the same
    *(
        "dom",
        "images",
        "loader",
        "pictures",
        "draw",
        "layers",
        "differences",
        "panes",
        "tools",
        "lens",
        "crops",
        "wipe",
    ),
    *("masklayer", "masktools", "maskring", "maskrow", "maskeditor", "heatlayer", "heatrow", "heateditor"),
    *("walk", "parents", "sliders", "sourcetool", "scribble"),
    *("wishmenu", "editmenu", "textmenu", "candidatefiles", "piecemenu", "waysmenu", "explorebar", "exploring"),
    *("measure", "namefield", "history"),
    *("toolbar", "chooser", "help", "readout", "keyboard", "viewport", "scene", "actions", "describe"),
    *("viewer", "index"),
)
"""Ordered such that each class comes after the one it extends."""

STYLES = ("viewer.css", "mask.css", "heat.css", "explore.css", "ways.css", "sliders.css", "history.css")

_IMPORT = re.compile(r"^import [^;]*;\n", flags=re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class) )", flags=re.MULTILINE)


def join_modules() -> str:
    """Join all modules into one script, without their import and export statements: top-level names must be unique."""
    texts = ((SOURCE_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in MODULES)
    return '"use strict";\n' + "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def join_styles() -> str:
    """Join all style sheets."""
    return "\n".join((SOURCE_FOLDER.parent / name).read_text(encoding="utf-8") for name in STYLES)

"""The results: status line and linked viewer."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from app.viewer import LinkedViewer
from app.views import status_html

__all__ = ["ResultsPanel", "build"]


@dataclass(frozen=True)
class ResultsPanel:
    """Components."""

    status: gr.HTML
    viewer: LinkedViewer


def build() -> ResultsPanel:
    """Lay the panel out."""
    status = gr.HTML(status_html("Loading the model …"), elem_id="status", padding=False)
    return ResultsPanel(status, LinkedViewer(elem_id="viewer"))

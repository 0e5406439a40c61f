"""Numbers: the table of samples, and how they lie to each other: LPIPS matrix and atlas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.state import Run
from app.views import atlas_html, empty_figure, matrix_figure, numbers_html

__all__ = ["NumbersPanel", "build"]

_MATRIX_HINT = "Switch on “Compare all pairs” under More."
_ATLAS_HINT = '<p class="quiet">Samples that look alike will lie close together here.</p>'


@dataclass(frozen=True)
class NumbersPanel:
    """Components."""

    table: gr.HTML
    atlas: gr.HTML
    matrix: gr.Plot

    def show_final(self, run: Run | None) -> dict[Any, Any]:
        """Values for all of them, once the run is finished."""
        values = {self.table: numbers_html(run), self.atlas: _ATLAS_HINT, self.matrix: empty_figure(_MATRIX_HINT)}
        if run is not None and len(run.atlas) == len(run.samples) > 1:
            values[self.atlas] = atlas_html(run, run.atlas)
        if run is not None and run.pairwise is not None:
            values[self.matrix] = matrix_figure(run.pairwise, [str(index + 1) for index in run.summary_indices])
        return values


def build() -> NumbersPanel:
    """Lay the panel out."""
    table = gr.HTML(numbers_html(None), elem_id="numbers")
    with gr.Row():
        with gr.Column(min_width=280):
            gr.HTML('<h4 class="figure-title">Atlas: alike is near (click a dot)</h4>')
            atlas = gr.HTML(_ATLAS_HINT, elem_id="atlas")
        with gr.Column(min_width=280):
            matrix = gr.Plot(empty_figure(_MATRIX_HINT), label="LPIPS of every two samples", elem_classes="plot-tall")
    return NumbersPanel(table, atlas, matrix)

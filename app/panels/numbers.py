"""Numbers: the table of samples, and how similar they are to each other: LPIPS matrix and similarity map."""

from __future__ import annotations

from collections.abc import Collection

import gradio as gr

from app.page import Page
from app.records import View
from app.tasks import Part, Values
from app.views import atlas_html, empty_figure, matrix_figure, numbers_html

__all__ = ["NumbersPanel"]

_MATRIX_HINT = "Switch on “Compare all pairs” under More."
_ATLAS_HINT = '<p class="quiet">Similar samples will lie close together here.</p>'


class NumbersPanel:
    """Table, similarity map and matrix."""

    def __init__(self) -> None:
        self.table = gr.HTML(numbers_html(None), elem_id="numbers")
        with gr.Row():
            with gr.Column(min_width=280):
                gr.HTML(
                    '<h2 class="figure-title">Similarity map: similar samples lie close together. '
                    "Click one to show it.</h2>"
                )
                self.atlas = gr.HTML(_ATLAS_HINT, elem_id="atlas")
            with gr.Column(min_width=280):
                self.matrix = gr.Plot(empty_figure(_MATRIX_HINT), label="Pairwise LPIPS", elem_classes="plot-tall")
        self.outputs = [self.table, self.atlas, self.matrix]
        self.streamed = [self.table]

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """The table with each sample; the rest at the end."""
        run = view.run
        if Part.END not in changed:
            return {self.table: numbers_html(run)} if Part.SAMPLES in changed else {}
        values: Values = {
            self.table: numbers_html(run),
            self.atlas: _ATLAS_HINT,
            self.matrix: empty_figure(_MATRIX_HINT),
        }
        if run is not None and len(run.atlas) == len(run.samples) > 1:
            values[self.atlas] = atlas_html(run)
        if run is not None and run.pairwise is not None:
            values[self.matrix] = matrix_figure(run.pairwise, [str(index + 1) for index in run.summary_indices])
        return values

    def wire(self, page: Page) -> None:
        """Rows and dots show their sample without asking the server; see page.js."""

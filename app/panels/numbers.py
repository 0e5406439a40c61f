"""Numbers: the table of samples, and how similar they are to each other: LPIPS matrix and similarity map."""

from __future__ import annotations

from collections.abc import Collection

import gradio as gr

from app.page import Page
from app.records import View
from app.tasks import Part, Values
from app.views import atlas_html, matrix_figure, numbers_html

__all__ = ["NumbersPanel"]

_MATRIX_HINT = '<p class="quiet">Switch on “Compare all pairs” under More to have it measured.</p>'
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
                gr.HTML('<h2 class="figure-title">Pairwise LPIPS: how different two samples look.</h2>')
                self.hint = gr.HTML(_MATRIX_HINT)
                self.matrix = gr.Plot(show_label=False, label="Pairwise LPIPS", visible=False, elem_classes="plot-tall")
        self.outputs = self.streamed = [self.table]
        self.figures = [self.atlas, self.hint, self.matrix]

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return the table, after each sample."""
        return {self.table: numbers_html(view.run)} if {Part.SAMPLES, Part.END} & set(changed) else {}

    def draw_figures(self, view: View) -> Values:
        """Return the similarity map, and the matrix if it was computed."""
        run = view.run
        has_atlas = run is not None and len(run.atlas) == len(run.samples) > 1
        matrix = None
        if run is not None and run.pairwise is not None:
            matrix = matrix_figure(run.pairwise, [str(index + 1) for index in run.summary_indices])
        return {
            self.atlas: gr.update(value=atlas_html(run) if run and has_atlas else _ATLAS_HINT, visible=True),
            self.hint: gr.update(value=_MATRIX_HINT, visible=matrix is None),
            self.matrix: gr.update(value=matrix, visible=matrix is not None),
        }

    def wire(self, page: Page) -> None:
        """Rows and dots show their sample without the server; see page.js."""

"""The diversity map's numbers: how much the samples differ, whether the map has converged, and its histogram."""

from __future__ import annotations

import html
from collections.abc import Collection

import gradio as gr

from app.checks import read_choice
from app.page import Event, Page
from app.panels.results import ResultsPanel
from app.records import Run, View
from app.runs import load_map
from app.scenes import main_scene
from app.tasks import Part, Values
from app.thumbnails import recall
from app.views import histogram, rank_figure
from app.wording import MEASURES

__all__ = ["DiversityPanel"]


class DiversityPanel:
    """The choice of the map that the viewer lays over the pictures, and its numbers."""

    def __init__(self, page: Page, results: ResultsPanel) -> None:
        self.page, self.results = page, results
        with gr.Row(elem_classes="bar-row"):
            self.measure = gr.Radio(
                [(label, key) for key, label in MEASURES.items()],
                value="luma",
                label="Map of",
                elem_id="measure",
            )
            self.readout = gr.HTML(_readout_html(None), elem_id="readout")
        with gr.Row():
            self.histogram = gr.Plot(
                label="How much the samples differ",
                visible=False,
                elem_classes="plot-low",
                elem_id="histogram",
                min_width=280,
            )
            self.ranks = gr.Plot(
                label="Truth among the samples",
                visible=False,
                elem_classes="plot-low",
                elem_id="ranks",
                min_width=280,
            )
        self.outputs = [self.measure, self.readout]
        self.streamed = [self.readout]
        self.figures = [self.histogram, self.ranks]

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return the numbers with each map; at the end, also which map is shown."""
        run = view.run
        if not {Part.MAP, Part.END} & set(changed):
            return {}
        values: Values = {self.readout: _readout_html(run)}
        if Part.END in changed:
            values[self.measure] = view.measure
        return values

    def draw_figures(self, view: View) -> Values:
        """Return the histogram, and the ranks of the truth if it is known."""
        run = view.run
        figure = None if run is None or not run.overlays else histogram(load_map(run, view.measure))
        check = None if run is None or run.bars is None else run.bars.check
        ranks = None if check is None else rank_figure(check.ranks)
        return {
            self.histogram: gr.update(value=figure, visible=figure is not None),
            self.ranks: gr.update(value=ranks, visible=ranks is not None),
        }

    def wire(self, page: Page) -> None:
        """Wire the choice between luma and RGB; both maps exist already."""
        page.ask(self.measure.input, self.choose, [self.measure], [*self.figures, self.results.viewer])

    def choose(self, event: Event) -> Values:
        """Show the other map, without disturbing running work."""
        name = read_choice(event.values[self.measure], "The measure", MEASURES)
        view = event.session.amend(event.serial, measure=name)
        if view is None:
            return {self.page.status: gr.skip()}
        return self.draw_figures(view) | {self.results.viewer: main_scene(recall(event.session, view))}


def _readout_html(run: Run | None) -> str:
    if run is None or run.diversity is None:
        return '<p class="readout quiet">Draw two samples or more to see how much they differ.</p>'
    parts = [f"Mean σ <b>{run.diversity:.2f}</b> (8-bit units)"]
    change = run.split_half_change
    if change is None:
        parts.append("draw at least 4 samples to see whether the map has converged")
    else:
        verdict = "converged" if change < 0.15 else "nearly converged" if change < 0.5 else "not converged yet"
        parts.append(f"{verdict}: two halves of the set disagree by <b>{100 * change:.0f} %</b>")
    if run.bars is not None:
        parts.append(html.escape(run.bars.sentence()))
    return f'<p class="readout">{" · ".join(parts)}</p>'

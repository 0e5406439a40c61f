"""The diversity map: a figure with values on hover, whether it is settled, and its histogram."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.checks import read_choice
from app.page import Page, error_html
from app.panels.results import ResultsPanel
from app.runs import MEASURES, build_scene, load_map, write_map
from app.state import Run, Visitor
from app.views import empty_figure, heat_map, histogram, scale_top
from srflow.contract import InputError

__all__ = ["DiversityPanel", "build", "read_measure", "wire"]

_HINT = "Draw two samples or more."


@dataclass(frozen=True)
class DiversityPanel:
    """Components."""

    measure: gr.Radio
    readout: gr.HTML
    heat_map: gr.Plot
    histogram: gr.Plot

    @property
    def shown(self) -> list[Any]:
        """What `show` gives values for."""
        return [self.readout, self.heat_map, self.histogram]

    def show(self, run: Run | None) -> dict[Any, Any]:
        """Values that show a run's map."""
        if run is None or run.overlay is None:
            empty = empty_figure(_HINT)
            return {self.readout: _readout_html(run), self.heat_map: empty, self.histogram: empty}
        values = load_map(run, run.measure)
        return {
            self.readout: _readout_html(run),
            self.heat_map: heat_map(values, scale_top(values)),
            self.histogram: histogram(values),
        }


def build() -> DiversityPanel:
    """Lay the panel out."""
    with gr.Row(elem_classes="bar-row"):
        measure = gr.Radio(
            [(label, key) for key, label in MEASURES.items()],
            value="luma",
            label="Standard deviation of",
            elem_id="measure",
        )
        readout = gr.HTML(_readout_html(None), elem_id="readout")
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            shown = gr.Plot(
                empty_figure(_HINT), label="Where the samples differ", elem_classes="plot-tall", elem_id="heat-map"
            )
        with gr.Column(scale=2, min_width=260):
            bars = gr.Plot(empty_figure(_HINT), label="How much they differ", elem_classes="plot-tall")
    return DiversityPanel(measure, readout, shown, bars)


def wire(page: Page, panel: DiversityPanel, results: ResultsPanel) -> Callable[..., dict[Any, Any]]:
    """Luma or RGB: figures and overlay are made anew from what is on disk. Returns the handler."""

    def remeasure(visitor: Visitor | None, measure: object) -> dict[Any, Any]:
        try:
            visitor, name = page.check(visitor), read_measure(measure)
            run = visitor.run
            if run is not None:
                run.measure = name
            if run is None or run.overlay is None:
                return {results.status: gr.skip()}
            write_map(page.engine, run)
            return panel.show(run) | {results.viewer: build_scene(run, waiting=not run.finished)}
        except (InputError, OSError) as error:
            return {results.status: error_html(error)}

    panel.measure.input(
        remeasure,
        [page.visitor, panel.measure],
        [*panel.shown, results.viewer, results.status],
        show_progress="hidden",
        api_visibility="private",
    )
    return remeasure


def read_measure(value: object) -> str:
    """Which standard deviation is wanted: a key of `MEASURES`."""
    return read_choice(value, "The measure", MEASURES)


def _readout_html(run: Run | None) -> str:
    if run is None or run.diversity is None:
        return '<p class="readout quiet">σ over the samples, for each pixel.</p>'
    parts = [f"Mean σ <b>{run.diversity:.2f}</b> (8-bit units)"]
    change = run.split_half_change
    if change is None:
        parts.append("4 samples or more tell whether the map is settled")
    else:
        verdict = (
            "settled" if change < 0.15 else "more samples would still change it" if change < 0.5 else "not settled yet"
        )
        parts.append(f"{html.escape(verdict)}: even and odd samples differ by <b>{100 * change:.0f} %</b> of σ")
    return f'<p class="readout">{" · ".join(parts)}</p>'

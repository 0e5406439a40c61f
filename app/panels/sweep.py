"""Temperature sweep: the same noise at several temperatures, in a strip, with numbers over temperature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.checks import read_int
from app.page import MODEL_WORK, Page, error_html
from app.panels.controls import ControlsPanel
from app.panels.results import ResultsPanel
from app.state import Job, Visitor
from app.sweeps import SWEEP_TEMPERATURES, Sweep, sweep
from app.viewer import LinkedViewer, Picture, Scene
from app.views import empty_figure, status_html, sweep_figure
from srflow.contract import Cancelled, InputError

__all__ = ["SweepPanel", "build", "wire"]


@dataclass(frozen=True)
class SweepPanel:
    """Components."""

    button: gr.Button
    num_samples: gr.Slider
    viewer: LinkedViewer
    figure: gr.Plot


def build() -> SweepPanel:
    """Lay the panel out."""
    with gr.Row(elem_classes="bar-row", elem_id="sweep-row"):
        button = gr.Button("Sweep the temperature", size="sm", min_width=160, elem_id="sweep")
        num_samples = gr.Slider(
            1,
            8,
            value=3,
            step=1,
            label="Samples at each temperature",
            info="two or more for the diversity",
            min_width=200,
        )
    viewer = LinkedViewer(label="The same noise at several temperatures", elem_id="sweep-viewer")
    figure = gr.Plot(
        empty_figure("Numbers over temperature"), label="Over temperature", show_label=False, elem_classes="plot-low"
    )
    return SweepPanel(button, num_samples, viewer, figure)


def wire(page: Page, panel: SweepPanel, controls: ControlsPanel, results: ResultsPanel) -> None:
    """Run the sweep with the settings of the controls, but for the temperature."""

    def run(visitor: Visitor | None, num_samples: object, *values: Any) -> Iterator[dict[Any, Any]]:
        job: Job | None = None
        try:
            visitor = page.check(visitor)
            if visitor.picture is None:
                raise InputError("There is no picture yet. Drop one, or choose an example.")
            settings = controls.read(values, page.engine.info())
            count = read_int(num_samples, "The number of samples", 1, 8)
            job = visitor.begin()
            shown: dict[Any, Any] = {}  # in every message, see `wiring`
            for news in sweep(page.engine, visitor, settings, count, job):
                shown = _show(panel, news.sweep) if news.sweep else shown
                yield {results.status: status_html(news.text, news.fraction)} | shown
            yield {results.status: status_html("The sweep is done.", kind="done")} | shown
        except Cancelled:
            if job is not None and page.check(visitor).is_current(job):
                yield {results.status: status_html("Stopped.")}
        except Exception as error:
            yield {results.status: error_html(error)}
        finally:
            page.tidy()

    panel.button.click(
        run,
        [page.visitor, panel.num_samples, *controls.inputs],
        [panel.viewer, panel.figure, results.status],
        show_progress="hidden",
        trigger_mode="multiple",
        api_visibility="private",
        **MODEL_WORK,
    )


def _show(panel: SweepPanel, result: Sweep) -> dict[Any, Any]:
    pictures = [
        Picture(f"t{number}", f"τ = {temperature:g}", result.paths.get(temperature))
        for number, temperature in enumerate(SWEEP_TEMPERATURES)
    ]
    scene = Scene(result.width, result.height, pictures, subject=result.subject)
    return {panel.viewer: scene, panel.figure: sweep_figure(result.points)}

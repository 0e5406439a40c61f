"""Temperature sweep: the same noise at several temperatures, side by side, with numbers over temperature."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import gradio as gr

from app.checks import read_int
from app.flows import open_wanted
from app.page import Event, Page
from app.panels.controls import ControlsPanel
from app.records import View
from app.scenes import sweep_scene
from app.session import Job
from app.sweeps import sweep
from app.tasks import Part, Update, Values, Work
from app.viewer import LinkedViewer
from app.views import sweep_figure

__all__ = ["SweepPanel"]


class SweepPanel:
    """A strip of samples and a figure."""

    def __init__(self, page: Page, controls: ControlsPanel) -> None:
        self.page, self.controls = page, controls
        with gr.Row(elem_classes="bar-row", elem_id="sweep-row"):
            self.button = gr.Button("Sweep the temperature", size="sm", min_width=160, elem_id="sweep")
            self.num_samples = gr.Slider(
                1,
                8,
                value=3,
                step=1,
                label="Samples at each temperature",
                info="two or more for the diversity",
                min_width=200,
            )
        self.viewer = LinkedViewer(label="The same noise at several temperatures", elem_id="sweep-viewer")
        self.figure = gr.Plot(
            label="Over temperature",
            show_label=False,
            visible=False,
            elem_classes="plot-low",
            elem_id="over-temperature",
        )
        self.outputs = self.streamed = [self.viewer]
        self.figures = [self.figure]

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return the strip as it grows."""
        return {self.viewer: sweep_scene(view)} if {Part.SWEEP, Part.PICTURE} & set(changed) else {}

    def draw_figures(self, view: View) -> Values:
        """Return the numbers over temperature."""
        points = () if view.sweep is None else view.sweep.points
        return {self.figure: gr.update(value=sweep_figure(points) if points else None, visible=bool(points))}

    def wire(self, page: Page) -> None:
        """Wire the button; it uses the settings of the controls except the temperature."""
        page.start(self.button.click, self.run, [self.num_samples, *self.controls.inputs.values()])

    def run(self, event: Event) -> Work:
        """Draw samples at each temperature."""

        def work(job: Job) -> Iterator[Update]:
            engine = self.page.engine
            settings = self.controls.read(event.values, engine.info())
            count = read_int(event.values[self.num_samples], "The number of samples", 1, 8)
            yield from open_wanted(self.page, event.session, job, settings)
            picture = event.session.view.picture
            assert picture is not None
            yield from sweep(engine, event.session, job, picture, settings, count)

        return work

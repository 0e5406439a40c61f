"""The history: going to any step by a click, names, pins, and the step with which others are compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from app.page import Event, Page
from app.panels.controls import ControlsPanel
from app.panels.results import ResultsPanel
from app.records import View
from app.scenes import main_scene
from app.session import STEP_GONE, Job
from app.strip import caption_of
from app.tasks import ALL, Part, Update, Values, Work
from app.thumbnails import recall
from app.viewer import parse_mark, parse_step
from app.views import status_html
from srflow.contract import InputError

__all__ = ["HistoryPanel"]


class HistoryPanel:
    """Carries out what the viewer's history strip requests. The panel has no components of its own."""

    def __init__(self, page: Page, results: ResultsPanel, controls: ControlsPanel) -> None:
        self.page, self.results, self.controls = page, results, controls
        self.outputs: list[Any] = []
        self.streamed = self.outputs

    def show(self, _view: View, _changed: Collection[Part]) -> Values:
        """Return nothing: the viewer shows the history."""
        return {}

    def wire(self, page: Page) -> None:
        """Wire the strip: going to a step cancels running work; names and pins do not."""
        viewer = self.results.viewer
        page.start(viewer.travel, self.travel, has_data=True)
        page.ask(viewer.mark, self.mark, outputs=[viewer], has_data=True)

    def travel(self, event: Event) -> Work:
        """Go to a step: picture, samples, explored picture and settings as they were."""

        def work(job: Job) -> Iterator[Update]:
            view = event.session.go(job, parse_step(event.data))
            if view is None:
                raise InputError(STEP_GONE)
            shown = {} if view.settings is None else self.controls.show_settings(view.settings, self.page.engine.info())
            [step] = [step for step in event.session.steps() if step.is_current]
            text = f"Back at: {step.name or caption_of(step)}."
            yield Update(text=text, changed=ALL, values=shown, kind="done", spoken=True)

        return work

    def mark(self, event: Event) -> Values:
        """Handle a name, a pin, or the choice of a step to compare with."""
        session, mark = event.session, parse_mark(event.data)
        if mark.action == "compare":
            session.compare(event.serial, mark.number)
            text = "Ready to compare in the viewer: W for the wipe, D for the difference, K for that step alone."
        elif mark.action == "pin":
            session.pin_step(event.serial, mark.number, mark.is_pinned)
            text = "Pinned: this step is kept when older ones are removed." if mark.is_pinned else "No longer pinned."
        else:
            session.name_step(event.serial, mark.number, mark.name)
            text = f"Named “{mark.name}”." if mark.name else "The name was removed."
        scene = main_scene(recall(session, session.view))
        return {self.page.status: status_html(text, kind="done", spoken=True), self.results.viewer: scene}

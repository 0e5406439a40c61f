"""Exports of the whole set as data for other programs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app.checks import read_choice
from app.exports import FORMATS, export
from app.page import Event, Page
from app.panels.download import SAVE
from app.panels.measure import MeasurePanel
from app.records import View
from app.tasks import Part, Values
from app.views import status_html

__all__ = ["ExportPanel"]


class ExportPanel:
    """A choice of formats and a button, next to the downloads. file: hidden; the browser fetches the file from it."""

    def __init__(self, page: Page, measure: MeasurePanel) -> None:
        self.page, self.measure = page, measure
        with gr.Row(elem_id="exports", elem_classes="bar-row"):
            self.form = gr.Dropdown(
                [(label, name) for name, label in FORMATS.items()],
                value="npz",
                label="All samples as data",
                elem_id="export-format",
                min_width=140,
            )
            self.button = gr.Button("Export", size="sm", min_width=80, elem_id="export")
        self.file = gr.File(visible="hidden", elem_id="export-file")
        self.outputs: list[Any] = []
        self.streamed = self.outputs

    def show(self, _view: View, _changed: Collection[Part]) -> Values:
        """Return nothing: the choice is always the same."""
        return {}

    def wire(self, page: Page) -> None:
        """Wire the button: the file is prepared, then the browser saves it."""
        ready = page.follow(self.button.click, self.give, [self.form], [self.file], on_error={self.file: None})
        ready.then(None, self.file, None, js=SAVE)

    def give(self, event: Event) -> Iterator[Values]:
        """Prepare the file, and show the progress."""
        form = read_choice(event.values[self.form], "The format", FORMATS)
        session = event.session
        for told in export(self.page.engine, self.measure.samples, session.view, form, session.download_folder()):
            if isinstance(told, Path):
                done = status_html(f"Exported: {told.name}", kind="done", spoken=True)
                yield {self.file: str(told), self.page.status: done}
            else:
                yield {self.page.status: status_html(told.text, told.fraction, spoken=False)}

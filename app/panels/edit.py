"""A picture that was downloaded, edited elsewhere, and is brought back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app.edits import draw_edit, find_edited
from app.page import Event, Page
from app.records import PictureRecord, View
from app.session import Job
from app.tasks import Part, Update, Values, Work
from srflow.contract import InputError

__all__ = ["EditPanel"]


class EditPanel:
    """One button, beside the downloads."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.button = gr.UploadButton(
            "Bring back a download that you edited",
            size="sm",
            file_types=["image"],
            elem_id="bring-back",
            min_width=140,
        )
        self.outputs: list[Any] = []
        self.streamed = self.outputs

    def show(self, _view: View, _changed: Collection[Part]) -> Values:
        """The viewer shows it all."""
        return {}

    def wire(self, page: Page) -> None:
        """An upload begins the work."""
        page.start(self.button.upload, self.work, [self.button])

    def work(self, event: Event) -> Work:
        """Find out of what it is an edit, and bring that back to what fits the input."""

        def work(job: Job) -> Iterator[Update]:
            view = event.session.view
            candidates = _candidates(view)
            if view.picture is None or not candidates:
                raise InputError("There are no samples that the file could be an edit of. Press Sample first.")
            file = event.values[self.button]
            if not isinstance(file, str):
                raise InputError("No file has come in. Please try again.")
            yield Update(text="Comparing the file with the pictures here", fraction=0.0)
            edited = find_edited(self.page.engine, Path(file), candidates, view.picture.scale_factor)
            yield from draw_edit(self.page.engine, event.session, job, view.picture, edited)

        return work


def _candidates(view: View) -> list[PictureRecord]:
    """All pictures here that have a recipe, what is explored first."""
    explored = [] if view.explored is None else [view.explored.state, *view.explored.ways]
    samples = [] if view.run is None else list(view.run.samples)
    return [picture for picture in (*explored, *samples) if picture.recipe is not None]

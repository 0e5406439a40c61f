"""Uploads that change a region: a download that was edited elsewhere, and a photo that provides grain."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app.edits import draw_edit, find_edited
from app.exploring import find_base
from app.grain import draw_grain, middle_of
from app.page import Event, Page
from app.panels.controls import new_seed
from app.records import PictureRecord, View
from app.session import Job
from app.tasks import Part, Update, Values, Work
from srflow.contract import InputError

__all__ = ["EditPanel"]


class EditPanel:
    """Two upload buttons below the pictures."""

    def __init__(self, page: Page) -> None:
        self.page = page
        with gr.Row(elem_classes="bar-row", elem_id="files-in"):
            self.button = _upload("Open an edited file", "bring-back")
            self.photo = _upload("Grain from a photo", "grain-photo")
        self.outputs: list[Any] = []
        self.streamed = self.outputs

    def show(self, _view: View, _changed: Collection[Part]) -> Values:
        """Return nothing: the viewer shows the results."""
        return {}

    def wire(self, page: Page) -> None:
        """Wire the uploads, each of which starts the work."""
        page.start(self.button.upload, self.work, [self.button])
        page.start(self.photo.upload, self.give_grain, [self.photo])

    def work(self, event: Event) -> Work:
        """Find which picture the file is an edit of, and make the edit match the input."""

        def work(job: Job) -> Iterator[Update]:
            view = event.session.view
            candidates = _candidates(view)
            if view.picture is None or not candidates:
                raise InputError("There are no samples yet that the file could be an edit of. Press Sample first.")
            file = _file(event.values[self.button])
            yield Update(text="Comparing the file with the pictures here", fraction=0.0)
            edited = find_edited(self.page.engine, file, candidates, view.picture.scale_factor)
            yield from draw_edit(self.page.engine, event.session, job, view.picture, edited)

        return work

    def give_grain(self, event: Event) -> Work:
        """Give the last selected region the grain of a photo."""

        def work(job: Job) -> Iterator[Update]:
            engine, session = self.page.engine, event.session
            view = session.view
            picture, chosen = view.picture, view.chosen
            if picture is None or chosen is None or chosen.place is None or chosen.subject != picture.subject:
                raise InputError("No region is selected. Paint over one first, then give it the grain of a photo.")
            base, _ = find_base(session, chosen.base)
            source = middle_of(engine.read_picture(_file(event.values[self.photo])).pixels)
            yield from draw_grain(engine, session, job, picture, base, chosen.place, source, new_seed())

        return work


def _upload(label: str, name: str) -> gr.UploadButton:
    return gr.UploadButton(label, size="sm", file_types=["image"], elem_id=name, min_width=240, scale=0)


def _file(value: object) -> Path:
    if not isinstance(value, str):
        raise InputError("No file was received. Please try again.")
    return Path(value)


def _candidates(view: View) -> list[PictureRecord]:
    """Return all pictures with a recipe, the explored one first."""
    explored = [] if view.explored is None else [view.explored.state, *view.explored.ways]
    samples = [] if view.run is None else list(view.run.samples)
    return [picture for picture in (*explored, *samples) if picture.recipe is not None]

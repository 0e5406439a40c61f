"""Downloads: one picture, a whole set as a zip, or a link to the current settings."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import gradio as gr

from app.checks import read_choice
from app.downloads import write_zip
from app.links import MAX_LINK, is_too_long
from app.page import Event, Page
from app.panels.results import ResultsPanel
from app.records import PictureRecord, View
from app.session import Session
from app.tasks import Part, Values
from app.viewer import parse_picture_id
from app.views import status_html
from srflow.contract import InputError

__all__ = ["SAVE", "DownloadPanel"]

SAVE = """(file) => {
    const one = Array.isArray(file) ? file[0] : file;
    if (!one || !one.url) return;
    const link = document.createElement("a");
    link.href = one.url;
    link.download = one.orig_name || "";
    document.body.append(link);
    link.click();
    link.remove();
}"""
"""Makes the browser save the file of a hidden `gr.File`."""

_COPY = """(serial, ...others) => {
    navigator.clipboard?.writeText(window.location.href).catch(() => {});
    return [window.srflowSerial(), ...others];
}"""


class DownloadPanel:
    """The download panel. file: hidden; the browser fetches the prepared file from it."""

    def __init__(self, page: Page, results: ResultsPanel) -> None:
        self.page, self.results = page, results
        with gr.Row(elem_id="downloads", elem_classes="bar-row"):
            self.choice = gr.Dropdown(
                [], label="Picture to download", elem_id="download-choice", min_width=140, interactive=False
            )
            self.png = gr.Button("Download PNG", size="sm", min_width=110, elem_id="download-png")
            self.zip = gr.Button("Download all (zip)", size="sm", min_width=130, elem_id="download-zip")
            self.link = gr.Button("Copy link", size="sm", min_width=80, elem_id="copy-link")
        self.file = gr.File(visible="hidden", elem_id="download-file")
        self.outputs = self.streamed = [self.choice]

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return the list of pictures once a set is finished or a variant was kept."""
        is_kept = Part.EXPLORED in changed and not view.is_walking
        if Part.END not in changed and not is_kept:
            return {}
        labels = _files(view)
        choices = [(label, name) for name, (label, _) in labels.items()]
        value = choices[0][1] if choices else None
        return {self.choice: gr.update(choices=choices, value=value, interactive=bool(choices))}

    def wire(self, page: Page) -> None:
        """Wire the buttons: the file is prepared, then the browser saves it. A picture shown alone becomes the
        selection.
        """
        page.ask(self.results.viewer.pick, self.follow, outputs=[self.choice], has_data=True)
        for button, reply, inputs in ((self.png, self.one, [self.choice]), (self.zip, self.everything, [])):
            # After a failure, the component must not keep the previous file, or the browser would save that again.
            ready = page.ask(button.click, reply, inputs, [self.file], on_error={self.file: None})
            ready.then(None, self.file, None, js=SAVE)
        page.ask(self.link.click, self.tell_link, js=_COPY)

    def one(self, event: Event) -> Values:
        """Prepare one picture, with a descriptive file name."""

        def make(view: View) -> Path:
            files = _files(view)
            name = read_choice(event.values[self.choice], "The picture", files)
            settings, source = view.settings if view.run is None else view.run.settings, files[name][1]
            assert settings is not None
            what = source.stem if name.startswith(("s", "way-")) else name
            target = event.session.download_folder() / secrets.token_hex(4)
            target.mkdir()
            target /= f"tau{settings.temperature:g}-seed{settings.seed}-{what}.png"
            shutil.copyfile(source, target)
            return target

        return self._give(event.session, make)

    def everything(self, event: Event) -> Values:
        """Prepare all pictures and numbers."""
        session = event.session

        def make(view: View) -> Path:
            return write_zip(self.page.engine, view.run, session.download_folder(), _explored(view))

        return self._give(session, make)

    def _give(self, session: Session, make: Callable[[View], Path]) -> Values:
        if not _files(session.view):
            raise InputError("There are no samples to download yet. Press Sample first.")
        return {self.file: str(make(session.view))}

    def follow(self, event: Event) -> Values:
        """Select the picture that was shown alone; ignore a picture that is not finished."""
        data = event.data
        names = _files(event.session.view)
        name = data.get("id") if isinstance(data, dict) else None
        known = isinstance(name, str) and name in names
        return {self.choice: parse_picture_id(data, names) if known else gr.skip()}

    def tell_link(self, event: Event) -> Values:
        """Say what the link contains and what it leaves out."""
        view = event.session.view
        explored = _explored(view)
        if view.picture is None or (view.run is None and explored is None):
            raise InputError("There are no samples to link to yet. Press Sample first.")
        text = "Link copied, with the settings and the example."
        if not view.picture.source.name:
            text = "Link copied, with the settings; your picture is not in it."
            if explored is not None:
                text += " To keep what you explored, use Download PNG: this page can open the PNG again."
        elif explored is not None and is_too_long(view):
            text = (
                f"Link copied without what you explored: it would take more than {MAX_LINK} characters. Use Download "
                "PNG: this page can open the PNG again, with everything that you explored."
            )
        elif explored is not None:
            text = "Link copied, with the settings, the example and what you explored."
        elif not view.picture.is_whole:
            text = "Link copied, with the settings and the example; the crop is not in it."
        return {self.page.status: status_html(text, kind="done")}


def _files(view: View) -> dict[str, tuple[str, Path]]:
    """Return label and file of everything that can be downloaded, by id; the explored picture comes first."""
    run, explored = view.run, _explored(view)
    pictures = [] if explored is None else [explored]
    if run is not None and run.samples:
        pictures += run.pictures
    files = {picture.id: (picture.label, picture.path) for picture in pictures}
    if run is not None and "luma" in run.overlays:
        files["map"] = "Diversity map", Path(run.overlays["luma"].path)
    return files


def _explored(view: View) -> PictureRecord | None:
    explored = view.explored
    return explored.state if explored is not None and explored.has_changes else None

"""Downloads: one picture, or all of a run as a zip."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.checks import read_choice
from app.downloads import write_zip
from app.page import Page, error_html
from app.panels.results import ResultsPanel
from app.runs import picture_files
from app.state import Run, Visitor
from app.viewer import parse_picture_id
from app.wording import REFERENCE_LABELS
from srflow.contract import InputError

__all__ = ["DownloadPanel", "build", "wire"]

_SAVE = """(file) => {
    const one = Array.isArray(file) ? file[0] : file;
    if (!one || !one.url) return;
    const link = document.createElement("a");
    link.href = one.url;
    link.download = one.orig_name || "";
    document.body.append(link);
    link.click();
    link.remove();
}"""


@dataclass(frozen=True)
class DownloadPanel:
    """Components. file: hidden; the browser fetches from it what a handler made ready."""

    choice: gr.Dropdown
    png: gr.Button
    zip: gr.Button
    file: gr.File

    def show(self, run: Run | None) -> dict[Any, Any]:
        """The choice of pictures, for a finished run."""
        choices = [] if run is None else _choices(run)
        value = choices[0][1] if choices else None
        return {self.choice: gr.update(choices=choices, value=value, interactive=bool(choices))}


def _choices(run: Run) -> list[tuple[str, str]]:
    labels = {sample.id: sample.label for sample in run.samples} | REFERENCE_LABELS | {"map": "Diversity map"}
    return [(labels[name], name) for name in picture_files(run)]


def build() -> DownloadPanel:
    """Lay the panel out."""
    with gr.Row(elem_id="downloads", elem_classes="bar-row"):
        choice = gr.Dropdown([], label="Picture", elem_id="download-choice", min_width=140, interactive=False)
        png = gr.Button("Download PNG", size="sm", min_width=110, elem_id="download-png")
        archive = gr.Button("Download all (zip)", size="sm", min_width=130, elem_id="download-zip")
    file = gr.File(visible="hidden", elem_id="download-file")
    return DownloadPanel(choice, png, archive, file)


def wire(page: Page, panel: DownloadPanel, results: ResultsPanel) -> None:
    """A press makes the file ready, and then the browser saves it; the picture looked at alone is the one chosen."""

    def one(visitor: Visitor | None, choice: object) -> Path:
        run = page.check(visitor).run
        if run is None or not run.samples:
            raise InputError("There are no samples to download yet. Press Sample first.")
        files = picture_files(run)
        name = read_choice(choice, "The picture", files)
        settings = run.settings
        what = name if name in run.references else files[name].stem
        stem = f"tau{settings.temperature:g}-seed{settings.seed}-{what}"
        target = run.folder / f"{stem}.png"
        shutil.copyfile(files[name], target)
        return target

    def everything(visitor: Visitor | None) -> Path:
        return write_zip(page.engine, page.check(visitor).run)

    def guarded(make: Callable[..., Path]) -> Callable[..., dict[Any, Any]]:
        def handler(*values: Any) -> dict[Any, Any]:
            try:
                return {panel.file: str(make(*values))}
            except Exception as error:
                return {panel.file: None, results.status: error_html(error)}

        return handler

    def follow(visitor: Visitor | None, event: gr.EventData) -> Any:
        run = page.check(visitor).run
        try:
            return parse_picture_id(event._data, picture_files(run) if run else ())
        except InputError:  # shown while a newer run begins
            return gr.skip()

    results.viewer.pick(
        follow, page.visitor, panel.choice, show_progress="hidden", queue=False, api_visibility="private"
    )
    for button, make, inputs in (
        (panel.png, one, [page.visitor, panel.choice]),
        (panel.zip, everything, [page.visitor]),
    ):
        button.click(
            guarded(make), inputs, [panel.file, results.status], show_progress="hidden", api_visibility="private"
        ).then(None, panel.file, None, js=_SAVE)

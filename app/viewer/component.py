"""The linked viewer as a Gradio component.

A handler returns a `Scene` for the viewer. The browser loads the PNG files that the scene names, and keeps the
visitor's position and zoom while `Scene.subject` stays the same. Files are passed as paths and never re-encoded: the
visitor sees the PNG's pixels. The page must serve the files' folder directly: see `gradio.set_static_paths`.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, Literal

import gradio as gr
from gradio.events import EventListener

from app.viewer.data import SceneData, scene_data
from app.viewer.scene import Scene
from app.viewer.script import join_modules, join_styles

__all__ = ["LinkedViewer"]


class LinkedViewer(gr.HTML):
    """Shows a `Scene`: samples side by side with a shared zoom and position, flipping, a wipe, a loupe and close-ups.

    The viewer is for output only: as an input of an event it returns None, because the page itself knows what it sent.
    Wire events to it with `show_progress="hidden"`, or Gradio dims the pictures while the handler runs.

    Events (their data is in `gr.EventData`; read it with the functions named):
        place: the visitor clicked a position; `parse_place(event._data, width, height)` returns it, and
            `parse_picture_id(event._data, ids)` the picture that was clicked (on the map: the one shown alone last).
        pick: the visitor shows one picture alone; `parse_picture_id(event._data, ids)`.
        mask: the visitor has selected a region, or changed it; `parse_mask(event._data, *scene.grid)`.
        explore: the visitor requests variants, or keeps one: `parse_asked(event._data, *scene.grid)`.
        line: the visitor has drawn a line to measure along; `parse_line(event._data, width, height)`.
        travel: the visitor wants to go to a step of the history; `parse_step(event._data)`.
        mark: the visitor names or pins a step, or compares with it; `parse_mark(event._data)`.
    All but the last two also say which scene they belong to: `parse_subject(event._data, subject)` refuses events from
    another scene. The history is the same for all scenes. messages.json describes the messages in both directions.
    """

    data_model = SceneData
    EVENTS = [  # noqa: RUF012 (Gradio's metaclass reads a list)
        EventListener("place", doc="Triggered when the visitor clicks a position in a picture."),
        EventListener("pick", doc="Triggered when the visitor shows one picture alone."),
        EventListener("mask", doc="Triggered when the visitor has selected a region, or changed it."),
        EventListener("explore", doc="Triggered when the visitor asks for variants of a picture, or chooses one."),
        EventListener("line", doc="Triggered when the visitor has drawn a line to measure along."),
        EventListener("travel", doc="Triggered when the visitor wants to go to a step of the history."),
        EventListener("mark", doc="Triggered when the visitor names or pins a step, or compares with it."),
    ]

    def __init__(
        self,
        value: Scene | None = None,
        *,
        label: str | None = "Linked viewer",
        visible: bool | Literal["hidden"] = True,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        render: bool = True,
    ) -> None:
        super().__init__(
            value,
            label=label,
            html_template="<div></div>",  # never changes: the script builds the content, and keeps it
            css_template=join_styles(),
            js_on_load=join_modules(),
            apply_default_css=False,
            visible=visible,
            elem_id=elem_id,
            elem_classes=elem_classes,
            render=render,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the configuration without "every", which names both a setting and an event of `gr.HTML`.

        Gradio would mistake the event's function for the setting, and then try to copy the whole page for each visitor
        who opens it, and fail.
        """
        config = super().get_config()
        config.pop("every", None)
        return config

    def preprocess(self, payload: Any) -> None:  # noqa: ARG002
        """Return nothing: what a browser says about pictures and files cannot be trusted."""
        return None

    def postprocess(self, value: Scene | None) -> SceneData | None:
        """Turn a scene into the message for the browser. A missing file is left out, and the viewer says so.

        Raises:
            ImageError: a file is not a PNG.
        """
        return None if value is None else scene_data(value)

    def example_payload(self) -> None:
        """Return nothing: the viewer has no input."""
        return None

    def example_value(self) -> None:
        """Return nothing: a scene needs files."""
        return None

    def api_info(self) -> dict[str, Any]:
        """Return the schema of the scene's message."""
        return copy.deepcopy(_schema())


@functools.cache
def _schema() -> dict[str, Any]:
    """Return the schema, built once: Gradio requests it each time a page is opened."""
    return SceneData.model_json_schema()

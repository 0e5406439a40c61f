"""The page without a browser: events are passed to the functions registered in Gradio, as Gradio does."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import gradio as gr
from fake_engine import FakeEngine
from gradio.helpers import special_args

from app.layout import build_page
from app.session import Session
from app.viewer import Scene
from app.visitors import Sessions


class Harness:
    """One visitor. `values` is what the browser would hold for each component."""

    def __init__(self, engine: FakeEngine, sessions: Sessions, *, opening: bool = False, **opened: Any) -> None:
        self.engine = engine
        # Gradio creates a page's web server three times while the page is built, which takes most of the time.
        with mock.patch("gradio.routes.App.create_app"):
            self.page = build_page(engine, sessions, ahead=False)
        if opening:
            self.page.opening.draw()
        else:
            self.page.opening = None
        self.results, self.controls, self.picture, self.numbers, self.diversity, *others = self.page.panels
        self.sweep, self.download, self.edit, self.explore, self.history, self.measure, self.exports = others
        self.open(**opened)

    def open(self, query: dict | None = None, memory: object = None, fragment: object = "") -> list[dict]:
        """Load the page."""
        self.values = {
            block: getattr(block, "value", None)
            for block in self.page.blocks.blocks.values()
            if hasattr(block, "postprocess")
        }
        self.serial = 1
        self.values[self.page.memory], self.values[self.page.query] = memory, fragment
        load, fill = [fn for fn in self.page.blocks.fns.values() if self.page.memory in fn.inputs]
        request = SimpleNamespace(query_params=query or {})
        self.take(next(self._call(load, request=request, serial=1)))
        return list(self._call(fill, request=request, serial=1))

    def find(self, component: Any, event: str) -> Any:
        """Return the function that Gradio calls."""
        return next(fn for fn in self.page.blocks.fns.values() if (component._id, event) in fn.targets and fn.fn)

    def stream(self, component: Any, event: str = "click", data: object = None, serial: int | None = None) -> Iterator:
        """Fire an event; its messages are yielded one by one, and shown."""
        if serial is None:
            self.serial += 1
            serial = self.serial
        return self._call(self.find(component, event), data, serial=serial)

    def fire(self, component: Any, event: str = "click", data: object = None, serial: int | None = None) -> list[dict]:
        """Fire an event, and wait for all of its messages."""
        return list(self.stream(component, event, data, serial))

    def open_tab(self, label: str, serial: int | None = None) -> None:
        """Open another tab."""
        tabs = (block for block in self.page.blocks.blocks.values() if isinstance(block, gr.Tab))
        self.fire(next(tab for tab in tabs if tab.label == label), "select", serial=serial)

    def change(self, name: str, value: object) -> None:
        """Set a control without firing its event."""
        self.values[self.controls.inputs[name]] = value

    def _call(self, fn: Any, data: object = None, request: object = None, serial: int = 0) -> Iterator[dict]:
        values = {component: self.values.get(component) for component in fn.inputs}
        values[self.page.serial] = serial
        event = gr.EventData(target=None, _data=data)
        arguments, *_ = special_args(fn.fn, [values], request, event)
        found = fn.fn(*arguments)
        for shown in [found] if isinstance(found, dict) else found:
            assert set(shown) <= set(fn.outputs), "Gradio refuses values for other components"
            self.take(shown)
            yield shown

    def take(self, shown: dict) -> None:
        """Apply a message as the browser does."""
        for component, value in shown.items():
            if isinstance(value, dict) and value.get("__type__") == "update":
                if "value" in value:
                    self.values[component] = value["value"]
            else:
                self.values[component] = value

    @property
    def session(self) -> Session:
        return self.values[self.page.session]

    @property
    def settings(self) -> list:
        return [self.values[component] for component in self.controls.inputs.values()]

    @property
    def status(self) -> str:
        return self.values[self.page.status]

    @property
    def scene(self) -> Scene:
        return self.values[self.results.viewer]

    @property
    def seed(self) -> int:
        return self.values[self.controls.seed]

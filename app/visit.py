"""Opening the page: a session is created at once; the content follows as soon as the engine is ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from app.examples import EXAMPLES
from app.exploring import draw_state
from app.flows import draw_wanted, open_wanted, picture_changes
from app.links import MAX_LINK, ExploredLink
from app.opening import example_source
from app.page import Event, Page
from app.panels.controls import ControlsPanel
from app.session import Job, Session
from app.settings import Settings
from app.tasks import ALL, Update, Values, Work
from app.wording import NEXT_STEP
from srflow.contract import EngineInfo, InputError

__all__ = ["Visit"]

# The first event of the page has number 1: any action of the visitor counts as later, even if it is handled first.
_FIRST = "(serial, session, query, memory) => [1, session, window.location.hash.slice(1), memory]"
_MAX_FIELDS = 50


class Visit:
    """Wires the page's load event. Settings come from the address, otherwise from the browser's memory."""

    def __init__(self, page: Page, controls: ControlsPanel) -> None:
        self.page, self.controls = page, controls
        inputs: set[Any] = {page.serial, page.session, page.query, page.memory}
        options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "js": _FIRST}
        opened = page.blocks.load(self.open_session, inputs, [page.session], queue=False, **options)
        opened.then(self.fill, inputs, page.outputs, concurrency_id="work", **options)

    def open_session(self, values: dict, request: gr.Request) -> Values:
        """Open a new session. Its first picture is known already; the engine may still be loading."""
        session = self.page.sessions.open()
        session.want(example_source(_example_number(_read_query(values[self.page.query], request))))
        return {self.page.session: session}

    def fill(self, values: dict, request: gr.Request) -> Iterator[Values]:
        """Show the first example with its samples, or the content of a link."""
        query = _read_query(values[self.page.query], request)
        memory = values[self.page.memory]

        def begin(event: Event) -> Work:
            return lambda job: self._work(event.session, job, query, memory)

        yield from self.page.stream(values, begin)

    def _work(self, session: Session, job: Job, query: Mapping[str, Any], memory: object) -> Iterator[Update]:
        page = self.page
        info = page.engine.info()
        settings, is_link, problem = _first_settings(info, query, memory)
        explored = None
        if not problem:
            try:
                explored = ExploredLink.read(query, info)
            except InputError as error:
                problem = f"What was explored in this link can't be shown: {error}"
        yield Update(values=self.controls.show_settings(settings, info))
        is_link = is_link or explored is not None
        shows_opening = not is_link and session.source == example_source(0) and settings.model == info.default_model
        opening = page.opening if shows_opening else None
        if opening is not None:
            if opening.view is None:
                yield from open_wanted(page, session, job, settings)
                yield Update(text="Drawing the first samples", fraction=0.0, spoken=True)
            view = opening.wait(job)
            if view is not None:
                changes = picture_changes(view.picture, view.settings) | {"run": view.run}
                text = problem or f"Ready. {NEXT_STEP}"
                kind = "error" if problem else "done"
                yield Update(text=text, changed=ALL, changes=changes, spoken=True, kind=kind)
                return
        yield from open_wanted(page, session, job, settings)
        if problem:
            yield Update(text=problem, kind="error")
        elif explored is not None:
            yield from self._draw_explored(session, job, settings, explored)
        elif is_link:
            yield from draw_wanted(page, session, job, settings)
        else:
            yield Update(text=f"Ready: press Sample, or open your own picture. ({info.device}, {info.precision})")

    def _draw_explored(self, session: Session, job: Job, settings: Settings, link: ExploredLink) -> Iterator[Update]:
        """Draw the picture that was explored when the link was made."""
        engine, picture = self.page.engine, session.view.picture
        assert picture is not None
        yield Update(text="Drawing the explored picture again", fraction=0.0)
        picture = link.open_region(engine, session, job, picture)
        state = draw_state(engine, session, job, picture, link.recipe(engine, picture, settings))
        changes = picture_changes(picture, settings) | {"explored": state}
        text = f"From the link: {state.state.label.lower()}. Press Sample for samples to compare it with."
        yield Update(text=text, changed=ALL, changes=changes, kind="done", spoken=True)


def _read_query(fragment: object, request: gr.Request | None) -> dict[str, str]:
    query = dict(request.query_params) if request is not None else {}
    if isinstance(fragment, str) and len(fragment) <= MAX_LINK:
        with suppress(ValueError):  # too many fields: not one of our links
            query |= dict(parse_qsl(fragment, max_num_fields=_MAX_FIELDS))
    return query


def _example_number(query: Mapping[str, str]) -> int:
    names = [example.name for example in EXAMPLES]
    return names.index(query["example"]) if query.get("example") in names else 0


def _first_settings(info: EngineInfo, query: Mapping[str, Any], memory: object) -> tuple[Settings, bool, str]:
    """Return the settings, whether they come from a link, and what is wrong with the link. Invalid stored ones are
    ignored.
    """
    if "seed" in query or "temperature" in query:
        try:
            return Settings.read(query, info), True, ""
        except InputError as error:
            return Settings.read({}, info), False, f"The settings in this link can't be used: {error}"
    try:
        return Settings.read(memory if isinstance(memory, Mapping) else {}, info), False, ""
    except InputError:
        return Settings.read({}, info), False, ""

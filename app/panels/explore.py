"""Exploring: rolls of a place, neighbours of a picture, and the one that is kept. All of it is seen in the viewer."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

import gradio as gr

from app.exploring import accept, draw_ways, find_base
from app.page import Event, Page
from app.panels.controls import new_seed
from app.panels.results import ResultsPanel
from app.records import Explored, PictureRecord, View
from app.session import Job
from app.tasks import Part, Update, Values, Work
from app.viewer import Asked, parse_asked, parse_subject
from srflow.contract import InputError

__all__ = ["ExplorePanel"]


class ExplorePanel:
    """Has the viewer's wishes done. It has no components of its own."""

    def __init__(self, page: Page, results: ResultsPanel) -> None:
        self.page, self.results = page, results
        self.outputs: list[Any] = []
        self.streamed = self.outputs

    def show(self, _view: View, _changed: Collection[Part]) -> Values:
        """The viewer shows it all."""
        return {}

    def wire(self, page: Page) -> None:
        """One event for all that can be asked; one before it."""
        page.start(self.results.viewer.explore, self.work, has_data=True)
        if page.ahead is not None:
            page.ask(self.results.viewer.mask, self.prepare, has_data=True)

    def prepare(self, event: Event) -> Values:
        """A place was chosen, so that rolls of it are likely to be asked for soon. Nobody waits for this."""
        picture, shown = event.session.view.picture, {self.page.status: gr.skip()}
        if picture is None or self.page.ahead is None:
            return shown
        with suppress(InputError):
            parse_subject(event.data, f"{picture.subject} {picture.scale_factor}")
            name = event.data.get("id") if isinstance(event.data, dict) else None
            _, recipe = find_base(event.session, str(name)[:100])
            self.page.ahead.draw_state(event.session, picture, recipe)
        return shown

    def work(self, event: Event) -> Work:
        """Whatever was asked for."""

        def work(job: Job) -> Iterator[Update]:
            session = event.session
            picture = session.view.picture
            if picture is None:
                raise InputError("There is no picture to explore. Drop one, or choose an example.")
            parse_subject(event.data, f"{picture.subject} {picture.scale_factor}")
            asked = parse_asked(event.data, picture.region.width, picture.region.height)
            if asked.action == "leave":
                changes = {"explored": session.view.closed().explored}
                yield Update(text="Left as it was.", changed=frozenset({Part.EXPLORED}), changes=changes, is_step=False)
                return
            base, _ = find_base(session, asked.id)
            explored = session.view.explored
            is_way = explored is not None and base in explored.ways
            if asked.action == "accept":
                if not is_way:
                    raise InputError("This is what was there before: there is nothing to keep.")
                yield from accept(session, job, base)
                return
            seed = _seed(explored, asked, base)
            if is_way:  # going on from a way takes it
                yield from accept(session, job, base)
                base, _ = find_base(session, asked.id)
            wanted = Explored(state=base, kind=asked.action, mask=asked.mask, seed=seed, dial=asked.dial)
            yield from draw_ways(self.page.engine, session, job, picture, wanted)

        return work


def _seed(explored: Explored | None, asked: Asked, base: PictureRecord) -> int:
    """Another dial looks at the same neighbours, nearer or farther; anything else takes new noise."""
    if explored is None or asked.action != "more" or explored.kind != "more" or not explored.count:
        return new_seed()
    is_same = explored.state.id == base.id and explored.mask == asked.mask and explored.dial != asked.dial
    return explored.seed if is_same else new_seed()

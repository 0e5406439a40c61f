"""The page as its panels see it: shared state, how events reach the panels, and how a view is shown.

`Page.start` wires an event whose work changes what is shown; `Page.ask` wires an event that can be answered at once,
and `Page.follow` one whose answer takes a while. In all cases the handler receives one `Event`. Updates from the work
are shown by `Page.show`, which calls every panel.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import gradio as gr

from app.ahead import Ahead
from app.checks import read_int
from app.links import write_query
from app.memory import drop_copies
from app.opening import Opening
from app.records import Source, View
from app.session import KEEP, Job, Session
from app.tasks import ALL, Part, Update, Values, Work, answer, log_unexpected, perform
from app.thumbnails import recall
from app.viewer import LinkedViewer
from app.views import status_html
from app.visitors import Sessions
from app.wording import describe_error
from srflow.contract import Engine

__all__ = ["NEXT_SERIAL", "Event", "Page", "Panel"]

NEXT_SERIAL = "(serial, ...others) => [window.srflowSerial(), ...others]"
"""Counts events in the browser (see page.js). `Page.serial` is the first component, and so the first input."""

MAX_SERIAL = 2**53 - 1

Inputs = Collection[Any]


@dataclass(frozen=True)
class Event:
    """The argument of a handler.

    values: of the inputs, by component.
    serial: number of the event.
    data: from the browser.
    """

    session: Session
    values: Values
    serial: int
    data: object = None


class Panel(Protocol):
    """A part of the page: its components, what they show of a view, and its events."""

    @property
    def outputs(self) -> Sequence[Any]:
        """All components for which `show` returns values."""

    @property
    def streamed(self) -> Sequence[Any]:
        """Those of `outputs` that are updated during work; the others are updated at its end."""

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return values that show the view, only for what has changed."""

    def wire(self, page: Page) -> None:
        """Connect the panel's events. All panels have been laid out by then."""


class Illustrated(Protocol):
    """A panel in a tab whose figures are drawn only while the tab is open."""

    @property
    def figures(self) -> Sequence[Any]:
        """The components for which `draw_figures` returns values."""

    def draw_figures(self, view: View) -> Values:
        """Return values for all of `figures`."""


class Page:
    """The state that panels share.

    Must be created inside `gr.Blocks`, before any panel.

    Attributes:
        serial: counts the page's events.
        session: the visitor's `Session`, None until the page is set up.
        query: the query of the page's address.
        memory: settings that the browser remembers.
        status: the status line.
        panels: in the order in which they are laid out.
        tabs: panels with figures, by the labels of their tabs; the tab that is open at first comes first.
        opening: the finished set of the first example; None: there is none.
        ahead: prepares pictures; None: nothing is prepared.
    """

    def __init__(
        self,
        blocks: gr.Blocks,
        engine: Engine,
        sessions: Sessions,
        storage_key: str,
        opening: Opening | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self.blocks, self.engine, self.sessions = blocks, engine, sessions
        self.opening, self.ahead = opening, ahead
        self.serial = gr.Number(0, precision=0, visible="hidden", elem_id="serial")
        self.session = gr.State(None, delete_callback=sessions.forget)
        self.query = gr.Textbox(visible="hidden", elem_id="query")
        # This stores only settings, no secrets. The fixed key lets them survive a restart of the server.
        self.memory = gr.BrowserState(None, storage_key=storage_key, secret=storage_key)
        self.status = gr.HTML(status_html("Loading the model …"), elem_id="status", padding=False, render=False)
        self.undo = gr.Button("Undo", size="sm", min_width=50, elem_id="undo", interactive=False, render=False)
        self.redo = gr.Button("Redo", size="sm", min_width=50, elem_id="redo", interactive=False, render=False)
        self.panels: list[Panel] = []
        self.tabs: dict[str, Illustrated | None] = {}

    def add(self, *panels: Panel) -> None:
        """Register the panels, and connect them."""
        self.panels = list(panels)
        for panel in panels:
            panel.wire(self)

    def add_tabs(self, tabs: Mapping[gr.Tab, Illustrated | None]) -> None:
        """Make these tabs draw their figures when they are opened. None: the tab has no figures."""
        self.tabs = {str(tab.label): panel for tab, panel in tabs.items()}
        for tab in tabs:
            # Gradio itself selects the first tab while the page is laid out; this needs no figures.
            self.ask(tab.select, partial(self.open_tab, str(tab.label)), outputs=self.figures, may_be_early=True)

    @property
    def figures(self) -> list[Any]:
        """The figures of all tabs."""
        return [figure for panel in self.tabs.values() if panel is not None for figure in panel.figures]

    @property
    def outputs(self) -> list[Any]:
        """All components for which `show` returns values."""
        shared = [self.status, self.undo, self.redo, self.query, self.memory, *self.figures]
        return [*shared, *(component for panel in self.panels for component in panel.outputs)]

    # -- wiring --------------------------------------------------------------------------------------------------------

    def start(
        self,
        trigger: Callable[..., Any],
        work: Callable[[Event], Work],
        inputs: Inputs = (),
        *,
        source: Callable[[Event], Source | None] | None = None,
        on_error: Callable[[Session, Exception], Update] | None = None,
        has_data: bool = False,
        wants_samples: bool = False,
        **options: Any,
    ) -> Any:
        """Wire an event that starts a piece of work and cancels the work in progress.

        Args:
            trigger: of a component, for example `button.click`.
            work: returns the work for an event.
            inputs: the components whose values it needs.
            source: returns the picture that an event requests; None: the same one as before.
            on_error: returns values to show in addition to the message if the work fails.
            has_data: whether it needs the event's data.
            wants_samples: whether it requests samples; an event that overtakes it then draws them instead.
            options: for Gradio.
        """
        stream = partial(self.stream, work=work, source=source, on_error=on_error, wants_samples=wants_samples)

        # Gradio passes an event's data only to parameters that accept positional arguments.
        def run_with_data(values: dict, event: gr.EventData) -> Iterator[Values]:
            yield from stream(values, data=event._data)

        def run(values: dict) -> Iterator[Values]:
            yield from stream(values)

        return trigger(
            run_with_data if has_data else run,
            {self.serial, self.session, *inputs},
            self.outputs,
            # "once" would drop events that arrive while the handler runs, but each event must cancel the previous one.
            **{
                "js": NEXT_SERIAL,
                "show_progress": "hidden",
                "trigger_mode": "multiple",
                "api_visibility": "private",
                "concurrency_id": "work",
                # The engine alternates between requests after each sample: a small picture need not wait for a large
                # one.
                "concurrency_limit": 16,
            }
            | options,
        )

    def ask(
        self,
        trigger: Callable[..., Any],
        reply: Callable[[Event], Values],
        inputs: Inputs = (),
        outputs: Sequence[Any] = (),
        *,
        has_data: bool = False,
        may_be_early: bool = False,
        on_error: Values | None = None,
        **options: Any,
    ) -> Any:
        """Wire an event that is answered at once, in parallel to any work in progress.

        Args:
            trigger: of a component.
            reply: returns values to show.
            inputs: the components whose values it needs.
            outputs: the components for which it may return values.
            has_data: whether it needs the event's data.
            may_be_early: whether an event before the page has a session is ignored instead of refused.
            on_error: returns values to show in addition to the message if it fails.
            options: for Gradio.
        """

        def tell(text: str) -> Values:
            return self._tell_error(text) | (on_error or {})

        def answer_event(values: Values, data: object = None) -> Values:
            if may_be_early and values[self.session] is None:
                return {self.status: gr.skip()}
            return answer(lambda: reply(self._event(values, data)), tell)

        def run_with_data(values: dict, event: gr.EventData) -> Values:
            return answer_event(values, event._data)

        def run(values: dict) -> Values:
            return answer_event(values)

        return trigger(
            run_with_data if has_data else run,
            {self.serial, self.session, *inputs},
            [self.status, *outputs],
            **{
                "js": NEXT_SERIAL,
                "show_progress": "hidden",
                "trigger_mode": "multiple",
                "api_visibility": "private",
                # This event uses a plain request and response. Gradio closes its stream of answers after the last
                # running event; an event that arrives at that moment might never receive its answer.
                "queue": False,
            }
            | options,
        )

    def follow(
        self,
        trigger: Callable[..., Any],
        steps: Callable[[Event], Iterator[Values]],
        inputs: Inputs = (),
        outputs: Sequence[Any] = (),
        *,
        on_error: Values | None = None,
    ) -> Any:
        """Have an event answered beside any work under way, as `ask` does, by an answer that comes in steps.

        Args: as of `ask`; steps: gives values to show, again and again.
        """

        def run(values: dict) -> Iterator[Values]:
            try:
                yield from steps(self._event(values, None))
            except Exception as error:
                log_unexpected(error)
                yield self._tell_error(describe_error(error)) | (on_error or {})

        return trigger(
            run,
            {self.serial, self.session, *inputs},
            [self.status, *outputs],
            js=NEXT_SERIAL,
            show_progress="hidden",
            trigger_mode="multiple",
            api_visibility="private",
            concurrency_id="beside",
            concurrency_limit=4,
        )

    def stream(
        self,
        values: Values,
        work: Callable[[Event], Work],
        source: Callable[[Event], Source | None] | None = None,
        on_error: Callable[[Session, Exception], Update] | None = None,
        data: object = None,
        *,
        wants_samples: bool = False,
    ) -> Iterator[Values]:
        """Start the work that an event requests, and show its updates."""

        def begin() -> tuple[Session, Job | None, Work]:
            event = self._event(values, data)
            wanted = (None if source is None else source(event)) or KEEP
            job = event.session.begin(event.serial, wanted, wants_samples=wants_samples)
            return event.session, job, work(event)

        begun = answer(begin, self._tell_error)
        if isinstance(begun, dict):
            yield begun
            return
        session, job, do = begun
        if job is not None:
            fail = None if on_error is None else partial(on_error, session)
            yield from self._tell(session, job, perform(session, job, do, fail))
        # Gradio repeats a stream's last message when the stream ends, perhaps after the first message of a newer event.
        yield {component: gr.skip() for component in self.outputs}
        drop_copies(self.blocks)

    def _tell(self, session: Session, job: Job, updates: Iterator[tuple[Update, View]]) -> Iterator[Values]:
        kept: Values = {}
        for update, view in updates:
            shown = self.show(session, view, update)
            # Gradio sends only the differences from the previous message; after a skip it would send the whole viewer
            # again.
            kept |= {component: value for component, value in shown.items() if isinstance(component, LinkedViewer)}
            with session.telling(job) as may_tell:
                if may_tell:
                    yield kept | shown

    def _event(self, values: Values, data: object = None) -> Event:
        """Create the event. Raises: InputError: the page has no session, or the number is invalid."""
        session = self.sessions.check(values[self.session])
        return Event(session, values, read_int(values[self.serial], "The event's number", 0, MAX_SERIAL), data)

    def _tell_error(self, text: str) -> Values:
        return {self.status: status_html(text, kind="error")}

    # -- showing -------------------------------------------------------------------------------------------------------

    def show(self, session: Session, view: View, update: Update) -> Values:
        """Return values for everything that an update changes."""
        values: Values = {}
        view = recall(session, view)
        if update.text:
            values[self.status] = status_html(update.text, update.fraction, update.kind, spoken=update.spoken)
        for panel in self.panels:
            values |= self.show_panel(panel, view, update.changed)
        if Part.END in update.changed:
            values |= self.show_figures(session, view)
        if update.changed:
            values[self.undo] = gr.update(interactive=session.can_undo)
            values[self.redo] = gr.update(interactive=session.can_redo)
        is_finished = Part.END in update.changed or (Part.EXPLORED in update.changed and not view.is_walking)
        query = write_query(view) if is_finished else None
        if query is not None:
            values[self.query] = query
        if view.run is not None and view.settings is not None and Part.END in update.changed:
            values[self.memory] = view.settings.to_memory()
        return values | update.values

    def show_panel(self, panel: Panel, view: View, changed: Collection[Part] = ALL) -> Values:
        """Return the values of one panel."""
        is_end = Part.END in changed
        return {
            component: value
            for component, value in panel.show(view, changed).items()
            if is_end or component in panel.streamed
        }

    def show_figures(self, session: Session, view: View) -> Values:
        """Return the figures of the open tab. The figures of other tabs are removed, because they are out of date."""
        values: Values = {figure: gr.update(value=None, visible=False) for figure in self.figures}
        panel = self.tabs.get(session.tab or next(iter(self.tabs), ""))
        return values if panel is None else values | panel.draw_figures(view)

    def open_tab(self, name: str, event: Event) -> Values:
        """Handle the opening of a tab: draw its figures."""
        session, panel = event.session, self.tabs[name]
        shown: Values = {self.status: gr.skip()}
        if session.open_tab(event.serial, name) and panel is not None:
            shown |= panel.draw_figures(session.view)
        return shown

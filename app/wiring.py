"""Events that involve several panels: opening the page, opening a picture, and drawing samples."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from app.checks import read_choice, read_int
from app.examples import EXAMPLES, find_example
from app.page import MODEL_WORK, Page, error_html
from app.panels.controls import NAMES, ControlsPanel, new_seed
from app.panels.diversity import DiversityPanel, read_measure
from app.panels.download import DownloadPanel
from app.panels.numbers import NumbersPanel
from app.panels.picture import KINDS, PicturePanel, facts_html, read_region_side
from app.panels.results import ResultsPanel
from app.pictures import open_array, open_upload, preview_step, read_recipe, select_region
from app.runs import Step, build_scene, draw, start_scene
from app.settings import PRESETS, Settings, find_model
from app.state import Visitor
from app.views import numbers_html, status_html
from srflow.contract import Cancelled, InputError

__all__ = ["Handlers", "Panels", "wire"]

DEBOUNCE_SECONDS = 0.2
"""A moved slider sends every step of its way; only the value that stays this long is drawn."""

NEWS_SECONDS = 0.25

# In the fragment: plotly fills its scales by absolute addresses, which hold only while the rest stays as it is.
_SET_ADDRESS = "(query) => { if (query) history.replaceState(null, '', '#' + query); }"
_GET_ADDRESS = "(memory, query) => [memory, window.location.hash.slice(1)]"
_MAX_QUERY = 2000


@dataclass(frozen=True)
class Panels:
    """All panels that samples show up in, and the browser's memory."""

    picture: PicturePanel
    controls: ControlsPanel
    results: ResultsPanel
    diversity: DiversityPanel
    numbers: NumbersPanel
    download: DownloadPanel
    memory: gr.BrowserState


Values = dict[Any, Any]


def wire(app: gr.Blocks, page: Page, panels: Panels) -> Handlers:
    """Connect everything."""
    handlers = Handlers(page, panels)
    handlers.wire_opening(app)
    handlers.wire_pictures()
    handlers.wire_sampling()
    return handlers


class Handlers:
    """The handlers share page and panels; each is a plain method of values from the browser."""

    def __init__(self, page: Page, panels: Panels) -> None:
        self.page = page
        self.panels = panels
        self.query = gr.Textbox(visible="hidden", elem_id="query")
        # Gradio sends a stream's values as differences, and its page edits the objects it has handed to components. If
        # one of these were skipped in a later message, its value would be taken apart: each message has them all.
        self.objects = (
            panels.results.viewer,
            panels.diversity.heat_map,
            panels.diversity.histogram,
            panels.numbers.matrix,
        )
        self.results = (
            panels.results.viewer,
            *panels.diversity.shown,
            panels.numbers.table,
            panels.numbers.atlas,
            panels.numbers.matrix,
            panels.download.choice,
        )

    # -- opening the page ----------------------------------------------------------------------------------------------

    def wire_opening(self, app: gr.Blocks) -> None:
        """Settings come from the address, else from the browser's memory; with them comes an example to begin with."""
        panels = self.panels
        app.load(
            self.open_page,
            [panels.memory, self.query],
            [
                self.page.visitor,
                panels.results.status,
                panels.picture.image,
                panels.picture.kind,
                *panels.controls.inputs,
                *panels.picture.shown,
                *self.results,
            ],
            show_progress="hidden",
            api_visibility="private",
            js=_GET_ADDRESS,
        )

    def open_page(self, memory: object, fragment: object, request: gr.Request) -> Values:
        """A new visitor."""
        panels, engine = self.panels, self.page.engine
        visitor = self.page.visitors.open()
        values: Values = {self.page.visitor: visitor}
        try:
            info = engine.info()
            query = dict(request.query_params) if request is not None else {}
            if isinstance(fragment, str) and len(fragment) <= _MAX_QUERY:
                query |= dict(parse_qsl(fragment))
            settings, note = self._first_settings(query, memory)
            example = find_example(query.get("example", "")) or EXAMPLES[0]
            kind = example.kind
            open_upload(engine, visitor, str(example.path), kind, settings.model, example.name)
            values |= panels.controls.show(settings, info)
            values |= {panels.picture.kind: kind, panels.picture.image: str(example.path)}
            values |= self._start(visitor, settings)
            text = note or f"Ready: press Sample, or bring your own picture. ({info.device}, {info.precision})"
            values[panels.results.status] = status_html(text)
        except Exception as error:
            values[panels.results.status] = error_html(error)
        return values

    def _first_settings(self, query: Mapping[str, Any], memory: object) -> tuple[Settings, str]:
        """A bad address is told; bad memories (of an older version, say) are forgotten."""
        info = self.page.engine.info()
        if "seed" in query or "temperature" in query:
            try:
                return Settings.read(query, info), "Settings taken from the address. Press Sample."
            except InputError as error:
                return Settings.read({}, info), f"The address does not fit: {error}"
        try:
            return Settings.read(memory if isinstance(memory, Mapping) else {}, info), ""
        except InputError:
            return Settings.read({}, info), ""

    # -- pictures ------------------------------------------------------------------------------------------------------

    def wire_pictures(self) -> None:
        """Upload, example, kind, model and region change what will be enlarged."""
        panels, page = self.panels, self.page
        picture, controls = panels.picture, panels.controls
        outputs = [panels.results.status, picture.image, picture.kind, *controls.inputs, *picture.shown, *self.results]
        quick = {"show_progress": "hidden", "api_visibility": "private"}
        common = [page.visitor, picture.kind, *controls.inputs]
        picture.image.upload(
            self.take_upload, [page.visitor, picture.image, picture.kind, *controls.inputs], outputs, **quick
        )
        picture.examples.click(self.take_example, [page.visitor, picture.examples, *controls.inputs], outputs, **quick)
        picture.kind.input(
            self.take_again, [page.visitor, picture.image, picture.kind, *controls.inputs], outputs, **quick
        )
        controls.model.input(
            self.take_again, [page.visitor, picture.image, picture.kind, *controls.inputs], outputs, **quick
        )
        picture.image.clear(self.stop, page.visitor, panels.results.status, queue=False, **quick)
        picture.region.input(self.take_region, [page.visitor, picture.region, *controls.inputs], outputs, **quick)
        picture.preview.select(self.take_place, [page.visitor, picture.region, *controls.inputs], outputs, **quick)
        shown = [picture.facts, panels.results.viewer, panels.results.status]
        changed = [controls.num_samples.release, controls.tile.input, controls.precision.input]
        gr.on(changed, self.refresh_facts, common, shown, trigger_mode="always_last", **quick)

    def take_upload(self, visitor: Visitor | None, path: str | None, kind: object, *values: Any) -> Values:
        """A dropped, pasted or chosen file: a picture, or a PNG of this page, which brings its settings back."""

        def take(visitor: Visitor, settings: Settings) -> Values:
            if path is None:
                raise InputError("There is no picture yet. Drop one, or choose an example.")
            found = read_recipe(self.page.engine, path)
            if found is None:
                return self._open(visitor, path, kind, settings)
            return self._restore(visitor, *found)

        return self._guarded(visitor, values, take)

    def take_again(self, visitor: Visitor | None, path: str | None, kind: object, *values: Any) -> Values:
        """The same file, taken for another kind, or for a model with another scale."""

        def take(visitor: Visitor, settings: Settings) -> Values:
            picture = visitor.picture
            if path is None or picture is None:
                return {}
            scale = find_model(self.page.engine.info(), settings.model).scale_factor
            if scale == picture.scale_factor and picture.has_truth == (kind == "hr"):
                return self.panels.picture.show(self.page.engine, visitor, settings)
            return self._open(visitor, path, kind, settings, picture.name)

        return self._guarded(visitor, values, take)

    def take_example(self, visitor: Visitor | None, index: object, *values: Any) -> Values:
        """One of the examples."""

        def take(visitor: Visitor, settings: Settings) -> Values:
            example = EXAMPLES[read_int(index, "The example", 0, len(EXAMPLES) - 1)]
            shown = {self.panels.picture.image: str(example.path), self.panels.picture.kind: example.kind}
            return shown | self._open(visitor, str(example.path), example.kind, settings, example.name)

        return self._guarded(visitor, values, take)

    def take_region(self, visitor: Visitor | None, choice: object, *values: Any) -> Values:
        """Another size of the region; it stays round the same place."""

        def take(visitor: Visitor, settings: Settings) -> Values:
            picture = visitor.picture
            if picture is None:
                return {}
            region = picture.region
            centre = region.left + region.width // 2, region.top + region.height // 2
            return self._move(visitor, settings, *centre, read_region_side(choice))

        return self._guarded(visitor, values, take)

    def take_place(self, visitor: Visitor | None, choice: object, *values: Any, event: gr.SelectData) -> Values:
        """Another place for the region."""

        def take(visitor: Visitor, settings: Settings) -> Values:
            picture = visitor.picture
            side = read_region_side(choice)
            if picture is None or side is None:
                return {}
            step = preview_step(picture)
            index = event.index if isinstance(event.index, (list, tuple)) and len(event.index) == 2 else (None, None)
            x = read_int(index[0], "The place", 0, picture.width // step)
            y = read_int(index[1], "The place", 0, picture.height // step)
            return self._move(visitor, settings, x * step, y * step, side)

        return self._guarded(visitor, values, take)

    def refresh_facts(self, visitor: Visitor | None, _kind: object, *values: Any) -> Values:
        """Other samples take another time, and, before there are any, other places for them."""

        def take(visitor: Visitor, settings: Settings) -> Values:
            engine, picture = self.page.engine, visitor.picture
            values: Values = {self.panels.picture.facts: facts_html(engine, visitor, settings)}
            if visitor.run is None and picture is not None:
                values[self.panels.results.viewer] = start_scene(engine, picture, settings)
            return values

        return self._guarded(visitor, values, take)

    def _guarded(self, visitor: Visitor | None, values: tuple[Any, ...], take: Any) -> Values:
        """Do it with checked values; a failure becomes words, and everything else stays as it was."""
        status = self.panels.results.status
        try:
            checked = self.page.check(visitor)
            return {status: gr.skip()} | take(checked, self._settings(values))
        except Exception as error:
            return {status: error_html(error)}

    def _settings(self, values: tuple[Any, ...]) -> Settings:
        return self.panels.controls.read(values, self.page.engine.info())

    def _open(self, visitor: Visitor, path: str, kind: object, settings: Settings, name: str = "") -> Values:
        chosen = read_choice(kind, "The kind of picture", KINDS)
        open_upload(self.page.engine, visitor, path, chosen, settings.model, name)
        return self._start(visitor, settings) | {self.panels.results.status: status_html("Ready: press Sample.")}

    def _move(self, visitor: Visitor, settings: Settings, x: int, y: int, side: int | None) -> Values:
        """Another region; the one there is already changes nothing."""
        former = visitor.picture
        assert former is not None
        visitor.picture = select_region(former, x, y, side)
        if visitor.picture is former:
            return self.panels.picture.show(self.page.engine, visitor, settings)
        return self._start(visitor, settings) | {self.panels.results.status: status_html("Ready: press Sample.")}

    def _start(self, visitor: Visitor, settings: Settings) -> Values:
        """Show the picture as it is before any sample of it; what was drawn of another one goes."""
        panels, picture = self.panels, visitor.picture
        assert picture is not None
        visitor.begin()  # and nothing more comes from the work that was under way
        visitor.run = None
        if self.page.ahead is not None:
            self.page.ahead.prepare(visitor, settings)
        values: Values = {panels.results.viewer: start_scene(self.page.engine, picture, settings)}
        values |= panels.picture.show(self.page.engine, visitor, settings)
        values |= panels.diversity.show(None) | panels.numbers.show_final(None)
        return values | panels.download.show(None)

    def _restore(self, visitor: Visitor, recipe: Any, lr: Any) -> Values:
        """Settings from a PNG, and its LR picture, if that is in it or open already."""
        panels, info = self.panels, self.page.engine.info()
        settings = Settings.from_recipe(recipe, info)
        number = recipe.index + 1
        shown = panels.controls.show(settings, info)
        if lr is None:
            text = (
                f"Settings of this PNG restored (sample {number}, seed {recipe.seed}). Now open the low-resolution "
                f"picture of {recipe.lr_width}×{recipe.lr_height} that it was made from."
            )
            return shown | {panels.results.status: status_html(text), panels.picture.image: None}
        opened = open_array(visitor, lr, None, find_model(info, recipe.model))
        visitor.picture = opened.whole_region()
        path = visitor.picture.folder / "restored.png"
        self.page.engine.save_png(path, lr)
        text = f"Restored from this PNG: it is sample {number} of seed {recipe.seed}. Press Sample to draw it again."
        shown |= {panels.picture.image: str(path), panels.picture.kind: "lr", panels.results.status: status_html(text)}
        return shown | self._start(visitor, settings)

    # -- sampling ------------------------------------------------------------------------------------------------------

    def wire_sampling(self) -> None:
        """The button draws; so do dice, presets, temperature, seed and consistency, once there are samples."""
        panels, page = self.panels, self.page
        controls = panels.controls
        outputs = [
            panels.results.status,
            panels.results.viewer,
            panels.download.choice,
            *panels.diversity.shown,
            panels.numbers.table,
            panels.numbers.atlas,
            panels.numbers.matrix,
            panels.memory,
            self.query,
            panels.picture.facts,
            controls.seed,
            controls.temperature,
            controls.consistency,
        ]
        inputs = [page.visitor, panels.diversity.measure, controls.lock, *controls.inputs]
        # Not `always_last`: that waits for the run under way to end. Each event starts at once and cancels the one
        # before it, and waits a little for the next one.
        options = {"show_progress": "hidden", "trigger_mode": "multiple", "api_visibility": "private"} | MODEL_WORK
        events = [controls.sample.click(self.press, inputs, outputs, **options)]
        events.append(controls.dice.click(self.throw_dice, inputs, outputs, **options))
        for name, button in controls.presets.items():
            events.append(button.click(self._preset(name), inputs, outputs, **options))
        moved = [controls.temperature.input, controls.seed.input, controls.consistency.input]
        for listener in moved:
            events.append(listener(self.move, inputs, outputs, **options))
        for event in events:
            event.then(None, self.query, None, js=_SET_ADDRESS)
        controls.stop.click(
            self.stop,
            page.visitor,
            panels.results.status,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )

    def press(self, visitor: Visitor | None, measure: object, lock: object, *values: Any) -> Iterator[Values]:
        """The Sample button; an unlocked seed is a new one at each press."""
        seed: Values = {}
        if lock is not True:
            values = self._with(values, "seed", new_seed())
            seed = {self.panels.controls.seed: values[self._place("seed")]}
        yield from self.run(visitor, measure, values, shown=seed)

    def throw_dice(self, visitor: Visitor | None, measure: object, _lock: object, *values: Any) -> Iterator[Values]:
        """A new seed, drawn at once."""
        values = self._with(values, "seed", new_seed())
        shown = {self.panels.controls.seed: values[self._place("seed")]}
        yield from self.run(visitor, measure, values, shown=shown)

    def _preset(self, name: str) -> Any:
        def choose(visitor: Visitor | None, measure: object, _lock: object, *values: Any) -> Iterator[Values]:
            controls = self.panels.controls
            temperature, consistency = PRESETS[name]
            if temperature is None:
                key = values[self._place("model")]
                temperature = find_model(self.page.engine.info(), key).default_temperature
            values = self._with(self._with(values, "temperature", temperature), "consistency", consistency)
            shown = {controls.temperature: temperature, controls.consistency: consistency}
            yield from self.run(visitor, measure, values, shown=shown, only_redraw=True)

        return choose

    def move(self, visitor: Visitor | None, measure: object, _lock: object, *values: Any) -> Iterator[Values]:
        """A control was moved."""
        yield from self.run(visitor, measure, values, only_redraw=True)

    def run(
        self,
        visitor: Visitor | None,
        measure: object,
        values: tuple[Any, ...],
        shown: Values | None = None,
        only_redraw: bool = False,
    ) -> Iterator[Values]:
        """Draw, and show what comes. shown: values to show first. only_redraw: do nothing before the first samples."""
        status, job = self.panels.results.status, None
        try:
            visitor = self.page.check(visitor)
            settings = self._settings(values)
            chosen = read_measure(measure)
            yield {status: gr.skip()} | (shown or {})
            if only_redraw and visitor.run is None:
                return
            if visitor.picture is None:
                raise InputError("There is no picture yet. Drop one, or choose an example.")
            job = visitor.begin()
            if only_redraw and job.cancel.wait(DEBOUNCE_SECONDS):
                return
            last_news, kept = 0.0, {}
            for step in draw(self.page.engine, visitor, settings, job, chosen):
                # Progress alone is not worth more than a few messages a second.
                if step.fresh or time.monotonic() - last_news > NEWS_SECONDS:
                    last_news = time.monotonic()
                    values = self._show_step(visitor, step)
                    if not visitor.is_current(job):
                        return
                    kept |= {component: values[component] for component in self.objects if component in values}
                    yield values | kept
        except Cancelled:
            if visitor is not None and job is not None and visitor.is_current(job):
                yield self._show_partial(visitor, status_html(self._stopped(visitor)))
        except Exception as error:
            if job is None or visitor is None or visitor.is_current(job):
                yield self._show_partial(visitor if job else None, error_html(error))
        finally:
            self.page.tidy()

    def _show_step(self, visitor: Visitor, step: Step) -> Values:
        panels, run = self.panels, visitor.run
        is_end = "end" in step.fresh
        fraction = None if is_end else step.fraction
        values: Values = {panels.results.status: status_html(step.text, fraction, "done" if is_end else "")}
        if run is None:
            return values
        if step.fresh or not run.samples:
            values[panels.results.viewer] = build_scene(run, waiting=not is_end)
        if "samples" in step.fresh:
            values[panels.numbers.table] = numbers_html(run)
        if "map" in step.fresh:
            values |= panels.diversity.show(run)
        if is_end:
            values |= self._final(visitor)
        return values

    def _show_partial(self, visitor: Visitor | None, status: str) -> Values:
        """After Stop or a failure: what is finished stays."""
        values: Values = {self.panels.results.status: status}
        run = None if visitor is None else visitor.run
        if run is None:
            return values
        if not (run.samples or run.parts):
            return values | {self.panels.results.viewer: start_scene(self.page.engine, run.picture, run.settings)}
        values[self.panels.results.viewer] = build_scene(run, waiting=False)
        if run.samples:
            values |= self._final(visitor) | self.panels.diversity.show(run)
        return values

    def _final(self, visitor: Visitor) -> Values:
        panels, run = self.panels, visitor.run
        assert run is not None
        more = {"example": run.picture.name} if run.picture.name else {}
        values: Values = {
            panels.memory: run.settings.to_values(),
            # the engine knows better now how long it takes
            panels.picture.facts: facts_html(self.page.engine, visitor, run.settings),
            self.query: run.settings.to_query(**more),
        }
        return values | panels.numbers.show_final(run) | panels.download.show(run)

    def _stopped(self, visitor: Visitor) -> str:
        run = visitor.run
        if run is None or not run.samples:
            return "Stopped."
        return f"Stopped after {len(run.samples)} of {run.settings.num_samples} samples."

    def stop(self, visitor: Visitor | None) -> Values:
        """The Stop button: the run under way says so itself."""
        try:
            self.page.check(visitor).stop()
        except InputError as error:
            return {self.panels.results.status: error_html(error)}
        return {self.panels.results.status: gr.skip()}

    def _place(self, name: str) -> int:
        return NAMES.index(name)

    def _with(self, values: tuple[Any, ...], name: str, value: object) -> tuple[Any, ...]:
        place = self._place(name)
        return (*values[:place], value, *values[place + 1 :])

"""The controls: Sample, Stop, Undo, Redo and the temperature in a bar that stays visible, and all other settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from app.checks import read_choice
from app.flows import draw_wanted, open_wanted, redraw
from app.history import History
from app.page import Event, Page
from app.records import View
from app.session import Job
from app.settings import AUTO, MAX_SAMPLES, MAX_SEED, MAX_TEMPERATURE, PRESETS, Settings, find_model, preset_temperature
from app.tasks import ALL, Part, Update, Values, Work
from app.wording import preset_choices
from srflow.contract import EngineInfo, InputError

__all__ = ["ControlsPanel", "new_seed"]

MORE_SAMPLES = 4
"""Number of samples that the button adds."""

# The query is in the address's fragment: plotly refers to its colour scales by absolute addresses, which become invalid
# when the rest of the address changes.
_SET_ADDRESS = "(query) => { if (query) history.replaceState(null, '', '#' + query); }"


class ControlsPanel:
    """The controls, laid out in two parts: `build_bar` above the picture, `build` below it.

    inputs: the components whose values are the settings, by the names that `Settings.read` knows.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    def build_bar(self) -> None:
        """Build the bar that stays visible."""
        with gr.Column(elem_id="bar"):
            with gr.Row(elem_id="actions"):
                self.sample = gr.Button("Sample", variant="primary", elem_id="sample", min_width=90, scale=3)
                self.stop = gr.Button("Stop", variant="stop", elem_id="stop", min_width=56, scale=1)
                self.page.undo.render()
                self.page.redo.render()
            self.temperature = gr.Slider(
                0, MAX_TEMPERATURE, value=0.9, step=0.05, label="Temperature τ", elem_id="temperature"
            )

    def build(self) -> None:
        """Build the other controls."""
        choices = preset_choices(PRESETS, None)
        self.preset = gr.Radio(choices, label="Preset", value="Balanced", elem_id="presets")
        self.num_samples = gr.Slider(1, MAX_SAMPLES, value=8, step=1, label="Samples", elem_id="num-samples")
        with gr.Row(elem_id="seed-row"):
            self.seed = gr.Number(
                0, precision=0, minimum=0, maximum=MAX_SEED, label="Seed", min_width=90, elem_id="seed", scale=3
            )
            self.dice = gr.Button("New seed", size="sm", min_width=70, elem_id="dice", scale=1)
            self.more = gr.Button("+4 samples", size="sm", min_width=80, elem_id="add", scale=1, interactive=False)
        self.keep = gr.Checkbox(
            False, label="Keep seed", info="otherwise every press of Sample uses a new one", elem_id="keep-seed"
        )
        self.consistency = gr.Checkbox(
            True,
            label="Match the input",
            info="changes samples slightly, so that they scale down to the input (back-projection)",
            elem_id="consistency",
        )
        self.model = gr.Dropdown([], label="Model", elem_id="model", interactive=False)
        self.chip = gr.Button(visible=False, size="sm", elem_id="restored-settings")
        with gr.Accordion("More", open=False, elem_id="more"):
            self.pairwise = gr.Checkbox(
                False, label="Compare all pairs (LPIPS)", info="matrix, similarity map and the most central sample"
            )
            self.first_index = gr.Number(
                0,
                precision=0,
                minimum=0,
                label="Skip samples",
                info="start at this sample number of the seed (0: the first)",
            )
            self.precision = gr.Dropdown([AUTO, "float32", "bfloat16", "float16"], value=AUTO, label="Precision")
            self.tile = gr.Number(
                -1, precision=0, minimum=-1, label="Tile side", info="input pixels; -1: automatic, 0: no tiles"
            )
        names = (
            *("model", "temperature", "seed", "num_samples", "consistency"),
            *("first_index", "precision", "tile", "pairwise"),
        )
        self.inputs: dict[str, Any] = {name: getattr(self, name) for name in names}
        self.outputs = [*self.inputs.values(), self.sample, self.more, self.preset, self.keep, self.chip]
        self.streamed = self.outputs

    def read(self, values: Values, info: EngineInfo) -> Settings:
        """Check the values of `inputs`. Raises: InputError: one of them cannot be used."""
        return Settings.read({name: values[component] for name, component in self.inputs.items()}, info)

    def show_settings(self, settings: Settings, info: EngineInfo) -> Values:
        """Return values that show these settings."""
        choices = [(model.label, model.key) for model in info.models]
        return {
            self.model: gr.update(choices=choices, value=settings.model, interactive=len(choices) > 1),
            self.temperature: settings.temperature,
            self.seed: settings.seed,
            self.num_samples: settings.num_samples,
            self.consistency: settings.consistency_rounds > 0,
            self.first_index: settings.first_index,
            self.precision: settings.precision or AUTO,
            self.tile: -1 if settings.tile is None else settings.tile,
            self.pairwise: settings.pairwise,
            self.preset: self.show_presets(settings, info),
        }

    def show_presets(self, settings: Settings, info: EngineInfo) -> dict[str, Any]:
        """Return the presets of a model, with the one selected that matches the settings."""
        default = find_model(info, settings.model).default_temperature
        return gr.update(choices=preset_choices(PRESETS, default), value=settings.preset(info))

    def show_model(self, values: Values, info: EngineInfo) -> Values:
        """Return what the choice of another model changes: a selected preset stays selected, as that model's.

        values: of `inputs` and `preset`. Raises: InputError: one of them cannot be used.
        """
        settings = self.read(values, info)
        preset = None if values[self.preset] is None else read_choice(values[self.preset], "The preset", PRESETS)
        temperature = settings.temperature
        # A change of the temperature may still be on its way, and the preset be that of the temperature before.
        if preset is not None and any(settings.has_temperature_of(preset, model) for model in info.models):
            temperature = preset_temperature(preset, find_model(info, settings.model))
        shown: Values = {} if temperature == settings.temperature else {self.temperature: temperature}
        return shown | {self.preset: self.show_presets(replace(settings, temperature=temperature), info)}

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return which actions are possible with this view."""
        if not {Part.PICTURE, Part.END} & set(changed):
            return {}
        count = 0 if view.run is None else view.run.settings.num_samples
        drawn = view.run is not None and bool(view.run.samples)
        source = None if view.picture is None else view.picture.source
        settings = view.settings
        has_hidden = source is not None and source.restored and settings is not None
        return {
            self.sample: gr.update(value="Sample", interactive=view.picture is not None),
            self.more: gr.update(interactive=drawn and count < MAX_SAMPLES),
            self.chip: gr.update(visible=has_hidden, value=_chip(settings) if has_hidden and settings else ""),
        }

    # -- events --------------------------------------------------------------------------------------------------------

    def wire(self, page: Page) -> None:
        """Wire the events: Sample draws; temperature, seed, matching and presets draw too once there are samples."""
        inputs = self.inputs.values()
        page.start(self.sample.click, self.press, [*inputs, self.keep], wants_samples=True)
        page.start(self.more.click, self.add, (), wants_samples=True)
        page.start(self.dice.click, self.throw_dice, inputs)
        page.start(self.preset.input, self.choose_preset, [*inputs, self.preset])
        for component in (self.temperature, self.seed, self.consistency):
            page.start(component.input, self.move, inputs)
        page.start(self.chip.click, self.forget_restored, inputs)
        page.start(page.undo.click, lambda event: self.travel(event, History.undo, "undo"))
        page.start(page.redo.click, lambda event: self.travel(event, History.redo, "redo"))
        page.ask(self.stop.click, self.halt)
        page.query.change(None, page.query, None, js=_SET_ADDRESS)

    def press(self, event: Event) -> Work:
        """Handle the Sample button: draw new samples each time, unless the seed is to be kept."""

        def work(job: Job) -> Iterator[Update]:
            settings = self.read(event.values, self.page.engine.info())
            if event.values[self.keep] is not True:
                settings = replace(settings, seed=new_seed())
                yield Update(text="Starting", fraction=0.0, values={self.seed: settings.seed})
            yield from draw_wanted(self.page, event.session, job, settings)

        return work

    def add(self, event: Event) -> Work:
        """Draw more samples of the same seed, and keep the existing ones."""

        def work(job: Job) -> Iterator[Update]:
            run = event.session.view.run
            if run is None or not run.samples:
                raise InputError("There are no samples to add to. Press Sample first.")
            settings = replace(run.settings, num_samples=min(len(run.samples) + MORE_SAMPLES, MAX_SAMPLES))
            shown = self.show_settings(settings, self.page.engine.info())
            yield Update(text="Starting", fraction=0.0, values=shown)
            yield from draw_wanted(self.page, event.session, job, settings)

        return work

    def throw_dice(self, event: Event) -> Work:
        """Choose a new seed; draw at once if there are samples."""

        def work(job: Job) -> Iterator[Update]:
            settings = replace(self.read(event.values, self.page.engine.info()), seed=new_seed())
            yield Update(values={self.seed: settings.seed}, fraction=0.0)
            yield from redraw(self.page, event.session, job, settings)

        return work

    def choose_preset(self, event: Event) -> Work:
        """Apply a preset's temperature and matching."""

        def work(job: Job) -> Iterator[Update]:
            info = self.page.engine.info()
            preset = read_choice(event.values[self.preset], "The preset", PRESETS)
            temperature = preset_temperature(preset, find_model(info, event.values[self.model] or None))
            shown = {self.temperature: temperature, self.consistency: PRESETS[preset][1]}
            settings = self.read(event.values | shown, info)
            yield Update(values=shown, fraction=0.0)
            yield from redraw(self.page, event.session, job, settings)

        return work

    def move(self, event: Event) -> Work:
        """Handle a changed control."""

        def work(job: Job) -> Iterator[Update]:
            info = self.page.engine.info()
            settings = self.read(event.values, info)
            yield Update(values={self.preset: settings.preset(info)}, fraction=0.0)
            yield from redraw(self.page, event.session, job, settings)

        return work

    def forget_restored(self, event: Event) -> Work:
        """Return precision and tiles, which a PNG of this page had set, to automatic."""

        def work(job: Job) -> Iterator[Update]:
            info = self.page.engine.info()
            settings = replace(self.read(event.values, info), tile=None, precision=None)
            shown = self.show_settings(settings, info) | {self.chip: gr.update(visible=False)}
            yield from open_wanted(self.page, event.session, job, settings)
            text = "Precision and tiles are chosen automatically again. Press Sample."
            yield Update(text=text, changes={"settings": settings}, is_step=False, values=shown)

        return work

    def travel(self, event: Event, to: Callable[[History], View | None], name: str) -> Work:
        """Go back or forward in the history: picture, samples and settings as they were."""

        def work(job: Job) -> Iterator[Update]:
            view = event.session.move(job, to)
            if view is None:
                yield Update(text=f"There is nothing to {name}.", changed=ALL)
                return
            shown = {} if view.settings is None else self.show_settings(view.settings, self.page.engine.info())
            text = f"{'Back' if name == 'undo' else 'Forward'}: {_describe(view)}."
            yield Update(text=text, changed=ALL, values=shown, spoken=True)

        return work

    def halt(self, event: Event) -> Values:
        """Handle the Stop button; the running work itself reports that it was stopped."""
        event.session.stop(event.serial)
        return {self.page.status: gr.skip()}


def _describe(view: View) -> str:
    run = view.run
    if run is None or not run.samples:
        return "a picture without samples" if view.picture is not None else "no picture"
    settings = run.settings
    return f"{len(run.samples)} samples, seed {settings.seed}, τ {settings.temperature:g}"


def _chip(settings: Settings) -> str:
    tile = (
        "automatic tiles"
        if settings.tile is None
        else "without tiles"
        if settings.tile == 0
        else f"tiles of {settings.tile}"
    )
    return f"Restored: {settings.precision or 'automatic precision'}, {tile} ✕"


def new_seed() -> int:
    """Return a seed that is short enough to be read aloud."""
    return secrets.randbelow(1_000_000)

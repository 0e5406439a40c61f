"""The visitor's picture: upload, paste or example, how it is to be read, and which crop of it to enlarge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from app.checks import read_choice, read_int
from app.examples import EXAMPLES
from app.exploring import draw_state
from app.flows import describe_ready, open_wanted, picture_changes
from app.opening import example_source
from app.page import Event, Page
from app.panels.controls import ControlsPanel
from app.pictures import AUTO_PIXELS, REGION_SIDES, open_array, preview_step, read_recipe, select_region, shown_file
from app.records import OpenedPicture, Source, View
from app.runs import make_request
from app.session import Job, Session
from app.settings import Settings, find_model
from app.tasks import ALL, Part, Update, Values, Work
from app.thumbnails import recall
from app.wording import KIND_CHOICES, KIND_HELP, NO_PICTURE, describe_tiles, format_bytes, format_seconds
from srflow.contract import Engine, ImageError, InputError, MemoryBudgetError

__all__ = ["PictureInput", "PicturePanel", "facts_html"]

KINDS = tuple(kind for _, kind in KIND_CHOICES)
WHOLE = "Whole picture"
Choose = Callable[[OpenedPicture], tuple[int, int, "int | None"]]
"""Middle (x, y) and side of a crop; no side: the whole picture."""


class PictureInput(gr.Image):
    """A picture input that passes on the uploaded file unchanged.

    `gr.Image` would open the file first and answer with a traceback if that fails. It would also re-encode it, which
    loses the text in a PNG.
    """

    is_template = True  # the browser uses the component of `gr.Image`

    def preprocess(self, payload: ImageData | None) -> str | None:
        """Return the path of the file."""
        if payload is None:
            return None
        if payload.path is None:
            raise ImageError("The picture was received without a file. Please upload it again.")
        return payload.path


class PicturePanel:
    """Picture box, examples, kind, and the crop with its facts."""

    def __init__(self, page: Page, controls: ControlsPanel) -> None:
        self.page, self.controls = page, controls
        self.image = PictureInput(
            label="Picture: drop, paste, or choose a file",
            type="filepath",
            format="png",
            image_mode=None,
            sources=["upload", "clipboard"],
            height=150,
            buttons=[],
            elem_id="picture",
        )
        gr.HTML('<div class="waiting" hidden></div>', elem_id="waiting", padding=False)  # filled by queue.js
        self.question = gr.HTML("", visible=False, elem_id="question")
        with gr.Row(elem_id="answers"):
            self.restore = gr.Button("Restore its settings", size="sm", visible=False, elem_id="restore")
            self.as_picture = gr.Button("Use it as a picture", size="sm", visible=False, elem_id="as-picture")
            self.as_large = gr.Button("It is a large picture for a test", size="sm", visible=False, elem_id="as-large")
        with gr.Row(elem_id="examples"):
            self.examples = [
                gr.Button(example.name.capitalize(), icon=example.path, size="sm", min_width=40) for example in EXAMPLES
            ]
        self.kind = gr.Radio(list(KIND_CHOICES), value="lr", label="This picture is", elem_id="kind")
        self.kind_help = gr.HTML(_help_html("lr"), elem_classes="help")
        with gr.Row(elem_id="preview-row"):
            self.preview = gr.Image(
                label="Low-resolution input",
                show_label=False,
                type="filepath",
                format="png",
                interactive=False,
                height=110,
                min_width=110,
                buttons=[],
                elem_id="preview",
            )
            with gr.Column(min_width=130, elem_id="preview-facts"):
                self.region = gr.Dropdown([WHOLE], value=WHOLE, label="Crop", elem_id="region")
                self.facts = gr.HTML(f'<p class="facts-line quiet">{NO_PICTURE}</p>')
        with gr.Row(elem_id="region-place"):
            self.left = gr.Number(
                0, precision=0, minimum=0, label="Crop: left", min_width=90, visible=False, elem_id="region-left"
            )
            self.top = gr.Number(
                0, precision=0, minimum=0, label="Crop: top", min_width=90, visible=False, elem_id="region-top"
            )
        self.outputs = [
            *(self.image, self.question, self.restore, self.as_picture, self.as_large, self.kind, self.kind_help),
            *(self.preview, self.region, self.facts, self.left, self.top),
        ]
        self.streamed = self.outputs

    # -- showing -------------------------------------------------------------------------------------------------------

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return the picture after a change, and the estimated time, which improves after each run."""
        if Part.PICTURE not in changed:
            return {self.facts: facts_html(self.page.engine, view)} if Part.END in changed else {}
        values = self._ask(None)
        picture = view.picture
        values[self.facts] = facts_html(self.page.engine, view)
        values[self.left] = values[self.top] = gr.update(visible=False)
        if picture is None:
            return values | {self.image: None, self.preview: None, self.region: gr.update(interactive=False)}
        source, region = picture.source, picture.region
        is_upload = not source.name and not source.restored
        if is_upload and source.kind == "lr" and picture.width * picture.height > AUTO_PIXELS:
            values |= self._ask("large")
        choices = region_choices(picture.width, picture.height)
        side = f"{max(region.width, region.height)} × {max(region.width, region.height)}"
        values |= {
            self.image: str(shown_file(picture)),
            self.kind: source.kind,
            self.kind_help: _help_html(source.kind),
            self.preview: str(picture.files / "preview.png"),
            self.region: gr.update(
                choices=choices,
                value=WHOLE if picture.is_whole or side not in choices else side,
                interactive=len(choices) > 1,
            ),
        }
        if not picture.is_whole:
            values[self.left] = gr.update(visible=True, value=region.left, maximum=picture.width - region.width)
            values[self.top] = gr.update(visible=True, value=region.top, maximum=picture.height - region.height)
        return values

    def _ask(self, question: str | None) -> Values:
        """Return a question about the picture, with the buttons that answer it; None: there is none."""
        text = {
            None: "",
            "png": "This PNG was made here. Restore its settings, or enlarge it once more?",
            "large": "Treated as a low-resolution picture: a crop of it will be enlarged. If it is a large picture "
            "for a test, it can be scaled down first; the samples are then compared with it.",
        }[question]
        return {
            self.question: gr.update(value=f"<p>{text}</p>", visible=question is not None),
            self.restore: gr.update(visible=question == "png"),
            self.as_picture: gr.update(visible=question == "png"),
            self.as_large: gr.update(visible=question == "large"),
        }

    # -- events --------------------------------------------------------------------------------------------------------

    def wire(self, page: Page) -> None:
        """Wire upload, example, kind, model and crop, which change what will be enlarged."""
        controls = self.controls
        settings = list(controls.inputs.values())
        refused: dict[str, Any] = {"on_error": self.refuse}
        page.start(self.image.upload, self.take_upload, [*settings, self.image], source=self.uploaded, **refused)
        page.start(self.image.clear, self.empty, settings)
        for number, button in enumerate(self.examples):
            page.start(
                button.click,
                self.open,
                settings,
                source=partial(_example, number),
                **refused,
            )
        page.start(self.kind.input, self.open, [*settings, self.kind], source=self.read_as)
        page.start(self.as_large.click, self.open, settings, source=_as_large)
        page.start(controls.model.input, self.change_model, [*settings, controls.preset], on_error=self.keep_model)
        page.start(self.restore.click, self.bring_back, settings)
        page.start(self.as_picture.click, self.open, settings, **refused)
        page.start(self.region.input, self.resize, [*settings, self.region])
        page.start(self.preview.select, self.place, [*settings, self.region], has_data=True)
        for component in (self.left, self.top):
            page.start(component.submit, self.shift, [*settings, self.region, self.left, self.top])
            page.start(component.blur, self.shift, [*settings, self.region, self.left, self.top])
        for listener in (
            controls.num_samples.release,
            controls.tile.input,
            controls.precision.input,
            controls.pairwise.input,
            controls.first_index.input,
        ):
            outputs = [self.facts, controls.sample, *(c for panel in page.panels[:1] for c in panel.outputs)]
            page.ask(listener, self.refresh, settings, list(dict.fromkeys(outputs)))

    def uploaded(self, event: Event) -> Source:
        """Handle a dropped, pasted or chosen file: it is low-resolution, unless the visitor says otherwise."""
        path = event.values[self.image]
        if not isinstance(path, str):
            raise InputError("There is no picture yet. Drop one, or choose an example.")
        return Source(event.session.adopt(path))

    def read_as(self, event: Event) -> Source | None:
        """Read the same file as another kind of picture."""
        kind = read_choice(event.values[self.kind], "The kind of picture", KINDS)
        source = event.session.source
        return None if source is None else replace(source, kind=kind, restored=False)

    def take_upload(self, event: Event) -> Work:
        """Open a picture, or ask what to do with a PNG of this page."""

        def work(job: Job) -> Iterator[Update]:
            yield Update(text="Reading the picture", fraction=0.0)
            source = event.session.source
            try:
                is_own = source is not None and read_recipe(self.page.engine, source.path) is not None
            except InputError as error:  # made with settings that this page does not have
                yield from self._open(event, job)
                yield Update(
                    text=f"Treated as a picture to enlarge, because its settings cannot be restored. {error}",
                    spoken=True,
                )
                return
            if not is_own:
                yield from self._open(event, job)
                return
            yield Update(
                text="This PNG was made here. Restore its settings, or enlarge it as a picture?",
                values=self._ask("png"),
                spoken=True,
            )

        return work

    def open(self, event: Event) -> Work:
        """Open what was requested."""
        return lambda job: self._open(event, job)

    def _open(self, event: Event, job: Job) -> Iterator[Update]:
        session = event.session
        info = self.page.engine.info()
        settings = self.controls.read(event.values, info)
        former = session.view.picture
        if former is not None and former.source.restored and session.source != former.source:
            # Settings in a closed section that a PNG has set are valid for that picture only.
            settings = replace(settings, tile=None, precision=None, first_index=0)
            shown = self.controls.show_settings(settings, info) | {self.controls.keep: False}
            yield Update(fraction=0.0, values=shown)
        yield from open_wanted(self.page, session, job, settings)
        picture = session.view.picture
        text = "The picture is the same as before: press Sample."
        if picture is not None and session.view.run is None:
            text = describe_ready(picture)
        presets = {self.controls.preset: self.controls.show_presets(settings, info)}  # it may be another model
        # A newly opened picture is already shown. To show it again would undo what the visitor has chosen since.
        is_the_same = picture is former
        yield Update(text=text, changed=frozenset({Part.PICTURE} if is_the_same else ()), values=presets)

    def empty(self, _event: Event) -> Work:
        """Handle the emptied picture box."""
        emptied = Update(text=NO_PICTURE, changed=ALL, changes=picture_changes(None, None), spoken=True)
        return lambda _job: iter([emptied])

    def refuse(self, session: Session, error: Exception) -> Update:
        """Clear the picture if a new one cannot be read: the previous one must not be drawn instead."""
        if not isinstance(error, ImageError):
            return Update()
        text = "" if session.view.picture is None else "Undo brings back the previous picture."
        return Update(text=text, changes=picture_changes(None, None))

    def change_model(self, event: Event) -> Work:
        """Open the picture for another model, at that model's temperature if a preset with it is selected."""

        def work(job: Job) -> Iterator[Update]:
            shown = self.controls.show_model(event.values, self.page.engine.info())
            yield Update(fraction=0.0, values=shown)
            yield from self._open(replace(event, values=event.values | shown), job)

        return work

    def keep_model(self, session: Session, _error: Exception) -> Update:
        """Go back to the previous model and its temperature if a new model does not fit the picture."""
        settings = session.view.settings
        if settings is None:
            return Update()
        shown = {
            self.controls.model: settings.model,
            self.controls.temperature: settings.temperature,
            self.controls.preset: self.controls.show_presets(settings, self.page.engine.info()),
        }
        return Update(values=shown)

    def bring_back(self, event: Event) -> Work:
        """Restore the settings of a PNG, and its LR picture if the PNG contains it."""

        def work(job: Job) -> Iterator[Update]:
            engine, info = self.page.engine, self.page.engine.info()
            session = event.session
            found = None if session.source is None else read_recipe(engine, session.source.path)
            if found is None:
                raise InputError("This picture has no settings to restore.")
            recipe, lr = found
            settings = Settings.from_recipe(recipe, info)
            shown = self.controls.show_settings(settings, info) | {self.controls.keep: True}
            number = recipe.index + 1
            if lr is None:
                text = (
                    f"Settings of this PNG restored (sample {number}, seed {recipe.seed}). Now open the low-resolution "
                    f"picture of {recipe.lr_width}×{recipe.lr_height} that it was made from."
                )
                yield Update(text=text, changed=ALL, changes=picture_changes(None, settings), values=shown, spoken=True)
                return
            path = session.new_folder(job, "restored") / "restored.png"
            engine.save_png(path, lr)
            source = Source(path, restored=True)
            picture = open_array(engine, session, job, lr, None, find_model(info, recipe.model), source)
            text = f"Restored: sample {number} of seed {recipe.seed}. Press Sample to draw it again."
            changes = picture_changes(picture, settings)
            if recipe.operations:
                yield Update(text="Drawing the explored picture again", fraction=0.0)
                explored = draw_state(engine, session, job, picture, recipe)
                changes["explored"] = explored
                text = f"Restored: {explored.state.label.lower()}. Press Sample for samples to compare it with."
            yield Update(text=text, changed=ALL, changes=changes, values=shown, spoken=True)

        return work

    def resize(self, event: Event) -> Work:
        """Change the size of the crop; its middle stays."""

        def choose(picture: OpenedPicture) -> tuple[int, int, int | None]:
            region = picture.region
            middle = region.left + region.width // 2, region.top + region.height // 2
            return (*middle, read_region_side(event.values[self.region]))

        return self._move(event, choose)

    def place(self, event: Event) -> Work:
        """Move the crop: its middle is where the preview was clicked."""

        def choose(picture: OpenedPicture) -> tuple[int, int, int | None]:
            index = event.data.get("index") if isinstance(event.data, dict) else None
            x, y = index if isinstance(index, (list, tuple)) and len(index) == 2 else (None, None)
            step = preview_step(picture)
            x = read_int(x, "The position", 0, picture.width // step)
            y = read_int(y, "The position", 0, picture.height // step)
            return x * step, y * step, read_region_side(event.values[self.region])

        return self._move(event, choose)

    def shift(self, event: Event) -> Work:
        """Move the crop by its left and top edges as numbers: the way without a pointer."""

        def choose(picture: OpenedPicture) -> tuple[int, int, int | None]:
            region = picture.region
            left = read_int(event.values[self.left], "The left edge", 0, picture.width - region.width)
            top = read_int(event.values[self.top], "The top edge", 0, picture.height - region.height)
            return left + region.width // 2, top + region.height // 2, max(region.width, region.height)

        return self._move(event, choose)

    def _move(self, event: Event, choose: Choose) -> Work:
        """Change the crop; the same crop again changes nothing."""

        def work(job: Job) -> Iterator[Update]:
            session = event.session
            settings = self.controls.read(event.values, self.page.engine.info())
            yield from open_wanted(self.page, session, job, settings)
            picture = session.view.picture
            assert picture is not None
            x, y, side = choose(picture)
            moved = select_region(self.page.engine, session, job, picture, x, y, side)
            if moved is picture:
                yield Update(changed=frozenset({Part.PICTURE}))
                return
            if self.page.ahead is not None:
                self.page.ahead.prepare(session, moved, settings)
            text = describe_ready(moved)
            yield Update(text=text, changed=ALL, changes=picture_changes(moved, settings), spoken=True)

        return work

    def refresh(self, event: Event) -> Values:
        """Show changed settings: the estimated time and, before there are samples, reserved positions for them."""
        page = self.page
        settings = self.controls.read(event.values, page.engine.info())
        session = event.session
        view = session.view
        if view.run is None and not session.is_busy:
            view = session.amend(event.serial, settings=settings) or view
        run = view.run
        is_changed = run is not None and run.settings != replace(settings, seed=run.settings.seed)
        shown: Values = {
            page.status: gr.skip(),
            self.facts: facts_html(page.engine, replace(view, settings=settings)),
            self.controls.sample: gr.update(value="Sample (changed)" if is_changed else "Sample"),
        }
        if run is None and view.picture is not None:
            shown |= page.show_panel(page.panels[0], recall(session, view), {Part.PICTURE})
        return shown


def _example(number: int, _event: Event) -> Source:
    return example_source(number)


def _as_large(event: Event) -> Source | None:
    source = event.session.source
    return None if source is None else replace(source, kind="hr", restored=False)


def _help_html(kind: str) -> str:
    return f'<p class="quiet">{KIND_HELP[kind]}</p>'


def region_choices(width: int, height: int) -> list[str]:
    """Return the sizes of crops smaller than the picture, and the whole picture."""
    return [f"{side} × {side}" for side in REGION_SIDES if side < max(width, height)] + [WHOLE]


def read_region_side(value: object) -> int | None:
    """Return the side of the chosen crop; None: the whole picture."""
    names = {f"{side} × {side}": side for side in REGION_SIDES} | {WHOLE: None}
    return names[read_choice(value, "The crop", names)]


def facts_html(engine: Engine, view: View) -> str:
    """Return the sizes of input and output, and the estimated time and memory."""
    picture, settings = view.picture, view.settings
    if picture is None or settings is None:
        return f'<p class="facts-line quiet">{NO_PICTURE}</p>'
    region, scale = picture.region, picture.scale_factor
    lines = [f"{region.width}×{region.height} → <b>{region.width * scale}×{region.height * scale}</b>"]
    if picture.has_truth:
        lines.append("with ground truth")
    if picture.notes:
        lines.append(escape(", ".join(picture.notes)))
    try:
        estimate = engine.estimate(make_request(picture, settings))
        seconds = f"about {format_seconds(estimate.seconds)}" if estimate.seconds > 0 else "time not known yet"
        lines += [f"{seconds}, {format_bytes(estimate.num_bytes)} of memory", *describe_tiles(estimate)]
    except MemoryBudgetError:
        lines.append('<span class="flag">too large for this machine: choose a region</span>')
    return f'<p class="facts-line">{"<br>".join(lines)}</p>'

"""The visitor's picture: upload, paste or example, what kind it is, and which part of it to enlarge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from app.checks import read_choice
from app.examples import EXAMPLES
from app.pictures import REGION_SIDES, preview
from app.runs import make_request
from app.settings import Settings
from app.state import Visitor
from app.wording import KIND_CHOICES, KIND_HELP, describe_tiles, format_bytes, format_seconds
from srflow.contract import Engine, ImageError, MemoryBudgetError

__all__ = ["KINDS", "PictureInput", "PicturePanel", "build", "facts_html", "read_region_side", "region_choices"]

KINDS = tuple(kind for _, kind in KIND_CHOICES)
WHOLE = "Whole picture"


class PictureInput(gr.Image):
    """Hands over the uploaded file as it is.

    `gr.Image` opens it first, and answers with a trace if that fails; and re-encodes it, which loses a PNG's text.
    """

    is_template = True  # to the browser it is the ordinary one

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The file's path."""
        if payload is None:
            return None
        if payload.path is None:
            raise ImageError("The picture came without a file. Please upload it again.")
        return payload.path


@dataclass(frozen=True)
class PicturePanel:
    """Components."""

    image: PictureInput
    kind: gr.Radio
    kind_help: gr.HTML
    examples: gr.Dataset
    preview: gr.Image
    region: gr.Dropdown
    facts: gr.HTML

    @property
    def shown(self) -> list[Any]:
        """What `show` gives values for."""
        return [self.preview, self.region, self.facts]

    def show(self, engine: Engine, visitor: Visitor, settings: Settings) -> dict[Any, Any]:
        """Values that show the visitor's picture."""
        picture = visitor.picture
        if picture is None:
            return {self.preview: None, self.facts: facts_html(engine, visitor, settings)}
        path = picture.folder / f"preview-{picture.subject}.png"  # a new name, or browsers show the old one
        engine.save_png(path, preview(picture))
        choices = region_choices(picture.width, picture.height)
        side = max(picture.region.width, picture.region.height)
        is_whole = (picture.region.width, picture.region.height) == (picture.width, picture.height)
        chosen = WHOLE if is_whole else f"{side} × {side}"
        return {
            self.preview: str(path),
            self.region: gr.update(
                choices=choices, value=chosen if chosen in choices else WHOLE, interactive=len(choices) > 1
            ),
            self.facts: facts_html(engine, visitor, settings),
        }


def build() -> PicturePanel:
    """Lay the panel out."""
    image = PictureInput(
        label="Picture: drop, paste, or choose a file",
        type="filepath",
        format="png",
        image_mode=None,
        sources=["upload", "clipboard"],
        height=168,
        buttons=[],
        elem_id="picture",
    )
    examples = gr.Dataset(
        components=[gr.Image(type="filepath", format="png", render=False)],
        samples=[[str(example.path)] for example in EXAMPLES],
        type="index",
        label="Or try one of these",
        elem_id="examples",
    )
    kind = gr.Radio(list(KIND_CHOICES), value="lr", label="This picture is", elem_id="kind")
    kind_help = gr.HTML(_help_html("lr"), elem_classes="help")
    with gr.Row(elem_id="preview-row"):
        shown = gr.Image(
            label="Low-resolution input",
            show_label=False,
            type="filepath",
            format="png",
            interactive=False,
            height=120,
            min_width=110,
            buttons=[],
            elem_id="preview",
        )
        with gr.Column(min_width=130, elem_id="preview-facts"):
            region = gr.Dropdown([WHOLE], value=WHOLE, label="Region (click to place)", elem_id="region")
            facts = gr.HTML('<p class="facts-line quiet">No picture yet.</p>')
    return PicturePanel(image, kind, kind_help, examples, shown, region, facts)


def wire(panel: PicturePanel) -> None:
    """The panel's own events; opening a picture involves others and is wired by the layout."""
    panel.kind.change(
        _help_html, panel.kind, panel.kind_help, queue=False, show_progress="hidden", api_visibility="private"
    )


def _help_html(kind: object) -> str:
    return f'<p class="quiet">{KIND_HELP[read_choice(kind, "The kind of picture", KINDS)]}</p>'


def region_choices(width: int, height: int) -> list[str]:
    """Sizes of regions smaller than the picture, and the whole."""
    return [f"{side} × {side}" for side in REGION_SIDES if side < max(width, height)] + [WHOLE]


def read_region_side(value: object) -> int | None:
    """The side of the chosen region; None: the whole picture."""
    names = {f"{side} × {side}": side for side in REGION_SIDES} | {WHOLE: None}
    return names[read_choice(value, "The region", names)]


def facts_html(engine: Engine, visitor: Visitor, settings: Settings) -> str:
    """Sizes in and out, and what it will take."""
    picture = visitor.picture
    if picture is None:
        return '<p class="facts-line quiet">No picture yet.</p>'
    region = picture.region
    scale = next(model.scale_factor for model in engine.info().models if model.key == settings.model)
    lines = [f"{region.width}×{region.height} → <b>{region.width * scale}×{region.height * scale}</b>"]
    if picture.has_truth:
        lines.append("with ground truth")
    try:
        estimate = engine.estimate(make_request(picture, settings))
        seconds = format_seconds(estimate.seconds) if estimate.seconds > 0 else "time not known yet"
        lines += [f"{seconds}, {format_bytes(estimate.num_bytes)}", *describe_tiles(estimate)]
    except MemoryBudgetError:
        lines.append('<span class="flag">too large for this machine: choose a region</span>')
    return f'<p class="facts-line">{"<br>".join(lines)}</p>'

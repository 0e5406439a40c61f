"""The endpoint that finds the sliders of a region: /sliders."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.checks import read_int
from app.endpoint_group import EndpointGroup
from app.operation_lists import Drawn, give_drawn, list_request, read_operations, read_place
from app.panels.picture import PictureInput
from app.records import OpenedPicture
from app.session import Job, Session
from app.settings import Settings
from app.sliders import ANGLES, NUM_ROLLS, check_place, draw_strips, look_for
from app.tasks import Update
from srflow.contract import Engine
from srflow.operations import RIGHT_ANGLE, Draw, Mask, Operation, Slide, to_values

__all__ = ["SliderEndpoint"]

_FEWEST_ROLLS, _MOST_ROLLS = 16, 64


class SliderEndpoint(EndpointGroup):
    """The endpoint for the sliders of a region."""

    def sliders(
        self,
        image: str,
        left: float,
        top: float,
        width: float,
        height: float,
        operations: str = "",
        model: str = "",
        seed: float = 0,
        num_rolls: float = NUM_ROLLS,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[list[str] | None, dict[str, Any] | None]]:
        """Find the main ways in which one region of a super-resolution can differ: at most five, the strongest first.

        Args:
            image: the picture, in any common format.
            left: left edge of the region, in pixels of the low-resolution picture.
            top: its top edge.
            width: its width, 12 to 48.
            height: its height, 12 to 48.
            operations: the picture that contains the region, as for draw_list; empty: the first sample of seed 0.
            model: key of a model; empty: the default one.
            seed: whole number, the seed of the versions of the region that are compared.
            num_rolls: number of these versions, 16 to 64.
            consistency: whether the downscaled picture is made to match the input closely.
            high_resolution_input: scale the picture down first (bicubic).

        Returns:
            One PNG file per slider: the region at seven angles side by side. And a JSON: the picture's operations, the
            angles
            in degrees, and for each slider the share of the variance that it explains, measured on versions that were
            not used
            to find it, what its two ends show in words, and its operation at the last angle. To move it, append that
            operation
            to the operations, with any "angle" from -1.57 to 1.57, and call draw_list. No sliders: only texture differs
            in the
            region.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen = read_operations(operations, Draw(0, 0, settings.temperature))
            place = check_place(read_place(left, top, width, height, picture))
            count = read_int(num_rolls, "num_rolls", _FEWEST_ROLLS, _MOST_ROLLS)
            arguments = self._engine, session.download_folder(), job, picture, settings
            drawn.append((yield from _find(*arguments, chosen, place, count)))

        drawn: list[Drawn] = []
        yield from give_drawn(
            self._call((image, model, -1.0, seed, 1, consistency, high_resolution_input), work), drawn
        )

    def _build(self, options: Mapping[str, Any]) -> None:
        """Build the endpoint and its hidden components."""
        with gr.Column(visible=False):
            image = PictureInput(type="filepath", format="png", image_mode=None, label="image")
            left, top, width, height = (gr.Number(label=name) for name in ("left", "top", "width", "height"))
            operations = gr.Textbox("", label="operations")
            model = gr.Textbox("", label="model")
            seed = gr.Number(0, precision=0, label="seed")
            num_rolls = gr.Number(NUM_ROLLS, precision=0, label="num_rolls")
            consistency = gr.Checkbox(True, label="consistency")
            is_hr = gr.Checkbox(False, label="high_resolution_input")
            files = gr.File(file_count="multiple", label="strips")
            numbers = gr.JSON(label="numbers")
            button = gr.Button()
        inputs = [image, left, top, width, height, operations, model, seed, num_rolls, consistency, is_hr]
        button.click(self.sliders, inputs, [files, numbers], api_name="sliders", **options)


def _find(
    engine: Engine,
    folder: Path,
    job: Job,
    picture: OpenedPicture,
    settings: Settings,
    operations: Sequence[Operation],
    place: Mask,
    num_rolls: int,
) -> Generator[Update, None, Drawn]:
    """Find the sliders of a region of a list's picture; write files to the folder once everything has been drawn.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    lr, seed = picture.lr(), settings.seed
    recipe = engine.recipe(list_request(picture, settings, operations))
    directions = yield from look_for(engine, job, lr, recipe, place, seed, num_rolls)
    found = yield from draw_strips(engine, job, lr, recipe, place, seed, directions)
    files = []
    for number, one in enumerate(found):
        files.append(folder / f"slider-{number}.png")
        engine.save_png(files[-1], one.strip)
    sliders = [
        {
            "share": one.direction.share,
            "ends": list(one.ends),
            "operation": Slide(place, seed, one.direction.weights, RIGHT_ANGLE).to_values(),
        }
        for one in found
    ]
    return Drawn(tuple(files), {"operations": to_values(operations), "angles": list(ANGLES), "sliders": sliders})

"""Endpoints that take lists of operations: /draw_list and /reroll."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from app.checks import read_int
from app.endpoint_group import EndpointGroup
from app.operation_lists import MAX_VARIANTS, Drawn, draw_list, give_drawn, read_operations, read_place, reroll
from app.panels.picture import PictureInput
from app.records import OpenedPicture
from app.session import Job, Session
from app.settings import Settings
from app.tasks import Update
from srflow.operations import Draw

__all__ = ["ListEndpoints"]


class ListEndpoints(EndpointGroup):
    """The endpoints for lists of operations."""

    def draw_list(
        self,
        image: str,
        operations: str = "",
        model: str = "",
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[str | None, dict[str, Any] | None]]:
        """Draw the picture that a list of operations describes; the same list gives the same pixels.

        Args:
            image: the picture, in any common format.
            operations: JSON, {"version": 1, "operations": [...]}, or the short form from a link. The first one is
                {"type": "draw", "seed": 0, "index": 0, "temperature": 0.9}. It may be followed by: {"type": "reroll",
                "mask": M, "seed": 0, "roll": 0}, new noise in a region; {"type": "heat", "temperature": 0.2, "mask":
                M},
                another temperature; {"type": "mix", "with": {"seed": 1, "index": 0}, "angle": 0.5, "mask": M}, towards
                another sample, 0 to 1.57; {"type": "slide", "mask": M, "seed": 0, "weights": [3, -1, ...], "angle":
                0.5},
                towards a mixture of rolls, -1.57 to 1.57. M is {"width": W, "height": H, "box": [left, top, right,
                bottom], "runs": [value, length, ...]} in pixels of the low-resolution picture, with values 0 to 255 row
                by
                row inside the box; for heat and mix it is optional. Empty: the first sample of seed 0.
            model: key of a model; empty: the default one.
            consistency: whether the downscaled picture is made to match the input closely.
            high_resolution_input: scale the picture down first (bicubic) and score the result against the original.

        Returns:
            A PNG with its recipe as text inside, and a JSON of numbers.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen = read_operations(operations, Draw(0, 0, settings.temperature))
            drawn.append(
                (yield from draw_list(self._engine, session.download_folder(), job, picture, settings, chosen))
            )

        drawn: list[Drawn] = []
        for ended in self._call((image, model, -1.0, 0, 1, consistency, high_resolution_input), work):
            if ended is None:
                yield None, None
        yield str(drawn[0].files[0]), dict(drawn[0].numbers)

    def reroll(
        self,
        image: str,
        left: float,
        top: float,
        width: float,
        height: float,
        operations: str = "",
        model: str = "",
        seed: float = 0,
        num_variants: float = 8,
        choose: float = 0,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[list[str] | None, dict[str, Any] | None]]:
        """Draw one region of a super-resolution several times; everything around it stays the same.

        Args:
            image: the picture, in any common format.
            left: left edge of the region, in pixels of the low-resolution picture.
            top: its top edge.
            width: its width.
            height: its height.
            operations: the picture to begin with, as for draw_list; empty: the first sample of seed 0. To continue from
                a variant, pass its operations.
            model: key of a model; empty: the default one.
            seed: whole number, the seed of the rolls.
            num_variants: 1 to 64.
            choose: return files only for this many variants, those that differ most, each representing a share of all;
            0:
                return files for all.
            consistency: whether the downscaled picture is made to match the input closely.
            high_resolution_input: scale the picture down first (bicubic).

        Returns:
            PNG files, each with its recipe as text inside, and a JSON: each variant's operations and numbers, the
            variants
            that the files show, and, if some were chosen, how many variants each represents, and which are smoothest,
            sharpest, darkest, brightest, of most contrast and nearest to the mean.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen = read_operations(operations, Draw(0, 0, settings.temperature))
            place = read_place(left, top, width, height, picture)
            count = read_int(num_variants, "num_variants", 1, MAX_VARIANTS)
            num_chosen = read_int(choose, "choose", 0, count)
            arguments = self._engine, session.download_folder(), job, picture, settings
            drawn.append((yield from reroll(*arguments, chosen, place, count, num_chosen)))

        drawn: list[Drawn] = []
        yield from give_drawn(
            self._call((image, model, -1.0, seed, 1, consistency, high_resolution_input), work), drawn
        )

    def _build(self, options: Mapping[str, Any]) -> None:
        """Build the endpoints and their hidden components."""
        with gr.Column(visible=False):
            image = PictureInput(type="filepath", format="png", image_mode=None, label="image")
            operations = gr.Textbox("", label="operations")
            model = gr.Textbox("", label="model")
            left, top, width, height = (gr.Number(label=name) for name in ("left", "top", "width", "height"))
            seed = gr.Number(0, precision=0, label="seed")
            num_variants = gr.Number(8, precision=0, label="num_variants")
            choose = gr.Number(0, precision=0, label="choose")
            consistency = gr.Checkbox(True, label="consistency")
            is_hr = gr.Checkbox(False, label="high_resolution_input")
            picture = gr.File(label="picture")
            files = gr.File(file_count="multiple", label="variants")
            numbers = gr.JSON(label="numbers")
            button = gr.Button()
        of_list = [image, operations, model, consistency, is_hr]
        button.click(self.draw_list, of_list, [picture, numbers], api_name="draw_list", **options)
        of_place = [image, left, top, width, height, operations, model, seed, num_variants, choose, consistency, is_hr]
        button.click(self.reroll, of_place, [files, numbers], api_name="reroll", **options)

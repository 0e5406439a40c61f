"""Endpoints that steer a region: /wish, /edit, /grain and /could_be."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from app.candidates import check_candidate_place, piece_of_file
from app.checks import read_float
from app.endpoint_group import EndpointGroup
from app.gathering import gather
from app.grain import middle_of
from app.operation_lists import Drawn, give_drawn, list_request, read_operations, read_place, save_variants
from app.panels.picture import PictureInput
from app.records import OpenedPicture
from app.session import Job, Session
from app.settings import Settings
from app.sliders import ANGLES, draw_strips
from app.tasks import Update
from app.viewer.asking import MAX_CANDIDATES
from app.wishes import check_wish_place, look_for_aim, remark_on
from srflow.contract import (
    Direction,
    EditEvent,
    EditRequest,
    ExploreRequest,
    GrainRequest,
    InputError,
    SampleRecipe,
    Variant,
    Verdict,
)
from srflow.errors import brief
from srflow.operations import Box, Draw, Operation, Slide, to_values
from srflow.steering.wishes import angle_for, wish_from_values

__all__ = ["SteeringEndpoints"]

_MOST_DEVIATIONS = 8.0
_MAX_JSON = 2_000_000  # characters; a reference of 256x256 pixels takes about 1.1 million


class SteeringEndpoints(EndpointGroup):
    """The endpoints for wishes, edits, grain and candidate texts."""

    def wish(
        self,
        image: str,
        left: float,
        top: float,
        width: float,
        height: float,
        wish: str = '{"type": "roughness"}',
        deviations: float = 2,
        operations: str = "",
        model: str = "",
        seed: float = 0,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[list[str] | None, dict[str, Any] | None]]:
        """Draw one region with more, or less, of something, measured in standard deviations of what the model expects.

        Args:
            image: the picture, in any common format.
            left: left edge of the region, in pixels of the low-resolution picture.
            top: its top edge.
            width: its width, at most 64.
            height: its height, at most 64.
            wish: JSON: {"type": "roughness"}, {"type": "two-tone"} (sharper), {"type": "brightness"}, {"type":
                "stripes", "period": 6, "direction": 0} (pixels of the result; degrees), {"type": "colour",
                "red": 200, "green": 0, "blue": 0}, {"type": "like", "reference": rows of pixels}, or {"type":
                "scribble", "strokes": [{"want": "brighter", "width": 2, "points": [3, 3, 20, 9]}]}: lines through
                points x, y in pixels of the result, measured from the region's corner, 1 to 4 pixels wide; "want" may
                also be "darker", or "colour" with "colour": [red, green, blue].
            deviations: how much of it, from -8 to 8 standard deviations of 48 versions of the region; 0 is their mean.
            operations: the picture to begin with, as for draw_list; empty: the first sample of seed 0.
            model: key of a model; empty: the default one.
            seed: whole number, the seed of the versions.
            consistency: whether the downscaled picture is made to match the input closely.
            high_resolution_input: scale the picture down first (bicubic).

        Returns:
            A PNG with its recipe inside. And a JSON: whether the wish was reached, how far, the picture's operations,
            LR-PSNR, the share of the versions that are as unusual, and a remark if the input leaves no freedom.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen = read_operations(operations, Draw(0, 0, settings.temperature))
            place = check_wish_place(read_place(left, top, width, height, picture))
            wanted = wish_from_values(_read_json(wish, "wish"))
            target = read_float(deviations, "deviations", -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
            engine, lr, recipe = self._engine, picture.lr(), self._recipe(picture, settings, chosen)
            aim = yield from look_for_aim(engine, job, lr, recipe, place, settings.seed, wanted)
            [found] = yield from draw_strips(
                engine, job, lr, recipe, place, settings.seed, [Direction(weights=aim.weights, share=0.0)], wanted
            )
            radians = [math.radians(angle) for angle in ANGLES]
            angle, is_reached = angle_for(target, radians, [aim.deviations(value) for value in found.measured])
            slide = Slide(place, settings.seed, aim.weights, angle)
            request = ExploreRequest(lr=lr, recipe=recipe, variants=((), (slide,)), wish=wanted)
            variants = yield from gather(engine.explore(request, job.cancel), job, Variant)
            before, end = sorted(variants, key=lambda variant: variant.number)
            assert end.measured is not None
            drawn.append(
                Drawn(
                    self._save(session.download_folder(), job, picture, before.patch, [end]),
                    {
                        "is_reached": is_reached,
                        "deviations": aim.deviations(end.measured),
                        "remark": remark_on(wanted, aim, place, picture),
                        "lr_psnr": end.lr_psnr,
                        "plausibility": None if end.log_prob is None else aim.plausibility(end.log_prob),
                        "operations": to_values(end.recipe.whole_list),
                    },
                )
            )

        drawn: list[Drawn] = []
        yield from give_drawn(
            self._call((image, model, -1.0, seed, 1, consistency, high_resolution_input), work), drawn
        )

    def edit(
        self,
        image: str,
        edited: str,
        operations: str = "",
        model: str = "",
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[list[str] | None, dict[str, Any] | None]]:
        """Make an edited super-resolution match the small picture and look natural, with a verdict.

        Args:
            image: the small picture, in any common format.
            edited: the super-resolution after the edit, with an unchanged size.
            operations: the picture before the edit, as for draw_list; empty: the first sample of seed 0.
            model: key of a model; empty: the default one.
            consistency: whether the downscaled pictures are made to match the input closely.
            high_resolution_input: scale `image` down first (bicubic).

        Returns:
            Two PNGs, made consistent and made natural, each with its recipe inside. And a JSON: how much of the edit
            remains in
            each, how much more likely the region is than in samples, in standard deviations, the share of samples that
            are as
            unusual, the LR-PSNR of each and of the edit itself, and the operations of each.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen = read_operations(operations, Draw(0, 0, settings.temperature))
            if not isinstance(edited, str):
                raise InputError("The edited picture is missing. Send the file; it must have the size of the result.")
            recipe = self._recipe(picture, settings, chosen)
            after = self._engine.read_picture(session.adopt(Path(edited))).pixels
            before = yield from self._before(job, picture, recipe)
            request = EditRequest(lr=picture.lr(), recipe=recipe, picture=after)
            events = self._engine.edit(request, job.cancel)
            drawn.append((yield from self._judged(session, job, picture, before, events)))

        drawn: list[Drawn] = []
        common = (image, model, -1.0, 0, 1, consistency, high_resolution_input)
        yield from give_drawn(self._call(common, work), drawn)

    def grain(
        self,
        image: str,
        left: float,
        top: float,
        width: float,
        height: float,
        source_left: float = 0,
        source_top: float = 0,
        photo: str | None = None,
        operations: str = "",
        model: str = "",
        seed: float = 0,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[list[str] | None, dict[str, Any] | None]]:
        """Give a region the grain, or texture, of another region or of a photo, as far as the input allows.

        Args:
            image: the small picture, in any common format.
            left: left edge of the region that gets the grain, in pixels of the low-resolution picture.
            top: its top edge.
            width: width of both regions.
            height: height of both regions.
            source_left: left edge of the region in the super-resolution from which the grain is taken.
            source_top: its top edge.
            photo: a file to take the grain from instead: its middle, at most 512 pixels a side.
            operations: the picture to begin with, as for draw_list; empty: the first sample of seed 0.
            model: key of a model; empty: the default one.
            seed: whole number; it selects pieces of the source if that is larger or smaller than the region.
            consistency: whether the downscaled pictures are made to match the input closely.
            high_resolution_input: scale `image` down first (bicubic).

        Returns:
            The same as for edit: two PNGs, made consistent and made natural, and a JSON with the verdict.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen = read_operations(operations, Draw(0, 0, settings.temperature))
            place = read_place(left, top, width, height, picture)
            if photo is None:
                box = read_place(source_left, source_top, width, height, picture, "source_").box
            recipe = self._recipe(picture, settings, chosen)
            before = yield from self._before(job, picture, recipe)
            if photo is None:
                source = _cut(before, box, picture.scale_factor)
            else:
                source = middle_of(self._engine.read_picture(session.adopt(Path(photo))).pixels)
            request = GrainRequest(lr=picture.lr(), recipe=recipe, mask=place, source=source, seed=settings.seed)
            events = self._engine.grain(request, job.cancel)
            drawn.append((yield from self._judged(session, job, picture, before, events)))

        drawn: list[Drawn] = []
        common = (image, model, -1.0, seed, 1, consistency, high_resolution_input)
        yield from give_drawn(self._call(common, work), drawn)

    def could_be(
        self,
        image: str,
        left: float,
        top: float,
        width: float,
        height: float,
        texts: str = "",
        operations: str = "",
        model: str = "",
        high_resolution_input: bool = False,
        files: list[str] | None = None,
        pieces: str = "",
    ) -> Iterator[dict[str, Any] | None]:
        """Find out which of several texts, or pictures, the input rules out in a region.

        Only the input can rule out a candidate.

        Args:
            image: the picture, in any common format.
            left: left edge of the region, in pixels of the low-resolution picture; it should contain the text and
                little else.
            top: its top edge.
            width: its width, 4 to 48.
            height: its height, 4 to 48.
            texts: 2 to 10, separated by commas, for example "3, 8, B"; or give pictures instead.
            operations: the super-resolution that shows the surroundings of the region, as for draw_list; empty: the
                first sample of seed 0.
            model: key of a model; empty: the default one.
            high_resolution_input: scale the picture down first (bicubic).
            files: pictures to try, any common format; each is scaled to the place, its edges cut off if they stick out.
            pieces: other places of the super-resolution to try, as large as the place: JSON, [[left, top], ...] in
                pixels of the low-resolution picture. 2 to 10 files and pieces together.

        Returns:
            A JSON: for each text under "texts", or for each file and then each piece under "pieces", the best first,
            "fits", "cannot tell" or "ruled out", and how much of the input it leaves unexplained, in grey levels. The
            result holds only if the region showed one of them, and it looked similar. Characters lower than 3 pixels
            are too small.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen = read_operations(operations, Draw(0, 0, settings.temperature))
            place = check_candidate_place(read_place(left, top, width, height, picture))
            wanted = [text.strip() for text in str(texts).split(",") if text.strip()]
            corners = _read_corners(pieces)
            if wanted and (files or corners):
                raise InputError("There are both texts and pictures. Compare texts, or compare pictures.")
            count = len(wanted) or len(files or ()) + len(corners)
            if count > MAX_CANDIDATES:
                kind = "texts" if wanted else "pictures"
                raise InputError(f"There are {count} {kind}; compare 2 to {MAX_CANDIDATES}.")
            scale = picture.scale_factor
            given = [piece_of_file(self._engine, session.adopt(Path(file)), place, scale) for file in files or ()]
            boxes = [read_place(x, y, width, height, picture, "piece's ").box for x, y in corners]
            recipe = self._recipe(picture, settings, chosen)
            before = yield from self._before(job, picture, recipe)
            pictures = [piece.pixels for piece in given] + [_cut(before, box, scale) for box in boxes]
            judged = self._engine.could_be(picture.lr(), before, place, wanted or pictures, recipe.model, job.cancel)
            names: list[dict[str, Any]] = [
                *({"text": text} for text in wanted),
                *(
                    {"file": Path(file).name, "note": piece.note}
                    for file, piece in zip(files or (), given, strict=True)
                ),
                *({"piece": [box[0], box[1]]} for box in boxes),
            ]
            found["texts" if wanted else "pieces"] = [
                names[each.number] | {"ruling": each.ruling, "residual": each.residual, "share": each.share}
                for each in judged
            ]

        found: dict[str, list[dict[str, Any]]] = {}
        for ended in self._call((image, model, -1.0, 0, 1, True, high_resolution_input), work):
            if ended is None:
                yield None
        yield found

    def _recipe(self, picture: OpenedPicture, settings: Settings, operations: Sequence[Operation]) -> SampleRecipe:
        return self._engine.recipe(list_request(picture, settings, operations))

    def _before(self, job: Job, picture: OpenedPicture, recipe: SampleRecipe) -> Generator[Update, None, np.ndarray]:
        """Return the picture of the recipe."""
        request = ExploreRequest(lr=picture.lr(), recipe=recipe, variants=((),))
        [state] = yield from gather(self._engine.explore(request, job.cancel), job, Variant)
        return state.patch

    def _judged(
        self, session: Session, job: Job, picture: OpenedPicture, before: np.ndarray, events: Iterator[EditEvent]
    ) -> Generator[Update, None, Drawn]:
        """Return both forms of an edit, and the verdict in numbers."""
        told = yield from gather(events, job, object)
        variants = [event for event in told if isinstance(event, Variant)]
        [verdict] = [event for event in told if isinstance(event, Verdict)]
        values = asdict(verdict)
        numbers = {name: values[name] for name in ("drawn_lr_psnr", "kept", "deviations", "plausibility")}
        numbers |= {
            "lr_psnr": [variant.lr_psnr for variant in variants],
            "operations": [to_values(variant.recipe.whole_list) for variant in variants],
        }
        return Drawn(self._save(session.download_folder(), job, picture, before, variants), numbers)

    def _save(
        self, folder: Path, job: Job, picture: OpenedPicture, before: np.ndarray, variants: Sequence[Variant]
    ) -> tuple[Path, ...]:
        named = {f"steered-{variant.number}": variant for variant in variants}
        return save_variants(self._engine, folder, job, picture, before, named)

    def _build(self, options: Mapping[str, Any]) -> None:
        """Build the endpoints and their hidden components."""
        with gr.Column(visible=False):
            image = PictureInput(type="filepath", format="png", image_mode=None, label="image")
            edited = gr.File(label="edited", type="filepath")
            left, top, width, height = (gr.Number(label=name) for name in ("left", "top", "width", "height"))
            wish = gr.Textbox('{"type": "roughness"}', label="wish")
            deviations = gr.Number(2, label="deviations")
            source = [gr.Number(0, label=name) for name in ("source_left", "source_top")]
            photo = gr.File(label="photo", type="filepath")
            texts = gr.Textbox("", label="texts")
            candidates = gr.File(file_count="multiple", label="files", type="filepath")
            pieces = gr.Textbox("", label="pieces")
            operations = gr.Textbox("", label="operations")
            model = gr.Textbox("", label="model")
            seed = gr.Number(0, precision=0, label="seed")
            consistency = gr.Checkbox(True, label="consistency")
            is_hr = gr.Checkbox(False, label="high_resolution_input")
            files = gr.File(file_count="multiple", label="pictures")
            numbers = gr.JSON(label="numbers")
            button = gr.Button()
        place = [left, top, width, height]
        of_wish = [image, *place, wish, deviations, operations, model, seed, consistency, is_hr]
        button.click(self.wish, of_wish, [files, numbers], api_name="wish", **options)
        of_edit = [image, edited, operations, model, consistency, is_hr]
        button.click(self.edit, of_edit, [files, numbers], api_name="edit", **options)
        of_grain = [image, *place, *source, photo, operations, model, seed, consistency, is_hr]
        button.click(self.grain, of_grain, [files, numbers], api_name="grain", **options)
        of_texts = [image, *place, texts, operations, model, is_hr, candidates, pieces]
        button.click(self.could_be, of_texts, [numbers], api_name="could_be", **options)


def _read_json(text: object, what: str) -> object:
    if len(str(text)) > _MAX_JSON:
        raise InputError(f"The text for {what} has {len(str(text))} characters; the maximum is {_MAX_JSON}.")
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"What was given for {what} is not valid JSON ({error}).") from error


def _read_corners(text: object) -> list[tuple[object, object]]:
    """Upper left corners as JSON, "" for none; whether they are in the picture is not looked at."""
    if not str(text).strip():
        return []
    values = _read_json(text, "pieces")
    if not isinstance(values, list) or not all(isinstance(each, list) and len(each) == 2 for each in values):
        raise InputError(f"The pieces must be pairs, [[left, top], ...]; got {brief(values)}.")
    return [(left, top) for left, top in values]


def _cut(picture: np.ndarray, box: Box, scale: int) -> np.ndarray:
    """What a box in LR pixels shows of the large picture, uint8."""
    left, top, right, bottom = (edge * scale for edge in box)
    return np.ascontiguousarray(picture[top:bottom, left:right])

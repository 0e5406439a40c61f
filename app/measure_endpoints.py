"""Endpoints for measurements and exports: /measure and /export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from app.checks import read_choice
from app.downloads import bar_facts
from app.endpoint_group import EndpointGroup
from app.exports import FORMATS, export
from app.measuring import Samples, measure_chosen_line, measure_chosen_place
from app.operation_lists import read_place
from app.panels.picture import PictureInput
from app.records import OpenedPicture
from app.runs import draw
from app.session import Job, Session
from app.settings import Settings
from app.tasks import Update
from app.viewer import Line, parse_line
from srflow.contract import InputError
from srflow.evaluation.reports import agreement_facts, line_facts, place_facts, report_agreement

__all__ = ["MeasureEndpoints"]


class MeasureEndpoints(EndpointGroup):
    """The endpoints for measuring and exporting."""

    def measure(
        self,
        image: str,
        left: float = 0,
        top: float = 0,
        width: float = 0,
        height: float = 0,
        line: str = "",
        model: str = "",
        temperature: float = -1.0,
        seed: float = 0,
        num_samples: float = 8,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[dict[str, Any] | None]:
        """Measure a region or a line in several super-resolutions of a picture, with bars if these are calibrated.

        Args:
            image: the picture, in any common format.
            left: left edge of the region to average, in pixels of the low-resolution picture.
            top: its top edge.
            width: its width; 0: no region.
            height: its height; 0: no region.
            line: the line of the profile, "x, y, x, y" of its two ends in pixels of the result; empty: none.
            model: key of a model; empty: the default one.
            temperature: 0 to 1.2; -1: the model's default.
            seed: whole number.
            num_samples: 2 to 16.
            consistency: whether the downscaled samples are made to match the input closely.
            high_resolution_input: scale the picture down first, and report the original's values too.

        Returns:
            A JSON: "place" (the region's means of brightness, red, green and blue with the half-width of their bars, or
            why
            there is none), "line" (the profile; half_width is σ where coverage is null), "agreement" (the smallest size
            in
            pixels on which the samples agree, by Fourier ring correlation), and "bars" (what is promised for single
            pixels).
        """
        if not num_samples > 1:
            raise gr.Error("Measuring needs at least 2 samples.", print_exception=False)
        wanted: list[Line | None] = []

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            scale = picture.scale_factor
            wanted.append(_read_line(line, picture.region.width * scale, picture.region.height * scale))
            places.append(read_place(left, top, width, height, picture) if width or height else None)
            yield from draw(self._engine, session, job, picture, settings, references=False)

        places: list[Any] = []
        ended = None
        for ended in self._call(
            (image, model, temperature, seed, num_samples, consistency, high_resolution_input), work
        ):
            if ended is None:
                yield None
        assert ended is not None
        run = ended[1].run
        assert run is not None
        pixels = Samples(self._engine).read(run)
        place = None if places[0] is None else measure_chosen_place(pixels, run, places[0])
        profile = None if wanted[0] is None else measure_chosen_line(pixels, run, wanted[0])
        yield {
            "place": None if place is None else place_facts(place),
            "line": None if profile is None else line_facts(profile),
            "agreement": agreement_facts(report_agreement(pixels, place)),
            "bars": bar_facts(run),
        }

    def export(
        self,
        image: str,
        file_format: str = "npz",
        model: str = "",
        temperature: float = -1.0,
        seed: float = 0,
        num_samples: float = 8,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[str | None]:
        """Draw several super-resolutions of a picture, and return them as one file for other programs.

        Args:
            image: the picture, in any common format.
            file_format: "npz" (samples, mean, sigma, half-width of calibrated bars, recipes), "tiff" (float32 stack for
                ImageJ), "ome-tiff" (float32), "csv" (tables of numbers, in a zip), "latents" (safetensors) or
                "latents-npz" (the latents that the model decodes to the same pixels, and their log-likelihood).
            model: key of a model; empty: the default one.
            temperature: 0 to 1.2; -1: the model's default.
            seed: whole number.
            num_samples: 1 to 16.
            consistency: whether the downscaled samples are made to match the input closely.
            high_resolution_input: scale the picture down first.

        Returns:
            The file.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen.append(read_choice(file_format, "The format", FORMATS))
            yield from draw(self._engine, session, job, picture, settings, references=False)

        chosen: list[str] = []
        ended = None
        for ended in self._call(
            (image, model, temperature, seed, num_samples, consistency, high_resolution_input), work
        ):
            if ended is None:
                yield None
        assert ended is not None
        session, view = ended
        for told in export(self._engine, Samples(self._engine), view, chosen[0], session.download_folder()):
            yield str(told) if isinstance(told, Path) else None

    def _build(self, options: Mapping[str, Any]) -> None:
        """Build the endpoints and their hidden components."""
        with gr.Column(visible=False):
            image = PictureInput(type="filepath", format="png", image_mode=None, label="image")
            left, top, width, height = (gr.Number(0, label=name) for name in ("left", "top", "width", "height"))
            line = gr.Textbox("", label="line")
            form = gr.Textbox("npz", label="file_format")
            model = gr.Textbox("", label="model")
            temperature = gr.Number(-1, label="temperature")
            seed = gr.Number(0, precision=0, label="seed")
            num_samples = gr.Number(8, precision=0, label="num_samples")
            consistency = gr.Checkbox(True, label="consistency")
            is_hr = gr.Checkbox(False, label="high_resolution_input")
            numbers = gr.JSON(label="numbers")
            file = gr.File(label="file")
            button = gr.Button()
        common = [model, temperature, seed, num_samples, consistency, is_hr]
        of_place = [image, left, top, width, height, line, *common]
        button.click(self.measure, of_place, [numbers], api_name="measure", **options)
        button.click(self.export, [image, form, *common], [file], api_name="export", **options)


def _read_line(text: str, width: int, height: int) -> Line | None:
    """Read the ends of a line. Raises: InputError: the text does not describe a line of the picture."""
    if not text.strip():
        return None
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"The line is {text[:40]!r}; give four whole numbers, such as 0, 0, 100, 50.") from error
    return parse_line({"line": numbers}, width, height)

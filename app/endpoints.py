"""Named endpoints for `gradio_client` and MCP: /sample, /diversity_map, /sweep."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gradio as gr
import numpy as np

from app.checks import read_bool
from app.downloads import STD_SCALE, run_facts
from app.page import MODEL_WORK, Page
from app.panels.picture import PictureInput
from app.pictures import open_upload
from app.runs import draw, load_map
from app.settings import Settings
from app.state import Run, Visitor
from app.sweeps import Sweep, sweep
from app.wording import describe_error
from srflow.contract import InputError, SRFlowError

__all__ = ["add"]

_KEPT_CALLS = 32
"""Results of so many calls stay on disk; Gradio has copied them for the caller by then."""


class _Endpoints:
    """Each call is a visitor of its own, forgotten after a while."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.calls: deque[Visitor] = deque()
        self.lock = threading.Lock()

    def sample(
        self,
        image: str,
        model: str = "",
        temperature: float = -1.0,
        seed: float = 0,
        num_samples: float = 8,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> tuple[list[str], dict[str, Any]]:
        """Draw several super-resolutions of one picture.

        Args:
            image: the picture, any common format.
            model: key of a model; empty: the default one.
            temperature: 0 (smooth) to 1.2 (bold); -1: the model's default.
            seed: whole number; the same seed gives the same pixels.
            num_samples: 1 to 16.
            consistency: whether samples, scaled down, are made to match the input closely.
            high_resolution_input: scale the picture down first (bicubic) and score samples against the original.

        Returns:
            PNG files, one a sample, each with its recipe as text inside, and a JSON of settings and numbers.
        """
        run, _ = self._run(image, model, temperature, seed, num_samples, consistency, high_resolution_input)
        return [str(sample.path) for sample in run.samples], run_facts(self.page.engine.info(), run)

    def diversity_map(
        self,
        image: str,
        model: str = "",
        temperature: float = -1.0,
        seed: float = 0,
        num_samples: float = 8,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> tuple[str, str, dict[str, Any]]:
        """Where the super-resolutions of a picture differ: the standard deviation over samples, for each pixel.

        Args:
            image: the picture, any common format.
            model: key of a model; empty: the default one.
            temperature: 0 to 1.2; -1: the model's default.
            seed: whole number.
            num_samples: 2 to 16.
            consistency: whether samples are made to match the input closely.
            high_resolution_input: scale the picture down first.

        Returns:
            The map in colour and in 16 bits (luma, 256 grey values an 8-bit unit), both PNG, and a JSON of numbers.
        """
        if not num_samples > 1:
            raise gr.Error("A diversity map needs at least 2 samples.")
        run, visitor = self._run(image, model, temperature, seed, num_samples, consistency, high_resolution_input)
        if run.overlay is None:
            raise gr.Error("The picture is too large for a diversity map here; send a part of it.")
        path = visitor.folder / "std-luma-16bit.png"
        values = load_map(run, "luma")
        self.page.engine.save_png(path, np.rint(np.clip(values * STD_SCALE, 0, 65535)).astype(np.uint16))
        facts = run_facts(self.page.engine.info(), run)
        return str(run.overlay.path), str(path), facts["set"] | {"colour_scale_top": run.overlay.maximum}

    def sweep(
        self,
        image: str,
        model: str = "",
        seed: float = 0,
        num_samples: float = 3,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> tuple[list[str], list[dict[str, Any]]]:
        """The same noise at eight temperatures from 0 to 1.2.

        Args:
            image: the picture, any common format.
            model: key of a model; empty: the default one.
            seed: whole number.
            num_samples: at each temperature, 1 to 8; two or more for the diversity.
            consistency: whether samples are made to match the input closely.
            high_resolution_input: scale the picture down first and score against the original.

        Returns:
            PNG files of the first sample at each temperature, and a JSON list of numbers over temperature.
        """

        def work(visitor: Visitor, settings: Settings) -> Sweep:
            result = None
            for news in sweep(self.page.engine, visitor, settings, min(settings.num_samples, 8), visitor.begin()):
                result = news.sweep or result
            assert result is not None
            return result

        result, _ = self._call(image, model, -1.0, seed, num_samples, consistency, high_resolution_input, work)
        return [str(path) for _, path in sorted(result.paths.items())], result.points

    def models(self) -> list[dict[str, Any]]:
        """The models that can be asked for, with scale factor, default temperature, licence and origin."""
        return [asdict(model) for model in self.page.engine.info().models]

    def _run(self, *values: Any) -> tuple[Run, Visitor]:
        def work(visitor: Visitor, settings: Settings) -> Run:
            for _ in draw(self.page.engine, visitor, settings, visitor.begin(), references=False):
                pass
            assert visitor.run is not None
            return visitor.run

        return self._call(*values, work)

    def _call(
        self,
        image: str | None,
        model: str,
        temperature: float,
        seed: float,
        num_samples: float,
        consistency: bool,
        high_resolution_input: bool,
        work: Callable[[Visitor, Settings], Any],
    ) -> tuple[Any, Visitor]:
        visitor = self._visitor()
        try:
            if image is None:
                raise InputError("The picture is missing.")
            values = {
                "model": model or None,
                "temperature": None if temperature == -1 else temperature,
                "seed": seed,
                "num_samples": num_samples,
                "consistency": read_bool(consistency, "Consistency"),
            }
            settings = Settings.read(values, self.page.engine.info())
            kind = "hr" if read_bool(high_resolution_input, "high_resolution_input") else "lr"
            picture = open_upload(self.page.engine, visitor, image, kind, settings.model)
            visitor.picture = picture.whole_region()
            return work(visitor, settings), visitor
        except SRFlowError as error:
            raise gr.Error(describe_error(error), print_exception=False) from error
        finally:
            self.page.tidy()

    def _visitor(self) -> Visitor:
        """Not one of the page's visitors: a flood of calls must not drive those out."""
        visitor = self.page.visitors.open_outside()
        with self.lock:
            self.calls.append(visitor)
            gone = self.calls.popleft() if len(self.calls) > _KEPT_CALLS else None
        if gone is not None:
            gone.close()
        return visitor


def add(page: Page) -> None:
    """Add the endpoints; their components are not shown."""
    endpoints = _Endpoints(page)
    with gr.Column(visible=False):
        image = PictureInput(type="filepath", format="png", image_mode=None, label="image")
        model = gr.Textbox("", label="model")
        temperature = gr.Number(-1, label="temperature")
        seed = gr.Number(0, precision=0, label="seed")
        num_samples = gr.Number(8, precision=0, label="num_samples")
        few_samples = gr.Number(3, precision=0, label="num_samples")
        consistency = gr.Checkbox(True, label="consistency")
        is_hr = gr.Checkbox(False, label="high_resolution_input")
        files = gr.File(file_count="multiple", label="samples")
        colour = gr.File(label="map")
        exact = gr.File(label="map_16bit")
        numbers = gr.JSON(label="numbers")
        button = gr.Button()
    common = [image, model, temperature, seed, num_samples, consistency, is_hr]
    button.click(endpoints.sample, common, [files, numbers], api_name="sample", **MODEL_WORK)
    button.click(endpoints.diversity_map, common, [colour, exact, numbers], api_name="diversity_map", **MODEL_WORK)
    without_temperature = [image, model, seed, few_samples, consistency, is_hr]
    button.click(endpoints.sweep, without_temperature, [files, numbers], api_name="sweep", **MODEL_WORK)
    gr.api(endpoints.models, api_name="models", queue=False)

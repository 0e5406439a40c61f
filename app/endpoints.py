"""Named endpoints for `gradio_client` and MCP: /sample, /diversity_map, /sweep and /models; other modules have the
rest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from app.checks import read_bool
from app.downloads import run_facts, save_std
from app.family_endpoint import FamilyEndpoint
from app.list_endpoints import ListEndpoints
from app.measure_endpoints import MeasureEndpoints
from app.page import Page
from app.panels.picture import PictureInput
from app.pictures import open_source
from app.records import OpenedPicture, Source, View
from app.runs import draw
from app.session import Job, Session
from app.settings import Settings
from app.slider_endpoints import SliderEndpoint
from app.steering_endpoints import SteeringEndpoints
from app.sweeps import sweep
from app.tasks import ALL, Update, perform
from srflow.contract import Cancelled, ImageTooLargeError, InputError

__all__ = ["Endpoints"]

RESULT_SECONDS = 3600
"""Time for which results stay on disk."""
MAX_PIXELS = 4_000_000
"""Largest result: LR pixels times the square of the scale factor."""
_PROGRESS_SECONDS = 1.0

# Programs have a small queue of their own, so that visitors do not wait behind them.
_OPTIONS: dict[str, Any] = {"concurrency_id": "endpoints", "concurrency_limit": 2}

Common = tuple[str, str, float, float, float, bool, bool]


class Endpoints:
    """The endpoints of the page's API. Each call has its own session.

    Handlers are generators, so that a call is cancelled when its client disconnects. They yield empty results while
    they work; the last result counts.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self._calls: deque[tuple[float, Session]] = deque()
        self._lock = threading.Lock()
        self._build()

    def sample(
        self,
        image: str,
        model: str = "",
        temperature: float = -1.0,
        seed: float = 0,
        num_samples: float = 8,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[list[str] | None, dict[str, Any] | None]]:
        """Draw several super-resolutions of one picture.

        Args:
            image: the picture, in any common format.
            model: key of a model; empty: the default one.
            temperature: 0 (smooth) to 1.2 (bold); -1: the model's default.
            seed: whole number; the same seed gives the same pixels.
            num_samples: 1 to 16.
            consistency: whether the downscaled samples are made to match the input closely.
            high_resolution_input: scale the picture down first (bicubic) and score samples against the original.

        Returns:
            One PNG file per sample, with its recipe as text inside, and a JSON of settings and numbers.
        """
        call = image, model, temperature, seed, num_samples, consistency, high_resolution_input
        ended = None
        for ended in self._draw(call):
            if ended is None:
                yield None, None
        assert ended is not None
        run = ended[1].run
        assert run is not None
        yield [str(sample.path) for sample in run.samples], run_facts(self.page.engine.info(), run)

    def diversity_map(
        self,
        image: str,
        model: str = "",
        temperature: float = -1.0,
        seed: float = 0,
        num_samples: float = 8,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[str | None, str | None, dict[str, Any] | None]]:
        """Map where the super-resolutions of a picture differ: the standard deviation over samples at each pixel.

        Args:
            image: the picture, in any common format.
            model: key of a model; empty: the default one.
            temperature: 0 to 1.2; -1: the model's default.
            seed: whole number.
            num_samples: 2 to 16.
            consistency: whether the downscaled samples are made to match the input closely.
            high_resolution_input: scale the picture down first.

        Returns:
            The map in colour (bars in grey levels if they are calibrated, otherwise σ: see colour_scale_is and bars in
            the
            numbers), σ in 16 bits (luma, 256 grey values per 8-bit unit), both as PNG, and a JSON of numbers.
        """
        if not num_samples > 1:
            raise gr.Error("A diversity map needs at least 2 samples.", print_exception=False)
        call = image, model, temperature, seed, num_samples, consistency, high_resolution_input
        ended = None
        for ended in self._draw(call):
            if ended is None:
                yield None, None, None
        assert ended is not None
        session, view = ended
        run = view.run
        assert run is not None
        if not run.overlays:
            raise gr.Error("The picture is too large for a diversity map. Send a part of it.", print_exception=False)
        path = session.download_folder() / "std-luma-16bit.png"
        save_std(self.page.engine, run, path)
        overlay = run.overlays["luma"]
        scale = {"colour_scale_top": overlay.maximum, "colour_scale_is": f"{overlay.title} ({overlay.unit})"}
        numbers = run_facts(self.page.engine.info(), run)["set"] | scale
        yield str(overlay.path), str(path), numbers

    def sweep(
        self,
        image: str,
        model: str = "",
        seed: float = 0,
        num_samples: float = 3,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[list[str] | None, list[dict[str, Any]] | None]]:
        """Draw the same noise at eight temperatures from 0 to 1.2.

        Args:
            image: the picture, in any common format.
            model: key of a model; empty: the default one.
            seed: whole number.
            num_samples: samples at each temperature, 1 to 8; the diversity needs two or more.
            consistency: whether the downscaled samples are made to match the input closely.
            high_resolution_input: scale the picture down first and score against the original.

        Returns:
            A PNG file of the first sample at each temperature, and a JSON list of numbers for each temperature.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            return sweep(self.page.engine, session, job, picture, settings, min(settings.num_samples, 8))

        ended = None
        for ended in self._call((image, model, -1.0, seed, num_samples, consistency, high_resolution_input), work):
            if ended is None:
                yield None, None
        assert ended is not None
        found = ended[1].sweep
        assert found is not None
        yield [str(path) for _, path in sorted(found.paths.items())], list(found.points)

    def models(self) -> list[dict[str, Any]]:
        """List the available models, with scale factor, default temperature, licence and origin."""
        return [asdict(model) for model in self.page.engine.info().models]

    def _draw(self, call: Common) -> Iterator[tuple[Session, View] | None]:
        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            return draw(self.page.engine, session, job, picture, settings, references=False)

        yield from self._call(call, work)

    def _call(self, call: Common, work: Any) -> Iterator[tuple[Session, View] | None]:
        """Run a call: yield None during the work, then the session and the view. Raises: gr.Error: with the error
        message.
        """
        session = self._session()

        def whole(job: Job) -> Iterator[Update]:
            image, model, temperature, seed, num_samples, consistency, is_hr = call
            if image is None:
                raise InputError("The picture is missing.")
            values = {
                "model": model or None,
                "temperature": None if temperature == -1 else temperature,
                "seed": seed,
                "num_samples": num_samples,
                "consistency": read_bool(consistency, "Consistency"),
            }
            engine = self.page.engine
            settings = Settings.read(values, engine.info())
            kind = "hr" if read_bool(is_hr, "high_resolution_input") else "lr"
            source = Source(session.adopt(Path(image)), kind)
            picture = open_source(engine, session, job, source, settings.model).whole_region()
            num_pixels = picture.width * picture.height * picture.scale_factor**2
            if num_pixels > MAX_PIXELS:
                raise ImageTooLargeError(
                    f"The result would have {num_pixels / 1e6:.1f} megapixels; {MAX_PIXELS / 1e6:g} are the most that "
                    "this endpoint draws. Send a part of the picture."
                )
            yield Update(changed=ALL, changes={"picture": picture, "settings": settings})
            yield from work(session, job, picture, settings)

        last, update = time.monotonic(), Update(text="The call was cancelled.", error=Cancelled())
        for update, _ in perform(session, session.begin(1), whole):  # noqa: B007
            if time.monotonic() - last > _PROGRESS_SECONDS:
                last = time.monotonic()
                yield None
        if update.error is not None:
            raise gr.Error(update.text, print_exception=False)
        yield session, session.view

    def _session(self) -> Session:
        """Open a session that expires by age. It does not count as a visitor, so API calls never evict visitors."""
        session = self.page.sessions.open(is_visitor=False)
        now = time.monotonic()
        with self._lock:
            self._calls.append((now, session))
            old = []
            while now - self._calls[0][0] > RESULT_SECONDS:
                old.append(self._calls.popleft()[1])
        for gone in old:
            gone.close()
        return session

    def _build(self) -> None:
        """Build the endpoints and their hidden components."""
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
        button.click(self.sample, common, [files, numbers], api_name="sample", **_OPTIONS)
        button.click(self.diversity_map, common, [colour, exact, numbers], api_name="diversity_map", **_OPTIONS)
        without_temperature = [image, model, seed, few_samples, consistency, is_hr]
        button.click(self.sweep, without_temperature, [files, numbers], api_name="sweep", **_OPTIONS)
        self.lists = ListEndpoints(self.page.engine, self._call, _OPTIONS)
        self.sliders = SliderEndpoint(self.page.engine, self._call, _OPTIONS)
        self.families = FamilyEndpoint(self.page.engine, self._call, _OPTIONS)
        self.measures = MeasureEndpoints(self.page.engine, self._call, _OPTIONS)
        self.steering = SteeringEndpoints(self.page.engine, self._call, _OPTIONS)
        gr.api(self.models, api_name="models", queue=False)

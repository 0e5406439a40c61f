"""An engine in a few lines of numpy: the same interface as the real one, without torch, weights or waiting.

Samples are the picture enlarged without interpolation plus noise with the size of the temperature, from seed and index,
so that they differ as real ones do, and are the same for the same recipe. With a tile in the request, they come in
tiles.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from fake_calibration import CALIBRATION
from fake_pictures import FakePictures
from fake_results import changed, directions_of, scores_of, summary_of

from srflow.contract import (
    Calibration,
    Cancelled,
    Comparison,
    EditEvent,
    EditRequest,
    Encoded,
    EngineInfo,
    Estimate,
    ExploreEvent,
    ExploreRequest,
    Family,
    GrainRequest,
    InputError,
    MemoryBudgetError,
    ModelInfo,
    NotCalibratedError,
    Notice,
    PartialSample,
    Progress,
    Reference,
    SampleEvent,
    SampleRecipe,
    SampleRequest,
    SampleResult,
    Variant,
    Verdict,
    picture_sha256,
)
from srflow.operations import Given, Mask, check_operations
from srflow.steering.candidates import Candidate
from srflow.steering.wishes import find_aim


class FakeEngine(FakePictures):
    """An implementation of `srflow.contract.Engine` for tests.

    delay: seconds per sample, cancellable in small steps.

    Set `error` to raise it before the next sample, `notice` to send it after each row of tiles, `num_restarts` to
    restart the tiles after the first row, `is_held` to wait for Stop after each row or, without tiles, each sample, and
    `spill` to write samples into files there.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.error: Exception | None = None
        self.notice = ""
        self.num_restarts = 0
        self.is_held = False
        self.spill: Path | None = None
        self.requests: list[SampleRequest] = []
        self.explored: list[ExploreRequest] = []
        self.num_cancelled = 0
        self.edited: list[EditRequest] = []
        self.grained: list[GrainRequest] = []
        self.compared: list[list] = []  # candidates of each comparison
        self.num_directions = 3

    def info(self) -> EngineInfo:
        models = tuple(
            ModelInfo(
                key=f"fake-x{scale}",
                label=f"Fake ×{scale}",
                scale_factor=scale,
                default_temperature=temperature,
                weights_sha256=f"{scale}" * 64,
                license="none",
                provenance="made up",
            )
            for scale, temperature in ((4, 0.9), (8, 0.8))
        )
        return EngineInfo(
            device="numpy",
            precision="float32",
            precision_reason="there is no other",
            memory_limit=10**9,
            models=models,
            default_model="fake-x4",
            version="0",
        )

    def model(self, request: SampleRequest) -> ModelInfo:
        key = request.model or "fake-x4"
        for model in self.info().models:
            if model.key == key:
                return model
        raise InputError(f"There is no model {key!r}.")

    def estimate(self, request: SampleRequest) -> Estimate:
        height, width = (side * self.model(request).scale_factor for side in request.lr.shape[:2])
        tile = request.tile or 0
        num_tiles = math.prod(math.ceil(side / tile) for side in request.lr.shape[:2]) if tile else 1
        return Estimate(
            seconds=self.delay * request.num_samples,
            seconds_to_first=self.delay,
            num_bytes=3 * height * width * 4,
            precision="float32",
            tile=tile,
            num_tiles=num_tiles,
            height=height,
            width=width,
            cached=False,
        )

    def sample(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[SampleEvent]:
        self.requests.append(request)
        model = self.model(request)
        temperature = model.default_temperature if request.temperature is None else request.temperature
        yield self.estimate(request)
        yield Progress(stage="conditioning", fraction=0.0, text="Reading the picture")
        yield Notice(text="This is the test's engine.")
        base = np.kron(request.lr.astype(np.float32), np.ones((model.scale_factor, model.scale_factor, 1), np.float32))
        pictures = [picture for _, picture in request.earlier]
        indices = [index for index, _ in request.earlier]
        if request.tile:
            yield from self._draw_tiles(request, base, temperature, cancel)
        for index in range(request.first_index, request.first_index + request.num_samples):
            for _ in range(10 if self.delay and not request.tile else 0):
                self._check(cancel)
                yield Progress(stage="sampling", fraction=len(pictures) / request.num_samples, text="Drawing")
                time.sleep(self.delay / 10)
            self._check(cancel)
            if self.error:
                raise self.error
            picture = changed(self._picture(request, base, temperature, index), request.operations, model.scale_factor)
            pictures.append(picture)
            indices.append(index)
            path = None
            if self.spill:
                path = str(self.spill / f"{index}.npy")
                np.save(path, picture)
            yield SampleResult(
                index=index,
                picture=None if self.spill else picture,
                path=path,
                lr_psnr=50.0 + index,
                bits_per_dimension=-3.0 - index / 10,
                clipped=0.01,
                flags=("decoded again from clipped latents",) if index == 2 else (),
                recipe=self._recipe(request, index),
                seconds=self.delay,
                truth=scores_of(picture, request.ground_truth),
            )
            if request.summaries and not self.spill:
                yield summary_of(pictures, indices, request, final=False)
            if not request.tile:
                self._hold(cancel)
        if request.summaries and not self.spill:
            yield summary_of(pictures, indices, request, final=True)

    def _picture(self, request: SampleRequest, base: np.ndarray, temperature: float, index: int) -> np.ndarray:
        noise = np.random.default_rng((request.seed, index)).standard_normal(base.shape, np.float32)
        ramp = np.linspace(0.2, 2.0, base.shape[1], dtype=np.float32)[None, :, None]
        return np.clip(np.rint(base + 12 * temperature * ramp * noise), 0, 255).astype(np.uint8)

    def recipe(self, request: SampleRequest) -> SampleRecipe:
        return self._recipe(request, request.first_index)

    def _recipe(self, request: SampleRequest, index: int) -> SampleRecipe:
        model = self.model(request)
        return SampleRecipe(
            model=model.key,
            weights_sha256=model.weights_sha256,
            scale_factor=model.scale_factor,
            seed=request.seed,
            index=index,
            temperature=model.default_temperature if request.temperature is None else request.temperature,
            consistency_rounds=request.consistency_rounds,
            precision=request.precision or "float32",
            tile=request.tile or 0,
            lr_height=request.lr.shape[0],
            lr_width=request.lr.shape[1],
            lr_sha256=picture_sha256(request.lr),
            version="0",
            operations=request.operations,
        )

    def explore(self, request: ExploreRequest, cancel: threading.Event | None = None) -> Iterator[ExploreEvent]:
        self.explored.append(request)
        sample = SampleRequest.from_recipe(request.recipe, request.lr, summaries=False)
        for variant in request.variants:
            check_operations((*request.recipe.whole_list, *variant), size=request.lr.shape[:2])
        *_, result = self.sample(sample, cancel)
        self.requests.pop()
        scale = request.recipe.scale_factor
        for number, variant in enumerate(request.variants):
            yield Progress(stage="sampling", fraction=number / len(request.variants), text="Drawing")
            for _ in range(10 if self.delay else 0):
                self._check(cancel)
                time.sleep(self.delay / 10)
            self._check(cancel)
            after = changed(result.picture, variant, scale)
            masks = [operation.place for operation in variant]
            left, top, right, bottom = 0, 0, request.lr.shape[1], request.lr.shape[0]
            if masks and None not in masks:
                boxes = [mask.support for mask in masks]
                left, top = (min(box[side] for box in boxes) for side in (0, 1))
                right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
            yield Variant(
                number=number,
                left=left * scale,
                top=top * scale,
                patch=after[top * scale : bottom * scale, left * scale : right * scale].copy(),
                lr_psnr=60.0 + number,
                flags=(),
                recipe=replace(request.recipe, operations=(*request.recipe.operations, *variant)),
                seconds=self.delay,
                log_prob=float(-number),
                measured=self._measure(request, after),
            )
        if request.choose:
            yield self._comparison(len(request.variants), request.choose)
        if request.directions:
            yield directions_of(len(request.variants), min(request.directions, self.num_directions))
        if request.aim:
            values = [float(number) for number in range(len(request.variants))]
            yield find_aim(request.wish, values, values[1], values)

    def edit(self, request: EditRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        self.edited.append(request)
        yield from self._forms(request, ("edit", "natural edit"), cancel)

    def grain(self, request: GrainRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        """Fill the whole region with the source's mean colour."""
        self.grained.append(request)
        scale, (height, width) = request.recipe.scale_factor, request.lr.shape[:2]
        picture = np.empty((scale * height, scale * width, 3), np.uint8)
        picture[:] = request.source.mean((0, 1))
        edit = EditRequest(lr=request.lr, recipe=request.recipe, picture=picture, mask=request.mask)
        yield from self._forms(edit, ("grain", "natural grain"), cancel)

    def _forms(
        self, request: EditRequest, origins: tuple[str, str], cancel: threading.Event | None
    ) -> Iterator[EditEvent]:
        yield Progress(stage="sampling", fraction=0.5, text="Comparing")
        self._check(cancel)
        scale, height, width = request.recipe.scale_factor, *request.lr.shape[:2]
        mask = request.mask or Mask(width, height, (0, 0, width, height), (255, width * height))
        for number, origin in enumerate(origins):
            latents = np.full((3, mask.box[3] - mask.box[1], mask.box[2] - mask.box[0]), number, np.float32)
            left, top, right, bottom = (edge * scale for edge in mask.box)
            yield Variant(
                number=number,
                left=left,
                top=top,
                patch=request.picture[top:bottom, left:right] // (number + 1),
                lr_psnr=70.0,
                flags=(),
                recipe=replace(
                    request.recipe,
                    operations=(*request.recipe.operations, Given.of(mask, mask.box, [latents], origin)),
                ),
                seconds=0.0,
            )
        height, width = mask.support[3] - mask.support[1], mask.support[2] - mask.support[0]
        yield Verdict(
            mask=mask,
            drawn_lr_psnr=30.0,
            kept=(0.42, 0.11),
            deviations=(-35.0, -0.5),
            plausibility=(0.0, 0.6),
            num_samples=16,
            unusual=np.full((height, width), 5, np.float32),
        )

    def could_be(self, lr, picture, mask, candidates, model=None, cancel=None) -> tuple[Candidate, ...]:
        """Let the first candidate fit, and rule out the others."""
        self.compared.append(list(candidates))
        left, top, right, bottom = (edge * 4 for edge in mask.support)
        return tuple(
            Candidate(
                number=number,
                ruling="ruled out" if number else "fits",
                residual=float(number + 1),
                share=0.1,
                shift=(0, 0),
                gain=1.0,
                version=0,
                pixels=np.full((bottom - top, right - left, 3), 10 * number, np.uint8),
            )
            for number in range(len(candidates))
        )

    def encode(self, lr, pictures, model=None, cancel=None) -> Encoded:
        """Return the pixels as latents."""
        self._check(cancel)
        levels = np.stack([picture.transpose(2, 0, 1).astype(np.float32) / 255 for picture in pictures])
        return Encoded(levels=(levels,), log_probs=levels.sum((1, 2, 3), dtype=np.float64))

    def encode_each(self, lr, pictures, model=None, cancel=None) -> Iterator[Progress | Encoded]:
        for number in range(len(pictures)):
            self._check(cancel)
            text = f"Encoding picture {number + 1} of {len(pictures)}"
            yield Progress(stage="sampling", fraction=number / len(pictures), text=text)
        yield self.encode(lr, pictures, model, cancel)

    def _measure(self, request: ExploreRequest, picture: np.ndarray) -> float | None:
        if request.wish is None:
            return None
        mask = next(variant[-1].place for variant in request.variants if variant)
        left, top, right, bottom = (edge * request.recipe.scale_factor for edge in mask.support)
        place = picture[top:bottom, left:right]
        return request.wish.measure(place, np.ones(place.shape[:2]))

    def _comparison(self, count: int, choose: int) -> Comparison:
        """Choose the first ones, each representing those with the same number modulo `choose`; leave out the last."""
        distances = np.abs(np.subtract.outer(np.arange(count), np.arange(count))).astype(np.float32) / count
        numbers = range(count - 1) if count > 1 else range(count)
        families = tuple(
            Family(number=first, members=tuple(numbers[first::choose])) for first in range(min(choose, len(numbers)))
        )
        return Comparison(
            different=families,
            typical=families[::-1],
            left_out=(count - 1,) if count > 1 else (),
            extremes={"smoothest": 0, "sharpest": numbers[-1]},
            distances=distances,
        )

    def _draw_tiles(
        self, request: SampleRequest, base: np.ndarray, temperature: float, cancel: threading.Event | None
    ) -> Iterator[SampleEvent]:
        """Draw all samples in rows of tiles, from the top."""
        indices = range(request.first_index, request.first_index + request.num_samples)
        pictures = {index: self._picture(request, base, temperature, index) for index in indices}
        step = request.tile * self.model(request).scale_factor
        for top in [*[0] * self.num_restarts, *range(0, len(base), step)]:
            yield Progress(stage="sampling", fraction=top / len(base), text="Drawing in tiles")
            for index in indices:
                self._check(cancel)
                time.sleep(self.delay * step / len(base))
                yield PartialSample(index=index, top=top, rows=pictures[index][top : top + step])
            if self.notice:
                yield Notice(text=self.notice)
            self._hold(cancel)

    def _hold(self, cancel: threading.Event | None) -> None:
        while self.is_held:
            self._check(cancel)
            time.sleep(0.01)

    def calibration(self, model: str | None = None) -> Calibration:
        """Return a calibration of the x4 model: bars of single pixels and of boxes, without and with five rounds, from
        4 samples on.
        """
        if model == "fake-x8":
            raise NotCalibratedError("There is no calibration for fake-x8.")
        return CALIBRATION

    def references(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[Reference]:
        scale = self.model(request).scale_factor
        if self.spill:
            raise MemoryBudgetError("The pictures to compare with do not fit.")
        for kind, shift in (("bicubic", 0), ("encoder", 10), ("zero_temperature", 20)):
            self._check(cancel)
            picture = np.kron(request.lr, np.ones((scale, scale, 1), np.uint8)) // 2 + np.uint8(shift)
            yield Reference(kind=kind, picture=picture, lr_psnr=40.0, truth=scores_of(picture, request.ground_truth))

    def _check(self, cancel: threading.Event | None) -> None:
        if cancel is not None and cancel.is_set():
            self.num_cancelled += 1
            raise Cancelled("Stopped.")

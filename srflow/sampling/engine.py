"""The engine: requests in, results out. The page and the command line use models only through it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from srflow import __version__
from srflow.compiling import check_compiler
from srflow.contract import (
    Calibration,
    EditEvent,
    EditRequest,
    Encoded,
    EngineInfo,
    Estimate,
    ExploreEvent,
    ExploreRequest,
    GrainRequest,
    InputError,
    Metadata,
    Picture,
    Precision,
    Progress,
    Reference,
    SampleEvent,
    SampleRecipe,
    SampleRequest,
)
from srflow.evaluation.perceptual import PerceptualDistance
from srflow.images import crop_to_multiple, downscale_uint8, to_tensor, upscale_uint8
from srflow.latents import check_seed
from srflow.model import Conditioning, SRFlow, pad_to_multiple
from srflow.operations import Mask
from srflow.pictures import MAX_PIXELS, load_image, read_picture, read_png_text, save_png
from srflow.sampling.background import Channel, in_background
from srflow.sampling.checking import check_edit, check_explore, check_in_memory, check_size, check_variants
from srflow.sampling.drawing import Drawing
from srflow.sampling.editing import Editing
from srflow.sampling.encoding import encode_pictures
from srflow.sampling.estimating import Planner
from srflow.sampling.exploring import Exploration
from srflow.sampling.graining import Graining
from srflow.sampling.hardware import choose_precision, memory_limit, resolve_device
from srflow.sampling.inference import InferenceModel
from srflow.sampling.models import Models
from srflow.sampling.regions import Region, scaled
from srflow.sampling.retouching import Retoucher
from srflow.sampling.spilling import SpillFolder
from srflow.sampling.states import State, StateCache
from srflow.sampling.task import Task
from srflow.sampling.turn import Turn, named_memory_error
from srflow.sampling.weighing import Scales, Yardsticks
from srflow.sampling.worker import Work, Worker
from srflow.steering.candidates import CHARACTERS, WORDS, Candidate, judge
from srflow.steering.grain import lay_grain
from srflow.steering.lettering import draw_versions

__all__ = ["SamplingEngine"]

_GIB = 1 << 30


class SamplingEngine:
    """The implementation of `srflow.contract.Engine` on real models.

    The conditioning of a picture is computed once and cached, so that after a change of temperature or seed only the
    flow runs. One lock guards the device; it is free between tiles and samples, so that several requests take turns.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: of the convolutions; None measures which is best.
        checkpoints: names of shipped checkpoints, folders or Hub ids; None takes all that are shipped.
        cache_bytes: maximum size of all cached conditionings; the least recently used are dropped.
        state_bytes: maximum size of all cached pictures under exploration, likewise.
        piece_bytes: maximum memory for one tile; larger pictures are split. None: 640 MiB on a CPU, and the free memory
            on a GPU.
        spill_folder: where requests create folders for samples that do not fit into memory, which are deleted with the
            request; None: the system's folder for temporary files.
        compiled: let PyTorch compile the networks, for GPUs; on a CPU it was not faster.
    Raises: CheckpointError: a checkpoint cannot be loaded. InputError: no such device, or no compiler.
    """

    def __init__(
        self,
        device: str = "auto",
        precision: Precision | None = None,
        checkpoints: Sequence[str | Path] | None = None,
        cache_bytes: int = _GIB,
        state_bytes: int = _GIB // 4,
        piece_bytes: int | None = None,
        spill_folder: str | Path | None = None,
        compiled: bool = False,
    ) -> None:
        self._device = resolve_device(device)
        if compiled:
            check_compiler(self._device, InputError, "compiled=True")
        chosen, reason = choose_precision(self._device) if precision is None else (precision, "asked for")
        self._precision: Precision = chosen
        self._reason = reason
        self._spill_folder = Path(tempfile.gettempdir() if spill_folder is None else spill_folder)
        self._models = Models(checkpoints, self._device, compiled)
        self._worker = Worker(self._device, cache_bytes)
        for cache in self._models.on_device:
            self._worker.keep(cache)
        self._planner = Planner(self._models, self._worker, chosen, piece_bytes, self._spill_folder)
        self._states = StateCache(state_bytes)
        self._yardsticks = Yardsticks()
        self._perceptual: PerceptualDistance | None = None

    def info(self) -> EngineInfo:
        """Return device, precision and models."""
        return EngineInfo(
            device=_describe(self._device),
            precision=self._precision,
            precision_reason=self._reason,
            memory_limit=memory_limit(self._device),
            models=self._models.infos(),
            default_model=self._models.default,
            version=__version__,
        )

    def estimate(self, request: SampleRequest) -> Estimate:
        """Estimate time, memory and tiles of a request.

        Times follow from earlier requests or, before the first, from the speed of the machine (on Apple's GPUs they are
        0 until then).

        Raises: InputError: the request does not fit. MemoryBudgetError: it needs more memory than there is.
        """
        return self._planner.estimate(self._planner.task(request))

    def sample(
        self, request: SampleRequest, cancel: threading.Event | None = None
    ) -> Generator[SampleEvent, None, None]:
        """Draw the samples; each is yielded when it is finished. See `srflow.contract.Engine`."""
        task = self._planner.task(request)
        estimate = self._planner.estimate(task)
        with SpillFolder(self._spill_folder) as folder:
            yield from self._in_turn(
                lambda turn: self._drawing(task, turn, folder).draw(estimate), "draw samples", cancel
            )

    def recipe(self, request: SampleRequest) -> SampleRecipe:
        """Return the recipe of the request's first sample. Raises: as `estimate`."""
        return self._planner.task(request).recipe(request.first_index)

    def explore(self, request: ExploreRequest, cancel: threading.Event | None = None) -> Iterator[ExploreEvent]:
        """Draw variants of a sample; each is yielded when it is finished. See `srflow.contract.Engine`."""
        sample = SampleRequest.from_recipe(request.recipe, request.lr, summaries=False)
        check_variants(request)
        task = self._planner.task(sample)
        check_explore(request, task)
        events = self._in_turn(lambda turn: self._exploration(request, task, turn).run(), "explore", cancel)
        with closing(events):
            yield from (event for event in events if isinstance(event, ExploreEvent))

    def edit(self, request: EditRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        """Make an edited picture match the LR picture and look natural. See `srflow.contract.Engine`."""
        task = self._planner.task(SampleRequest.from_recipe(request.recipe, request.lr, summaries=False))
        check_edit(request, task)
        yield from self._edited(Editing, task, request.lr, request.recipe, lambda _turn, _before: request, cancel)

    def grain(self, request: GrainRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        """Give a region the grain of another one. See `srflow.contract.Engine`."""
        task = self._planner.task(SampleRequest.from_recipe(request.recipe, request.lr, summaries=False))
        check_seed(request.seed)
        check_size(request.mask, request.lr)
        lr, mask = request.lr, request.mask

        def edit(turn: Turn, before: Callable[[], State]) -> EditRequest:
            laid = turn.run(lambda: lay_grain(lr, request.source, mask.support, task.scale, request.seed))
            picture = before().whole()
            picture[scaled(mask.support, task.scale)] = laid
            return EditRequest(lr=lr, recipe=request.recipe, picture=picture, mask=mask)

        yield from self._edited(Graining, task, lr, request.recipe, edit, cancel)

    def _edited(
        self,
        kind: type[Editing],
        task: Task,
        lr: np.ndarray,
        recipe: SampleRecipe,
        edit: Callable[[Turn, Callable[[], State]], EditRequest],
        cancel: threading.Event | None,
    ) -> Iterator[EditEvent]:
        """Yield the results of an edit of the recipe's picture."""
        check_in_memory(task)

        def work(turn: Turn) -> None:
            exploration = self._exploration(ExploreRequest(lr=lr, recipe=recipe, variants=((),)), task, turn)
            model = turn.run(lambda: self._models.exact(task.loaded))
            padded = pad_to_multiple(to_tensor(lr), task.loaded.info.lr_multiple)

            def scales(region: Region, conditioning: Conditioning | None) -> Scales:
                return Scales(turn, model, padded, region, conditioning)

            request = edit(turn, lambda: exploration.state(recipe.operations))
            kind(request, task, exploration, self._yardsticks, scales, padded, turn).run()

        events = self._in_turn(work, "edit", cancel)
        with closing(events):
            yield from (event for event in events if isinstance(event, EditEvent))

    def could_be(
        self,
        lr: np.ndarray,
        picture: np.ndarray,
        mask: Mask,
        candidates: Sequence[str] | Sequence[np.ndarray],
        model: str | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[Candidate, ...]:
        """Test candidates for a region of a super-resolution, the best first. See `srflow.contract.Engine`."""
        scale = self._models.get(model).info.scale_factor
        left, top, right, bottom = mask.support
        size = (bottom - top) * scale, (right - left) * scale
        versions = [draw_versions(each, *size) if isinstance(each, str) else [each] for each in candidates]
        are_texts = all(isinstance(each, str) for each in candidates)
        limits = WORDS if are_texts and any(len(str(each).strip()) > 1 for each in candidates) else CHARACTERS
        turn, box = Turn(self._worker, cancel), mask.support
        with named_memory_error():
            return turn.run(
                lambda: judge(lr, picture, box, versions, scale, or_negative=are_texts, limits=limits, stop=turn.stop)
            )

    def encode(
        self,
        lr: np.ndarray,
        pictures: Sequence[np.ndarray],
        model: str | None = None,
        cancel: threading.Event | None = None,
    ) -> Encoded:
        """Return the latents of super-resolutions. See `srflow.contract.Engine`."""
        *_, found = self.encode_each(lr, pictures, model, cancel)
        assert isinstance(found, Encoded)
        return found

    def encode_each(
        self,
        lr: np.ndarray,
        pictures: Sequence[np.ndarray],
        model: str | None = None,
        cancel: threading.Event | None = None,
    ) -> Iterator[Progress | Encoded]:
        """Encode with progress. See `srflow.contract.Engine`."""
        loaded = self._models.get(model)
        scale, multiple = loaded.info.scale_factor, loaded.info.lr_multiple
        find = partial(self._models.exact, loaded)

        def work(turn: Turn) -> None:
            turn.send(encode_pictures(turn, find, lr, pictures, scale, multiple))

        events = self._in_turn(work, "encode", cancel)
        with closing(events):
            yield from (event for event in events if isinstance(event, Progress | Encoded))

    def _exploration(self, request: ExploreRequest, task: Task, turn: Turn) -> Exploration:
        padded = pad_to_multiple(to_tensor(request.lr), task.loaded.info.lr_multiple)
        retoucher = Retoucher(turn, self._rearranged(task, turn), task, padded, request.recipe.lr_sha256)

        def drawing(whole: Task, folder: SpillFolder) -> Drawing:
            return self._drawing(whole, turn, folder)

        return Exploration(request, task, turn, self._states, retoucher, drawing, self._spill_folder, self._distance)

    def calibration(self, model: str | None = None) -> Calibration:
        """Return the calibration of a model. Raises: NotCalibratedError: there is none, or its file cannot be used."""
        return self._models.calibration(model)

    def references(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[Reference]:
        """Draw bicubic, the encoder's own picture, and the flow's at temperature 0 (with the request's consistency
        step).

        The encoder's picture is left out if training with the flow has spoilt it.
        """
        task = self._planner.task(replace(request, num_samples=1, summaries=False))
        folder = SpillFolder(self._spill_folder)
        events = self._in_turn(
            lambda turn: self._drawing(task, turn, folder).draw_references(), "draw references", cancel
        )
        with folder, closing(events):
            yield from (event for event in events if isinstance(event, Reference))

    def super_resolve(
        self, lr: np.ndarray, model: str | None = None, cancel: threading.Event | None = None
    ) -> np.ndarray:
        """Return the encoder's own picture, uint8, (s h, s w, 3), whatever its quality."""
        task = self._planner.task(SampleRequest(lr=lr, model=model, num_samples=1, summaries=False))
        folder = SpillFolder(self._spill_folder)
        turn = Turn(self._worker, cancel)
        with folder, named_memory_error():
            return self._drawing(task, turn, folder).super_resolve()

    def network(self, model: str | None = None) -> SRFlow:
        """Return a model itself, in float32, on the CPU; it must not be changed."""
        return self._models.get(model).model

    def seconds(self, request: SampleRequest, what: Work) -> float:
        """Return the seconds of a kind of work on the whole picture, for one sample: as last measured, or estimated."""
        task = self._planner.task(request)
        return task.plan.grid.num_pixels * self._planner.seconds(task, what)

    def open_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> np.ndarray:
        """Read a picture file, on white: see `srflow.pictures.load_image`."""
        return load_image(source, max_pixels=max_pixels or MAX_PIXELS)

    def read_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> Picture:
        """Read a picture file with its opacity and metadata: see `srflow.pictures.read_picture`."""
        return read_picture(source, max_pixels=max_pixels or MAX_PIXELS)

    def scale_down(self, hr: np.ndarray, model: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Scale down an HR picture for that model; return the LR picture and the cropped ground truth."""
        info = self._models.get(model).info
        ground_truth = crop_to_multiple(hr, info.scale_factor * info.lr_multiple)
        return downscale_uint8(ground_truth, info.scale_factor), ground_truth

    def save_png(
        self,
        path: str | Path,
        picture: np.ndarray,
        text: Mapping[str, str] | None = None,
        *,
        alpha: np.ndarray | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        """Write a PNG: see `srflow.contract.Engine`."""
        if alpha is not None and alpha.shape != picture.shape[:2]:
            alpha = upscale_uint8(alpha, picture.shape[0] // alpha.shape[0])
        save_png(path, picture, alpha=alpha, text=text, metadata=metadata)

    def read_png_text(self, source: str | Path | bytes | BinaryIO) -> dict[str, str]:
        """Read the text in a PNG: see `srflow.pictures.read_png_text`."""
        return read_png_text(source)

    def _in_turn(
        self, work: Callable[[Turn], None], name: str, cancel: threading.Event | None
    ) -> Generator[Any, None, None]:
        """Do a request's work in a separate thread, and yield its events."""

        def run(channel: Channel[Any]) -> None:
            with named_memory_error():
                work(Turn(self._worker, cancel, channel))

        return in_background(run, name)

    def _drawing(self, task: Task, turn: Turn, folder: SpillFolder) -> Drawing:
        model = self._rearranged(task, turn)
        return Drawing(turn, model, task, self._planner.replan, folder, self._distance)

    def _rearranged(self, task: Task, turn: Turn) -> InferenceModel:
        loading = Progress(stage="loading", fraction=0.0, text="Loading the model")
        return turn.run(lambda: self._models.rearranged(task.loaded, task.precision, lambda: turn.tell(loading)))

    def _distance(self) -> PerceptualDistance:
        """Return the LPIPS network, for a caller that holds the device."""
        if self._perceptual is None:
            with torch.inference_mode(False):
                self._perceptual = PerceptualDistance(self._device)
        return self._perceptual


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}" if device.type == "cpu" else "Apple GPU (MPS)"

"""Requests in, results out: the one door through which the page and the command line use a model."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from srflow import __version__
from srflow.compiling import check_compiler
from srflow.contract import (
    MAX_INDEX,
    MAX_SIDE,
    Calibration,
    Cancelled,
    EditEvent,
    EditRequest,
    Encoded,
    EngineInfo,
    Estimate,
    ExploreEvent,
    ExploreRequest,
    GrainRequest,
    InputError,
    MemoryBudgetError,
    Metadata,
    Picture,
    Precision,
    Progress,
    Recipe,
    Reference,
    SampleEvent,
    SampleRequest,
    picture_sha256,
)
from srflow.errors import brief
from srflow.evaluation.perceptual import PerceptualDistance
from srflow.images import crop_to_multiple, downscale_uint8, to_tensor, upscale_uint8
from srflow.latents import check_seed
from srflow.model import Conditioning, pad_to_multiple
from srflow.operations import Mask, Reroll, check_operations, count_whole
from srflow.pictures import MAX_PIXELS, load_image, read_picture, read_png_text, save_png
from srflow.sampling.background import Channel, in_background
from srflow.sampling.drawing import Drawing
from srflow.sampling.editing import Editing
from srflow.sampling.encoding import encode_pictures
from srflow.sampling.exploring import Exploration
from srflow.sampling.flops import flops_per_pixel
from srflow.sampling.graining import Graining
from srflow.sampling.hardware import DTYPES, choose_precision, conv_throughput, memory_limit, resolve_device
from srflow.sampling.inference import InferenceModel
from srflow.sampling.models import LoadedModel, Models
from srflow.sampling.planning import Plan, make_plan
from srflow.sampling.regions import Region, scaled
from srflow.sampling.retouching import Retoucher
from srflow.sampling.spilling import SpillFolder
from srflow.sampling.states import State, StateCache
from srflow.sampling.task import Task, tile_key
from srflow.sampling.tiling import MIN_TILE
from srflow.sampling.weighing import Scales, Yardsticks
from srflow.sampling.worker import Work, Worker
from srflow.steering.candidates import CHARACTERS, WORDS, Candidate, judge
from srflow.steering.grain import lay_grain
from srflow.steering.lettering import draw_versions
from srflow.steering.wishes import MIN_ROLLS
from srflow.work import OnStep

__all__ = ["SamplingEngine"]

_MAX_SAMPLES = 10_000
_MAX_VARIANTS = 256
_MAX_DIRECTIONS = 16
_MIN_ROLLS = 8
_MAX_COMPARED = 64_000_000  # pixels of all pictures that are compared as a whole
_GIB = 1 << 30
_CPU_PIECE_BYTES = 5 << 27  # in larger tiles work stops later, and little is saved
_CPU_EFFICIENCY = 0.6  # of the convolution that is tried out at the start: what whole networks reach of it
# FLOP/s that any GPU of the last ten years should reach in these networks; a careful guess, until measured.
_GPU_FLOPS: dict[Precision, float] = {"float32": 2e12, "bfloat16": 5e12, "float16": 5e12}


class SamplingEngine:
    """`srflow.contract.Engine` on a real model.

    A picture is conditioned once; what that gives is kept, so that another temperature or seed runs the flow alone. One
    lock guards the device; it is free between tiles and samples, so that several visitors take turns.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: of the convolutions; None measures which is best.
        checkpoints: names of shipped checkpoints, folders or Hub ids; None takes all that are shipped.
        cache_bytes: how much prepared pictures may hold together; the longest unused go first.
        state_bytes: how much pictures that are explored may hold together, likewise.
        piece_bytes: how much working on one tile may take; larger pictures are cut up. None: 640 MiB on a CPU, and what
            is free on a GPU.
        spill_folder: where requests make folders for samples that do not fit into memory, which go with the request;
            None: the system's folder for temporary files.
        compiled: have PyTorch compile the networks, for GPUs; on a CPU it was no faster.
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
        self._piece_bytes = piece_bytes
        self._spill_folder = Path(tempfile.gettempdir() if spill_folder is None else spill_folder)
        self._models = Models(checkpoints, self._device, compiled)
        self._worker = Worker(self._device, cache_bytes)
        self._states = StateCache(state_bytes)
        self._yardsticks = Yardsticks()
        self._perceptual: PerceptualDistance | None = None
        self._perceptual_lock = threading.Lock()

    def info(self) -> EngineInfo:
        """Device, precision, models."""
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
        """Time, memory and tiles of a request. Times are guessed from earlier requests, or, before the first, from the
        speed of the machine (on Apple's GPUs they are 0 until then).

        Raises: InputError: the request does not fit. MemoryBudgetError: it needs more memory than there is.
        """
        return self._estimate(self._task(request))

    def sample(
        self, request: SampleRequest, cancel: threading.Event | None = None
    ) -> Generator[SampleEvent, None, None]:
        """Draw the samples; each is yielded when it is finished. See `srflow.contract.Engine`."""
        task = self._task(request)
        estimate = self._estimate(task)
        with SpillFolder(self._spill_folder) as folder:
            yield from in_background(
                lambda channel: self._drawing(task, channel, cancel, folder).draw(estimate), name="draw samples"
            )

    def recipe(self, request: SampleRequest) -> Recipe:
        """Of the request's first sample. Raises: as `estimate`."""
        return self._task(request).recipe(request.first_index)

    def explore(self, request: ExploreRequest, cancel: threading.Event | None = None) -> Iterator[ExploreEvent]:
        """Draw ways to go on from a sample; each is yielded when it is finished. See `srflow.contract.Engine`."""
        sample = SampleRequest.from_recipe(request.recipe, request.lr, summaries=False)
        if not 1 <= len(request.variants) <= _MAX_VARIANTS:
            raise InputError(f"There are {len(request.variants)} variants; ask for 1 to {_MAX_VARIANTS}.")
        for variant in request.variants:
            check_operations((*request.recipe.whole_list, *variant), size=request.lr.shape[:2])
        task = self._task(sample)
        if request.choose:
            self._check_choice(request, task)
        if request.directions:
            _check_directions(request)
        if request.wish is not None or request.aim:
            _check_wish(request)
        if task.plan.on_disk:
            _check_places(request)

        def work(channel: Channel) -> None:
            self._exploration(request, task, channel, cancel).run()

        events = in_background(work, name="explore")
        with closing(events):
            yield from (event for event in events if isinstance(event, ExploreEvent))

    def edit(self, request: EditRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        """Bring an edited picture back into what may lie behind the LR picture. See `srflow.contract.Engine`."""
        task = self._task(SampleRequest.from_recipe(request.recipe, request.lr, summaries=False))
        expected = tuple(side * task.scale for side in request.lr.shape[:2])
        picture, mask = request.picture, request.mask
        if picture.dtype != np.uint8 or picture.shape != (*expected, 3):
            raise InputError(
                f"The edited picture must be of 8 bits and {expected[1]}x{expected[0]} pixels, as it was before the "
                f"edit; got {picture.dtype} {picture.shape}."
            )
        if mask is not None:
            _check_size(mask, request.lr)
        yield from self._edited(Editing, task, request.lr, request.recipe, lambda _: request, cancel)

    def grain(self, request: GrainRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        """Give a place the grain of another one. See `srflow.contract.Engine`."""
        task = self._task(SampleRequest.from_recipe(request.recipe, request.lr, summaries=False))
        check_seed(request.seed)
        _check_size(request.mask, request.lr)
        lr, mask = request.lr, request.mask
        laid = lay_grain(lr, request.source, mask.support, task.scale, request.seed)

        def edit(before: State) -> EditRequest:
            picture = before.whole()
            picture[scaled(mask.support, task.scale)] = laid
            return EditRequest(lr=lr, recipe=request.recipe, picture=picture, mask=mask)

        yield from self._edited(Graining, task, lr, request.recipe, edit, cancel)

    def _edited(
        self,
        kind: type[Editing],
        task: Task,
        lr: np.ndarray,
        recipe: Recipe,
        edit: Callable[[State], EditRequest],
        cancel: threading.Event | None,
    ) -> Iterator[EditEvent]:
        """What becomes of an edit of the recipe's picture."""
        _check_in_memory(task)

        def work(channel: Channel) -> None:
            stop = _stopper(cancel, channel)
            explored = ExploreRequest(lr=lr, recipe=recipe, variants=((),))
            exploration = self._exploration(explored, task, channel, cancel)
            model = self._models.exact(task.loaded)
            padded = pad_to_multiple(to_tensor(lr), task.loaded.info.lr_multiple)

            def scales(region: Region, conditioning: Conditioning | None) -> Scales:
                return Scales(self._worker, model, padded, region, stop, conditioning)

            request = edit(exploration.state(recipe.operations))
            kind(request, task, exploration, self._yardsticks, scales, padded, channel, stop).run()

        events = in_background(work, name="edit")
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
        """Test candidates for a place of a super-resolution, the best first. See `srflow.contract.Engine`."""
        scale = self._models.get(model).info.scale_factor
        left, top, right, bottom = mask.support
        size = (bottom - top) * scale, (right - left) * scale
        versions = [draw_versions(each, *size) if isinstance(each, str) else [each] for each in candidates]
        are_texts = all(isinstance(each, str) for each in candidates)

        def stop() -> None:
            if cancel is not None and cancel.is_set():
                raise Cancelled("Stopped.")

        limits = WORDS if are_texts and any(len(str(each).strip()) > 1 for each in candidates) else CHARACTERS
        return judge(lr, picture, mask.support, versions, scale, or_negative=are_texts, limits=limits, stop=stop)

    def encode(
        self,
        lr: np.ndarray,
        pictures: Sequence[np.ndarray],
        model: str | None = None,
        cancel: threading.Event | None = None,
    ) -> Encoded:
        """The latents of super-resolutions. See `srflow.contract.Engine`."""
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
        """The same, telling how far it is. See `srflow.contract.Engine`."""
        loaded, count = self._models.get(model), len(pictures)

        def work(channel: Channel) -> None:
            def tell(number: int) -> None:
                text = f"Encoding picture {number + 1} of {count}"
                channel.offer(Progress(stage="sampling", fraction=number / count, text=text))

            exact = self._models.exact(loaded)
            channel.send(encode_pictures(self._worker, exact, lr, pictures, _stopper(cancel, channel), tell))

        events = in_background(work, name="encode")
        with closing(events):
            yield from events

    def _exploration(
        self, request: ExploreRequest, task: Task, channel: Channel, cancel: threading.Event | None
    ) -> Exploration:
        stop = _stopper(cancel, channel)
        model = self._rearranged(task, channel, stop)
        padded = pad_to_multiple(to_tensor(request.lr), task.loaded.info.lr_multiple)
        retoucher = Retoucher(self._worker, model, task, padded, request.recipe.lr_sha256, stop)

        def drawing(whole: Task, folder: SpillFolder) -> Drawing:
            return self._drawing(whole, channel, cancel, folder)

        return Exploration(
            request,
            task,
            self._worker,
            self._states,
            retoucher,
            drawing,
            self._spill_folder,
            self._distance,
            channel,
            stop,
        )

    def _check_choice(self, request: ExploreRequest, task: Task) -> None:
        if not 1 <= request.choose <= _MAX_VARIANTS:
            raise InputError(f"choose is {request.choose}; it must be from 0 to {_MAX_VARIANTS}.")
        masks = [variant[-1].place if variant else None for variant in request.variants]
        multiple = task.loaded.info.lr_multiple
        places = {None if mask is None else Region.around(mask, multiple) for mask in masks}
        if len(places) > 1:
            raise InputError("Variants of different places cannot be compared. Ask for those of each place by itself.")
        height, width = request.lr.shape[:2]
        if places == {None} and len(masks) * height * width * task.scale**2 > _MAX_COMPARED:
            raise InputError(
                f"{len(masks)} pictures of {width * task.scale}x{height * task.scale} are too many pixels to compare. "
                "Choose a place, or fewer variants."
            )

    def calibration(self, model: str | None = None) -> Calibration:
        """What was measured for a model. Raises: NotCalibratedError: nothing was, or its file cannot be used."""
        return self._models.calibration(model)

    def references(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[Reference]:
        """Bicubic, the encoder's own picture, and the flow's at temperature 0 (with the request's consistency step).

        The encoder's is left out where training with the flow has spoilt it.
        """
        task = self._task(replace(request, num_samples=1, summaries=False))
        folder = SpillFolder(self._spill_folder)
        events: Generator[Reference, None, None] = in_background(
            lambda channel: self._drawing(task, channel, cancel, folder).draw_references(), name="draw references"
        )
        with folder, closing(events):
            yield from (event for event in events if isinstance(event, Reference))

    def open_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> np.ndarray:
        """Read a picture file, on white: see `srflow.pictures.load_image`."""
        return load_image(source, max_pixels=max_pixels or MAX_PIXELS)

    def read_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> Picture:
        """Read a picture file with all that belongs to it: see `srflow.pictures.read_picture`."""
        return read_picture(source, max_pixels=max_pixels or MAX_PIXELS)

    def scale_down(self, hr: np.ndarray, model: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """An HR picture → its LR picture for that model, and the ground truth, cropped to fit."""
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
        """The text in a PNG: see `srflow.pictures.read_png_text`."""
        return read_png_text(source)

    def _task(self, request: SampleRequest) -> Task:
        loaded, precision = self._check(request)
        default = loaded.info.default_temperature
        return Task(
            request=request,
            loaded=loaded,
            precision=precision,
            temperature=default if request.temperature is None else request.temperature,
            plan=self._plan(request, loaded, precision),
        )

    def _check(self, request: SampleRequest) -> tuple[LoadedModel, Precision]:
        loaded = self._models.get(request.model)
        info, lr = loaded.info, request.lr
        if lr.dtype != np.uint8 or lr.ndim != 3 or lr.shape[2] != 3 or 0 in lr.shape:
            raise InputError(f"The LR picture must be uint8 (h, w, 3) and not empty; got {lr.dtype} {lr.shape}.")
        _check_whole("num_samples", request.num_samples, 1, _MAX_SAMPLES)
        _check_whole("first_index", request.first_index, 0, MAX_INDEX + 1 - request.num_samples)
        _check_whole("consistency_rounds", request.consistency_rounds, 0, 100)
        if request.tile not in (None, 0):
            _check_whole("tile, which is 0 for a picture in one piece,", request.tile, MIN_TILE, MAX_SIDE)
        temperature = request.temperature
        if temperature is not None and not (isinstance(temperature, Real) and 0 <= temperature <= 2):
            raise InputError(f"The temperature is {brief(temperature)}; it must be from 0 to 2.")
        check_seed(request.seed)
        check_operations(request.operations, complete=False, size=lr.shape[:2])
        if request.deep and count_whole(request.operations) < len(request.operations):
            raise InputError("Operations on places give pictures of 8 bits; ask for 16 bits without them.")
        if request.weights_sha256 not in (None, info.weights_sha256):
            raise InputError(
                f"The recipe was made with other weights of {info.key} than those that are loaded; its pixels cannot "
                "be made again. Load the checkpoint that it was made with."
            )
        expected = tuple(side * info.scale_factor for side in lr.shape[:2])
        if request.ground_truth is not None and request.ground_truth.shape[:2] != expected:
            raise InputError(
                f"The ground truth is {request.ground_truth.shape[:2]}, but at x{info.scale_factor} this LR picture "
                f"needs one of {expected}."
            )
        precision = request.precision or self._precision
        if precision not in DTYPES:
            raise InputError(f"The precision is {precision!r}; use one of {', '.join(DTYPES)}.")
        return loaded, precision

    def _plan(
        self, request: SampleRequest, loaded: LoadedModel, precision: Precision, smaller_than: int | None = None
    ) -> Plan:
        info = loaded.info
        is_cpu = self._device.type == "cpu"
        limit = memory_limit(self._device)
        piece = self._piece_bytes or (_CPU_PIECE_BYTES if is_cpu else limit)
        multiple = info.lr_multiple
        plan = make_plan(
            self._models.footprint(loaded, precision),
            tuple(-(-side // multiple) * multiple for side in request.lr.shape[:2]),
            scale=info.scale_factor,
            multiple=multiple,
            num_samples=request.num_samples,
            rounds=request.consistency_rounds,
            summaries=request.summaries,
            is_deep=request.deep,
            # After memory ran out, what was asked for cannot be had any more.
            tile=request.tile if smaller_than is None else None,
            limit=limit,
            piece_limit=piece,
            is_cpu=is_cpu,
            smaller_than=smaller_than,
        )
        if plan.on_disk:
            self._check_disk(plan.result_bytes)
        return plan

    def _check_disk(self, num_bytes: int) -> None:
        folder = self._spill_folder.absolute()
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if num_bytes > free:
            raise MemoryBudgetError(
                f"The samples take {num_bytes / 1e9:.1f} GB, which do not fit into memory; of disk space "
                f"{free / 1e9:.1f} GB are free. Ask for fewer samples or a smaller region."
            )

    def _estimate(self, task: Task) -> Estimate:
        request, plan = task.request, task.plan
        lr_sha256 = picture_sha256(request.lr)
        keys = [tile_key(task, lr_sha256, number) for number in range(len(plan.grid))]
        cached = all(key in self._worker.cache for key in keys)
        conditioning = 0.0 if cached else plan.grid.num_pixels * self._seconds(task, "conditioning")
        drawing = plan.grid.num_pixels * (self._seconds(task, "sampling") + self._seconds(task, "finishing"))
        in_one_piece = len(plan.grid) == 1
        seconds = conditioning + request.num_samples * drawing
        return Estimate(
            seconds=seconds,
            seconds_to_first=conditioning + plan.batch * drawing if in_one_piece else seconds,
            num_bytes=plan.num_bytes,
            precision=task.precision,
            tile=plan.grid.tile,
            num_tiles=len(plan.grid),
            height=request.lr.shape[0] * task.scale,
            width=request.lr.shape[1] * task.scale,
            cached=cached,
        )

    def _seconds(self, task: Task, what: Work) -> float:
        """Of an LR pixel: measured, or guessed."""
        measured = self._worker.seconds_per_pixel(what, task.loaded.model.config, DTYPES[task.precision])
        if measured is not None:
            return measured
        if what == "finishing" or self._device.type == "mps":
            return 0.0
        # On ZeroGPU the device may not be touched here, nor is anything ever measured in this process.
        on_cpu = self._device.type == "cpu"
        speed = _CPU_EFFICIENCY * conv_throughput(task.precision) if on_cpu else _GPU_FLOPS[task.precision]
        return flops_per_pixel(task.loaded.model, what) / speed

    def _drawing(self, task: Task, channel: Channel, cancel: threading.Event | None, folder: SpillFolder) -> Drawing:
        stop = _stopper(cancel, channel)
        model = self._rearranged(task, channel, stop)
        return Drawing(self._worker, model, task, channel, stop, self._replan, folder, self._distance)

    def _rearranged(self, task: Task, channel: Channel, stop: OnStep) -> InferenceModel:
        def tell() -> None:
            stop()
            channel.offer(Progress(stage="loading", fraction=0.0, text="Loading the model"))

        return self._models.rearranged(task.loaded, task.precision, tell)

    def _replan(self, task: Task) -> Task:
        """The task in smaller tiles, since memory ran out. Raises MemoryBudgetError if there are none."""
        largest = max(task.plan.grid.largest)
        plan = self._plan(task.request, task.loaded, task.precision, smaller_than=largest)
        # Where results go was decided when the work began, and those who take them rely on it.
        return replace(task, plan=replace(plan, on_disk=task.plan.on_disk))

    def _distance(self) -> PerceptualDistance:
        with self._perceptual_lock:
            if self._perceptual is None:
                self._perceptual = PerceptualDistance(self._device)
            return self._perceptual


def _stopper(cancel: threading.Event | None, channel: Channel) -> OnStep:
    def stop() -> None:
        channel.check()
        if cancel is not None and cancel.is_set():
            raise Cancelled("Stopped.")

    return stop


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    """Raises: InputError: it is no whole number from `low` to `high`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= high:
        raise InputError(f"{name} is {brief(value)}; it must be a whole number from {low} to {high}.")


def _check_places(request: ExploreRequest) -> None:
    """Raises: MemoryBudgetError: whole pictures are asked for."""
    if any(not variant or any(one.place is None for one in variant) for variant in request.variants):
        raise MemoryBudgetError(
            "The picture does not fit into memory, so only variants of a place of it can be drawn. Explore a smaller "
            "region of it."
        )


def _check_size(mask: Mask, lr: np.ndarray) -> None:
    if (mask.height, mask.width) != lr.shape[:2]:
        raise InputError(
            f"The mask is for a picture of {mask.width}x{mask.height}, but the LR picture is "
            f"{lr.shape[1]}x{lr.shape[0]}."
        )


def _check_in_memory(task: Task) -> None:
    if task.plan.on_disk:
        raise MemoryBudgetError("The picture does not fit into memory. Explore a smaller region of it.")


def _check_directions(request: ExploreRequest) -> None:
    """Raises: InputError: the variants are not the rolls of one place that a `Slide` can mix."""
    if not 1 <= request.directions <= _MAX_DIRECTIONS:
        raise InputError(f"directions is {request.directions}; it must be from 0 to {_MAX_DIRECTIONS}.")
    _check_rolls(request, _MIN_ROLLS, "Directions are looked for")


def _check_wish(request: ExploreRequest) -> None:
    """Raises: InputError: there is no place to measure at, or the variants are no rolls to look for an aim among."""
    if request.wish is None:
        raise InputError("There is no wish to look for the way to. Give one, or leave aim out.")
    places = {variant[-1].place for variant in request.variants if variant}
    if len(places) != 1 or None in places:
        raise InputError("A wish is about one place: every variant must end with an operation on the same one.")
    if request.aim:
        _check_rolls(request, MIN_ROLLS, "The way to a wish is looked for")


def _check_rolls(request: ExploreRequest, least: int, what: str) -> None:
    """Raises: InputError: the variants are not rolls 0, 1, 2 … of one place, such as a `Slide` mixes."""
    rolls = [variant[0] for variant in request.variants if len(variant) == 1]
    first = rolls[0] if rolls else None
    if not isinstance(first, Reroll) or len(rolls) < least or len(rolls) < len(request.variants):
        raise InputError(f"{what} among the rolls of a place, {least} or more, and nothing else.")
    if rolls != [Reroll(first.mask, first.seed, roll) for roll in range(len(rolls))]:
        raise InputError(f"{what} among rolls 0, 1, 2 … of one place and one seed.")


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}" if device.type == "cpu" else "Apple GPU (MPS)"

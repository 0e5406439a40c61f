"""From a request to a task: what was left open is decided, the work planned, and its time and memory estimated."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from srflow.contract import Estimate, MemoryBudgetError, Precision, SampleRequest, picture_sha256
from srflow.sampling.checking import check_sample
from srflow.sampling.flops import flops_per_pixel
from srflow.sampling.hardware import DTYPES, conv_throughput, memory_limit
from srflow.sampling.models import LoadedModel, Models
from srflow.sampling.planning import Plan, make_plan
from srflow.sampling.task import Task, tile_key
from srflow.sampling.worker import Work, Worker

__all__ = ["Planner"]

_CPU_PIECE_BYTES = 5 << 27  # in larger tiles work stops later, and little is saved
_CPU_EFFICIENCY = 0.6  # of the convolution that is tried out at the start: what whole networks reach of it
# FLOP/s that any GPU of the last ten years should reach in these networks; a careful guess, until measured.
_GPU_FLOPS: dict[Precision, float] = {"float32": 2e12, "bfloat16": 5e12, "float16": 5e12}


class Planner:
    """Makes tasks of requests.

    Args:
        models: what there is.  worker: the device, and how fast it was.
        precision: of the convolutions, where a request leaves it open.
        piece_bytes: how much working on one tile may take. None: 640 MiB on a CPU, and what is free on a GPU.
        spill_folder: where samples go that do not fit into memory.
    """

    def __init__(
        self, models: Models, worker: Worker, precision: Precision, piece_bytes: int | None, spill_folder: Path
    ) -> None:
        self._models, self._worker, self._precision = models, worker, precision
        self._device = worker.device
        self._piece_bytes, self._spill_folder = piece_bytes, spill_folder

    def task(self, request: SampleRequest) -> Task:
        """Check a request and plan it. Raises: InputError: it does not fit. MemoryBudgetError: there is not enough."""
        loaded = self._models.get(request.model)
        check_sample(request, loaded.info)
        precision = request.precision or self._precision
        default = loaded.info.default_temperature
        return Task(
            request=request,
            loaded=loaded,
            precision=precision,
            temperature=default if request.temperature is None else request.temperature,
            plan=self._plan(request, loaded, precision),
        )

    def replan(self, task: Task) -> Task:
        """The task in smaller tiles, since memory ran out. Raises MemoryBudgetError if there are none."""
        largest = max(task.plan.grid.largest)
        plan = self._plan(task.request, task.loaded, task.precision, smaller_than=largest)
        # Where results go was decided when the work began, and those who take them rely on it.
        return replace(task, plan=replace(plan, on_disk=task.plan.on_disk))

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
            is_plain=request.plain,
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

    def estimate(self, task: Task) -> Estimate:
        """Time, memory and tiles. Times are guessed from earlier requests, or from the speed of the machine."""
        request, plan = task.request, task.plan
        lr_sha256 = picture_sha256(request.lr)
        keys = [tile_key(task, lr_sha256, number) for number in range(len(plan.grid))]
        cached = all(key in self._worker.cache for key in keys)
        conditioning = 0.0 if cached else plan.grid.num_pixels * self.seconds(task, "conditioning")
        drawing = plan.grid.num_pixels * (self.seconds(task, "sampling") + self.seconds(task, "finishing"))
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

    def seconds(self, task: Task, what: Work) -> float:
        """Of a kind of work on an LR pixel, for one sample: as last measured, or guessed."""
        measured = self._worker.seconds_per_pixel(what, task.loaded.model.config, DTYPES[task.precision])
        if measured is not None:
            return measured
        if what == "finishing" or self._device.type == "mps":
            return 0.0
        # On ZeroGPU the device may not be touched here, nor is anything ever measured in this process.
        on_cpu = self._device.type == "cpu"
        speed = _CPU_EFFICIENCY * conv_throughput(task.precision) if on_cpu else _GPU_FLOPS[task.precision]
        return flops_per_pixel(task.loaded.model, what) / speed

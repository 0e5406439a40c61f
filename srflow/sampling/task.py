"""A request that was checked, and by which name what belongs to it is kept."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from srflow import __version__
from srflow.contract import Precision, SampleRecipe, SampleRequest, picture_sha256
from srflow.operations import Draw, Operation
from srflow.sampling.models import LoadedModel
from srflow.sampling.planning import Plan

__all__ = ["Task", "tile_key"]


@dataclass(frozen=True)
class Task:
    """A request that has been checked, with all that was left open decided."""

    request: SampleRequest
    loaded: LoadedModel
    precision: Precision
    temperature: float
    plan: Plan

    @property
    def scale(self) -> int:
        """HR pixels to an LR pixel."""
        return self.loaded.info.scale_factor

    def recipe(self, index: int) -> SampleRecipe:
        """Of one of its samples."""
        request, info = self.request, self.loaded.info
        return SampleRecipe(
            model=info.key,
            weights_sha256=info.weights_sha256,
            scale_factor=self.scale,
            seed=request.seed,
            index=index,
            temperature=float(self.temperature),
            consistency_rounds=request.consistency_rounds,
            precision=self.precision,
            tile=self.plan.grid.tile,
            lr_height=request.lr.shape[0],
            lr_width=request.lr.shape[1],
            lr_sha256=picture_sha256(request.lr),
            version=__version__,
            operations=request.operations,
        )

    def whole_list(self, index: int, count: int | None = None) -> tuple[Operation, ...]:
        """The draw of a sample and the request's operations, or the first `count` of these."""
        draw = Draw(self.request.seed, index, float(self.temperature))
        return draw, *self.request.operations[:count]


def tile_key(task: Task, lr_sha256: str, number: int) -> Hashable:
    """By which the conditioning of a picture's tile is kept."""
    return task.loaded.info.key, task.precision, lr_sha256, task.plan.grid.tile, number

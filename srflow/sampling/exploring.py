"""Draws variants of a sample: every step of a list of operations is drawn once and cached for later requests."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from srflow.contract import (
    Aim,
    Comparison,
    Directions,
    ExploreRequest,
    MemoryBudgetError,
    Progress,
    SampleRecipe,
    Variant,
)
from srflow.evaluation.choosing import extremes, farthest, plausible, typical
from srflow.evaluation.directions import find_directions, place_features
from srflow.evaluation.perceptual import MIN_SIDE, PerceptualDistance
from srflow.operations import Box, Operation, count_whole
from srflow.sampling.drawing import Drawing
from srflow.sampling.finishing import squared_lr_error
from srflow.sampling.regions import DRAFT_MARGIN, MARGIN, Region, scaled
from srflow.sampling.retouching import Retoucher
from srflow.sampling.spilling import SpillFolder
from srflow.sampling.states import Patch, State, StateCache
from srflow.sampling.task import Task
from srflow.sampling.turn import Turn
from srflow.sampling.worker import OutOfMemory
from srflow.steering.wishes import find_aim

__all__ = ["Exploration"]

_Result = TypeVar("_Result")


class Exploration:
    """Carries out one `ExploreRequest`.

    Args:
        request: what to draw.  task: the same as a sample's, checked.
        turn: the request's turn at the device.
        cache: of states, kept between requests.  retoucher: of the task.
        drawing: creates the object that draws a whole picture, with a folder for what does not fit into memory.
        spill_folder: parent of such folders; each is deleted with its picture, when the cache drops that.
        distance: returns the LPIPS network, which it builds at the first call; a piece of work.
    """

    def __init__(
        self,
        request: ExploreRequest,
        task: Task,
        turn: Turn,
        cache: StateCache,
        retoucher: Retoucher,
        drawing: Callable[[Task, SpillFolder], Drawing],
        spill_folder: Path,
        distance: Callable[[], PerceptualDistance],
    ) -> None:
        self._request, self._task, self._cache, self._retoucher = request, task, cache, retoucher
        self._drawing, self._spill_folder, self._distance = drawing, spill_folder, distance
        self._turn = turn
        self._draw = request.recipe.whole_list[:1]
        self._finished = 0

    def run(self) -> None:
        """Draw all variants; those of the same region together."""
        self._tell("Drawing the picture")
        count = len(self._request.variants)
        base = self._request.recipe.operations
        states: dict[int, State] = {}
        rolls: dict[int, Variant] = {}
        for numbers in self._groups():
            lists = [(*base, *self._request.variants[number]) for number in numbers]
            started = time.perf_counter()
            drawn = self.states(lists, draft=self._request.draft)
            for number, operations, state in zip(numbers, lists, drawn, strict=True):
                variant = self.variant(number, operations, state, time.perf_counter() - started)
                self._turn.send(variant)
                if self._request.choose or self._request.directions:
                    states[number] = state
                if self._request.aim:
                    rolls[number] = replace(
                        variant, patch=np.empty((0, 0, 3), np.uint8)
                    )  # not a view, which would keep everything
                self._finished += 1
                started = time.perf_counter()
                self._tell(f"Drawing variant {min(self._finished + 1, count)} of {count}")

        if self._request.choose:
            self._turn.tell(Progress(stage="comparing", fraction=1.0, text="Comparing the variants"))
            self._turn.send(self._comparison([states[number] for number in range(count)]))
        if self._request.directions:
            self._turn.tell(Progress(stage="comparing", fraction=1.0, text="Looking for the main differences"))
            self._turn.send(self._directions([states[number] for number in range(count)]))
        if self._request.aim:
            self._turn.send(self._aim([rolls[number] for number in range(count)]))

    def _comparison(self, states: list[State]) -> Comparison:
        """Return statistics of all variants, in their region or everywhere."""
        lr, scale = self._request.lr, self._task.scale
        last = self._request.variants[0][-1:]
        mask = last[0].place if last else None
        box, weight = (0, 0, lr.shape[1], lr.shape[0]), None
        if mask is not None:
            box = Region.around(mask, self._task.loaded.info.lr_multiple).patch
            box = _at_least(box, -(-MIN_SIDE // scale), lr.shape[1], lr.shape[0])
            weight = np.kron(mask.array(box), np.ones((scale, scale)))
        pictures = [state.crop(*scaled(box, scale)) for state in states]
        self._turn.stop()
        distances = self._distances(pictures)
        self._turn.stop()
        allowed = plausible([state.log_prob for state in states], [bool(state.flags) for state in states])
        return Comparison(
            different=farthest(distances, self._request.choose, allowed),
            typical=typical(distances, self._request.choose, allowed),
            left_out=tuple(np.flatnonzero(~allowed).tolist()),
            extremes=extremes(pictures, weight, allowed),
            distances=distances,
        )

    def _directions(self, states: list[State]) -> Directions:
        """Return the directions in which the rolls differ inside their mask."""
        mask = self._request.variants[0][-1].place
        assert mask is not None
        scale, box = self._task.scale, mask.support
        crops = [state.crop(*scaled(box, scale)) for state in states]
        features = self.on_device(lambda: place_features(crops, mask.weights(scale)))
        return Directions(found=self.on_device(lambda: find_directions(features, self._request.directions)))

    def _measure(self, state: State) -> float | None:
        """Measure the wish in the region of the variants."""
        wish = self._request.wish
        if wish is None:
            return None
        mask = next(variant[-1].place for variant in self._request.variants if variant)
        assert mask is not None
        box, scale = mask.support, self._task.scale
        crop = state.crop(*scaled(box, scale))
        return self.on_device(lambda: wish.measure(crop, mask.weights(scale)))

    def _aim(self, rolls: list[Variant]) -> Aim:
        """Return the direction of the wish."""
        assert self._request.wish is not None
        present = self._measure(self.state(self._request.recipe.operations))
        values, log_probs = [roll.measured for roll in rolls], [roll.log_prob for roll in rolls]
        assert present is not None
        return find_aim(
            self._request.wish,
            [value for value in values if value is not None],
            present,
            [value for value in log_probs if value is not None],
        )

    def on_device(self, work: Callable[[], _Result]) -> _Result:
        """Run a piece of work on the device. Raises: MemoryBudgetError: the device does not have enough memory."""
        try:
            return self._turn.run(work)
        except OutOfMemory as error:
            raise MemoryBudgetError(
                "The device does not have enough memory to compare these pictures. Select a smaller region."
            ) from error

    def _distances(self, pictures: list[np.ndarray]) -> np.ndarray:
        if min(pictures[0].shape[:2]) >= MIN_SIDE:
            return self.on_device(self._distance).pairwise(pictures, self.on_device)
        flat = np.stack(pictures).reshape(len(pictures), -1).astype(np.float32) / 255
        return np.sqrt(np.square(flat[:, None] - flat).mean(2))

    def _tell(self, text: str) -> None:
        fraction = self._finished / len(self._request.variants)
        self._turn.tell(Progress(stage="sampling", fraction=fraction, text=text))

    def _groups(self) -> list[list[int]]:
        """Group the numbers of variants that differ only in their last operation, on one region: one batch each."""
        groups: dict[object, list[int]] = {}
        for number, variant in enumerate(self._request.variants):
            key: object = number
            if variant and variant[-1].place is not None:
                region = Region.around(variant[-1].place, self._task.loaded.info.lr_multiple)
                key = variant[:-1], region
            groups.setdefault(key, []).append(number)
        return list(groups.values())

    def states(self, lists: list[tuple[Operation, ...]], *, draft: bool = False) -> Iterator[State]:
        """Return the states of several lists that are equal except for their last operation."""
        first = lists[0]
        if count_whole(first) == len(first):
            yield from (self.state(operations) for operations in lists)
            return
        before = self.state(first[:-1])
        found = {operations: self._cache.get(self._key(operations)) for operations in lists}
        missing = [operations for operations, patch in found.items() if patch is None]
        done = (*self._draw, *first[:-1])
        margin = DRAFT_MARGIN if draft else MARGIN
        drawn = self._retoucher.apply_each(before, done, [operations[-1] for operations in missing], margin)
        for operations in lists:
            patch = found[operations]
            if patch is None:
                found[operations] = patch = next(drawn)
                if not draft:
                    self._cache.put(self._key(operations), patch)
            assert isinstance(patch, Patch)
            yield before.with_patch(patch)

    def state(self, operations: tuple[Operation, ...]) -> State:
        """Return the picture of a list, from cached states as far as possible."""
        begin = count_whole(operations)
        state = self._whole(operations[:begin])
        for count in range(begin, len(operations)):
            key = self._key(operations[: count + 1])
            patch = self._cache.get(key)
            if patch is None:
                done = (*self._draw, *operations[:count])
                patch = self._retoucher.apply(state, done, operations[count])
                self._cache.put(key, patch)
            assert isinstance(patch, Patch)
            state = state.with_patch(patch)
        return state

    def _whole(self, operations: tuple[Operation, ...]) -> State:
        """Decode a picture as a whole."""
        key = self._key(operations)
        state = self._cache.get(key)
        if state is None:
            task = replace(self._task, request=replace(self._task.request, operations=operations))
            folder = SpillFolder(self._spill_folder)
            try:
                result = self._drawing(task, folder).draw_one()
                picture = result.picture if result.path is None else _mapped(result.path, folder)
            except BaseException as error:
                folder.remove()
                if not isinstance(error, OutOfMemory):
                    raise
                raise MemoryBudgetError(
                    "The device does not have enough memory to draw this picture again with its recipe. Draw a "
                    "new sample."
                ) from error
            assert picture is not None
            error_sum = squared_lr_error(picture, task.request.lr, task.scale, self._turn.run)
            bits = result.bits_per_dimension
            log_prob = None if bits is None else -bits * picture.size * math.log(2)
            state = State(picture, error_sum, result.flags, log_prob)
            self._cache.put(key, state)
        assert isinstance(state, State)
        return state

    def _key(self, operations: tuple[Operation, ...]) -> SampleRecipe:
        return replace(self._request.recipe, operations=operations)

    def variant(self, number: int, operations: tuple[Operation, ...], state: State, seconds: float) -> Variant:
        """Return the event for a picture. operations: of the recipe, and those of the variant; state: their picture."""
        kept = len(self._request.recipe.operations)
        begin = count_whole(operations)
        if begin > kept or len(operations) == kept:  # decoded as a whole, or the state itself
            left, top, pixels = 0, 0, state.whole()
        else:
            new = state.patches[kept - begin :]
            left, top = min(patch.left for patch in new), min(patch.top for patch in new)
            bottom = max(patch.top + patch.pixels.shape[0] for patch in new)
            right = max(patch.left + patch.pixels.shape[1] for patch in new)
            pixels = state.crop(slice(top, bottom), slice(left, right))
        return Variant(
            number=number,
            left=left,
            top=top,
            patch=np.ascontiguousarray(pixels),
            lr_psnr=state.lr_psnr(self._request.lr),
            flags=state.flags,
            recipe=self._key(operations),
            seconds=seconds,
            log_prob=state.log_prob,
            measured=self._measure(state),
        )


def _mapped(path: str, folder: SpillFolder) -> np.ndarray:
    """Map a picture from a .npy file, whose folder is deleted with the array."""
    picture = np.load(path, mmap_mode="r")
    weakref.finalize(picture, folder.remove)
    return picture


def _at_least(box: Box, side: int, width: int, height: int) -> Box:
    """Grow a box evenly to a minimum side, within the picture."""
    result = []
    for first, last, size in ((box[0], box[2], width), (box[1], box[3], height)):
        length = min(size, max(side, last - first))
        start = min(max(0, (first + last - length) // 2), size - length)
        result.append((start, start + length))
    (left, right), (top, bottom) = result
    return left, top, right, bottom

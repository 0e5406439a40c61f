"""Ways to go on from a sample: every step of a list of operations is drawn once and kept for the next request."""

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
from srflow.sampling.regions import Region, scaled
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
        turn: at the device.
        cache: of states, kept between requests.  retoucher: of the task.
        drawing: makes what draws a whole picture, in a folder for what does not fit into memory.
        spill_folder: where such folders are made; each goes with the picture in it, when the cache lets go of it.
        distance: gives the LPIPS network, which it makes when it is first called; a piece of work.
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
        """All variants; those about the same place together."""
        self._tell("Drawing the picture")
        count = len(self._request.variants)
        base = self._request.recipe.operations
        states: dict[int, State] = {}
        rolls: dict[int, Variant] = {}
        for numbers in self._groups():
            lists = [(*base, *self._request.variants[number]) for number in numbers]
            started = time.perf_counter()
            for number, operations, state in zip(numbers, lists, self.states(lists), strict=True):
                variant = self.variant(number, operations, state, time.perf_counter() - started)
                self._turn.send(variant)
                if self._request.choose or self._request.directions:
                    states[number] = state
                if self._request.aim:
                    rolls[number] = replace(variant, patch=np.empty((0, 0, 3), np.uint8))  # not a view, which keeps all
                self._finished += 1
                started = time.perf_counter()
                self._tell(f"Drawing variant {min(self._finished + 1, count)} of {count}")

        if self._request.choose:
            self._turn.tell(Progress(stage="comparing", fraction=1.0, text="Comparing the variants"))
            self._turn.send(self._comparison([states[number] for number in range(count)]))
        if self._request.directions:
            self._turn.tell(Progress(stage="comparing", fraction=1.0, text="Looking for what differs"))
            self._turn.send(self._directions([states[number] for number in range(count)]))
        if self._request.aim:
            self._turn.send(self._aim([rolls[number] for number in range(count)]))

    def _comparison(self, states: list[State]) -> Comparison:
        """What the variants say together, at their place or everywhere."""
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
        """The ways in which the rolls differ inside their mask."""
        mask = self._request.variants[0][-1].place
        assert mask is not None
        scale, box = self._task.scale, mask.support
        crops = [state.crop(*scaled(box, scale)) for state in states]
        features = self.on_device(lambda: place_features(crops, mask.weights(scale)))
        return Directions(found=self.on_device(lambda: find_directions(features, self._request.directions)))

    def _measure(self, state: State) -> float | None:
        """Of the wish, at the place that the variants are about."""
        wish = self._request.wish
        if wish is None:
            return None
        mask = next(variant[-1].place for variant in self._request.variants if variant)
        assert mask is not None
        box, scale = mask.support, self._task.scale
        crop = state.crop(*scaled(box, scale))
        return self.on_device(lambda: wish.measure(crop, mask.weights(scale)))

    def _aim(self, rolls: list[Variant]) -> Aim:
        """The way to more of what is wished for."""
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
        """Run a piece of work on the device. Raises: MemoryBudgetError: it has not enough memory for it."""
        try:
            return self._turn.run(work)
        except OutOfMemory as error:
            raise MemoryBudgetError(
                "The device has not enough memory to compare these pictures. Choose a smaller place."
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
        """Numbers of variants that differ in their last operation only, about one region: one batch."""
        groups: dict[object, list[int]] = {}
        for number, variant in enumerate(self._request.variants):
            key: object = number
            if variant and variant[-1].place is not None:
                region = Region.around(variant[-1].place, self._task.loaded.info.lr_multiple)
                key = variant[:-1], region
            groups.setdefault(key, []).append(number)
        return list(groups.values())

    def states(self, lists: list[tuple[Operation, ...]]) -> Iterator[State]:
        """The states of several lists that are equal but for their last operation."""
        first = lists[0]
        if count_whole(first) == len(first):
            yield from (self.state(operations) for operations in lists)
            return
        before = self.state(first[:-1])
        found = {operations: self._cache.get(self._key(operations)) for operations in lists}
        missing = [operations for operations, patch in found.items() if patch is None]
        done = (*self._draw, *first[:-1])
        drawn = self._retoucher.apply_each(before, done, [operations[-1] for operations in missing])
        for operations in lists:
            patch = found[operations]
            if patch is None:
                found[operations] = patch = next(drawn)
                self._cache.put(self._key(operations), patch)
            assert isinstance(patch, Patch)
            yield before.with_patch(patch)

    def state(self, operations: tuple[Operation, ...]) -> State:
        """A list's picture: what is kept of it, and the rest."""
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
        """A picture that is decoded as a whole."""
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
                    "The device has not enough memory to draw this picture again as its recipe says. Draw a new sample."
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
        """What is told of a picture. operations: of the recipe, and those of the variant; state: their picture."""
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
    """A picture in a .npy file, whose folder goes with the array."""
    picture = np.load(path, mmap_mode="r")
    weakref.finalize(picture, folder.remove)
    return picture


def _at_least(box: Box, side: int, width: int, height: int) -> Box:
    """A box grown evenly until its sides are that long, as far as the picture goes."""
    result = []
    for first, last, size in ((box[0], box[2], width), (box[1], box[3], height)):
        length = min(size, max(side, last - first))
        start = min(max(0, (first + last - length) // 2), size - length)
        result.append((start, start + length))
    (left, right), (top, bottom) = result
    return left, top, right, bottom

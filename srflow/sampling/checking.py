"""Requests, checked before anything is computed for them: what is wrong with a value, and what to do."""

from __future__ import annotations

from numbers import Integral, Real
from typing import get_args

import numpy as np

from srflow.contract import (
    MAX_INDEX,
    MAX_SIDE,
    EditRequest,
    ExploreRequest,
    InputError,
    MemoryBudgetError,
    ModelInfo,
    Precision,
    SampleRequest,
)
from srflow.errors import brief
from srflow.latents import check_seed
from srflow.operations import Mask, Reroll, check_operations, count_whole
from srflow.sampling.regions import Region
from srflow.sampling.task import Task
from srflow.sampling.tiling import MIN_TILE
from srflow.steering.wishes import MIN_ROLLS

__all__ = ["check_edit", "check_explore", "check_in_memory", "check_sample", "check_size", "check_variants"]

_MAX_SAMPLES = 10_000
_MAX_VARIANTS = 256
_MAX_DIRECTIONS = 16
_MIN_ROLLS = 8
_MAX_COMPARED = 64_000_000  # pixels of all pictures that are compared as a whole


def check_sample(request: SampleRequest, info: ModelInfo) -> None:
    """Raises: InputError: a value of the request is out of range, or does not fit the model or the other values."""
    lr = request.lr
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
    if (request.deep or request.plain) and count_whole(request.operations) < len(request.operations):
        raise InputError(
            "Operations on places give pictures of 8 bits with the consistency step; leave them out to have "
            "samples of 16 bits, or without the step."
        )
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
    if request.precision is not None and request.precision not in get_args(Precision):
        raise InputError(f"The precision is {request.precision!r}; use one of {', '.join(get_args(Precision))}.")


def check_variants(request: ExploreRequest) -> None:
    """Raises: InputError: there are too many variants, or none. OperationError, which is one: one is not well made."""
    if not 1 <= len(request.variants) <= _MAX_VARIANTS:
        raise InputError(f"There are {len(request.variants)} variants; ask for 1 to {_MAX_VARIANTS}.")
    for variant in request.variants:
        check_operations((*request.recipe.whole_list, *variant), size=request.lr.shape[:2])


def check_explore(request: ExploreRequest, task: Task) -> None:
    """Raises: InputError: what is to be found among the variants cannot be. MemoryBudgetError: they are too large."""
    if request.choose:
        _check_choice(request, task)
    if request.directions:
        _check_directions(request)
    if request.wish is not None or request.aim:
        _check_wish(request)
    if task.plan.on_disk:
        _check_places(request)


def check_edit(request: EditRequest, task: Task) -> None:
    """Raises: InputError: the edited picture, or its mask, is of another size or kind than the picture before it."""
    expected = tuple(side * task.scale for side in request.lr.shape[:2])
    picture = request.picture
    if picture.dtype != np.uint8 or picture.shape != (*expected, 3):
        raise InputError(
            f"The edited picture must be of 8 bits and {expected[1]}x{expected[0]} pixels, as it was before the "
            f"edit; got {picture.dtype} {picture.shape}."
        )
    if request.mask is not None:
        check_size(request.mask, request.lr)


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    """Raises: InputError: it is no whole number from `low` to `high`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= high:
        raise InputError(f"{name} is {brief(value)}; it must be a whole number from {low} to {high}.")


def _check_choice(request: ExploreRequest, task: Task) -> None:
    """Raises: InputError: the variants cannot be compared."""
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


def _check_places(request: ExploreRequest) -> None:
    """Raises: MemoryBudgetError: whole pictures are asked for."""
    if any(not variant or any(one.place is None for one in variant) for variant in request.variants):
        raise MemoryBudgetError(
            "The picture does not fit into memory, so only variants of a place of it can be drawn. Explore a smaller "
            "region of it."
        )


def check_size(mask: Mask, lr: np.ndarray) -> None:
    """Raises: InputError: the mask is for a picture of another size."""
    if (mask.height, mask.width) != lr.shape[:2]:
        raise InputError(
            f"The mask is for a picture of {mask.width}x{mask.height}, but the LR picture is "
            f"{lr.shape[1]}x{lr.shape[0]}."
        )


def check_in_memory(task: Task) -> None:
    """Raises: MemoryBudgetError: the picture of a task does not fit into memory."""
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

"""Sliders of a region: the main ways in which its rolls differ, pictures along each, and the resulting picture."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.gathering import gather
from app.records import Explored, OpenedPicture, PictureRecord, Slider
from app.session import Job, Session
from app.tasks import Update
from app.verdicts import wish_verdict
from app.viewer import MAX_SLIDERS
from app.ways import Way, draw_each, show_explored
from srflow.contract import (
    Direction,
    Directions,
    Engine,
    ExploreRequest,
    InputError,
    Progress,
    SampleRecipe,
    Variant,
    Wish,
)
from srflow.evaluation.slider_names import name_ends
from srflow.operations import Mask, Operation, Reroll, Slide
from srflow.operations.limits import PlaceLimits, check_size

__all__ = ["ANGLES", "NUM_ROLLS", "Found", "check_place", "draw_strips", "find_sliders", "look_for", "move_sliders"]

NUM_ROLLS = 48
"""Number of versions of the region from which its sliders are found."""

ANGLES = (-90, -60, -30, 0, 30, 60, 90)
"""Angles of the pictures along a slider, in degrees."""

# In a smaller region too little changes, in a larger one too much at once.
_PLACE = PlaceLimits("Sliders need", "Paint over one first, then ask for its sliders.", 48, smallest=12)
_MOVED = "Moved by sliders"
_HOW = "Move any of them. Enter keeps the picture, Escape leaves."
_NONE = "Only texture differs here: no single change explains 3 % or more of the variance. Escape leaves."


@dataclass(frozen=True, eq=False)
class Found:
    """A slider without a file. strip: (h, 7 w, 3), the region at `ANGLES`. measured: a wish's measure at each."""

    direction: Direction
    strip: np.ndarray
    ends: tuple[str, str]
    measured: tuple[float, ...] = ()


def check_place(mask: Mask | None) -> Mask:
    """Return the region, if it can have sliders. Raises: InputError: there is none, or it is too small or too large."""
    return check_size(mask, _PLACE)


def find_sliders(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, explored: Explored
) -> Iterator[Update]:
    """Roll the region, find the ways in which the rolls differ most, and draw pictures along each.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    recipe = explored.state.recipe
    assert recipe is not None
    mask = check_place(explored.mask)
    explored = replace(explored, ways=(), count=1, sliders=None)
    yield show_explored(explored, f"Drawing {NUM_ROLLS} versions of the region", 0.0)
    lr = picture.lr()
    directions = yield from look_for(engine, job, lr, recipe, mask, explored.seed, NUM_ROLLS)
    found = yield from draw_strips(engine, job, lr, recipe, mask, explored.seed, directions)
    sliders = []
    for one in found:
        path = session.new_folder(job, "slider") / "strip.png"
        engine.save_png(path, one.strip)
        sliders.append(Slider(direction=one.direction, strip=path, ends=one.ends))
    explored = replace(explored, sliders=tuple(sliders))
    yield from move_sliders(engine, session, job, picture, explored, (0,) * len(sliders), is_first=True)


def move_sliders(
    engine: Engine,
    session: Session,
    job: Job,
    picture: OpenedPicture,
    explored: Explored,
    angles: tuple[int, ...],
    *,
    is_first: bool = False,
) -> Iterator[Update]:
    """Draw the picture at the sliders' positions. It is shown as the only variant, and is not a step of the history.

    Args:
        angles: of each slider, degrees.
        is_first: whether to tell the visitor how to continue.

    Raises:
        InputError: the number of angles is wrong.
        Cancelled: the job was cancelled.
        All errors of the engine.
    """
    recipe, mask, sliders = explored.state.recipe, explored.mask, explored.sliders
    if recipe is None or mask is None or sliders is None:
        raise InputError("The sliders no longer exist. Ask for the sliders of the region again.")
    if len(angles) != len(sliders):
        raise InputError(f"The region has {len(sliders)} sliders, but {len(angles)} were moved. Please try again.")
    moves = [(slider.direction.weights, math.radians(angle)) for slider, angle in zip(sliders, angles, strict=True)]
    slide = Slide.combined(mask, explored.seed, moves)
    way = Way(() if slide is None else (slide,), explored.state.label if slide is None else _MOVED)
    scale = sliders[0].scale if len(sliders) == 1 else None
    measured = None if scale is None or slide is None else scale.wish
    told = ""
    for event in draw_each(engine, session, job, picture, recipe, [way], measured):
        if isinstance(event, Variant):
            told = "" if scale is None or measured is None else f"{wish_verdict(scale, event)}."
        elif isinstance(event, PictureRecord):
            # The id stays the same: the browser then keeps the previous picture until this one can be shown.
            name = explored.ways[0].id if explored.ways else event.id
            now = replace(explored, ways=(replace(event, id=name),), angles=angles)
            text = _told(sliders) if is_first else f"{told or _positions(angles)} Enter keeps it."
            yield replace(show_explored(now, text), kind="done", spoken=is_first)


def look_for(
    engine: Engine, job: Job, lr: np.ndarray, recipe: SampleRecipe, mask: Mask, seed: int, num_rolls: int
) -> Generator[Update, None, tuple[Direction, ...]]:
    """Find the main ways in which rolls of a region differ. Raises: as `find_sliders`."""
    rolls = tuple((Reroll(mask, seed, number),) for number in range(num_rolls))
    request = ExploreRequest(lr=lr, recipe=recipe, variants=rolls, directions=MAX_SLIDERS, draft=True)
    [directions] = yield from gather(engine.explore(request, job.cancel), job, Directions)
    return directions.found


def draw_strips(
    engine: Engine,
    job: Job,
    lr: np.ndarray,
    recipe: SampleRecipe,
    mask: Mask,
    seed: int,
    directions: Sequence[Direction],
    wish: Wish | None = None,
) -> Generator[Update, None, list[Found]]:
    """Draw pictures of the region along each direction, and describe them in words.

    Raises: as `find_sliders`.

    Args: wish: what to measure of the pictures.
    """
    if not directions:
        return []
    moves = [
        (Slide(mask, seed, direction.weights, math.radians(angle)),)
        for direction in directions
        for angle in ANGLES
        if angle
    ]
    crops: list[np.ndarray] = []
    whole = None
    scale = recipe.scale_factor
    left, top, right, bottom = (edge * scale for edge in mask.support)
    variants: tuple[tuple[Operation, ...], ...] = ((), *moves)
    measured: list[float] = []
    for event in engine.explore(
        ExploreRequest(lr=lr, recipe=recipe, variants=variants, wish=wish, draft=True), job.cancel
    ):
        job.check()
        if isinstance(event, Progress):
            yield Update(text="Drawing along each slider", fraction=event.fraction)
        elif isinstance(event, Variant):
            whole = event.patch if whole is None else whole
            crops.append(event.laid_into(whole)[top:bottom, left:right])
            measured += [] if event.measured is None else [event.measured]
    weight = mask.weights(scale)
    if measured:  # the picture itself came first
        measured.insert(ANGLES.index(0), measured.pop(0))
    before, *others = crops
    found, each = [], len(ANGLES) - 1
    for number, direction in enumerate(directions):
        along = others[number * each : (number + 1) * each]
        along.insert(ANGLES.index(0), before)
        found.append(
            Found(direction, np.concatenate(along, 1), name_ends(along[0], along[-1], weight), tuple(measured))
        )
    return found


def _told(sliders: Sequence[Slider]) -> str:
    if not sliders:
        return _NONE
    if sliders[0].scale is not None:
        less, more = sliders[0].ends
        return f"A slider from {less} to {more}. {sliders[0].remark or _HOW}"
    share = sum(slider.direction.share for slider in sliders)
    count = "One slider explains" if len(sliders) == 1 else f"{len(sliders)} sliders explain"
    return f"{count} {share * 100:.0f} % of the variance here. {_HOW}"


def _positions(angles: Sequence[int]) -> str:
    moved = [f"slider {number} at {angle}°" for number, angle in enumerate(angles, 1) if angle]
    if not moved:
        return "All sliders in the middle."
    return ", ".join(moved).replace("-", "\N{MINUS SIGN}").capitalize() + "."

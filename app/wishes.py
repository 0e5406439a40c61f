"""Wishes for a region: a slider from less to more, in standard deviations of what the model considers possible."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np

from app.gathering import gather
from app.records import Explored, OpenedPicture, Slider, WishScale
from app.session import Job, Session
from app.sliders import NUM_ROLLS, draw_strips, move_sliders
from app.tasks import Update
from app.ways import show_explored
from srflow.contract import Aim, Direction, Engine, ExploreRequest, SampleRecipe, Wish
from srflow.operations import Mask, Reroll
from srflow.operations.limits import PlaceLimits, check_size
from srflow.steering.wishes import remark

__all__ = ["carry_out", "check_wish_place", "look_for_aim", "remark_on"]

_PLACE = PlaceLimits("A wish needs", "Paint over one first, then make a wish for it.", 64)


def check_wish_place(mask: Mask | None) -> Mask:
    """Return the region, if a wish is possible there. Raises: InputError: there is none, or it is too large."""
    return check_size(mask, _PLACE)


def carry_out(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, explored: Explored, wish: Wish
) -> Iterator[Update]:
    """Roll the region, find the direction of the wish, and draw pictures along it.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    recipe = explored.state.recipe
    assert recipe is not None
    mask = check_wish_place(explored.mask)
    explored = replace(explored, ways=(), count=1, sliders=None)
    yield show_explored(explored, f"Drawing {NUM_ROLLS} versions of the region", 0.0)
    lr = picture.lr()
    aim = yield from look_for_aim(engine, job, lr, recipe, mask, explored.seed, wish)
    direction = Direction(weights=aim.weights, share=0.0)
    [found] = yield from draw_strips(engine, job, lr, recipe, mask, explored.seed, [direction], wish)
    path = session.new_folder(job, "slider") / "strip.png"
    engine.save_png(path, found.strip)
    scale = WishScale(wish=wish, aim=aim, deviations=tuple(map(aim.deviations, found.measured)))
    slider = Slider(
        direction=direction, strip=path, ends=wish.words, scale=scale, remark=remark_on(wish, aim, mask, picture) or ""
    )
    explored = replace(explored, sliders=(slider,))
    yield from move_sliders(engine, session, job, picture, explored, (0,), is_first=True)


def look_for_aim(
    engine: Engine, job: Job, lr: np.ndarray, recipe: SampleRecipe, mask: Mask, seed: int, wish: Wish
) -> Generator[Update, None, Aim]:
    """Find the direction of a wish from rolls of a region. Raises: as `carry_out`."""
    rolls = tuple((Reroll(mask, seed, number),) for number in range(NUM_ROLLS))
    request = ExploreRequest(lr=lr, recipe=recipe, variants=rolls, wish=wish, aim=True, draft=True)
    [aim] = yield from gather(engine.explore(request, job.cancel), job, Aim)
    return aim


def remark_on(wish: Wish, aim: Aim, mask: Mask, picture: OpenedPicture) -> str | None:
    """What the input leaves of a wish at a place, if there is anything to be said."""
    left, top, right, bottom = mask.support
    return remark(wish, aim, (bottom - top, right - left), picture.scale_factor)

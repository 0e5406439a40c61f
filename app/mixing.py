"""Mixtures of several pictures: eight with random shares of each, and one at a chosen point between two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from app.records import Explored, OpenedPicture, PictureRecord
from app.session import Job, Session
from app.tasks import Update
from app.viewer import Blend
from app.ways import NUM_WAYS, Way, Words, draw_each, show_explored
from srflow.contract import Engine, SampleRecipe
from srflow.operations import RIGHT_ANGLE, Mask, Mix, Operation, Reroll, Sample

__all__ = ["child_ways", "draw_between", "mixing_place"]

_EVENNESS = 2.0  # of shares: above 1, few mixtures are almost identical to one parent


def mixing_place(explored: Explored | None, parents: Sequence[PictureRecord], chosen: Mask | None) -> Mask | None:
    """Return the region that a mixture changes.

    Rolls of one region are equal outside it, so the box of the region is enough. All of its pixels are selected,
    because the soft edge must be mixed too. Other pictures are mixed in the selected region, or everywhere.
    """
    if explored is None or explored.mask is None or not explored.count:
        return chosen
    if not all(parent in (explored.state, *explored.ways) for parent in parents):
        return chosen
    left, top, right, bottom = explored.mask.support
    area = (right - left) * (bottom - top)
    return Mask(explored.mask.width, explored.mask.height, (left, top, right, bottom), (255, area))


def child_ways(parents: Sequence[SampleRecipe], mask: Mask | None, seed: int) -> tuple[list[Way], Words]:
    """Return eight mixtures, drawn starting from the first parent. Coarse and fine latents get separate shares."""
    ways = []
    for number in range(NUM_WAYS):
        rng = np.random.default_rng((seed, number))
        fine, coarse = (rng.dirichlet(np.full(len(parents), _EVENNESS)) for _ in range(2))
        # Move towards one parent after the other, such that each ends up with its share.
        mixes = tuple(
            Mix(
                _other(parents[0], parent),
                RIGHT_ANGLE * _part(fine, place),
                coarse_angle=RIGHT_ANGLE * _part(coarse, place),
                mask=mask,
            )
            for place, parent in enumerate(parents[1:], 1)
        )
        ways.append(Way(mixes, f"Mixture {number + 1}"))
    return ways, Words("Mixing", f"{NUM_WAYS} mixtures of {len(parents)} pictures")


def draw_between(
    engine: Engine,
    session: Session,
    job: Job,
    picture: OpenedPicture,
    explored: Explored,
    ends: tuple[PictureRecord, PictureRecord],
    percent: int,
    mask: Mask | None,
) -> Iterator[Update]:
    """Draw the picture at the given point between two others, as an additional variant.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    first, second = ends
    assert first.recipe is not None
    assert second.recipe is not None
    mix = Mix(_other(first.recipe, second.recipe), percent / 100 * RIGHT_ANGLE, mask=mask)
    way = Way((mix,), f"{percent} % of the way")
    for event in draw_each(engine, session, job, picture, first.recipe, [way]):
        if isinstance(event, PictureRecord):
            # The id stays the same: the browser then keeps the previous picture until this one can be shown.
            name = event.id if explored.blend is None else explored.blend.id
            others = tuple(way for way in explored.ways if way.id != name)
            ways = (*others, replace(event, id=name))
            blend = Blend(name, (first.id, second.id), percent)
            now = replace(explored, ways=ways, count=len(ways), blend=blend)
            text = f"{percent} % of the way from {first.label} to {second.label}. Enter keeps it, Escape leaves."
            yield replace(show_explored(now, text), kind="done")


def _part(shares: np.ndarray, place: int) -> float:
    """Return how far to turn from the mixture so far towards the next parent, for that parent to get its share."""
    return float(shares[place] / shares[: place + 1].sum())


def _other(base: SampleRecipe, other: SampleRecipe) -> Sample | tuple[Operation, ...]:
    """Return what to mix with: only the noise, if the two pictures differ in nothing else; otherwise the list.

    Lists may be nested only a few levels deep, so nesting is avoided where possible.
    """
    is_plain = all(isinstance(one, Reroll) or (isinstance(one, Mix) and one.inner is None) for one in base.operations)
    if is_plain and not other.operations and other.temperature == base.temperature:
        return Sample(other.seed, other.index)
    return other.whole_list

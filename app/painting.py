"""Painting temperature: the picture with calm and wild regions, and regions for it that are found by a rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.records import Explored, OpenedPicture, PictureRecord, View
from app.runs import load_map
from app.session import Job, Session
from app.tasks import Update
from app.viewer import Found, FoundName
from app.ways import Way, draw_each, show_explored
from srflow.contract import Engine, InputError, Progress
from srflow.operations import Heat, Mask, flat_areas, uncertain_areas

__all__ = ["draw_painted", "find_place", "painting_on"]

_HOW = "Enter keeps it, Escape leaves."
_FOUND: dict[FoundName, str] = {"flat": "Flat areas", "uncertain": "Areas where the samples differ most"}


def painting_on(view: View, base: PictureRecord) -> Explored:
    """Return the current painting of that picture, or a new one."""
    explored = view.explored
    is_going_on = explored is not None and explored.kind == "heat" and explored.count and explored.state.id == base.id
    return explored if explored is not None and is_going_on else Explored(state=base, kind="heat")


def draw_painted(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, explored: Explored, heat: Sequence[Heat]
) -> Iterator[Update]:
    """Draw the state with these temperatures: the same noise, stronger or weaker. The result replaces the previous one.

    Raises: InputError: nothing is painted; all errors of the engine; Cancelled: the job was cancelled.
    """
    if not heat:
        raise InputError("Nothing is painted. Paint over a region, calm or wild.")
    assert explored.state.recipe is not None
    place = _around(heat)
    for event in draw_each(engine, session, job, picture, explored.state.recipe, [Way(tuple(heat), "Painted")]):
        if isinstance(event, Progress):
            yield Update(text=event.text, fraction=event.fraction)
        elif isinstance(event, PictureRecord):
            # The id stays the same: the browser then keeps the previous picture until this one can be shown.
            name = explored.ways[0].id if explored.ways else event.id
            ways = (replace(event, id=name),)
            now = replace(explored, ways=ways, count=1, mask=place, found=None)
            yield replace(show_explored(now, f"Painted. {_HOW}"), kind="done")


def find_place(view: View, explored: Explored, picture: OpenedPicture, name: FoundName) -> Update:
    """Find a region for the browser to paint calm. Nothing is drawn yet.

    Raises: InputError: there is no such region, or no map of where samples differ.
    """
    if name == "flat":
        mask = flat_areas(picture.lr())
    else:
        if view.run is None or len(view.run.summary_indices) < 2:
            raise InputError("Uncertainty needs at least two samples. Press Sample first.")
        region = picture.region
        mask = uncertain_areas(load_map(view.run, "luma"), region.width, region.height)
    place = explored.mask if explored.ways else mask
    return show_explored(
        replace(explored, count=1, mask=place, found=Found(name, mask)), f"{_FOUND[name]}: found; painted calm."
    )


def _around(heat: Sequence[Heat]) -> Mask:
    """Return a mask of the smallest box that contains everything painted."""
    masks = [one.mask for one in heat if one.mask is not None]
    lows, highs = ([mask.support[first : first + 2] for mask in masks] for first in (0, 2))
    (left, top), (right, bottom) = map(min, zip(*lows, strict=True)), map(max, zip(*highs, strict=True))
    return Mask(masks[0].width, masks[0].height, (left, top, right, bottom), (255, (right - left) * (bottom - top)))

"""Thumbnails of the history: one small PNG per finished step, created once."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Literal

from PIL import Image

from app.records import PastStep, View
from app.session import Session

__all__ = ["SIDE", "recall"]

SIDE = 96
"""Side of a thumbnail in pixels: twice its size on the page, for high-resolution screens."""

_LEAST = 32  # smallest side of the picture's part that a thumbnail shows, in pixels
_MARGIN = 0.35  # margin on each side, relative to the longer side of the changed region

Kind = Literal["picture", "samples", "sweep", "explored"]
Box = tuple[int, int, int, int]


def recall(session: Session, view: View) -> View:
    """Return the view with the session's history. If the current step is finished and has no thumbnail, make one."""
    steps = session.steps()
    current = next(step for step in steps if step.is_current)
    key = _key(current.view)
    is_new = current.look is None or current.look.key != key
    if is_new and current.view.picture is not None and not _is_under_way(current.view):
        parent = next((step for step in steps if step.number == current.parent), None)
        kind = _kind(current, parent)
        source, box = _source(current.view, kind)
        try:
            thumbnail = make_thumbnail(source, box)
        except OSError:  # a newer job may have deleted the file; what is shown then is not this step
            return replace(view, steps=steps)
        session.keep_look(current.number, kind, key, thumbnail)
        steps = session.steps()
    return replace(view, steps=steps)


def make_thumbnail(source: Path, box: Box | None) -> bytes:
    """Make a square PNG of a region with some margin; None: of the middle."""
    with Image.open(source) as image:
        part = _square(box, *image.size)
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX, part)
    file = io.BytesIO()
    small.save(file, "PNG")
    return file.getvalue()


def _square(box: Box | None, width: int, height: int) -> Box:
    """Return a square around the region and its margin, inside the picture."""
    left, top, right, bottom = box or (0, 0, width, height)
    longer = max(right - left, bottom - top) * (1 if box is None else 1 + 2 * _MARGIN)
    side = min(max(round(longer), _LEAST), width, height)
    x = min(max((left + right - side) // 2, 0), width - side)
    y = min(max((top + bottom - side) // 2, 0), height - side)
    return x, y, x + side, y + side


def _is_under_way(view: View) -> bool:
    is_drawing = view.run is not None and view.run.is_drawing
    return is_drawing or (view.sweep is not None and view.sweep.is_drawing)


def _explored_id(view: View) -> str | None:
    explored = view.explored
    return explored.state.id if explored is not None and explored.has_changes else None


def _key(view: View) -> tuple[object, ...]:
    run, sweep = view.run, view.sweep
    return (
        None if view.picture is None else view.picture.subject,
        None if run is None else (str(run.folder), len(run.samples)),
        None if sweep is None else str(sweep.folder),
        _explored_id(view),
    )


def _kind(step: PastStep, parent: PastStep | None) -> Kind:
    """Return what is new in a step. If its parent is unknown, return the last possible change."""
    kinds: tuple[Kind, ...] = ("picture", "samples", "sweep", "explored")
    after = _key(step.view)
    before = (None,) * len(after) if parent is None else _key(parent.view)
    new = [kind for kind, old, now in zip(kinds, before, after, strict=True) if now is not None and now != old]
    return new[-1] if new else "picture"


def _source(view: View, kind: Kind) -> tuple[Path, Box | None]:
    """Return the file that shows a step, and the relevant region of it."""
    picture, run, explored = view.picture, view.run, view.explored
    assert picture is not None
    if kind == "explored" and explored is not None and explored.state.recipe is not None:
        place = explored.state.recipe.operations[-1].place
        box = None if place is None else tuple(edge * picture.scale_factor for edge in place.support)
        return explored.state.path, box  # type: ignore[return-value]
    if run is not None and run.samples:
        return run.samples[0].path, None
    return picture.files / "input.png", None

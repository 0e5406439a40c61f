"""Giving the selected region the grain of another region or of a photo."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.edits import draw_forms
from app.records import Explored, OpenedPicture, PictureRecord
from app.session import Job, Session
from app.tasks import Update
from app.viewer import SourcePlace
from srflow.contract import Engine, GrainRequest
from srflow.operations import Mask

__all__ = ["draw_grain", "middle_of", "pixels_of"]

_MAX_MIDDLE = 512  # pixels a side


def pixels_of(engine: Engine, record: PictureRecord, source: SourcePlace, scale: int) -> np.ndarray:
    """Return the pixels of a region of a picture, uint8, (H, W, 3)."""
    left, top, right, bottom = (edge * scale for edge in source.box)
    return np.ascontiguousarray(engine.read_picture(record.path).pixels[top:bottom, left:right])


def middle_of(photo: np.ndarray) -> np.ndarray:
    """Return the middle of a photo, at most 512 pixels a side: its edges often show something else."""
    top, left = (max(0, (side - _MAX_MIDDLE) // 2) for side in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + _MAX_MIDDLE, left : left + _MAX_MIDDLE])


def draw_grain(
    engine: Engine,
    session: Session,
    job: Job,
    picture: OpenedPicture,
    base: PictureRecord,
    mask: Mask,
    source: np.ndarray,
    seed: int,
) -> Iterator[Update]:
    """Show the region with the grain of the source, uint8, (H, W, 3), with a verdict as for an edit.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    recipe = base.recipe
    assert recipe is not None
    request = GrainRequest(lr=picture.lr(), recipe=recipe, mask=mask, source=source, seed=seed)
    explored = Explored(state=base, kind="grain", mask=mask, count=3)
    before = engine.read_picture(base.path).pixels
    yield from draw_forms(engine, session, job, picture, explored, before, engine.grain(request, job.cancel))

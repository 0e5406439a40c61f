"""Edited pictures: as edited, made consistent with the input, made natural, and a map of where they are unusual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.records import Explored, OpenedPicture, PictureRecord
from app.runs import sample_text
from app.session import Job, Session
from app.tasks import Update
from app.verdicts import edit_verdict
from app.viewer import Contrast, Edit, Paint
from app.views import colorize
from app.ways import show_explored
from srflow.contract import EditEvent, EditRequest, Engine, InputError, Progress, Variant, Verdict
from srflow.luma import LUMA
from srflow.operations import Mask, changed_place

__all__ = ["AS_DRAWN", "Edited", "draw_edit", "draw_forms", "edit_place", "find_edited"]

AS_DRAWN = "As drawn"
_LABELS = ("Made consistent", "Made natural")
_UNUSUAL = "Where it is unusual"
_UNUSUAL_TOP = 10.0  # standard deviations; the map's colours saturate here
_TOLERANCE = 12  # 8-bit units: changes by lossy file formats stay below this


@dataclass(frozen=True, eq=False)
class Edited:
    """A picture after an edit.

    base: its record.
    before, pixels: the pictures before and after, uint8, (H, W, 3).
    mask: the region.
    """

    base: PictureRecord
    before: np.ndarray
    pixels: np.ndarray
    mask: Mask


def edit_place(
    engine: Engine, base: PictureRecord, edit: Edit, mask: Mask, scale: int, pasted: PictureRecord | None
) -> Edited:
    """Apply an edit to a region of a picture. pasted: the source picture of a `Paste`."""
    before = engine.read_picture(base.path).pixels
    box = mask.support
    rows, columns = slice(box[1] * scale, box[3] * scale), slice(box[0] * scale, box[2] * scale)
    weight = mask.weights(scale)[..., None]
    old = before[rows, columns].astype(np.float64)
    if isinstance(edit, Paint):
        new: np.ndarray = np.broadcast_to(np.array([edit.red, edit.green, edit.blue], float), old.shape)
    elif isinstance(edit, Contrast):
        middle = (old * weight).sum((0, 1)) / max(float(weight.sum()), 1e-9)
        new = middle + edit.factor * (old - middle)
    else:
        assert pasted is not None
        new = engine.read_picture(pasted.path).pixels[rows, columns].astype(np.float64)
    pixels = before.copy()
    pixels[rows, columns] = np.rint(np.clip(old + weight * (new - old), 0, 255)).astype(np.uint8)
    return Edited(base, before, pixels, mask)


def find_edited(engine: Engine, file: Path, candidates: Sequence[PictureRecord], scale: int) -> Edited:
    """Find which picture an uploaded file is an edit of, and which region was edited.

    Raises: InputError: no picture has the same size, or nothing was changed. All errors of reading the file.
    """
    pixels = engine.read_picture(file).pixels
    best, least = None, np.inf
    sizes = set()
    for candidate in candidates:
        before = engine.read_picture(candidate.path).pixels
        sizes.add(before.shape)
        if before.shape != pixels.shape:
            continue
        # Most of the picture is unchanged, so the median difference identifies it.
        difference = np.abs(before.astype(np.int16) - pixels)
        distance = float(np.median(difference) + difference.mean())
        if distance < least:
            best, least = (candidate, before), distance
    if best is None:
        known = " or ".join(sorted(f"{width}×{height}" for height, width, _ in sizes)) or "none"
        raise InputError(
            f"The edited picture has {pixels.shape[1]}×{pixels.shape[0]} pixels; the pictures here have {known}. "
            "Download one, edit it without changing its size, and open it here."
        )
    base, before = best
    mask = changed_place(before, pixels, scale, _TOLERANCE)
    if mask is None:
        raise InputError(f"The file is identical to {base.label}. Edit a region of it, and open it here.")
    return Edited(base, before, pixels, mask)


def draw_edit(engine: Engine, session: Session, job: Job, picture: OpenedPicture, edited: Edited) -> Iterator[Update]:
    """Show the results of an edit, with a verdict. They are not steps of the history; a step is added when one is kept.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    recipe = edited.base.recipe
    assert recipe is not None
    explored = Explored(state=edited.base, kind="edit", mask=edited.mask, count=4)
    explored = replace(explored, ways=(_save(engine, session, job, AS_DRAWN, edited.pixels),))
    request = EditRequest(lr=picture.lr(), recipe=recipe, picture=edited.pixels, mask=edited.mask)
    yield from draw_forms(engine, session, job, picture, explored, edited.before, engine.edit(request, job.cancel))


def draw_forms(
    engine: Engine,
    session: Session,
    job: Job,
    picture: OpenedPicture,
    explored: Explored,
    before: np.ndarray,
    events: Iterator[EditEvent],
) -> Iterator[Update]:
    """Show the results of an edit or of grain (consistent, natural, and the map of where it is unusual), and the
    verdict.

    Args:
        explored: with the variants shown so far.
        before: the picture without the change, uint8, (H, W, 3).

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    yield show_explored(explored, f"Making the {explored.kind} match the input", 0.0)
    text_of, alpha = sample_text(picture), picture.alpha()
    verdict, left = None, before
    for event in events:
        job.check()
        if isinstance(event, Progress):
            yield Update(text=event.text, fraction=event.fraction)
        elif isinstance(event, Variant):
            pixels = event.laid_into(before)
            left = pixels if event.number == 0 else left
            path = session.new_folder(job, "way") / "explored.png"
            engine.save_png(path, pixels, text_of(event.recipe, event.flags), alpha=alpha)
            record = PictureRecord(
                id=path.parent.name, label=_LABELS[event.number], kind="sample", path=path, recipe=event.recipe
            )
            explored = replace(explored, ways=(*explored.ways, record))
            yield show_explored(explored, f"{record.label}: drawn", len(explored.ways) / explored.count)
        elif isinstance(event, Verdict):
            verdict = event
    assert verdict is not None, "it comes last"
    unusual = _save(engine, session, job, _UNUSUAL, _marked(left, verdict, picture.scale_factor))
    explored = replace(explored, ways=(*explored.ways, unusual))
    yield replace(show_explored(explored, edit_verdict(verdict, explored.kind)), kind="done", spoken=True)


def _save(engine: Engine, session: Session, job: Job, label: str, pixels: np.ndarray) -> PictureRecord:
    """Save a picture that can be viewed but not explored further."""
    path = session.new_folder(job, "way") / "edited.png"
    engine.save_png(path, pixels)
    return PictureRecord(id=path.parent.name, label=label, kind="reference", path=path)


def _marked(picture: np.ndarray, verdict: Verdict, scale: int) -> np.ndarray:
    """Return the picture in grey, with the region in the colours of the map."""
    left, top, right, bottom = (edge * scale for edge in verdict.mask.support)
    grey = picture.astype(float) @ LUMA
    result = np.repeat(grey[..., None], 3, 2) * 0.5
    values = np.kron(np.maximum(verdict.unusual, 0), np.ones((scale, scale)))
    chosen = verdict.mask.weights(scale) > 0
    place = result[top:bottom, left:right]
    result[top:bottom, left:right] = np.where(chosen[..., None], colorize(values, _UNUSUAL_TOP), place)
    return np.rint(result).astype(np.uint8)

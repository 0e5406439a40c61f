"""Could it be …? Texts laid into a place of a picture, and what the input says of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from app.records import Explored, OpenedPicture, PictureRecord
from app.session import Job, Session
from app.tasks import Update
from app.ways import show_explored
from srflow.contract import Engine, InputError
from srflow.operations import Mask

__all__ = ["check_candidate_place", "try_texts"]

_LARGEST = 48  # LR pixels a side
_LOWEST = 3  # LR pixels: lower characters were too small in the validation


def check_candidate_place(mask: Mask | None) -> Mask:
    """The place, if texts can be tried there. Raises: InputError: it is none, or too large."""
    if mask is None:
        raise InputError("No place is chosen. Box the character or the word, then ask.")
    left, top, right, bottom = mask.support
    if max(right - left, bottom - top) > _LARGEST:
        raise InputError(
            f"The place has {right - left}×{bottom - top} pixels of the small picture; {_LARGEST} a side are the most. "
            "Box one character or one word."
        )
    return mask


def try_texts(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, explored: Explored, texts: Sequence[str]
) -> Iterator[Update]:
    """Show each text in its place, the one that explains the input best first, with what the input says of it.

    Raises: InputError: nothing can be told there. Cancelled: when the job is.
    """
    mask, scale = check_candidate_place(explored.mask), picture.scale_factor
    explored = replace(explored, ways=(), count=len(texts))
    yield show_explored(explored, f"Trying {len(texts)} texts", 0.0)
    before = engine.read_picture(explored.state.path).pixels
    recipe = explored.state.recipe
    judged = engine.could_be(picture.lr(), before, mask, texts, None if recipe is None else recipe.model, job.cancel)
    left, top, right, bottom = (edge * scale for edge in mask.support)
    for each in judged:
        job.check()
        pixels = before.copy()
        pixels[top:bottom, left:right] = np.asarray(each.pixels)
        path = session.new_folder(job, "way") / "candidate.png"
        engine.save_png(path, pixels)
        label = f"“{texts[each.number]}” {each.ruling}"
        record = PictureRecord(id=path.parent.name, label=label, kind="reference", path=path)
        explored = replace(explored, ways=(*explored.ways, record))
    left_over = [texts[each.number] for each in judged if each.ruling != "ruled out"]
    ruled_out = [texts[each.number] for each in judged if each.ruling == "ruled out"]
    text = _told(left_over, ruled_out)
    if mask.support[3] - mask.support[1] <= _LOWEST + 1:
        text += f" Characters lower than {_LOWEST} small pixels are too small to rely on this."
    yield replace(show_explored(explored, text), kind="done", spoken=True)


def _told(left_over: Sequence[str], ruled_out: Sequence[str]) -> str:
    if not left_over:
        return "The input rules out all of them: something else is there, or the box does not fit the text."
    names = ", ".join(f"“{text}”" for text in left_over)
    if not ruled_out:
        return f"The input cannot tell {names} apart."
    others = ", ".join(f"“{text}”" for text in ruled_out)
    told = f"{names} fits" if len(left_over) == 1 else f"The input cannot tell {names} apart"
    return f"{told}; it rules out {others}, if one of the texts was there and looked like this."

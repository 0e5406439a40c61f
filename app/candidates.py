"""Could it be …? Texts or pieces of pictures are fitted into a region and compared with the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from app.records import Explored, OpenedPicture, PictureRecord
from app.session import Job, Session
from app.tasks import Update
from app.viewer import CandidateFile, SourcePlace
from app.ways import show_explored
from srflow.contract import Engine, ImageError, InputError
from srflow.operations import Mask
from srflow.operations.limits import PlaceLimits, check_size
from srflow.steering.crops import fit_crop

__all__ = ["Piece", "check_candidate_place", "piece_at", "piece_of_file", "try_pieces", "try_texts"]

_PLACE = PlaceLimits(
    "Texts and pieces need", "Box the character or the word, then ask.", 48, instead="Box one character or one word."
)
PIECES_CHECKED = "In checks on photographs, another piece seemed to fit in 1 case of 10 if the right one was not tried."
"""How reliable the result is for pieces; see benchmarks/results/pieces.md."""

WORDS_CHECKED = (
    "Words that differ in one letter can seldom be told apart: in checks, most such wrong words fitted, too."
)
"""See benchmarks/results/words.md."""

_MAX_PIXELS = 4_000_000  # of a file to try
_LOWEST = 3  # LR pixels: lower characters were unreliable in the validation


@dataclass(frozen=True, eq=False)
class Piece:
    """A picture to try. name: what it is called. pixels: uint8, of the place's size. note: what was done to fit it."""

    name: str
    pixels: np.ndarray = field(repr=False)
    note: str = ""


def check_candidate_place(mask: Mask | None) -> Mask:
    """Return the region if candidates can be tried there. Raises: InputError: there is none, or it is too large."""
    return check_size(mask, _PLACE)


def piece_at(source: SourcePlace, mask: Mask) -> SourcePlace:
    """Return a region around the source that is as large as the selected one, moved to lie inside the picture."""
    left, top, right, bottom = mask.support
    edges = []
    for low, high, side, limit in (
        (source.box[0], source.box[2], right - left, mask.width),
        (source.box[1], source.box[3], bottom - top, mask.height),
    ):
        edges.append(min(max((low + high - side) // 2, 0), limit - side))
    return SourcePlace(source.id, (edges[0], edges[1], edges[0] + right - left, edges[1] + bottom - top))


def piece_of_file(engine: Engine, file: CandidateFile | Path, mask: Mask, scale: int) -> Piece:
    """A file as a piece of the place's size, on white where it is transparent.

    scale: of the large picture.

    Raises:
        ImageError: it cannot be read, or is too large.
        InputError: what fits the place of it is too small.
    """
    left, top, right, bottom = mask.support
    source, name = (file, file.name) if isinstance(file, Path) else (file.content, file.name)
    try:
        pixels = engine.read_picture(source, _MAX_PIXELS).on_white()
        fitted, note = fit_crop(pixels, (bottom - top) * scale, (right - left) * scale)
    except (ImageError, InputError) as error:
        raise type(error)(f"“{name}” cannot be tried. {error}") from error
    return Piece(f"“{name}”", fitted, note)


def try_texts(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, explored: Explored, texts: Sequence[str]
) -> Iterator[Update]:
    """Show each text in the region, the one that explains the input best first, and say what the input tells about it.

    Raises: InputError: no verdict is possible for this region. Cancelled: the job was cancelled.
    """
    explored = replace(explored, ways=(), count=len(texts))
    yield show_explored(explored, f"Trying {len(texts)} texts", 0.0)
    names = [f"“{text}”" for text in texts]
    explored, text = _compare(engine, session, job, picture, explored, texts, names, "texts")
    top, bottom = check_candidate_place(explored.mask).support[1::2]
    if any(len(each.strip()) > 1 for each in texts):
        text += f" {WORDS_CHECKED}"
    if bottom - top <= _LOWEST + 1:
        text += f" Characters lower than {_LOWEST} input pixels are too small for a reliable result."
    yield replace(show_explored(explored, text), kind="done", spoken=True)


def try_pieces(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, explored: Explored, pieces: Sequence[Piece]
) -> Iterator[Update]:
    """Do the same as `try_texts` with pieces of pictures."""
    explored = replace(explored, ways=(), count=len(pieces))
    yield show_explored(explored, f"Trying {len(pieces)} pieces", 0.0)
    names, pixels = [piece.name for piece in pieces], [piece.pixels for piece in pieces]
    explored, text = _compare(engine, session, job, picture, explored, pixels, names, "pieces")
    text += "".join(f" {piece.name} was {piece.note}." for piece in pieces if piece.note)
    text += f" {PIECES_CHECKED}"
    yield replace(show_explored(explored, text), kind="done", spoken=True)


def _compare(
    engine: Engine,
    session: Session,
    job: Job,
    picture: OpenedPicture,
    explored: Explored,
    candidates: Sequence[str] | Sequence[np.ndarray],
    names: Sequence[str],
    what: str,
) -> tuple[Explored, str]:
    """Compare the candidates; return them as variants in the region, and the verdict as a sentence."""
    mask, scale = check_candidate_place(explored.mask), picture.scale_factor
    before = engine.read_picture(explored.state.path).pixels
    recipe = explored.state.recipe
    model = None if recipe is None else recipe.model
    judged = engine.could_be(picture.lr(), before, mask, candidates, model, job.cancel)
    left, top, right, bottom = (edge * scale for edge in mask.support)
    for each in judged:
        job.check()
        pixels = before.copy()
        pixels[top:bottom, left:right] = np.asarray(each.pixels)
        path = session.new_folder(job, "way") / "candidate.png"
        engine.save_png(path, pixels)
        label = f"{names[each.number]} {each.ruling}"
        record = PictureRecord(id=path.parent.name, label=label, kind="reference", path=path)
        explored = replace(explored, ways=(*explored.ways, record))
    left_over = [names[each.number] for each in judged if each.ruling != "ruled out"]
    ruled_out = [names[each.number] for each in judged if each.ruling == "ruled out"]
    return explored, _told(left_over, ruled_out, what)


def _told(left_over: Sequence[str], ruled_out: Sequence[str], what: str) -> str:
    if not left_over:
        return f"The input rules out all of the {what}: the picture shows something else, or the box does not fit them."
    names = ", ".join(left_over)
    if not ruled_out:
        return f"The input cannot tell {names} apart."
    told = f"{names} fits" if len(left_over) == 1 else f"The input cannot tell {names} apart"
    told += (
        f"; it rules out {', '.join(ruled_out)}, provided that the picture shows one of the {what} and that "
        "it looked like this."
    )
    return (
        told if len(left_over) > 1 else f"{told} If the picture shows none of them, one of them may still seem to fit."
    )

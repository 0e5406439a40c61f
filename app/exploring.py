"""Ways to go on from a picture: the engine's variants become files and an `Explored` that grows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from app.records import Explored, OpenedPicture, PictureRecord
from app.runs import sample_text
from app.session import Job, Session
from app.tasks import Part, Update
from srflow.contract import Engine, ExploreRequest, InputError, Notice, Progress, Recipe, Variant
from srflow.operations import Mix, Operation, Reroll, Sample

__all__ = ["NUM_WAYS", "accept", "draw_state", "draw_ways", "find_base", "operation", "place_of"]

NUM_WAYS = 8
_CHANGED = frozenset({Part.EXPLORED})
_LABELS = {"roll": "Roll", "more": "Neighbour"}
_RIGHT_ANGLE = math.pi / 2


def find_base(session: Session, name: str) -> tuple[PictureRecord, Recipe]:
    """The picture of that id, with its recipe: a sample, what is explored, or one of the ways that are shown.

    Raises: InputError: there is none, or it was not drawn by the model.
    """
    view = session.view
    found = None if view.explored is None else view.explored.find(name)
    if found is None and view.run is not None:
        found = view.run.find(name)
    if found is None or found.recipe is None:
        raise InputError("Only samples can be explored. Show a sample, and try again.")
    return found, found.recipe


def operation(explored: Explored, number: int) -> Operation:
    """What leads to a way, counted from 0."""
    if explored.kind == "more":
        other = Sample(explored.seed, number)
        return Mix(other, angle=explored.dial / 100 * _RIGHT_ANGLE, mask=explored.mask)
    if explored.mask is None:
        raise InputError("No place is chosen. Paint over one first, then roll.")
    return Reroll(explored.mask, explored.seed, number)


def draw_ways(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, explored: Explored
) -> Iterator[Update]:
    """Draw ways to go on from `explored.state`: eight, of the kind and about the place that it names.

    None of it is a step of the history: that comes with `accept`.

    Raises: whatever the engine raises; Cancelled: when the job is.
    """
    recipe = explored.state.recipe
    assert recipe is not None
    ways = tuple((operation(explored, number),) for number in range(NUM_WAYS))
    explored = replace(explored, ways=(), count=NUM_WAYS)
    yield _shown(explored, "Rolling the place" if explored.kind == "roll" else "Looking for neighbours", 0.0)
    # The state comes first, from the engine too: it is what the ways are laid into, to the last bit.
    request = ExploreRequest(lr=picture.lr(), recipe=recipe, variants=((), *ways))
    whole = None
    text_of, alpha = sample_text(picture), picture.alpha()
    notices: list[str] = []
    for event in engine.explore(request, job.cancel):
        job.check()
        if isinstance(event, Progress):
            yield Update(text=event.text, fraction=event.fraction)
        elif isinstance(event, Notice):
            notices.append(event.text)
        elif isinstance(event, Variant) and event.number == 0:
            whole = event.patch
        elif isinstance(event, Variant):
            assert whole is not None, "variants come in any order, but the state is none that waits for another"
            number = event.number
            label = f"{_LABELS[explored.kind]} {number}"
            # A folder each, so that those that are not chosen can go.
            path = session.new_folder(job, "way") / "explored.png"
            engine.save_png(path, _laid_in(whole, event), text_of(event.recipe, event.flags), alpha=alpha)
            way = PictureRecord(id=path.parent.name, label=label, kind="sample", path=path, recipe=event.recipe)
            explored = replace(explored, ways=(*explored.ways, way))
            yield _shown(explored, f"{label} of {NUM_WAYS}", number / (NUM_WAYS + 1))
    how = "← and → walk through them, Enter keeps one, Escape leaves."
    words = " ".join([f"{NUM_WAYS} {'rolls' if explored.kind == 'roll' else 'neighbours'}: {how}", *notices])
    yield replace(_shown(explored, words, None), kind="done", spoken=True)


def accept(session: Session, job: Job, chosen: PictureRecord) -> Iterator[Update]:
    """The chosen way becomes the state, as a step of the history; the others go."""
    assert chosen.recipe is not None
    explored = session.view.explored
    before = None if explored is None else explored.closed()
    yield Update(changes={"explored": before}, is_step=False)  # what Undo comes back to
    job.folders.add(chosen.path.parent)  # counted with the step
    text = f"{chosen.label} kept. Roll again, or go back with Undo (Ctrl+Z)."
    changes = {"explored": Explored(state=replace(chosen, label=_label(chosen.recipe)))}
    yield Update(text=text, changed=_CHANGED, changes=changes, kind="done", spoken=True)


def draw_state(engine: Engine, session: Session, job: Job, picture: OpenedPicture, recipe: Recipe) -> Explored:
    """What a recipe with operations leads to, drawn again."""
    request = ExploreRequest(lr=picture.lr(), recipe=recipe, variants=((),))
    for event in engine.explore(request, job.cancel):
        job.check()
        if isinstance(event, Variant):
            path = session.new_folder(job, "way") / "explored.png"
            text = sample_text(picture)(event.recipe, event.flags)
            engine.save_png(path, event.patch, text, alpha=picture.alpha())
            name, label = path.parent.name, _label(event.recipe)
            return Explored(state=PictureRecord(id=name, label=label, kind="sample", path=path, recipe=event.recipe))
    raise InputError("The picture of this recipe was not drawn. Please try again.")


def place_of(explored: Explored, picture: OpenedPicture) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the place, in SR pixels."""
    region, scale = picture.region, picture.scale_factor
    box = (0, 0, region.width, region.height) if explored.mask is None else explored.mask.support
    left, top, right, bottom = (edge * scale for edge in box)
    return left, top, right, bottom


def _label(recipe: Recipe) -> str:
    number = len(recipe.operations)
    return "Explored, 1 change" if number == 1 else f"Explored, {number} changes"


def _shown(explored: Explored, text: str, fraction: float | None) -> Update:
    return Update(text=text, fraction=fraction, changed=_CHANGED, changes={"explored": explored}, is_step=False)


def _laid_in(whole: np.ndarray, variant: Variant) -> np.ndarray:
    picture = whole.copy()
    height, width = variant.patch.shape[:2]
    picture[variant.top : variant.top + height, variant.left : variant.left + width] = variant.patch
    return picture

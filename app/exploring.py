"""The picture that a visitor explores: its current state, and what happens when a variant is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.records import Explored, OpenedPicture, PictureRecord
from app.runs import sample_text
from app.session import Job, Session
from app.tasks import Part, Update
from srflow.contract import Engine, ExploreRequest, InputError, SampleRecipe, Variant

__all__ = ["accept", "draw_state", "find_base", "place_of"]

_CHANGED = frozenset({Part.EXPLORED})


def find_base(session: Session, name: str) -> tuple[PictureRecord, SampleRecipe]:
    """Return the picture of that id and its recipe: a sample, the explored picture, or a variant that is shown.

    Raises: InputError: there is no such picture, or the model did not draw it.
    """
    view = session.view
    found = None if view.explored is None else view.explored.find(name)
    if found is None and view.run is not None:
        found = view.run.find(name)
    if found is not None and found.kind == "reference" and view.explored is not None and found in view.explored.ways:
        raise InputError(f"“{found.label}” cannot be explored further. Choose another picture.")
    if found is None or found.recipe is None:
        raise InputError("Only samples can be explored. Show a sample, and try again.")
    return found, found.recipe


def accept(session: Session, job: Job, chosen: PictureRecord) -> Iterator[Update]:
    """Make the chosen variant the new state, as a step of the history; discard the other variants."""
    assert chosen.recipe is not None
    explored = session.view.explored
    before = None if explored is None else explored.closed()
    yield Update(changes={"explored": before}, is_step=False)  # the step that Undo returns to
    job.folders.add(chosen.path.parent)  # counted with the step
    text = f"Kept: {chosen.label}. Roll again, or go back with Undo (Ctrl+Z)."
    changes = {"explored": Explored(state=replace(chosen, label=_label(chosen.recipe)))}
    yield Update(text=text, changed=_CHANGED, changes=changes, kind="done", spoken=True)


def draw_state(engine: Engine, session: Session, job: Job, picture: OpenedPicture, recipe: SampleRecipe) -> Explored:
    """Draw the picture of a recipe with operations again."""
    request = ExploreRequest(lr=picture.lr(), recipe=recipe, variants=((),))
    for event in engine.explore(request, job.cancel):
        job.check()
        if isinstance(event, Variant):
            path = session.new_folder(job, "way") / "explored.png"
            text = sample_text(picture)(event.recipe, event.flags)
            engine.save_png(path, event.patch, text, alpha=picture.alpha())
            name, label = path.parent.name, _label(event.recipe)
            return Explored(state=PictureRecord(id=name, label=label, kind="sample", path=path, recipe=event.recipe))
    raise InputError("The picture of this recipe could not be drawn. Please try again.")


def place_of(explored: Explored, picture: OpenedPicture) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the region in SR pixels."""
    region, scale = picture.region, picture.scale_factor
    box = (0, 0, region.width, region.height) if explored.mask is None else explored.mask.support
    left, top, right, bottom = (edge * scale for edge in box)
    return left, top, right, bottom


def _label(recipe: SampleRecipe) -> str:
    number = len(recipe.operations)
    return "Explored, 1 change" if number == 1 else f"Explored, {number} changes"

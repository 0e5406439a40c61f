"""Variants of a picture: the engine's events become files, and a growing `Explored`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.records import Explored, OpenedPicture, PictureRecord
from app.runs import sample_text
from app.session import Job, Session
from app.tasks import Part, Update
from srflow.contract import Engine, ExploreRequest, InputError, Notice, Progress, SampleRecipe, Variant, Wish
from srflow.operations import RIGHT_ANGLE, Mix, Operation, Reroll, Sample

__all__ = ["NUM_WAYS", "Way", "Words", "draw_each", "draw_ways", "plain_ways", "show_explored"]

NUM_WAYS = 8


@dataclass(frozen=True)
class Way:
    """A variant to be drawn: the operations on the base picture, and its label."""

    operations: tuple[Operation, ...]
    label: str


@dataclass(frozen=True)
class Words:
    """Messages about variants. begin: at the start. end: once all are drawn. how: how to continue."""

    begin: str
    end: str
    how: str = "← and → step through them, Enter keeps one, Escape leaves."


def plain_ways(explored: Explored) -> tuple[list[Way], Words]:
    """Return eight rolls of a region, or eight neighbours.

    Raises: InputError: rolls are requested, but no region is selected.
    """
    if explored.kind == "more":
        ways = [Way((_neighbour(explored, number),), f"Neighbour {number + 1}") for number in range(NUM_WAYS)]
        return ways, Words("Drawing neighbours", f"{NUM_WAYS} neighbours")
    if explored.mask is None:
        raise InputError("No region is selected. Paint over one first, then roll.")
    rolls = [Reroll(explored.mask, explored.seed, number) for number in range(NUM_WAYS)]
    ways = [Way((roll,), f"Roll {number}") for number, roll in enumerate(rolls, 1)]
    return ways, Words("Rolling the region", f"{NUM_WAYS} rolls")


def _neighbour(explored: Explored, number: int) -> Mix:
    """Return a neighbour as different as the dial says, in the latents that should differ."""
    angle = explored.dial / 100 * RIGHT_ANGLE
    fine = 0.0 if explored.detail == "coarse" else angle
    coarse = {"all": None, "coarse": angle, "fine": 0.0}[explored.detail]
    return Mix(Sample(explored.seed, number), fine, coarse_angle=coarse, mask=explored.mask)


def draw_ways(
    engine: Engine,
    session: Session,
    job: Job,
    picture: OpenedPicture,
    explored: Explored,
    ways: Sequence[Way],
    words: Words,
    recipe: SampleRecipe | None = None,
) -> Iterator[Update]:
    """Draw variants of `explored.state`, or of the picture of another recipe.

    They are not steps of the history; a step is added when one is kept.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    count = len(ways)
    explored = replace(explored, ways=(), count=count)
    yield show_explored(explored, words.begin, 0.0)
    base = recipe or explored.state.recipe
    assert base is not None
    notices: list[str] = []
    for event in draw_each(engine, session, job, picture, base, ways):
        if isinstance(event, Notice):
            notices.append(event.text)
        elif isinstance(event, Progress):
            yield Update(text=event.text, fraction=event.fraction)
        elif isinstance(event, PictureRecord):
            explored = replace(explored, ways=(*explored.ways, event))
            number = len(explored.ways)
            yield show_explored(explored, f"{words.begin}: {number} of {count}", number / (count + 1))
    end = " ".join([f"{words.end}: {words.how}", *notices])
    yield replace(show_explored(explored, end), kind="done", spoken=True)


def draw_each(
    engine: Engine,
    session: Session,
    job: Job,
    picture: OpenedPicture,
    recipe: SampleRecipe,
    ways: Sequence[Way],
    measured: Wish | None = None,
) -> Iterator[Progress | Notice | Variant | PictureRecord]:
    """Draw variants of a recipe's picture, each with a file in a folder of its own.

    Args: measured: what to measure of each variant; then its `Variant` is passed on too, before its picture.
    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    # The engine first returns the picture itself, into which the variants are laid: it is identical to the last bit.
    variants = ((), *(way.operations for way in ways))
    whole = None
    text_of, alpha = sample_text(picture), picture.alpha()
    request = ExploreRequest(lr=picture.lr(), recipe=recipe, variants=variants, wish=measured)
    for event in engine.explore(request, job.cancel):
        job.check()
        if isinstance(event, Progress | Notice):
            yield event
        elif isinstance(event, Variant) and event.number == 0:
            whole = event.patch
        elif isinstance(event, Variant):
            assert whole is not None, "variants come in any order, but the state itself does not wait for others"
            if measured is not None:
                yield event
            # Each variant has its own folder, so that those that are not chosen can be deleted.
            path = session.new_folder(job, "way") / "explored.png"
            engine.save_png(path, event.laid_into(whole), text_of(event.recipe, event.flags), alpha=alpha)
            label = ways[event.number - 1].label
            yield PictureRecord(id=path.parent.name, label=label, kind="sample", path=path, recipe=event.recipe)


def show_explored(explored: Explored, text: str, fraction: float | None = None) -> Update:
    """Show the variants drawn so far; this adds no step."""
    changed, changes = frozenset({Part.EXPLORED}), {"explored": explored}
    return Update(text=text, fraction=fraction, changed=changed, changes=changes, is_step=False)

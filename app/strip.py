"""The history as the viewer's strip shows it: captions, descriptions, branches, and which steps can be compared."""

from __future__ import annotations

from app.records import PastStep, PictureRecord, View
from app.viewer import Picture, StripStep
from app.wording import count
from srflow.operations import Operation, brief_words, describe_difference, describe_list

__all__ = ["COMPARED_KEY", "caption_of", "compared_picture", "strip_steps"]

COMPARED_KEY = "k"


def strip_steps(view: View) -> tuple[StripStep, ...]:
    """Return the finished steps, oldest first; none if there is only one."""
    shown = [step for step in view.steps if step.look is not None]
    if len(shown) < 2:
        return ()
    parents = {step.number: step.parent for step in view.steps}
    numbers = {step.number for step in shown}
    return tuple(_strip_step(step, _shown_parent(step, parents, numbers), view) for step in shown)


def compared_picture(view: View) -> Picture | None:
    """Return the picture with which others are compared; None: none is selected, or it shows another subject."""
    step = next((step for step in view.steps if step.is_compared), None)
    found = None if step is None else _comparable(step, view)
    if step is None or found is None:
        return None
    label = step.name or caption_of(step)
    file_name = f"{found.path.stem}.png"
    return Picture(f"step-{step.number}", label, found.path, "reference", key=COMPARED_KEY, file_name=file_name)


def caption_of(step: PastStep) -> str:
    """Say what is new in a step, in two or three words."""
    view, kind = step.view, None if step.look is None else step.look.kind
    if kind == "explored" and view.explored is not None and view.explored.state.recipe is not None:
        return brief_words(view.explored.state.recipe.whole_list)
    if kind == "samples" and view.run is not None:
        return count(len(view.run.samples))
    if kind == "sweep":
        return "Sweep"
    name = "" if view.picture is None else view.picture.source.name
    return name.capitalize() or "Picture"


def _strip_step(step: PastStep, parent: int | None, view: View) -> StripStep:
    assert step.look is not None
    difference = None
    if _comparable(step, view) is not None:
        before, after = _operations(step.view), _operations(view)
        assert before is not None
        difference = "" if after is None else describe_difference(before, after)
    return StripStep(
        number=step.number,
        parent=parent,
        path=step.look.path,
        caption=caption_of(step),
        name=step.name,
        words=_words(step),
        kind=step.look.kind,
        is_pinned=step.is_pinned,
        is_current=step.is_current,
        difference=difference,
    )


def _shown_parent(step: PastStep, parents: dict[int, int | None], shown: set[int]) -> int | None:
    number = step.parent
    while number is not None and number not in shown:
        number = parents.get(number)
    return number


def _words(step: PastStep) -> str:
    view = step.view
    kind = None if step.look is None else step.look.kind
    operations = _operations(view)
    if kind == "explored" and operations is not None:
        return describe_list(operations)
    if kind == "samples" and view.run is not None:
        settings = view.run.settings
        return f"{count(len(view.run.samples))} of seed {settings.seed}, temperature {settings.temperature:g}"
    if kind == "sweep":
        return "samples at several temperatures"
    assert view.picture is not None
    region = view.picture.region
    return f"{view.picture.source.name or 'a picture'} opened, {region.width}×{region.height}"


def _comparable(step: PastStep, view: View) -> PictureRecord | None:
    """Return the step's picture, if it shows the same subject as the view and is another picture."""
    mine, other = view.picture, step.view.picture
    if step.is_current or step.look is None or mine is None or other is None:
        return None
    if (mine.subject, mine.scale_factor) != (other.subject, other.scale_factor):
        return None
    found = _record(step.view)
    return None if found == _record(view) else found


def _record(view: View) -> PictureRecord | None:
    """Return the explored picture, otherwise the first sample."""
    if view.explored is not None and view.explored.has_changes:
        return view.explored.state
    return view.run.samples[0] if view.run is not None and view.run.samples else None


def _operations(view: View) -> tuple[Operation, ...] | None:
    record = _record(view)
    return None if record is None or record.recipe is None else record.recipe.whole_list

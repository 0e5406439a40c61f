"""The history: a tree of views, so that a change after Undo starts a new branch and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.records import Look, View

__all__ = ["History", "Step"]


@dataclass(eq=False)
class Step:
    """A view and its position in the tree.

    number: increases with each step, and is never reused.
    num_bytes: size of the files that this step added.
    newest: the child that Redo leads to.
    name: given by the visitor, or "".
    is_pinned: whether it is kept longer than others.
    look: its thumbnail, once the step is finished.
    """

    number: int
    view: View
    parent: Step | None = None
    children: list[Step] = field(default_factory=list)
    newest: Step | None = None
    num_bytes: int = 0
    name: str = ""
    is_pinned: bool = False
    look: Look | None = None


class History:
    """The tree of steps and the visitor's position in it. Not thread-safe: the session holds the lock.

    max_steps, max_bytes: beyond these limits the oldest steps are removed, pinned ones last, the current one never.
    """

    def __init__(self, view: View, max_steps: int = 24, max_bytes: int = 500_000_000) -> None:
        self._root = self._current = Step(0, view)
        self._count = 0
        self._max_steps, self._max_bytes = max_steps, max_bytes

    @property
    def current(self) -> Step:
        """The step that is shown."""
        return self._current

    @property
    def can_undo(self) -> bool:
        """Whether there is a step before this one."""
        return self._current.parent is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is a step after this one."""
        return self._current.newest is not None

    def push(self, view: View, num_bytes: int = 0) -> Step:
        """Add a new view after the current one. Steps that were undone remain as another branch."""
        self._count += 1
        step = Step(self._count, view, self._current, num_bytes=num_bytes)
        self._current.children.append(step)
        self._current.newest = step
        self._current = step
        self._trim()
        return step

    def replace(self, view: View) -> None:
        """Change the current view in place; this adds no step."""
        self._current.view = view

    def set_bytes(self, step: Step, num_bytes: int) -> None:
        """Store the size of the step's files."""
        step.num_bytes = num_bytes
        self._trim()

    def undo(self) -> View | None:
        """Go back one step; None: there is none."""
        if self._current.parent is None:
            return None
        self._current.parent.newest = self._current
        self._current = self._current.parent
        return self._current.view

    def redo(self) -> View | None:
        """Go forward along the branch that was visited last; None: there is no such step."""
        if self._current.newest is None:
            return None
        self._current = self._current.newest
        return self._current.view

    def go(self, number: int) -> View | None:
        """Go to a step by its number; None: there is none. Redo then leads to it from its parents."""
        found = self.find(number)
        if found is None:
            return None
        self._current = found
        while found.parent is not None:
            found.parent.newest = found
            found = found.parent
        return self._current.view

    def find(self, number: int) -> Step | None:
        """Return the step of that number; None: it does not exist, or no longer exists."""
        return next((step for step in self.steps() if step.number == number), None)

    def steps(self) -> Iterator[Step]:
        """All steps, oldest first."""
        waiting, found = [self._root], []
        while waiting:
            step = waiting.pop()
            found.append(step)
            waiting += step.children
        return iter(sorted(found, key=lambda step: step.number))

    def _trim(self) -> None:
        """Remove steps beyond the limits. Leaves go first, because they leave no gap; pinned steps go last."""
        for is_pinned, may_bridge in ((False, False), (False, True), (True, False), (True, True)):
            for step in self.steps():
                if not self._is_too_much():
                    return
                if step is not self._current and step.is_pinned == is_pinned:
                    self._remove(step, may_bridge)

    def _is_too_much(self) -> bool:
        sizes = [step.num_bytes for step in self.steps()]
        return len(sizes) > self._max_steps or sum(sizes) > self._max_bytes

    def _remove(self, step: Step, may_bridge: bool) -> None:
        """Remove a leaf, a root with one child, or, if bridging is allowed, an inner step with one child."""
        parent = step.parent
        if parent is None:
            if len(step.children) == 1:
                self._root = step.children[0]
                self._root.parent = None
        elif may_bridge or not step.children:
            at = parent.children.index(step)
            parent.children[at : at + 1] = step.children
            for child in step.children:
                child.parent = parent
            if parent.newest is step:
                parent.newest = step.newest or (parent.children[-1] if parent.children else None)

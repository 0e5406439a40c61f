"""What was shown before: a tree of views, so that a change made after Undo starts a branch and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.records import View

__all__ = ["History", "Step"]


@dataclass(eq=False)
class Step:
    """One view with its place in the tree. number: grows with each step, and is never used again.

    num_bytes: of files that this step brought. newest: the child that Redo leads to.
    """

    number: int
    view: View
    parent: Step | None = None
    children: list[Step] = field(default_factory=list)
    newest: Step | None = None
    num_bytes: int = 0


class History:
    """Where the visitor is in the tree, and the ways to go. Not safe between threads: the session holds the lock.

    max_steps, max_bytes: beyond these the oldest steps go; the current one always stays.
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
        """Go on to a new view. After an undo, the steps that were undone stay, as another branch."""
        self._count += 1
        step = Step(self._count, view, self._current, num_bytes=num_bytes)
        self._current.children.append(step)
        self._current.newest = step
        self._current = step
        self._trim()
        return step

    def replace(self, view: View) -> None:
        """Change the current view in place: no step that one would undo."""
        self._current.view = view

    def set_bytes(self, step: Step, num_bytes: int) -> None:
        """Note what the step's files take."""
        step.num_bytes = num_bytes
        self._trim()

    def undo(self) -> View | None:
        """Back by one step; None: there is none."""
        if self._current.parent is None:
            return None
        self._current.parent.newest = self._current
        self._current = self._current.parent
        return self._current.view

    def redo(self) -> View | None:
        """Forward again, along the branch that was visited last; None: there is nothing."""
        if self._current.newest is None:
            return None
        self._current = self._current.newest
        return self._current.view

    def go(self, number: int) -> View | None:
        """To any step, by its number; None: there is none. Redo leads there from its parents, too."""
        found = next((step for step in self.steps() if step.number == number), None)
        if found is None:
            return None
        self._current = found
        while found.parent is not None:
            found.parent.newest = found
            found = found.parent
        return self._current.view

    def steps(self) -> Iterator[Step]:
        """All steps, oldest first."""
        waiting, found = [self._root], []
        while waiting:
            step = waiting.pop()
            found.append(step)
            waiting += step.children
        return iter(sorted(found, key=lambda step: step.number))

    def _trim(self) -> None:
        steps = list(self.steps())
        total = sum(step.num_bytes for step in steps)
        for step in steps:
            if len(steps) <= self._max_steps and total <= self._max_bytes:
                return
            if step is not self._current and self._remove(step):
                steps = [other for other in steps if other is not step]
                total -= step.num_bytes

    def _remove(self, step: Step) -> bool:
        """Take a leaf out, or the root if one way leads on from it; others are needed to get from step to step."""
        if step is self._root and len(step.children) == 1:
            self._root = step.children[0]
            self._root.parent = None
        elif step.parent is not None and not step.children:
            step.parent.children.remove(step)
            if step.parent.newest is step:
                step.parent.newest = step.parent.children[-1] if step.parent.children else None
        else:
            return False
        return True

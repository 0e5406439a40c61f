"""What the scripts started as two processes share."""

from __future__ import annotations

from pathlib import Path

from srflow.processes import leave_processes


def leave_and_check() -> None:
    """Leave the processes; the threads of the group (on Linux: two that work, one that listens) must end with it.

    One that is still at work when Python ends can abort the process. They are counted, as older PyTorch does not name
    them. That a group exists is part of the check: without one no thread ends.
    """
    before = _threads()
    leave_processes()
    ended = before - _threads()
    assert ended == 3, f"{ended} of {before} threads ended with the group of processes"


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())

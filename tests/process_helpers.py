"""Shared by the scripts that are started as two processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from srflow.processes import leave_processes


def watch_group() -> Callable[[], None]:
    """Record the threads that the group of processes starts; return a function that leaves the group and checks that
    they end.

    A thread that is still working when Python ends can abort the process. Call this before the processes join. Other
    threads may end at any time, so a count would not be enough; nor would names, which older PyTorch does not give.
    """
    join = torch.distributed.init_process_group
    of_group: set[int] = set()

    def noted(*arguments: object, **options: object) -> None:
        before = _threads()
        join(*arguments, **options)
        of_group.update(_threads() - before)

    def leave_and_check() -> None:
        assert of_group, "no thread started with a group of processes: there was none, or it was not watched"
        leave_processes()
        deadline = time.monotonic() + 300  # the system lists a thread a little longer than it runs
        while (left := of_group & _threads()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left, f"{len(left)} of the group's {len(of_group)} threads did not end with it"

    torch.distributed.init_process_group = noted
    return leave_and_check


def _threads() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/task").iterdir()}

"""What the scripts started as two processes share."""

from __future__ import annotations

from pathlib import Path


def group_threads() -> int:
    """How many threads of this process work for gloo's process groups. Linux only."""
    return sum((task / "comm").read_text().startswith("pt_gloo") for task in Path("/proc/self/task").iterdir())

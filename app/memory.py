"""Keeps the server's memory use constant over many runs."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

import gradio as gr

__all__ = ["drop_copies", "release_memory"]


def release_memory() -> None:
    """Return freed memory to the operating system; without this, the process keeps the peak of every thread.

    Does nothing if the C library is not glibc. Takes a few milliseconds.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def drop_copies(blocks: gr.Blocks) -> int:
    """Remove component copies that Gradio (6.31) leaves in its sessions; return how many there were.

    Whenever an output is skipped, Gradio copies that component for the session, with a new id. The next value is stored
    under the new id, and the old ones stay. A figure takes about a megabyte, and each run leaves several.
    """
    count = 0
    with suppress(AttributeError):  # a later Gradio may store its sessions elsewhere, or have fixed this
        for session in list(blocks.state_holder.session_data.values()):
            for components in (session.blocks_config.blocks, session.config_values):
                for key in [key for key in list(components) if key not in blocks.blocks]:
                    components.pop(key, None)
                    count += 1
    return count

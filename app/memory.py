"""What keeps the server's memory flat over many runs."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

import gradio as gr

__all__ = ["drop_copies", "release_memory"]


def release_memory() -> None:
    """Let the C library return what is freed; without that, it keeps the most that each thread ever needed at once.

    Does nothing where the C library is not glibc. Takes a few milliseconds.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def drop_copies(blocks: gr.Blocks) -> int:
    """Remove the copies of components that Gradio (6.31) forgets in its sessions; returns how many there were.

    Whenever an output is skipped, Gradio makes the session a new copy of that component, with a new id; the next value
    is stored under that id, beside those before it. A figure's value is about a megabyte, and each run leaves some.
    """
    count = 0
    with suppress(AttributeError):  # a later Gradio may keep its sessions elsewhere, or have mended this
        for session in list(blocks.state_holder.session_data.values()):
            for components in (session.blocks_config.blocks, session.config_values):
                for key in [key for key in list(components) if key not in blocks.blocks]:
                    components.pop(key, None)
                    count += 1
    return count

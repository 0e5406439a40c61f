"""What all panels share: the engine, the visitors, the session's state, and how a handler's failure is shown."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import gradio as gr

from app.ahead import Ahead
from app.memory import drop_copies, release_memory
from app.state import Visitor, Visitors
from app.views import status_html
from app.wording import describe_error
from srflow.contract import Engine, SRFlowError

__all__ = ["MODEL_WORK", "Page", "error_html"]

MODEL_WORK = {"concurrency_id": "model", "concurrency_limit": 16}
"""For events that use the model. They may overlap, since the engine takes turns itself, one sample at a time: a visitor
with a small picture need not wait for the end of another's large one, and a new wish can cancel an old one at once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """Handed to every panel.

    blocks: the page as Gradio knows it. ahead: prepares pictures in the background; None: nothing is done unasked.
    """

    blocks: gr.Blocks
    engine: Engine
    visitors: Visitors
    visitor: gr.State
    ahead: Ahead | None = None

    def check(self, visitor: Visitor | None) -> Visitor:
        """The session's visitor. Raises: InputError: if it was forgotten."""
        return self.visitors.touch(visitor)

    def tidy(self) -> None:
        """To be called after each piece of long work, however it ended: free what nobody needs any more."""
        drop_copies(self.blocks)
        release_memory()


def error_html(error: Exception) -> str:
    """A failure for the status line; what nobody expected goes to the log, with its trace."""
    if not isinstance(error, SRFlowError):
        _log.error("A handler failed.", exc_info=error)
    return status_html(describe_error(error), kind="error")

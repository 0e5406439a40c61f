"""`gr.Blocks` for a page whose events have many outputs, most of which stay as they are."""

from __future__ import annotations

from copy import copy
from itertools import zip_longest
from typing import Any

import gradio as gr

__all__ = ["PageBlocks"]


class PageBlocks(gr.Blocks):
    """Blocks in which skipping an output costs nothing.

    Gradio (6.31) makes a new component for each output that a message skips, with its schema and its configuration:
    some milliseconds each, for forty outputs, in every message of a stream.
    """

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """Postprocess values given by component; those that are missing or skipped are skipped."""
        if not isinstance(predictions, dict) or not all(isinstance(key, gr.blocks.Block) for key in predictions):
            return await super().postprocess_data(block_fn, predictions, state)
        given = {key._id: value for key, value in predictions.items() if value != gr.skip()}
        some = copy(block_fn)
        some.outputs = [block for block in block_fn.outputs if block._id in given]
        values = [given[block._id] for block in some.outputs]
        shown: list[Any] = []
        if values:
            shown = await super().postprocess_data(some, values[0] if len(values) == 1 else values, state)
        found = {block._id: value for block, value in zip(some.outputs, shown, strict=True)}
        return [found.get(block._id, gr.skip()) for block in block_fn.outputs]

    def handle_streaming_diffs(
        self,
        block_fn: Any,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        """What differs from the message before: whole values, never parts of one.

        The browser applies a difference within a value in place, to the very object that it may not have shown yet.
        When two messages come at once, the second then takes the first one apart: pictures, figures and buttons keep
        what they had, while texts change.
        """
        known = self.pending_diff_streams.get(session_hash, {}).get(run)
        former = None if known is None else [*known]
        whole = super().handle_streaming_diffs(block_fn, data, session_hash, run, final, simple_format=True)
        if former is None or final or simple_format:
            return whole
        return [
            [] if new == old else [["replace", [], new]]
            for old, new in zip_longest(former, whole[: len(block_fn.outputs)])
        ]

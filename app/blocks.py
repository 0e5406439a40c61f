"""`gr.Blocks` for a page whose events have many outputs, most of which stay as they are."""

from __future__ import annotations

from copy import copy
from itertools import zip_longest
from typing import Any

import gradio as gr

__all__ = ["PageBlocks"]


class PageBlocks(gr.Blocks):
    """Blocks in which skipping an output costs almost nothing.

    For each output that a message skips, Gradio (6.31) creates a new component with its schema and configuration. This
    takes some milliseconds for each of forty outputs, in every message of a stream.
    """

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """Postprocess values given by component; components without a value, or with a skipped one, are skipped."""
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
        """Return the values that changed since the previous message: whole values, never parts of them.

        For a difference inside a value, the browser changes the component's value in place, and may not have rendered
        that value yet. When two messages arrive together, the second then corrupts the value of the first: pictures,
        figures and buttons keep their old content, while texts change.
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

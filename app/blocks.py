"""`gr.Blocks` for a page whose events have many outputs, most of which stay as they are."""

from __future__ import annotations

from copy import copy
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
        found = {block._id: _wrapped(value) for block, value in zip(some.outputs, shown, strict=True)}
        return [found.get(block._id, gr.skip()) for block in block_fn.outputs]


def _wrapped(value: Any) -> Any:
    """Have pictures, figures and scenes travel as the value of an update, so that they can be skipped afterwards.

    The browser applies the differences between two messages of a stream in place, to the very object that the component
    was given. A plain value followed by a skip would be taken apart in the component's hands.
    """
    is_update = isinstance(value, dict) and value.get("__type__") == "update"
    return {"__type__": "update", "value": value} if isinstance(value, (dict, list)) and not is_update else value

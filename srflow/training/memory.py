"""The low-memory mode: activations are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils.checkpoint import checkpoint

from srflow.model import SRFlow

__all__ = ["recompute_activations"]


def recompute_activations(model: SRFlow) -> None:
    """Have every flow step and every block of the encoder keep its inputs only, from now on.

    A training step then costs a third more time (one more forward pass) and the results are the same. What is kept is
    one (B, C, H, W) tensor a step, instead of the hidden layers of its two conv blocks.
    """
    for level in model.flow.levels:
        for step in level.steps:
            step.forward = _recomputed(step.forward)
            step.inverse = _recomputed(step.inverse)
            # The injector sees the conditioning alone, so its network runs when the conditioning is prepared.
            step.injector.prepare_projected = _recomputed(step.injector.prepare_projected)
    for block in model.encoder.blocks:
        block.forward = _recomputed(block.forward)


def _recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*inputs: Any) -> Any:
        # No layer draws random numbers, so their state need not be kept.
        return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)

    return call

"""The low-memory mode: activations are recomputed in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils.checkpoint import checkpoint

from srflow.model import SRFlow

__all__ = ["recompute_activations"]


def recompute_activations(model: SRFlow) -> None:
    """Make every flow step and every block of the encoder keep only its inputs from now on.

    A training step then takes a third more time (one more forward pass), and the results are the same. One (B, C, H, W)
    tensor per step is kept instead of the hidden layers of its two conv blocks.
    """
    for level in model.flow.levels:
        for step in level.steps:
            step.forward = _recomputed(step.forward)
            step.inverse = _recomputed(step.inverse)
            # The injector sees only the conditioning, so its network runs when the conditioning is prepared.
            step.injector.prepare_projected = _recomputed(step.injector.prepare_projected)
    for block in model.encoder.blocks:
        block.forward = _recomputed(block.forward)


def _recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*inputs: Any) -> Any:
        # No layer draws random numbers, so the state of the generators need not be saved.
        return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)

    return call

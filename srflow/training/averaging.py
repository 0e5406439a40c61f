"""An exponential moving average (EMA) of a model's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

__all__ = ["AveragedModel"]


class AveragedModel:
    """A second model whose weights follow the first's: average ← decay · average + (1 - decay) · weights.

    The first update of a phase copies all weights, so that neither initial values nor uninitialised actnorms enter the
    average. After that the decay grows, min(decay, (1 + n) / (10 + n)), so that the average is useful from early on.
    """

    def __init__(self, model: nn.Module) -> None:
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self.num_updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """Update the average with the weights of `model` after one of its steps."""
        if self.num_updates == 0:
            self.module.load_state_dict(model.state_dict())
        else:
            pairs = zip(self.module.parameters(), model.parameters(), strict=True)
            trained = [pair for pair in pairs if pair[1].requires_grad]
            averages, weights = ([pair[i] for pair in trained] for i in (0, 1))
            weight = 1 - min(decay, (1 + self.num_updates) / (10 + self.num_updates))
            torch._foreach_lerp_(averages, weights, weight)
        self.num_updates += 1

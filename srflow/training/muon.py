"""Muon for the convolutions inside the networks, and Adam for everything else, in one optimiser."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from srflow.flow.conv_blocks import ZeroConv2d

__all__ = ["Muon", "hidden_convolutions", "orthogonalise"]

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024, "Muon": five rounds take (0.02, 1] into about [0.7, 1.2]
_ROUNDS = 5
_MIN_CHANNELS = 16
_ADAM_RMS = 0.2  # of Adam's usual step at the rate 1 (Liu et al. 2025, "Muon is Scalable", Section 2.2)
_ADAM_EPSILON = 1e-8
_NORM_EPSILON = 1e-7


def hidden_convolutions(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights for Muon: those of convolutions with at least 16 input and 16 output channels.

    Adam trains the others: convolutions that begin or end at a picture, those that start at zero and predict a latent's
    shift and scale, the flow's 1x1 matrices, biases and scales.
    """
    return [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and not isinstance(module, ZeroConv2d)
        and min(module.weight.shape[:2]) >= _MIN_CHANNELS
    ]


class Muon(torch.optim.Optimizer):
    """An optimiser with steps of orthogonalised momentum for hidden convolutions, and Adam's steps for the others.

    Adam leaves inner convolutions close to their random start for a long time, because a few directions of the gradient
    outweigh the rest. Muon gives all directions the same weight: it replaces the momentum, as a matrix (out, in · k ·
    k), by (approximately) the nearest orthogonal matrix, times 0.2 · √(longer side). The entries are then about as
    large as Adam's steps usually are.

    It is one optimiser rather than two, because the loss scaler of fp16 is updated once per optimiser and step.

    Args:
        hidden: for Muon, (out, in, k, k) or other shapes of two dimensions or more; see `hidden_convolutions`.
        others: for Adam, of any shape. A parameter without a gradient in a step stays the same.
        lr: of Adam.
        betas: of Adam.
        factor: ratio of the learning rate of `hidden` to `lr`.
        momentum: of `hidden`, by Nesterov's formula.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """

    def __init__(
        self,
        hidden: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        factor: float = 1.0,
        momentum: float = 0.95,
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(hidden), "kind": "muon", "factor": factor, "momentum": momentum},
            {"params": list(others), "kind": "adam", "betas": betas},
        ]
        super().__init__([group for group in groups if group["params"]], {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update from the current gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                (self._muon if group["kind"] == "muon" else self._adam)(group, parameters)
        return loss

    def _muon(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        momentum = group["momentum"]
        same_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            buffer = state["momentum_buffer"].mul_(momentum).add_(parameter.grad)
            direction = parameter.grad.add(buffer, alpha=momentum).flatten(1)
            same_shape[tuple(direction.shape)].append((parameter, direction))
        for shape, pairs in same_shape.items():  # together: most layers share a few shapes, and single updates are tiny
            rate = group["lr"] * group["factor"] * _ADAM_RMS * math.sqrt(max(shape))
            directions = orthogonalise(torch.stack([direction for _, direction in pairs]))
            for (parameter, _), direction in zip(pairs, directions, strict=True):
                parameter.add_(direction.view(parameter.shape), alpha=-rate)

    def _adam(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state |= {"steps": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
            state["steps"] += 1
        gradients = [parameter.grad for parameter in parameters]
        means, squares = ([state[name] for state in states] for name in ("mean", "square"))
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        spreads = torch._foreach_sqrt(squares)
        torch._foreach_div_(spreads, [math.sqrt(1 - beta2 ** state["steps"]) for state in states])
        torch._foreach_add_(spreads, _ADAM_EPSILON)
        rates = [-group["lr"] / (1 - beta1 ** state["steps"]) for state in states]
        torch._foreach_addcdiv_(parameters, means, spreads, rates)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Approximate U Vᵀ of matrices U S Vᵀ, (..., M, N): all singular values except very small ones become close to 1.

    This uses five rounds of a quintic polynomial, that is, matrix products only. Matrices with a Frobenius norm far
    below 1e-7, such as an old momentum long after the last gradient, stay small.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + _NORM_EPSILON)  # singular values of at most 1
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x

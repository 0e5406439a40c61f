"""Applies a convolution and the ReLU after it as one operation, where possible.

oneDNN applies the ReLU while a convolution's result is still in the processor's cache, which saves a pass through
memory for every layer. PyTorch's compiler uses the same operator, but compiling would take seconds for every new
picture size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["conv_leaky_relu", "conv_relu"]


def conv_relu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return relu(conv(x)) for a convolution with zero padding; it uses two operations if gradients are recorded."""
    if _can_fuse(conv, x):
        return _fused(conv, x, "relu", [])
    return F.relu(conv(x), inplace=True)


def conv_leaky_relu(conv: nn.Conv2d, x: Tensor, slope: float) -> Tensor:
    """Return leaky_relu(conv(x)), in the same way."""
    if _can_fuse(conv, x):
        return _fused(conv, x, "leaky_relu", [slope])
    return F.leaky_relu(conv(x), slope, inplace=True)


def _fused(conv: nn.Conv2d, x: Tensor, activation: str, scalars: Sequence[float]) -> Tensor:
    return torch.ops.mkldnn._convolution_pointwise(
        x, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups, activation, scalars, ""
    )


def _can_fuse(conv: nn.Conv2d, x: Tensor) -> bool:
    # The compiler cannot trace this check, and would split its graphs here.
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and x.dtype == conv.weight.dtype
        and _is_supported(x.dtype)
    )


@functools.cache
def _is_supported(dtype: torch.dtype) -> bool:
    """Return whether PyTorch has the operator for this type on this processor, with the expected results."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    # The operator is not part of PyTorch's public interface, so its results are tested before it is used.
    with torch.inference_mode():
        conv = nn.Conv2d(2, 3, 3, padding=1, device="meta").to_empty(device="cpu").to(dtype)
        for parameter in conv.parameters():  # not random: the caller's generator must not change
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
        x = torch.linspace(-1, 1, 2 * 5 * 4).to(dtype).view(1, 2, 5, 4)
        try:
            leaky = _fused(conv, x, "leaky_relu", [0.2])
            plain = _fused(conv, x, "relu", [])
        except (AttributeError, RuntimeError):
            return False
        expected = conv(x)
        close = functools.partial(torch.allclose, rtol=0.02, atol=0.02)
        return close(plain, F.relu(expected)) and close(leaky, F.leaky_relu(expected, 0.2))

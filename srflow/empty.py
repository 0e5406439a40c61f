"""Modules without weights: built to receive weights later, or only to count parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["without_weights"]

_FILLING = {Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}


@contextmanager
def without_weights() -> Iterator[None]:
    """Build modules on the meta device: their tensors have shapes and types, but no memory.

    Initial values are not drawn, so the caller's random numbers stay the same. The meta device could draw them, but
    with Python code that imports PyTorch's compiler: 150 MB and more than a second for nothing.
    """
    with torch.device("meta"), _NothingDrawn():
        yield


class _NothingDrawn(TorchFunctionMode):
    """A mode that keeps the shapes of initial values, and skips their computation."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _FILLING:
            return args[0] if args else (kwargs or {})["tensor"]
        if func is torch.linalg.qr and args[0].shape[-2] == args[0].shape[-1]:
            return args[0], args[0]  # the factors of a square matrix have its shape
        return (torch.empty if func is torch.randn else func)(*args, **(kwargs or {}))

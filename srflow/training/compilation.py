"""Whether `torch.compile` works on this machine, found out before a run begins."""

from __future__ import annotations

import torch

from srflow.contract import RecipeError

__all__ = ["check_compiler"]


def check_compiler(device: torch.device) -> None:
    """Compile and run something tiny on `device`; on a CPU that takes a C++ compiler, on a GPU Triton.

    Raises: RecipeError: it does not work; the text says why. Training would end in the first step otherwise, after
        pictures were decoded and weights loaded, with a compiler's long output.
    """
    x = torch.linspace(0, 1, 64, device=device, requires_grad=True)
    try:
        # Without its cache: it would hide that a compiler that once was here is gone.
        torch.compile(_tiny, options={"fx_graph_cache": False})(x).backward()
    except Exception as error:  # whatever goes wrong in a compiler: its errors have no common base
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise RecipeError(
            f"runtime.compile is true, but torch.compile does not work here: {reason}. Install a C++ compiler (g++ or "
            "clang++; CXX may name another; a GPU needs Triton), or set runtime.compile=false."
        ) from error


def _tiny(x: torch.Tensor) -> torch.Tensor:
    return (x.exp() * 2 + 1).sum()

"""Checks whether `torch.compile` works on this machine, before work begins."""

from __future__ import annotations

import torch

from srflow.errors import SRFlowError

__all__ = ["check_compiler"]


def check_compiler(device: torch.device, error_class: type[SRFlowError], setting: str) -> None:
    """Compile and run a tiny function on `device`; on a CPU this needs a C++ compiler, on a GPU Triton.

    Args: error_class: of the error.  setting: the name of the option that requires it, for the message.
    Raises: error_class: it does not work; the message says why. Without this check, a missing compiler would show up
        only after pictures were decoded and weights loaded, as a long compiler log.
    """
    x = torch.linspace(0, 1, 64, device=device, requires_grad=True)
    try:
        # Disable the cache: it would hide that a compiler has been removed.
        torch.compile(_tiny, options={"fx_graph_cache": False})(x).backward()
    except Exception as error:  # errors of a compiler have no common base class
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise error_class(
            f"{setting} needs torch.compile, which does not work here: {reason}. Install a C++ compiler (g++ or "
            "clang++; CXX may name another; a GPU needs Triton), or leave the option out."
        ) from error


def _tiny(x: torch.Tensor) -> torch.Tensor:
    return (x.exp() * 2 + 1).sum()

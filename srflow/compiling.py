"""Whether `torch.compile` works on this machine, found out before work begins."""

from __future__ import annotations

import torch

from srflow.errors import SRFlowError

__all__ = ["check_compiler"]


def check_compiler(device: torch.device, error_class: type[SRFlowError], setting: str) -> None:
    """Compile and run something tiny on `device`; on a CPU that takes a C++ compiler, on a GPU Triton.

    Args: error_class: of the error.  setting: what has asked for it, as the text calls it.
    Raises: error_class: it does not work; the text says why. Work would end in its midst otherwise, after pictures were
        decoded and weights loaded, with a compiler's long output.
    """
    x = torch.linspace(0, 1, 64, device=device, requires_grad=True)
    try:
        # Without its cache: it would hide that a compiler that once was here is gone.
        torch.compile(_tiny, options={"fx_graph_cache": False})(x).backward()
    except Exception as error:  # whatever goes wrong in a compiler: its errors have no common base
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise error_class(
            f"{setting} asks for torch.compile, which does not work here: {reason}. Install a C++ compiler (g++ or "
            "clang++; CXX may name another; a GPU needs Triton), or do without."
        ) from error


def _tiny(x: torch.Tensor) -> torch.Tensor:
    return (x.exp() * 2 + 1).sum()

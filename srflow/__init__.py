"""SRFlow-DA and its relatives: draw, weigh and steer the many super-resolutions of one picture.

The package is imported without loading PyTorch; `srflow.SRFlow` and `srflow.Latents` load it when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from srflow.contract import SRFlowError

if TYPE_CHECKING:
    from srflow.latents import Latents
    from srflow.model import Conditioning, SRFlow

__all__ = ["Conditioning", "Latents", "SRFlow", "SRFlowError", "__version__"]

__version__ = "0.1.0"

_LAZY = {"SRFlow": "srflow.model", "Conditioning": "srflow.model", "Latents": "srflow.latents"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'srflow' has no attribute {name!r}")

"""SRFlow-DA and its relatives: draw, evaluate and steer the many super-resolutions of one picture.

`srflow.load("…")` returns a pipeline from a picture to super-resolutions; `srflow.SRFlow` is the model itself.
Importing the package does not load PyTorch; it is loaded when something here is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from srflow.contract import SRFlowError

if TYPE_CHECKING:
    from srflow.distribution import SuperResolutions
    from srflow.latents import Latents
    from srflow.model import Conditioning, SRFlow
    from srflow.pipeline import Pipeline, load

__all__ = [
    "Conditioning",
    "Latents",
    "Pipeline",
    "SRFlow",
    "SRFlowError",
    "SuperResolutions",
    "__version__",
    "load",
]

__version__ = "0.1.0"

_LAZY = {
    "Conditioning": "srflow.model",
    "Latents": "srflow.latents",
    "Pipeline": "srflow.pipeline",
    "SRFlow": "srflow.model",
    "SuperResolutions": "srflow.distribution",
    "load": "srflow.pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'srflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

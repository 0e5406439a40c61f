"""Optional packages, and the extra of the installation that brings each."""

from __future__ import annotations

__all__ = ["EXTRAS", "describe_missing"]

EXTRAS = {
    "accelerate": "train",
    "gradio": "app",
    "lpips": "eval",
    "plotly": "app",
    "scipy": "eval",
    "skimage": "eval",
    "timm": "eval",
    "torchvision": "eval",
}
"""Extra by the name that is imported; pyproject.toml defines what an extra installs."""


def describe_missing(error: ModuleNotFoundError) -> str | None:
    """Say what to install, in a sentence; None if the missing module is not one of `EXTRAS`."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return (
        f"This needs the package {package}, which is not installed: pip install 'srflow-da-explorer[{EXTRAS[package]}]'"
        f", or in a checkout pip install '.[{EXTRAS[package]}]'."
    )

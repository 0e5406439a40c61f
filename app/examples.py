"""The example pictures that come with the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["EXAMPLES", "EXAMPLES_FOLDER", "Example"]

EXAMPLES_FOLDER = Path(__file__).resolve().parents[1] / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """An example picture. kind: "hr" or "lr", as on the page's switch. The sources are in assets/examples/NOTICE.md."""

    name: str
    kind: str = "hr"

    @property
    def path(self) -> Path:
        """The PNG file."""
        return EXAMPLES_FOLDER / f"{self.name}.png"


EXAMPLES = (
    Example("cat"),
    Example("astronaut"),
    Example("coffee"),
    Example("rocket"),
    Example("grass"),
    Example("galaxies", "lr"),
)

"""The results: status line and linked viewer."""

from __future__ import annotations

from collections.abc import Collection

from app.page import Page
from app.records import View
from app.scenes import main_scene
from app.tasks import Part, Values
from app.viewer import LinkedViewer

__all__ = ["ResultsPanel"]

_SHOWN = {Part.PICTURE, Part.ROWS, Part.SAMPLES, Part.REFERENCES, Part.MAP, Part.EXPLORED, Part.END}


class ResultsPanel:
    """The linked viewer with the pictures."""

    def __init__(self, page: Page) -> None:
        page.status.render()
        self.viewer = LinkedViewer(elem_id="viewer")
        self.outputs = self.streamed = [self.viewer]

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return the scene."""
        return {self.viewer: main_scene(view)} if _SHOWN & set(changed) else {}

    def wire(self, page: Page) -> None:
        """Wire nothing: other panels listen to the viewer."""

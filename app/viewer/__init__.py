"""The linked viewer: pictures side by side that are moved and enlarged as one."""

from app.viewer.component import (
    LinkedViewer,
    Overlay,
    Part,
    Picture,
    Scene,
    parse_picture_id,
    parse_place,
    parse_subject,
)

__all__ = ["LinkedViewer", "Overlay", "Part", "Picture", "Scene", "parse_picture_id", "parse_place", "parse_subject"]

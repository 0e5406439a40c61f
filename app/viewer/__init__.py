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
from app.viewer.masks import Mask, parse_mask

__all__ = [
    "LinkedViewer",
    "Mask",
    "Overlay",
    "Part",
    "Picture",
    "Scene",
    "parse_mask",
    "parse_picture_id",
    "parse_place",
    "parse_subject",
]

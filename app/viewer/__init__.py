"""The linked viewer: pictures side by side that are moved and enlarged as one."""

from app.viewer.asking import Asked, parse_asked
from app.viewer.component import (
    LinkedViewer,
    Overlay,
    Part,
    Picture,
    Scene,
    Walk,
    parse_picture_id,
    parse_place,
    parse_subject,
)
from app.viewer.masks import parse_mask

__all__ = [
    "Asked",
    "LinkedViewer",
    "Overlay",
    "Part",
    "Picture",
    "Scene",
    "Walk",
    "parse_asked",
    "parse_mask",
    "parse_picture_id",
    "parse_place",
    "parse_subject",
]

"""The linked viewer: pictures side by side that are moved and enlarged as one."""

from app.viewer.asking import Asked, parse_asked
from app.viewer.component import (
    LinkedViewer,
    Overlay,
    Part,
    Picture,
    Scene,
    StripStep,
    Walk,
    parse_picture_id,
    parse_place,
    parse_subject,
)
from app.viewer.masks import parse_mask
from app.viewer.steps import Mark, parse_mark, parse_step

__all__ = [
    "Asked",
    "LinkedViewer",
    "Mark",
    "Overlay",
    "Part",
    "Picture",
    "Scene",
    "StripStep",
    "Walk",
    "parse_asked",
    "parse_mark",
    "parse_mask",
    "parse_picture_id",
    "parse_place",
    "parse_step",
    "parse_subject",
]

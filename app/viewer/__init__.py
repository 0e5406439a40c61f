"""The linked viewer: pictures side by side that share position and zoom."""

from app.viewer.asking import MAX_SLIDERS, Asked, Detail, WayKind, parse_asked
from app.viewer.candidate_file import CandidateFile
from app.viewer.clicks import parse_picture_id, parse_place, parse_subject
from app.viewer.component import LinkedViewer
from app.viewer.edit import Contrast, Edit, Paint, Paste
from app.viewer.heat import Found, FoundName
from app.viewer.lines import Line, parse_line
from app.viewer.masks import parse_mask
from app.viewer.place import SourcePlace, parse_source
from app.viewer.scene import (
    LOOK_ONLY,
    Blend,
    Overlay,
    Part,
    Picture,
    Scene,
    SliderBank,
    SliderStrip,
    StripStep,
    Walk,
)
from app.viewer.steps import Mark, parse_mark, parse_step

__all__ = [
    "LOOK_ONLY",
    "MAX_SLIDERS",
    "Asked",
    "Blend",
    "CandidateFile",
    "Contrast",
    "Detail",
    "Edit",
    "Found",
    "FoundName",
    "Line",
    "LinkedViewer",
    "Mark",
    "Overlay",
    "Paint",
    "Part",
    "Paste",
    "Picture",
    "Scene",
    "SliderBank",
    "SliderStrip",
    "SourcePlace",
    "StripStep",
    "Walk",
    "WayKind",
    "parse_asked",
    "parse_line",
    "parse_mark",
    "parse_mask",
    "parse_picture_id",
    "parse_place",
    "parse_source",
    "parse_step",
    "parse_subject",
]

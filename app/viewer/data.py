"""The message from Python to the linked viewer, as Gradio serialises it. messages.json describes it."""

from __future__ import annotations

import logging
import struct
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from gradio.data_classes import GradioModel
from gradio.route_utils import API_PREFIX

from app.viewer.scene import Overlay, Picture, Scene, StripStep, Walk
from srflow.contract import ImageError

__all__ = [
    "SceneData",
    "scene_data",
]

_PNG_HEADER = struct.Struct(">8s4x4s")  # signature, length of the first chunk, its type
_GONE = "the file no longer exists"

_log = logging.getLogger(__name__)


class _FileData(GradioModel):
    """Only the address under which the browser finds a file.

    This is not Gradio's `FileData`: in every message of a stream, Gradio would inspect each file's path a dozen times,
    which took longer than everything else in a message.
    """

    url: str


class _PartData(GradioModel):
    top: int
    rows: int
    image: _FileData


class _PictureData(GradioModel):
    id: str
    label: str
    kind: str
    badge: str
    key: str
    file_name: str
    image: _FileData | None
    problem: str
    parts: list[_PartData]


class _OverlayData(GradioModel):
    image: _FileData
    values: _FileData | None
    title: str
    minimum: float
    maximum: float
    unit: str
    colors: list[str]
    values_top: float
    bars: float | None
    of_luma: bool
    remark: str
    details: str


class _BlendData(GradioModel):
    id: str
    ends: list[str]
    percent: int


class _MaskData(GradioModel):
    width: int
    height: int
    box: list[int]
    runs: list[int]


class _FoundData(GradioModel):
    name: str
    mask: _MaskData


class _SliderData(GradioModel):
    image: _FileData | None
    low: str
    high: str
    share: float
    deviations: list[float] | None
    remark: str


class _SlidersData(GradioModel):
    strips: list[_SliderData]
    angles: list[int]


class _WalkData(GradioModel):
    start: str
    ids: list[str]
    count: int
    box: list[int]
    kind: str
    dial: int
    blend: _BlendData | None
    found: _FoundData | None
    sliders: _SlidersData | None
    levels: list[int]


class _StepData(GradioModel):
    number: int
    parent: int | None
    image: _FileData | None
    caption: str
    words: str
    kind: str
    name: str
    is_pinned: bool
    is_current: bool
    difference: str | None


class SceneData(GradioModel):
    """The message for the browser."""

    width: int
    height: int
    subject: str
    pictures: list[_PictureData]
    overlay: _OverlayData | None
    overlay_expected: bool
    mode: str | None
    selected: str | None
    compare: list[str] | None
    place: list[int] | None
    placeholder: str | None
    suggested_place: list[int] | None
    note: str
    grid: list[int] | None
    walk: _WalkData | None
    explored: str | None
    steps: list[_StepData]
    temperature: float | None
    serial: str
    revision: int


def scene_data(value: Scene) -> SceneData:
    """Convert a scene to the message for the browser. A missing file is left out, and the viewer says so.

    Raises: ImageError: a file is not a PNG.
    """
    return SceneData(
        width=value.width,
        height=value.height,
        subject=value.subject,
        pictures=[_picture_data(picture) for picture in value.pictures],
        overlay=_overlay_data(value.overlay),
        overlay_expected=value.overlay_expected,
        mode=value.mode,
        selected=value.selected,
        compare=None if value.compare is None else list(value.compare),
        place=None if value.place is None else list(value.place),
        placeholder=value.placeholder,
        suggested_place=None if value.suggested_place is None else list(value.suggested_place),
        note=value.note,
        grid=None if value.grid is None else list(value.grid),
        walk=None if value.walk is None else _walk_data(value.walk),
        explored=value.explored,
        steps=[_step_data(step) for step in value.steps],
        temperature=value.temperature,
        serial=value.serial,
        revision=value.revision,
    )


def _picture_data(picture: Picture) -> _PictureData:
    image = _png_file(picture.path)
    parts = [(part, _png_file(part.path)) for part in picture.parts]
    return _PictureData(
        id=picture.id,
        label=picture.label,
        kind=picture.kind,
        badge=picture.badge,
        key=picture.key,
        file_name=picture.file_name,
        image=image,
        problem=_GONE if image is None and picture.path is not None else "",
        parts=[_PartData(top=part.top, rows=part.rows, image=rows) for part, rows in parts if rows is not None],
    )


def _walk_data(walk: Walk) -> _WalkData:
    bank = walk.sliders
    sliders = bank and _SlidersData(
        strips=[
            _SliderData(
                image=_png_file(strip.path),
                low=strip.ends[0],
                high=strip.ends[1],
                share=strip.share,
                deviations=None if strip.deviations is None else list(strip.deviations),
                remark=strip.remark,
            )
            for strip in bank.strips
        ],
        angles=list(bank.angles),
    )
    return _WalkData(**asdict(walk) | {"sliders": sliders})


def _step_data(step: StripStep) -> _StepData:
    values = asdict(step)
    return _StepData(image=_png_file(values.pop("path")), **values)


def _overlay_data(overlay: Overlay | None) -> _OverlayData | None:
    image = None if overlay is None else _png_file(overlay.path)
    if overlay is None or image is None:
        return None
    return _OverlayData(
        image=image,
        values=_png_file(overlay.values_path),
        title=overlay.title,
        minimum=float(overlay.minimum),
        maximum=float(overlay.maximum),
        unit=overlay.unit,
        colors=list(overlay.colors),
        values_top=float(overlay.maximum if overlay.values_top is None else overlay.values_top),
        bars=overlay.bars,
        of_luma=overlay.of_luma,
        remark=overlay.remark,
        details=overlay.details,
    )


def _png_file(path: str | Path | None) -> _FileData | None:
    """Return the file's address; None if there is no file.

    Lossy formats, which nobody would notice, are refused here: by the file's first bytes, not by its name.
    """
    if path is None:
        return None
    try:
        with Path(path).open("rb") as file:
            head = file.read(_PNG_HEADER.size)
    except OSError as error:
        _log.warning("A picture of the viewer is left out: %s", error)
        return None
    signature, kind = _PNG_HEADER.unpack(head)[:2] if len(head) == _PNG_HEADER.size else (b"", b"")
    if signature != b"\x89PNG\r\n\x1a\n" or kind != b"IHDR":
        raise ImageError(f"The viewer shows only PNG files; {Path(path).name!r} is not one.")
    return _FileData(url=f"{API_PREFIX}/file={quote(str(Path(path).resolve()))}")

"""The Python side of the linked viewer: what it is given, and the checks on what a browser sends back.

A handler returns a `Scene` for the viewer; the browser loads the PNG files it names and keeps the visitor's view while
`Scene.subject` stays the same. Files are handed over as paths and never re-encoded: what is seen is the PNG's pixels.
They must lie where the page serves files from as they are: see `gradio.set_static_paths`.
"""

from __future__ import annotations

import copy
import functools
import logging
import re
import struct
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import gradio as gr
from gradio.data_classes import GradioModel
from gradio.events import EventListener
from gradio.route_utils import API_PREFIX

from app.viewer.asking import WayKind
from app.viewer.heat import Found
from app.viewer.script import join_modules, join_styles
from srflow.contract import ImageError, InputError
from srflow.errors import brief

__all__ = [
    "LOOK_ONLY",
    "Blend",
    "LinkedViewer",
    "Overlay",
    "Part",
    "Picture",
    "Scene",
    "SliderBank",
    "SliderStrip",
    "StripStep",
    "Walk",
    "brief",
    "parse_picture_id",
    "parse_place",
    "parse_subject",
]

VIEWER_KEYS = "acdfhjlnopruvwxz"
"""Letters that the viewer uses itself; keep in step with `ACTIONS` in src/keys.js."""

_PNG_HEADER = struct.Struct(">8s4x4s")  # signature, length of the first chunk, its type
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_GONE = "file is gone"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Finished rows of a picture that is still being made: a PNG file, as wide as the frame, to be put at row `top`."""

    top: int
    rows: int
    path: str | Path

    def __post_init__(self) -> None:
        if self.top < 0 or self.rows < 1:
            raise InputError(f"A part has rows from 0 on; got {self.rows} from {self.top} on.")


@dataclass(frozen=True)
class Picture:
    """One picture of a scene.

    id: unique in the scene; the same id is the same place in the grid from one scene to the next. Until the visitor
        chooses another, differences subtract the picture "mean", or else "truth".
    label: short text for people.
    path: PNG file, or None while the picture is still being made: its place is kept, with the previous picture dimmed,
        or, if there was none, the scene's `placeholder`.
    parts: rows that are finished already, while `path` is None.
    kind: "sample" (in the grid, reached by digits) or "reference" (bicubic, mean, ground truth, …: for flipping, wiping
        and, if wanted, the grid); or "way": one of `Scene.walk`, and in no grid. A reference smaller than the frame is
        enlarged pixel by pixel.
    badge: short mark beside the label, for example "flagged".
    key: lower-case letter that shows a reference, or "".
    file_name: under which the browser saves the PNG file; "": made from the label.
    """

    id: str
    label: str
    path: str | Path | None = None
    kind: Literal["sample", "reference", "way"] = "sample"
    badge: str = ""
    key: str = ""
    parts: Sequence[Part] = ()
    file_name: str = ""

    def __post_init__(self) -> None:
        if self.parts and self.path is not None:
            raise InputError(f"Picture {self.id!r} is finished; it has no parts.")
        if not self.id or not self.label:
            raise InputError(f"A picture needs an id and a label; got id {self.id!r} and label {self.label!r}.")
        if self.kind not in ("sample", "reference", "way"):
            raise InputError(f"A picture is of kind 'sample', 'reference' or 'way', not {self.kind!r}.")
        if self.key and (not re.fullmatch("[a-z]", self.key) or self.key in VIEWER_KEYS):
            raise InputError(
                f"Picture {self.id!r} wants the key {self.key!r}; use one lower-case letter, none of {VIEWER_KEYS!r}."
            )


@dataclass(frozen=True)
class Overlay:
    """A map over the pictures, with its legend.

    path: PNG in colour, of any size; it is stretched over the frame, and shown as a tile after the samples.
    title: for the switch and the legend, for example "Diversity".
    minimum, maximum: values at the two ends of the scale, in `unit`.
    colors: the scale from low to high, two or more "#rrggbb", evenly spaced.
    values_path: PNG in grey (8 bits), from which the viewer reads single values: 0 for `minimum`, 255 for `values_top`.
    values_top: None: `maximum`; with another one, values beyond the scale's end can be read, too.
    bars: what share of the truth lies within "mean ± value", promised; None: the values are standard deviations.
    of_luma: whether the values are of the brightness; else of all three channels.
    remark: few words beside the legend, on which a visitor opens `details`.
    """

    path: str | Path
    title: str
    minimum: float
    maximum: float
    colors: Sequence[str]
    unit: str = ""
    values_path: str | Path | None = None
    values_top: float | None = None
    bars: float | None = None
    of_luma: bool = True
    remark: str = ""
    details: str = ""

    def __post_init__(self) -> None:
        if not self.minimum <= self.maximum:
            raise InputError(f"The overlay's scale runs from {self.minimum} to {self.maximum}; it must not fall.")
        if len(self.colors) < 2 or not all(_COLOR.fullmatch(color) for color in self.colors):
            raise InputError(f"The overlay needs two or more colours as '#rrggbb'; got {list(self.colors)!r}.")


@dataclass(frozen=True)
class Blend:
    """A way between two pictures, which the visitor moves from one to the other.

    id: its own. ends: ids of the two. percent: how far it is on the way.
    """

    id: str
    ends: tuple[str, str]
    percent: int


LOOK_ONLY = "to look at"
"""The badge of ways that cannot be kept. The browser knows it by this word."""


@dataclass(frozen=True)
class SliderStrip:
    """One slider of a place.

    path: PNG of the place at positions from one end to the other, side by side. ends: what is at the two ends, in
    words. share: of all that differs at the place, 0 to 1. deviations: of what was wished for at each position, in
    standard deviations; None: it is no wish. remark: what there is to say of it, or "".
    """

    path: str | Path
    ends: tuple[str, str]
    share: float
    deviations: tuple[float, ...] | None = None
    remark: str = ""


@dataclass(frozen=True)
class SliderBank:
    """The sliders of a place; none: only texture differs there. angles: where they are, in degrees, -90 to 90."""

    strips: tuple[SliderStrip, ...]
    angles: tuple[int, ...]


@dataclass(frozen=True)
class Walk:
    """Ways to go on from a picture, which the visitor walks through in place.

    start: id of that picture. ids: of the ways that are there. count: how many there will be. box: left, top, right,
    bottom of the place that differs, in SR pixels. kind: what they are. dial: how far neighbours are, in percent.
    blend: the one of them, if any, that lies between two pictures. found: a place that was asked for, to be painted.
    sliders: by which the one way was found, as soon as they are there. levels: of a tree, how deep each way lies.
    """

    start: str
    ids: tuple[str, ...]
    count: int
    box: tuple[int, int, int, int]
    kind: WayKind
    dial: int = 0
    blend: Blend | None = None
    found: Found | None = None
    sliders: SliderBank | None = None
    levels: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StripStep:
    """One step of the history, as the strip below the pictures shows it.

    number: by which events name it. parent: number of the step of the strip that it followed. path: PNG of its
    thumbnail. caption: two or three words. name: that the visitor gave it, or "". words: what it is, at length.
    difference: what leads from it to what is shown; None: the two cannot be compared. kind: what was new in it.
    """

    number: int
    parent: int | None
    path: str | Path
    caption: str
    words: str
    kind: Literal["picture", "samples", "sweep", "explored"] = "explored"
    name: str = ""
    is_pinned: bool = False
    is_current: bool = False
    difference: str | None = None


@dataclass(frozen=True)
class Scene:
    """Everything that the viewer shows.

    width, height: the frame in SR pixels; pictures of other sizes are scaled to it.
    pictures: in the order of grid, buttons and keys: samples have 1 … 9, then Shift+1 … Shift+7.
    overlay: map of where the samples differ, or None. The visitor can show it as a tile of the grid (on at first, with
        two samples or more) and over all pictures.
    overlay_expected: keep a place for the map's tile while `overlay` is None, so that the grid does not change when the
        map arrives.
    subject: names the input picture. While it and the frame stay the same, the visitor's zoom, position, mode and
        chosen place are kept, and each old picture stays until the new one is loaded.
    mode, selected, compare, place: settings to apply once, when they differ from the former scene's: the mode, the id
        of the picture shown alone, the ids (left, right) of the wipe, the (x, y) of the crops in SR pixels. None: the
        visitor's choice stays.
    placeholder: id of a picture that stands in, dimmed, for those that are not there yet.
    suggested_place: the (x, y) of the crops until the visitor chooses a place, meant to be where samples differ most.
        None: the viewer looks for that place on the map; without a map, there are no crops before the first click.
    grid: (width, height) of the low-resolution picture, on whose pixels the visitor may choose a place. None: the tools
        for that are not there.
    walk: ways to go on, while the visitor looks at them; None: there are none.
    explored: id of the picture that the visitor has explored, shown alone whenever it is another one than before.
    steps: the history, oldest first; the strip of it is there with two steps or more. A step that is compared with what
        is shown is a reference of the scene, with the id "step-NUMBER".
    note: a line over the pictures, e.g. what to do to get some; then none of them is called "waiting".
    temperature: of the samples, or of what is explored; None: not known.
    serial: names the scene. The element `.lv` has it as `data-shown` once the map and all finished pictures are drawn,
        or cannot be loaded.
    revision: a scene with a lower one than the viewer has shown already came too late, and is left aside.
    """

    width: int
    height: int
    pictures: Sequence[Picture] = ()
    overlay: Overlay | None = None
    subject: str = ""
    mode: Literal["grid", "single", "wipe", "difference"] | None = None
    selected: str | None = None
    compare: tuple[str, str] | None = None
    place: tuple[int, int] | None = None
    placeholder: str | None = None
    suggested_place: tuple[int, int] | None = None
    note: str = ""
    overlay_expected: bool = False
    grid: tuple[int, int] | None = None
    walk: Walk | None = None
    explored: str | None = None
    steps: Sequence[StripStep] = ()
    temperature: float | None = None
    serial: str = ""
    revision: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"A scene has a size of at least 1×1 pixels; got {self.width}×{self.height}.")
        if self.grid is not None and min(self.grid) < 1:
            raise InputError(f"A low-resolution picture has at least 1×1 pixels; got {self.grid[0]}×{self.grid[1]}.")
        ids = [picture.id for picture in self.pictures]
        if len(set(ids)) != len(ids):
            raise InputError(f"Ids of pictures must differ from each other; got {ids!r}.")
        if self.mode not in (None, "grid", "single", "wipe", "difference"):
            raise InputError(f"The viewer's mode is 'grid', 'single', 'wipe' or 'difference', not {self.mode!r}.")
        walked = () if self.walk is None else (self.walk.start, *self.walk.ids)
        for chosen in (self.selected, self.placeholder, self.explored, *walked, *(self.compare or ())):
            if chosen is not None and chosen not in ids:
                raise InputError(f"The scene has no picture {chosen!r}; it has {ids!r}.")
        for place in (self.place, self.suggested_place):
            if place is not None:
                parse_place({"x": place[0], "y": place[1]}, self.width, self.height)
        for part in (part for picture in self.pictures for part in picture.parts):
            if part.top + part.rows > self.height:
                raise InputError(f"A part ends at row {part.top + part.rows} of {self.height}.")


class _FileData(GradioModel):
    """Only where the browser finds a file.

    Not Gradio's `FileData`: in every message of a stream, Gradio would look at each file's path a dozen times, which
    took longer than all else that a message costs.
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


class _SceneData(GradioModel):
    """What travels to the browser."""

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


class LinkedViewer(gr.HTML):
    """Shows a `Scene`: samples side by side with one shared zoom and position, flipping, a wipe, a loupe and crops.

    For output only: as an input of an event it gives None, because the page itself knows best what it sent.
    Wire events to it with `show_progress="hidden"`, or Gradio dims the pictures while the handler runs.

    Events (data by `gr.EventData`, to be read with the functions named):
        place: the visitor clicked a place; `parse_place(event._data, width, height)` gives it, and
            `parse_picture_id(event._data, ids)` the picture that was clicked (on the map: the one shown alone last).
        pick: the visitor shows one picture alone; `parse_picture_id(event._data, ids)`.
        mask: the visitor has chosen a place, or changed it; `parse_mask(event._data, *scene.grid)`.
        explore: the visitor wants ways to go on, or takes one: `parse_asked(event._data, *scene.grid)`.
        line: the visitor has drawn a line to measure along; `parse_line(event._data, width, height)`.
        travel: the visitor wants to go to a step of the history; `parse_step(event._data)`.
        mark: the visitor names or pins a step, or compares with it; `parse_mark(event._data)`.
    All but the last two also say which scene they belong to: `parse_subject(event._data, subject)` refuses those of
    another picture. The history is the same for all of them.
    What travels in both directions is described in messages.json.
    """

    data_model = _SceneData
    EVENTS = [  # noqa: RUF012 (Gradio's metaclass reads a list)
        EventListener("place", doc="Triggered when the visitor clicks a place in a picture."),
        EventListener("pick", doc="Triggered when the visitor shows one picture alone."),
        EventListener("mask", doc="Triggered when the visitor has chosen a place, or changed it."),
        EventListener("explore", doc="Triggered when the visitor wants ways to go on from a picture, or takes one."),
        EventListener("line", doc="Triggered when the visitor has drawn a line to measure along."),
        EventListener("travel", doc="Triggered when the visitor wants to go to a step of the history."),
        EventListener("mark", doc="Triggered when the visitor names or pins a step, or compares with it."),
    ]

    def __init__(
        self,
        value: Scene | None = None,
        *,
        label: str | None = "Linked viewer",
        visible: bool | Literal["hidden"] = True,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        render: bool = True,
    ) -> None:
        super().__init__(
            value,
            label=label,
            html_template="<div></div>",  # never changes: the script builds what is inside, and keeps it
            css_template=join_styles(),
            js_on_load=join_modules(),
            apply_default_css=False,
            visible=visible,
            elem_id=elem_id,
            elem_classes=elem_classes,
            render=render,
        )

    def get_config(self) -> dict[str, Any]:
        """Without "every", which names a setting and an event of `gr.HTML`: Gradio takes the event's function for it.

        With that it would try to copy the whole page for each visitor who opens it, and fail.
        """
        config = super().get_config()
        config.pop("every", None)
        return config

    def preprocess(self, payload: Any) -> None:  # noqa: ARG002
        """Give nothing: what a browser says about pictures and files is not to be trusted."""
        return None

    def postprocess(self, value: Scene | None) -> _SceneData | None:
        """Turn a scene into what travels to the browser. A file that is gone is left out, and the viewer says so.

        Raises:
            ImageError: if a file is not a PNG.
        """
        if value is None:
            return None
        return _SceneData(
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

    def example_payload(self) -> None:
        """Nothing goes in."""
        return None

    def example_value(self) -> None:
        """No scene without files."""
        return None

    def api_info(self) -> dict[str, Any]:
        """Schema of the scene as it travels."""
        return copy.deepcopy(_schema())


@functools.cache
def _schema() -> dict[str, Any]:
    """Made once: Gradio asks for it with each page that is opened."""
    return _SceneData.model_json_schema()


def parse_place(value: Any, width: int, height: int) -> tuple[int, int]:
    """Read the place of a "place" event, trusting nothing.

    Args:
        value: what the browser sent, meant to be {"x": int, "y": int, …}.
        width: of the frame, in SR pixels.
        height: of the frame, in SR pixels.

    Returns:
        (x, y) in SR pixels, 0 <= x < width and 0 <= y < height.

    Raises:
        InputError: if it is anything else.
    """
    if not isinstance(value, dict):
        raise InputError(f"A place is an object with x and y; got {type(value).__name__}.")
    place = []
    for name, size in (("x", width), ("y", height)):
        number = value.get(name)
        if type(number) is not int:  # bool is an int to isinstance
            raise InputError(f"The place's {name} is a whole number; got {brief(number)}.")
        if not 0 <= number < size:
            raise InputError(f"The place's {name} lies in 0 … {size - 1}; got {brief(number)}.")
        place.append(number)
    return place[0], place[1]


def parse_picture_id(value: Any, ids: Collection[str]) -> str:
    """Read which picture a "place" or "pick" event means, trusting nothing.

    Args:
        value: what the browser sent, meant to be {"id": str, …}.
        ids: the ids of the visitor's scene.

    Returns:
        One of `ids`.

    Raises:
        InputError: if it is anything else.
    """
    chosen = value.get("id") if isinstance(value, dict) else None
    if not isinstance(chosen, str) or chosen not in ids:
        raise InputError(f"The picture is none of the scene's; got {brief(chosen)}.")
    return chosen


def parse_subject(value: Any, subject: str) -> str:
    """Check that an event was sent from the scene that is current, trusting nothing.

    Args:
        value: what the browser sent, meant to be {"subject": str, …}.
        subject: of the scene that the visitor has now.

    Returns:
        `subject`.

    Raises:
        InputError: if the event belongs to another scene, or names none.
    """
    sent = value.get("subject") if isinstance(value, dict) else None
    if not isinstance(sent, str) or sent != subject:
        raise InputError(f"This belongs to a picture that is no longer shown ({brief(sent)}).")
    return subject


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
    """The file's address; None if there is no file.

    Lossy formats are refused here, where they would enter unseen: by the file's first bytes, not by its name.
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
        raise ImageError(f"The viewer shows PNG files only; {Path(path).name!r} is none.")
    return _FileData(url=f"{API_PREFIX}/file={quote(str(Path(path).resolve()))}")

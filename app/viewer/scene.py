"""The scene that the linked viewer shows: pictures, the map, variants, and the history."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.viewer.asking import WayKind
from app.viewer.clicks import parse_place
from app.viewer.heat import Found
from srflow.contract import InputError

__all__ = [
    "LOOK_ONLY",
    "VIEWER_KEYS",
    "Blend",
    "Overlay",
    "Part",
    "Picture",
    "Scene",
    "SliderBank",
    "SliderStrip",
    "StripStep",
    "Walk",
]

VIEWER_KEYS = "acdfhjlnopruvwxz"
"""Letters that the viewer uses itself; they must match `ACTIONS` in src/keys.js."""

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Part:
    """Finished rows of an unfinished picture: a PNG file as wide as the frame, to be shown from row `top`."""

    top: int
    rows: int
    path: str | Path

    def __post_init__(self) -> None:
        if self.top < 0 or self.rows < 1:
            raise InputError(f"A part must have rows from 0 on; got {self.rows} from {self.top} on.")


@dataclass(frozen=True)
class Picture:
    """One picture of a scene.

    id: unique in the scene; in the next scene, the same id has the same position in the grid. Until the visitor chooses
        another picture, differences subtract the picture "mean", otherwise "truth".
    label: short text for people.
    path: PNG file, or None while the picture is being made: then its position is reserved, and shows the previous
        picture dimmed or, if there was none, the scene's `placeholder`.
    parts: finished rows, while `path` is None.
    kind: "sample" (in the grid, selected by digits) or "reference" (bicubic, mean, ground truth, …: for flipping,
        wiping and, on request, the grid); or "way": a variant in `Scene.walk`, which is in no grid. A reference smaller
        than the frame is enlarged without interpolation.
    badge: short mark beside the label, for example "flagged".
    key: lower-case letter that shows a reference, or "".
    file_name: name under which the browser saves the PNG file; "": made from the label.
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
            raise InputError(f"A picture's kind must be 'sample', 'reference' or 'way', not {self.kind!r}.")
        if self.key and (not re.fullmatch("[a-z]", self.key) or self.key in VIEWER_KEYS):
            raise InputError(
                f"Picture {self.id!r} wants the key {self.key!r}; use one lower-case letter, but none of "
                f"{VIEWER_KEYS!r}."
            )


@dataclass(frozen=True)
class Overlay:
    """A map over the pictures, with its legend.

    path: PNG in colour, of any size; it is stretched over the frame, and shown as a tile after the samples.
    title: for the switch and the legend, for example "Diversity".
    minimum, maximum: values at the two ends of the scale, in `unit`.
    colors: the scale from low to high, two or more "#rrggbb", evenly spaced.
    values_path: PNG in grey (8 bits), from which the viewer reads single values: 0 for `minimum`, 255 for `values_top`.
    values_top: None: `maximum`; a larger value lets the viewer read values beyond the scale's end.
    bars: the promised share of the truth within "mean ± value"; None: the values are standard deviations.
    of_luma: whether the values are those of the brightness; otherwise of all three channels.
    remark: short text beside the legend; a click on it opens `details`.
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
            raise InputError(f"The overlay's scale runs from {self.minimum} to {self.maximum}; it must not decrease.")
        if len(self.colors) < 2 or not all(_COLOR.fullmatch(color) for color in self.colors):
            raise InputError(f"The overlay needs two or more colours as '#rrggbb'; got {list(self.colors)!r}.")


@dataclass(frozen=True)
class Blend:
    """A variant between two pictures, which the visitor moves from one to the other.

    id: of the variant.
    ends: ids of the two pictures.
    percent: its position between them.
    """

    id: str
    ends: tuple[str, str]
    percent: int


LOOK_ONLY = "to look at"
"""The badge of variants that cannot be kept. The browser recognises it by this text."""


@dataclass(frozen=True)
class SliderStrip:
    """One slider of a region.

    path: PNG of the region at positions from one end to the other, side by side.
    ends: what the two ends show, in words.
    share: of the variance in the region, 0 to 1.
    deviations: of a wish's measure at each position, in standard deviations; None: it is not a wish.
    remark: a remark for the visitor, or "".
    """

    path: str | Path
    ends: tuple[str, str]
    share: float
    deviations: tuple[float, ...] | None = None
    remark: str = ""


@dataclass(frozen=True)
class SliderBank:
    """The sliders of a region; none: only texture differs. angles: their positions in degrees, -90 to 90."""

    strips: tuple[SliderStrip, ...]
    angles: tuple[int, ...]


@dataclass(frozen=True)
class Walk:
    """Variants of a picture, which the visitor steps through in place.

    start: id of that picture.
    ids: of the finished variants.
    count: how many there will be.
    box: left, top, right, bottom of the region that differs, in SR pixels.
    kind: the kind of variants.
    dial: how different neighbours are, in percent.
    blend: the variant, if any, that lies between two pictures.
    found: a region that was requested for painting.
    sliders: those that lead to the one variant, once they are found.
    levels: depth of each variant in a tree.
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

    number: identifies it in events.
    parent: number of the previous step in the strip.
    path: PNG of its thumbnail.
    caption: two or three words.
    name: given by the visitor, or "".
    words: a full description.
    difference: the changes from it to the current step; None: the two cannot be compared.
    kind: what was new in it.
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
    overlay_expected: reserve a position for the map's tile while `overlay` is None, so that the grid does not change
        when the map arrives.
    subject: identifies the input picture. While it and the frame stay the same, the visitor's zoom, position, mode and
        close-up position are kept, and each old picture stays until the new one is loaded.
    mode, selected, compare, place: settings to apply once, when they differ from those of the previous scene: the mode,
        the id of the picture shown alone, the ids (left, right) of the wipe, the (x, y) of the close-ups in SR pixels.
        None: keep the visitor's choice.
    placeholder: id of a picture that is shown dimmed instead of pictures that are not finished.
    suggested_place: the (x, y) of the close-ups until the visitor chooses a position, meant to be where samples differ
        most. None: the viewer finds that position on the map; without a map, there are no close-ups before the first
        click.
    grid: (width, height) of the low-resolution picture, on whose pixels the visitor may select a region. None: the
        selection tools are hidden.
    walk: variants, while the visitor looks at them; None: there are none.
    explored: id of the explored picture, which is shown alone whenever it changes.
    steps: the history, oldest first; the strip is shown from two steps on. A step that is compared with the current one
        is a reference of the scene, with the id "step-NUMBER".
    note: a line over the pictures, e.g. how to get some; then none of them is called "waiting".
    temperature: of the samples, or of the explored picture; None: not known.
    serial: identifies the scene. The element `.lv` has it as `data-shown` once the map and all finished pictures are
        drawn, or have failed to load.
    revision: the viewer ignores a scene with a lower revision than it has already shown, because it arrived too late.
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
            raise InputError(f"A scene must have a size of at least 1×1 pixels; got {self.width}×{self.height}.")
        if self.grid is not None and min(self.grid) < 1:
            raise InputError(
                f"A low-resolution picture must have at least 1×1 pixels; got {self.grid[0]}×{self.grid[1]}."
            )
        ids = [picture.id for picture in self.pictures]
        if len(set(ids)) != len(ids):
            raise InputError(f"The ids of pictures must differ from each other; got {ids!r}.")
        if self.mode not in (None, "grid", "single", "wipe", "difference"):
            raise InputError(f"The viewer's mode must be 'grid', 'single', 'wipe' or 'difference', not {self.mode!r}.")
        walked = () if self.walk is None else (self.walk.start, *self.walk.ids)
        for chosen in (self.selected, self.placeholder, self.explored, *walked, *(self.compare or ())):
            if chosen is not None and chosen not in ids:
                raise InputError(f"The scene has no picture {chosen!r}; it has {ids!r}.")
        for place in (self.place, self.suggested_place):
            if place is not None:
                parse_place({"x": place[0], "y": place[1]}, self.width, self.height)
        for part in (part for picture in self.pictures for part in picture.parts):
            if part.top + part.rows > self.height:
                raise InputError(f"A part ends at row {part.top + part.rows}, but the picture has {self.height} rows.")

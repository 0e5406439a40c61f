"""Checks of what the browser sends when a visitor explores a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from app.viewer.candidate_file import CandidateFile, is_file, parse_file
from app.viewer.edit import Edit, parse_edit
from app.viewer.heat import FoundName, parse_heat
from app.viewer.masks import parse_mask
from app.viewer.place import SourcePlace, parse_source
from srflow.contract import InputError, Wish
from srflow.errors import brief
from srflow.operations import Heat, Mask
from srflow.steering.wishes import wish_from_values

__all__ = ["MAX_PARENTS", "MAX_SLIDERS", "Action", "Asked", "Detail", "WayKind", "parse_asked"]

PoolKind = Literal["different", "typical", "extremes", "families"]
WayKind = Literal[
    PoolKind,
    "roll",
    "more",
    "family",
    "children",
    "between",
    "heat",
    "sliders",
    "wish",
    "edit",
    "grain",
    "texts",
    "pieces",
]
Action = Literal[WayKind, FoundName, "like", "slide", "accept", "leave"]
Detail = Literal["all", "coarse", "fine"]

MAX_PARENTS = 8
"""Pictures that can be mixed at once."""

MAX_SLIDERS = 5
"""Maximum number of sliders of a region."""

MAX_CANDIDATES = 10
"""Maximum number of texts, or pieces of pictures, that can be tried at once."""

_MAX_ID = 100


@dataclass(frozen=True)
class Asked:
    """One "explore" event.

    action: "roll": new noise in the region. "more": neighbours. "different", "typical": a few of many rolls, with the
        number that each represents; "extremes" of these rolls; "families": groups of similar rolls, as a tree;
        "family": all rolls that a variant represents. "children": mixtures of several pictures. "between": one between
        two pictures. "heat": the picture with painted temperatures; "flat", "uncertain": a region to paint. "sliders":
        the main ways in which the region differs; "slide": the sliders were moved. "wish": a slider towards a wish for
        the region. "like": a slider towards the appearance of another region. "edit": the region is changed by hand.
        "grain": it gets the grain of another region. "texts", "pieces": could they be there? "accept": a variant
        becomes the state. "leave": none does.
    id: of the picture concerned.
    mask: the region; None: none is selected.
    dial: how different neighbours are, or the point between two pictures, in percent.
    others: ids of the pictures that it is mixed with.
    detail: the latents in which neighbours differ.
    heat: what is painted.
    angles: position of each slider, in degrees.
    wish: what is wished for.
    edit: the change.
    texts: to try.
    source: the other region.
    sources: the regions of the pieces to try, or files that show them.
    """

    action: Action
    id: str
    mask: Mask | None
    dial: int
    others: tuple[str, ...] = ()
    detail: Detail = "all"
    heat: tuple[Heat, ...] = ()
    angles: tuple[int, ...] = ()
    wish: Wish | None = None
    edit: Edit | None = None
    texts: tuple[str, ...] = ()
    source: SourcePlace | None = None
    sources: tuple[SourcePlace | CandidateFile, ...] = ()


def parse_asked(value: Any, width: int, height: int) -> Asked:
    """Check and read an "explore" event.

    Args:
        value: what the browser sent, meant to be {"action", "id", "mask", "dial", …}; "others", "detail" and
            "heat", "angles", "wish", "edit", "texts", "source" and "sources" may be left out.
        width: of the low-resolution picture.
        height: of the low-resolution picture.

    Raises:
        InputError: it is anything else.
    """
    mask = parse_mask(value, width, height)
    action, name, dial = (value.get(key) for key in ("action", "id", "dial"))
    if not isinstance(action, str) or action not in get_args(Action):
        raise InputError(f"The page sent an unknown action, {brief(action)}. Please reload the page.")
    if not _is_id(name):
        raise InputError(f"The picture's id must be a short text; got {brief(name)}.")
    if type(dial) is not int or not 0 <= dial <= 100:
        raise InputError(f"The dial must be a whole number from 0 to 100; got {brief(dial)}.")
    others, detail = value.get("others", []), value.get("detail", "all")
    if not isinstance(others, list) or len(others) >= MAX_PARENTS or not all(map(_is_id, others)):
        raise InputError(f"At most {MAX_PARENTS} pictures can be mixed, each given by its id; got {brief(others)}.")
    if not isinstance(detail, str) or detail not in get_args(Detail):
        raise InputError(f"Neighbours can differ in one of {', '.join(get_args(Detail))}; got {brief(detail)}.")
    heat = parse_heat(value.get("heat", []), width, height)
    angles = value.get("angles", [])
    if not isinstance(angles, list) or len(angles) > MAX_SLIDERS or not all(map(_is_angle, angles)):
        raise InputError(f"At most {MAX_SLIDERS} sliders can be moved, each to -90 to 90 degrees; got {brief(angles)}.")
    wish, edit, texts = value.get("wish"), value.get("edit"), value.get("texts", [])
    if not isinstance(texts, list) or len(texts) > MAX_CANDIDATES or not all(map(_is_id, texts)):
        raise InputError(f"At most {MAX_CANDIDATES} texts can be tried at once; got {brief(texts)}.")
    source, sources = value.get("source"), value.get("sources", [])
    if not isinstance(sources, list) or len(sources) > MAX_CANDIDATES:
        raise InputError(f"At most {MAX_CANDIDATES} pieces can be tried at once; got {brief(sources)}.")
    needs = ("wish", wish, ("wish",)), ("edit", edit, ("edit",)), ("texts", texts or None, ("texts",))
    for needed, given, actions in (
        *needs,
        ("other place", source, ("grain", "like")),
        ("pieces", sources or None, ("pieces",)),
    ):
        if (given is not None) != (action in actions):
            raise InputError(f"The action's {needed} is missing or wrong. Please reload the page.")
    return Asked(
        *(cast(Action, action), name, mask, dial, tuple(others), cast(Detail, detail)),
        heat=heat,
        angles=tuple(angles),
        wish=None if wish is None else wish_from_values(wish),
        edit=None if edit is None else parse_edit(edit),
        texts=tuple(texts),
        source=None if source is None else parse_source(source, width, height),
        sources=tuple(parse_file(each) if is_file(each) else parse_source(each, width, height) for each in sources),
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_ID


def _is_angle(value: Any) -> bool:
    return type(value) is int and abs(value) <= 90

"""Links: settings and the explored picture in the page's address, and the checks when such an address is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from app.checks import read_choice, read_int, read_text
from app.pictures import select_region
from app.records import OpenedPicture, Region, View
from app.runs import make_request
from app.session import Job, Session
from app.settings import Settings, find_model
from srflow.contract import Engine, EngineInfo, InputError, Precision, SampleRecipe
from srflow.operations import Draw, Operation, check_operations, from_address, to_address

__all__ = ["MAX_LINK", "ExploredLink", "is_too_long", "write_query"]

MAX_LINK = 8000
"""Maximum length of a link's settings; mail and chat programs truncate longer links."""

_PREFIX = "explored_"
_REQUIRED = ("model", "rounds", "precision", "tile", "region")
_MAX_ROUNDS = 100
_MAX_TILE = 4096
_MAX_SIDE = 1_000_000
_HASH_CHARACTERS = 12


def write_query(view: View) -> str | None:
    """Return the query of the page's address: settings, the example, and what was explored; None: nothing was drawn
    yet.

    What was explored is left out if the link would be too long: see `is_too_long`.
    """
    settings, picture = view.settings, view.picture
    if settings is None or picture is None or (view.run is None and _explored_recipe(view) is None):
        return None
    name = picture.source.name
    plain = {"example": name} if name else {}
    query = settings.to_query(**(plain | _explored_values(view)))
    return query if len(query) <= MAX_LINK else settings.to_query(**plain)


def is_too_long(view: View) -> bool:
    """Return whether a link would be too long to include what was explored."""
    query = write_query(view)
    return query is not None and bool(_explored_values(view)) and "explored=" not in query


def _explored_values(view: View) -> dict[str, str]:
    """Return what was explored, only for an example: a link contains no other picture."""
    recipe, picture = _explored_recipe(view), view.picture
    if recipe is None or picture is None or not picture.source.name:
        return {}
    region = picture.region
    facts: dict[str, object] = {
        "model": recipe.model,
        "rounds": recipe.consistency_rounds,
        "precision": recipe.precision,
        "tile": recipe.tile,
        "weights": (recipe.weights_sha256 or "")[:_HASH_CHARACTERS],
        "region": f"{region.left}.{region.top}.{region.width}.{region.height}",
    }
    return {_PREFIX + key: str(value) for key, value in facts.items()} | {"explored": to_address(recipe.whole_list)}


def _explored_recipe(view: View) -> SampleRecipe | None:
    explored = view.explored
    return explored.state.recipe if explored is not None and explored.has_changes else None


@dataclass(frozen=True, kw_only=True)
class ExploredLink:
    """What a link says was explored, checked as far as possible before its picture is open."""

    draw: Draw
    operations: tuple[Operation, ...]
    model: str
    rounds: int
    precision: Precision
    tile: int
    region: Region

    @classmethod
    def read(cls, query: Mapping[str, Any], info: EngineInfo) -> ExploredLink | None:
        """Read it from a query; None: the link contains no exploration. Raises: InputError: it cannot be used."""
        if "explored" not in query:
            return None
        values = {key.removeprefix(_PREFIX): value for key, value in query.items() if key.startswith(_PREFIX)}
        missing = [name for name in _REQUIRED if name not in values]
        if missing:
            raise InputError(f"The link is cut off: {', '.join(missing)} is missing. Copy the whole link.")
        model = find_model(info, values["model"])
        weights = read_text(values.get("weights", ""), "The link's weights", _HASH_CHARACTERS)
        loaded = model.weights_sha256
        if weights and loaded is not None and not loaded.startswith(weights):
            raise InputError(
                f"It was drawn with other weights of {model.key} ({weights}…) than those loaded here "
                f"({loaded[:_HASH_CHARACTERS]}…): the same pixels cannot be drawn again."
            )
        draw, *operations = from_address(read_text(query["explored"], "What was explored", MAX_LINK))
        if not isinstance(draw, Draw) or not operations:
            raise InputError("Its list of operations contains no change.")
        return cls(
            draw=draw,
            operations=tuple(operations),
            model=model.key,
            rounds=read_int(values["rounds"], "The number of consistency rounds", 0, _MAX_ROUNDS),
            precision=read_choice(values["precision"], "The precision", get_args(Precision)),  # type: ignore[arg-type]
            tile=read_int(values["tile"], "The tile's side", 0, _MAX_TILE),
            region=_read_region(values["region"]),
        )

    def open_region(self, engine: Engine, session: Session, job: Job, picture: OpenedPicture) -> OpenedPicture:
        """Return the opened picture with the link's crop. Raises: InputError: the picture has no such crop."""
        wanted = self.region
        x, y = wanted.left + wanted.width // 2, wanted.top + wanted.height // 2
        is_whole = (wanted.width, wanted.height) == (picture.width, picture.height)
        side = None if is_whole else max(wanted.width, wanted.height)
        picture = select_region(engine, session, job, picture, x, y, side)
        if picture.region != wanted:
            raise InputError(
                f"It belongs to a crop of {wanted.width}×{wanted.height} at {wanted.left}, {wanted.top}; the example "
                f"of {picture.width}×{picture.height} has no such crop."
            )
        return picture

    def recipe(self, engine: Engine, picture: OpenedPicture, settings: Settings) -> SampleRecipe:
        """Return the recipe to draw for the opened picture. Raises: InputError: it does not fit the picture."""
        scale = find_model(engine.info(), self.model).scale_factor
        if scale != picture.scale_factor:
            raise InputError(
                f"{self.model} enlarges {scale} times, but the picture was opened for {picture.scale_factor} times."
            )
        check_operations(self.operations, complete=False, size=(picture.region.height, picture.region.width))
        request = replace(
            make_request(picture, settings),
            model=self.model,
            seed=self.draw.seed,
            first_index=self.draw.index,
            num_samples=1,
            temperature=self.draw.temperature,
            consistency_rounds=self.rounds,
            precision=self.precision,
            tile=self.tile,
            pairwise_lpips=False,
            operations=self.operations,
        )
        return engine.recipe(request)


def _read_region(value: object) -> Region:
    edges = read_text(value, "The region", 40).split(".")
    if len(edges) != 4:
        raise InputError(f"The crop must be left.top.width.height; got {'.'.join(edges)!r}.")
    left, top = (read_int(edge, "The crop's left and top edge", 0, _MAX_SIDE) for edge in edges[:2])
    width, height = (read_int(edge, "The crop's width and height", 1, _MAX_SIDE) for edge in edges[2:])
    return Region(left, top, width, height)

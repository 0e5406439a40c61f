"""Pools of many versions, of which a few are shown: those that differ most, typical ones, extremes, families."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

from app.gathering import gather
from app.records import Explored, OpenedPicture
from app.session import Job, Session
from app.tasks import Update
from app.ways import Way, Words, show_explored
from srflow.contract import Comparison, Engine, ExploreRequest, Family, InputError, SampleRecipe
from srflow.evaluation.families import NUM_VERSIONS, Tree, named_branches, tree_of
from srflow.operations import RIGHT_ANGLE, Mask, Mix, Operation, Reroll, Sample

__all__ = ["MAX_FAMILY", "Pool", "Pools", "draw_pool", "size_for"]

_NUM_ROLLS = 64
_NUM_WHOLE = 24  # whole pictures take much longer
_NUM_SHOWN = 5
_NUM_EXTREMES = 6
_NUM_NODES = 12  # of a tree: three branches with three each

MAX_FAMILY = 24
"""Number of a family's members that are shown, the nearest ones first."""

_FAMILIES_HOW = "← and → step through them, ↓ shows a family, Enter keeps one, Escape leaves."
_WALK_HOW = Words("", "").how


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Versions that have been compared. Their pictures are not stored: the engine draws the chosen ones again.

    recipe: of the picture that they are versions of.
    mask: the region; None: they are whole pictures.
    """

    recipe: SampleRecipe
    mask: Mask | None
    seed: int
    size: int
    comparison: Comparison

    @property
    def name(self) -> str:
        """The word for these versions."""
        return "pictures" if self.mask is None else "rolls"

    @cached_property
    def tree(self) -> Tree:
        """The tree of similar versions."""
        return tree_of(self.comparison)

    def ways(self, kind: str) -> tuple[list[Way], Words]:
        """Return the versions that differ most ("different"), represent others best ("typical"), "extremes", or
        "families".

        None: there are no families.
        """
        if kind == "families":
            ways = [
                self._way(node.number, f"{_node_label(name)}: {100 * len(node.members) / self.size:.0f} %")
                for name, node in named_branches(self.tree)
            ]
            count = len(self.tree.branches)
            end = f"{count} families explain {100 * self.tree.explained:.0f} % of the variance here"
            return ways, Words("Drawing the families", end, _FAMILIES_HOW)
        if kind == "extremes":
            names: dict[int, list[str]] = {}
            for name, number in self.comparison.extremes.items():
                names.setdefault(number, []).append(name)
            ways = [self._way(number, ", ".join(own).capitalize()) for number, own in names.items()]
            return ways, Words("Drawing the extremes", f"The extremes of {self.size} {self.name}", _WALK_HOW)
        families = self._families(kind)
        ways = [self._way(family.number, f"Represents {len(family.members)} of {self.size}") for family in families]
        what = "differ most" if kind == "different" else "are most typical"
        num_odd = len(self.comparison.left_out)
        odd = f", {num_odd} outlier{'s' * (num_odd > 1)} left out" if num_odd else ""
        end = f"{len(ways)} of {self.size} {self.name} {what}{odd}"
        return ways, Words("Drawing the chosen ones", end, _FAMILIES_HOW)

    def family(self, kind: str, recipe: SampleRecipe) -> tuple[list[Way], Words]:
        """Return all versions that one of the shown ones represents: itself first, then the others by similarity.

        Args:
            kind: "different" or "typical".
            recipe: of the shown version.

        Raises: InputError: it is not one of those shown.
        """
        chosen = next((one for one in self._families(kind) if self.leads_to(one.number, recipe)), None)
        if chosen is None:
            raise InputError(
                "This picture represents no family. Show the five that differ, choose one of them, and try again."
            )
        return self._family(chosen)

    def _family(self, chosen: Family) -> tuple[list[Way], Words]:
        nearness = self.comparison.distances[chosen.number]
        others = sorted((each for each in chosen.members if each != chosen.number), key=lambda each: nearness[each])
        shown = [chosen.number, *others][:MAX_FAMILY]
        ways = [self._way(number, f"Member {place}") for place, number in enumerate(shown, 1)]
        count = len(chosen.members)
        end = f"The family of {count}" if count == len(shown) else f"The nearest {len(shown)} of a family of {count}"
        return ways, Words("Drawing the family", end, _WALK_HOW)

    @property
    def levels(self) -> tuple[int, ...]:
        """The depth of each family in the tree."""
        return tuple(name.count(".") for name, _ in named_branches(self.tree))

    def node_family(self, place: int) -> tuple[list[Way], Words]:
        """Return the members of one of the families, by its index."""
        node = named_branches(self.tree)[place][1]
        return self._family(Family(number=node.number, members=node.members))

    def leads_to(self, number: int, recipe: SampleRecipe) -> bool:
        """Return whether that recipe belongs to that version."""
        return recipe.operations == (*self.recipe.operations, _operation(self.mask, self.seed, number))

    def _families(self, kind: str) -> tuple[Family, ...]:
        return self.comparison.typical if kind == "typical" else self.comparison.different

    def _way(self, number: int, label: str) -> Way:
        return Way((_operation(self.mask, self.seed, number),), label)


class Pools:
    """The pool that each visitor used last: choosing again from it requires no new drawing."""

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[Session, Pool] = WeakKeyDictionary()

    def keep(self, session: Session, pool: Pool) -> None:
        """Store the pool instead of the previous one."""
        self._last[session] = pool

    def find(self, session: Session, recipe: SampleRecipe, mask: Mask | None, size: int = 0) -> Pool | None:
        """Return the last pool, if it belongs to that recipe and region and is large enough."""
        pool = self._last.get(session)
        is_it = pool is not None and (pool.recipe, pool.mask) == (recipe, mask) and pool.size >= size
        return pool if is_it else None


def size_for(kind: str, mask: Mask | None) -> int:
    """Return how many versions are compared."""
    if kind == "families":
        return NUM_VERSIONS
    return _NUM_WHOLE if mask is None else _NUM_ROLLS


def draw_pool(engine: Engine, job: Job, picture: OpenedPicture, explored: Explored) -> Generator[Update, None, Pool]:
    """Draw many versions and compare them; yield progress, and return the pool.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    recipe, mask = explored.state.recipe, explored.mask
    assert recipe is not None
    size = size_for(explored.kind, mask)
    variants = tuple((_operation(mask, explored.seed, number),) for number in range(size))
    request = ExploreRequest(lr=picture.lr(), recipe=recipe, variants=variants, choose=_NUM_SHOWN)
    # Reserve positions for the variants that will come.
    count = {"extremes": _NUM_EXTREMES, "families": _NUM_NODES}.get(explored.kind, _NUM_SHOWN)
    yield show_explored(replace(explored, ways=(), count=count), f"Drawing {size} versions", 0.0)
    [comparison] = yield from gather(engine.explore(request, job.cancel), job, Comparison)
    return Pool(recipe=recipe, mask=mask, seed=explored.seed, size=size, comparison=comparison)


def _node_label(name: str) -> str:
    return name if "." in name else f"Family {name}"


def _operation(mask: Mask | None, seed: int, number: int) -> Operation:
    """Return the operation that creates a version: new noise, in the region or everywhere."""
    return Mix(Sample(seed, number), RIGHT_ANGLE) if mask is None else Reroll(mask, seed, number)

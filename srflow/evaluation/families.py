"""Families of versions: a tree of similar versions, and the share of the variance that it explains.

This is a posterior tree (Nehme, Michaeli, 2023) grown on samples: k-means, and k-means again inside each branch. LPIPS
is a squared distance of features, so k-means needs only the pairwise distances: the squared distance of x to the mean
of a set C is Σ_C D(x, c) / |C| - Σ_C Σ_C D(c, c') / 2|C|².
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from srflow.contract import Comparison, InputError
from srflow.operations import Mask, Operation
from srflow.operations.limits import PlaceLimits, check_size

__all__ = [
    "MIN_EXPLAINED",
    "NUM_VERSIONS",
    "Branch",
    "Tree",
    "check_tree_place",
    "grow_tree",
    "named_branches",
    "tree_facts",
    "tree_of",
]

MIN_EXPLAINED = 0.10
"""Minimum share of the variance, on versions that were not used to grow the tree; below it, there are no families."""

NUM_VERSIONS = 160
"""Minimum number of versions for a tree: with fewer, the explained share cannot be distinguished from chance."""

# In a larger region, too much differs at once for families to form.
_PLACE = PlaceLimits("Families need", "Paint over a small one first, then ask for its families.", 12)

_MIN_SHARE = 0.05  # of all versions: smaller branches are not formed
_STARTS = 8
_MAX_ROUNDS = 100
_FEWEST = 16


@dataclass(frozen=True)
class Branch:
    """A group of similar versions. number: of the most central one. members: their numbers. branches: inside it."""

    number: int
    members: tuple[int, ...]
    branches: tuple[Branch, ...] = ()


@dataclass(frozen=True)
class Tree:
    """A tree of versions.

    branches: largest first; none: no families, only texture differs.
    explained: the share of the variance that the branches explain, on versions that were not used to grow them.
    """

    branches: tuple[Branch, ...]
    explained: float


def grow_tree(distances: np.ndarray, count: int = 3, candidates: np.ndarray | None = None) -> Tree:
    """Grow a tree of at most `count` branches with at most `count` branches each.

    The inner branches are left out if they explain no more than the outer ones.

    Args:
        distances: (N, N), squared distances such as LPIPS: symmetric, zeros on the diagonal.
        count: of branches.
        candidates: bool, (N,): the versions to use; None: all.
    Raises: InputError: shapes or numbers do not fit, or there are fewer than 16 versions.
    """
    size = len(distances)
    if distances.shape != (size, size) or not np.isfinite(distances).all() or (size and distances.min() < 0):
        raise InputError(f"Distances must be (N, N), finite and not negative; got {distances.shape}.")
    numbers = np.arange(size) if candidates is None else np.flatnonzero(candidates)
    if len(numbers) < _FEWEST or count < 2:
        raise InputError(
            f"A tree needs at least {_FEWEST} versions and at least 2 branches; got {len(numbers)}, {count}."
        )
    inner = distances[np.ix_(numbers, numbers)].astype(float)
    outer, both = (_held_out(inner, count, levels) for levels in (1, 2))
    explained = max(outer, both)
    if explained < MIN_EXPLAINED:
        return Tree((), explained)
    return Tree(_grow(inner, np.arange(len(inner)), count, 2 if both > outer else 1, numbers), explained)


def check_tree_place(mask: Mask | None) -> Mask:
    """Return the region, if it can have families. Raises: InputError: it cannot."""
    return check_size(mask, _PLACE)


def tree_of(comparison: Comparison) -> Tree:
    """Return the tree of versions that were compared, without those that the comparison left out."""
    allowed = np.ones(len(comparison.distances), bool)
    allowed[list(comparison.left_out)] = False
    return grow_tree(comparison.distances, candidates=allowed)


def named_branches(tree: Tree) -> list[tuple[str, Branch]]:
    """Yield each branch, followed by those inside it, with its number: "1", "1.1", "1.2", "2", …"""
    found: list[tuple[str, Branch]] = []
    for number, branch in enumerate(tree.branches, 1):
        found.append((str(number), branch))
        found += [(f"{number}.{inner}", leaf) for inner, leaf in enumerate(branch.branches, 1)]
    return found


def tree_facts(tree: Tree, size: int, operation_of: Callable[[int], Operation]) -> dict[str, Any]:
    """Return a tree as JSON values. size: number of versions. operation_of: the operation of a version."""
    families = [
        {
            "name": name,
            "share": len(branch.members) / size,
            "members": list(branch.members),
            "operation": operation_of(branch.number).to_values(),
        }
        for name, branch in named_branches(tree)
    ]
    return {"num_versions": size, "explained": tree.explained, "families": families}


def _grow(inner: np.ndarray, members: np.ndarray, count: int, levels: int, numbers: np.ndarray) -> tuple[Branch, ...]:
    """Return the branches of some members, down to a number of levels."""
    branches = []
    for part in _split(inner, members, count):
        below = _grow(inner, part, count, levels - 1, numbers) if levels > 1 else ()
        middle = part[np.argmin(_to_mean(inner, part, part))]
        own = below if len(below) > 1 else ()
        branches.append(Branch(int(numbers[middle]), tuple(int(numbers[one]) for one in part), own))
    return tuple(sorted(branches, key=lambda branch: (-len(branch.members), branch.number)))


def _split(inner: np.ndarray, members: np.ndarray, count: int) -> list[np.ndarray]:
    """Return the parts of k-means, the best of several starts; a part that is too small is merged into the others."""
    least = max(2, int(np.ceil(_MIN_SHARE * len(inner))))
    while count > 1 and len(members) >= count * least:
        parts = min((_lloyd(inner, members, count, start) for start in range(_STARTS)), key=lambda one: one[0])[1]
        if min(map(len, parts)) >= least:
            return parts
        count -= 1
    return [members]


def _lloyd(inner: np.ndarray, members: np.ndarray, count: int, start: int) -> tuple[float, list[np.ndarray]]:
    """Run k-means once, started with versions far from each other: return its sum of squares, and the parts."""
    rng = np.random.default_rng(start)
    chosen = [int(rng.integers(len(members)))]
    own = inner[np.ix_(members, members)]
    while len(chosen) < count:  # k-means++ (Arthur, Vassilvitskii, 2007)
        nearest = own[chosen].min(0)
        total = nearest.sum()
        chosen.append(
            int(rng.choice(len(members), p=nearest / total)) if total > 0 else int(rng.integers(len(members)))
        )
    owner = own[chosen].argmin(0)
    for _ in range(_MAX_ROUNDS):
        parts = [members[owner == part] for part in range(count)]
        costs = np.stack(
            [_to_mean(inner, members, part) if len(part) else np.full(len(members), np.inf) for part in parts]
        )
        if np.array_equal(costs.argmin(0), owner):
            break
        owner = costs.argmin(0)
    return float(costs.min(0).sum()), [members[owner == part] for part in range(count)]


def _to_mean(inner: np.ndarray, members: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return squared distances of members to the mean of a part."""
    return inner[np.ix_(members, part)].mean(1) - inner[np.ix_(part, part)].mean() / 2


def _held_out(inner: np.ndarray, count: int, levels: int) -> float:
    """Return the share that the means of the leaves explain: grown on every other version, measured on the rest, and
    vice versa.
    """
    shares = []
    everyone = np.arange(len(inner))
    for grown, others in ((everyone[::2], everyone[1::2]), (everyone[1::2], everyone[::2])):
        half = inner[np.ix_(grown, grown)]
        leaves = [grown[leaf] for leaf in _leaves(half, np.arange(len(half)), count, levels)]
        nearest = np.min([_to_mean(inner, others, leaf) for leaf in leaves], axis=0)
        total = _to_mean(inner, others, others).sum()
        shares.append(1 - nearest.sum() / total if total > 0 else 0.0)
    return float(max(0.0, np.mean(shares)))


def _leaves(inner: np.ndarray, members: np.ndarray, count: int, levels: int) -> Sequence[np.ndarray]:
    if levels == 0:
        return [members]
    return [leaf for part in _split(inner, members, count) for leaf in _leaves(inner, part, count, levels - 1)]

"""Families of versions, with answers known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from srflow.contract import InputError
from srflow.evaluation.families import MIN_EXPLAINED, grow_tree

CENTRES = 10 * np.eye(9, 40)
"""Nine leaves; those of a branch are pulled together below."""


def planted(counts: tuple[int, ...], noise: float, spread: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances of points in a shuffled order, about nine centres in three groups, and each point's leaf."""
    rng = np.random.default_rng(0)
    groups = 20 * np.eye(3, 40, 20)
    leaves = np.repeat(np.arange(9), counts)
    rng.shuffle(leaves)
    points = groups[leaves // 3] + spread / 10 * CENTRES[leaves] + noise * rng.standard_normal((len(leaves), 40))
    return np.square(points[:, None] - points).sum(-1), leaves


def test_three_families_of_three_are_found_with_their_members() -> None:
    distances, leaves = planted((18, 12, 10, 10, 9, 8, 8, 7, 6), 0.3)
    tree = grow_tree(distances)
    assert tree.explained > 0.9
    assert [len(branch.members) for branch in tree.branches] == [40, 27, 21]
    found = [[set(leaves[list(leaf.members)]) for leaf in branch.branches] for branch in tree.branches]
    assert found == [[{0}, {1}, {2}], [{3}, {4}, {5}], [{6}, {7}, {8}]]
    for node in (*tree.branches, *tree.branches[0].branches):
        inside = distances[np.ix_(node.members, node.members)].sum(0)
        assert node.members[int(inside.argmin())] == node.number, "the one in the middle"
    assert sorted(number for branch in tree.branches for number in branch.members) == list(range(len(leaves)))


def test_without_inner_structure_there_are_no_inner_branches() -> None:
    distances, leaves = planted((14, 13, 13, 10, 10, 10, 10, 10, 10), 3.0, spread=0.0)
    tree = grow_tree(distances)
    assert {frozenset(leaves[list(branch.members)] // 3) for branch in tree.branches} == {
        frozenset({number}) for number in range(3)
    }
    assert [branch.branches for branch in tree.branches] == [(), (), ()]


def test_noise_has_no_families() -> None:
    points = np.random.default_rng(1).standard_normal((160, 400))
    tree = grow_tree(np.square(points[:, None] - points).sum(-1))
    assert (tree.branches, tree.explained < MIN_EXPLAINED) == ((), True)
    assert grow_tree(np.zeros((20, 20))).branches == ()


def test_an_odd_one_is_no_family() -> None:
    distances, _ = planted((20, 0, 0, 20, 0, 0, 1, 0, 0), 0.3)
    assert [len(branch.members) for branch in grow_tree(distances).branches] in ([21, 20], [20, 21])


def test_only_candidates_are_taken() -> None:
    distances, leaves = planted((20, 0, 0, 20, 0, 0, 20, 0, 0), 0.3)
    tree = grow_tree(distances, candidates=leaves != 6)
    assert {number for branch in tree.branches for number in branch.members} == set(np.flatnonzero(leaves != 6))
    assert all(len(set(leaves[list(branch.members)])) == 1 for branch in tree.branches)


@pytest.mark.parametrize(
    ("distances", "count"),
    [(np.zeros((15, 15)), 3), (np.zeros((20, 19)), 3), (np.full((20, 20), np.nan), 3), (np.zeros((20, 20)), 1)],
)
def test_what_is_no_set_of_versions_is_refused(distances: np.ndarray, count: int) -> None:
    with pytest.raises(InputError):
        grow_tree(distances, count)

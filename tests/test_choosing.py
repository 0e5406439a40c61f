"""Choosing a few of many: farthest points, medoids, the implausible, extremes; known answers and exhaustive search."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from srflow.contract import Family, InputError
from srflow.evaluation.choosing import EXTREMES, extremes, farthest, plausible, typical


def on_a_line(*points: float) -> np.ndarray:
    values = np.array(points, float)
    return np.abs(values[:, None] - values)


def random_distances(seed: int, count: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return np.sqrt(np.square(points[:, None] - points).sum(2))


# Three groups: around 0, around 10, and one alone at 30.
GROUPS = on_a_line(0, 1, 2, 10, 11, 30)


def test_farthest_points_of_a_line() -> None:
    chosen = farthest(GROUPS, 3)
    # The medoid is the point at 2; then comes the one farthest from it, then the one farthest from both.
    assert [family.number for family in chosen] == [2, 5, 4]
    assert sorted(number for family in chosen for number in family.members) == list(range(6))
    for family in chosen:
        assert family.number in family.members


def test_medoids_of_groups_are_their_middles() -> None:
    assert typical(GROUPS, 3) == (
        Family(number=1, members=(0, 1, 2)),
        Family(number=3, members=(3, 4)),
        Family(number=5, members=(5,)),
    )


@pytest.mark.parametrize("seed", range(5))
def test_against_all_possibilities(seed: int) -> None:
    distances = random_distances(seed, 12)

    def spread(numbers: tuple[int, ...]) -> float:
        return min(distances[pair] for pair in combinations(numbers, 2))

    def cost(numbers: tuple[int, ...]) -> float:
        return distances[list(numbers)].min(0).sum()

    sets = list(combinations(range(12), 4))
    chosen = tuple(family.number for family in farthest(distances, 4))
    assert spread(chosen) >= max(map(spread, sets)) / 2  # what the method promises
    assert spread(chosen) > np.mean([spread(numbers) for numbers in sets])
    medoids = tuple(family.number for family in typical(distances, 4))
    assert cost(medoids) <= 1.1 * min(map(cost, sets))
    # No exchange of one makes it better.
    for place in range(4):
        for number in set(range(12)) - set(medoids):
            assert cost((*medoids[:place], number, *medoids[place + 1 :])) >= cost(medoids) - 1e-9


@pytest.mark.parametrize("choose", [farthest, typical])
def test_everyone_belongs_to_the_nearest_chosen(choose: object) -> None:
    distances = random_distances(7, 30)
    allowed = np.ones(30, bool)
    allowed[[3, 8]] = False
    families = choose(distances, 5, allowed)
    chosen = [family.number for family in families]
    assert len(set(chosen)) == 5
    assert sorted(number for family in families for number in family.members) == np.flatnonzero(allowed).tolist()
    for family in families:
        for member in family.members:
            assert distances[member, family.number] == distances[member, chosen].min()


@pytest.mark.parametrize("choose", [farthest, typical])
def test_equal_samples_are_chosen_once(choose: object) -> None:
    families = choose(on_a_line(5, 5, 5, 9), 4)
    assert sorted(len(family.members) for family in families) == [1, 3]
    [one] = choose(np.zeros((1, 1)), 5)
    assert one == Family(number=0, members=(0,))


def test_the_implausible_are_left_out_on_both_sides() -> None:
    log_probs = [*np.linspace(-1, 1, 38), 60.0, -50.0]
    assert np.flatnonzero(~plausible(log_probs, [False] * 40)).tolist() == [38, 39]
    flagged = [number == 4 for number in range(40)]
    assert np.flatnonzero(~plausible([None] * 40, flagged)).tolist() == [4]
    assert plausible([1.0, 2.0], [True, True]).all()  # better one of those than none
    assert plausible([float("nan"), 2.0], [False, False]).all()


def test_extremes_are_what_they_are_called() -> None:
    rows, columns = np.mgrid[:12, :12]
    grey = np.full((12, 12), 100.0)
    stripes, ramp = grey + 10 * (columns % 2), grey - 60 + 11 * columns
    pictures = {
        "smoothest": grey,
        "sharpest": grey + 40 * ((rows + columns) % 2),
        "darkest": grey - 70 + 2 * (rows % 2),
        "brightest": grey + 90 + 2 * (rows % 2),
        "most contrast": ramp,
        "nearest to the mean": stripes,
    }
    assert tuple(pictures) == EXTREMES
    stack = [np.repeat(picture[..., None], 3, 2).astype(np.uint8) for picture in pictures.values()]
    assert extremes(stack) == {name: number for number, name in enumerate(EXTREMES)}
    # Only where the weight is.
    weight = np.zeros((12, 12))
    weight[4:8, 4:8] = 1
    changed = [picture.copy() for picture in stack]
    changed[0][:3] = 255
    assert extremes(changed, weight)["brightest"] == 3
    assert extremes(changed, weight)["smoothest"] == 0
    # Only who may be chosen.
    allowed = np.array([number != 3 for number in range(6)])
    assert extremes(stack, None, allowed)["brightest"] == 1


def test_bad_input_is_refused() -> None:
    for distances, count, candidates in (
        (np.zeros((2, 3)), 1, None),
        (np.zeros((0, 0)), 1, None),
        (np.full((2, 2), np.nan), 1, None),
        (-np.ones((2, 2)), 1, None),
        (np.zeros((2, 2)), 0, None),
        (np.zeros((2, 2)), 1, np.zeros(2, bool)),
        (np.zeros((2, 2)), 1, np.ones(3, bool)),
    ):
        for choose in (farthest, typical):
            with pytest.raises(InputError):
                choose(distances, count, candidates)
    picture = np.zeros((4, 4, 3), np.uint8)
    for pictures, weight in (
        ([], None),
        ([picture, picture[:3]], None),
        ([picture[:2]], None),
        ([picture], np.zeros((4, 4))),
        ([picture], np.ones((3, 4))),
    ):
        with pytest.raises(InputError):
            extremes(pictures, weight)

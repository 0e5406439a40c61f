"""What changes along a slider, in words: made-up pictures with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from srflow.evaluation.slider_names import UNNAMED, name_ends

HEIGHT, WIDTH = 48, 56
ALL = np.ones((HEIGHT, WIDTH))


def flat(grey: float = 120.0) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), grey)


def with_ramp(down: float = 0.0, across: float = 0.0) -> np.ndarray:
    rows, columns = np.linspace(-down, down, HEIGHT), np.linspace(-across, across, WIDTH)
    return flat() + (rows[:, None] + columns)[..., None]


def with_grain(strength: float) -> np.ndarray:
    return flat() + strength * np.random.default_rng(0).standard_normal((HEIGHT, WIDTH, 1))


def with_line(top: int, left: int, grey: float = 230) -> np.ndarray:
    """A short bright line, downwards."""
    picture = flat()
    picture[top : top + 12, left : left + 2] = grey
    return picture


def names(low: np.ndarray, high: np.ndarray, weight: np.ndarray = ALL) -> tuple[str, str]:
    return name_ends(low.clip(0, 255).astype(np.uint8), high.clip(0, 255).astype(np.uint8), weight)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (flat(100), flat(120), ("darker", "lighter")),
        (with_ramp(across=-20), with_ramp(across=20), ("lighter left", "lighter right")),
        (with_ramp(down=-20), with_ramp(down=20), ("lighter above", "lighter below")),
        (with_grain(2), with_grain(12), ("smoother", "rougher")),
        (flat(), with_line(2, 2), ("no edge", "edge upper left")),
        (flat(), with_line(18, 50), ("no edge", "edge right")),
        (with_line(34, 4), with_line(2, 48), ("edge lower left", "edge upper right")),
        (with_line(18, 50, 190), with_line(18, 50, 240), ("softer", "sharper right")),
    ],
)
def test_what_changes_most_gives_the_name(low: np.ndarray, high: np.ndarray, words: tuple[str, str]) -> None:
    assert names(low, high) == words
    assert names(high, low) == words[::-1]


def test_what_one_cannot_see_has_no_name() -> None:
    assert names(flat(), flat()) == UNNAMED
    assert names(flat(), flat(122)) == UNNAMED
    assert names(with_grain(8), with_grain(9)) == UNNAMED


def test_only_the_place_counts() -> None:
    weight = np.zeros((HEIGHT, WIDTH))
    weight[:, :28] = 1
    high = flat()
    high[:, 32:] = 200
    assert names(flat(), high) == ("lighter left", "lighter right")
    assert names(flat(), high, weight) == UNNAMED
    assert names(flat(), high, np.zeros((HEIGHT, WIDTH))) == UNNAMED


def test_a_place_smaller_than_a_cell_has_a_name_too() -> None:
    low, high = np.full((5, 6, 3), 90, np.uint8), np.full((5, 6, 3), 120, np.uint8)
    assert name_ends(low, high, np.ones((5, 6))) == ("darker", "lighter")

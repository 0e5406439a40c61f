"""The size of a region, checked for every tool by one rule."""

from __future__ import annotations

import numpy as np
import pytest

from srflow.errors import InputError
from srflow.operations import Mask
from srflow.operations.limits import PlaceLimits, check_size

LIMITS = PlaceLimits("Sliders need", "Paint first.", 12, smallest=3, instead="Take less.")


def region(width: int, height: int) -> Mask:
    values = np.zeros((40, 50), np.uint8)
    values[5 : 5 + height, 7 : 7 + width] = 255
    return Mask.from_array(values)


@pytest.mark.parametrize(("width", "height"), [(3, 3), (12, 12), (3, 12)])
def test_a_region_that_fits_is_given_back(width: int, height: int) -> None:
    assert check_size(region(width, height), LIMITS) == region(width, height)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (None, "No region is selected. Paint first."),
        (region(13, 5), "Sliders need a region of 3 to 12 input pixels a side; this one has 13×5. Take less."),
        (region(5, 13), "this one has 5×13. Take less."),
        (region(2, 20), "this one has 2×20. Select a larger one."),
    ],
)
def test_one_that_does_not_is_answered_in_words(mask: Mask | None, words: str) -> None:
    with pytest.raises(InputError, match=words.replace(".", r"\.")):
        check_size(mask, LIMITS)


def test_without_a_smallest_size_only_the_largest_is_named() -> None:
    with pytest.raises(InputError, match="at most 4 input pixels"):
        check_size(region(5, 2), PlaceLimits("A wish needs", "Paint first.", 4))

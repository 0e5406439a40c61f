"""Operations in plain words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from srflow.operations import (
    Draw,
    Heat,
    Mask,
    Mix,
    Reroll,
    Sample,
    Slide,
    brief_words,
    describe_difference,
    describe_list,
    place_words,
)

DRAW = Draw(seed=5, index=1, temperature=0.9)


def mask(left: int, top: int, right: int, bottom: int, value: int = 255) -> Mask:
    array = np.zeros((40, 60), np.uint8)
    array[top:bottom, left:right] = value
    return Mask.from_array(array)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 60, 40), "whole picture"),
        ((0, 0, 30, 40), "left half"),
        ((29, 0, 60, 40), "right half"),
        ((0, 0, 60, 20), "upper half"),
        ((0, 21, 60, 40), "lower half"),
        ((15, 0, 45, 40), "region at the centre"),
        ((2, 2, 10, 8), "region at the upper left"),
        ((26, 2, 34, 8), "region at the top"),
        ((50, 3, 58, 9), "region at the upper right"),
        ((1, 18, 9, 24), "region at the left"),
        ((27, 17, 33, 23), "region at the centre"),
        ((50, 16, 60, 24), "region at the right"),
        ((0, 30, 10, 40), "region at the lower left"),
        ((26, 33, 34, 40), "region at the bottom"),
        ((50, 30, 60, 40), "region at the lower right"),
    ],
)
def test_places_are_named_by_where_they_lie(box, words):
    assert place_words(mask(*box)) == words


def test_a_faint_half_is_a_place_and_no_mask_is_the_whole():
    assert place_words(mask(0, 0, 30, 40, value=100)) == "region at the left"
    assert place_words(None) == "whole picture"
    scattered = np.zeros((40, 60), np.uint8)
    scattered[::3, ::3] = 255
    assert place_words(Mask.from_array(scattered)) == "parts of the picture"


def test_a_list_is_told_step_by_step():
    towards = Mix(Sample(9, 0), angle=0.35 * math.pi / 2)
    other = Mix((DRAW, towards), angle=math.pi / 4, coarse_angle=0.0, mask=mask(0, 0, 30, 40))
    roll = Reroll(mask(50, 3, 58, 9), seed=1, roll=2)
    assert describe_list((DRAW,)) == "sample 2 of seed 5"
    assert describe_list((DRAW, roll, towards, other)) == (
        "sample 2 of seed 5; then region at the upper right re-rolled, 3rd variant; whole picture 35 % towards another "
        "sample; left half 50 % (coarse structure 0 %) towards another picture"
    )
    assert [brief_words((DRAW, *more)) for more in ((), (roll,), (towards,))] == ["Sample 2", "Variant 3", "35 % away"]


def test_a_slider_goes_both_ways():
    slide = Slide(mask(0, 0, 30, 40), seed=1, weights=(1, -1), angle=-0.25 * math.pi / 2)
    assert describe_list((DRAW, slide)) == "sample 2 of seed 5; then left half moved by a slider, -25 %"
    assert brief_words((DRAW, slide)) == "Slide -25 %"


def test_calm_and_wild_go_by_the_temperature_before():
    place = mask(0, 0, 30, 40)
    cool, warm = Heat(0.5), Heat(0.7, place)
    assert describe_list((DRAW, cool, warm)) == (
        "sample 2 of seed 5; then whole picture calmer, temperature 0.5; left half wilder, temperature 0.7"
    )
    assert describe_list((DRAW, warm, cool)).endswith(
        "left half calmer, temperature 0.7; whole picture calmer, temperature 0.5"
    )
    sky = Heat(0.0, mask(0, 0, 60, 20))
    assert describe_list((DRAW, sky)).endswith("then upper half calm, temperature 0")
    assert brief_words((DRAW, sky)) == "Calm"
    assert (brief_words((DRAW, warm)), brief_words((DRAW, cool, warm))) == ("Calmer", "Wilder")


def test_the_difference_is_what_was_undone_and_what_was_done():
    place = mask(50, 3, 58, 9)
    first, second, third = (Reroll(place, seed=1, roll=roll) for roll in range(3))
    words = [f"region at the upper right re-rolled, {name} variant" for name in ("1st", "2nd", "3rd")]
    assert describe_difference((DRAW, first), (DRAW, first)) == "the same"
    assert describe_difference((DRAW, first), (DRAW, first, second)) == f"kept; then {words[1]}"
    assert describe_difference((DRAW, first, second), (DRAW, first)) == f"without {words[1]}"
    assert describe_difference((DRAW, first, second), (DRAW, first, third)) == f"without {words[1]}; then {words[2]}"
    assert describe_difference((DRAW, first), (Draw(6, 0, 0.9), first)) == (
        f"another sample: sample 1 of seed 6; then {words[0]}"
    )


@pytest.mark.parametrize(
    ("roll", "ordinal"),
    [(0, "1st"), (9, "10th"), (10, "11th"), (11, "12th"), (20, "21st"), (111, "112th"), (101, "102nd")],
)
def test_ordinals(roll, ordinal):
    assert describe_list((DRAW, Reroll(mask(0, 0, 60, 40), 1, roll))).endswith(f"re-rolled, {ordinal} variant")

"""Operations as values: masks, JSON and addresses both ways, and what comes from anywhere."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from srflow.contract import InputError, OperationError, SampleRecipe
from srflow.errors import brief
from srflow.operations import (
    Draw,
    Heat,
    Mask,
    Mix,
    Reroll,
    Sample,
    Slide,
    check_operations,
    count_whole,
    from_address,
    from_json,
    from_values,
    to_address,
    to_json,
    to_values,
)
from srflow.operations.lists import MAX_OPERATIONS, MAX_TEXT
from srflow.operations.masks import MAX_RUNS

MASK = {"width": 12, "height": 9, "box": [2, 1, 5, 3], "runs": [0, 1, 255, 2, 128, 3]}
DRAW = {"type": "draw", "seed": 3, "index": 1, "temperature": 0.9}
SLIDE = {"type": "slide", "mask": MASK, "seed": 7, "weights": [2, -1], "angle": -0.5}
EVERYTHING = (
    Draw(2**64 - 1, 3, 0.9),
    Reroll(Mask.from_values(MASK), 5, 2),
    Mix(Sample(1, 2), 0.25, 0.5),
    Mix((Draw(4, 0, 1), Heat(0.2)), math.pi / 2, mask=Mask.from_values(MASK)),
    Heat(0.0, Mask.from_values(MASK)),
    Slide(Mask.from_values(MASK), 5, (3, 0, -32767), -math.pi / 2),
)


def document(*operations: object) -> dict:
    return {"version": 1, "operations": [DRAW, *operations]}


# -- masks -------------------------------------------------------------------------------------------------------------


def test_a_mask_unpacks_as_its_runs_say() -> None:
    expected = np.zeros((9, 12), np.uint8)
    expected[1, 2:5] = 0, 255, 255
    expected[2, 2:5] = 128
    mask = Mask.from_values(MASK)
    np.testing.assert_array_equal(mask.array(), expected)
    np.testing.assert_array_equal(mask.array((3, 2, 7, 9)), expected[2:9, 3:7])
    assert mask.support == (2, 1, 5, 3)
    assert mask.to_values() == MASK
    # Beyond the picture's edges the outermost values go on.
    corner = Mask(3, 2, (2, 1, 3, 2), (7, 1))
    np.testing.assert_array_equal(corner.array((1, 0, 5, 4)), [[0, 0, 0, 0], [0, 7, 7, 7], [0, 7, 7, 7], [0, 7, 7, 7]])


def test_any_array_becomes_a_mask_and_comes_back() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        array = rng.integers(0, 3, (rng.integers(1, 20), rng.integers(1, 20)), dtype=np.uint8) * 100
        array[rng.integers(0, len(array)), 0] = 9
        mask = Mask.from_array(array)
        np.testing.assert_array_equal(mask.array(), array)
        assert mask.box == mask.support


BAD_MASKS = {
    "no mask": 5,
    "field missing": {key: value for key, value in MASK.items() if key != "runs"},
    "field too many": MASK | {"color": 1},
    "width 0": MASK | {"width": 0},
    "width huge": MASK | {"width": 10**9},
    "width of thousands of digits": MASK | {"width": 10**5000},
    "value of thousands of digits": MASK | {"runs": [10**5000, 6]},
    "width float": MASK | {"width": 12.0},
    "height bool": MASK | {"height": True},
    "box outside": MASK | {"box": [2, 1, 13, 3]},
    "box negative": MASK | {"box": [-1, 1, 5, 3]},
    "box empty": MASK | {"box": [5, 1, 5, 3]},
    "box of floats": MASK | {"box": [2.0, 1, 5, 3]},
    "box of three": MASK | {"box": [2, 1, 5]},
    "box a text": MASK | {"box": "2153"},
    "runs odd": MASK | {"runs": [0, 1, 255]},
    "runs empty": MASK | {"runs": []},
    "runs too short": MASK | {"runs": [255, 5]},
    "runs too long": MASK | {"runs": [255, 7]},
    "length 0": MASK | {"runs": [255, 6, 3, 0]},
    "length negative": MASK | {"runs": [255, 7, 3, -1]},
    "value 256": MASK | {"runs": [256, 6]},
    "value negative": MASK | {"runs": [-1, 6]},
    "value float": MASK | {"runs": [1.5, 6]},
    "value None": MASK | {"runs": [None, 6]},
    "nothing chosen": MASK | {"runs": [0, 6]},
    "bomb": {"width": 10**6, "height": 10**6, "box": [0, 0, 10**6, 10**6], "runs": [255, 10**12]},
    "too many runs": {"width": 1000, "height": 1000, "box": [0, 0, 1000, 1000], "runs": [255, 1] * (MAX_RUNS + 1)},
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_masks_get_a_named_error_before_anything_is_unpacked(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "repeat", None)
    with pytest.raises(OperationError, match="mask"):
        Mask.from_values(BAD_MASKS[case])


# -- lists -------------------------------------------------------------------------------------------------------------


def test_json_and_addresses_both_ways() -> None:
    assert from_json(to_json(EVERYTHING)) == EVERYTHING
    assert from_values(json.loads(json.dumps(to_values(EVERYTHING)))) == EVERYTHING
    address = to_address(EVERYTHING)
    assert from_address(address) == EVERYTHING
    assert set(address) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert from_json(to_json(EVERYTHING[1:]), complete=False) == EVERYTHING[1:]


def test_the_format_that_others_write() -> None:
    """What is saved in PNGs and links must be read for ever."""
    values = document(
        {"type": "reroll", "mask": MASK, "seed": 7, "roll": 3},
        {"type": "mix", "with": {"seed": 1, "index": 2}, "angle": 0.5, "coarse_angle": 0, "mask": MASK},
        {"type": "mix", "with": {"operations": [DRAW]}, "angle": 1},
        {"type": "heat", "mask": MASK, "temperature": 0},
        SLIDE,
    )
    mask = Mask.from_values(MASK)
    draw = Draw(3, 1, 0.9)
    mixes = Mix(Sample(1, 2), 0.5, 0.0, mask), Mix((draw,), 1.0)
    assert from_values(values) == (draw, Reroll(mask, 7, 3), *mixes, Heat(0.0, mask), Slide(mask, 7, (2, -1), -0.5))


def test_operations_are_values() -> None:
    assert len({EVERYTHING, tuple(EVERYTHING)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        EVERYTHING[0].seed = 1


def test_the_last_operation_on_the_whole_picture() -> None:
    mask = Mask.from_values(MASK)
    local = Reroll(mask, 0, 0)
    assert count_whole(()) == 0
    assert count_whole((local, local)) == 0
    assert count_whole((local, Heat(0.5), local)) == 2


NESTED: object = [DRAW]
for _ in range(4):
    NESTED = [DRAW, {"type": "mix", "with": {"operations": NESTED}, "angle": 1}]
MIX = {"type": "mix", "with": {"seed": 0, "index": 1}, "angle": 0.5}
REROLL = {"type": "reroll", "mask": MASK, "seed": 0, "roll": 0}

BAD_LISTS = {
    "a list": ([DRAW], "version"),
    "version missing": ({"operations": [DRAW]}, "version"),
    "version 2": ({"version": 2, "operations": [DRAW]}, "version 2"),
    "version true": ({"version": True, "operations": [DRAW]}, "version True"),
    "field too many": (document() | {"more": 1}, "nothing else"),
    "operations a text": ({"version": 1, "operations": "draw"}, "list"),
    "empty": ({"version": 1, "operations": []}, "no operations"),
    "no draw": ({"version": 1, "operations": [REROLL]}, "draw"),
    "two draws": (document(DRAW), "draw"),
    "entry a number": (document(5), "JSON object"),
    "type missing": (document({"seed": 1}), "type"),
    "type unknown": (document({"type": "explode"}), "explode"),
    "type a list": (document({"type": ["draw"]}), "type"),
    "type of the inside": (document({"type": "sample", "seed": 1, "index": 0}), "sample"),
    "field missing": (document({"type": "reroll", "mask": MASK, "seed": 1}), "roll"),
    "field unknown": (document(REROLL | {"x": 1}), "x"),
    "seed negative": ({"version": 1, "operations": [DRAW | {"seed": -1}]}, "seed"),
    "seed huge": ({"version": 1, "operations": [DRAW | {"seed": 2**64}]}, "seed"),
    "seed of thousands of digits": ({"version": 1, "operations": [DRAW | {"seed": 10**5000}]}, "seed"),
    "temperature of thousands of digits": ({"version": 1, "operations": [DRAW | {"temperature": 10**5000}]}, "temper"),
    "seed float": ({"version": 1, "operations": [DRAW | {"seed": 1.0}]}, "seed"),
    "seed bool": ({"version": 1, "operations": [DRAW | {"seed": True}]}, "seed"),
    "index huge": ({"version": 1, "operations": [DRAW | {"index": 2**33}]}, "index"),
    "temperature 3": ({"version": 1, "operations": [DRAW | {"temperature": 3}]}, "temperature"),
    "temperature text": ({"version": 1, "operations": [DRAW | {"temperature": "1"}]}, "temperature"),
    "roll": (document(REROLL | {"roll": -1}), "roll"),
    "mask null": (document(REROLL | {"mask": None}), "mask"),
    "angle": (document(MIX | {"angle": 2}), "angle"),
    "angle null": (document(MIX | {"angle": None}), "angle"),
    "coarse angle": (document(MIX | {"coarse_angle": -0.1}), "coarse_angle"),
    "with missing": (document({"type": "mix", "angle": 0.5}), "with"),
    "with a number": (document(MIX | {"with": 3}), "with"),
    "with both": (document(MIX | {"with": {"seed": 1, "index": 0, "operations": [DRAW]}}), "with"),
    "with nothing in it": (document(MIX | {"with": {"operations": []}}), "no operations"),
    "with no draw": (document(MIX | {"with": {"operations": [REROLL]}}), "draw"),
    "the inside by name": (document(MIX | {"other": {"seed": 1, "index": 0}}), "other"),
    "heat": (document({"type": "heat", "temperature": -1}), "temperature"),
    "slide nowhere": (document({key: value for key, value in SLIDE.items() if key != "mask"}), "mask"),
    "slide too far": (document(SLIDE | {"angle": 1.6}), "angle"),
    "weights a number": (document(SLIDE | {"weights": 3}), "weights"),
    "no weights": (document(SLIDE | {"weights": []}), "weights"),
    "weights 0": (document(SLIDE | {"weights": [0, 0]}), "weights"),
    "weights floats": (document(SLIDE | {"weights": [0.5]}), "weights"),
    "weights bools": (document(SLIDE | {"weights": [True]}), "weights"),
    "weights of thousands of digits": (document(SLIDE | {"weights": [10**5000]}), "weights"),
    "weights too many": (document(SLIDE | {"weights": [1] * 257}), "weights"),
    "too many noises": (document(*[SLIDE | {"weights": [1] * 256}] * 8), "2048"),
    "too many noises inside": (
        document(MIX | {"with": {"operations": [DRAW, *[SLIDE | {"weights": [1] * 250}] * 9]}}),
        "2048",
    ),
    "too many": (document(*[{"type": "heat", "temperature": 1}] * MAX_OPERATIONS), "256"),
    "too many inside": (document(*[MIX | {"with": {"operations": [DRAW] * 60}}] * 5), "256"),
    "too deep": ({"version": 1, "operations": NESTED}, "deep"),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_bad_lists_get_a_named_error(case: str) -> None:
    values, message = BAD_LISTS[case]
    with pytest.raises(OperationError, match=message):
        from_values(values)
    if "thousands" not in case:  # which Python writes to no text
        with pytest.raises(OperationError, match=message):
            from_json(json.dumps(values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[" * 100_000, "JSON"),
        (to_json(EVERYTHING[:1]).replace("0.9", "NaN"), "NaN"),
        (to_json(EVERYTHING[:1]).replace("0.9", "1e999"), "temperature"),
        (to_json(EVERYTHING[:1]).replace('"index":3', '"index":3,"index":4'), "twice"),
        (to_json(EVERYTHING[:1]).replace("0.9", "9" * 5000), "JSON"),
        ("9" * 5_000_000, "characters"),
    ],
    ids=["empty", "cut off", "deep", "NaN", "infinity", "twice", "many digits", "long"],
)
def test_bad_texts_get_a_named_error(text: str, message: str) -> None:
    with pytest.raises(OperationError, match=message):
        from_json(text)


def test_bad_addresses_get_a_named_error() -> None:
    good = to_address(EVERYTHING)
    bomb = base64.urlsafe_b64encode(zlib.compress(b"[" * 50_000_000)).decode()
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    with pytest.raises(OperationError, match="characters"):
        from_address(bomb)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    for bad in ("", "ü", "!!!", good[:-8], good[:10] + "AAAA" + good[14:], "A" * 2_000_000):
        with pytest.raises(OperationError):
            from_address(bad)


def test_values_are_checked_however_they_are_made() -> None:
    mask = Mask.from_values(MASK)
    for make in (
        lambda: Draw(-1, 0, 1.0),
        lambda: Draw(0, 0, math.nan),
        lambda: Reroll(None, 0, 0),
        lambda: Reroll(MASK, 0, 0),
        lambda: Mix(5, 0.5),
        lambda: Mix(Sample(0, 0), math.inf),
        lambda: Heat(0.5, MASK),
        lambda: check_operations((Draw(0, 0, 1), Sample(0, 0))),
        lambda: check_operations((Draw(0, 0, 1), "heat")),
        lambda: check_operations((Draw(0, 0, 1), Reroll(mask, 0, 0)), size=(12, 9)),
        lambda: check_operations((Draw(0, 0, 1), Mix((Draw(0, 0, 1), Reroll(mask, 0, 0)), 1)), size=(9, 13)),
    ):
        with pytest.raises(OperationError):
            make()
    check_operations(EVERYTHING, size=(9, 12))


def test_lists_that_can_be_made_can_be_read_again() -> None:
    """The longest JSON that masks can have."""
    side = 8000
    runs = (255, side * side - 2**17 + 1, *[99, 1] * (2**17 - 1))
    mask = Mask(side, side, (0, 0, side, side), runs)
    operations = (Draw(2**64 - 1, 2**32, 0.123456789012345678), Heat(0.123456789012345678, mask), Heat(1, mask))
    check_operations(operations)
    assert len(to_json(operations)) < MAX_TEXT
    with pytest.raises(OperationError, match="runs"):
        check_operations((*operations, Heat(1, mask)))


# -- recipes -----------------------------------------------------------------------------------------------------------

OLD_RECIPE = (
    '{"model": "srflow-da-r-x4-compact", "weights_sha256": null, "scale_factor": 4, "seed": 2, "index": 1, '
    '"temperature": 0.9, "consistency_rounds": 5, "precision": "float32", "tile": 0, "lr_height": 9, "lr_width": 12, '
    '"lr_sha256": "ab", "version": "0.1.0"}'
)


def test_recipes_from_before_there_were_operations_stay_as_they_were() -> None:
    recipe = SampleRecipe.from_json(OLD_RECIPE)
    assert recipe.operations == ()
    assert recipe.to_json() == OLD_RECIPE
    assert recipe.whole_list == (Draw(2, 1, 0.9),)


def test_a_recipe_carries_operations() -> None:
    recipe = dataclasses.replace(SampleRecipe.from_json(OLD_RECIPE), operations=EVERYTHING[1:])
    again = SampleRecipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.whole_list == (Draw(2, 1, 0.9), *EVERYTHING[1:])


@pytest.mark.parametrize(
    "operations",
    [
        5,
        {"version": 1, "operations": [DRAW]},
        {"version": 1, "operations": [REROLL | {"mask": MASK | {"width": 13}}]},
        {"version": 2, "operations": []},
    ],
)
def test_a_recipe_with_bad_operations_is_refused(operations: object) -> None:
    text = json.dumps(json.loads(OLD_RECIPE) | {"operations": operations})
    with pytest.raises(InputError):
        SampleRecipe.from_json(text)


def test_values_need_no_torch() -> None:
    code = "import sys, srflow.operations, srflow.contract; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- foreign values in messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10**5000, "a number far too large"),  # Python itself refuses to print it
        ([1, 10**5000], "1, a number far too large"),
        ([[[[1]]]], "a list of 1"),
        ("x" * 100, f"'{'x' * 59}…"),
        (list(range(9)), "a list of 9"),
        ({"a": 1}, "a dict of 1"),
        (1.5, "1.5"),
    ],
    ids=range(7),  # made of the values, they would be printed
)
def test_foreign_values_are_quoted_whatever_their_size(value: object, expected: str) -> None:
    assert brief(value) == expected

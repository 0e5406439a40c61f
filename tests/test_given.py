"""Latents given as numbers: where they go, what follows them, and what is refused."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import torch

from srflow.contract import OperationError
from srflow.operations import (
    Draw,
    Given,
    Mask,
    Mix,
    Operation,
    Reroll,
    Sample,
    brief_words,
    check_operations,
    describe_list,
    from_address,
    from_json,
    to_address,
    to_json,
)
from srflow.operations import given as given_module
from srflow.operations.field import Field, Place

SIZE = 24, 32  # LR
SHAPES = ((6, 48, 64), (24, 24, 32))  # x4
BOX = (8, 4, 20, 16)
DRAW = Draw(1, 0, 0.8)


def box_mask(value: int = 255, box: tuple[int, int, int, int] = BOX) -> Mask:
    array = np.zeros(SIZE, np.uint8)
    array[box[1] : box[3], box[0] : box[2]] = value
    return Mask.from_array(array)


def latents(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape, np.float32) for shape in ((6, 24, 24), (24, 12, 12))]


def given(value: int = 255, seed: int = 0) -> Given:
    return Given.of(box_mask(value), BOX, latents(seed), "edit")


def evaluate(*operations: Operation, box: tuple[int, int, int, int] = (0, 0, 32, 24), shapes: tuple = SHAPES) -> Field:
    return Field.evaluate((DRAW, *operations), Place(shapes, *SIZE, box))


def test_they_are_put_in_their_place_and_nowhere_else() -> None:
    before, after = evaluate(), evaluate(given())
    for old, new, own, factor in zip(before.levels, after.levels, latents(), (2, 1), strict=True):
        rows, columns = slice(4 * factor, 16 * factor), slice(8 * factor, 20 * factor)
        assert torch.allclose(new[:, rows, columns], torch.from_numpy(own), atol=2e-3), "rounded to float16"
        outside = torch.ones_like(new, dtype=torch.bool)
        outside[:, rows, columns] = False
        assert torch.equal(new[outside], old[outside])
    assert torch.equal(after.latents()[1], after.levels[1] * 0.8), "they are latents before temperature"


def test_a_part_of_the_picture_is_that_part_of_all() -> None:
    operations = given(), Reroll(box_mask(box=(10, 6, 30, 20)), 5, 0)
    whole = evaluate(*operations)
    part = evaluate(*operations, box=(12, 2, 32, 10))
    for all_of_it, level, factor in zip(whole.levels, part.levels, (2, 1), strict=True):
        assert torch.equal(all_of_it[:, 2 * factor : 10 * factor, 12 * factor : 32 * factor], level)


def test_what_follows_takes_them_for_noise_of_its_own() -> None:
    half = evaluate(given(), Mix(Sample(9, 0), torch.pi / 4, mask=box_mask()))
    other = evaluate(Mix(Sample(9, 0), torch.pi / 2))
    rows, columns = slice(4, 16), slice(8, 20)
    expected = (evaluate(given()).levels[1] + other.levels[1])[:, rows, columns] / 2**0.5
    assert torch.allclose(half.levels[1][:, rows, columns], expected, atol=1e-5)
    again = evaluate(given(), Mix(Sample(9, 0), torch.pi / 4, mask=box_mask()), given())
    assert torch.allclose(again.levels[1], evaluate(given()).levels[1], atol=1e-5)
    assert torch.equal(evaluate(given(), given()).levels[0], evaluate(given()).levels[0])


def test_half_a_mask_goes_half_the_way() -> None:
    level = evaluate(given(128)).levels[1][:, 4:16, 8:20]
    angle = 128 / 255 * torch.pi / 2
    old, own = evaluate().levels[1][:, 4:16, 8:20], evaluate(given()).levels[1][:, 4:16, 8:20]
    expected = old * np.cos(angle) + own * np.sin(angle)
    assert torch.allclose(level, expected.float(), atol=1e-5)


def test_they_survive_json_and_addresses_to_the_bit() -> None:
    operations = (DRAW, given())
    assert from_json(to_json(operations)) == operations
    assert from_address(to_address(operations)) == operations
    assert hash(operations[1]) == hash(given())
    assert given() != given(seed=1)


def test_the_same_numbers_in_another_place_are_other_noise() -> None:
    moved = Given.of(box_mask(box=(9, 4, 21, 16)), (9, 4, 21, 16), latents(), "edit")
    mixed = evaluate(given(), Mix((DRAW, moved), torch.pi / 4, mask=box_mask())).levels[0]
    inside = mixed[:, 10:30, 20:38]
    assert inside.square().mean().sqrt() == pytest.approx(1, abs=0.06)


def test_latents_of_another_model_are_refused_where_they_are_used() -> None:
    with pytest.raises(OperationError, match="Use the model with which they were made"):
        evaluate(given(), shapes=((12, 48, 64), (24, 24, 32)))


def values(**changes: object) -> dict:
    return given().to_values() | changes


NAN = np.full(6 * 24 * 24 + 24 * 12 * 12, np.nan, "<f2").tobytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"origin": "theft"}, "'theft'"),
        ({"box": [9, 4, 20, 16]}, "around all"),
        ({"box": [8, 4, 20]}, "left, top"),
        ({"box": [8, 4, 20.5, 16]}, "left, top"),
        ({"box": "all"}, "left, top"),
        ({"shapes": []}, "levels"),
        ({"shapes": [[6, 24, 24]] * 9}, "levels"),
        ({"shapes": [[6, 24, -24], [24, 12, 12]]}, "every level"),
        ({"shapes": [[10**6, 10**6, 10**6]]}, "Select a smaller"),
        ({"shapes": [[6, 24, 24]]}, "3456 numbers"),
        ({"values": "%%%"}, "base64"),
        ({"values": 5}, "two bytes each"),
        ({"values": "AAAA"}, "two bytes each"),
        ({"values": base64.b64encode(NAN).decode()}, "finite"),
        ({"mask": None}, "mask"),
        ({"more": 1}, "more"),
    ],
)
def test_anything_else_is_refused_by_name(changes: dict, message: str) -> None:
    text = to_json((DRAW,)).replace("}]}", "},HERE]}")
    with pytest.raises(OperationError, match=message):
        from_json(text.replace("HERE", json.dumps(values(**changes))))


def test_a_list_carries_no_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = (DRAW, given(), given(seed=1))
    check_operations(operations)
    monkeypatch.setattr("srflow.operations.lists.MAX_GIVEN", 2 * given().num_latents - 1)
    with pytest.raises(OperationError, match="latents in total"):
        check_operations(operations)
    monkeypatch.setattr(given_module, "MAX_GIVEN", 100)
    with pytest.raises(OperationError, match="smaller one"):
        given()


def test_they_have_words() -> None:
    assert brief_words((DRAW, given())) == "Edit"
    assert describe_list((DRAW, given())).endswith("edited by hand")
    natural = Given.of(box_mask(), BOX, latents(), "natural edit")
    assert describe_list((DRAW, natural)).endswith("edited by hand and made natural")

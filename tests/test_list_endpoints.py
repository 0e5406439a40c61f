"""Endpoints that take lists of operations: results, refusals, and no partial results."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from page_harness import Harness
from PIL import Image

from srflow.contract import RECIPE_KEY, SampleRecipe, SampleRequest, SampleResult, carried_lr
from srflow.operations import Draw, Heat, Mask, Reroll, from_values, to_address, to_json

WIDTH, HEIGHT = 24, 20
MASK = Mask(WIDTH, HEIGHT, (4, 3, 10, 8), (255, 30))
LIST = (Draw(5, 1, 0.6), Reroll(MASK, 2, 0), Heat(0.3, MASK))


@pytest.fixture
def harness(engine, sessions) -> Harness:
    return Harness(engine, sessions)


@pytest.fixture
def image(tmp_path: Path) -> str:
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    return str(tmp_path / "mine.png")


def call(harness: Harness, name: str, *values: object) -> tuple:
    fn = next(fn for fn in harness.page.blocks.fns.values() if fn.api_name == name)
    *_, last = fn.fn(*values)
    return last


def redrawn(engine, path: str) -> np.ndarray:
    """From what the PNG carries alone."""
    text = engine.read_png_text(path)
    recipe = SampleRecipe.from_json(text[RECIPE_KEY])
    lr = carried_lr(text, recipe, engine.open_picture)
    events = engine.sample(SampleRequest.from_recipe(recipe, lr, summaries=False))
    return next(event.picture for event in events if isinstance(event, SampleResult))


@pytest.mark.parametrize("write", [to_json, to_address])
def test_a_list_is_drawn(harness, engine, image, write) -> None:
    file, numbers = call(harness, "draw_list", image, write(LIST), "", True, False)
    recipe = SampleRecipe.from_json(engine.read_png_text(file)[RECIPE_KEY])
    assert recipe.whole_list == LIST
    assert from_values(numbers["operations"]) == LIST
    np.testing.assert_array_equal(engine.open_picture(file), redrawn(engine, file))


def test_without_a_list_it_is_the_first_sample(harness, engine, image) -> None:
    file, numbers = call(harness, "draw_list", image, "", "fake-x8", False, False)
    recipe = SampleRecipe.from_json(engine.read_png_text(file)[RECIPE_KEY])
    assert recipe.whole_list == (Draw(0, 0, 0.8),)
    assert (recipe.model, recipe.consistency_rounds) == ("fake-x8", 0)
    assert numbers["truth"] is None


def test_a_place_is_drawn_again(harness, engine, image) -> None:
    start, _ = call(harness, "draw_list", image, to_json(LIST), "", True, False)
    files, numbers = call(harness, "reroll", image, 4, 3, 6, 5, to_json(LIST), "", 9, 3, 0, True, False)
    before = engine.open_picture(start)
    outside = MASK.array().repeat(4, 0).repeat(4, 1) == 0
    pictures = [engine.open_picture(file) for file in files]
    for number, (file, picture) in enumerate(zip(files, pictures, strict=True)):
        np.testing.assert_array_equal(picture, redrawn(engine, file))
        np.testing.assert_array_equal(picture[outside], before[outside])
        assert (picture != before).any()
        variant = numbers["variants"][number]
        assert from_values(variant["operations"]) == (*LIST, Reroll(MASK, 9, number))
    assert len({picture.tobytes() for picture in pictures}) == 3
    # A variant is something to go on from.
    onwards = json.dumps(numbers["variants"][1]["operations"])
    [_], numbers = call(harness, "reroll", image, 0, 0, 2, 2, onwards, "", 9, 1, 0, True, False)
    assert len(numbers["variants"][0]["operations"]["operations"]) == 5


def test_some_of_many_are_chosen(harness, engine, image) -> None:
    files, numbers = call(harness, "reroll", image, 4, 3, 6, 5, "", "", 9, 12, 5, True, False)
    assert len(numbers["variants"]) == 12
    assert numbers["files"] == [family["number"] for family in numbers["different"]]
    rolls = [SampleRecipe.from_json(engine.read_png_text(file)[RECIPE_KEY]).operations[-1].roll for file in files]
    assert rolls == numbers["files"]
    assert len(rolls) == 5
    assert numbers["extremes"]["smoothest"] == 0
    assert numbers["left_out"] == [11]
    json.dumps(numbers)


OTHER = Mask(WIDTH + 1, HEIGHT, (4, 3, 10, 8), (255, 30))


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ("{", "JSON"),
        ("@@@", "address"),
        (to_json(LIST).replace("reroll", "explode"), "explode"),
        (to_json(LIST).replace('"seed":5', '"seed":-5'), "seed"),
        (to_json(LIST).replace("0.6", "NaN"), "NaN"),
        (to_json(LIST[1:]), "draw"),
        (to_json((LIST[0], Reroll(OTHER, 0, 0))), "25x20"),
        (to_json(LIST).replace('"runs":[255,30]', '"runs":[255,1000000000000]'), "runs"),
        (7, "text"),
    ],
)
def test_hostile_operations_get_words_and_nothing_is_drawn(harness, engine, image, operations, message) -> None:
    for values in (
        ("draw_list", image, operations, "", True, False),
        ("reroll", image, 4, 3, 6, 5, operations, "", 0, 2, 0, True, False),
    ):
        with pytest.raises(gr.Error, match=message):
            call(harness, *values)
    assert not engine.requests
    assert not engine.explored
    assert not list(harness.page.sessions.root.rglob("downloads/*"))


@pytest.mark.parametrize(
    ("place", "more", "message"),
    [
        ((24, 3, 1, 1), (0, 2, 0), "left"),
        ((4, 3, 30, 5), (0, 2, 0), "width"),
        ((4, 3, 0, 5), (0, 2, 0), "width"),
        ((4, 3, 6, float("nan")), (0, 2, 0), "height"),
        ((4, None, 6, 5), (0, 2, 0), "top"),
        ((4, 3, 6, 5), (0, 65, 0), "num_variants"),
        ((4, 3, 6, 5), (0, 2, 3), "choose"),
        ((4, 3, 6, 5), (-1, 2, 0), "seed"),
    ],
)
def test_places_outside_get_words(harness, engine, image, place, more, message) -> None:
    with pytest.raises(gr.Error, match=message):
        call(harness, "reroll", image, *place, "", "", *more, True, False)
    assert not engine.explored


def test_a_failure_on_the_way_gives_nothing(harness, engine, image) -> None:
    engine.error = MemoryError("no more")
    with pytest.raises(gr.Error):
        call(harness, "reroll", image, 4, 3, 6, 5, "", "", 0, 2, 0, True, False)
    assert not list(harness.page.sessions.root.rglob("downloads/*"))

"""Endpoints that steer a place: what they give, and what they refuse before anything is drawn."""

from __future__ import annotations

import json

import gradio as gr
import numpy as np
import pytest
import test_list_endpoints as lists
from PIL import Image
from test_list_endpoints import HEIGHT, LIST, WIDTH, call

from srflow.contract import RECIPE_KEY, SampleRecipe, Variant
from srflow.operations import Draw, Given, Slide, from_values, to_json
from srflow.steering.wishes import Brightness, Stripes

harness, image = lists.harness, lists.image
PLACE = (4, 3, 10, 8)


def wish(harness, image, wanted: object, deviations: float = 0, operations: str = "") -> tuple:
    return call(harness, "wish", image, *PLACE, json.dumps(wanted), deviations, operations, "", 9, True, False)


def test_a_wish_is_drawn_with_its_verdict_and_what_draws_it_again(harness, engine, image) -> None:
    [file], numbers = wish(harness, image, {"type": "brightness"}, 0.5, to_json(LIST))
    assert engine.explored[0].wish == Brightness()
    assert from_values(numbers["operations"])[:3] == LIST
    slide = from_values(numbers["operations"])[3]
    assert isinstance(slide, Slide)
    assert slide.seed == 9
    recipe = SampleRecipe.from_json(engine.read_png_text(file)[RECIPE_KEY])
    assert recipe.whole_list == from_values(numbers["operations"])
    assert set(numbers) == {"is_reached", "deviations", "remark", "lr_psnr", "plausibility", "operations"}
    json.dumps(numbers)
    wish(harness, image, {"type": "stripes", "period": 6, "direction": 90})
    assert engine.explored[-1].wish == Stripes(6, 90)


@pytest.mark.parametrize(
    ("wanted", "deviations", "message"),
    [({"type": "wealth"}, 1, "wealth"), ("{", 1, "one of"), ({"type": "roughness"}, 9, "deviations must be")],
)
def test_wishes_that_cannot_be_are_refused(harness, engine, image, wanted, deviations, message) -> None:
    with pytest.raises(gr.Error, match=message):
        wish(harness, image, wanted, deviations)
    assert not engine.explored


def test_an_edit_comes_back_in_two_forms_with_a_verdict(harness, engine, image, tmp_path) -> None:
    edited = np.random.default_rng(1).integers(0, 256, (4 * HEIGHT, 4 * WIDTH, 3), np.uint8)
    Image.fromarray(edited).save(tmp_path / "edited.png")
    files, numbers = call(harness, "edit", image, str(tmp_path / "edited.png"), to_json(LIST), "", True, False)
    assert np.array_equal(engine.edited[0].picture, edited)
    assert (numbers["kept"], numbers["deviations"]) == ((0.42, 0.11), (-35.0, -0.5))
    for file, operations in zip(files, numbers["operations"], strict=True):
        assert SampleRecipe.from_json(engine.read_png_text(file)[RECIPE_KEY]).whole_list == from_values(operations)
        assert isinstance(from_values(operations)[-1], Given)
    json.dumps(numbers)


def grain(harness, image, source=(0, 0), photo=None, **changes: object) -> tuple:
    left, top, width, height = (changes.get(name, value) for name, value in zip("ltwh", (4, 3, 6, 5), strict=True))
    return call(harness, "grain", image, left, top, width, height, *source, photo, to_json(LIST), "", 7, True, False)


def test_grain_comes_back_in_two_forms_with_a_verdict(harness, engine, image, tmp_path) -> None:
    files, numbers = grain(harness, image, (2, 1))
    [request] = engine.grained
    assert (request.mask.support, request.seed, request.source.shape) == ((4, 3, 10, 8), 7, (20, 24, 3))
    [state] = [event.patch for event in engine.explore(engine.explored[0]) if isinstance(event, Variant)]
    assert np.array_equal(request.source, state[4:24, 8:32])
    for file, operations in zip(files, numbers["operations"], strict=True):
        assert SampleRecipe.from_json(engine.read_png_text(file)[RECIPE_KEY]).whole_list == from_values(operations)
    assert from_values(numbers["operations"][1])[-1].origin == "natural grain"
    assert set(numbers) == {"drawn_lr_psnr", "kept", "deviations", "plausibility", "lr_psnr", "operations"}
    photo = np.random.default_rng(1).integers(0, 256, (30, 600, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    grain(harness, image, photo=str(tmp_path / "photo.png"))
    assert np.array_equal(engine.grained[1].source, photo[:, 44:556])
    with pytest.raises(gr.Error, match="source_left"):
        grain(harness, image, (WIDTH, 0))
    with pytest.raises(gr.Error, match="width"):
        grain(harness, image, w=WIDTH)
    assert len(engine.grained) == 2


def test_texts_are_ruled_on(harness, engine, image) -> None:
    numbers = call(harness, "could_be", image, *PLACE, "3, 8,B", "", "", False)
    assert [(each["text"], each["ruling"]) for each in numbers["texts"]] == [
        ("3", "fits"), ("8", "ruled out"), ("B", "ruled out")
    ]  # fmt: skip
    assert engine.explored[-1].recipe.whole_list == (Draw(0, 0, 0.9),)
    with pytest.raises(gr.Error, match="11 texts"):
        call(harness, "could_be", image, *PLACE, ",".join("abcdefghijk"), "", "", False)


def test_files_and_pieces_are_ruled_on(harness, engine, image, tmp_path) -> None:
    size = PLACE[2] * 4, PLACE[3] * 4
    Image.new("RGB", size, (9, 8, 7)).save(tmp_path / "own.png")
    Image.new("L", (50, 50), 90).save(tmp_path / "grey.png")
    files = [str(tmp_path / name) for name in ("own.png", "grey.png")]

    def could_be(texts: str = "", pieces: str = "", files: list[str] = files) -> dict:
        return call(harness, "could_be", image, *PLACE, texts, "", "", False, files, pieces)

    numbers = could_be(pieces="[[0, 1]]")
    [[own, grey, piece]] = engine.compared
    assert (own == (9, 8, 7)).all()
    assert (grey == 90).all()
    [state] = [event.patch for event in engine.explore(engine.explored[-1]) if isinstance(event, Variant)]
    assert np.array_equal(piece, state[4 : 4 + size[1], : size[0]])
    assert [each["ruling"] for each in numbers["pieces"]] == ["fits", "ruled out", "ruled out"]
    assert [each.get("file") for each in numbers["pieces"]] == ["own.png", "grey.png", None]
    assert [each.get("note") for each in numbers["pieces"]] == ["", "scaled from 50×50, its edges cut off", None]
    assert numbers["pieces"][2]["piece"] == [0, 1]
    json.dumps(numbers)
    for wrong, message in (
        ({"texts": "3, 8"}, "both texts and pictures"),
        ({"pieces": "[[0, 0, 1]]"}, "must be pairs"),
        ({"pieces": "[[0, 0]"}, "not valid JSON"),
        ({"pieces": f"[[{WIDTH}, 0]]"}, "piece's left"),
        ({"files": files * 6}, "12 pictures"),
    ):
        with pytest.raises(gr.Error, match=message):
            could_be(**wrong)
    assert len(engine.compared) == 1

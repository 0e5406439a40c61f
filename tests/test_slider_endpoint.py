"""The endpoint that finds the sliders of a place."""

from __future__ import annotations

import json
import math

import gradio as gr
import numpy as np
import pytest
import test_list_endpoints as lists
from test_list_endpoints import LIST, call

from app.sliders import ANGLES
from srflow.operations import Draw, from_values, to_json

harness, image = lists.harness, lists.image
PLACE = (4, 3, 14, 13)


def find(harness, image, *place: float, operations: str = "", seed: int = 9, num_rolls: float = 20) -> tuple:
    return call(harness, "sliders", image, *place, operations, "", seed, num_rolls, True, False)


def test_sliders_come_with_what_they_explain_and_what_moves_them(harness, engine, image) -> None:
    files, numbers = find(harness, image, *PLACE, operations=to_json(LIST))
    assert len(engine.explored[0].variants) == 20
    assert from_values(numbers["operations"]) == LIST
    assert numbers["angles"] == list(ANGLES)
    assert [slider["share"] for slider in numbers["sliders"]] == pytest.approx([0.3, 0.15, 0.1])
    assert all(len(slider["ends"]) == 2 for slider in numbers["sliders"])
    json.dumps(numbers)
    # What a program does next: append the operation, and draw.
    document = numbers["operations"]
    document["operations"].append(numbers["sliders"][1]["operation"])
    drawn, _ = call(harness, "draw_list", image, json.dumps(document), "", True, False)
    strip = engine.open_picture(files[1])
    assert strip.shape == (52, 56 * 7, 3)
    assert np.array_equal(engine.open_picture(drawn)[12:64, 16:72], strip[:, -56:])
    assert document["operations"][-1]["angle"] == math.pi / 2


def test_where_there_are_none_the_list_is_empty(harness, engine, image) -> None:
    engine.num_directions = 0
    files, numbers = find(harness, image, *PLACE)
    assert (files, numbers["sliders"]) == ([], [])
    assert from_values(numbers["operations"]) == (Draw(0, 0, 0.9),)


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        ((4, 3, 11, 13), {}, "12 to 48"),
        ((4, 3, 40, 13), {}, "width"),
        (PLACE, {"num_rolls": 15}, "num_rolls"),
        (PLACE, {"num_rolls": 65}, "num_rolls"),
        (PLACE, {"operations": "{"}, "JSON"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(harness, engine, image, place, changes, message) -> None:
    with pytest.raises(gr.Error, match=message):
        find(harness, image, *place, **changes)
    assert not engine.explored
    assert not list(harness.page.sessions.root.rglob("downloads/*"))

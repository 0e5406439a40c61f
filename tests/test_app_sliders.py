"""Sliders of a region without a browser: found, moved, kept, undone; and the message if there are none."""

from __future__ import annotations

import math
from urllib.parse import parse_qsl

import numpy as np
import pytest
import test_app_exploring as exploring
from PIL import Image
from test_app_exploring import ask, mask_of, picture, pixels

from app.sliders import ANGLES, NUM_ROLLS
from srflow.contract import RECIPE_KEY, SampleRecipe, SampleRequest, SampleResult
from srflow.operations import Mask, Reroll, Slide, from_address

harness = exploring.harness

PLACE = (2, 2, 18, 15)  # 16 x 13 LR pixels


def open_sliders(harness, name: str = "s1") -> str:
    """Return the id of the picture that the sliders move."""
    ask(harness, "sliders", name, mask=mask_of(harness, *PLACE))
    [way] = harness.scene.walk.ids
    return way


def slide(harness, *angles: int) -> None:
    ask(harness, "slide", harness.scene.walk.start, mask=mask_of(harness, *PLACE), angles=list(angles))


def test_a_place_has_sliders_with_pictures_along_them(harness, engine):
    way = open_sliders(harness)
    rolls, strips, drawn = engine.explored
    assert [roll for (roll,) in rolls.variants] == [
        Reroll(Mask.from_values(mask_of(harness, *PLACE)), rolls.variants[0][0].seed, number)
        for number in range(NUM_ROLLS)
    ]
    assert (rolls.directions, len(strips.variants)) == (5, 1 + 3 * 6)
    assert drawn.variants == ((), ()), "nothing is moved yet"
    walk = harness.scene.walk
    assert (walk.kind, walk.start, walk.count, walk.box) == ("sliders", "s1", 1, tuple(4 * edge for edge in PLACE))
    assert walk.sliders.angles == (0, 0, 0)
    assert [round(strip.share, 2) for strip in walk.sliders.strips] == [0.3, 0.15, 0.1]
    before = pixels(picture(harness, "s1").path)
    place = before[8:60, 8:72]
    assert np.array_equal(pixels(picture(harness, way).path), before)
    for strip in walk.sliders.strips:
        parts = np.split(pixels(strip.path), len(ANGLES), 1)
        assert all(part.shape == place.shape for part in parts)
        assert [np.array_equal(part, place) for part in parts] == [angle == 0 for angle in ANGLES]
        assert all(strip.ends)
    assert "3 sliders explain 55 % of the variance here" in harness.status
    assert not harness.session.can_undo, "looking at them is no step"


def test_one_that_is_moved_stays_while_another_moves(harness, engine):
    way = open_sliders(harness)
    slide(harness, 45, 0, 0)
    first = pixels(picture(harness, way).path)
    slide(harness, 45, -30, 0)
    assert harness.scene.walk.ids == (way,), "the same picture, elsewhere"
    assert harness.scene.walk.sliders.angles == (45, -30, 0)
    assert not np.array_equal(pixels(picture(harness, way).path), first)
    ((both,),) = engine.explored[-1].variants[1:]
    assert isinstance(both, Slide)
    shares = np.array(both.weights[:3]) / np.linalg.norm(both.weights) * math.sin(both.angle)
    assert shares == pytest.approx([math.sin(math.pi / 4), -0.5, 0], abs=1e-4)
    assert "Slider 1 at 45°" in harness.status
    slide(harness, 45, 0, 0)
    assert np.array_equal(pixels(picture(harness, way).path), first), "and back"


def test_what_is_kept_is_a_step_with_its_recipe(harness, engine):
    way = open_sliders(harness)
    slide(harness, 0, 60, 0)
    ask(harness, "accept", way)
    assert (harness.scene.walk, harness.scene.explored) == (None, way)
    with Image.open(picture(harness, way).path) as image:
        recipe = SampleRecipe.from_json(image.info[RECIPE_KEY])
    (kept,) = recipe.operations
    assert kept.angle == pytest.approx(math.pi / 3)
    lr = harness.session.view.picture.lr()
    events = engine.sample(SampleRequest.from_recipe(recipe, lr, summaries=False))
    again = next(event.picture for event in events if isinstance(event, SampleResult))
    assert np.array_equal(pixels(picture(harness, way).path), again)
    query = dict(parse_qsl(harness.values[harness.page.query]))
    assert from_address(query["explored"])[1:] == (kept,), "the link draws it again"
    harness.fire(harness.page.undo)
    assert (harness.scene.walk, harness.scene.explored) == (None, None)
    harness.fire(harness.page.redo)
    assert harness.scene.explored == way


def test_sliders_in_the_middle_keep_nothing(harness):
    way = open_sliders(harness)
    slide(harness, 30, 0, 0)
    slide(harness, 0, 0, 0)
    assert "All sliders in the middle" in harness.status
    ask(harness, "accept", way)
    assert "nothing to keep" in harness.status
    assert not harness.session.can_undo
    ask(harness, "more", way)
    assert harness.scene.walk.start == "s1", "and nothing was kept on the way"
    assert not harness.session.can_undo


def test_where_nothing_stands_out_that_is_said(harness, engine):
    engine.num_directions = 0
    open_sliders(harness)
    assert harness.scene.walk.sliders.strips == ()
    assert "Only texture differs here" in harness.status
    assert len(engine.explored) == 2, "no pictures along sliders that are not there"
    ask(harness, "leave", "s1")
    assert harness.scene.walk is None


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((2, 2, 13, 15), "11×13. Select a larger one"),
        ((0, 0, 0, 0), "No region is selected"),
    ],
)
def test_a_place_that_cannot_have_sliders_is_answered_in_words(harness, engine, place, words):
    ask(harness, "roll", "s1")
    way = harness.scene.walk.ids[0]
    ask(harness, "sliders", way, mask=mask_of(harness, *place) if any(place) else None)
    assert words in harness.status
    assert harness.scene.walk.kind == "roll", "what was there stays"
    assert not harness.session.can_undo
    assert len(engine.explored) == 1


def test_moves_that_do_not_fit_are_refused(harness, engine):
    slide_data = {"mask": mask_of(harness, *PLACE), "angles": [10]}
    ask(harness, "slide", "s1", **slide_data)
    assert "sliders no longer exist" in harness.status
    open_sliders(harness)
    drawn = len(engine.explored)
    slide(harness, 10)
    assert "has 3 sliders, but 1 were moved" in harness.status
    for angles in ([91, 0, 0], [1.5, 0, 0], [True, 0, 0], "abc", [0] * 6):
        ask(harness, "slide", "s1", mask=mask_of(harness, *PLACE), angles=angles)
        assert "-90 to 90 degrees" in harness.status
    assert len(engine.explored) == drawn
    assert harness.scene.walk.sliders.angles == (0, 0, 0)


def test_files_of_sliders_go_with_them(harness):
    open_sliders(harness)
    files = [strip.path for strip in harness.scene.walk.sliders.strips]
    slide(harness, 10, 0, 0)
    assert all(path.exists() for path in files)
    ask(harness, "leave", "s1")
    assert not any(path.exists() for path in files)

"""Painting temperature without a browser: what the page makes of what is painted."""

from __future__ import annotations

import pytest
from page_harness import Harness
from PIL import Image
from test_app_exploring import ask, mask_of, picture, pixels

from srflow.contract import RECIPE_KEY, SampleRecipe
from srflow.operations import Heat, Mask


@pytest.fixture
def harness(engine, sessions) -> Harness:
    return Harness(engine, sessions, opening=True)


def heat(harness: Harness, temperature: float, *box: int) -> dict:
    return {"temperature": temperature, "mask": mask_of(harness, *box)}


def recipe_of(path) -> SampleRecipe:
    with Image.open(path) as image:
        return SampleRecipe.from_json(image.info[RECIPE_KEY])


def test_painted_temperatures_change_their_places_only_and_are_one_way(harness, engine):
    ask(harness, "heat", "s1", heat=[heat(harness, 0.2, 4, 5, 12, 9), heat(harness, 1.2, 16, 5, 20, 9)])
    walk = harness.scene.walk
    assert (walk.start, walk.kind, walk.count, len(walk.ids)) == ("s1", "heat", 1, 1)
    assert walk.box == (16, 20, 80, 36), "both places"
    before, after = (pixels(picture(harness, name).path) for name in ("s1", walk.ids[0]))
    changed = (before != after).any(-1)
    assert changed[20:36, 16:48].any()
    assert changed[20:36, 64:80].any()
    changed[20:36, 16:48] = changed[20:36, 64:80] = False
    assert not changed.any()
    assert "Painted" in harness.status
    assert not harness.session.can_undo, "nothing is kept yet"
    assert engine.explored[-1].recipe.operations == ()


def test_further_strokes_change_the_same_picture_in_place(harness, engine):
    ask(harness, "heat", "s1", heat=[heat(harness, 0.2)])
    [first] = harness.scene.walk.ids
    ask(harness, "heat", "s1", heat=[heat(harness, 0.2), heat(harness, 1.2, 16, 5, 20, 9)])
    assert harness.scene.walk.ids == (first,)
    assert engine.explored[-1].recipe.operations == (), "they go on from the sample, not from the strokes before"
    assert [one.temperature for one in engine.explored[-1].variants[1]] == [0.2, 1.2]


def test_what_is_kept_is_a_step_whose_recipe_holds_the_temperatures(harness):
    ask(harness, "heat", "s1", heat=[heat(harness, 0.2)])
    [name] = harness.scene.walk.ids
    ask(harness, "accept", name)
    assert (harness.scene.walk, harness.scene.explored) == (None, name)
    [operation] = recipe_of(picture(harness, name).path).operations
    assert operation == Heat(0.2, Mask.from_values(mask_of(harness)))
    assert harness.scene.steps[-1].words.endswith("calm, temperature 0.2")
    assert harness.scene.steps[-1].caption == "Calm"
    ask(harness, "heat", name, heat=[heat(harness, 1.2)])
    assert harness.scene.walk.ids != (name,)
    ask(harness, "leave", name)
    assert harness.scene.explored == name
    harness.fire(harness.page.undo)
    assert harness.scene.explored is None


def test_painting_on_a_roll_keeps_it_first(harness):
    ask(harness, "roll", "s1")
    roll = harness.scene.walk.ids[3]
    ask(harness, "heat", roll, heat=[heat(harness, 0.0)])
    assert (harness.scene.explored, harness.scene.walk.start, harness.scene.walk.kind) == (roll, roll, "heat")
    assert harness.session.can_undo, "a step of its own"


def test_a_place_is_found_to_be_painted_and_then_painted(harness):
    lr = harness.session.view.picture.lr()
    ask(harness, "flat", "s1")
    walk = harness.scene.walk
    assert (walk.ids, walk.count, walk.found.name) == ((), 1, "flat")
    assert walk.found.mask.array().shape == lr.shape[:2]
    assert "Flat areas: found" in harness.status
    found = {"temperature": 0, "mask": walk.found.mask.to_values()}
    ask(harness, "heat", "s1", heat=[found])
    assert harness.scene.walk.found is None
    assert len(harness.scene.walk.ids) == 1


def test_where_samples_differ_is_found_from_the_map_and_not_without_one(harness):
    ask(harness, "uncertain", "s0")
    found = harness.scene.walk.found.mask.array()
    width = found.shape[1]
    # The fake engine's samples differ more and more from left to right.
    assert found[:, : width // 3].mean() < 5
    assert found[:, -width // 8 :].mean() > 80
    ask(harness, "leave", "s0")
    assert harness.scene.walk is None


def test_the_scene_says_at_which_temperature_the_pictures_were_drawn(harness):
    assert harness.scene.temperature == harness.session.view.run.settings.temperature


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heat": []}, "Nothing is painted"),
        ({"heat": [{"temperature": 5.0, "mask": {}}]}, "A mask of this picture"),
        ({"heat": "x"}, "a list of at most"),
    ],
)
def test_paintings_that_are_none_are_refused_in_words(harness, engine, changes, words):
    before = len(engine.explored)
    ask(harness, "heat", "s1", **changes)
    assert words in harness.status
    assert harness.scene.walk is None
    assert len(engine.explored) == before

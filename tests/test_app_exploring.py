"""Exploring without a browser: what the page does with wishes, in order and out of order, sound and hostile."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from page_harness import Harness
from PIL import Image

from app.layout import build_page
from app.visitors import Sessions
from app.ways import NUM_WAYS
from srflow.contract import RECIPE_KEY, MemoryBudgetError, SampleRecipe
from srflow.operations import Mask, Mix, Reroll


@pytest.fixture
def harness(engine, sessions) -> Harness:
    harness = Harness(engine, sessions, opening=True)
    assert len(harness.session.view.run.samples) == 8
    return harness


def mask_of(harness: Harness, left: int = 4, top: int = 5, right: int = 12, bottom: int = 9) -> dict:
    region = harness.session.view.picture.region
    array = np.zeros((region.height, region.width), np.uint8)
    array[top:bottom, left:right] = 255
    return Mask.from_array(array).to_values()


def ask(harness: Harness, action: str, name: str, **changes) -> None:
    data = {"action": action, "id": name, "mask": mask_of(harness), "dial": 40, "subject": harness.scene.subject}
    harness.fire(harness.results.viewer, "explore", data | changes)


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def picture(harness: Harness, name: str):
    return next(one for one in harness.scene.pictures if one.id == name)


def test_rolls_differ_inside_the_place_only(harness, engine):
    ask(harness, "roll", "s1")
    walk = harness.scene.walk
    assert (walk.start, walk.count, len(walk.ids), walk.kind) == ("s1", NUM_WAYS, NUM_WAYS, "roll")
    assert walk.box == (16, 20, 48, 36)
    before = pixels(picture(harness, "s1").path)
    for name in walk.ids:
        changed = np.argwhere((pixels(picture(harness, name).path) != before).any(-1))
        (top, left), (bottom, right) = changed.min(0), changed.max(0)
        assert 20 <= top < bottom < 36
        assert 16 <= left < right < 48
    assert "8 rolls" in harness.status
    assert not harness.session.can_undo, "looking at rolls is no step"


def test_keeping_one_is_a_step_and_the_others_go(harness, engine):
    ask(harness, "roll", "s1")
    first, *_, chosen = harness.scene.walk.ids
    files = [picture(harness, name).path for name in (first, chosen)]
    ask(harness, "accept", chosen)
    assert (harness.scene.walk, harness.scene.explored) == (None, chosen)
    assert picture(harness, chosen).kind == "sample"
    assert [path.exists() for path in files] == [False, True]
    assert (harness.session.can_undo, harness.session.can_redo) == (True, False)
    harness.fire(harness.page.undo)
    assert (harness.scene.walk, harness.scene.explored) == (None, None)
    harness.fire(harness.page.redo)
    assert harness.scene.explored == chosen
    assert files[1].exists()


def test_changes_are_stacked_and_the_png_has_them_all(harness, engine):
    ask(harness, "roll", "s1")
    ask(harness, "accept", harness.scene.walk.ids[2])
    ask(harness, "more", harness.scene.explored, mask=mask_of(harness, 0, 0, 6, 8))
    ask(harness, "accept", harness.scene.walk.ids[5])
    ask(harness, "roll", harness.scene.explored)
    ask(harness, "accept", harness.scene.walk.ids[0])
    with Image.open(picture(harness, harness.scene.explored).path) as image:
        recipe = SampleRecipe.from_json(image.info[RECIPE_KEY])
    assert [type(one) for one in recipe.operations] == [Reroll, Mix, Reroll]
    assert [one.roll for one in recipe.operations if isinstance(one, Reroll)] == [2, 0]
    assert (recipe.index, recipe.operations[1].other.index) == (1, 5)
    for explored in (1, 2, 3):
        harness.fire(harness.page.undo)
        label = "" if explored == 3 else picture(harness, harness.scene.explored).label
        assert label == ("" if explored == 3 else f"Explored, {3 - explored} change{'s' * (explored == 1)}")


def test_a_branch_starts_where_undo_led(harness):
    ask(harness, "roll", "s0")
    ask(harness, "accept", harness.scene.walk.ids[0])
    first = harness.scene.explored
    ask(harness, "roll", first)
    ask(harness, "accept", harness.scene.walk.ids[0])
    harness.fire(harness.page.undo)
    ask(harness, "roll", first)
    ask(harness, "accept", harness.scene.walk.ids[3])
    branch = harness.scene.explored
    harness.fire(harness.page.undo)
    assert harness.scene.explored == first
    harness.fire(harness.page.redo)
    assert harness.scene.explored == branch


def test_going_on_from_a_way_keeps_it_first(harness):
    ask(harness, "more", "s0", mask=None)
    way = harness.scene.walk.ids[4]
    ask(harness, "more", way, mask=None)
    assert (harness.scene.explored, harness.scene.walk.start) == (way, way)
    harness.fire(harness.page.undo)
    assert (harness.scene.explored, harness.scene.walk) == (None, None)


def test_another_dial_looks_at_the_same_neighbours_and_again_at_others(harness, engine):
    seeds = []
    for dial in (40, 60, 60):
        ask(harness, "more", "s0", mask=None, dial=dial)
        seeds.append(engine.explored[-1].variants[1][0].other.seed)
    assert seeds[0] == seeds[1] != seeds[2]


def test_leaving_forgets_the_ways(harness):
    ask(harness, "roll", "s1")
    ask(harness, "leave", "s1")
    assert (harness.scene.walk, harness.scene.explored) == (None, None)
    assert not any(one.kind == "way" for one in harness.scene.pictures)
    assert not harness.session.can_undo


@pytest.mark.parametrize(
    ("action", "name", "changes", "words"),
    [
        ("roll", "mean", {}, "Only samples"),
        ("roll", "../s1", {}, "Only samples"),
        ("roll", "s1", {"mask": None}, "No region is selected"),
        ("roll", "s1", {"subject": "other"}, "no longer shown"),
        ("roll", "s1", {"mask": {"width": 4, "height": 4, "box": [0, 0, 4, 4], "runs": [255, 16]}}, "A mask of this"),
        ("accept", "s1", {}, "nothing to keep"),
        ("more", "s1", {"dial": 200}, "0 to 100"),
        ("burn", "s1", {}, "that could be asked for"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_in_words(harness, engine, action, name, changes, words):
    before = harness.session.view
    ask(harness, action, name, **changes)
    assert words in harness.status
    assert harness.session.view == before
    assert engine.explored == []


def test_events_without_data_are_refused(harness):
    for data in (None, [], "roll", {"subject": harness.scene.subject}):
        harness.fire(harness.results.viewer, "explore", data)
        assert "error" in harness.status
    assert harness.scene.walk is None


def test_a_failure_leaves_what_was_there(harness, engine):
    ask(harness, "roll", "s1")
    ask(harness, "accept", harness.scene.walk.ids[0])
    explored = harness.scene.explored
    engine.error = MemoryBudgetError("No memory.")
    ask(harness, "roll", explored)
    assert "No memory" in harness.status
    assert (harness.scene.explored, harness.scene.walk) == (explored, None)
    engine.error = None
    ask(harness, "roll", explored)
    assert len(harness.scene.walk.ids) == NUM_WAYS


def test_keeping_one_while_others_are_still_drawn(harness, engine):
    data = {"action": "roll", "id": "s1", "mask": mask_of(harness), "dial": 0, "subject": harness.scene.subject}
    rolling = harness.stream(harness.results.viewer, "explore", data)
    while harness.scene.walk is None or len(harness.scene.walk.ids) < 3:
        next(rolling)
    chosen = harness.scene.walk.ids[1]
    ask(harness, "accept", chosen)
    list(rolling)
    assert (harness.scene.explored, harness.scene.walk) == (chosen, None)
    assert picture(harness, chosen).path.exists()


def test_new_samples_end_a_walk_and_another_picture_ends_it_all(harness):
    ask(harness, "roll", "s1")
    ask(harness, "accept", harness.scene.walk.ids[0])
    explored = harness.scene.explored
    ask(harness, "roll", explored)
    harness.fire(harness.controls.sample)
    assert (harness.scene.explored, harness.scene.walk) == (explored, None)
    harness.fire(harness.picture.examples[1])
    assert harness.scene.explored is None


def test_what_is_explored_can_be_downloaded_and_restored_elsewhere(harness, engine, tmp_path):
    ask(harness, "roll", "s1")
    ask(harness, "accept", harness.scene.walk.ids[0])
    explored = harness.scene.explored
    harness.values[harness.download.choice] = explored
    harness.fire(harness.download.png)
    path = harness.values[harness.download.file]
    expected = pixels(picture(harness, explored).path)
    assert np.array_equal(pixels(path), expected)

    other = Harness(engine, Sessions(tmp_path / "other"))
    other.values[other.picture.image] = path
    other.fire(other.picture.image, "upload")
    other.fire(other.picture.restore)
    assert "Restored: explored, 1 change" in other.status
    assert np.array_equal(pixels(picture(other, other.scene.explored).path), expected)
    assert other.session.view.run is None
    ask(other, "roll", other.scene.explored)
    assert len(other.scene.walk.ids) == NUM_WAYS
    other.page.sessions.close()


def test_an_explored_png_with_other_weights_is_refused(harness, engine, tmp_path):
    ask(harness, "roll", "s1")
    ask(harness, "accept", harness.scene.walk.ids[0])
    state = harness.session.view.explored.state
    path = tmp_path / "changed.png"
    text = {RECIPE_KEY: replace(state.recipe, weights_sha256="0" * 64).to_json()}
    engine.save_png(path, pixels(state.path), text)
    harness.values[harness.picture.image] = str(path)
    harness.fire(harness.picture.image, "upload")
    assert "other weights" in harness.status


def test_the_state_is_drawn_as_soon_as_a_place_is_chosen(engine, sessions, monkeypatch):
    monkeypatch.setattr("page_harness.build_page", lambda *_, **__: build_page(engine, sessions, ahead=True))
    harness = Harness(engine, sessions, opening=True)
    engine.explored.clear()
    data = {"mask": mask_of(harness), "id": "s2", "subject": harness.scene.subject}
    for changes in ({}, {"id": "mean"}, {"subject": "other"}, {"id": 10**50}):
        harness.fire(harness.results.viewer, "mask", data | changes)
        assert "error" not in harness.status
    for thread in threading.enumerate():
        if thread.name == "prepare rolls":
            thread.join()
    assert [(request.recipe.index, request.variants) for request in engine.explored] == [(2, ((),))]

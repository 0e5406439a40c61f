"""Grain and likeness of another place without a browser: what the engine is asked, and what is shown and kept."""

from __future__ import annotations

import numpy as np
import pytest
import test_app_exploring as exploring
from PIL import Image
from test_app_edits import labels, way
from test_app_exploring import ask, mask_of, picture, pixels

from app.grain import middle_of
from srflow.operations import Given
from srflow.steering.wishes import Like

harness = exploring.harness

PLACE = (4, 3, 10, 8)  # LR
SOURCE = {"id": "s3", "box": [6, 2, 14, 9]}
FROM = np.s_[8:36, 24:56]  # HR


def choose(harness, name: str = "s1") -> None:
    data = {"mask": mask_of(harness, *PLACE), "id": name, "subject": harness.scene.subject}
    harness.fire(harness.results.viewer, "mask", data)


def give(harness, path) -> None:
    harness.values[harness.edit.photo] = str(path)
    harness.fire(harness.edit.photo, "upload")


def test_grain_is_taken_from_a_place_of_another_picture_and_kept(harness, engine):
    ask(harness, "grain", "s1", mask=mask_of(harness, *PLACE), source=SOURCE)
    [request] = engine.grained
    assert np.array_equal(request.source, pixels(picture(harness, "s3").path)[FROM])
    assert (request.recipe.index, request.mask.support) == (1, PLACE)
    assert harness.scene.walk.kind == "grain"
    assert labels(harness) == ["Made consistent", "Made natural", "Where it is unusual"]
    assert "42 % of the grain matches the input" in harness.status
    assert not harness.session.can_undo
    natural = way(harness, "Made natural")
    ask(harness, "accept", natural.id)
    assert harness.scene.explored == natural.id
    [given] = harness.session.view.explored.state.recipe.operations
    assert isinstance(given, Given)
    assert given.origin == "natural grain"
    ask(harness, "grain", natural.id, mask=mask_of(harness, *PLACE), source=SOURCE)
    assert engine.grained[1].recipe.operations == (given,)
    assert engine.grained[1].seed != request.seed, "other pieces"
    ask(harness, "leave", natural.id)
    harness.fire(harness.page.undo)
    assert harness.scene.explored is None


def test_grain_may_come_from_a_way_that_is_taken_by_it(harness, engine):
    ask(harness, "roll", "s1")
    chosen = harness.scene.walk.ids[2]
    shown = pixels(picture(harness, chosen).path)[FROM]
    ask(harness, "grain", chosen, mask=mask_of(harness, *PLACE), source=SOURCE | {"id": harness.scene.walk.ids[2]})
    assert np.array_equal(engine.grained[0].source, shown)
    assert len(engine.grained[0].recipe.operations) == 1
    assert harness.session.can_undo


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask": None}, "No region is selected"),
        ({"source": SOURCE | {"id": "bicubic"}}, "Only samples"),
        ({"source": SOURCE | {"id": "nothing"}}, "Only samples"),
    ],
)
def test_grain_that_cannot_be_is_refused(harness, engine, changes, words):
    ask(harness, "grain", "s1", **{"mask": mask_of(harness, *PLACE), "source": SOURCE} | changes)
    assert words in harness.status
    assert engine.grained == []


def test_a_photo_gives_its_grain_to_the_place_chosen_last(harness, engine, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (700, 40, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    give(harness, tmp_path / "photo.png")
    assert "No region is selected" in harness.status
    choose(harness, "s2")
    give(harness, tmp_path / "photo.png")
    [request] = engine.grained
    assert np.array_equal(request.source, photo[94:606])
    assert (request.recipe.index, request.mask.support) == (2, PLACE)
    assert harness.scene.walk.start == "s2"
    assert middle_of(photo[:512]).shape == (512, 40, 3)


def test_a_wish_may_be_for_what_another_place_looks_like(harness, engine):
    ask(harness, "like", "s1", mask=mask_of(harness, *PLACE), source=SOURCE)
    wish = engine.explored[0].wish
    assert isinstance(wish, Like)
    assert np.array_equal(wish.reference, pixels(picture(harness, "s3").path)[FROM])
    assert harness.scene.walk.kind == "wish"
    assert harness.session.view.explored.sliders[0].ends == ("less like the patch", "more like the patch")
    ask(harness, "like", "s1", mask=None, source=SOURCE)
    assert "No region is selected" in harness.status

"""Edits without a browser: by hand and from a file, what becomes of them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import test_app_exploring as exploring
from PIL import Image
from test_app_exploring import ask, mask_of, picture, pixels

from app.edits import AS_DRAWN
from app.verdicts import edit_verdict
from srflow.contract import RECIPE_KEY, SampleRecipe, Verdict
from srflow.operations import Given

harness = exploring.harness

PLACE = (4, 3, 10, 8)  # LR
INSIDE = np.s_[12:32, 16:40]  # HR


def edit(harness, name: str = "s1", **values: object) -> None:
    ask(harness, "edit", name, mask=mask_of(harness, *PLACE), edit=values)


def labels(harness) -> list[str]:
    walk = harness.scene.walk
    return [picture(harness, name).label for name in walk.ids]


def way(harness, label: str):
    return next(one for one in harness.scene.pictures if one.label == label)


def bring_back(harness, path) -> None:
    harness.values[harness.edit.button] = str(path)
    harness.fire(harness.edit.button, "upload")


def test_a_place_that_is_painted_is_shown_in_all_its_forms(harness, engine):
    before = pixels(picture(harness, "s1").path)
    edit(harness, type="paint", red=250, green=0, blue=10)
    assert labels(harness) == [AS_DRAWN, "Made consistent", "Made natural", "Where it is unusual"]
    drawn = pixels(way(harness, AS_DRAWN).path)
    assert (drawn[INSIDE] == (250, 0, 10)).all()
    outside = np.ones(drawn.shape[:2], bool)
    outside[INSIDE] = False
    assert np.array_equal(drawn[outside], before[outside])
    assert np.array_equal(engine.edited[0].picture, drawn)
    assert [way(harness, label).badge for label in labels(harness)] == ["to look at", "", "", "to look at"]
    assert "42 % of the edit matches the input, far less likely than samples (\N{MINUS SIGN}35 sd)" in harness.status
    assert "made natural, 11 % remains, as likely as samples" in harness.status
    marked = pixels(way(harness, "Where it is unusual").path)
    assert np.ptp(marked[outside].astype(int), 1).max() == 0, "grey"
    assert np.ptp(marked[INSIDE].astype(int), 2).min() > 20, "in colour"
    assert not harness.session.can_undo


def test_what_is_natural_can_be_kept_and_what_was_drawn_cannot(harness):
    edit(harness, type="contrast", factor=0)
    place = pixels(way(harness, AS_DRAWN).path)[INSIDE].reshape(-1, 3).astype(int)
    assert np.ptp(place, 0).max() <= 1, "no contrast is left"
    ask(harness, "accept", way(harness, AS_DRAWN).id)
    assert "cannot be explored further" in harness.status
    assert not harness.session.can_undo
    natural = way(harness, "Made natural")
    ask(harness, "accept", natural.id)
    assert harness.scene.explored == natural.id
    with Image.open(picture(harness, natural.id).path) as image:
        recipe = SampleRecipe.from_json(image.info[RECIPE_KEY])
    [given] = recipe.operations
    assert isinstance(given, Given)
    assert given.origin == "natural edit"
    harness.fire(harness.page.undo)
    assert harness.scene.explored is None


def test_a_piece_of_another_sample_is_pasted(harness):
    other = pixels(picture(harness, "s3").path)
    edit(harness, type="paste", id="s3")
    assert np.array_equal(pixels(way(harness, AS_DRAWN).path)[INSIDE], other[INSIDE])
    edit(harness, type="paste", id="bicubic")
    assert "Only samples" in harness.status


def test_a_file_is_known_for_an_edit_of_the_picture_it_was(harness, engine, tmp_path):
    changed = pixels(picture(harness, "s2").path).copy()
    changed[8:14, 20:31] = 255 - changed[8:14, 20:31]
    Image.fromarray(changed).save(tmp_path / "edited.png")
    bring_back(harness, tmp_path / "edited.png")
    assert engine.edited[0].recipe.index == 2
    assert engine.edited[0].mask.support == (5, 2, 8, 4)
    assert harness.scene.walk.start == "s2"
    assert len(labels(harness)) == 4


@pytest.mark.parametrize(
    ("kept", "words"), [(None, "is the same as Sample"), (-4, "without changing its size")], ids=["same", "cut"]
)
def test_files_that_are_no_edits_are_refused(harness, engine, tmp_path, kept, words):
    Image.fromarray(pixels(picture(harness, "s1").path)[:kept]).save(tmp_path / "edited.png")
    bring_back(harness, tmp_path / "edited.png")
    assert words in harness.status
    (tmp_path / "edited.png").write_text("no picture")
    bring_back(harness, tmp_path / "edited.png")
    assert engine.edited == []


def test_without_a_place_nothing_is_edited(harness, engine):
    ask(harness, "edit", "s1", mask=None, edit={"type": "contrast", "factor": 2})
    assert "No region is selected" in harness.status
    assert engine.edited == []


def test_the_verdict_on_what_is_too_flat() -> None:
    verdict = Verdict(
        **{"mask": None, "drawn_lr_psnr": 30.0, "num_samples": 16, "unusual": None, "plausibility": (0.0, 0.1)},
        kept=(1.0, -0.02),
        deviations=(7.4, 1.0),
    )
    assert "flatter than samples (+7 sd)" in edit_verdict(verdict, "edit")
    assert "made natural, 0 % remains" in edit_verdict(verdict, "edit")


def test_the_verdict_on_what_the_input_rules_out() -> None:
    verdict = Verdict(
        **{"mask": None, "drawn_lr_psnr": 30.0, "num_samples": 16, "unusual": None, "plausibility": (0.0, 0.1)},
        kept=(0.012, 0.004),
        deviations=(-25.0, 1.0),
    )
    assert edit_verdict(verdict, "edit").startswith("The input rules this edit out: 1 % of it is left.")

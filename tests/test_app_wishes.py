"""Wishes without a browser: a slider, the verdict in words, and impossible wishes."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import test_app_exploring as exploring
from PIL import Image
from test_app_exploring import ask, mask_of, pixels

from app.candidates import piece_at
from app.records import WishScale
from app.sliders import ANGLES, NUM_ROLLS
from app.verdicts import wish_verdict
from app.viewer import SourcePlace
from srflow.contract import Aim, Variant
from srflow.operations import Mask, Reroll, Slide
from srflow.pictures import MAX_PIXELS
from srflow.pictures import read_picture as load_picture
from srflow.steering.wishes import Brightness, Roughness

harness = exploring.harness

PLACE = (2, 2, 18, 15)


def wish(harness, **values: object) -> None:
    ask(harness, "wish", "s1", mask=mask_of(harness, *PLACE), wish=values or {"type": "roughness"})


def slide(harness, angle: int) -> None:
    ask(harness, "slide", harness.scene.walk.start, mask=mask_of(harness, *PLACE), angles=[angle])


def test_a_wish_is_a_slider_with_the_deviations_along_it(harness, engine):
    wish(harness)
    rolls, strip, drawn = engine.explored
    assert [type(roll) for (roll,) in rolls.variants] == [Reroll] * NUM_ROLLS
    assert (rolls.wish, rolls.aim) == (Roughness(), True)
    assert (strip.wish, len(strip.variants), drawn.wish) == (Roughness(), 7, None)
    walk = harness.scene.walk
    assert (walk.kind, walk.count, walk.sliders.angles) == ("wish", 1, (0,))
    (only,) = walk.sliders.strips
    assert only.ends == ("smoother", "rougher")
    assert len(only.deviations) == len(ANGLES)
    assert "A slider from smoother to rougher" in harness.status
    assert not harness.session.can_undo


def test_each_move_gets_a_verdict_and_can_be_kept(harness, engine):
    wish(harness, type="brightness")
    slide(harness, 60)
    assert engine.explored[-1].wish == Brightness()
    assert " sd " in harness.status
    assert "matches the input (61 dB)" in harness.status
    assert "Enter keeps it" in harness.status
    [way] = harness.scene.walk.ids
    ask(harness, "accept", way)
    assert harness.scene.explored == way
    assert type(harness.session.view.explored.state.recipe.operations[-1]) is Slide
    harness.fire(harness.page.undo)
    assert harness.scene.explored is None


def test_without_a_place_or_with_nonsense_nothing_is_drawn(harness, engine):
    ask(harness, "wish", "s1", mask=None, wish={"type": "roughness"})
    assert "No region is selected" in harness.status
    wish(harness, type="stripes", period=1, direction=0)
    assert "period" in harness.status
    wish(harness, type="wealth")
    assert "wealth" in harness.status
    ask(harness, "roll", "s1", mask=mask_of(harness, *PLACE), wish={"type": "roughness"})
    assert "reload" in harness.status
    assert engine.explored == []


def scale(wish: Brightness | Roughness) -> WishScale:
    aim = Aim(weights=(1,), mean=10.0, deviation=2.0, present=10.0, log_probs=tuple(map(float, range(-20, 0))))
    return WishScale(wish=wish, aim=aim, deviations=(0.0,) * 7)


@pytest.mark.parametrize(
    ("measured", "log_prob", "words"),
    [
        (12.0, -10.0, ["1.0 sd rougher", "76 dB", "100 % of 20 versions"]),
        (
            5.0,
            -60.0,
            ["2.5 sd smoother", "beyond what is likely", "more unusual than all"],
        ),
    ],
)
def test_the_verdict_in_words(measured: float, log_prob: float, words: list[str]) -> None:
    place = {"number": 0, "left": 0, "top": 0, "patch": None, "flags": (), "recipe": None, "seconds": 0.0}
    variant = Variant(**place, lr_psnr=76.2, log_prob=log_prob, measured=measured)
    told = wish_verdict(scale(Roughness()), variant)
    assert all(word in told for word in words), told
    assert ("beyond" in told) == (measured == 5.0)


def test_texts_are_shown_with_what_the_input_says_of_them(harness, engine):
    ask(harness, "texts", "s1", mask=mask_of(harness, *PLACE), texts=["3", "8"])
    walk = harness.scene.walk
    pictures = {one.id: one for one in harness.scene.pictures}
    assert [pictures[name].label for name in walk.ids] == ["“3” fits", "“8” ruled out"]
    assert "“3” fits; it rules out “8”, provided that the picture shows one of the texts" in harness.status
    assert "one of them may still seem to fit" in harness.status
    assert (pixels(pictures[walk.ids[1]].path)[2 * 4 : 15 * 4, 2 * 4 : 18 * 4] == 10).all()
    assert "one letter" not in harness.status
    ask(harness, "accept", walk.ids[0])
    assert "cannot be explored further" in harness.status
    ask(harness, "texts", "s1", mask=mask_of(harness, *PLACE), texts=["TO", "GO"])
    assert "Words that differ in one letter can seldom be told apart" in harness.status
    ask(harness, "texts", "s1", mask=None, texts=["3", "8"])
    assert "No region is selected" in harness.status


def test_pieces_of_pictures_are_compared_in_the_size_of_the_place(harness, engine):
    mask = mask_of(harness, 2, 2, 8, 7)
    sources = [{"id": "s1", "box": [6, 2, 14, 10]}, {"id": "s2", "box": [0, 0, 8, 8]}]
    ask(harness, "pieces", "s1", mask=mask, sources=sources)
    [pieces] = engine.compared
    all_pixels = {one.id: pixels(one.path) for one in harness.scene.pictures}
    assert np.array_equal(pieces[0], all_pixels["s1"][3 * 4 : 8 * 4, 7 * 4 : 13 * 4]), "about the source's middle"
    assert np.array_equal(pieces[1], all_pixels["s2"][1 * 4 : 6 * 4, 1 * 4 : 7 * 4])
    walk = harness.scene.walk
    pictures = {one.id: one for one in harness.scene.pictures}
    assert walk.kind == "pieces"
    assert [pictures[name].label for name in walk.ids] == ["Piece 1 fits", "Piece 2 ruled out"]
    assert "Piece 1 fits; it rules out Piece 2, provided that the picture shows one of the pieces" in harness.status
    assert "if the right one was not tried" in harness.status
    ask(harness, "pieces", "s1", mask=None, sources=sources)
    assert "No region is selected" in harness.status
    ask(harness, "pieces", "s1", mask=mask, sources=[sources[0], {"id": "gone", "box": [0, 0, 8, 8]}])
    assert "Only samples" in harness.status
    assert len(engine.compared) == 1


def sent(name: str, picture: Image.Image) -> dict[str, str]:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return {"name": name, "file": base64.b64encode(file.getvalue()).decode()}


def test_files_are_tried_in_the_size_of_the_place_with_pieces_or_without(harness, engine, monkeypatch):
    monkeypatch.setattr(engine, "read_picture", lambda file, most=MAX_PIXELS: load_picture(file, max_pixels=most))
    mask = mask_of(harness, 2, 2, 8, 7)
    half = Image.new("RGBA", (12, 10), (200, 0, 0, 0))  # of the place's size; transparent: white
    files = [sent("glass.png", half), sent("grey.png", Image.new("L", (60, 40), 90))]
    ask(harness, "pieces", "s1", mask=mask, sources=[*files, {"id": "s1", "box": [6, 2, 14, 10]}])
    [[glass, grey, piece]] = engine.compared
    assert glass.shape == grey.shape == piece.shape == (20, 24, 3)
    assert (glass == 255).all()
    assert (grey == 90).all()
    assert "“glass.png” fits; it rules out “grey.png”, Piece 3" in harness.status
    assert "“glass.png” was scaled from 12×10." in harness.status
    assert "“grey.png” was scaled from 60×40, its edges cut off." in harness.status
    labels = {one.id: one.label for one in harness.scene.pictures}
    assert labels[harness.scene.walk.ids[0]] == "“glass.png” fits"
    broken = {"name": "a.png", "file": base64.b64encode(b"no picture").decode()}
    ask(harness, "pieces", "s1", mask=mask, sources=[files[0], broken])
    assert "“a.png” cannot be tried." in harness.status
    ask(harness, "pieces", "s1", mask=mask, sources=[files[0], sent("thin.png", Image.new("L", (90, 2)))])
    assert "“thin.png” cannot be tried. The picture is 90×2" in harness.status
    assert len(engine.compared) == 1


def test_a_piece_stays_inside_the_picture():
    mask = Mask(20, 16, (3, 3, 13, 9), (255, 60))
    assert piece_at(SourcePlace("a", (0, 0, 8, 8)), mask).box == (0, 1, 10, 7)
    assert piece_at(SourcePlace("a", (12, 8, 20, 16)), mask).box == (10, 9, 20, 15)
    assert piece_at(SourcePlace("a", (12, 15, 13, 16)), mask).box == (7, 10, 17, 16)

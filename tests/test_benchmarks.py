"""The baseline of the benchmarks computes the same function as the model, or times could not be compared."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy
from PIL import Image

from benchmarks import pieces, report, words
from benchmarks.crop_sheet import Place, read_places, row, surroundings
from benchmarks.lettering import CHECKED_ON, CHOSEN_ON, Case, choose, confused, font_file, lettered
from benchmarks.lettering import row as lettering_row
from benchmarks.plain import PlainSampler
from benchmarks.report import interleaved, machine, table
from scripts.draw_tools import place_mask, sheet


@pytest.mark.parametrize("name", ["srflow-da-x4", "srflow-da-r-x8", "srflow-da-r-x4-compact", "srflow-da-s-x4"])
def test_the_plain_way_gives_the_pictures_of_the_model(name: str) -> None:
    model = make_toy(name, torch.float32)
    lr = torch.rand(1, 3, 5, 6)
    latents = model.draw_latents(5, 6, seed=3) * 0.7
    with torch.no_grad():
        expected = model.decode(latents, model.condition(lr))
    torch.testing.assert_close(PlainSampler(model).sample(lr, list(latents)), expected, rtol=1e-4, atol=1e-4)


def test_it_says_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="srflow-x4"):
        PlainSampler(make_toy("srflow-x4", torch.float32))


def test_works_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    medians = interleaved({name: lambda name=name: calls.append(name) for name in "ab"}, 3)
    assert calls == list("abababab")
    assert all(0 <= median < 1 for median in medians.values())


def test_tables() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_results_say_which_source_was_measured_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "source_commit", lambda: "0123abcd+changes")
    assert re.search(r"PyTorch \S+; commit 0123abcd\+changes, 20\d\d-\d\d-\d\d$", machine())
    monkeypatch.setattr(report, "source_commit", lambda: None)
    assert "commit unknown" in machine()


@pytest.mark.parametrize(("left", "top"), [(0, 0), (40, 64), (104, 160)])
def test_a_place_is_found_in_its_surroundings_wherever_it_lies(left: int, top: int) -> None:
    picture = np.random.default_rng(0).integers(256, size=(256, 200, 3), dtype=np.uint8)
    around, rows, columns = surroundings(picture, Place("a", "b", left, top))
    np.testing.assert_array_equal(around[rows, columns], picture[top : top + 96, left : left + 96])
    assert all(side % 8 == 0 for side in around.shape[:2])  # whole LR pixels at x4 and x8


def test_a_row_of_a_card_s_sheet_shows_truth_bicubic_and_samples_of_both_weights() -> None:
    model, before = (make_toy("srflow-da-r-x8-compact", torch.float32) for _ in range(2))
    picture = np.full((96, 96, 3), 90, np.uint8)
    crops = row(picture, Place("a", "b", 0, 0), model, before, None)
    assert [crop.shape for crop in crops] == [(96, 96, 3)] * 6
    np.testing.assert_array_equal(crops[0], picture)
    np.testing.assert_array_equal(crops[1], picture)
    assert (crops[3] != crops[4]).any()
    assert row(picture, Place("a", "b", 0, 0), model, None, None)[2].shape == (96, 96, 3)


def test_the_places_of_the_cards_are_ten() -> None:
    places = read_places(Path(report.__file__).with_name("crops.toml"))
    assert len({place.name for place in places}) == 10


@pytest.mark.parametrize("scale", [4, 8])
def test_the_box_about_a_character_holds_it_and_is_large_enough_to_ask_of(scale: int) -> None:
    random = np.random.default_rng(0)
    for name in (*CHOSEN_ON, *CHECKED_ON):
        for text, height in (("I", 2.0), ("W", 9.0)):
            ground = np.full((32 * scale, 32 * scale, 3), 120.0)
            picture, (left, top, right, bottom) = lettered(text, font_file(name), height, scale, ground, random)
            rows, columns = np.nonzero((picture != 120).any(2))
            assert left * scale <= columns.min() <= columns.max() < right * scale
            assert top * scale <= rows.min() <= rows.max() < bottom * scale
            assert np.ptp(rows) + 1 == pytest.approx(height * scale, abs=2)
            assert min(right - left, bottom - top) >= 4
    assert not set(CHOSEN_ON) & set(CHECKED_ON)
    with pytest.raises(FileNotFoundError, match="no font Nowhere"):
        font_file("Nowhere")


def test_thresholds_rule_out_no_more_of_the_right_ones_than_they_may() -> None:
    cases = [Case(5.0, "AB", np.array([1 + number / 50, 1.0]), np.array([number / 400, 0.5])) for number in range(200)]
    factor, unexplained = choose(cases)  # of 200, a half of 1 % is one: that of 4.98 may go, that of 4.96 not
    assert factor == 5.0
    assert unexplained == pytest.approx(0.5, abs=0.01)
    kept = Case(5.0, "ABC", np.array([2.0, 1.0, 3.1]), np.array([0.2, 0.9, 0.1]))
    assert kept.left_over(2.5, 0.8).tolist() == [True, False, False]
    assert kept.left_over(4.0, 0.8, without_truth=True).tolist() == [False, True]
    assert lettering_row("a", [kept], 4.0, 0.8)[2:5] == ("0.0 %", "50.0 %", "0.0 %")
    assert dict(confused([kept], 4.0, 0.8))["A"] == "C 1/1"


def test_a_sheet_of_the_documentation_shows_its_pictures_side_by_side(tmp_path: Path) -> None:
    assert place_mask((20, 30, 3), (4, 5, 9, 8)).support == (4, 5, 9, 8)
    sheet(
        [("red", np.full((3, 5, 3), (255, 0, 0), np.uint8)), ("dark", np.zeros((4, 4, 3), np.uint8))],
        tmp_path / "a.png",
    )
    drawn = np.asarray(Image.open(tmp_path / "a.png"))
    assert drawn[80, 80].tolist() == [255, 0, 0]
    assert drawn[80, 240].tolist() == [0, 0, 0]
    assert (drawn[:8] == 255).all()
    assert (drawn[160:, :158] < 128).any(), "its words"


def test_wrong_words_differ_in_one_letter_or_are_any() -> None:
    for seed in range(20):
        there, *others = words.words(np.random.default_rng(seed))
        assert len({there, *others}) == 1 + words.NEAR + words.FAR
        assert {len(each) for each in others} == {len(there)}
        assert 2 <= len(there) <= 5
        near = [sum(a != b for a, b in zip(there, each, strict=True)) for each in others[: words.NEAR]]
        assert near == [1] * words.NEAR


def test_pieces_that_look_alike_are_found_and_photographed_again() -> None:
    random = np.random.default_rng(0)
    noise = random.integers(60, 200, (24, 24, 3)).astype(np.uint8)
    own, other = (np.kron(each, np.ones((4, 4, 1), np.uint8)) for each in (noise, 255 - noise))
    there = (5, 6, 13, 14)
    again = pieces.as_photographed(own, there, 4, random)
    assert again.shape == (32, 32, 3)
    crop = own[24:56, 20:52].astype(float)
    assert np.corrcoef(again.ravel().astype(float), crop.ravel())[0, 1] > 0.4
    picture, place = pieces.most_alike([own // 2, other], own, there, 4, random)[0]
    likeness = (pieces.small(own, there, 4) * pieces.small(picture, place, 4)).sum()
    anywhere = [pieces.elsewhere_in([own, other], there, 4, random) for _ in range(20)]
    assert likeness > np.median([(pieces.small(own, there, 4) * pieces.small(*each, 4)).sum() for each in anywhere])
    assert pieces.small(own, there, 4).mean() == pytest.approx(0, abs=1e-9)
    assert np.square(pieces.small(own, there, 4)).sum() == pytest.approx(1)
    for overlapping in (place for picture, place in pieces.most_alike([own], own, there, 4, random)):
        assert any(abs(overlapping[axis] - there[axis]) >= 8 for axis in (0, 1))

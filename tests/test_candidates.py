"""Could it be …? Candidates with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from srflow.contract import InputError
from srflow.images import bicubic_downscale, downscale_uint8, upscale_uint8
from srflow.operations import Mask
from srflow.sampling import engine as engine_module
from srflow.sampling.engine import SamplingEngine
from srflow.steering.candidates import (
    CHARACTERS,
    MAX_CANDIDATES,
    RULED_OUT,
    WORDS,
    Candidate,
    Limits,
    _moved,
    _reductions,
)
from srflow.steering.candidates import judge as judge_versions
from srflow.steering.crops import fit_crop
from srflow.steering.lettering import draw_versions

BOX = (4, 4, 12, 12)
PLACE = np.s_[16:48, 16:48]


def glyph(kind: int, side: int = 32) -> np.ndarray:
    """A few shapes, uint8 (side, side, 3)."""
    rows, columns = np.mgrid[:side, :side]
    shapes = [
        np.abs(columns - 16) < 4,
        np.abs(rows - 16) < 4,
        np.hypot(rows - 16, columns - 16) < 10,
        np.abs(rows - columns) < 5,
    ]
    return np.repeat(np.where(shapes[kind], 210, 60).astype(np.uint8)[..., None], 3, 2)


def judge(
    lr: np.ndarray, picture: np.ndarray, box: tuple[int, int, int, int], candidates: list, scale: int, **options: bool
) -> tuple[Candidate, ...]:
    """Of candidates with one picture each."""
    return judge_versions(lr, picture, box, [[each] for each in candidates], scale, **options)


def scene(kind: int) -> tuple[np.ndarray, np.ndarray]:
    """The LR picture of a glyph on a textured ground, and a super-resolution that knows nothing of it."""
    hr = np.random.default_rng(kind).integers(50, 70, (64, 64, 3), dtype=np.uint8)
    hr[PLACE] = glyph(kind)
    lr = downscale_uint8(hr, 4)
    return lr, upscale_uint8(lr, 4)


@pytest.mark.parametrize("kind", range(4))
def test_what_was_there_fits_and_the_others_are_ruled_out(kind: int) -> None:
    lr, picture = scene(kind)
    best, *others = judge(lr, picture, BOX, [glyph(each) for each in range(4)], 4)
    assert (best.number, best.ruling) == (kind, "fits")
    assert {each.ruling for each in others} == {"ruled out"}
    assert best.residual < min(each.residual for each in others) / RULED_OUT


def test_another_brightness_contrast_and_place_are_allowed_for() -> None:
    lr, picture = scene(2)
    other = np.roll(glyph(2), (1, -2), (0, 1)).astype(float) * 0.5 + np.array([20, 40, 60])
    best, *_ = judge(lr, picture, BOX, [glyph(0), other.astype(np.uint8), glyph(3)], 4)
    assert (best.number, best.ruling, best.shift) == (1, "fits", (-1, 2))
    assert best.gain == pytest.approx(2, rel=0.1)


def test_a_negative_is_another_candidate() -> None:
    lr, picture = scene(2)
    best, negative = judge(lr, picture, BOX, [255 - glyph(2), glyph(2)], 4)
    assert (best.number, negative.ruling) == (1, "ruled out")
    for each in judge(lr, picture, BOX, [255 - glyph(2), glyph(2)], 4, or_negative=True):
        assert each.ruling == "cannot tell"
        assert each.gain * (1 if each.number else -1) == pytest.approx(1, rel=0.1)


def test_of_several_versions_the_best_one_counts() -> None:
    lr, picture = scene(2)
    best, _ = judge_versions(lr, picture, BOX, [[glyph(0), glyph(3)], [glyph(1), glyph(2)]], 4)
    assert (best.number, best.version, best.ruling) == (1, 1, "fits")
    assert np.abs(best.pixels.astype(int) - glyph(2)).mean() < 12
    with pytest.raises(InputError, match="no picture"):
        judge_versions(lr, picture, BOX, [[], [glyph(0)]], 4)


def test_alike_ones_cannot_be_told_apart() -> None:
    lr, picture = scene(1)
    nearly = glyph(1).copy()
    nearly[3, 3] += 20
    judged = judge(lr, picture, BOX, [glyph(0), nearly, glyph(1)], 4)
    assert {each.number: each.ruling for each in judged} == {0: "ruled out", 1: "cannot tell", 2: "cannot tell"}


def test_where_none_explains_the_input_all_are_ruled_out() -> None:
    lr, picture = scene(0)
    noise = np.random.default_rng(9).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    assert [each.ruling for each in judge(lr, picture, BOX, list(noise), 4)] == ["ruled out"] * 2


def test_what_cannot_be_compared_is_refused() -> None:
    lr, picture = scene(0)
    two = [glyph(0), glyph(1)]
    with pytest.raises(InputError, match="2 to 10"):
        judge(lr, picture, BOX, two[:1], 4)
    with pytest.raises(InputError, match="11 candidates"):
        judge(lr, picture, BOX, [glyph(0)] * (MAX_CANDIDATES + 1), 4)
    with pytest.raises(InputError, match="region's size"):
        judge(lr, picture, BOX, [glyph(0), glyph(1, 28)], 4)
    with pytest.raises(InputError, match="3x8"):
        judge(lr, picture, (4, 4, 7, 12), two, 4)
    with pytest.raises(InputError, match=r"at x4 that of this LR picture"):
        judge(lr, picture[:-4], BOX, two, 4)
    with pytest.raises(InputError, match="not within"):
        judge(lr, picture, (12, 4, 20, 12), two, 4)
    flat = np.full_like(lr, 90)
    with pytest.raises(InputError, match="says nothing"):
        judge(flat, upscale_uint8(flat, 4), BOX, two, 4)


@pytest.mark.parametrize("truth", ["3", "E", "B7"])
def test_lettering_is_told_whatever_its_size_and_polarity(truth: str) -> None:
    texts = ["3", "E", "B7", "X"]
    own = draw_versions(truth, 32, 32)[2]
    hr = np.full((64, 64, 3), own[0, 0], np.uint8)
    hr[PLACE] = own
    for picture in (hr, 255 - hr):
        lr = downscale_uint8(picture, 4)
        candidates = [draw_versions(text, 32, 32) for text in texts]
        best, *others = judge_versions(lr, upscale_uint8(lr, 4), BOX, candidates, 4, or_negative=True)
        assert (texts[best.number], best.ruling, best.version) == (truth, "fits", 2)
        assert "fits" not in {each.ruling for each in others}


def test_texts_that_cannot_be_drawn_are_refused() -> None:
    for text in ("", "  ", "a" * 13, 7):
        with pytest.raises(InputError, match="1 to 12 characters"):
            draw_versions(text, 32, 32)
    with pytest.raises(InputError, match="has no 'Ж'"):
        draw_versions("AЖ", 32, 32)


@pytest.mark.parametrize("low", [0, 4])
def test_moving_and_scaling_down_at_once_is_doing_one_after_the_other(low: int) -> None:
    scale, reach = 8, range(-4, 5)
    rows, columns = _reductions(low, low + 5, 13, scale, reach), _reductions(4, 10, 14, scale, reach)
    candidate = np.random.default_rng(0).integers(0, 256, (5 * scale, 6 * scale, 3)).astype(np.uint8)
    for down, right in ((0, 0), (-4, 3), (2, -1)):
        laid = torch.zeros(1, 3, 13 * scale, 14 * scale, dtype=torch.float64)
        moved = torch.from_numpy(_moved(candidate, (down, right)).astype(np.float64)).permute(2, 0, 1)
        laid[0, :, low * scale : (low + 5) * scale, 4 * scale : 10 * scale] = moved
        expected = bicubic_downscale(laid, scale)[0].permute(1, 2, 0).numpy()[low : low + 5, 4:10]
        found = np.einsum("hi,ijc,wj->hwc", rows[down + 4], candidate.astype(float), columns[right + 4])
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_pictures_are_taken_as_they_are_and_texts_as_their_negatives_too() -> None:
    lr, picture = scene(2)
    place = np.zeros(lr.shape[:2], np.uint8)
    place[4:12, 4:12] = 255
    engine, mask = SamplingEngine("cpu", "float32"), Mask.from_array(place)
    found = engine.could_be(lr, picture, mask, [255 - glyph(2), glyph(2), glyph(0)], "srflow-da-r-x4-compact")
    assert [(each.number, each.ruling) for each in found[:1]] == [(1, "fits")]
    assert min(each.gain for each in found) > 0
    negative = np.ascontiguousarray(255 - lr), np.ascontiguousarray(255 - picture)
    both = [engine.could_be(*each, mask, ["O", "I"], "srflow-da-r-x4-compact") for each in ((lr, picture), negative)]
    assert [found[0].number for found in both] == [0, 0]
    assert both[0][0].gain > 0 > both[1][0].gain


def test_a_file_of_another_size_is_scaled_to_the_place_and_is_what_was_there() -> None:
    lr, picture = scene(2)
    large = np.repeat(np.repeat(glyph(2), 3, 0), 3, 1)
    sides = np.pad(large, ((0, 0), (40, 40), (0, 0)))  # cut off again
    fitted, note = fit_crop(sides, 32, 32)
    assert note == "scaled from 176×96, its edges cut off"
    assert np.abs(fitted.astype(int) - glyph(2)).mean() < 3, "Lanczos rings a little at edges"
    best, *others = judge(lr, picture, BOX, [glyph(0), fitted, glyph(3)], 4)
    assert (best.number, best.ruling) == (1, "fits")
    assert {each.ruling for each in others} == {"ruled out"}


def test_a_file_of_the_place_s_size_is_taken_as_it_is() -> None:
    own = glyph(1)
    fitted, note = fit_crop(own, 32, 32)
    assert np.array_equal(fitted, own)
    assert note == ""
    assert fit_crop(own[:20, :30], 40, 60)[1] == "scaled from 30×20"
    flat = np.full((17, 90, 3), 77, np.uint8)
    assert (fit_crop(flat, 32, 20)[0] == 77).all()
    ramp = np.repeat(np.repeat(np.arange(128, dtype=np.uint8)[None, :, None], 128, 0), 3, 2)
    middle = fit_crop(ramp, 32, 32)[0][16, 4:-4, 0].astype(float)
    np.testing.assert_allclose(middle, np.arange(4, 28) * 4 + 1.5, atol=0.5)  # the mean of the four under each pixel


def test_files_that_cannot_fill_the_place_are_refused() -> None:
    with pytest.raises(InputError, match=r"50×3; .* 3.0 pixels remain on a side; 4"):
        fit_crop(np.zeros((3, 50, 3), np.uint8), 32, 32)
    for wrong in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32), np.zeros((9, 9, 4), np.uint8)):
        with pytest.raises(InputError, match="colour picture of 8 bits"):
            fit_crop(wrong, 32, 32)


def test_words_are_drawn_in_several_widths_and_single_characters_in_one() -> None:
    def columns(picture: np.ndarray) -> int:
        return int((picture[..., 0] > 130).any(0).sum())

    assert len(draw_versions("A", 32, 64)) == 5
    narrow, own, wide = (columns(each) for each in draw_versions("AB", 32, 96)[2::5])
    assert narrow / own == pytest.approx(0.8, abs=0.08)
    assert wide / own == pytest.approx(1.25, abs=0.08)


def test_words_have_limits_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    lr, picture = scene(2)
    place = np.zeros(lr.shape[:2], np.uint8)
    place[4:12, 4:12] = 255
    given = []
    monkeypatch.setattr(engine_module, "judge", lambda *_, limits, **__: given.append(limits))
    engine, mask = SamplingEngine("cpu", "float32"), Mask.from_array(place)
    for candidates in (["O", "I"], ["O", "IT"], [glyph(0), glyph(1)]):
        engine.could_be(lr, picture, mask, candidates, "srflow-da-r-x4-compact")
    assert given == [CHARACTERS, WORDS, CHARACTERS]
    first = judge_versions(lr, picture, BOX, [[glyph(0)], [glyph(3)]], 4, limits=Limits(1e9, 1e9))
    assert {each.ruling for each in first} == {"cannot tell"}

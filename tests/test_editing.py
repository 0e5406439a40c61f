"""Edits: what the input contradicts goes, what is left is judged against samples, and the recipe draws it again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.contract import (
    Cancelled,
    EditRequest,
    InputError,
    SampleRecipe,
    SampleRequest,
    SampleResult,
    Variant,
    Verdict,
)
from srflow.images import downscale_uint8, upscale_uint8
from srflow.operations import Given, Heat, Mask, Reroll
from srflow.pictures import load_image
from srflow.sampling import editing
from srflow.sampling.editing import find_mask
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.weighing import Scales, Weighed, Yardsticks

CAT = Path(__file__).resolve().parents[1] / "assets" / "examples" / "cat.png"
PLACE = slice(36, 76), slice(40, 84)  # HR


@pytest.fixture(scope="module")
def engine() -> SamplingEngine:
    return SamplingEngine("cpu", "float32")


@pytest.fixture(scope="module")
def lr() -> np.ndarray:
    return downscale_uint8(load_image(CAT)[80:208, 60:188], 4)


@pytest.fixture(scope="module")
def drawn(engine: SamplingEngine, lr: np.ndarray) -> SampleResult:
    return draw(engine, SampleRequest(lr=lr, num_samples=1, seed=3, summaries=False))


def draw(engine: SamplingEngine, request: SampleRequest) -> SampleResult:
    [result] = [event for event in engine.sample(request) if isinstance(event, SampleResult)]
    return result


def edit(
    engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, picture: np.ndarray, mask: Mask | None = None
) -> tuple[Variant, Variant, Verdict]:
    events = list(engine.edit(EditRequest(lr=lr, recipe=recipe, picture=picture, mask=mask)))
    consistent, natural = [event for event in events if isinstance(event, Variant)]
    verdict = events[-1]
    assert isinstance(verdict, Verdict)
    return consistent, natural, verdict


def laid_in(picture: np.ndarray, variant: Variant) -> np.ndarray:
    result = picture.copy()
    height, width = variant.patch.shape[:2]
    result[variant.top : variant.top + height, variant.left : variant.left + width] = variant.patch
    return result


def brighter(picture: np.ndarray) -> np.ndarray:
    result = picture.copy()
    result[PLACE] = np.clip(result[PLACE].astype(int) + 40, 0, 255)
    return result


def test_brightness_is_measured_and_not_left_to_anybody(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult
) -> None:
    consistent, natural, verdict = edit(engine, lr, drawn.recipe, brighter(drawn.picture))
    assert verdict.drawn_lr_psnr < 35, "as drawn it contradicts the input"
    assert min(consistent.lr_psnr, natural.lr_psnr) > 60
    assert max(map(abs, verdict.kept)) < 0.1
    assert abs(verdict.deviations[1]) < 4
    assert verdict.mask.support == (10, 9, 21, 19)
    assert verdict.unusual.shape == (10, 11)


def test_a_piece_of_another_sample_stays_and_is_found_usual(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult
) -> None:
    other = draw(engine, SampleRequest(lr=lr, num_samples=1, seed=11, summaries=False))
    picture = drawn.picture.copy()
    picture[PLACE] = other.picture[PLACE]
    consistent, _, verdict = edit(engine, lr, drawn.recipe, picture)
    assert verdict.kept[0] > 0.8
    assert abs(verdict.deviations[0]) < 4, "samples are usual"
    assert verdict.unusual.max() < 12
    inside = slice(44, 68), slice(48, 76)  # where nothing is faded
    error = laid_in(drawn.picture, consistent)[inside].astype(float) - picture[inside]
    change = drawn.picture[inside].astype(float) - picture[inside]
    assert np.sqrt(np.square(error).mean()) < 0.2 * np.sqrt(np.square(change).mean())


def test_a_second_edit_of_a_place_is_compared_with_the_same_samples(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed: list[int] = []
    original = Scales.weigh

    def counting(scales: Scales, crops: Sequence[np.ndarray]) -> list[Weighed]:
        weighed.append(len(crops))
        return original(scales, crops)

    monkeypatch.setattr(Scales, "weigh", counting)
    mask = find_mask(drawn.picture, brighter(drawn.picture), 4)
    monkeypatch.setattr(engine, "_yardsticks", Yardsticks())
    first = edit(engine, lr, drawn.recipe, brighter(drawn.picture), mask)
    assert weighed.count(editing.NUM_SAMPLES) == 1
    again = edit(engine, lr, drawn.recipe, brighter(drawn.picture), mask)
    assert weighed.count(editing.NUM_SAMPLES) == 1, "from before"
    assert again[2].deviations == first[2].deviations
    edit(engine, lr, drawn.recipe, 255 - drawn.picture)
    assert weighed.count(editing.NUM_SAMPLES) == 2, "another place has samples of its own"


def test_noise_is_found_implausible_and_made_natural(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult
) -> None:
    picture = drawn.picture.copy()
    noise = np.random.default_rng(0).normal(0, 25, picture[PLACE].shape)
    picture[PLACE] = np.clip(picture[PLACE] + noise, 0, 255).astype(np.uint8)
    _, natural, verdict = edit(engine, lr, drawn.recipe, picture)
    assert verdict.deviations[0] < -20
    assert verdict.plausibility[0] == 0
    assert verdict.unusual.min() > 5, "all of it"
    assert -4 < verdict.deviations[1] < 4
    assert 0 < verdict.kept[1] < verdict.kept[0]
    assert natural.recipe.operations[-1].origin == "natural edit"


def test_outside_of_the_edit_no_pixel_changes_and_the_recipe_draws_it_again(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult
) -> None:
    mask = Mask.from_array(np.pad(np.full((10, 11), 255, np.uint8), ((9, 13), (10, 11))))
    rolled = replace(drawn.recipe, operations=(Reroll(mask, 1, 0),))
    before = draw(engine, SampleRequest.from_recipe(rolled, lr, summaries=False)).picture
    for variant in edit(engine, lr, rolled, brighter(before))[:2]:
        picture = laid_in(before, variant)
        changed = (picture != before).any(-1)
        changed[9 * 4 - 12 : 19 * 4 + 12, 10 * 4 - 12 : 21 * 4 + 12] = False
        assert not changed.any()
        assert [type(each) for each in variant.recipe.operations] == [Reroll, Given]
        again = SampleRecipe.from_json(variant.recipe.to_json())
        np.testing.assert_array_equal(draw(engine, SampleRequest.from_recipe(again, lr)).picture, picture)


def test_a_chosen_place_bounds_the_edit(engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult) -> None:
    mask = Mask.from_array(np.pad(np.full((4, 4), 255, np.uint8), ((12, 16), (12, 16))))
    picture = 255 - drawn.picture  # all of it was changed
    consistent, _, verdict = edit(engine, lr, drawn.recipe, picture, mask)
    assert verdict.mask.support == mask.support
    changed = (laid_in(drawn.picture, consistent) != drawn.picture).any(-1)
    changed[12 * 4 - 12 : 16 * 4 + 12, 12 * 4 - 12 : 16 * 4 + 12] = False
    assert not changed.any()


def test_edits_at_the_edge_of_a_padded_picture(engine: SamplingEngine, lr: np.ndarray) -> None:
    small = lr[:25, :27]
    before = draw(engine, SampleRequest(lr=small, num_samples=1, seed=3, summaries=False))
    picture = before.picture.copy()
    picture[-6:, -9:] = 255
    consistent, _, verdict = edit(engine, small, before.recipe, picture)
    assert verdict.mask.support == (24, 23, 27, 25)
    assert consistent.lr_psnr > 55


def test_what_is_no_edit_is_refused(engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult) -> None:
    def ask(picture: np.ndarray, **changes: object) -> None:
        list(engine.edit(EditRequest(**{"lr": lr, "recipe": drawn.recipe, "picture": picture} | changes)))

    with pytest.raises(InputError, match="same as before"):
        ask(drawn.picture)
    with pytest.raises(InputError, match="128x128"):
        ask(drawn.picture[:-4])
    with pytest.raises(InputError, match="128x128"):
        ask(drawn.picture.astype(np.uint16))
    with pytest.raises(InputError, match="mask is for a picture of 9x9"):
        ask(brighter(drawn.picture), mask=Mask.from_array(np.full((9, 9), 255, np.uint8)))
    cold = replace(drawn.recipe, operations=(Heat(0.0),))
    with pytest.raises(InputError, match="Raise the temperature"):
        ask(brighter(drawn.picture), recipe=cold)


def test_an_edit_that_is_too_large_is_refused_before_anything_is_drawn(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editing, "MAX_GIVEN", 1000)
    monkeypatch.setattr(editing, "to_usual", None)
    with pytest.raises(InputError, match="about 4x4 can be carried"):
        list(engine.edit(EditRequest(lr=lr, recipe=drawn.recipe, picture=255 - drawn.picture)))


def test_an_edit_can_be_stopped(engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult) -> None:
    cancel = threading.Event()
    events = engine.edit(EditRequest(lr=lr, recipe=drawn.recipe, picture=brighter(drawn.picture)), cancel)
    next(events)
    cancel.set()
    with pytest.raises(Cancelled):
        list(events)


def test_the_place_of_an_edit_is_found_by_comparing() -> None:
    before = np.zeros((16, 24, 3), np.uint8)
    after = before.copy()
    after[5, 9, 2] = 1
    assert find_mask(before, after, 4).support == (2, 1, 3, 2)


def test_what_is_too_flat_is_made_natural_too(engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult) -> None:
    picture = drawn.picture.copy()
    picture[PLACE] = upscale_uint8(downscale_uint8(picture, 4), 4)[PLACE]  # as the input has it, without any detail
    _, _, verdict = edit(engine, lr, drawn.recipe, picture)
    assert verdict.deviations[0] > 3
    assert abs(verdict.deviations[1]) < verdict.deviations[0]
    assert editing._first_usual([-30.0, 12.0, 1.5, 0.0], [-1.0, 0.0, 1.0, 0.0]) == 2
    assert editing._first_usual([12.0, 9.0, 5.0], [-1.0, 0.0, 1.0, 0.0]) == 2
    assert editing._first_usual([-12.0, -9.0, -15.0], [-1.0, 0.0, 1.0, 0.0]) == 1


def test_how_softly_the_place_was_painted_changes_no_verdict(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult
) -> None:
    array = np.pad(np.ones((10, 11), np.uint8), ((9, 13), (10, 11)))
    soft, full = (
        edit(engine, lr, drawn.recipe, brighter(drawn.picture), Mask.from_array(array * value))[2] for value in (5, 255)
    )
    assert soft.deviations == pytest.approx(full.deviations)
    assert soft.kept == pytest.approx(full.kept)


def test_a_cold_place_nearby_forbids_nothing(engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult) -> None:
    cold = Mask.from_array(np.pad(np.full((4, 11), 255, np.uint8), ((22, 6), (10, 11))))
    recipe = replace(drawn.recipe, operations=(Heat(0.0, cold),))
    before = draw(engine, SampleRequest.from_recipe(recipe, lr, summaries=False)).picture
    assert np.isfinite(edit(engine, lr, recipe, brighter(before))[2].deviations).all()


def test_a_recipe_that_is_full_takes_no_edit(engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult) -> None:
    full = replace(drawn.recipe, operations=(Heat(0.9),) * 255)
    picture = draw(engine, SampleRequest.from_recipe(full, lr, summaries=False)).picture
    with pytest.raises(InputError, match="more than 256 operations"):
        edit(engine, lr, full, brighter(picture))


def test_edits_of_a_model_whose_latents_are_coarser_than_pixels(tmp_path: Path) -> None:
    """Its pictures are padded to even sides, and so are the latents of a place at the edge."""
    make_toy("srflow-x4", torch.float32).save_pretrained(tmp_path / "srflow-x4")
    engine = SamplingEngine("cpu", "float32", [tmp_path / "srflow-x4"])
    lr = np.random.default_rng(0).integers(90, 160, (21, 33, 3), dtype=np.uint8)
    before = draw(engine, SampleRequest(lr=lr, num_samples=1, seed=3, temperature=0.4, summaries=False))
    picture = before.picture.copy()
    picture[-20:, -4:] = 255
    consistent, _, _ = edit(engine, lr, before.recipe, picture)
    [given] = consistent.recipe.operations
    assert given.box == (32, 16, 34, 22)
    for level in given.levels():
        assert (np.sqrt(np.square(level).mean((0, 1))) > 0.01).all(), "no column is made up of zeros"
    again = SampleRecipe.from_json(consistent.recipe.to_json())
    redrawn = draw(engine, SampleRequest.from_recipe(again, lr, summaries=False)).picture
    np.testing.assert_array_equal(redrawn, laid_in(before.picture, consistent))


def test_lossy_files_are_edited_where_they_differ_much() -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(20, 200, (16, 24, 3), dtype=np.uint8)
    after = before + rng.integers(1, 8, before.shape, dtype=np.uint8)
    after[5, 9] += 40
    assert find_mask(before, after, 4).support == (2, 1, 3, 2)
    with pytest.raises(InputError, match="same as before"):
        find_mask(before, before + np.uint8(3), 4)

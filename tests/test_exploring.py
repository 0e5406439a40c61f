"""Exploring from a sample: only the place changes, the same list gives the same pixels again, and each step once."""

from __future__ import annotations

import dataclasses
import gc
import math
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.contract import (
    Aim,
    Cancelled,
    Comparison,
    Direction,
    Directions,
    ExploreRequest,
    InputError,
    MemoryBudgetError,
    OperationError,
    Progress,
    SampleRecipe,
    SampleRequest,
    SampleResult,
    SetSummary,
    Variant,
    Wish,
)
from srflow.evaluation.choosing import farthest, plausible, typical
from srflow.evaluation.directions import place_features
from srflow.evaluation.metrics import crop_ground_truth, crop_to_ground_truth, psnr
from srflow.evaluation.perceptual import pairwise_lpips
from srflow.images import downscale_uint8
from srflow.operations import Draw, Heat, Mask, Mix, Operation, Reroll, Sample, Slide
from srflow.pictures import load_image
from srflow.sampling import estimating, retouching
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.inference import InferenceModel
from srflow.sampling.regions import FEATHER, Region, feather
from srflow.steering.wishes import Brightness, Roughness

CAT = Path(__file__).resolve().parents[1] / "assets" / "examples" / "cat.png"
NAMES = ("srflow-da-r-x4-compact", "srflow-x4")
HEIGHT, WIDTH = 37, 41  # odd: padded for the model whose coarsest latents are at half the LR size


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = [tmp_path_factory.mktemp("models") / name for name in NAMES]
    for folder, name in zip(folders, NAMES, strict=True):
        make_toy(name, torch.float32).save_pretrained(folder)
    return folders


@pytest.fixture
def engine(folders: list[Path]) -> SamplingEngine:
    return SamplingEngine("cpu", "float32", folders)


@pytest.fixture(scope="module")
def shipped() -> SamplingEngine:
    return SamplingEngine("cpu", "float32")


@pytest.fixture(scope="module")
def lr() -> np.ndarray:
    return np.random.default_rng(0).integers(90, 160, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def brush(height: int = HEIGHT, width: int = WIDTH, middle: tuple[int, int] = (20, 15), radius: float = 4.5) -> Mask:
    """Round, soft at the edge."""
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - middle[0], columns - middle[1])
    return Mask.from_array((np.clip(radius - distance, 0, 1) * 255).astype(np.uint8))


def sample(engine: SamplingEngine, lr: np.ndarray, **changes: object) -> SampleResult:
    settings = {"num_samples": 1, "temperature": 0.4, "seed": 3, "summaries": False} | changes
    [result] = [event for event in engine.sample(SampleRequest(lr=lr, **settings)) if isinstance(event, SampleResult)]
    return result


def explore(
    engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, *variants: tuple[Operation, ...]
) -> list[Variant]:
    request = ExploreRequest(lr=lr, recipe=recipe, variants=variants)
    return [event for event in engine.explore(request) if isinstance(event, Variant)]


def replayed(engine: SamplingEngine, recipe: SampleRecipe, lr: np.ndarray) -> SampleResult:
    request = SampleRequest.from_recipe(SampleRecipe.from_json(recipe.to_json()), lr, summaries=False)
    [result] = [event for event in engine.sample(request) if isinstance(event, SampleResult)]
    return result


def laid_in(picture: np.ndarray, variant: Variant) -> np.ndarray:
    result = picture.copy()
    height, width = variant.patch.shape[:2]
    result[variant.top : variant.top + height, variant.left : variant.left + width] = variant.patch
    return result


# -- where something changes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_outside_of_the_feather_no_pixel_changes(engine: SamplingEngine, lr: np.ndarray, name: str) -> None:
    before = sample(engine, lr, model=name)
    mask = brush()
    [variant] = explore(engine, lr, before.recipe, (Reroll(mask, 5, 0),))
    after = laid_in(before.picture, variant)
    # Judged by the mask alone: 2 LR pixels around it (and its block, where latents cover 2 x 2 pixels).
    block = 2 if name == "srflow-x4" else 1
    chosen = mask.array() > 0
    rows, columns = np.nonzero(chosen)
    near = np.zeros((HEIGHT, WIDTH), bool)
    reach = FEATHER + block - 1
    for row, column in zip(rows, columns, strict=True):
        near[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = True
    changed = (after != before.picture).any(2)
    assert not changed[~np.kron(near, np.ones((4, 4), bool))].any()
    assert changed[np.kron(chosen, np.ones((4, 4), bool))].mean() > 0.5


def test_the_feather_is_one_inside_and_ends_where_it_should() -> None:
    mask = Mask.from_array(np.pad(np.full((3, 5), 255, np.uint8), 6))
    weight = feather(mask, (0, 0, 17, 15), 4, 1)[0, 0].numpy()
    assert (weight[24:36, 24:44] == 1).all()
    assert (weight[28, :16] == 0).all()
    assert (np.diff(weight[28, 15:25]) > 0).all()  # rises all the way
    weight[24 - 8 : 36 + 8, 24 - 8 : 44 + 8] = 0
    assert (weight == 0).all()
    edge = Mask.from_array(np.pad(np.full((3, 5), 255, np.uint8), ((0, 6), (0, 6))))
    weight = feather(edge, (0, 0, 11, 9), 4, 1)[0, 0].numpy()
    assert (weight[:12, :20] == 1).all()  # no fading at the picture's edges
    np.testing.assert_allclose(weight[0], weight[6], atol=1e-6)  # nor beside it


def test_boxes_of_a_region() -> None:
    mask = Mask(41, 37, (33, 0, 36, 3), (255, 9))
    region = Region.around(mask, 2)
    assert region.chosen == (32, 0, 36, 4)
    assert region.patch == (30, 0, 38, 6)
    assert region.decoded == (20, 0, 42, 16)  # as far as the padded picture goes


def test_what_is_decoded_is_what_a_decoding_of_the_whole_gives(shipped: SamplingEngine) -> None:
    """The margin is wide enough; without the consistency step, which reaches farther than the place."""
    lr = downscale_uint8(load_image(CAT)[:224, :224], 4)
    before = sample(shipped, lr, temperature=0.9, consistency_rounds=0)
    mask = Mask.from_array(np.pad(np.full((16, 16), 255, np.uint8), 20))
    [variant] = explore(shipped, lr, before.recipe, (Reroll(mask, 5, 0),))
    # The same latents, decoded as a whole: a heat that changes nothing is an operation on the whole picture.
    [whole] = explore(shipped, lr, before.recipe, (Reroll(mask, 5, 0), Heat(0.9)))
    inside = np.s_[20 * 4 : 36 * 4, 20 * 4 : 36 * 4]
    difference = np.abs(laid_in(before.picture, variant).astype(int) - whole.patch)[inside]
    assert whole.patch.shape == before.picture.shape
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_a_place_changes_as_much_as_in_a_new_sample_and_stays_consistent(shipped: SamplingEngine) -> None:
    lr = downscale_uint8(load_image(CAT)[:256, :256], 4)
    before, other = (sample(shipped, lr, temperature=None, seed=seed) for seed in (3, 4))
    mask = Mask.from_array(np.pad(np.full((24, 24), 255, np.uint8), 20))
    variants = explore(shipped, lr, before.recipe, *[(Reroll(mask, 5, roll),) for roll in range(3)])
    inside = np.s_[20 * 4 : 44 * 4, 20 * 4 : 44 * 4]

    def energy(picture: np.ndarray) -> float:
        return float(np.square(picture[inside].astype(float) - before.picture[inside]).mean())

    pictures = [laid_in(before.picture, variant) for variant in variants]
    assert np.mean([energy(picture) for picture in pictures]) > 0.9 * energy(other.picture)
    for variant, picture in zip(variants, pictures, strict=True):
        assert variant.lr_psnr >= 60
        assert variant.lr_psnr == pytest.approx(lr_psnr_of(picture, lr))


def lr_psnr_of(picture: np.ndarray, lr: np.ndarray) -> float:
    error = np.square(downscale_uint8(picture, 4).astype(float) - lr).mean()
    return 100.0 if error == 0 else 10 * np.log10(255**2 / error)


# -- the same again ----------------------------------------------------------------------------------------------------

MASK, OTHER_MASK = brush(), brush(middle=(22, 21))
LISTS: dict[str, tuple[Operation, ...]] = {
    "reroll": (Reroll(MASK, 5, 0),),
    "rolls on one another": (Reroll(MASK, 5, 0), Reroll(OTHER_MASK, 5, 1)),
    "heat at a place": (Heat(0.1, MASK),),
    "mix at a place": (Mix(Sample(9, 0), 0.8, mask=MASK),),
    "whole, then a place": (Reroll(MASK, 5, 0), Mix(Sample(9, 0), 0.8), Heat(0.7, OTHER_MASK)),
    "a place, then whole": (Reroll(MASK, 5, 0), Heat(0.2)),
    "towards a list": (Mix((Draw(9, 0, 0.2), Reroll(MASK, 5, 1)), 0.6, 0.2),),
}


@pytest.mark.parametrize(("name", "tile"), [(NAMES[0], 0), (NAMES[1], 16)])
@pytest.mark.parametrize("operations", LISTS.values(), ids=LISTS)
def test_every_list_is_drawn_again_to_the_last_bit(
    engine: SamplingEngine,
    folders: list[Path],
    lr: np.ndarray,
    name: str,
    tile: int,
    operations: tuple[Operation, ...],
) -> None:
    before = sample(engine, lr, model=name, tile=tile)
    [variant] = explore(engine, lr, before.recipe, operations)
    after = laid_in(before.picture, variant)
    assert not np.array_equal(after, before.picture)
    assert variant.recipe.operations == operations
    assert variant.recipe.tile == tile
    again = replayed(SamplingEngine("cpu", "float32", folders), variant.recipe, lr)
    np.testing.assert_array_equal(again.picture, after)
    assert again.recipe == variant.recipe
    assert again.lr_psnr == pytest.approx(variant.lr_psnr) == lr_psnr_of(after, lr)
    has_place = operations[-1].place is not None
    assert (again.bits_per_dimension is None) == has_place
    # Step by step, each variant becoming the state, it is the same picture.
    recipe = before.recipe
    for operation in operations:
        [step] = explore(engine, lr, recipe, (operation,))
        recipe = step.recipe
    [state] = explore(engine, lr, recipe, ())
    np.testing.assert_array_equal(state.patch, after)


def test_several_rolls_after_the_first_are_one_batch_and_each_is_its_own(
    engine: SamplingEngine, folders: list[Path], lr: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sample(engine, lr)
    batches = []
    original = InferenceModel.decode

    def counting(model: InferenceModel, latents: list[torch.Tensor], *rest: object) -> tuple:
        batches.append(latents[0].shape[0])
        return original(model, latents, *rest)

    explore(engine, lr, before.recipe, ())
    monkeypatch.setattr(InferenceModel, "decode", counting)
    monkeypatch.setattr(retouching, "_CPU_BATCH_PIXELS", 8 * 33 * 33)
    variants = explore(engine, lr, before.recipe, *[(Reroll(MASK, 5, roll),) for roll in range(8)])
    assert batches == [1, 7], "the first by itself, since somebody waits for it"
    assert [variant.number for variant in variants] == list(range(8))
    assert len({variant.patch.tobytes() for variant in variants}) == 8
    fresh = SamplingEngine("cpu", "float32", folders)
    for variant in variants[::3]:
        np.testing.assert_array_equal(replayed(fresh, variant.recipe, lr).picture, laid_in(before.picture, variant))


def test_variants_of_different_places_and_the_state_itself(engine: SamplingEngine, lr: np.ndarray) -> None:
    before = sample(engine, lr)
    first, second = Reroll(MASK, 5, 0), Reroll(OTHER_MASK, 5, 0)
    state, whole, one, two, both = sorted(
        explore(engine, lr, before.recipe, (), (Heat(0.1),), (first,), (second,), (first, second)),
        key=lambda variant: variant.number,
    )
    np.testing.assert_array_equal(state.patch, before.picture)
    assert whole.patch.shape == before.picture.shape
    after = laid_in(before.picture, both)
    only_first = np.s_[: 16 * 4]  # above the second place and its feather
    np.testing.assert_array_equal(after[only_first], laid_in(before.picture, one)[only_first])
    assert both.left <= min(one.left, two.left)
    assert both.left + both.patch.shape[1] >= two.left + two.patch.shape[1]


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_a_step_costs_one_decoding_of_its_place_and_undo_none(
    engine: SamplingEngine, lr: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sample(engine, lr)
    [chosen] = explore(engine, lr, before.recipe, (Reroll(MASK, 5, 0),))
    sizes = []
    original = InferenceModel.decode

    def counting(model: InferenceModel, latents: list[torch.Tensor], prepared: object, *rest: object) -> tuple:
        sizes.append((prepared.height, prepared.width))
        return original(model, latents, prepared, *rest)

    monkeypatch.setattr(InferenceModel, "decode", counting)
    monkeypatch.setattr(InferenceModel, "condition", None)  # cut from what is kept
    [further] = explore(engine, lr, chosen.recipe, (Heat(0.1, OTHER_MASK),))
    left, top, right, bottom = Region.around(OTHER_MASK, 1).decoded
    assert sizes == [(bottom - top, right - left)]
    explore(engine, lr, before.recipe, ())
    explore(engine, lr, chosen.recipe, ())
    explore(engine, lr, further.recipe, ())
    assert len(sizes) == 1
    # Steps on the way to a variant are kept as well.
    explore(engine, lr, before.recipe, (Reroll(MASK, 5, 1), Reroll(MASK, 5, 2)))
    explore(engine, lr, before.recipe, (Reroll(MASK, 5, 1),))
    assert len(sizes) == 3


def test_states_are_bounded_and_come_back(folders: list[Path], lr: np.ndarray) -> None:
    engine = SamplingEngine("cpu", "float32", folders, state_bytes=HEIGHT * WIDTH * 48 + 100)
    before = sample(engine, lr)
    pictures = []
    for _ in range(2):
        for roll in range(4):
            [variant] = explore(engine, lr, before.recipe, (Reroll(MASK, 5, roll),))
            pictures.append(variant.patch)
            assert engine._states.total <= engine._states.limit
    for roll in range(4):
        np.testing.assert_array_equal(pictures[roll], pictures[roll + 4])


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_can_be_had_before_the_sample(engine: SamplingEngine, lr: np.ndarray, name: str) -> None:
    settings = {"model": name, "temperature": None, "seed": 8, "first_index": 2, "operations": (Heat(0.1, MASK),)}
    assert engine.recipe(SampleRequest(lr=lr, **settings)) == sample(engine, lr, **settings).recipe


# -- a few out of many -------------------------------------------------------------------------------------------------


def compare(engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, ways: list, choose: int = 3) -> Comparison:
    *_, last = engine.explore(ExploreRequest(lr=lr, recipe=recipe, variants=tuple(ways), choose=choose))
    assert isinstance(last, Comparison)
    return last


def test_rolls_of_a_place_are_compared(engine: SamplingEngine, lr: np.ndarray) -> None:
    before = sample(engine, lr)
    ways = [(Reroll(MASK, 5, roll),) for roll in range(22)]
    comparison = compare(engine, lr, before.recipe, ways)
    variants = explore(engine, lr, before.recipe, *ways)
    patches = [variant.patch for variant in variants]
    np.testing.assert_allclose(comparison.distances, pairwise_lpips(patches), atol=1e-6)
    log_probs = [variant.log_prob for variant in variants]
    allowed = plausible(log_probs, [False] * 22)
    assert comparison.left_out == (int(np.abs(log_probs - np.median(log_probs)).argmax()),)
    assert comparison.different == farthest(comparison.distances, 3, allowed)
    assert comparison.typical == typical(comparison.distances, 3, allowed)
    assert sum(len(family.members) for family in comparison.different) == 21
    # Judged by what the mask chooses, not by the box around it.
    left, top = variants[0].left // 4, variants[0].top // 4
    box = left, top, left + patches[0].shape[1] // 4, top + patches[0].shape[0] // 4
    weight = np.kron(MASK.array(box), np.ones((4, 4)))
    light = [
        ((patch @ [0.299, 0.587, 0.114]) * weight).sum() if ok else 0
        for patch, ok in zip(patches, allowed, strict=True)
    ]
    assert comparison.extremes["brightest"] == np.argmax(light)


def test_whole_pictures_are_compared(engine: SamplingEngine, lr: np.ndarray) -> None:
    before = sample(engine, lr)
    comparison = compare(engine, lr, before.recipe, [(Mix(Sample(9, index), 1.0),) for index in range(4)])
    assert comparison.left_out == ()
    assert len(comparison.different) == 3
    assert comparison.distances[0, 1] > 0


def test_pictures_too_small_for_lpips_are_compared_by_their_pixels(engine: SamplingEngine) -> None:
    small = np.random.default_rng(1).integers(90, 160, (7, 6, 3), dtype=np.uint8)
    mask = Mask(6, 7, (2, 2, 4, 4), (255, 4))
    before = sample(engine, small)
    comparison = compare(engine, small, before.recipe, [(Reroll(mask, 5, roll),) for roll in range(5)])
    pictures = [
        laid_in(before.picture, variant).astype(float)
        for variant in explore(engine, small, before.recipe, *[(Reroll(mask, 5, roll),) for roll in (0, 3)])
    ]
    expected = np.sqrt(np.square(pictures[0] - pictures[1]).mean()) / 255
    assert comparison.distances[0, 3] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("tile", [0, 16])
def test_a_place_has_the_likelihood_of_its_part(engine: SamplingEngine, lr: np.ndarray, tile: int) -> None:
    """A place that is the whole picture against the same latents decoded as a whole; in tiles they see less around."""
    before = sample(engine, lr, tile=tile)
    everywhere = Mask(WIDTH, HEIGHT, (0, 0, WIDTH, HEIGHT), (255, HEIGHT * WIDTH))
    roll = Reroll(everywhere, 5, 0)
    place, whole = explore(engine, lr, before.recipe, (roll,), (roll, Heat(0.4)))
    assert place.log_prob == pytest.approx(whole.log_prob, rel=1e-5 if tile == 0 else 1e-2)
    other = explore(engine, lr, before.recipe, (Reroll(everywhere, 5, 1),))[0]
    assert other.log_prob != pytest.approx(place.log_prob, rel=1e-5)


@pytest.mark.parametrize(
    ("ways", "choose"),
    [
        ([(Reroll(MASK, 5, 0),), (Reroll(OTHER_MASK, 5, 0),)], 2),
        ([(Reroll(MASK, 5, 0),), ()], 2),
        ([(Reroll(MASK, 5, 0),)], -1),
        ([(Reroll(MASK, 5, 0),)], 1000),
    ],
)
def test_what_cannot_be_compared_is_refused(engine: SamplingEngine, lr: np.ndarray, ways: list, choose: int) -> None:
    with pytest.raises(InputError):
        compare(engine, lr, sample(engine, lr).recipe, ways, choose)


# -- samples of a request ----------------------------------------------------------------------------------------------


def test_every_sample_of_a_request_gets_the_operations(engine: SamplingEngine, lr: np.ndarray) -> None:
    truth = np.kron(lr, np.ones((4, 4, 1), np.uint8))
    operations = (Heat(0.0, MASK),)
    request = SampleRequest(lr=lr, num_samples=3, temperature=0.4, operations=operations, ground_truth=truth)
    events = list(engine.sample(request))
    results = [event for event in events if isinstance(event, SampleResult)]
    assert len(results) == 3
    for result in results:
        plain = sample(engine, lr, first_index=result.index, seed=0)
        [variant] = explore(engine, lr, plain.recipe, operations)
        np.testing.assert_array_equal(result.picture, laid_in(plain.picture, variant))
        assert result.recipe == variant.recipe
    summary = events[-1]
    assert isinstance(summary, SetSummary)
    pictures = np.stack([result.picture for result in results]).astype(float)
    np.testing.assert_array_equal(summary.mean, np.rint(pictures.mean(0)))
    cropped = crop_ground_truth(truth)
    assert results[0].truth.psnr == pytest.approx(psnr(crop_to_ground_truth(results[0].picture, cropped), cropped))
    assert summary.challenge.psnr == pytest.approx(np.mean([result.truth.psnr for result in results]))


def test_the_consistency_rounds_of_the_recipe_hold_for_places(engine: SamplingEngine, lr: np.ndarray) -> None:
    smooth = downscale_uint8(np.kron(lr, np.ones((4, 4, 1), np.uint8)), 4)
    for rounds, low, high in ((0, 0, 50), (8, 50, 101)):
        before = sample(engine, smooth, consistency_rounds=rounds, temperature=0.2)
        [variant] = explore(engine, smooth, before.recipe, (Reroll(MASK, 5, 0),))
        assert low < variant.lr_psnr < high


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ((), "variants"),
        (((Draw(0, 0, 1.0),),), "draw"),
        (((Reroll(brush(36), 0, 0),),), "mask"),
        (((Mix((Reroll(MASK, 0, 0),), 1.0),),), "draw"),
        (((Heat(0.5),) * 300,), "256"),
        (((Heat(0.5),),) * 1000, "variants"),
        ((("reroll",),), "operations"),
    ],
)
def test_what_does_not_fit_is_refused_before_work_starts(
    engine: SamplingEngine, lr: np.ndarray, variants: tuple, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = sample(engine, lr).recipe
    monkeypatch.setattr(InferenceModel, "decode", None)
    with pytest.raises(InputError, match=message):
        explore(engine, lr, recipe, *variants)


def test_masks_of_another_picture_are_refused_in_requests(engine: SamplingEngine, lr: np.ndarray) -> None:
    with pytest.raises(OperationError, match="41x36"):
        sample(engine, lr, operations=(Reroll(brush(36), 0, 0),))
    recipe = sample(engine, lr).recipe
    with pytest.raises(InputError, match="another LR picture"):
        explore(engine, lr[::-1].copy(), recipe, ())
    with pytest.raises(InputError, match="other weights"):
        explore(engine, lr, dataclasses.replace(recipe, weights_sha256="0" * 64), ())


def test_sixteen_bits_with_operations_on_places_are_refused(engine: SamplingEngine, lr: np.ndarray) -> None:
    with pytest.raises(InputError, match="leave them out to have samples of 16 bits"):
        sample(engine, lr, operations=(Reroll(MASK, 5, 0),), deep=True)


@pytest.fixture
def spilling(folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SamplingEngine:
    """An engine whose pictures do not fit into memory."""
    original = estimating.make_plan

    def on_disk(*arguments: object, **settings: object) -> object:
        return dataclasses.replace(original(*arguments, **settings), on_disk=True)

    monkeypatch.setattr(estimating, "make_plan", on_disk)
    return SamplingEngine("cpu", "float32", folders, spill_folder=tmp_path / "spill")


def test_operations_work_on_pictures_in_files(
    engine: SamplingEngine, folders: list[Path], lr: np.ndarray, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    operations = (Reroll(MASK, 5, 0), Reroll(MASK, 5, 1))
    recipe = sample(engine, lr, tile=16).recipe
    whole = sample(engine, lr, tile=16, operations=operations)
    rolls = explore(engine, lr, recipe, operations[:1], operations[1:])

    spilling = request.getfixturevalue("spilling")
    events = spilling.sample(SampleRequest.from_recipe(whole.recipe, lr, summaries=False))
    drawn = next(event for event in events if isinstance(event, SampleResult))
    assert drawn.picture is None
    np.testing.assert_array_equal(np.load(drawn.path), whole.picture)
    assert drawn.lr_psnr == whole.lr_psnr
    events.close()
    assert list((tmp_path / "spill").iterdir()) == []

    def check(*variants: tuple[Operation, ...]) -> None:
        for own, expected in zip(explore(spilling, lr, recipe, *variants), rolls, strict=False):
            assert (own.left, own.top, own.lr_psnr) == (expected.left, expected.top, expected.lr_psnr)
            np.testing.assert_array_equal(own.patch, expected.patch)

    check(operations[:1], operations[1:])
    assert len(list((tmp_path / "spill").iterdir())) == 1, "kept for the next request"
    check(operations[:1])
    other = dataclasses.replace(recipe, seed=recipe.seed + 1)
    explore(spilling, lr, other, operations[:1])
    gc.collect()
    assert len(list((tmp_path / "spill").iterdir())) == 1, "of another picture, instead"


def test_stopped_while_it_is_retouched_a_picture_leaves_no_file(
    spilling: SamplingEngine, lr: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise Cancelled("Stopped.")

    monkeypatch.setattr(retouching.Retoucher, "apply", stop)
    with pytest.raises(Cancelled):
        sample(spilling, lr, operations=(Reroll(MASK, 5, 0),))
    assert list((tmp_path / "spill").iterdir()) == []


def test_whole_pictures_that_do_not_fit_into_memory_are_refused(spilling: SamplingEngine, lr: np.ndarray) -> None:
    recipe = sample(spilling, lr).recipe
    for variant in ((), (Mix(Sample(1, 0), 0.4),), (Reroll(MASK, 5, 0), Mix(Sample(1, 0), 0.4))):
        with pytest.raises(MemoryBudgetError, match="smaller region"):
            explore(spilling, lr, recipe, variant)


def test_places_that_do_not_fit_into_memory_are_refused(
    engine: SamplingEngine, lr: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = sample(engine, lr).recipe
    explore(engine, lr, recipe, ())
    monkeypatch.setattr(retouching, "memory_limit", lambda _: 1000)
    with pytest.raises(MemoryBudgetError, match="smaller one"):
        explore(engine, lr, recipe, (Reroll(MASK, 5, 0),))


def test_when_memory_runs_out_batches_get_smaller(
    engine: SamplingEngine, folders: list[Path], lr: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sample(engine, lr)
    ways = [(Reroll(MASK, 5, roll),) for roll in range(4)]
    expected = explore(SamplingEngine("cpu", "float32", folders), lr, before.recipe, *ways)
    explore(engine, lr, before.recipe, ())
    original = InferenceModel.decode
    most = 2

    def bounded(model: InferenceModel, latents: list[torch.Tensor], *rest: object) -> tuple:
        if latents[0].shape[0] > most:
            raise torch.OutOfMemoryError("out of memory")
        return original(model, latents, *rest)

    monkeypatch.setattr(InferenceModel, "decode", bounded)
    for ours, theirs in zip(explore(engine, lr, before.recipe, *ways), expected, strict=True):
        np.testing.assert_array_equal(ours.patch, theirs.patch)
    most = 0
    with pytest.raises(MemoryBudgetError, match="smaller"):
        explore(engine, lr, before.recipe, (Reroll(MASK, 5, 9),))


def test_stopping_ends_the_work_and_nothing_half_done_stays(engine: SamplingEngine, lr: np.ndarray) -> None:
    before = sample(engine, lr)
    cancel = threading.Event()
    ways = tuple((Reroll(MASK, 5, roll),) for roll in range(50))
    events = engine.explore(ExploreRequest(lr=lr, recipe=before.recipe, variants=ways), cancel)
    found = [next(event for event in events if isinstance(event, Variant))]
    cancel.set()
    with pytest.raises(Cancelled):
        found += [event for event in events if isinstance(event, Variant)]
    [again] = explore(engine, lr, before.recipe, ways[0])
    np.testing.assert_array_equal(again.patch, found[0].patch)


def test_progress_is_told(engine: SamplingEngine, lr: np.ndarray) -> None:
    before = sample(engine, lr)
    request = ExploreRequest(lr=lr, recipe=before.recipe, variants=((Reroll(MASK, 5, 0),), (Heat(0.1),)))
    told = [event for event in engine.explore(request) if isinstance(event, Progress)]
    assert told
    assert all(0 <= event.fraction <= 1 for event in told)


# -- directions --------------------------------------------------------------------------------------------------------


def directions(
    engine: SamplingEngine, lr: np.ndarray, variants: Sequence[tuple[Operation, ...]], count: int = 3, **changes: object
) -> tuple[Direction, ...]:
    recipe = sample(engine, lr, **changes).recipe
    request = ExploreRequest(lr=lr, recipe=recipe, variants=tuple(variants), directions=count)
    [found] = [event for event in engine.explore(request) if isinstance(event, Directions)]
    return found.found


def test_slides_go_further_along_a_direction_than_any_roll(shipped: SamplingEngine) -> None:
    lr = downscale_uint8(load_image(Path(__file__).parents[1] / "assets" / "examples" / "cat.png")[80:208, 60:188], 4)
    array = np.zeros(lr.shape[:2], np.uint8)
    array[8:20, 10:22] = 255
    mask, inside = Mask.from_array(array), (slice(32, 80), slice(40, 88))
    rolls = [(Reroll(mask, 5, roll),) for roll in range(24)]
    first, *_ = directions(shipped, lr, rolls, temperature=0.9)
    assert first.share > 0.03
    before = sample(shipped, lr, temperature=0.9)

    def picture(*operations: Operation) -> np.ndarray:
        [variant] = explore(shipped, lr, before.recipe, operations)
        assert variant.lr_psnr > 60
        return place_features([laid_in(before.picture, variant)[inside]], np.ones((48, 48)))[0]

    features = np.stack([picture(*roll) for roll in rolls])
    _, _, axes = np.linalg.svd(features - features.mean(0), full_matrices=False)
    along = (features - features.mean(0)) @ axes[0]
    ends = [picture(Slide(mask, 5, first.weights, angle)) for angle in (-math.pi / 2, math.pi / 2)]
    ends = [float((end - features.mean(0)) @ axes[0]) for end in ends]
    assert min(ends) < along.min() < along.max() < max(ends)


@pytest.mark.parametrize(
    ("variants", "count", "message"),
    [
        ([(Reroll(MASK, 5, roll),) for roll in range(7)], 3, "8 or more"),
        ([(Reroll(MASK, 5, roll),) for roll in range(8)], 17, "directions is 17"),
        ([(Reroll(MASK, 5, roll),) for roll in range(1, 9)], 3, "0, 1, 2"),
        ([(Reroll(MASK, roll, roll),) for roll in range(8)], 3, "one seed"),
        ([(Heat(0.1 * roll, MASK),) for roll in range(8)], 3, "nothing else"),
        ([(Reroll(MASK, 5, roll),) for roll in range(8)] + [()], 3, "nothing else"),
    ],
)
def test_directions_of_anything_but_rolls_are_refused(
    engine: SamplingEngine, lr: np.ndarray, variants: list, count: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        directions(engine, lr, variants, count)


# -- wishes ------------------------------------------------------------------------------------------------------------


def wished(
    engine: SamplingEngine,
    lr: np.ndarray,
    variants: Sequence[tuple[Operation, ...]],
    wish: Wish | None,
    aim: bool = True,
    **changes: object,
) -> tuple[list[Variant], list[Aim]]:
    recipe = sample(engine, lr, **changes).recipe
    request = ExploreRequest(lr=lr, recipe=recipe, variants=tuple(variants), wish=wish, aim=aim)
    events = list(engine.explore(request))
    return [event for event in events if isinstance(event, Variant)], [e for e in events if isinstance(e, Aim)]


@pytest.mark.parametrize("wish", [Roughness(), Brightness()])
def test_a_wish_goes_further_than_any_roll_and_fits_the_input(shipped: SamplingEngine, wish: Wish) -> None:
    lr = downscale_uint8(load_image(CAT)[80:208, 60:188], 4)
    array = np.zeros(lr.shape[:2], np.uint8)
    array[8:20, 10:22] = 255
    mask, inside = Mask.from_array(array), (slice(32, 80), slice(40, 88))
    before = sample(shipped, lr, temperature=0.9)
    rolls, [aim] = wished(shipped, lr, [(Reroll(mask, 5, roll),) for roll in range(24)], wish, temperature=0.9)
    values = [wish.measure(laid_in(before.picture, roll)[inside], np.ones((48, 48))) for roll in rolls]
    assert [roll.measured for roll in rolls] == pytest.approx(values)
    assert aim.mean == pytest.approx(np.mean(values))
    assert aim.present == pytest.approx(wish.measure(before.picture[inside], np.ones((48, 48))))
    assert aim.log_probs == tuple(sorted(roll.log_prob for roll in rolls if roll.log_prob is not None))
    slides = [(Slide(mask, 5, aim.weights, angle),) for angle in (-math.pi / 2, math.pi / 2)]
    (less, more), _ = wished(shipped, lr, slides, wish, aim=False, temperature=0.9)
    assert less.measured < min(values) < max(values) < more.measured
    assert min(less.lr_psnr, more.lr_psnr) > 60


@pytest.mark.parametrize(
    ("variants", "wish", "aim", "message"),
    [
        ([(Reroll(MASK, 5, roll),) for roll in range(15)], Roughness(), True, "16 or more"),
        ([(Reroll(MASK, 5, roll),) for roll in range(16)], None, True, "no wish"),
        ([(Heat(0.1 * roll, MASK),) for roll in range(16)], Roughness(), True, "nothing else"),
        ([(Heat(0.1),)], Roughness(), False, "one place"),
        ([()], Roughness(), False, "one place"),
        ([(Reroll(MASK, 5, 0),), (Reroll(brush(middle=(9, 9)), 5, 0),)], Roughness(), False, "one place"),
    ],
)
def test_wishes_that_cannot_be_measured_are_refused(
    engine: SamplingEngine, lr: np.ndarray, variants: list, wish: Wish | None, aim: bool, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        wished(engine, lr, variants, wish, aim)

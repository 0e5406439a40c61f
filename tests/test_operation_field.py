"""What lists of operations make of the latents: known answers to the bit, and standard normal after every one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from srflow.latents import Latents, draw, mix, replace
from srflow.operations import Draw, Heat, Mask, Mix, Operation, Reroll, Sample, Slide
from srflow.operations.field import Field, Place
from srflow.operations.noises import Noises
from srflow.operations.reroll import _FIRST_SAMPLE

SIZE = 24, 32  # LR
SHAPES = ((6, 48, 64), (24, 24, 32))  # x4
THREE_LEVELS = ((6, 48, 64), (12, 24, 32), (24, 12, 16))  # the coarsest at half the LR size
BASE = Draw(1, 0, 0.8)


def place(box: tuple[int, int, int, int] = (0, 0, 32, 24), shapes: tuple = SHAPES) -> Place:
    return Place(shapes, *SIZE, box)


def evaluate(*operations: Operation, shapes: tuple = SHAPES) -> Field:
    return Field.evaluate(operations, place(shapes=shapes))


def noise(seed: int, sample: int, shapes: tuple = SHAPES) -> list[torch.Tensor]:
    return [level[0] for level in draw(shapes, 1, seed, first_sample=sample)]


def equal(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def close(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> bool:
    return all(torch.allclose(x, y, atol=1e-6) for x, y in zip(a, b, strict=True))


def box_mask(value: int = 255, box: tuple[int, int, int, int] = (8, 4, 20, 16)) -> Mask:
    array = np.zeros(SIZE, np.uint8)
    array[box[1] : box[3], box[0] : box[2]] = value
    return Mask.from_array(array)


def soft_mask(seed: int = 0) -> Mask:
    return Mask.from_array(np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8))


# -- known answers -----------------------------------------------------------------------------------------------------


def test_a_draw_is_the_sample() -> None:
    field = evaluate(BASE)
    assert equal(field.levels, noise(1, 0))
    assert equal(field.latents(), [level * 0.8 for level in noise(1, 0)])


def test_a_full_mask_is_the_new_noise_and_outside_nothing_changes() -> None:
    levels = evaluate(BASE, Reroll(box_mask(), 5, 2)).levels
    old, new = noise(1, 0), noise(5, _FIRST_SAMPLE + 2)
    for level, factor, before, after in zip(levels, (2, 1), old, new, strict=True):
        rows, columns = slice(4 * factor, 16 * factor), slice(8 * factor, 20 * factor)
        assert torch.equal(level[:, rows, columns], after[:, rows, columns])
        level, before = level.clone(), before.clone()
        level[:, rows, columns] = before[:, rows, columns] = 0
        assert torch.equal(level, before)


def test_a_soft_mask_mixes_by_square_roots() -> None:
    mask = soft_mask()
    levels = evaluate(BASE, Reroll(mask, 5, 2)).levels
    share = torch.from_numpy(mask.array().astype(np.float32)) / 255
    before, after = (Latents([level[None] for level in each]) for each in (noise(1, 0), noise(5, _FIRST_SAMPLE + 2)))
    expected = replace(before, after, share)  # whose finer levels are interpolated, ours repeated
    assert torch.allclose(levels[1], expected[1][0], atol=1e-6)
    fine = share.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.allclose(levels[0], (1 - fine).sqrt() * before[0][0] + fine.sqrt() * after[0][0], atol=1e-6)


def test_coarser_latents_take_the_mean_of_the_mask() -> None:
    array = np.zeros(SIZE, np.uint8)
    array[0, 0] = 255  # a quarter of the coarsest position
    levels = evaluate(BASE, Reroll(Mask.from_array(array), 5, 2), shapes=THREE_LEVELS).levels
    old, new = (noise(*stream, THREE_LEVELS)[2][:, 0, 0] for stream in ((1, 0), (5, _FIRST_SAMPLE + 2)))
    assert torch.allclose(levels[2][:, 0, 0], 0.75**0.5 * old + 0.5 * new, atol=1e-6)
    assert torch.equal(levels[2][:, 1:], noise(1, 0, THREE_LEVELS)[2][:, 1:])


def test_angle_zero_changes_nothing_and_a_right_angle_arrives() -> None:
    other = (Draw(9, 4, 0.3), Reroll(box_mask(), 5, 2))
    for target in (Sample(9, 4), other):
        assert equal(evaluate(BASE, Mix(target, 0.0)).latents(), evaluate(BASE).latents())
    assert equal(evaluate(BASE, Mix(Sample(9, 4), math.pi / 2)).levels, noise(9, 4))
    assert equal(evaluate(BASE, Mix(other, math.pi / 2)).latents(), evaluate(*other).latents())


def test_between_independent_samples_it_is_the_librarys_mix() -> None:
    a, b = (draw(SHAPES, 1, seed, first_sample=sample) for seed, sample in ((1, 0), (9, 4)))
    for angle in (0.3, 1.2):
        levels = evaluate(BASE, Mix(Sample(9, 4), angle)).levels
        assert all(torch.allclose(x, y[0], atol=1e-6) for x, y in zip(levels, mix(a, b, angle), strict=True))


def test_coarse_and_fine_latents_have_an_angle_each() -> None:
    fine, coarse = (evaluate(BASE, Mix(Sample(9, 4), *angles)).levels for angles in ((0.7, 0.0), (0.0, 0.7)))
    both = evaluate(BASE, Mix(Sample(9, 4), 0.7)).levels
    assert equal(fine, [both[0], noise(1, 0)[1]])
    assert equal(coarse, [noise(1, 0)[0], both[1]])


def test_a_slider_between_two_rolls_moves_nothing_else() -> None:
    """Their noise is the same outside of the roll, where the way between them has no length."""
    a, b = Reroll(box_mask(), 5, 1), Reroll(box_mask(), 5, 2)
    whole = Mask.from_array(np.full(SIZE, 255, np.uint8))
    half = evaluate(BASE, a, Mix((BASE, b), math.pi / 4, mask=whole)).levels
    ends = [evaluate(BASE, end).levels for end in (a, b)]
    for level, factor, first, second in zip(half, (2, 1), *ends, strict=True):
        expected = first.clone()
        inside = (..., slice(4 * factor, 16 * factor), slice(8 * factor, 20 * factor))
        expected[inside] = (first[inside] + second[inside]) / 2**0.5
        assert torch.allclose(level, expected, atol=1e-6)


def test_the_same_roll_twice_is_the_same_roll() -> None:
    once = evaluate(BASE, Reroll(box_mask(), 5, 2)).levels
    assert equal(evaluate(BASE, Reroll(box_mask(), 5, 2), Reroll(box_mask(), 5, 2)).levels, once)


def test_heat_changes_the_strength_alone() -> None:
    mask = soft_mask()
    field = evaluate(BASE, Heat(0.2, mask))
    assert equal(field.levels, noise(1, 0))
    factor = 0.8 + torch.from_numpy(mask.array()).double() / 255 * (0.2 - 0.8)
    assert torch.allclose(field.latents()[1], noise(1, 0)[1] * factor.float(), atol=1e-6)
    assert equal(evaluate(BASE, Heat(0.3)).latents(), [level * 0.3 for level in noise(1, 0)])
    hot = evaluate(BASE, Heat(0.3), Heat(1.1, box_mask())).latents()[1]
    assert torch.equal(hot[:, 10, 10], noise(1, 0)[1][:, 10, 10] * 1.1)
    assert torch.equal(hot[:, 0, 0], noise(1, 0)[1][:, 0, 0] * 0.3)


def test_temperatures_meet_half_way() -> None:
    other = (Draw(9, 4, 0.4), Heat(0.0, box_mask()))
    field = evaluate(BASE, Mix(other, math.pi / 4))
    ratio = field.latents()[1] / field.levels[1]
    assert ratio[0, 0, 0].item() == pytest.approx(0.6)
    assert ratio[0, 10, 10].item() == pytest.approx(0.4)


def test_a_slide_reaches_the_mixture_of_rolls_and_its_opposite() -> None:
    rolls = [noise(5, _FIRST_SAMPLE + roll) for roll in (0, 1)]
    mixture = [0.6 * first - 0.8 * second for first, second in zip(*rolls, strict=True)]
    for angle in (-math.pi / 2, -0.4, 0.0, 0.4, math.pi / 2):
        levels = evaluate(BASE, Slide(box_mask(), 5, (3, -4), angle)).levels
        for level, factor, before, mixed in zip(levels, (2, 1), noise(1, 0), mixture, strict=True):
            inside = slice(None), slice(4 * factor, 16 * factor), slice(8 * factor, 20 * factor)
            expected = math.cos(angle) * before[inside] + math.sin(angle) * mixed[inside]
            assert torch.allclose(level[inside], expected, atol=1e-5)
            level, before = level.clone(), before.clone()
            level[inside] = before[inside] = 0
            assert torch.equal(level, before)
    once, twice = (evaluate(BASE, Slide(box_mask(), 5, weights, 0.4)).levels for weights in ((3, -4), (6, -8, 0)))
    assert close(once, twice), "only the ratios of weights count"


def test_from_one_end_to_the_other_there_is_no_shortest_way() -> None:
    ends = [(BASE, Slide(box_mask(), 5, (3, -4), angle)) for angle in (math.pi / 2, -math.pi / 2)]
    there, back = (evaluate(*operations).levels for operations in ends)
    near = evaluate(*ends[0], Slide(box_mask(), 5, (3, -4), -0.7)).levels
    far = evaluate(*ends[0], Slide(box_mask(), 5, (3, -4), -0.9)).levels
    assert close(near, there)
    assert close(far, back)


AXES = ((3, -4, 0), (8, 6, 0), (0, 0, 7))  # at right angles


def combined(*moves: tuple[int, float]) -> list[torch.Tensor]:
    slide = Slide.combined(box_mask(), 5, [(AXES[number], angle) for number, angle in moves])
    return [level[..., level.shape[-2] // 2, level.shape[-1] // 2] for level in evaluate(BASE, slide).levels]


def along(axis: int) -> list[torch.Tensor]:
    parts = [weight / np.linalg.norm(AXES[axis]) for weight in AXES[axis]]
    rolls = [noise(5, _FIRST_SAMPLE + roll) for roll in range(3)]
    levels = [sum(part * level for part, level in zip(parts, own, strict=True)) for own in zip(*rolls, strict=True)]
    return [level[..., level.shape[-2] // 2, level.shape[-1] // 2] for level in levels]


def test_moving_one_slider_keeps_the_others_whatever_the_order() -> None:
    before = [level[..., level.shape[-2] // 2, level.shape[-1] // 2] for level in noise(1, 0)]
    for second in (-0.9, 0.0, 0.3, 0.9):
        both = combined((0, 0.5), (1, second))
        left = math.sqrt(1 - math.sin(0.5) ** 2 - math.sin(second) ** 2)
        parts = zip(before, along(0), along(1), strict=True)
        expected = [left * z + math.sin(0.5) * first + math.sin(second) * other for z, first, other in parts]
        assert all(torch.allclose(found, wanted, atol=2e-4) for found, wanted in zip(both, expected, strict=True))
        assert close(both, combined((1, second), (0, 0.5)))
    three = combined((0, math.pi / 2), (1, -math.pi / 2), (2, math.pi / 2))
    parts = zip(along(0), along(1), along(2), strict=True)
    ends = [(first - second + third) / math.sqrt(3) for first, second, third in parts]
    assert all(torch.allclose(found, wanted, atol=2e-4) for found, wanted in zip(three, ends, strict=True))


def test_one_slider_is_a_slide_and_none_is_nothing() -> None:
    weights = (32767, -4, 12345, 0)
    for angle in (-math.pi / 2, -0.3, 1.1):
        slide = Slide.combined(box_mask(), 5, [((1, 2, 3, 4), 0.0), (weights, angle)])
        assert (slide.weights, slide.angle) == (weights, pytest.approx(angle))
    assert Slide.combined(box_mask(), 5, [(weights, 0.0)]) is None


def test_noise_is_kept_within_bounds() -> None:
    drawn = []

    def draw_noise(number: int) -> list[torch.Tensor]:
        drawn.append(number)
        return [torch.full((4,), float(number))]

    noises = Noises(max_bytes=64 * 16)
    for number in [*range(64), *range(64)]:
        assert noises.get(number, lambda number=number: draw_noise(number))[0][0] == number
    assert drawn == list(range(64)), "the second time, all were there"
    for number in (0, 64, 0, 2, 1):
        noises.get(number, lambda number=number: draw_noise(number))
    assert drawn[64:] == [64, 1], "the longest unused one had gone"
    noises.get("large", lambda: [torch.zeros(5)])
    assert noises.num_bytes() == 64 * 16, "one that is too large is not kept"


# -- statistics --------------------------------------------------------------------------------------------------------

LISTS = {
    "reroll": (BASE, Reroll(soft_mask(), 5, 2)),
    "two rolls on one another": (BASE, Reroll(soft_mask(), 5, 2), Reroll(soft_mask(1), 5, 3)),
    "a roll that comes back": (BASE, Reroll(soft_mask(), 5, 2), Reroll(soft_mask(1), 5, 2)),
    "mix": (BASE, Mix(Sample(9, 4), 0.6, mask=soft_mask())),
    "mix with itself": (BASE, Reroll(soft_mask(), 5, 2), Mix(Sample(1, 0), 0.6)),
    "slide": (BASE, Slide(soft_mask(), 5, tuple(range(-20, 28)), -1.1)),
    "slides over rolls": (
        *(BASE, Reroll(soft_mask(), 5, 2), Slide(soft_mask(1), 5, (1, 0, -3), 1.2)),
        *(Slide(soft_mask(2), 5, (-1, 0, 3), 0.9), Mix((BASE, Slide(soft_mask(), 5, (0, 2, 3), -0.8)), 0.7)),
    ),
    "mix of relatives": (
        BASE,
        Reroll(soft_mask(), 5, 2),
        Mix((BASE, Reroll(soft_mask(1), 5, 3), Mix(Sample(9, 4), 0.9)), 0.7, 0.3, soft_mask(2)),
    ),
}


@pytest.mark.parametrize("shapes", [SHAPES, THREE_LEVELS], ids=["two levels", "three levels"])
@pytest.mark.parametrize("name", LISTS)
def test_latents_stay_standard_normal(name: str, shapes: tuple) -> None:
    field = evaluate(*LISTS[name], shapes=shapes)
    # By construction: the squares of the weights of independent noises add up to 1 at every position.
    for level in range(len(shapes)):
        total = sum(weights[level].square() for weights in field.weights.values())
        assert (total - 1).abs().max() < 1e-12
    # And as they are.
    for level in field.levels:
        count = level.numel()
        assert abs(level.mean().item()) < 4 / count**0.5
        assert abs(level.var().item() - 1) < 4 * (2 / count) ** 0.5
        neighbours = (level[..., 1:] * level[..., :-1]).mean().item(), (level[:, 1:] * level[:, :-1]).mean().item()
        assert max(map(abs, neighbours)) < 4 / (0.9 * count) ** 0.5
        assert kolmogorov_smirnov(level) < 1.95 / count**0.5  # p = 0.001


def kolmogorov_smirnov(values: torch.Tensor) -> float:
    """The largest distance between the values' distribution and the standard normal one."""
    ordered = values.flatten().double().sort().values
    expected = (1 + torch.erf(ordered / 2**0.5)) / 2
    steps = torch.arange(len(ordered) + 1) / len(ordered)
    return max((steps[1:] - expected).max().item(), (expected - steps[:-1]).max().item())


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("box", [(4, 6, 18, 20), (0, 0, 2, 2), (30, 22, 32, 24)])
def test_a_place_can_be_had_without_the_rest(name: str, box: tuple[int, int, int, int]) -> None:
    operations = (*LISTS[name], Heat(0.3, soft_mask(3)))
    whole = evaluate(*operations, shapes=THREE_LEVELS).latents()
    part = Field.evaluate(operations, place(box, THREE_LEVELS)).latents()
    for all_of_it, own, shape in zip(whole, part, THREE_LEVELS, strict=True):
        left, top, right, bottom = (edge * shape[2] // SIZE[1] for edge in box)
        assert torch.equal(own, all_of_it[:, top:bottom, left:right])


def test_operations_elsewhere_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    original = Place.noise
    monkeypatch.setattr(Place, "noise", lambda self, stream: drawn.append(stream) or original(self, stream))
    Field.evaluate((BASE, Reroll(box_mask(), 5, 2)), place((0, 16, 32, 24)))
    assert drawn == [(1, 0)]
    Field.evaluate((BASE, Reroll(box_mask(), 5, 2)), place((0, 14, 32, 24)))
    assert drawn == [(1, 0), (1, 0), (5, _FIRST_SAMPLE + 2)]

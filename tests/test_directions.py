"""Directions among rolls, with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from srflow.contract import InputError
from srflow.evaluation.directions import find_directions, means, orientations, place_features
from srflow.evaluation.slider_names import name_ends
from srflow.operations import Draw, Mask, Operation, Reroll, Slide
from srflow.operations.field import Field, Place

RNG = np.random.default_rng


def planted(num: int = 64, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Features of rolls with two hidden causes, the first twice as strong, and the causes."""
    rng = RNG(0)
    causes = rng.standard_normal((num, 2)) * [2.0, 1.0]
    axes = np.linalg.qr(rng.standard_normal((30, 2)))[0].T
    return causes @ axes + noise * rng.standard_normal((num, 30)) + 5.0, causes


def test_hidden_causes_are_found_in_their_order_with_their_shares() -> None:
    features, causes = planted()
    found = find_directions(features, 5)
    assert len(found) == 2, "the rest is noise, and explains nothing of other rolls"
    for direction, cause in zip(found, causes.T, strict=True):
        correlation = np.corrcoef(direction.weights, cause)[0, 1]
        assert abs(correlation) > 0.98
        assert max(map(abs, direction.weights)) == max(direction.weights) == 32767
    assert [direction.share for direction in found] == pytest.approx([0.75, 0.2], abs=0.06)
    assert [direction.weights for direction in find_directions(features, 1)] == [found[0].weights]


def test_noise_has_no_directions_however_well_it_fits_itself() -> None:
    features = RNG(1).standard_normal((48, 400))
    own = np.linalg.svd(features - features.mean(0), compute_uv=False) ** 2
    assert own[0] / own.sum() > 0.03, "an axis explains the rolls that it was chosen by"
    assert find_directions(features, 5) == ()
    assert find_directions(np.ones((48, 10)), 5) == ()


def test_directions_are_at_right_angles() -> None:
    weights = np.array([direction.weights for direction in find_directions(planted(noise=0.5)[0], 5, min_share=0)])
    weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    np.testing.assert_allclose(weights @ weights.T, np.eye(len(weights)), atol=1e-3)


def test_sliders_of_a_flow_made_by_hand_go_along_what_it_does() -> None:
    """Its picture is tilted to the right by one pattern of the latents, and downwards, half as much, by another."""
    mask = Mask(16, 16, (0, 0, 16, 16), (255, 256))
    patterns = RNG(2).standard_normal((2, 6, 32, 32))
    patterns /= np.sqrt(np.square(patterns).sum((1, 2, 3), keepdims=True))
    ramp = np.linspace(-1, 1, 64)

    def tilts(*operations: Operation) -> np.ndarray:
        field = Field.evaluate((Draw(1, 0, 1.0), *operations), Place(((6, 32, 32),), 16, 16, (0, 0, 16, 16)))
        return (patterns * field.levels[0].numpy()).sum((1, 2, 3))

    def picture(*operations: Operation) -> np.ndarray:
        right, down = tilts(*operations)
        luma = 127 + 8 * right * ramp + 4 * down * ramp[:, None]
        return np.repeat(np.clip(np.rint(luma), 0, 255)[..., None], 3, 2).astype(np.uint8)

    weight = np.ones((64, 64))
    rolls = [Reroll(mask, 5, number) for number in range(48)]
    found = find_directions(place_features([picture(roll) for roll in rolls], weight), 5)
    rolled = np.array([tilts(roll) for roll in rolls])
    variances = rolled.var(0) * [4, 1]
    assert [direction.share for direction in found] == pytest.approx(variances / variances.sum(), abs=0.06)
    for axis, direction in enumerate(found):
        ends = [Slide(mask, 5, direction.weights, angle) for angle in (-math.pi / 2, math.pi / 2)]
        far = np.array([tilts(end)[axis] for end in ends])
        spread = np.sqrt(48) * rolled[:, axis].std()
        assert np.abs(far) == pytest.approx(spread, rel=0.15), "seven standard deviations away, with ordinary noise"
        assert np.abs(far).min() > 2 * np.abs(rolled[:, axis]).max()
        names = ("lighter left", "lighter right") if axis == 0 else ("lighter above", "lighter below")
        assert name_ends(*map(picture, ends), weight) == (names if far[1] > 0 else names[::-1])
    # Moving the second changes what the first does to the picture by no more than its own part of the noise.
    one, both = (
        tilts(Slide.combined(mask, 5, [(found[0].weights, 0.6), (found[1].weights, angle)])) for angle in (0.0, 0.7)
    )
    assert both[0] == pytest.approx(one[0], abs=0.5)
    assert abs(both[1] - one[1]) > 3


@pytest.mark.parametrize("bad", [np.ones((7, 3)), np.ones(20), np.full((20, 3), np.nan), np.ones((20, 0))])
def test_too_few_rolls_or_no_numbers_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="8 rolls"):
        find_directions(bad, 3)


def test_means_say_what_is_where() -> None:
    picture = np.zeros((9, 8, 3), np.uint8)
    picture[2:4, 4:6] = 10, 20, 30
    weight = np.ones((9, 8))
    weight[2, 4] = 0
    (found,) = means([picture], weight, 2)
    found = found.reshape(4, 4, 3)
    assert found[1, 2].tolist() == [7.5, 15, 22.5]
    assert found.sum() == pytest.approx(45)


def test_orientations_tell_which_way_lines_run() -> None:
    stripes = np.repeat(np.tile([0, 0, 90, 90], 4)[None, :, None], 16, 0).repeat(3, 2).astype(np.uint8)
    across, down = orientations([stripes, stripes.transpose(1, 0, 2)], np.ones((16, 16)), 8).reshape(2, 4, 4)
    assert (across[:, 0] > 100).all()
    np.testing.assert_allclose(across[:, 2], 0, atol=1e-9)
    np.testing.assert_allclose(down[:, [2, 0]], across[:, [0, 2]], atol=1e-9)
    flat = orientations([np.full((16, 16, 3), 7, np.uint8)], np.ones((16, 16)), 8)
    assert not flat.any()


@pytest.mark.parametrize(("shape", "cell"), [((8, 9), 2), ((8, 8), 9), ((8, 8), 0)])
def test_pictures_and_cells_must_fit_the_place(shape: tuple[int, int], cell: int) -> None:
    with pytest.raises(InputError):
        means([np.zeros((8, 8, 3), np.uint8)], np.ones(shape), cell)

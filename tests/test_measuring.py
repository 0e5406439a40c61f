"""Statistics of sets of samples, for cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from srflow.calibration.bars import nominal_lambda
from srflow.contract import Bar, InputError
from srflow.evaluation.measuring import check_truth, line_pixels, measure_line, measure_place


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2).astype(np.float32)


def gaussian_set(spread: float, count: int = 8) -> tuple[np.ndarray, list[np.ndarray]]:
    """A truth that is normal about 100 with σ = 10, and samples that are the same but for their spread."""
    random = np.random.default_rng(1)
    draw = lambda sigma: grey(100 + sigma * random.standard_normal((300, 400)))  # noqa: E731
    return draw(10), [draw(10 * spread) for _ in range(count)]


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_bars_of_right_samples_hold_what_student_s_t_says(coverage):
    truth, samples = gaussian_set(spread=1.0)
    bar = Bar(nominal_lambda(8, coverage), 0.01)
    found = check_truth(truth, iter(samples), {"luma": bar, "rgb": bar})
    assert found.inside["luma"] == pytest.approx(coverage, abs=0.005)
    assert found.inside["rgb"] == pytest.approx(coverage, abs=0.005)
    assert found.ranks == pytest.approx([1 / 9] * 9, abs=0.01)


def test_samples_that_differ_too_little_are_found_out_and_a_wider_bar_mends_it():
    truth, samples = gaussian_set(spread=0.5)
    lam = nominal_lambda(8, 0.9)
    # The truth's error about the mean of 8 has the variance σ² (1 + .25 / 8), and √(1 + 1/8) σ/2 is what λ multiplies.
    right = lam * np.sqrt((1 + 0.25 / 8) / (0.25 * (1 + 1 / 8)))
    narrow, wide = (check_truth(truth, samples, {"luma": Bar(one, 0.01)}) for one in (lam, right))
    assert narrow.inside["luma"] < 0.7
    assert wide.inside["luma"] == pytest.approx(0.9, abs=0.005)
    assert narrow.ranks[0] + narrow.ranks[-1] > 0.4
    assert sum(narrow.ranks) == pytest.approx(1)


def test_where_samples_agree_the_floor_decides():
    truth = grey(np.full((20, 30), 100.0))
    samples = [truth + 1] * 4
    inside = [check_truth(truth, samples, {"luma": Bar(1.0, floor)}).inside["luma"] for floor in (0.8, 1.0)]
    assert inside == [0.0, 1.0], "the half width is √(1 + 1/4) floor, .89 and 1.12, and the error 1"


def test_what_does_not_fit_is_refused():
    truth = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="one size"):
        check_truth(truth, [truth, truth[:4]], {})
    with pytest.raises(InputError, match="1 sample"):
        check_truth(truth, [truth], {})


def test_a_place_s_mean_has_the_spread_of_means_not_of_pixels():
    random = np.random.default_rng(0)
    own = random.standard_normal(400)  # what all pixels of a sample have in common
    samples = [100 + 3 * own[i] + 5 * random.standard_normal((8, 8, 3)) for i in range(400)]
    found = measure_place(samples)
    assert found.area == 64
    assert found.side == 8
    assert found.mean == pytest.approx([100] * 4, abs=0.5)
    assert found.sigma[0] == pytest.approx(np.sqrt(9 + 25 / 64), rel=0.1)


def test_weights_say_which_pixels_belong_to_the_place():
    sample = np.zeros((4, 4, 3), np.uint8)
    sample[:2] = 200
    weights = np.zeros((4, 4))
    weights[1, 0], weights[2, 0] = 0.75, 0.25
    found = measure_place([sample, sample], weights)
    assert found.mean == pytest.approx([150] * 4)
    assert found.area == 1.0
    with pytest.raises(InputError, match="empty"):
        measure_place([sample, sample], np.zeros((4, 4)))
    with pytest.raises(InputError, match="1 sample"):
        measure_place([sample])


def test_a_line_takes_one_pixel_a_step_from_end_to_end():
    pixels, distances = line_pixels((1, 5), (4, 3))
    assert pixels.tolist() == [[1, 5], [2, 4], [3, 4], [4, 3]]
    assert distances == pytest.approx(np.hypot([0, 1, 2, 3], [0, 1, 1, 2]))
    assert line_pixels((2, 2), (2, 2))[0].tolist() == [[2, 2]]
    back, _ = line_pixels((4, 3), (1, 5))
    assert (back[0], back[-1]) == (pytest.approx([4, 3]), pytest.approx([1, 5]))
    picture = np.zeros((6, 6, 3), np.uint8)
    picture[4, 2] = (255, 0, 0)
    assert measure_line([picture], pixels)[0] == pytest.approx([0, 0.299 * 255, 0, 0], abs=1e-3)

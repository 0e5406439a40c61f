import math

import numpy as np
import pytest
from scipy.stats import binom, norm, t

from srflow.calibration.bars import (
    LAMBDAS,
    box_means,
    conformal_lambda,
    cross_fit,
    hoeffding_bentkus_p,
    min_pictures,
    nominal_lambda,
    outside_shares,
    prediction_sigma,
    rank_histogram,
    rcps_lambda,
    sigma_floor,
)
from srflow.contract import InputError


def pictures(count, num_samples, dispersion=1.0, places=4000, seed=0):
    """Return losses of pictures whose truth is normal about 0; the samples' σ is `dispersion` times the truth's."""
    random = np.random.default_rng(seed)
    losses = []
    for _ in range(count):
        sigma = random.uniform(2, 20, places)  # of the truth, per pixel
        samples = dispersion * sigma * random.standard_normal((num_samples, places))
        scale = prediction_sigma(samples.std(axis=0, ddof=1), num_samples, 0.5)
        losses.append(outside_shares(np.abs(sigma * random.standard_normal(places) - samples.mean(axis=0)) / scale))
    return np.stack(losses)


def at(losses, lam):
    """The loss at one λ of the grid."""
    return losses[..., np.searchsorted(LAMBDAS, lam)]


def test_losses_are_shares_of_places_outside():
    shares = outside_shares(np.array([[0.0, 1.0], [LAMBDAS[400], 5000.0]]))
    assert shares[0] == 0.75  # the one at 0 is inside even the narrowest bar
    assert at(shares, 0.99) == 0.75
    assert at(shares, 1.02) == 0.5
    assert (shares[399], shares[400]) == (0.5, 0.25)  # a truth at the end of the bar is inside
    assert shares[-1] == 0
    assert (np.diff(shares) <= 0).all()


def test_the_grid_is_fine_where_bars_are():
    assert (np.diff(LAMBDAS) > 0).all()
    usual = LAMBDAS[LAMBDAS <= 10]
    assert (usual[1:] / usual[:-1]).max() < 1.0101
    assert LAMBDAS[-1] == pytest.approx(1e4)


def test_right_samples_have_the_normal_lambda():
    """1.645 for many samples; for few, the quantile of Student's t."""
    assert nominal_lambda(10**6, 0.9) == pytest.approx(1.645, abs=1e-3)
    for count in (4, 24, 100):
        assert nominal_lambda(count, 0.9) == pytest.approx(t.ppf(0.95, count - 1))
        lam = conformal_lambda(pictures(50, count, places=2000), 0.9)
        # The correction for the number of pictures, 1/51, asks for a coverage of 91.8 %.
        assert lam == pytest.approx(t.ppf(0.5 + 0.918 / 2, count - 1), rel=0.03)
    assert conformal_lambda(pictures(300, 150, places=500), 0.9) == pytest.approx(1.66, abs=0.03)


@pytest.mark.parametrize("dispersion", [0.5, 2.0])
def test_lambda_undoes_wrong_dispersion(dispersion):
    right = conformal_lambda(pictures(60, 300, places=2000), 0.9)
    wrong = conformal_lambda(pictures(60, 300, dispersion, places=2000), 0.9)
    assert wrong == pytest.approx(right / dispersion, rel=0.03)


def test_the_conformal_bound_by_hand():
    losses = np.zeros((9, len(LAMBDAS)), dtype=np.float32)
    assert conformal_lambda(losses, 0.9) == LAMBDAS[0]  # (9 · 0 + 1) / 10 is 0.1, just enough
    losses[4, :200] = 0.01
    assert conformal_lambda(losses, 0.9) == LAMBDAS[200]
    losses = np.zeros((19, len(LAMBDAS)))
    losses[:, :100] = 0.06  # (19 · 0.06 + 1) / 20 = 0.107
    losses[:, 100:300] = 0.05  # 0.0975
    assert conformal_lambda(losses, 0.9) == LAMBDAS[100]


def random_losses(random, count):
    """Pictures whose errors are normal with a dispersion of their own; the loss is exact."""
    dispersion = np.exp(0.4 * random.standard_normal(count))
    return (2 * norm.sf(LAMBDAS[None] / dispersion[:, None])).astype(np.float32)


def test_conformal_risk_control_holds_on_average_and_is_not_wasteful():
    """Over 2,000 calibration sets of 20 pictures: the loss of the next picture is at most α, and not far below."""
    random = np.random.default_rng(1)
    risks = []
    for _ in range(2000):
        losses = random_losses(random, 21)
        risks.append(at(losses[20], conformal_lambda(losses[:20], 0.9)))
    error = np.std(risks) / math.sqrt(len(risks))
    assert np.mean(risks) <= 0.1 + 2 * error
    assert np.mean(risks) >= 0.1 - 2 / 21 - 2 * error


def test_without_the_correction_it_would_not_hold():
    """The test above is sensitive enough: the plain empirical rule fails on sets of 10 pictures with heavy tails."""
    random = np.random.default_rng(2)
    plain, corrected = [], []
    for _ in range(3000):
        losses = (random_losses(random, 11) > 0.3).astype(np.float32)  # a picture is lost whole, or not at all
        means = losses[:10].mean(axis=0)
        plain.append(at(losses[10], LAMBDAS[np.argmax(means <= 0.1)]))
        corrected.append(at(losses[10], conformal_lambda(losses[:10], 0.9)))
    assert np.mean(plain) > 0.13
    assert np.mean(corrected) < 0.105


def test_risk_controlling_sets_hold_with_confidence():
    """Over 150 calibration sets, the true risk is above α in no more than δ of them."""
    random = np.random.default_rng(3)
    population = random_losses(random, 20_000).mean(axis=0)
    risks = [at(population, rcps_lambda(random_losses(random, 200), 0.9, 0.9)) for _ in range(150)]
    assert np.mean(np.array(risks) > 0.1) <= 0.1
    conformal = [at(population, conformal_lambda(random_losses(random, 200), 0.9)) for _ in range(150)]
    assert np.mean(np.array(conformal) > 0.1) > 0.2  # which conformal risk control does not promise


def test_the_hoeffding_bentkus_p_value_by_direct_computation():
    for count, alpha in ((22, 0.1), (100, 0.1), (50, 0.25)):
        for mean in (0.0, 0.013, 0.04, 0.09, 0.1, 0.3):
            a = min(mean, alpha)
            h = (0 if a == 0 else a * math.log(a / alpha)) + (1 - a) * math.log((1 - a) / (1 - alpha))
            below = sum(
                math.comb(count, k) * alpha**k * (1 - alpha) ** (count - k)
                for k in range(math.ceil(round(count * mean, 9)) + 1)
            )
            expected = min(math.exp(-count * h), math.e * below)
            assert hoeffding_bentkus_p(np.float64(mean), count, alpha) == pytest.approx(expected, rel=1e-9)
            assert below == pytest.approx(binom.cdf(math.ceil(round(count * mean, 9)), count, alpha))
    # n = 100, α = δ = 0.1 needs a mean loss of about .04
    losses = np.linspace(0, 0.1, 1001)
    assert losses[hoeffding_bentkus_p(losses, 100, 0.1) < 0.1].max() == pytest.approx(0.045, abs=0.006)


def test_how_many_pictures_it_takes():
    assert min_pictures(0.9) == 9
    assert min_pictures(0.8) == 4
    assert min_pictures(0.5) == 1
    assert min_pictures(0.9, 0.9) == 22  # 0.9^n < 0.1
    for coverage, confidence in ((0.9, None), (0.8, None), (0.9, 0.9)):
        needed = min_pictures(coverage, confidence)
        for count in (needed, needed - 1):
            losses = np.zeros((count, len(LAMBDAS)))
            arguments = (losses, coverage) if confidence is None else (losses, coverage, confidence)
            choose = conformal_lambda if confidence is None else rcps_lambda
            if count == needed:
                assert choose(*arguments) == LAMBDAS[0]
            else:
                with pytest.raises(InputError, match=rf"{count} pictures are too few.*at least {needed}"):
                    choose(*arguments)
    for coverage, confidence in ((0.2, None), (1.0, None), (0.9, 0.1), (math.nan, None)):
        with pytest.raises(InputError, match=r"must be from 0\.5 to 0\.999"):
            min_pictures(coverage, confidence)


def test_cross_fitting_leaves_out_the_pictures_it_is_checked_on():
    losses = np.arange(6.0)[:, None] * np.ones(len(LAMBDAS))
    folds = np.array([0, 1, 2, 0, 1, 2])
    seen = cross_fit(losses, folds, lambda rest: rest[:, 0].sum())
    np.testing.assert_array_equal(seen, [15 - 3, 15 - 5, 15 - 7, 15 - 3, 15 - 5, 15 - 7])


def test_means_of_boxes_by_hand():
    values = np.arange(5 * 7 * 2).reshape(5, 7, 2)
    means = box_means(values, 2)
    assert means.shape == (2, 3, 2)
    assert means[1, 2, 1] == values[2:4, 4:6, 1].mean()
    np.testing.assert_array_equal(box_means(values, 1), values)


def test_floors():
    assert sigma_floor(1, 4) == sigma_floor(4, 4) == 0.5
    assert (sigma_floor(8, 4), sigma_floor(16, 4), sigma_floor(8, 8)) == (0.25, 0.125, 0.5)
    for box in (0, 33):
        with pytest.raises(InputError, match=f"A box of {box}"):
            sigma_floor(box, 4)
    np.testing.assert_allclose(prediction_sigma(np.array([0.1, 2.0]), 3, 0.5), math.sqrt(4 / 3) * np.array([0.5, 2]))


def test_ranks_by_hand_and_of_right_samples():
    random = np.random.default_rng(0)
    samples = np.array([[1.0, 1.0, 5.0], [2.0, 3.0, 5.0]])
    np.testing.assert_array_equal(rank_histogram(np.array([0.0, 2.0, 9.0]), samples, random), [1, 1, 1])
    ties = rank_histogram(np.full(30_000, 5.0), np.full((2, 30_000), 5.0), random)
    np.testing.assert_allclose(ties / 30_000, 1 / 3, atol=0.015)
    truth, samples = random.standard_normal(50_000), random.standard_normal((9, 50_000))
    np.testing.assert_allclose(rank_histogram(truth, samples, random) / 50_000, 0.1, atol=0.006)
    narrow = rank_histogram(truth, samples / 2, random)
    assert narrow[0] > 10_000
    assert narrow[9] > 10_000
    np.testing.assert_allclose(rank_histogram(truth, samples / 2, random, stretch=2.0) / 50_000, 0.1, atol=0.012)

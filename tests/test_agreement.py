"""Fourier ring correlation against pictures whose common part has a known limit."""

from __future__ import annotations

import numpy as np
import pytest

from srflow.contract import InputError
from srflow.evaluation.agreement import find_agreement, ring_correlation, window_of


def band(random: np.random.Generator, shape: tuple[int, int], power) -> np.ndarray:
    """Return noise whose power at the frequency f, in cycles per pixel, is power(f)."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    return np.fft.irfft2(np.fft.rfft2(random.standard_normal(shape)) * np.sqrt(power(frequency)), shape)


@pytest.mark.parametrize("shape", [(256, 256), (180, 301)], ids=str)
@pytest.mark.parametrize("size", [3.2, 6.0])
def test_samples_agree_down_to_where_their_common_part_ends(shape, size):
    random = np.random.default_rng(0)
    common = band(random, shape, lambda f: f < 1 / size)
    samples = [common + band(random, shape, lambda f: f >= 1 / size) for _ in range(6)]
    found = find_agreement(samples)
    assert found.size == pytest.approx(size, rel=0.04)
    assert not found.reaches_end
    below, above = found.frequencies < 0.9 / size, found.frequencies > 1.1 / size
    assert found.correlation[below].min() > 0.9
    assert np.abs(found.correlation[above]).max() < 0.15


def test_the_correlation_is_the_common_share_of_the_power():
    random = np.random.default_rng(1)
    falling = lambda f: np.exp(-12 * f)  # noqa: E731
    common = band(random, (256, 256), falling)
    samples = [common + 0.5 * random.standard_normal((256, 256)) for _ in range(8)]
    frequencies, correlation = ring_correlation(samples)
    share = falling(frequencies) / (falling(frequencies) + 0.25)
    assert np.abs(correlation - share)[10:].mean() < 0.025
    # exp(-12 f) = .25 / 6 where the share is 1/7
    assert find_agreement(samples).size == pytest.approx(12 / np.log(24), rel=0.08)


def test_equal_samples_agree_in_all_that_pixels_can_show():
    picture = np.random.default_rng(2).integers(0, 256, (64, 80, 3), np.uint8)
    found = find_agreement([picture, picture])
    assert (found.size, found.reaches_end) == (2.0, True)
    assert find_agreement([np.zeros((64, 64)), np.zeros((64, 64))]).reaches_end, "of nothing, nothing differs"


def test_samples_that_have_nothing_in_common_agree_in_nothing():
    random = np.random.default_rng(3)
    found = find_agreement([random.standard_normal((128, 128)) for _ in range(16)])
    assert found.size > 30


@pytest.mark.parametrize(("shape", "count", "why"), [((63, 80), 2, "80x63"), ((64, 64), 1, "1 sample")])
def test_what_is_too_little_is_refused(shape, count, why):
    with pytest.raises(InputError, match=why):
        find_agreement([np.zeros(shape)] * count)


def disc(side: int, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return (np.hypot(rows, columns) < radius).astype(float)


def test_a_place_of_any_shape_sees_nothing_of_what_is_around_it():
    random = np.random.default_rng(4)
    size, weights = 6.0, disc(256, 120)
    common = band(random, (256, 256), lambda f: f < 1 / size)
    samples = [common + band(random, (256, 256), lambda f: f >= 1 / size) for _ in range(6)]
    inside = find_agreement(samples, window=window_of(weights))
    assert inside.size == pytest.approx(size, rel=0.06)
    for sample in samples:
        sample[weights == 0] = random.standard_normal(int((weights == 0).sum())) * 200
    assert find_agreement(samples).size > 2 * size, "the box about it holds what differs"
    again = find_agreement(samples, window=window_of(weights))
    np.testing.assert_array_equal(again.correlation, inside.correlation)


def test_the_window_of_a_full_box_is_hann_s_and_its_side_the_box_s():
    window = window_of(np.ones((80, 100)))
    np.testing.assert_allclose(window.values, np.outer(np.hanning(82)[1:-1], np.hanning(102)[1:-1]))
    assert window.side == 80
    nearly = np.ones((80, 80))
    nearly[0, 0] = 0
    assert window_of(nearly).side == pytest.approx(80, rel=0.12), "a shape that is nearly a box has nearly its side"
    half = window_of(0.5 * np.ones((80, 80)))
    assert half.values.max() == pytest.approx(0.5, rel=0.01)
    assert window_of(np.zeros((70, 70))).side == 0


def test_a_place_that_is_narrow_in_a_large_box_is_refused_in_words():
    rows, columns = np.mgrid[:200, :200]
    stripe = (np.abs(rows - columns) < 20).astype(float)
    samples = [np.random.default_rng(i).standard_normal((200, 200)) for i in range(2)]
    with pytest.raises(InputError, match=r"effective size of 2[0-9] pixels, less than its box of 200x200"):
        find_agreement(samples, window=window_of(stripe))

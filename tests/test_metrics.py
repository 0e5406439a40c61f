import math

import numpy as np
import pytest
from scipy.signal import convolve2d

from srflow.contract import InputError
from srflow.evaluation.metrics import (
    PSNR_CAP,
    BestOfSamples,
    crop_ground_truth,
    crop_to_ground_truth,
    lr_psnr,
    mse_map,
    psnr,
    score_maps,
    ssim,
)
from srflow.images import downscale_uint8, upscale_uint8
from srflow.pictures import list_images, load_image


def flat(value, height=32, width=40):
    return np.full((height, width, 3), value, dtype=np.uint8)


def noise(seed=0, height=32, width=40):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# -- PSNR --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "expected"), [(1, 48.1308), (5, 34.1514), (255, 0.0)])
def test_psnr_of_a_constant_offset(offset, expected):
    assert psnr(flat(0), flat(offset)) == pytest.approx(expected, abs=1e-4)


def test_psnr_is_over_all_channels_and_does_not_wrap_round():
    a, b = flat(250), flat(250)
    b[..., 1] = 4  # -246 in one channel of three; in uint8 arithmetic it would wrap to 10
    expected = 10 * math.log10(255**2 / (246**2 / 3))
    assert psnr(a, b) == pytest.approx(expected)
    assert psnr(b, a) == pytest.approx(expected)


def test_equal_pictures_have_the_cap_and_nearly_equal_ones_do_not_exceed_it():
    assert psnr(noise(), noise()) == PSNR_CAP
    a = np.zeros((1024, 1024, 3), dtype=np.uint8)
    b = a.copy()
    b[0, 0, 0] = 1  # 48.13 dB + 10 log10(3 * 2**20) = 113.1 dB
    assert psnr(a, b) == PSNR_CAP
    assert np.isfinite(np.mean([psnr(a, a), psnr(flat(0), flat(5))]))


# -- LR-PSNR -----------------------------------------------------------------------------------------------------------


def matlab_uint8_quarter(picture):
    """imresize(picture, 1/4) by other means: weights written out, vertical first, rounded after each pass."""

    def cubic(x):
        x = abs(x)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    def along_rows(array):
        size = array.shape[0]
        out = np.zeros((size // 4, *array.shape[1:]))
        for i in range(size // 4):
            centre = 4 * i + 1.5
            taps = range(math.floor(centre) - 8, math.floor(centre) + 10)
            weights = np.array([cubic((t - centre) / 4) for t in taps])
            weights /= weights.sum()
            for tap, weight in zip(taps, weights, strict=True):
                mirrored = tap % (2 * size)
                out[i] += weight * array[mirrored if mirrored < size else 2 * size - 1 - mirrored]
        return np.floor(np.clip(out, 0, 255) + 0.5)

    vertical = along_rows(picture.astype(float))
    return along_rows(vertical.transpose(1, 0, 2)).transpose(1, 0, 2).astype(np.uint8)


def test_lr_psnr_compares_matlab_downscaled_pictures():
    a, b = noise(1), noise(2)
    expected = psnr(matlab_uint8_quarter(a), matlab_uint8_quarter(b))
    assert lr_psnr(a, b, 4) == pytest.approx(expected, abs=1e-9)


def test_lr_psnr_of_a_constant_offset_is_the_psnr_and_of_equal_pictures_the_cap():
    assert lr_psnr(flat(100), flat(102), 8) == pytest.approx(psnr(flat(100), flat(102)))
    assert lr_psnr(noise(), noise(), 4) == PSNR_CAP


def test_lr_psnr_ignores_detail_finer_than_the_lr_picture():
    checkered = flat(100)
    checkered[::2, ::2] += 8
    checkered[1::2, 1::2] += 8
    assert psnr(checkered, flat(104)) == pytest.approx(psnr(flat(4), flat(0)))
    assert lr_psnr(checkered, flat(104), 4) > 60


# -- SSIM --------------------------------------------------------------------------------------------------------------


def test_ssim_of_flat_pictures_is_the_luminance_term():
    # Without variance, SSIM = (2 a b + C1) / (a² + b² + C1) with C1 = (0.01 * 255)².
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 140 + c1) / (100**2 + 140**2 + c1)
    assert ssim(flat(100), flat(140)) == pytest.approx(expected, abs=1e-7)
    assert ssim(noise(), noise()) == pytest.approx(1.0)


def test_ssim_uses_the_gaussian_window_and_population_covariances():
    a, b = noise(3, 11, 11), noise(4, 11, 11)  # one window exactly
    offsets = np.arange(11) - 5
    row = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(row, row) / row.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for x, y in zip(a.astype(float).transpose(2, 0, 1), b.astype(float).transpose(2, 0, 1), strict=True):
        mx, my = (window * x).sum(), (window * y).sum()
        vx, vy, cov = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2, (window * x * y).sum() - mx * my
        values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert ssim(a, b) == pytest.approx(np.mean(values), abs=1e-9)


def test_ssim_needs_a_window():
    with pytest.raises(InputError, match="11 pixels a side; the pictures are 12x10"):
        ssim(flat(0, 10, 12), flat(0, 10, 12))


# -- squared-error map -------------------------------------------------------------------------------------------------


def test_mse_map_of_one_pixel_is_a_box_of_16():
    a, b = flat(0, 20, 24), flat(0, 20, 24)
    b[3, 5] = (6, 0, 0)  # squared error 36, over three channels 12, over 256 pixels 0.046875
    result = mse_map(a, b)
    assert result.shape == (35, 39)
    assert result.dtype == np.float32
    expected = np.zeros((35, 39), dtype=np.float32)
    expected[3:19, 5:21] = 12 / 256
    np.testing.assert_array_equal(result, expected)


def test_mse_map_is_the_full_convolution_of_the_challenge():
    a, b = noise(1, 20, 9), noise(2, 20, 9)
    squared = ((a.astype(float) - b.astype(float)) ** 2).mean(axis=2)
    expected = convolve2d(squared, np.full((16, 16), 1 / 256))
    np.testing.assert_allclose(mse_map(a, b), expected, rtol=1e-6)


# -- samples -----------------------------------------------------------------------------------------------------------


def test_two_samples_by_hand():
    first = np.array([[1.0, 3.0], [2.0, 2.0]], dtype=np.float32)  # mean 2
    second = np.array([[4.0, 0.0], [1.0, 5.0]], dtype=np.float32)  # mean 2.5
    scores = score_maps([first, second])  # minimum [[1, 0], [1, 2]], mean 1
    assert (scores.mean, scores.global_best, scores.local_best) == (2.25, 2.0, 1.0)
    assert scores.diversity == pytest.approx(50.0)  # 100 (2 - 1) / 2
    np.testing.assert_array_equal(first, [[1, 3], [2, 2]])  # the caller's map is not written into


def test_the_order_of_samples_does_not_matter_and_one_sample_has_no_diversity():
    maps = list(np.random.default_rng(0).random((5, 8, 8), dtype=np.float32))
    forward, backward = score_maps(maps), score_maps(maps[::-1])
    assert forward.diversity == pytest.approx(backward.diversity)
    assert forward.diversity > 0
    assert score_maps(maps[:1]).diversity == 0.0
    assert score_maps([maps[0], maps[0]]).diversity == 0.0


def test_a_perfect_sample_gives_zero_diversity_not_nan():
    assert score_maps([np.zeros((4, 4)), np.ones((4, 4))]).diversity == 0.0


def test_best_of_samples_refuses_none_and_other_sizes():
    best = BestOfSamples()
    with pytest.raises(InputError, match="no samples"):
        best.scores()
    best.add(np.zeros((4, 4)))
    with pytest.raises(InputError, match="sizes must be equal"):
        best.add(np.zeros((4, 5)))


# -- cropping and checks -----------------------------------------------------------------------------------------------


def test_cropping_keeps_the_top_left():
    hr = noise(0, 23, 17)
    cropped = crop_ground_truth(hr)
    np.testing.assert_array_equal(cropped, hr[:16, :16])
    np.testing.assert_array_equal(crop_to_ground_truth(noise(1, 20, 20), cropped), noise(1, 20, 20)[:16, :16])
    with pytest.raises(InputError, match="leaves nothing"):
        crop_ground_truth(noise(0, 7, 30))
    with pytest.raises(InputError, match="15x20, smaller than the ground truth, 16x16"):
        crop_to_ground_truth(noise(0, 20, 15), cropped)


@pytest.mark.parametrize("metric", [psnr, ssim, mse_map, lambda a, b: lr_psnr(a, b, 4)])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((32, 40, 3), dtype=np.float32), "uint8"),
        (np.zeros((32, 40), dtype=np.uint8), "uint8"),
        (np.zeros((32, 40, 4), dtype=np.uint8), "uint8"),
        (np.zeros((24, 40, 3), dtype=np.uint8), "differ in size"),
    ],
)
def test_other_things_than_two_equal_sized_rgb_pictures_are_refused(metric, bad, message):
    with pytest.raises(InputError, match=message):
        metric(flat(0), bad)


# -- a published number ------------------------------------------------------------------------------------------------


def test_bicubic_on_set5_reproduces_the_literature(shared):
    """Bicubic x4 on Set5 is 28.42 dB in every paper: luma of BT.601, 4 px of the border shaved, sides cropped to 4."""
    values = []
    for path in list_images(shared / "data" / "test" / "Set5"):
        hr = load_image(path)
        hr = hr[: hr.shape[0] // 4 * 4, : hr.shape[1] // 4 * 4]
        sr = upscale_uint8(downscale_uint8(hr, 4), 4)
        luma = [picture @ np.array([65.481, 128.553, 24.966]) / 255 + 16 for picture in (hr, sr)]
        difference = (luma[0] - luma[1])[4:-4, 4:-4]
        values.append(10 * math.log10(255**2 / np.mean(difference**2)))
    assert len(values) == 5
    assert np.mean(values) == pytest.approx(28.42, abs=0.015)

import pytest
import torch

from srflow.consistency import DEFAULT_ROUNDS, back_project
from srflow.contract import InputError
from srflow.evaluation.metrics import lr_psnr
from srflow.images import bicubic_downscale, bicubic_upscale, downscale_uint8, to_tensor, to_uint8


def smooth_picture(height, width):
    """A picture with detail at several sizes, in [0, 1], and some of it saturated."""
    coarse = torch.rand(1, 3, height // 8, width // 8)
    fine = torch.rand(1, 3, height // 2, width // 2)
    mixed = 1.2 * bicubic_upscale(coarse, 8) + 0.3 * bicubic_upscale(fine, 2) - 0.25
    return mixed.clamp(0, 1)


@pytest.fixture
def hr():
    return to_uint8(smooth_picture(64, 96))


@pytest.mark.parametrize("scale_factor", [4, 8])
def test_lr_psnr_rises_and_the_picture_comes_nearer_to_the_truth(hr, scale_factor):
    lr = to_tensor(downscale_uint8(hr, scale_factor))
    truth = to_tensor(hr)
    sr = (bicubic_upscale(lr, scale_factor) + truth) / 2 + 0.02 * torch.randn(truth.shape)
    before = lr_psnr(to_uint8(sr), hr, scale_factor)
    projected = back_project(sr, lr, scale_factor)
    after = lr_psnr(to_uint8(projected), hr, scale_factor)
    assert before < 47
    assert after > before + 15
    assert after > 50
    assert (projected - truth).square().mean() < (sr.clamp(0, 1) - truth).square().mean()


def test_more_rounds_are_more_consistent(hr):
    lr = to_tensor(downscale_uint8(hr, 4))
    sr = bicubic_upscale(lr, 4)
    errors = [(bicubic_downscale(back_project(sr, lr, 4, rounds), 4) - lr).abs().mean().item() for rounds in range(6)]
    assert errors == sorted(errors, reverse=True)
    assert errors[5] < errors[0] / 5


def test_one_round_is_the_formula():
    lr = torch.full((1, 3, 3, 4), 0.5)
    sr = torch.full((2, 3, 12, 16), 0.4)
    sr[1] = 0.7
    # Bicubic scaling keeps constants: the missing 0.1 (or -0.2) is added everywhere.
    torch.testing.assert_close(back_project(sr, lr, 4, 1), torch.full_like(sr, 0.5))


def test_what_is_consistent_stays_as_it_is(hr):
    truth = to_tensor(hr)
    inside = truth * 0.8 + 0.1
    torch.testing.assert_close(back_project(inside, bicubic_downscale(inside, 4), 4, 3), inside, atol=1e-6, rtol=0)


def test_the_result_is_in_range_and_saturated_places_stay_consistent():
    hr = torch.ones(1, 3, 32, 32)
    hr[..., 16:] = 0
    lr = bicubic_downscale(hr, 4).clamp(0, 1)
    sr = hr + 0.3 * torch.randn(1, 3, 32, 32)  # far outside [0, 1]
    projected = back_project(sr, lr, 4)
    assert projected.min() >= 0
    assert projected.max() <= 1
    clipped_afterwards = sr
    for _ in range(DEFAULT_ROUNDS):
        missing = lr - bicubic_downscale(clipped_afterwards, 4)
        clipped_afterwards = clipped_afterwards + bicubic_upscale(missing, 4)
    errors = [
        (bicubic_downscale(picture.clamp(0, 1), 4) - lr).square().mean() for picture in (projected, clipped_afterwards)
    ]
    assert errors[0] < errors[1] / 4


def test_samples_do_not_influence_each_other_and_no_rounds_change_nothing(hr):
    lr = to_tensor(downscale_uint8(hr, 4))
    samples = bicubic_upscale(lr, 4) + 0.05 * torch.randn(3, 3, 64, 96)
    together = back_project(samples, lr, 4, 2)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], back_project(samples[i : i + 1], lr, 4, 2))
    assert back_project(samples, lr, 4, 0) is samples


@pytest.mark.parametrize(
    ("sr_shape", "lr_shape", "rounds", "message"),
    [
        ((1, 3, 16, 16), (1, 3, 4, 5), 1, r"needs an sr of \(B, 3, 16, 20\)"),
        ((3, 16, 16), (1, 3, 4, 4), 1, "needs an sr of"),
        ((3, 3, 16, 16), (2, 3, 4, 4), 1, "3 pictures in sr and 2 in lr"),
        ((1, 3, 16, 16), (1, 3, 4, 4), -1, "rounds is -1"),
    ],
)
def test_what_does_not_fit_is_refused(sr_shape, lr_shape, rounds, message):
    with pytest.raises(InputError, match=message):
        back_project(torch.rand(sr_shape), torch.rand(lr_shape), 4, rounds)

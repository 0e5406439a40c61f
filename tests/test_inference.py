"""The rearranged model that samples: the same function as the model itself."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conftest import TOY_NAMES, make_toy, random_pair

from srflow.fused import conv_leaky_relu, conv_relu
from srflow.likelihood import log_likelihood
from srflow.sampling.inference import InferenceModel, RepeatedConv


def nothing() -> None:
    pass


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_repeated_conv_is_the_convolution_of_the_upsampled_map(factor: int) -> None:
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
    small = torch.randn(2, 3, 4, 7, dtype=torch.float64)
    expected = F.conv2d(F.interpolate(small, scale_factor=factor, mode="nearest"), weight, padding=1)
    out = torch.ones_like(expected)
    RepeatedConv(weight, factor, torch.float64).add_to(out, F.pad(small, (1, 1, 1, 1)))
    torch.testing.assert_close(out, expected + 1)


@pytest.mark.parametrize("name", TOY_NAMES)
def test_inference_model_is_the_model(name: str) -> None:
    reference, model = make_toy(name), InferenceModel(make_toy(name), torch.float64)
    _, lr = random_pair(model.scale_factor, batch=1)
    latents = [level.double() for level in reference.draw_latents(4, 6, num_samples=2, seed=1) * 0.7]
    given = [level.clone() for level in latents]
    with torch.no_grad():
        expected, expected_log_prob = reference.decode_with_log_prob(latents, reference.condition(lr))
    prepared = model.condition(lr, nothing)
    sr, log_dets = model.decode(latents, prepared, nothing)
    torch.testing.assert_close(sr, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(log_likelihood(latents, [-log_det for log_det in log_dets]), expected_log_prob)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(latents, given, strict=True))
    again, _ = model.decode(latents, prepared, nothing)
    assert torch.equal(again, sr)  # nothing that was prepared has been written into
    torch.testing.assert_close(model.super_resolve(lr, nothing).double(), reference.encoder.super_resolve(lr).double())


@pytest.mark.parametrize("name", ["srflow-da-r-x4-compact", "srflow-x4", "srflow-da-d-x8", "srflow-da-s-x4"])
def test_inference_model_in_float32_and_bf16(name: str) -> None:
    exact = make_toy(name, torch.float32)
    _, lr = random_pair(exact.scale_factor, dtype=torch.float32, batch=1)
    latents = list(exact.draw_latents(4, 6, num_samples=1, seed=1) * 0.5)
    with torch.no_grad():
        expected = exact.decode(latents, exact.condition(lr))
    single = InferenceModel(make_toy(name, torch.float32), torch.float32)
    half = InferenceModel(make_toy(name, torch.float32), torch.bfloat16)
    sr, _ = single.decode(latents, single.condition(lr, nothing), nothing)
    sr_half, _ = half.decode(latents, half.condition(lr, nothing), nothing)
    assert (sr - expected).abs().max() < 1e-4 * expected.abs().max()
    assert sr_half.dtype == torch.float32
    error = (sr_half - expected).square().mean().sqrt()
    assert 0 < error < 0.03 * expected.std()


def test_steps_are_counted_and_may_raise() -> None:
    model = InferenceModel(make_toy("srflow-da-r-x8-compact"), torch.float64)
    lr = torch.rand(1, 3, 2, 3, dtype=torch.float64)
    calls: list[None] = []
    prepared = model.condition(lr, lambda: calls.append(None))
    assert len(calls) == model.num_steps[0]
    calls.clear()
    latents = [torch.zeros(1, *shape, dtype=torch.float64) for shape in model.latent_shapes(2, 3)]
    model.decode(latents, prepared, lambda: calls.append(None))
    assert len(calls) == model.num_steps[1]

    def stop() -> None:
        raise KeyboardInterrupt

    for work in (lambda: model.condition(lr, stop), lambda: model.decode(latents, prepared, stop)):
        with pytest.raises(KeyboardInterrupt):
            work()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels_last", [False, True])
def test_fused_convolution_and_relu(dtype: torch.dtype, channels_last: bool) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    conv = torch.nn.Conv2d(6, 5, 3, padding=1).to(dtype=dtype, memory_format=layout)
    x = torch.randn(2, 6, 7, 4, dtype=dtype).to(memory_format=layout)
    plain, leaky = F.relu(conv(x)).detach(), F.leaky_relu(conv(x), 0.2).detach()
    with torch.no_grad():
        torch.testing.assert_close(conv_relu(conv, x), plain, rtol=0.02, atol=0.02 if dtype == torch.bfloat16 else 1e-6)
        torch.testing.assert_close(
            conv_leaky_relu(conv, x, 0.2), leaky, rtol=0.02, atol=0.02 if dtype == torch.bfloat16 else 1e-6
        )
    conv_relu(conv, x).sum().backward()
    assert conv.weight.grad is not None


def test_looking_at_the_fused_operator_leaves_the_random_numbers_alone() -> None:
    from srflow.fused import _is_supported

    _is_supported.cache_clear()
    state = torch.get_rng_state()
    _is_supported(torch.float32)
    assert torch.equal(torch.get_rng_state(), state)

"""The whole flow and the whole model, every preset at toy width: exact both ways, exact likelihood, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import TOY_NAMES, initialise, make_toy, random_pair, toy_config

from srflow.likelihood import bits_per_dimension, log_likelihood
from srflow.model import SRFlow
from srflow.presets import PRESETS, EncoderConfig, FlowConfig, ModelConfig


@pytest.mark.parametrize("name", TOY_NAMES)
def test_encode_and_decode_are_inverse_both_ways(name: str) -> None:
    model = make_toy(name)
    hr, lr = random_pair(model.scale_factor)
    with torch.no_grad():
        conditioning = model.condition(lr)
        latents, log_prob = model.encode(hr, conditioning)
        decoded, decoded_log_prob = model.decode_with_log_prob(latents, conditioning)
        torch.testing.assert_close(decoded, hr, rtol=0, atol=1e-9)
        torch.testing.assert_close(decoded_log_prob, log_prob, rtol=1e-9, atol=1e-6)
        drawn = model.draw_latents(4, 6, num_samples=2, seed=3) * 0.5
        again, _ = model._encode(model.decode(drawn, conditioning), conditioning)  # random nets leave [0, 1] by far
        for ours, theirs in zip(again, drawn, strict=True):
            torch.testing.assert_close(ours, theirs.double(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", TOY_NAMES)
def test_log_likelihood_is_that_of_the_jacobian(name: str) -> None:
    """log p(hr) = log N(all latents) + log |det of the Jacobian of all latents by hr|, by autograd."""
    model = make_toy(name, lr_size=(2, 2))
    hr, lr = random_pair(model.scale_factor, (2, 2), batch=1)
    with torch.no_grad():
        conditioning = model.condition(lr)
        latents, log_prob = model.encode(hr, conditioning)

    def flat_latents(picture: torch.Tensor) -> torch.Tensor:
        return torch.cat([latent.flatten() for latent in model._encode(picture, conditioning)[0]])

    jacobian = torch.func.jacrev(flat_latents, chunk_size=64)(hr).reshape(hr.numel(), hr.numel())
    log_det = torch.linalg.slogdet(jacobian)[1]
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(torch.cat([e.flatten() for e in latents])).sum()
    torch.testing.assert_close(log_prob[0], prior + log_det, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("name", TOY_NAMES)
def test_gradients_reach_every_parameter_but_the_encoders_tail(name: str) -> None:
    model = make_toy(name).train()
    hr, lr = random_pair(model.scale_factor)
    (-model.log_prob(hr, lr).mean()).backward()
    without = {key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    tail = {f"encoder.{key}" for key in model.encoder.super_resolution_tail()}
    assert without == tail
    model.zero_grad()
    model.encoder.super_resolve(lr).sum().backward()
    assert all(p.grad is not None for p in model.encoder.super_resolution_tail().values())


@pytest.mark.parametrize(
    ("name", "count"),
    [("srflow-da-x4", 6), ("srflow-da-x8", 6), ("srflow-da-s-x4", 8), ("srflow-da-s-x8", 10), ("srflow-x4", 6)],
)
def test_tail_of_the_released_presets(name: str, count: int) -> None:
    """The last upsampling convolution, hr_conv and conv_last; for -S every upsampling convolution."""
    with torch.device("meta"):
        model = SRFlow.from_preset(name)
    assert len(model.encoder.super_resolution_tail()) == count


@pytest.mark.parametrize("name", TOY_NAMES)
def test_likelihood_by_place_sums_to_the_likelihood(name: str) -> None:
    model = make_toy(name)
    hr, lr = random_pair(model.scale_factor)
    with torch.no_grad():
        conditioning = model.condition(lr)
        by_place = model.log_prob_map(hr, conditioning)
        assert by_place.shape == (2, *hr.shape[-2:])
        torch.testing.assert_close(by_place.sum((1, 2)), model.encode(hr, conditioning)[1])


def test_gradient_of_the_loss_against_finite_differences() -> None:
    model = make_toy("srflow-da-r-x4", lr_size=(2, 2))
    hr, lr = random_pair(4, (2, 2))
    parameter = model.flow.levels[1].steps[0].coupling.block.convs[1].weight
    model.log_prob(hr, lr).sum().backward()
    index = (1, 2, 0, 1)
    slope = parameter.grad[index].item()
    values = []
    for offset in (1e-5, -1e-5):
        with torch.no_grad():
            parameter[index] += offset
            values.append(model.log_prob(hr, lr).sum().item())
            parameter[index] -= offset
    assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7)


def test_a_linear_flow_is_the_normal_distribution_it_must_be() -> None:
    """At the start the couplings are constant: the flow is linear, so its density is known in closed form."""
    encoder = EncoderConfig(num_features=2, growth_channels=2, num_blocks=1, stacked_blocks=(0,))
    flow = FlowConfig(squeeze_factors=(4,), steps_per_level=1, splits=((),), conv_block="deep", hidden_channels=2)
    config = ModelConfig(name="linear", scale_factor=4, encoder=encoder, flow=flow)
    torch.manual_seed(1)
    model = SRFlow(config).double().eval()
    lr = torch.rand(1, 3, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        conditioning = model.condition(lr)
        zero = model.encode(torch.zeros(1, 3, 4, 4, dtype=torch.float64), conditioning)[0]
        columns = [
            model.encode(unit.reshape(1, 3, 4, 4), conditioning)[0][0].flatten() - zero[0].flatten()
            for unit in torch.eye(48, dtype=torch.float64)
        ]
        linear = torch.stack(columns, 1)
        covariance = torch.linalg.inv(linear.T @ linear)
        mean = -torch.linalg.solve(linear, zero[0].flatten())
        hr = torch.rand(1, 3, 4, 4, dtype=torch.float64)
        expected = torch.distributions.MultivariateNormal(mean, covariance).log_prob(hr.flatten())
        torch.testing.assert_close(model.encode(hr, conditioning)[1][0], expected)


def test_bits_per_dimension_by_hand() -> None:
    log_prob = torch.tensor([-3 * 4 * 5 * math.log(2) * 2.5])
    assert bits_per_dimension(log_prob, 4, 5).item() == pytest.approx(2.5)
    assert bits_per_dimension(log_prob, 4, 5, for_8_bit_values=True).item() == pytest.approx(10.5)


def test_log_likelihood_of_zeros_by_hand() -> None:
    latents = [torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 2, 2)]
    total = log_likelihood(latents, [torch.ones(1, 4, 4), torch.ones(2, 2, 2)])
    torch.testing.assert_close(total, torch.full((2,), -0.5 * math.log(2 * math.pi) * 52 + 20))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PRESETS if "compact" not in name])
def test_full_size_presets_invert_in_float32(name: str) -> None:
    model = SRFlow.from_preset(name)
    initialise(model, (8, 8))
    hr, lr = random_pair(model.scale_factor, (16, 16), torch.float32, batch=1)
    with torch.no_grad():
        conditioning = model.condition(lr)
        latents, _ = model.encode(hr, conditioning)
        assert (model.decode(latents, conditioning) - hr).abs().max() < 1e-3


def test_autocast_and_set_conv_dtype_run_the_conv_nets_in_bf16_and_nothing_else() -> None:
    name = "srflow-da-r-x4-compact"
    model = make_toy(name, torch.float32)
    hr, lr = random_pair(4, dtype=torch.float32)
    with torch.no_grad():
        exact = model.log_prob(hr, lr)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = model.log_prob(hr, lr)
        assert autocast.dtype == torch.float32
        assert not torch.equal(autocast, exact)
        torch.testing.assert_close(autocast, exact, rtol=0.02, atol=10)
        latents = model.draw_latents(4, 6, num_samples=2, seed=0)
        sr = model.decode(latents, model.condition(lr))
        half = make_toy(name, torch.float32).set_conv_dtype(torch.bfloat16)
        assert half.encoder.conv_first.weight.dtype == torch.bfloat16
        assert half.flow.levels[0].transitions.layers[0].layers[1].weight.dtype == torch.float32
        assert half.dtype == torch.float32
        sr_half = half.decode(latents, half.condition(lr))
        assert sr_half.dtype == torch.float32
        assert 0 < (sr_half - sr).abs().mean() < 0.02


def test_configurations_survive_a_round_trip() -> None:
    for name in TOY_NAMES:
        config = toy_config(name)
        assert ModelConfig.from_dict(config.to_dict()) == config

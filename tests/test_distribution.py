"""`model(lr)`: shapes, seeds, densities and gradients of the distribution that it returns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import make_toy, random_pair

from srflow import SuperResolutions
from srflow.consistency import back_project
from srflow.contract import InputError
from srflow.model import SRFlow


@pytest.fixture(scope="module")
def model() -> SRFlow:
    return make_toy("srflow-da-r-x4-compact")


@pytest.fixture
def lr() -> torch.Tensor:
    return random_pair(4, (4, 6), batch=3)[1]


def test_it_is_a_torch_distribution_of_a_batch_of_pictures(model: SRFlow, lr: torch.Tensor) -> None:
    dist = model(lr)
    assert isinstance(dist, SuperResolutions)
    assert isinstance(dist, torch.distributions.Distribution)
    assert (dist.batch_shape, dist.event_shape) == ((3,), (3, 16, 24))
    assert dist.support.event_dim == 3


@pytest.mark.parametrize("sample_shape", [(), (1,), (2,), (2, 2)])
@pytest.mark.parametrize("num_pictures", [1, 3])
def test_samples_and_their_densities_have_the_shapes_of_torch(model, lr, sample_shape, num_pictures) -> None:
    dist = model(lr[:num_pictures])
    samples = dist.sample(sample_shape)
    assert samples.shape == (*sample_shape, num_pictures, 3, 16, 24)
    assert dist.log_prob(samples).shape == (*sample_shape, num_pictures)


def test_log_prob_is_that_of_the_encoding_and_of_the_training_objective(model: SRFlow) -> None:
    hr, lr = random_pair(4, (4, 6), batch=3)
    expected = model.encode(hr, model.condition(lr))[1]
    torch.testing.assert_close(model(lr).log_prob(hr), expected)
    torch.testing.assert_close(model.log_prob(hr, lr), expected)


def test_log_prob_broadcasts_as_in_torch(model: SRFlow, lr: torch.Tensor) -> None:
    hr = torch.rand(2, 1, 3, 16, 24, dtype=torch.float64)
    log_prob = model(lr).log_prob(hr)
    assert log_prob.shape == (2, 3)
    torch.testing.assert_close(log_prob[1, 2], model(lr[2:]).log_prob(hr[1])[0])


def test_a_sample_of_a_seed_is_the_same_in_any_batch(model: SRFlow, lr: torch.Tensor) -> None:
    together = model(lr).sample((3,), seed=5)
    alone = model(lr[1:2]).sample((3,), seed=5, batch_size=2)
    torch.testing.assert_close(together[:, 1:2], alone)
    torch.testing.assert_close(alone[:, 0], model.sample(lr[1:2], num_samples=3, seed=5, temperature=1.0))
    each = model(lr).sample((3,), seed=[4, 5, 6])
    torch.testing.assert_close(each[:, 1:2], alone)
    assert not torch.allclose(each[:, 0], model(lr).sample((3,), seed=5)[:, 0])


def test_without_a_seed_torchs_generator_decides_and_pictures_get_noise_of_their_own(model: SRFlow, lr) -> None:
    dist = model(lr[:1].expand(2, -1, -1, -1))
    torch.manual_seed(3)
    first, second = dist.sample(), dist.sample()
    assert not torch.allclose(first, second)
    assert not torch.allclose(first[0], first[1])  # one LR picture, given twice
    torch.manual_seed(3)
    torch.testing.assert_close(dist.sample(), first)


def test_rsample_and_log_prob_agree_with_log_prob(model: SRFlow, lr: torch.Tensor) -> None:
    dist = model(lr)
    samples, log_prob = dist.rsample_and_log_prob((2,), temperature=0.7, seed=1)
    torch.testing.assert_close(samples, dist.sample((2,), temperature=0.7, seed=1))
    torch.testing.assert_close(log_prob, dist.log_prob(samples))


def test_gradients_reach_the_weights_and_the_lr_picture(model: SRFlow, lr: torch.Tensor) -> None:
    lr = lr.clone().requires_grad_()
    dist = model(lr)
    assert not dist.sample().requires_grad
    samples, log_prob = dist.rsample_and_log_prob(seed=0)
    weight = model.encoder.conv_first.weight
    for output in (samples.sum(), log_prob.sum()):
        found = torch.autograd.grad(output, [lr, weight], retain_graph=True)
        assert all(gradient.abs().max() > 0 for gradient in found)


def test_sampling_first_does_not_cost_log_prob_its_gradients(model: SRFlow, lr: torch.Tensor) -> None:
    dist = model(lr)
    samples = dist.sample()
    assert torch.autograd.grad(dist.log_prob(samples).sum(), model.encoder.conv_first.weight)[0].abs().max() > 0


def test_an_lr_picture_is_conditioned_once_for_all_samples(model: SRFlow, lr, monkeypatch) -> None:
    calls = []
    original = SRFlow.condition
    monkeypatch.setattr(SRFlow, "condition", lambda *arguments: calls.append(None) or original(*arguments))
    dist = model(lr)
    assert not calls
    dist.sample((2,))
    dist.sample((3,), temperature=0.5)
    assert len(calls) == 1


def test_consistency_rounds_bring_samples_back_to_their_own_lr_picture(model: SRFlow, lr: torch.Tensor) -> None:
    dist = model(lr)
    raw = dist.sample((2,), seed=0)
    consistent = dist.sample((2,), seed=0, consistency_rounds=3)
    for i in range(2):
        torch.testing.assert_close(consistent[i], back_project(raw[i], lr, 4, 3))
    one = model.sample(lr[:1], num_samples=2, seed=0, temperature=1.0, consistency_rounds=3)
    torch.testing.assert_close(one, consistent[:, 0])


def test_a_temperature_map_for_each_sample_is_cut_with_the_batches(model: SRFlow) -> None:
    lr = random_pair(4, (4, 6), batch=1)[1]
    maps = np.stack([np.full((1, 4, 6), t) for t in (0.0, 0.4, 0.8)])
    samples = model.sample(lr, num_samples=3, temperature=maps, batch_size=2)
    for i, temperature in enumerate((0.0, 0.4, 0.8)):
        alone = model.sample(lr, num_samples=3, temperature=temperature)[i]
        torch.testing.assert_close(samples[i], alone)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_pictures_of_another_dtype_are_made_the_models(dtype: torch.dtype) -> None:
    single = make_toy("srflow-da-r-x4-compact", torch.float32)
    lr = torch.rand(1, 3, 4, 6).to(dtype)
    drawn = single(lr).sample(seed=0)
    assert drawn.dtype == torch.float32
    torch.testing.assert_close(drawn, single(lr.float()).sample(seed=0))


WRONG = {
    "lr of 8 bits": (lambda m, lr: m((lr * 255).byte()), "floats"),
    "lr up to 255": (lambda m, lr: m(lr * 255), "Divide"),
    "a shape of nothing": (lambda m, lr: m(lr).sample((0,)), r"sample_shape is \(0,\)"),
    "a number for a shape": (lambda m, lr: m(lr).sample(4), "sample_shape is 4"),
    "a shape of fractions": (lambda m, lr: m(lr).sample((1.5,)), "sample_shape"),
    "no batch": (lambda m, lr: m(lr).sample((1,), batch_size=0), "batch_size is 0"),
    "too few seeds": (lambda m, lr: m(lr).sample(seed=[1, 2]), "2 seeds for 3"),
    "a negative seed": (lambda m, lr: m(lr).sample(seed=-1), "seed"),
    "a seed of text": (lambda m, lr: m(lr).sample(seed="1"), "seed"),
    "rounds below 0": (lambda m, lr: m(lr).sample(consistency_rounds=-1), "rounds is -1"),
    "hr of another size": (lambda m, lr: m(lr).log_prob(torch.rand(3, 3, 16, 16)), "shape"),
    "hr of other pictures": (lambda m, lr: m(lr).log_prob(torch.rand(2, 3, 16, 24)), "shape"),
    "a batch for sample": (lambda m, lr: m.sample(lr), r"model\(lr\).sample"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_named(model: SRFlow, lr: torch.Tensor, case: str) -> None:
    ask, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        ask(model, lr)


def test_a_padded_picture_has_samples_but_no_density() -> None:
    model = make_toy("srflow-x4")
    dist = model(torch.rand(1, 3, 5, 6))
    assert dist.sample(temperature=0.1).shape == (1, 3, 20, 24)
    with pytest.raises(InputError, match="multiples of 2"):
        dist.rsample_and_log_prob()
    with pytest.raises(InputError, match="multiples of 2"):
        dist.log_prob(torch.rand(1, 3, 20, 24))

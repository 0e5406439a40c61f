"""The finetuning phase: its losses against known answers, its discriminator, and runs that use them."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from conftest import forget_accelerator, initialise, random_pair, toy_config
from torch import nn
from training_helpers import stop_at, toy_recipe

from srflow.contract import InputError, TrainingRecipeError
from srflow.model import SRFlow
from srflow.training.adversarial import Adversary, Discriminator, Views, relativistic_loss
from srflow.training.memory import recompute_activations
from srflow.training.objectives import FinetuningObjective, LikelihoodObjective, energy_score
from srflow.training.patches import MAX_SHIFT, Draws, PatchSampler
from srflow.training.recipe import DataRecipe, FinetuningRecipe
from srflow.training.stages import (
    build_adversary,
    build_features,
    build_objective,
    build_optimizer,
    freeze_all_but,
    plan,
)
from srflow.training.store import PictureStore
from srflow.training.trainer import Trainer
from srflow.training.validation import best_score, error_over_spread

FINETUNING = (
    "pretraining.steps=0",
    "training={steps=2, encoder_joins_at=0}",
    "finetuning={steps=4, batch_size=2, patch_size=48, warmup_steps=0, learning_rate=1e-4, clip_norm=1.0}",
    "finetuning={consistency_weight=1, l1_weight=1, encoder_output_weight=1, unit_energy_weight=0.5}",
    "finetuning={feature_weight=0.1, adversarial_weight=0.1, adversarial_start=1, discriminator_width=8}",
    "validation={every_steps=0}",
)


@pytest.fixture
def train(data, tmp_path):
    def make(*overrides, output="run", **options):
        forget_accelerator()
        recipe = toy_recipe(*FINETUNING, *overrides)
        return Trainer(recipe, data, tmp_path / output, cache=data.parent / "cache", **options)

    return make


def lines(run, kind="training"):
    return [line for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if line["kind"] == kind]


# --- the energy score


def vectors(*values: float) -> list[torch.Tensor]:
    """One feature of one channel and one place for each value."""
    return features(torch.tensor(values, dtype=torch.float64))


def features(values: torch.Tensor) -> list[torch.Tensor]:
    return [values.view(-1, 1, 1, 1)]


def test_the_energy_score_of_two_samples_is_the_formula():
    # Distances are divided by the truth's length, 2.
    score = energy_score(vectors(2.0), [vectors(5.0), vectors(1.0)], spread=1.0)
    assert score.item() == pytest.approx((3 / 2 + 1 / 2) / 2 - 0.5 * (4 / 2), abs=2e-3)
    without = energy_score(vectors(2.0), [vectors(5.0), vectors(1.0)], spread=0.0)
    assert without.item() == pytest.approx((3 / 2 + 1 / 2) / 2, abs=2e-3)


def test_the_energy_score_of_three_samples_takes_the_mean_of_all_pairs():
    score = energy_score(vectors(1.0), [vectors(1.0), vectors(2.0), vectors(4.0)], spread=0.6)
    assert score.item() == pytest.approx((0 + 1 + 3) / 3 - 0.3 * (1 + 3 + 2) / 3, abs=3e-3)


def test_the_true_spread_has_the_lowest_energy_score():
    """A proper scoring rule: neither narrower nor wider samples than the truth's own distribution do better."""
    generator = torch.Generator().manual_seed(0)
    truth, first, second = torch.randn(3, 200_000, generator=generator, dtype=torch.float64)
    scores = {
        spread: energy_score(features(truth), [features(spread * first), features(spread * second)], 1.0).item()
        for spread in (0.5, 0.8, 1.0, 1.25, 2.0)
    }
    assert min(scores, key=scores.get) == 1.0


# --- the adversarial loss


def test_the_relativistic_loss_is_the_formula():
    real, fake = [torch.tensor([1.0, 3.0])], [torch.tensor([0.0])]
    softplus = lambda x: math.log1p(math.exp(x))  # noqa: E731
    expected = 0.5 * (softplus(-1) + softplus(-3)) / 2 + 0.5 * softplus(0 - 2)
    assert relativistic_loss(real, fake).item() == pytest.approx(expected, rel=1e-6)
    assert relativistic_loss(real, real).item() > relativistic_loss(real, fake).item()


def views(offset: float, count: int = 4, seed: int = 0) -> Views:
    generator = torch.Generator().manual_seed(seed)
    return Views(
        [torch.randn(count, 3, 6, 6, generator=generator) + offset],
        torch.randn(count, 6, 24, 24, generator=generator) + offset,
    )


def adversary(**options) -> Adversary:
    torch.manual_seed(0)
    return Adversary([3], 8, 1e-2, torch.device("cpu"), **options)


def test_the_discriminator_learns_to_tell_and_the_generator_learns_from_it():
    judge = adversary()
    losses = [judge.update(views(0.5, seed=step), views(-0.5, seed=100 + step)) for step in range(40)]
    assert losses[-1] < 0.7 * losses[0]
    fake = views(-0.5)
    pixels = fake.pixels.requires_grad_()
    loss = judge.generator_loss(views(0.5), Views(fake.features, pixels))
    loss.backward()
    assert all(parameter.grad is None or not parameter.requires_grad for parameter in judge.discriminator.parameters())
    assert pixels.grad.mean() < 0  # to pass for a photograph, values must rise


def test_the_generators_loss_leaves_the_discriminator_as_it_is():
    judge = adversary()
    before = copy.deepcopy(judge.discriminator.state_dict())
    judge.generator_loss(views(0.5), views(-0.5))
    assert all(torch.equal(value, before[name]) for name, value in judge.discriminator.state_dict().items())


def test_a_discriminator_does_not_learn_from_what_is_not_finite():
    judge = adversary()
    before = [parameter.clone() for parameter in judge.discriminator.parameters()]
    broken = views(0.0)
    broken.pixels[0, 0, 0, 0] = float("nan")
    assert math.isnan(judge.update(views(0.5), broken))
    for parameter, old in zip(judge.discriminator.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


def test_a_saved_discriminator_goes_on_with_the_same_steps():
    one, other = adversary(), adversary()
    for step in range(3):
        one.update(views(0.5, seed=step), views(-0.5, seed=step))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert one.update(views(0.4), views(0.1)) == other.update(views(0.4), views(0.1))
    assert one.update(views(0.4), views(0.1)) == other.update(views(0.4), views(0.1))


def test_gradients_are_averaged_over_processes():
    halved = adversary(reduce=lambda gradient: gradient * 0)
    before = [parameter.clone() for parameter in halved.discriminator.parameters()]
    halved.update(views(0.5), views(-0.5))
    assert all(torch.equal(a, b) for a, b in zip(halved.discriminator.parameters(), before, strict=True))


def test_heads_and_patch_network_are_1_lipschitz():
    torch.manual_seed(0)
    discriminator = Discriminator([5], 8).train()
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.mul_(50)
    for _ in range(30):  # power iterations
        discriminator(Views([torch.randn(2, 5, 8, 8)], torch.randn(2, 6, 32, 32)))
    # The heads end in one number a place; a kernel as a matrix has norm 1, so a place moves by 3 per layer at most.
    discriminator.eval()
    x, y = torch.randn(2, 1, 5, 8, 8)
    pixels = torch.zeros(1, 6, 32, 32)
    first, second = discriminator(Views([x], pixels))[0], discriminator(Views([y], pixels))[0]
    assert (first - second).norm() <= 9 * (x - y).norm()


# --- what a batch draws


def sampler(data, **options) -> PatchSampler:
    store = PictureStore.open(data, data.parent / "cache")
    settings = {
        "scale_factor": 4,
        "patch_size": 32,
        "batch_size": 4,
        "seed": 1,
        "noise": "gaussian",
        "noise_scale": 2.0,
    }
    return PatchSampler(store=store, **settings | options)


DRAWS = Draws(num_samples=2, temperatures=(0.5, 0.9), latent_shapes=((6, 16, 16), (24, 8, 8)), critic_noise=True)


def test_drawing_samples_leaves_crops_and_noise_as_they_are(data):
    plain, drawn = sampler(data).batch(3), sampler(data, draws=DRAWS).batch(3)
    for name in ("hr", "lr", "noise"):
        assert torch.equal(getattr(plain, name), getattr(drawn, name))
    assert plain.latents == ()
    assert plain.critic_noise is None


def test_latents_have_one_temperature_a_batch_within_the_range(data):
    patches = sampler(data, draws=DRAWS)
    temperatures = []
    for step in range(8):
        batch = patches.batch(step)
        assert [tuple(x.shape) for x in batch.latents] == [(4, 2, 6, 16, 16), (4, 2, 24, 8, 8)]
        spreads = [x.std().item() for level in batch.latents for x in level]
        assert max(spreads) / min(spreads) < 1.1
        temperatures.append(float(np.mean(spreads)))
        assert 0 <= batch.shift.min() <= batch.shift.max() <= MAX_SHIFT
    assert 0.48 < min(temperatures) < 0.65 < 0.75 < max(temperatures) < 0.92
    assert batch.critic_noise.shape == (4, 3, 3, 32, 32)
    assert batch.critic_noise.std().item() == pytest.approx(1, rel=0.02)


def test_processes_share_latents_and_their_temperature(data):
    patches = sampler(data, draws=DRAWS)
    whole = patches.batch(5)
    shares = [patches.batch(5, rank, 2) for rank in range(2)]
    for level, *parts in zip(whole.latents, *(share.latents for share in shares), strict=True):
        assert torch.equal(level, torch.cat(parts))
    assert torch.equal(whole.critic_noise, torch.cat([share.critic_noise for share in shares]))
    assert all(torch.equal(whole.shift, share.shift) for share in shares)


# --- the objective


@pytest.fixture
def model() -> SRFlow:
    torch.manual_seed(0)
    model = SRFlow(toy_config("srflow-da-r-x4-compact")).double()
    initialise(model, (8, 8))
    return model.train()


def objective_inputs(model: SRFlow, temperature: float = 0.8):
    hr, lr = random_pair(4, (8, 8))
    generator = torch.Generator().manual_seed(1)
    latents = [
        temperature * torch.randn(hr.shape[0], 2, *shape, generator=generator, dtype=hr.dtype)
        for shape in model.latent_shapes(8, 8)
    ]
    return hr, torch.zeros_like(hr), lr, latents, None, torch.tensor([1, 2])


def objective(model: SRFlow, **weights) -> FinetuningObjective:
    settings = {"energy_weight": 0.0, "likelihood_weight": 1.0} | weights
    # The features of a known function: the picture itself.
    return FinetuningObjective(model, DataRecipe(), FinetuningRecipe(**settings), lambda x: [x], (0,), None)


def test_with_all_weights_zero_it_is_the_likelihood(model):
    inputs = objective_inputs(model)
    losses = objective(model)(*inputs)
    expected = LikelihoodObjective(model, DataRecipe())(*inputs[:3])
    assert losses.minimised.item() == pytest.approx(expected.minimised.item(), rel=1e-9)
    assert losses.views is None


def test_each_weight_adds_its_own_term(model):
    inputs = objective_inputs(model)
    hr, _, lr, latents, _, _ = inputs
    bits = objective(model)(*inputs).minimised.item()
    with torch.no_grad():
        conditioning = model.condition(lr)
        samples = [model.decode([level[:, index] for level in latents], conditioning) for index in (0, 1)]
        still = model.decode([0 * level[:, 0] for level in latents], conditioning)
    from srflow.images import bicubic_downscale

    misfit = np.mean([(bicubic_downscale(sample, 4) - lr).abs().mean().item() for sample in samples])
    shifted = [x[..., 1 : 1 + 29, 2 : 2 + 29] for x in (hr, *samples)]
    energy = energy_score([shifted[0]], [[shifted[1]], [shifted[2]]], 0.6).item()
    expected = {
        "l1_weight": (still - hr).abs().mean().item(),
        "encoder_output_weight": (model.encoder.super_resolve(lr) - hr).abs().mean().item(),
        "consistency_weight": misfit,
        "energy_weight": energy,
    }
    for name, value in expected.items():
        losses = objective(model, energy_spread=0.6, **{name: 2.0})(*inputs)
        assert losses.minimised.item() == pytest.approx(bits + 2 * value, rel=1e-5), name


def test_gradients_of_a_sample_reach_every_parameter_and_are_right(model):
    """Against finite differences along a random direction, through the inverse pass, in float64."""
    inputs = objective_inputs(model)
    judge = objective(model, energy_weight=1.0, consistency_weight=1.0, likelihood_weight=1e-4)
    parameters = list(model.flow.parameters())
    gradients = torch.autograd.grad(judge(*inputs).minimised, parameters)
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)).item()
    step, values = 1e-9, []  # smaller than most ReLUs' distance from their kinks
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=sign * step)
            values.append(judge(*inputs).minimised.item())
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.sub_(direction, alpha=sign * step)
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-3)
    assert all(gradient.any() for gradient in gradients)


def test_low_memory_changes_no_gradient_of_samples(model):
    inputs = objective_inputs(model)
    judge = objective(model, energy_weight=1.0)
    plain = torch.autograd.grad(judge(*inputs).minimised, list(model.flow.parameters()))
    recompute_activations(model)
    again = torch.autograd.grad(judge(*inputs).minimised, list(model.flow.parameters()))
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other)


def test_the_stage_trains_exactly_what_gets_gradients(model):
    recipe = toy_recipe(*FINETUNING)
    stage = plan(recipe)[-1]
    model = model.float()
    trained = freeze_all_but(stage, model)
    features = build_features(stage, torch.device("cpu"))
    judge = build_adversary(stage, features, torch.device("cpu"), lambda x: x)
    hr, lr = random_pair(4, (12, 12), dtype=torch.float32)
    latents = [torch.randn(hr.shape[0], 2, *shape) for shape in model.latent_shapes(12, 12)]
    noise = torch.randn(hr.shape[0], 3, 3, 48, 48)
    losses = build_objective(stage, model, recipe, features=features, adversary=judge)(
        hr, torch.zeros_like(hr), lr, latents, noise, torch.tensor([0, 1])
    )
    losses.minimised.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trained)
    assert len(trained) == len(list(model.parameters()))
    expected = {"loss", "bits_per_dimension", "l1", "encoder_l1", "consistency", "energy", "unit_energy", "features"}
    assert losses.reported.keys() == expected | {"adversarial"}
    assert not any(isinstance(module, nn.ReLU6) for module in model.modules())


# --- whole runs


def test_muon_may_finetune():
    recipe = toy_recipe(*FINETUNING, "finetuning={optimizer='muon', muon_factor=7}")
    groups = build_optimizer(plan(recipe)[-1], SRFlow(recipe.model.config())).param_groups
    assert [(group["kind"], group.get("factor")) for group in groups] == [("muon", 7), ("adam", None)]


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit_with_its_discriminator(train, tmp_path):
    train(output="whole").run()
    assert stop_at(train(output="stopped"), 4).run() == "stopped"
    assert train(output="stopped").run() == "finished"
    keys = ("step", "loss", "energy", "discriminator", "adversarial")
    found, expected = (
        [[line.get(key) for key in keys] for line in lines(tmp_path / name)] for name in ("stopped", "whole")
    )
    assert found == expected
    assert [line["stage"] for line in lines(tmp_path / "whole")] == ["both"] * 2 + ["finetuning"] * 4
    assert "adversarial" not in lines(tmp_path / "whole")[2]  # it counts from the phase's second step on
    assert "adversarial" in lines(tmp_path / "whole")[3]
    first, second = (SRFlow.from_pretrained(tmp_path / name / "last").state_dict() for name in ("stopped", "whole"))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_random_weights_cannot_be_finetuned(train):
    with pytest.raises(TrainingRecipeError, match="--init"):
        train("training.steps=0")


def test_an_unknown_backbone_is_named(train):
    with pytest.raises(InputError, match="no-such-net"):
        train("finetuning.backbone=no-such-net").run()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["finetuning.temperatures=[0.9]"], ["finetuning.temperatures", "[0.9]"]),
        (["finetuning.temperatures=[0.9, 0.7]"], ["finetuning.temperatures"]),
        (["finetuning.num_samples=1"], ["finetuning.num_samples", "1"]),
        (["finetuning.likelihood_weight=0"], ["finetuning.likelihood_weight", "0"]),
        (["finetuning.patch_size=34"], ["finetuning.patch_size", "34"]),
        (["validation.best_diversity=10"], ["validation.num_samples", "best_diversity"]),
    ],
)
def test_settings_that_make_no_sense_are_refused(overrides, words):
    with pytest.raises(TrainingRecipeError) as caught:
        toy_recipe(*FINETUNING, *overrides)
    assert all(word in str(caught.value) for word in words)


# --- validation


VALUES = {"lpips@0.6": 0.20, "lpips@0.8": 0.16, "diversity@0.6": 10.0, "diversity@0.8": 14.0}
FINITE = {"non_finite@0.6": 0.0, "non_finite@0.8": 0.0}


@pytest.mark.parametrize(
    ("diversity", "expected"), [(10.0, 0.20), (11.0, 0.19), (14.0, 0.16), (9.0, math.inf), (15.0, math.inf)]
)
def test_the_best_weights_are_compared_at_equal_diversity(diversity, expected):
    assert best_score(VALUES | FINITE, (0.8, 0.6), 0.8, diversity) == pytest.approx(expected)


def test_samples_that_are_not_finite_are_never_the_best():
    assert best_score(VALUES | FINITE | {"non_finite@0.8": 0.5}, (0.6, 0.8), 0.8, 12.0) == math.inf
    assert best_score(VALUES | FINITE | {"non_finite@0.8": 0.5}, (0.6, 0.8), 0.8, 0.0) == pytest.approx(0.66)
    assert best_score(VALUES | FINITE | {"lpips@0.8": math.nan}, (0.6, 0.8), 0.8, 0.0) == math.inf


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_error_over_spread_of_gaussian_samples_is_known(spread):
    generator = np.random.default_rng(0)
    truth = np.clip(128 + 10 * generator.standard_normal((64, 64, 3)), 0, 255).round().astype(np.uint8)
    draws = 128 + 10 * spread * generator.standard_normal((8, 64, 64, 3))
    samples = np.clip(draws, 0, 255).round().astype(np.uint8)
    # E error² = σ² (1 + s²/8) against s² σ² (1 + 1/8).
    expected = math.sqrt((1 + spread**2 / 8) / (spread**2 * (1 + 1 / 8)))
    assert error_over_spread(samples, truth) == pytest.approx(expected, rel=0.03)
    assert math.isfinite(error_over_spread(np.repeat(truth[None], 3, 0), truth))


@pytest.mark.slow
def test_validation_of_several_samples_reports_what_they_say_together(train, data, tmp_path):
    settings = "validation={every_steps=2, num_pictures=1, crop_size=48, num_samples=2, temperatures=[0.6, 0.8]}"
    train(settings, "finetuning.steps=0", "validation.best_temperature=0.8", validation=data).run()
    (row,) = lines(tmp_path / "run", "validation")
    for temperature in ("0.6", "0.8"):
        for key in ("psnr", "lr_psnr", "lpips", "features", "diversity", "calibration", "non_finite"):
            assert math.isfinite(row[f"{key}@{temperature}"])
        assert row[f"diversity@{temperature}"] > 0

"""Rearrangements for speed compute the same: compared with the plain form of a training step, and piece by piece."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from conftest import initialise, random_pair, toy_config
from torch import nn

from benchmarks import training as benchmark
from benchmarks.training import PlainObjective, Size, draw_batch, our_step, plain_step, start_model
from srflow.flow.conv_blocks import build_conv_block, project_conditioning
from srflow.flow.network import FlowLevel
from srflow.model import SRFlow
from srflow.presets import PRESETS
from srflow.training.recipe_files import load_recipe
from srflow.training.stages import LikelihoodObjective, freeze_all_but, plan

TINY = [
    "model.encoder={num_features=8, growth_channels=4, num_blocks=1, stacked_blocks=[0]}",
    "model.flow={hidden_channels=8, steps_per_level=1, splits=[[1], []], projection_channels=8}",
]


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("kind", ["skip", "shallow"])
def test_a_map_at_its_own_size_counts_as_its_upsampled_copy(factor, kind):
    """Values and gradients, at the border too."""
    blocks = [build_conv_block(kind, x_channels, 7, 6, 5).double() for x_channels in (3, 0)]
    own = torch.randn(2, 3, 3 * factor, 5 * factor, dtype=torch.float64, requires_grad=True)
    small = torch.randn(2, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    upsampled = torch.cat([own, F.interpolate(small, scale_factor=factor, mode="nearest")], 1)
    found = torch.cat(project_conditioning(blocks, own, small), 1)
    expected = torch.cat(project_conditioning(blocks, upsampled), 1)
    torch.testing.assert_close(found, expected)
    inputs = [own, small, *(block.first.weight for block in blocks)]
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad((result * weights).sum(), inputs) for result in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_conditions_its_levels_as_on_stacked_maps(name):
    """With and without a projection, at finer sizes than the LR picture's, at its own, and at half of it."""
    torch.manual_seed(0)
    model = SRFlow(toy_config(name)).double()
    initialise(model, (4, 6))
    _, lr = random_pair(model.scale_factor)
    features, stacked = model.encoder.features(lr)
    found = model.flow.prepare(features, repeated=torch.cat(stacked, 1))
    expected = model.flow.prepare(model.encoder(lr))
    for level, other in zip(found, expected, strict=True):
        for step, other_step in zip(level, other, strict=True):
            torch.testing.assert_close(step.coupling, other_step.coupling)
            for tensor, other_tensor in zip(step.injector, other_step.injector, strict=True):
                torch.testing.assert_close(tensor, other_tensor)


def test_a_map_of_an_unfitting_size_is_resized_first():
    config = toy_config("srflow-da-r-x4").flow
    level = FlowLevel(3, 2, (), 7, config).double()
    own, small = torch.randn(1, 3, 4, 9, dtype=torch.float64), torch.randn(1, 4, 2, 3, dtype=torch.float64)
    resized = F.interpolate(small, size=(4, 9), mode="nearest")
    found, expected = level.prepare(own, None, small), level.prepare(torch.cat([own, resized], 1))
    for step, other in zip(found, expected, strict=True):
        torch.testing.assert_close(step.coupling, other.coupling)


@pytest.mark.parametrize("name", [benchmark.PAPER, benchmark.COMPACT])
def test_the_plain_form_of_the_benchmark_has_the_same_loss_and_gradients(name):
    recipe = load_recipe(name)
    stage = plan(recipe)[-1]
    torch.manual_seed(0)
    model = SRFlow(toy_config(name)).double()
    initialise(model, (4, 4))
    hr, lr = random_pair(4, (4, 4))
    trained = freeze_all_but(stage, model)
    gradients, losses = [], []
    for objective in (
        PlainObjective(model, stage.phase.encoder_output_weight),
        LikelihoodObjective(model, recipe.data, stage.phase.encoder_output_weight),
    ):
        plain = isinstance(objective, PlainObjective)
        loss = objective(hr, lr) if plain else objective(hr, torch.zeros_like(hr), lr).minimised
        losses.append(loss.detach())
        gradients.append(torch.autograd.grad(loss, trained))
    torch.testing.assert_close(*losses)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_both_forms_of_the_benchmark_learn_the_same(monkeypatch):
    """A few whole steps, clipping and Adam included."""
    recipe = load_recipe(benchmark.COMPACT, TINY)
    monkeypatch.setattr(benchmark, "_LEARNING_RATE", 1e-3)
    stage = plan(recipe)[-1]
    hr, lr = draw_batch(Size(2, 32), 4)
    start = start_model(recipe, hr, lr)
    plain = plain_step(copy.deepcopy(start), stage, hr, lr)
    ours = our_step(copy.deepcopy(start), stage, recipe, "float32", hr, lr)
    losses = [(plain(), ours()) for _ in range(4)]
    assert losses[-1][0] < losses[0][0]
    for one, other in losses:
        assert other == pytest.approx(one, rel=1e-4)


def test_a_plain_form_that_differs_is_not_measured(monkeypatch):
    monkeypatch.setattr(benchmark, "load_recipe", lambda name: load_recipe(benchmark.COMPACT, TINY))
    monkeypatch.setattr(benchmark, "_plain_last", lambda conv, x: 1.1 * F.conv2d(x, conv.weight, conv.bias, padding=1))
    with pytest.raises(RuntimeError, match="not the same step"):
        benchmark.measure(benchmark.COMPACT, Size(1, 32), 1)


def test_the_benchmark_prints_and_saves_its_tables(tmp_path, monkeypatch, capsys, request):
    """With tiny models: the paper's takes a minute. `test_the_peak_memory_…` has the processes that measure that."""
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    asked = []
    monkeypatch.setattr(benchmark, "load_recipe", lambda name: load_recipe(name, TINY))
    monkeypatch.setattr(benchmark, "peak_memory", lambda *setting: asked.append(setting) or 1.25)
    monkeypatch.setattr(benchmark, "choose_precision", lambda device: ("float32", "because of a test"))
    sizes = ["--compact", "1x32", "--paper", "1x16", "--memory", "1x24"]
    assert benchmark.main([*sizes, "--repeats", "1", "--output", str(tmp_path / "training.md")]) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "training.md").read_text() == text
    assert asked == [(Size(1, 24), "float32", False), (Size(1, 24), "float32", True)]
    for words in (
        *("| srflow-da-r-x4-compact, 1 of 32×32 | plain, float32 |", "| srflow-da-r-x4, 1 of 16×16 | ours, bf16 |"),
        *("| as it is | 1.25 |", "| low_memory | 1.25 |", "`auto` chooses float32 here (because of a test)"),
    ):
        assert words in text


@pytest.mark.slow
def test_the_peak_memory_is_that_of_a_process_with_the_papers_model():
    weights = sum(parameter.numel() for parameter in SRFlow(load_recipe(benchmark.PAPER).model.config()).parameters())
    peak = benchmark.peak_memory(Size(1, 16), "float32", low_memory=True)
    assert peak > 5 * 4 * weights / 2**30, "weights, gradients, average and two moments"
    assert peak < 16


def test_gradients_pass_the_activations_that_work_in_place():
    """The conv's own backward pass needs its input and weights, and the ReLU's its output: neither is overwritten."""
    from srflow.fused import conv_leaky_relu, conv_relu

    conv = nn.Conv2d(3, 4, 3, padding=1).double()
    x = torch.randn(1, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: conv_relu(conv, x), (x,))
    assert torch.autograd.gradcheck(lambda x: conv_leaky_relu(conv, x, 0.2), (x,))

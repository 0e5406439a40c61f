import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from training_helpers import TOY, toy_recipe

from srflow.cli import main
from srflow.model import SRFlow
from srflow.training.cost import estimate
from srflow.training.stages import build_objective, freeze_all_but, plan

NARROW = (
    "model.encoder={num_features=8, growth_channels=4, num_blocks=1, stacked_blocks=[0]}",
    "model.flow={hidden_channels=8, steps_per_level=3, splits=[[3], []], projection_channels=8}",
)


def conv_flops(in_channels: int, out_channels: int, positions: int) -> int:
    return 2 * 9 * in_channels * out_channels * positions


def test_operations_of_the_encoders_stage_match_a_count_by_hand():
    cost = estimate(toy_recipe(*NARROW, "runtime.precision=float32"))
    lr, double, hr = 2 * 8 * 8, 2 * 16 * 16, 2 * 32 * 32
    dense = sum(conv_flops(8 + 4 * i, 4, lr) for i in range(4)) + conv_flops(8 + 16, 8, lr)
    first, last = conv_flops(3, 8, lr), conv_flops(8, 3, hr)
    middle = 3 * dense + conv_flops(8, 8, lr + double + hr + hr) + last
    # Backward costs twice the forward pass; the first convolution's input needs no gradient.
    assert cost.stages[0].flops == 3 * middle + 2 * first


def test_every_stage_is_listed_with_its_steps_and_parameters():
    cost = estimate(toy_recipe())
    model = SRFlow(toy_recipe().model.config())
    assert [(stage.name, stage.steps) for stage in cost.stages] == [("encoder", 2), ("flow", 2), ("both", 4)]
    flow = sum(p.numel() for p in model.flow.parameters())
    encoder = sum(p.numel() for p in model.encoder.parameters())
    tail = sum(p.numel() for p in model.encoder.super_resolution_tail().values())
    assert [stage.trained_parameters for stage in cost.stages] == [encoder, flow, encoder + flow]
    without = estimate(toy_recipe("training.encoder_output_weight=0"))
    assert [stage.trained_parameters for stage in without.stages] == [encoder, flow, encoder + flow - tail]
    assert cost.parameters == encoder + flow
    assert cost.total_flops == sum(stage.flops * stage.steps for stage in cost.stages)
    assert cost.hours(0.5) == pytest.approx(cost.total_flops / 0.5e12 / 3600)


def test_operations_agree_with_those_of_a_real_step():
    recipe = toy_recipe("runtime.precision=float32")
    stage = plan(recipe)[2]
    model = SRFlow(recipe.model.config()).eval()
    freeze_all_but(stage, model)
    with FlopCounterMode(display=False) as counter:
        hr, lr = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 8, 8)
        build_objective(stage, model, recipe)(hr, torch.zeros_like(hr), lr).minimised.backward()
    assert estimate(recipe).stages[2].flops == counter.get_total_flops()


def test_kept_activations_grow_with_the_batch_and_shrink_in_low_memory_and_bf16():
    def kept(*overrides: str) -> int:
        return estimate(toy_recipe(*NARROW, *overrides)).stages[2].activation_bytes

    plain = kept("runtime.precision=float32")
    assert kept("runtime.precision=float32", "training.batch_size=4") == pytest.approx(2 * plain, rel=0.05)
    assert kept("runtime.precision=bf16") < 0.8 * plain
    assert kept("runtime.precision=float32", "runtime.low_memory=true") < 0.5 * plain


def test_a_dry_run_needs_no_data_and_names_hours_for_a_throughput(capsys):
    assert main(["train", "srflow-da-r-x4-compact", *TOY, "--dry-run", "--throughput", "0.25"]) == 0
    text = capsys.readouterr().out
    for word in ("encoder", "flow", "both", "GiB", "PFLOP", "At 0.25 TFLOP/s", "hours"):
        assert word in text


def test_training_without_folders_says_what_is_missing(capsys):
    assert main(["train", "srflow-da-r-x4-compact", *TOY]) == 2
    assert "--data" in capsys.readouterr().err

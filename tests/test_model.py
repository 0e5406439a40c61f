"""The public API: latents, sampling, bad input, odd sizes, and that importing the package stays light."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import initialise, make_toy, random_pair, toy_config

from srflow.contract import Cancelled, InputError
from srflow.images import bicubic_upscale
from srflow.model import SRFlow
from srflow.presets import PRESETS, EncoderConfig, ModelConfig, get_preset

COMPACT = "srflow-da-r-x4-compact"


@pytest.fixture(scope="module")
def model() -> SRFlow:
    return make_toy(COMPACT, torch.float32)


COUNTS = {
    "srflow-da-x4": 8_414_064,
    "srflow-da-r-x4": 8_414_064,
    "srflow-da-s-x4": 8_504_736,
    "srflow-da-d-x4": 6_131_008,
    "srflow-x4": 22_567_248,
    "srflow-da-x8": 13_003_392,
    "srflow-da-r-x8": 13_003_392,
    "srflow-da-s-x8": 14_737_440,
    "srflow-da-d-x8": 9_265_488,
    "srflow-x8": 33_810_400,
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_those_of_the_released_networks(name: str) -> None:
    with torch.device("meta"):
        model = SRFlow.from_preset(name)
    assert sum(p.numel() for p in model.flow.parameters()) == COUNTS[name]
    assert sum(p.numel() for p in model.encoder.parameters()) == (16_697_987 if name.endswith("x4") else 16_734_915)


def test_single_scale_presets_split_after_steps_1_7_13() -> None:
    assert [PRESETS[f"srflow-da-s-x{s}"].flow.splits for s in (4, 8)] == [((1, 7),), ((1, 7, 13),)]


def test_original_srflow_stacks_other_blocks_at_x8_and_does_not_split_its_last_two_levels() -> None:
    x4, x8 = PRESETS["srflow-x4"], PRESETS["srflow-x8"]
    assert x8.encoder.stacked_blocks == (1, 3, 5, 7)
    assert x4.encoder.stacked_blocks == (1, 8, 15, 22)
    assert x4.flow.splits == ((16,), (), ())
    assert x8.flow.splits == ((16,), (16,), (), ())


def test_the_documented_example_runs_as_written(model: SRFlow) -> None:
    lr = random_pair(4, (5, 7), torch.float32, batch=1)[1]
    conditioning = model.condition(lr)
    latents = model.draw_latents(5, 7, num_samples=3, seed=0)
    sr = model.decode(latents * 0.9, conditioning)
    assert sr.shape == (3, 3, 20, 28)
    latents, log_prob = model.encode(sr, conditioning)
    assert log_prob.shape == (3,)
    samples = model.sample(lr, num_samples=3, temperature=0.9, seed=0)
    torch.testing.assert_close(samples, sr, rtol=1e-4, atol=1e-5)


def test_a_sample_depends_on_seed_and_index_alone(model: SRFlow) -> None:
    lr = random_pair(4, (4, 5), torch.float32, batch=1)[1]
    five = model.sample(lr, num_samples=5, seed=7)
    torch.testing.assert_close(model.sample(lr, num_samples=2, seed=7, batch_size=1), five[:2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(five[1], model.sample(lr, num_samples=1, seed=8)[0], atol=1e-3)


def test_temperature_zero_is_one_picture_and_seed_zero_is_a_seed(model: SRFlow) -> None:
    lr = random_pair(4, (4, 5), torch.float32, batch=1)[1]
    torch.testing.assert_close(model.sample(lr, temperature=0, seed=0), model.sample(lr, temperature=0, seed=5))
    torch.testing.assert_close(model.sample(lr, temperature=1, seed=0), model.sample(lr, temperature=1, seed=0))
    assert not torch.allclose(model.sample(lr, temperature=1, seed=0), model.sample(lr, temperature=1, seed=1))


def test_pictures_change_continuously_with_temperature(model: SRFlow) -> None:
    lr = random_pair(4, (4, 5), torch.float32, batch=1)[1]
    at = {t: model.sample(lr, temperature=t, seed=3) for t in (0.8, 0.801, 0.9)}
    assert (at[0.801] - at[0.8]).abs().max() < 0.1 * (at[0.9] - at[0.8]).abs().max()


def test_a_temperature_map_changes_its_own_place_only() -> None:
    model = make_toy(COMPACT, torch.float32)
    lr = random_pair(4, (24, 24), torch.float32, batch=1)[1]
    still, half = np.zeros((24, 24)), np.zeros((24, 24))
    half[:, 22:] = 1.0
    base, changed = (model.sample(lr, temperature=t, seed=1) for t in (still, half))
    difference = (changed - base).abs().amax((0, 1, 2))
    assert difference[-4:].max() > 0.01
    assert difference[:4].max() < 0.01 * difference[-4:].max()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 5), (2, 2)])
@pytest.mark.parametrize("name", [COMPACT, "srflow-da-x8", "srflow-x4", "srflow-x8"])
def test_any_size_is_sampled(name: str, size: tuple[int, int]) -> None:
    model = make_toy(name, torch.float32)
    s = model.scale_factor
    assert model.sample(torch.rand(1, 3, *size), temperature=0.3).shape == (1, 3, size[0] * s, size[1] * s)


def test_padding_does_not_move_the_picture() -> None:
    """The original SRFlow pads odd sizes: the part that is kept must be that of the padded picture, top left."""
    # Bounded scales: with random weights the released form may blow up, and NaN equals nothing.
    model = SRFlow(toy_config("srflow-x4").resized(flow={"log_scale_bound": 1.0, "log_sigma_bound": 1.0}))
    initialise(model, (4, 6))
    lr = random_pair(4, (5, 7), torch.float32, batch=1)[1]
    padded = torch.nn.functional.pad(lr, (0, 1, 0, 1), mode="reflect")
    torch.testing.assert_close(model.sample(lr, temperature=0), model.sample(padded, temperature=0)[..., :20, :28])


def test_the_log_prob_of_a_padded_picture_is_that_of_the_padded_one() -> None:
    model = make_toy("srflow-x4", torch.float32)
    lr = random_pair(4, (5, 7), torch.float32, batch=1)[1]
    padded = torch.nn.functional.pad(lr, (0, 1, 0, 1), mode="reflect")
    latents = model.draw_latents(5, 7) * 0.3
    whole, expected = model.decode_with_log_prob(latents, model.condition(padded))
    part, log_prob = model.decode_with_log_prob(latents, model.condition(lr))
    torch.testing.assert_close(part, whole[..., :20, :28])
    torch.testing.assert_close(log_prob, expected)
    torch.testing.assert_close(log_prob, model.encode(whole, model.condition(padded))[1], rtol=1e-3, atol=0.1)
    with pytest.raises(InputError, match="multiples of 2"):  # which `encode` does not give, since the part has none
        model.check_has_density(5, 7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_is_not_made_half_and_says_what_to_do(model: SRFlow, dtype: torch.dtype) -> None:
    lr = random_pair(4, dtype=torch.float32, batch=1)[1]
    before = model.sample(lr)
    for change in (lambda: model.to(dtype), lambda: model.type(dtype), model.half if "16" in str(dtype) else None):
        with pytest.raises(InputError, match="set_conv_dtype"):
            change()
    torch.testing.assert_close(model.sample(lr), before)
    torch.testing.assert_close(model.sample(lr.double()), before)
    torch.testing.assert_close(model.sample(lr.to(dtype)), before, rtol=0, atol=0.2)


def test_original_srflow_weighs_even_sizes_only() -> None:
    model = make_toy("srflow-x4", torch.float32)
    hr, lr = random_pair(4, (3, 4), torch.float32)
    with pytest.raises(InputError, match="multiples of 8"):
        model.encode(hr, model.condition(lr))


def test_residual_flow_describes_what_bicubic_leaves(model: SRFlow) -> None:
    hr, lr = random_pair(4, dtype=torch.float32)
    conditioning = model.condition(lr)
    torch.testing.assert_close(conditioning.base, bicubic_upscale(lr, 4))
    rest = hr - conditioning.base
    direct, _ = model.flow(rest, conditioning.levels)
    torch.testing.assert_close(model.encode(hr, conditioning)[0][0], direct[0])


def test_conditioning_of_one_picture_serves_many_samples(model: SRFlow) -> None:
    lr = random_pair(4, dtype=torch.float32, batch=1)[1]
    latents = model.draw_latents(4, 6, num_samples=3, seed=0)
    one = model.decode(latents, model.condition(lr))
    repeated = model.decode(latents, model.condition(lr.expand(3, -1, -1, -1)))
    torch.testing.assert_close(one, repeated, rtol=1e-4, atol=1e-5)


def test_conditioning_tells_its_size_and_can_be_mapped(model: SRFlow) -> None:
    conditioning = model.condition(random_pair(4, dtype=torch.float32)[1])
    assert conditioning.batch_size == 2
    halved = conditioning.map(lambda tensor: tensor[:1])
    assert halved.batch_size == 1
    assert halved.num_bytes() * 2 == conditioning.num_bytes()


def test_work_stops_when_on_step_raises(model: SRFlow) -> None:
    calls = []

    def on_step() -> None:
        calls.append(1)
        if len(calls) == stop_at:
            raise Cancelled("stopped")

    lr = random_pair(4, dtype=torch.float32, batch=1)[1]
    stop_at = 2
    with pytest.raises(Cancelled):
        model.condition(lr, on_step)
    assert len(calls) == 2
    calls, stop_at = [], 3
    with pytest.raises(Cancelled):
        model.decode(model.draw_latents(4, 6), model.condition(lr), on_step)
    assert len(calls) == 3


GOOD_LR = torch.rand(1, 3, 4, 6)
BAD_LR = {
    "three dimensions": (GOOD_LR[0], r"shape \(3, 4, 6\)"),
    "grey": (GOOD_LR[:, :1], r"\(1, 1, 4, 6\).*\(B, 3"),
    "channels last": (GOOD_LR.permute(0, 2, 3, 1), "B, 3"),
    "empty": (GOOD_LR[..., :0], "empty"),
    "no batch": (GOOD_LR[:0], "empty"),
    "integers": ((GOOD_LR * 255).to(torch.uint8), "uint8"),
    "0 to 255": (GOOD_LR * 255, "255"),
    "negative": (GOOD_LR - 1, r"\[0, 1\]"),
    "NaN": (GOOD_LR.where(GOOD_LR.min() < GOOD_LR, torch.nan), "finite"),
    "infinity": (GOOD_LR.where(GOOD_LR.min() < GOOD_LR, torch.inf), "inf"),
}


@pytest.mark.parametrize("case", BAD_LR)
def test_bad_lr_gets_a_named_error(model: SRFlow, case: str) -> None:
    lr, message = BAD_LR[case]
    with pytest.raises(InputError, match=message):
        model.condition(lr)


def test_bad_hr_gets_a_named_error(model: SRFlow) -> None:
    conditioning = model.condition(GOOD_LR)
    for hr, message in (
        (torch.rand(1, 3, 16, 20), "16x20.*16x24"),
        (torch.rand(1, 3, 16, 24) * 255, "Divide"),
        (torch.rand(1, 4, 16, 24), "B, 3"),
        (torch.full((1, 3, 16, 24), torch.nan), "finite"),
    ):
        with pytest.raises(InputError, match=message):
            model.encode(hr, conditioning)
    with pytest.raises(InputError, match="2 hr pictures and conditioning of 3"):
        model.encode(torch.rand(2, 3, 16, 24), model.condition(torch.rand(3, 3, 4, 6)))


def test_latents_that_do_not_fit_get_a_named_error(model: SRFlow) -> None:
    conditioning = model.condition(GOOD_LR)
    with pytest.raises(InputError, match="draw_latents"):
        model.decode(model.draw_latents(4, 7), conditioning)
    with pytest.raises(InputError, match="needs"):
        model.decode(list(model.draw_latents(4, 6))[:1], conditioning)
    with pytest.raises(InputError, match="2 LR pictures"):
        model.decode(model.draw_latents(4, 6, num_samples=3), model.condition(torch.rand(2, 3, 4, 6)))
    with pytest.raises(InputError, match="0x4"):
        model.draw_latents(0, 4)


def test_bad_numbers_get_a_named_error(model: SRFlow) -> None:
    for options in ({"num_samples": 0}, {"batch_size": 0}, {"temperature": -1.0}, {"seed": -1}):
        with pytest.raises(InputError):
            model.sample(GOOD_LR, **options)
    with pytest.raises(InputError, match="one picture"):
        model.sample(torch.rand(2, 3, 4, 6))


def test_unknown_presets_and_wrong_configurations_get_a_named_error() -> None:
    with pytest.raises(InputError, match="srflow-da-r-x4"):
        get_preset("srflow-x2")
    with pytest.raises(InputError, match=r"names 5, .*0 to 2"):
        EncoderConfig(num_blocks=3, stacked_blocks=(1, 5))
    with pytest.raises(InputError, match="tanhh"):
        PRESETS[COMPACT].resized(flow={"conv_block": "tanhh"})
    with pytest.raises(InputError, match="scale factor"):
        PRESETS[COMPACT].resized(flow={"squeeze_factors": (2, 2, 4), "splits": ((1,), (1,), ())})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": ((2, 4), ())}, "Step 5 of level 1 .* 3 channels, which cannot be halved"),
        ({"squeeze_factors": (3,), "splits": ((),)}, "27 channels"),
        ({"squeeze_factors": (2, 10**400), "splits": ((), ())}, "far too large; it must be from 2 to 16"),
        ({"splits": ((6, 6), ())}, "once"),
        ({"log_scale_bound": float("inf")}, "log-scale bound"),
        ({"hidden_channels": 5000}, "from 1 to 1024"),
    ],
)
def test_flows_that_cannot_be_built_get_a_named_error(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PRESETS[COMPACT].resized(flow=changes)


def test_settings_of_another_kind_get_a_named_error() -> None:
    def changed(table: str | None, name: str, value: object) -> dict[str, object]:
        values = PRESETS[COMPACT].to_dict()
        (values if table is None else values[table])[name] = value
        return values

    for table, name, value, message in (
        (None, "name", 5, "model.name is 5; it must be a text"),
        (None, "scale_factor", 4.0, "model.scale_factor is 4.0; it must be a whole number"),
        (None, "flow", None, "flow configuration is None"),
        ("encoder", "num_blocks", True, "encoder.num_blocks is True; it must be a whole number"),
        ("encoder", "residual", 1, "encoder.residual is 1; it must be true or false"),
        ("encoder", "stacked_blocks", "012", "encoder.stacked_blocks is '012'; it must be a list"),
        ("encoder", "long_skip", ["last_block"], "encoder.long_skip .* must be a text"),
        ("flow", "splits", [[1.5], []], r"flow.splits\[0\]\[0\] is 1.5"),
        ("flow", "log_scale_bound", "1", "flow.log_scale_bound is '1'; it must be a number or null"),
    ):
        with pytest.raises(InputError, match=message):
            ModelConfig.from_dict(changed(table, name, value))
    assert ModelConfig.from_dict(changed("flow", "log_scale_bound", 1)).flow.log_scale_bound == 1.0
    assert ModelConfig.from_dict(PRESETS[COMPACT].to_dict()) == PRESETS[COMPACT]


def _loaded_modules(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_no_torch_and_the_model_no_gradio() -> None:
    assert "torch" not in _loaded_modules("import srflow, srflow.contract, srflow.presets")
    modules = _loaded_modules("from srflow import SRFlow, Latents, Conditioning")
    assert "torch" in modules
    assert not modules & {"gradio", "lpips", "torchvision", "accelerate", "skimage"}

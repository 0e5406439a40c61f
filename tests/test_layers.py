"""Every invertible layer: both ways round, log-determinant against the Jacobian, and values known by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from conftest import redraw_zero_convs

from srflow.contract import InputError
from srflow.flow.actnorm import ActNorm
from srflow.flow.affine import Affine, AffineInjector, ConditionalAffineCoupling
from srflow.flow.conv_blocks import build_conv_block, project_conditioning
from srflow.flow.layer import InvertibleLayer, InvertibleSequence
from srflow.flow.network import FlowStep, TransitionStep
from srflow.flow.permutation import InvertibleConv1x1
from srflow.flow.split import Split
from srflow.flow.squeeze import Squeeze
from srflow.likelihood import standard_normal_log_prob
from srflow.presets import FlowConfig

KINDS = ("deep", "skip", "residual", "shallow")
CONDITIONING = 5


def _step_config(kind: str, bound: float | None = None) -> FlowConfig:
    return FlowConfig(
        squeeze_factors=(2, 2), steps_per_level=1, splits=((1,), ()), conv_block=kind, hidden_channels=4,
        log_scale_bound=bound,
    )  # fmt: skip


def _injector(kind: str, bound: float | None) -> AffineInjector:
    return AffineInjector(build_conv_block(kind, 0, CONDITIONING, 8, 4), bound)


def _coupling(kind: str, bound: float | None) -> ConditionalAffineCoupling:
    return ConditionalAffineCoupling(build_conv_block(kind, 2, CONDITIONING, 4, 4), bound)


LAYERS = {
    "squeeze": lambda: Squeeze(2),
    "actnorm": lambda: ActNorm(4),
    "invertible 1x1 convolution": lambda: InvertibleConv1x1(4),
    "transition step": lambda: TransitionStep(4),
    "sequence": lambda: InvertibleSequence([InvertibleConv1x1(4), ActNorm(4), InvertibleConv1x1(4)]),
    **{f"injector {k} {b}": lambda k=k, b=b: _injector(k, b) for k in KINDS for b in (None, 1.0)},
    **{f"coupling {k} {b}": lambda k=k, b=b: _coupling(k, b) for k in KINDS for b in (None, 1.0)},
    **{f"flow step {k}": lambda k=k: FlowStep(4, CONDITIONING, _step_config(k)) for k in KINDS},
}


def _randomised(make: Callable[[], InvertibleLayer]) -> InvertibleLayer:
    """A layer in float64 with every parameter away from its start, actnorms initialised."""
    layer = make().double()
    x, u = (torch.randn(2, channels, 8, 8, dtype=torch.float64) for channels in (4, CONDITIONING))
    with torch.no_grad():
        layer(x, layer.prepare(u))  # which starts the actnorms
        for module in layer.modules():
            if isinstance(module, ActNorm):
                module.bias.add_(0.3 * torch.randn_like(module.bias))
                module.logs.add_(0.3 * torch.randn_like(module.logs))
            if isinstance(module, InvertibleConv1x1):
                module.weight.add_(0.1 * torch.randn_like(module.weight))
    redraw_zero_convs(layer, lambda: layer(x, layer.prepare(u)))
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_layer_inverts_both_ways_and_its_log_det_is_the_jacobians(name: str) -> None:
    layer = _randomised(LAYERS[name])
    x = torch.randn(2, 4, 4, 4, dtype=torch.float64)
    prepared = layer.prepare(torch.randn(2, CONDITIONING, 4, 4, dtype=torch.float64))
    with torch.no_grad():
        z, log_det = layer(x, prepared)
        back, inverse_log_det = layer.inverse(z, prepared)
        torch.testing.assert_close(back, x, rtol=0, atol=1e-11)
        again, _ = layer(layer.inverse(x.reshape(z.shape), prepared)[0], prepared)
        torch.testing.assert_close(again, x.reshape(z.shape), rtol=0, atol=1e-11)
    total = log_det.expand(2, *z.shape[-2:]).sum((1, 2))
    torch.testing.assert_close(inverse_log_det.expand(2, *z.shape[-2:]).sum((1, 2)), -total)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x, prepared)[0].flatten(1), x)
    for i in range(2):
        own = jacobian[i, :, i].reshape(64, 64)
        torch.testing.assert_close(torch.linalg.slogdet(own)[1], total[i], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in LAYERS if "injector" in name or "coupling" in name])
def test_redrawn_log_scales_really_vary(name: str) -> None:
    """What the test above rests on: with constant scales, most mistakes would pass it."""
    layer = _randomised(LAYERS[name])
    prepared = layer.prepare(torch.randn(2, CONDITIONING, 8, 8, dtype=torch.float64))
    affine = prepared if isinstance(prepared, Affine) else layer._predict(torch.randn(2, 2, 8, 8).double(), prepared)
    assert 0.01 < affine.log_scale.std() < 0.3
    assert 0.02 < affine.shift.std() < 0.3


def test_squeeze_on_numbers() -> None:
    x = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    z, _ = Squeeze(2)(x)
    assert z[0, :, 0, 0].tolist() == [1, 2, 5, 6]
    assert z[0, 0].tolist() == [[1, 3], [9, 11]]
    torch.testing.assert_close(z, F.pixel_unshuffle(x, 2))


def test_squeeze_refuses_sizes_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="3x4"):
        Squeeze(2)(torch.zeros(1, 1, 3, 4))
    with pytest.raises(InputError, match="3 channels"):
        Squeeze(2).inverse(torch.zeros(1, 3, 2, 2))


def test_actnorm_starts_from_the_first_training_batch_only() -> None:
    layer = ActNorm(3).train()
    x = torch.randn(4, 3, 5, 7) * torch.tensor([0.1, 1.0, 5.0]).view(1, 3, 1, 1) + 2
    z, _ = layer(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.std((0, 2, 3), unbiased=False), torch.ones(3), rtol=1e-4, atol=0)
    bias = layer.bias.clone()
    layer(x + 10)
    torch.testing.assert_close(layer.bias, bias)


class _OnAppleGPU(torch.Tensor):
    """A tensor that says it is on MPS and, as tensors there, cannot become float64 before it is on the CPU."""

    @property
    def device(self) -> torch.device:
        return torch.device("mps")

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        given = [*args, *(kwargs or {}).values()]
        if func is torch.Tensor.to and any(value == "cpu" for value in given if isinstance(value, str)):
            return args[0].as_subclass(torch.Tensor)
        if func is torch.Tensor.double or any(value is torch.float64 for value in given):
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return super().__torch_function__(func, types, args, kwargs or {})


def test_actnorm_starts_where_the_device_has_no_float64() -> None:
    x = torch.randn(4, 3, 5, 7) * 3 + 100
    layers = [ActNorm(3).train(), ActNorm(3).train()]
    layers[0](x)
    layers[1](x.as_subclass(_OnAppleGPU))
    for name, expected in layers[0].state_dict().items():
        assert torch.equal(layers[1].state_dict()[name], expected)


def test_actnorm_does_not_start_in_eval_mode() -> None:
    layer = ActNorm(3).eval()
    x = torch.randn(2, 3, 4, 4) + 5
    torch.testing.assert_close(layer(x)[0], x)
    assert not layer.is_initialized


def test_actnorm_that_was_saved_does_not_start_over() -> None:
    trained = ActNorm(3).train()
    trained(torch.randn(4, 3, 5, 5) * 3 + 1)
    loaded = ActNorm(3).train()
    loaded(torch.randn(4, 3, 5, 5))  # it has its own statistics, which loading must replace
    loaded.load_state_dict(trained.state_dict())
    new_data = torch.randn(2, 3, 5, 5) * 7 - 4
    torch.testing.assert_close(loaded(new_data)[0], trained(new_data)[0])

    # And a layer that is given the weights of one that never started must start anew.
    loaded.load_state_dict(ActNorm(3).state_dict())
    torch.testing.assert_close(loaded(new_data)[0].mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)


def test_actnorm_survives_a_constant_channel() -> None:
    layer = ActNorm(2).train()
    z, log_det = layer(torch.ones(2, 2, 3, 3) * 0.25)
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_det).all()


def test_affine_against_hand_computed_values() -> None:
    raw = torch.tensor([1.0, 0.5]).reshape(1, 2, 1, 1)  # shift 1, s 0.5
    x = torch.full((1, 1, 1, 1), 3.0)
    released = Affine.from_raw(raw, None)
    scale = 1 / (1 + torch.exp(torch.tensor(-2.5))) + 1e-4
    z, log_det = released.forward(x)
    torch.testing.assert_close(z.squeeze(), 4 * scale)
    torch.testing.assert_close(log_det.squeeze(), scale.log())
    limited = Affine.from_raw(raw * torch.tensor([1.0, 1e6]).reshape(1, 2, 1, 1), 1.0)
    torch.testing.assert_close(limited.log_scale.squeeze(), torch.tensor(1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_first_convolution_in_two_parts_is_the_convolution_of_both(kind: str) -> None:
    block = build_conv_block(kind, 3, CONDITIONING, 6, 4)
    torch.nn.init.normal_(block.last.weight)
    x, u = torch.randn(2, 3, 6, 5), torch.randn(2, CONDITIONING, 6, 5)
    whole = F.conv2d(torch.cat([x, u], 1), block.first.weight, block.first.bias, padding=1)
    parts = project_conditioning([block], u)[0] + F.conv2d(x, block.first.weight[:, :3], padding=1)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(block(x, project_conditioning([block], u)[0]), block.last(block._body(whole)))


def test_projecting_many_blocks_together_is_projecting_each() -> None:
    blocks = [build_conv_block("deep", n, CONDITIONING, 4, 3) for n in (0, 2, 1)]
    u = torch.randn(1, CONDITIONING, 5, 5)
    for block, together in zip(blocks, project_conditioning(blocks, u), strict=True):
        torch.testing.assert_close(together, project_conditioning([block], u)[0], rtol=1e-4, atol=1e-5)


def test_folding_log_factors_keeps_the_function() -> None:
    block = build_conv_block("deep", 0, CONDITIONING, 6, 4)
    torch.nn.init.normal_(block.last.weight)
    torch.nn.init.normal_(block.last.bias)
    torch.nn.init.normal_(block.last.logs, std=0.3)
    u = project_conditioning([block], torch.randn(1, CONDITIONING, 5, 5))[0]
    before = block(None, u)
    block.last.fold_log_factors()
    torch.testing.assert_close(block(None, u), before)
    assert (block.last.logs == 0).all()


@pytest.mark.parametrize("bound", [None, 3.0])
def test_split_is_the_normal_distribution_it_predicts(bound: float | None) -> None:
    split = Split(4, bound).double()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    redraw_zero_convs(split, lambda: split(x))
    kept, latent, log_det = split(x)
    mean, log_sigma = split._predict(kept)
    expected = torch.distributions.Normal(mean, log_sigma.exp()).log_prob(x[:, 2:]).sum((1, 2, 3))
    ours = standard_normal_log_prob(latent).sum((1, 2, 3)) + log_det.sum((1, 2))
    torch.testing.assert_close(ours, expected)
    back, inverse_log_det = split.inverse(kept, latent)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(inverse_log_det, -log_det)


def test_sizes_of_activations_and_conditioning_must_agree() -> None:
    layer = _coupling("deep", None)
    prepared = layer.prepare(torch.zeros(1, CONDITIONING, 4, 4))
    with pytest.raises(InputError, match=r"\(4, 5\).*\(4, 4\)"):
        layer(torch.zeros(1, 4, 4, 5), prepared)


def test_inverse_of_1x1_convolution_is_exact_to_float32() -> None:
    layer = InvertibleConv1x1(48)
    x = torch.randn(1, 48, 16, 16)
    back, _ = layer.inverse(layer(x)[0])
    torch.testing.assert_close(back, x, rtol=0, atol=5e-6)


def test_1x1_convolution_stays_in_float32_under_autocast() -> None:
    layer = InvertibleConv1x1(4)
    x = torch.randn(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        z, _ = layer(x)
    assert z.dtype == torch.float32
    torch.testing.assert_close(z, layer(x)[0])

import pytest
import torch
from torch import nn

from srflow.model import SRFlow
from srflow.presets import PRESETS
from srflow.training.muon import Muon, hidden_convolutions, orthogonalise


def redrawn(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 32, 288), (32, 9), (16, 16), (2, 64, 20)])
def test_orthogonalise_keeps_the_singular_vectors_and_makes_the_values_alike(shape):
    matrices = redrawn(shape)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    result = orthogonalise(matrices)
    inner = left.mT @ result @ right.mT  # diagonal, if the singular vectors are the same
    diagonal = inner.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(inner, torch.diag_embed(diagonal), atol=2e-4, rtol=0)
    # What starts far below that share of the Frobenius norm is not there yet after five rounds.
    large = values > 0.03 * matrices.norm(dim=(-2, -1), keepdim=True)[..., 0]
    assert large.float().mean() > 0.8
    assert diagonal[large].min() > 0.65
    assert diagonal[large].max() < 1.25


def test_orthogonalise_does_not_depend_on_size_until_there_is_next_to_nothing():
    matrix = redrawn((16, 40))
    for size in (1e12, 1e-5):
        torch.testing.assert_close(orthogonalise(matrix * size), orthogonalise(matrix), atol=1e-3, rtol=1e-2)
    for size in (1e-12, 1e-24, 1e-36, 0.0):  # squares of these are zero in float32
        assert orthogonalise(matrix * size).abs().max() < 0.05


def test_hidden_convolutions_are_those_between_wide_layers():
    model = SRFlow(PRESETS["srflow-da-r-x4-compact"])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    hidden = {names[id(parameter)] for parameter in hidden_convolutions(model)}
    step = "flow.levels.0.steps.0.layers"
    for name in (f"{step}.2.block.first.weight", f"{step}.3.block.convs.3.weight", "flow.levels.1.projection.weight"):
        assert name in hidden
    for name in (f"{step}.2.block.last.weight", f"{step}.1.weight", "flow.levels.0.splits.6.prior.weight"):
        assert name in names.values()
        assert name not in hidden
    edges = {name for name, p in model.named_parameters() if p.ndim == 4 and 3 in p.shape[:2]}
    assert len(edges) == 2  # from the LR picture, to the SR picture
    assert not hidden & edges
    assert sum(name.startswith("encoder") for name in hidden) == 6 * 3 * 5 + 4


def test_adams_part_is_torchs_adam():
    theirs = [nn.Parameter(redrawn((5, 3), 1)), nn.Parameter(redrawn((7,), 2)), nn.Parameter(redrawn((3, 20, 3, 3), 3))]
    ours = [nn.Parameter(parameter.detach().clone()) for parameter in theirs]
    reference = torch.optim.Adam(theirs, lr=3e-3, betas=(0.8, 0.95))
    muon = Muon([], ours, lr=3e-3, betas=(0.8, 0.95))
    for step in range(5):
        for a, b in zip(theirs, ours, strict=True):
            a.grad = redrawn(tuple(a.shape), 10 + step) * 0.01
            b.grad = a.grad.clone()
        reference.step()
        muon.step()
    for a, b in zip(theirs, ours, strict=True):
        torch.testing.assert_close(b, a)


def test_steps_of_hidden_convolutions_follow_the_formula():
    weight = nn.Parameter(redrawn((16, 20, 3, 3)).to(memory_format=torch.channels_last))
    start = weight.detach().clone()
    muon = Muon([weight], [], lr=0.01, factor=3.0, momentum=0.9)
    gradients = [redrawn((16, 20, 3, 3), seed) for seed in (1, 2)]
    expected, average = start.clone(), torch.zeros_like(start)
    for gradient in gradients:
        weight.grad = gradient.to(memory_format=torch.channels_last)
        muon.step()
        average = 0.9 * average + gradient
        direction = orthogonalise((gradient + 0.9 * average).reshape(16, 180)).view(16, 20, 3, 3)
        expected = expected - 0.01 * 3.0 * 0.2 * 180**0.5 * direction
    torch.testing.assert_close(weight.detach(), expected)
    # As large as Adam's steps usually are: 16 orthogonal rows of length 1 (about 0.85 after five rounds) have entries
    # of 1 / sqrt(180) on average.
    muon = Muon([weight], [], lr=1.0)
    before = weight.detach().clone()
    muon.step()
    assert (weight.detach() - before).square().mean().sqrt().item() == pytest.approx(0.85 * 0.2, rel=0.1)


def test_a_layer_whose_gradients_vanish_comes_to_rest():
    """Its momentum fades for ever; steps of full length along what is left of it would end in NaN."""
    weight = nn.Parameter(redrawn((16, 16, 3, 3)))
    muon = Muon([weight], [], lr=0.01)
    weight.grad = redrawn((16, 16, 3, 3), 1)
    for _ in range(1200):
        muon.step()
        before = weight.detach().clone()
        weight.grad = torch.zeros_like(weight)
    assert torch.equal(weight.detach(), before)


def test_parameters_without_a_gradient_stay_and_a_closure_is_called():
    still, moving = nn.Parameter(redrawn((16, 16, 1, 1))), nn.Parameter(redrawn((4,)))
    before = still.detach().clone()
    muon = Muon([still], [moving], lr=0.1)

    def closure() -> torch.Tensor:
        muon.zero_grad()
        loss = moving.square().sum()
        loss.backward()
        return loss

    first = muon.step(closure)
    assert muon.step(closure) < first
    assert torch.equal(still, before)


def test_a_loaded_state_goes_on_with_the_same_steps():
    def steps(muon: Muon, parameters: list[nn.Parameter], seeds: range) -> None:
        for seed in seeds:
            for parameter in parameters:
                parameter.grad = redrawn(tuple(parameter.shape), seed)
            muon.step()

    whole = [nn.Parameter(redrawn((16, 16, 3, 3), 8)), nn.Parameter(redrawn((6,), 9))]
    halves = [nn.Parameter(parameter.detach().clone()) for parameter in whole]
    steps(Muon(whole[:1], whole[1:], lr=0.01), whole, range(4))
    first = Muon(halves[:1], halves[1:], lr=0.01)
    steps(first, halves, range(2))
    second = Muon(halves[:1], halves[1:], lr=0.5)
    second.load_state_dict(first.state_dict())
    steps(second, halves, range(2, 4))
    for a, b in zip(whole, halves, strict=True):
        assert torch.equal(a, b)

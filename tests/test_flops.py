"""Counted operations against those that PyTorch counts while the engine's model runs."""

from __future__ import annotations

import pytest
import torch
from conftest import make_toy
from torch.utils.flop_counter import FlopCounterMode

from srflow.sampling.flops import flops_per_pixel
from srflow.sampling.inference import InferenceModel


@pytest.mark.parametrize(
    "name",
    ["srflow-da-x4", "srflow-da-r-x8", "srflow-da-s-x4", "srflow-da-d-x4", "srflow-x4", "srflow-da-r-x4-compact"],
)
def test_convolutions_are_counted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srflow.fused._is_supported", lambda _: False)  # PyTorch does not count the fused operator
    expected = {what: flops_per_pixel(make_toy(name), what) for what in ("conditioning", "sampling")}
    model = InferenceModel(make_toy(name), torch.float64)
    lr = torch.rand(1, 3, 8, 12, dtype=torch.float64)

    def count(work: object) -> int:
        with FlopCounterMode(display=False) as counter:
            work()
        convolutions = [
            value for key, value in counter.get_flop_counts()["Global"].items() if "convolution" in str(key)
        ]
        return sum(convolutions)

    prepared = model.condition(lr, lambda: None)
    latents = [torch.zeros(1, *shape, dtype=torch.float64) for shape in model.latent_shapes(8, 12)]
    splits = _split_flops(model, name)
    assert count(lambda: model.condition(lr, lambda: None)) / 96 == pytest.approx(expected["conditioning"], rel=1e-6)
    sampled = count(lambda: model.decode(latents, prepared, lambda: None)) / 96
    assert sampled - splits == pytest.approx(expected["sampling"], rel=1e-6)


def _split_flops(model: InferenceModel, name: str) -> float:
    """Of the splits' convolutions, which are left out."""
    flow = make_toy(name).flow
    total, positions = 0.0, float(model.scale_factor**2)
    for level in flow.levels:
        positions /= level.squeeze.factor**2
        total += sum(2 * positions * split.prior.weight.numel() for split in level.splits.values())
    return total

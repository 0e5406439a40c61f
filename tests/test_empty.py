"""Modules without weights."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from srflow.empty import without_weights
from srflow.model import SRFlow
from srflow.presets import PRESETS


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_all_tensors_are_without_memory_and_of_the_shapes_that_a_real_model_has(name: str) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    with without_weights():
        model = SRFlow(PRESETS[name])
    assert all(tensor.device.type == "meta" for tensor in (*model.parameters(), *model.buffers()))
    assert torch.equal(torch.get_rng_state(), state), "random numbers of the caller were used up"
    if name.endswith("compact"):
        real = SRFlow(PRESETS[name]).state_dict()
        shapes = {key: (tensor.shape, tensor.dtype) for key, tensor in model.state_dict().items()}
        assert shapes == {key: (tensor.shape, tensor.dtype) for key, tensor in real.items()}


def test_the_context_ends_with_its_block() -> None:
    with without_weights():
        assert torch.randn(2).device.type == "meta"
    assert torch.randn(2).isfinite().all()


def test_loading_a_checkpoint_does_not_import_the_compiler() -> None:
    code = (
        "import sys; from srflow.model import SRFlow; SRFlow.from_pretrained('srflow-da-r-x4-compact');"
        "sys.exit('torch._dynamo' in sys.modules or 'sympy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

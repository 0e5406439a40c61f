"""`torch.export` of conditioning and decoding: for other sizes than were traced, after a trip through a file."""

from __future__ import annotations

import io

import pytest
import torch
from conftest import make_toy

from srflow.export import export_condition, export_decode

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["srflow-da-r-x4-compact", "srflow-x4"])
def test_exported_programs_do_what_the_model_does_at_any_size(name: str) -> None:
    model = make_toy(name, torch.float32)
    condition, decode = (_through_a_file(export(model)) for export in (export_condition, export_decode))
    with torch.inference_mode():
        for height, width, num_samples in ((4, 6, 1), (8, 4, 3)):
            lr = torch.rand(1, 3, height, width)
            latents = model.draw_latents(height, width, num_samples=num_samples, seed=1) * 0.3
            pictures = decode(tuple(latents), condition(lr))
            torch.testing.assert_close(pictures, model.decode(latents, model.condition(lr)), rtol=1e-4, atol=1e-4)


def _through_a_file(program: torch.export.ExportedProgram) -> torch.nn.Module:
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()

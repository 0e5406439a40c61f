"""Started twice by `test_training_distributed.py`: one likelihood step's gradients for each stage, saved to files.

Arguments: the pictures' folder, the cache, the folder to save to, and the names of the stages.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from process_helpers import watch_group
from training_helpers import toy_recipe

from srflow.model import SRFlow
from srflow.processes import join_processes
from srflow.training.patches import PatchSampler
from srflow.training.stages import build_objective, freeze_all_but, plan
from srflow.training.store import PictureStore


def gradients(accelerator: Accelerator, pictures: Path, cache: Path, stage_name: str) -> dict[str, torch.Tensor]:
    """Loss and gradients, by name, of the first batch, from before the actnorms are initialised. In float64."""
    recipe = toy_recipe("training.batch_size=4")
    stage = next(stage for stage in plan(recipe) if stage.name == stage_name)
    torch.manual_seed(0)
    model = SRFlow(recipe.model.config()).double()
    for parameter in model.parameters():
        if not parameter.any():  # zero convs would keep most gradients at zero
            torch.nn.init.normal_(parameter, std=0.02)
    freeze_all_but(stage, model)
    sampler = PatchSampler(
        store=PictureStore.open(pictures, cache), scale_factor=4, patch_size=32, batch_size=4, seed=0
    )
    batch = sampler.batch(0, accelerator.process_index, accelerator.num_processes)
    objective = accelerator.prepare_model(build_objective(stage, model, recipe).train())
    loss = objective(batch.hr.double(), batch.noise.double(), batch.lr.double()).minimised
    accelerator.backward(loss)
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    found |= {name: buffer.double() for name, buffer in model.named_buffers()}
    # What the actnorms' initialisation set.
    found |= {f"value of {name}": p.detach() for name, p in model.named_parameters() if name.endswith(("bias", "logs"))}
    return found | {"loss": accelerator.reduce(loss.detach(), reduction="mean")}


if __name__ == "__main__":
    pictures, cache, output = map(Path, sys.argv[1:4])
    gc.disable()  # or luck would clear away what holds the group
    leave_and_check = watch_group()
    join_processes(cpu=True)
    two = Accelerator(cpu=True)
    for stage in sys.argv[4:]:
        results = gradients(two, pictures, cache, stage)
        if two.is_main_process:
            torch.save(results | {"processes": torch.tensor(two.num_processes)}, output / f"{stage}.pt")
    leave_and_check()

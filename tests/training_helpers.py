"""A toy recipe and toy pictures, shared by the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from srflow.pictures import save_png
from srflow.training.recipe import TrainingRecipe
from srflow.training.recipe_files import load_recipe

if TYPE_CHECKING:  # processes that a test starts import this module and need no trainer
    from srflow.training.trainer import Trainer

TOY = [
    "model.encoder={num_features=16, growth_channels=16, num_blocks=1, stacked_blocks=[0]}",
    "model.flow={hidden_channels=16, steps_per_level=1, splits=[[1], []], projection_channels=16}",  # enough for Muon
    "pretraining={steps=2, batch_size=2, patch_size=32, warmup_steps=0}",
    "training={steps=6, batch_size=2, patch_size=32, warmup_steps=0, learning_rate=1e-3}",
    "validation={every_steps=4, num_pictures=2, crop_size=64, temperatures=[0.0, 0.8]}",
    "checkpoint={every_steps=100}",
    "log={every_steps=1}",
    'runtime={precision="bf16"}',  # "auto" would choose by a measurement
]


def toy_recipe(*overrides: str) -> TrainingRecipe:
    """A whole run in a second or two: two L1 steps, two with the encoder frozen, four with both."""
    return load_recipe("srflow-da-r-x4-compact", [*TOY, *overrides])


def write_pictures(folder: Path, sizes: list[tuple[int, int]], seed: int = 0) -> Path:
    """Smooth random pictures with some grain, as PNGs."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for index, (height, width) in enumerate(sizes):
        rows, columns = np.mgrid[0:height, 0:width]
        phases = generator.uniform(0, 6, (3, 2))
        waves = [np.sin(rows / (3 + 4 * a) + b) * np.cos(columns / (4 + 3 * b) + a) for a, b in phases]
        picture = 128 + 70 * np.stack(waves, -1) + generator.normal(0, 6, (height, width, 3))
        save_png(folder / f"picture{index}.png", np.clip(picture, 0, 255).astype(np.uint8))
    return folder


def stop_at(trainer: Trainer, step: int) -> Trainer:
    """Make the trainer receive a stop request during step `step`."""
    original = trainer._step

    def counted(*arguments):
        if trainer.progress.step + 1 == step:
            trainer.request_stop()
        return original(*arguments)

    trainer._step = counted
    return trainer

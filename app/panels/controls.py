"""The controls: model, temperature, seed, number of samples, consistency, presets; Sample and Stop."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.settings import AUTO, CONSISTENCY_ROUNDS, MAX_SAMPLES, MAX_SEED, MAX_TEMPERATURE, PRESETS, Settings
from srflow.contract import EngineInfo

__all__ = ["NAMES", "ControlsPanel", "build", "new_seed"]

NAMES = (
    "model",
    "temperature",
    "seed",
    "num_samples",
    "consistency",
    "first_index",
    "precision",
    "tile",
    "pairwise",
)
"""By which `Settings.read` knows the values, in the order of `ControlsPanel.inputs`."""


@dataclass(frozen=True)
class ControlsPanel:
    """Components."""

    model: gr.Dropdown
    temperature: gr.Slider
    seed: gr.Number
    num_samples: gr.Slider
    consistency: gr.Checkbox
    first_index: gr.Number
    precision: gr.Dropdown
    tile: gr.Number
    pairwise: gr.Checkbox
    dice: gr.Button
    lock: gr.Checkbox
    presets: dict[str, gr.Button]
    sample: gr.Button
    stop: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """The components whose values are the settings, in the order of `NAMES`."""
        return [getattr(self, name) for name in NAMES]

    def read(self, values: tuple[Any, ...], info: EngineInfo) -> Settings:
        """Check the values of `inputs`."""
        return Settings.read(dict(zip(NAMES, values, strict=True)), info)

    def show(self, settings: Settings, info: EngineInfo) -> dict[Any, Any]:
        """Values that show these settings."""
        choices = [(model.label, model.key) for model in info.models]
        return {
            self.model: gr.update(choices=choices, value=settings.model, interactive=len(choices) > 1),
            self.temperature: settings.temperature,
            self.seed: settings.seed,
            self.num_samples: settings.num_samples,
            self.consistency: settings.consistency_rounds > 0,
            self.first_index: settings.first_index,
            self.precision: settings.precision or AUTO,
            self.tile: -1 if settings.tile is None else settings.tile,
            self.pairwise: settings.pairwise,
        }


def build() -> ControlsPanel:
    """Lay the panel out."""
    with gr.Row(elem_id="actions"):
        sample = gr.Button("Sample", variant="primary", elem_id="sample", min_width=120, scale=3)
        stop = gr.Button("Stop", variant="stop", elem_id="stop", min_width=70, scale=1)
    with gr.Row(elem_id="presets"):
        presets = {name: gr.Button(name, size="sm", min_width=60) for name in PRESETS}
    temperature = gr.Slider(0, MAX_TEMPERATURE, value=0.9, step=0.05, label="Temperature τ", elem_id="temperature")
    num_samples = gr.Slider(1, MAX_SAMPLES, value=8, step=1, label="Samples", elem_id="num-samples")
    with gr.Row(elem_id="seed-row"):
        seed = gr.Number(
            0, precision=0, minimum=0, maximum=MAX_SEED, label="Seed", min_width=90, elem_id="seed", scale=3
        )
        dice = gr.Button("Dice", size="sm", min_width=50, elem_id="dice", scale=1)
        lock = gr.Checkbox(True, label="Lock", min_width=70, elem_id="lock", container=False, scale=1)
    consistency = gr.Checkbox(
        True,
        label="Consistent with the input",
        info=f"{CONSISTENCY_ROUNDS} rounds of back-projection",
        elem_id="consistency",
    )
    model = gr.Dropdown([], label="Model", elem_id="model", interactive=False)
    with gr.Accordion("More", open=False, elem_id="more"):
        pairwise = gr.Checkbox(
            False, label="Compare all pairs (LPIPS)", info="matrix, atlas and the most central sample"
        )
        first_index = gr.Number(
            0, precision=0, minimum=0, label="First sample", info="number in the seed's series, from 0"
        )
        precision = gr.Dropdown([AUTO, "float32", "bfloat16", "float16"], value=AUTO, label="Precision")
        tile = gr.Number(
            -1, precision=0, minimum=-1, label="Tile side", info="input pixels; -1: automatic, 0: in one piece"
        )
    return ControlsPanel(
        model=model,
        temperature=temperature,
        seed=seed,
        num_samples=num_samples,
        consistency=consistency,
        first_index=first_index,
        precision=precision,
        tile=tile,
        pairwise=pairwise,
        dice=dice,
        lock=lock,
        presets=presets,
        sample=sample,
        stop=stop,
    )


def new_seed() -> int:
    """A seed that is short enough to be read aloud."""
    return secrets.randbelow(1_000_000)

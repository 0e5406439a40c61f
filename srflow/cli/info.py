"""`srflow info`: lists presets, their parameters, and the layers of one of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` needs neither
    from torch import nn

    from srflow.model import SRFlow

__all__ = ["HELP", "add_arguments", "run"]

HELP = "list the presets with their parameters, or the layers of one preset or checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("model", nargs="?", help="a preset, or the folder or Hub id of a checkpoint")


def run(arguments: argparse.Namespace) -> int:
    """Print the table, or one model's layers."""
    from srflow.checkpoints.shipped import resolve_checkpoint
    from srflow.empty import without_weights
    from srflow.model import SRFlow
    from srflow.presets import PRESETS

    if arguments.model is None:
        print(f"{'preset':<24} {'flow':>11} {'encoder':>11}  levels × steps  conv block  hidden")
        for name, config in PRESETS.items():
            with without_weights():
                model = SRFlow(config)
            flow = config.flow
            print(
                f"{name:<24} {_count(model.flow):>11,} {_count(model.encoder):>11,}  "
                f"{flow.num_levels} × {flow.steps_per_level:<11} {flow.conv_block:<11} {flow.hidden_channels}"
            )
        return 0
    if arguments.model in PRESETS:
        with without_weights():
            model = SRFlow.from_preset(arguments.model)
    else:
        model = SRFlow.from_pretrained(resolve_checkpoint(arguments.model))
    print("\n".join(describe(model)))
    return 0


def describe(model: SRFlow) -> list[str]:
    """Describe the model's layers in the order of the forward pass, one line each, with channels and parameters."""
    config = model.config
    lines = [
        f"{config.name}: x{config.scale_factor}, default temperature {config.default_temperature}",
        f"weights: {model.metadata.license}. {model.metadata.provenance}",
        "",
        f"encoder, {_count(model.encoder):,} parameters",
        f"  {config.encoder.num_blocks} RRDBs of {config.encoder.num_features} features, growth "
        f"{config.encoder.growth_channels}; stacked blocks {', '.join(map(str, config.encoder.stacked_blocks))}",
        f"  conditioning: {config.encoder.conditioning_channels} channels per level",
        f"  without gradient from the likelihood: {', '.join(model.encoder.super_resolution_tail())}",
        "",
        f"flow, {_count(model.flow):,} parameters" + (", models hr - bicubic(lr)" if config.flow.residual else ""),
    ]
    channels, stride = 3, 1
    for number, level in enumerate(model.flow.levels, start=1):
        channels *= level.squeeze.factor**2
        stride *= level.squeeze.factor
        lines.append(f"  level {number}: squeeze by {level.squeeze.factor} → {channels} channels at 1/{stride} of HR")
        if level.projection is not None:
            lines.append(f"    conditioning projected to {level.projection.out_channels} channels")
        for step in level.transitions.layers:
            lines.append(f"    transition step         {channels:>4} channels {_count(step):>11,}")
        for index, step in enumerate(level.steps, start=1):
            lines.append(f"    flow step {index:<13} {channels:>4} channels {_count(step):>11,}")
            if str(index) in level.splits:
                channels //= 2
                count = _count(level.splits[str(index)])
                lines.append(f"    split → latent          {channels:>4} channels {count:>11,}")
    lines.append(f"  last latent: {channels} channels")
    return lines


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

"""Initialises the weights of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from srflow.checkpoints.shipped import resolve_checkpoint
from srflow.contract import CheckpointError
from srflow.model import SRFlow
from srflow.presets import EncoderConfig
from srflow.training.recipe import TrainingRecipe

__all__ = ["initial_model"]

_SHAPES = (
    "num_features",
    "growth_channels",
    "num_blocks",
)  # an encoder's weights fit another encoder if these settings agree
_WIRING = ("long_skip", "stacked_blocks", "residual")  # settings of how the same weights are used


def initial_model(
    recipe: TrainingRecipe, initial: str | Path | None, report: Callable[[str], None] = lambda _message: None
) -> tuple[SRFlow, tuple[str, ...]]:
    """Return the recipe's model, with random weights or with those of a checkpoint.

    The whole checkpoint is used if its network is the recipe's. Otherwise only the encoder is used; for this, the scale
    factor and the sizes of its layers must match. The recipe decides how the encoder is wired: ESRGAN's RRDB has its
    long skip connection in a different position than SRFlow's encoder, but SRFlow starts from ESRGAN's weights
    nevertheless.

    Args:
        initial: None; or a checkpoint in the model's own format: a folder (`srflow convert` makes one from a released
            file, every run writes RUN/encoder and RUN/last), the name of a shipped checkpoint, or a Hub name.
        report: called with one line for every encoder setting that differs from the checkpoint's.

    Returns: the model, and which parts have the checkpoint's weights: (), ("encoder",) or ("encoder", "flow").
    Raises: CheckpointError: the checkpoint cannot be read, or its encoder's layers have other sizes.
    """
    model = SRFlow(recipe.model.config())
    if initial is None:
        return model, ()
    given = SRFlow.from_pretrained(resolve_checkpoint(initial))
    mine, others = model.config, given.config
    if mine.scale_factor != others.scale_factor:
        raise CheckpointError(
            f"{initial} is a x{others.scale_factor} model and the recipe trains a x{mine.scale_factor} one. Give a "
            f"checkpoint of x{mine.scale_factor}, or choose a recipe of x{others.scale_factor}."
        )
    if different := _differences(mine.encoder, others.encoder, _SHAPES):
        settings = ", ".join(f"{key}={getattr(others.encoder, key)}" for key in different)
        raise CheckpointError(
            f"The encoder in {initial} has another size than the recipe's, which has "
            f"{_in_words(mine.encoder, others.encoder, different)}. Give another checkpoint, or train an encoder of "
            f"that size: 'model.encoder={{{settings}}}' (with stacked_blocks below num_blocks)."
        )
    if (mine.encoder, mine.flow) == (others.encoder, others.flow):
        model.load_state_dict(given.state_dict())
        parts: tuple[str, ...] = ("encoder", "flow")
    else:
        model.encoder.load_state_dict(given.encoder.state_dict())
        parts = ("encoder",)
        for key in _differences(mine.encoder, others.encoder, _WIRING):
            report(
                f"The encoder's weights are those of {initial}; it is used with the recipe's "
                f"{_in_words(mine.encoder, others.encoder, [key])}."
            )
    model.metadata = given.metadata
    return model, parts


def _differences(mine: EncoderConfig, others: EncoderConfig, keys: tuple[str, ...]) -> list[str]:
    return [key for key in keys if getattr(mine, key) != getattr(others, key)]


def _in_words(mine: EncoderConfig, others: EncoderConfig, keys: list[str]) -> str:
    return ", ".join(f"{key} {getattr(mine, key)!r} (the checkpoint has {getattr(others, key)!r})" for key in keys)

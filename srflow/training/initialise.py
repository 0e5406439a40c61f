"""Where a run's first weights come from."""

from __future__ import annotations

from pathlib import Path

from srflow.contract import CheckpointError
from srflow.model import SRFlow
from srflow.training.recipe import Recipe

__all__ = ["initial_model"]


def initial_model(recipe: Recipe, initial: str | Path | None) -> tuple[SRFlow, bool]:
    """The recipe's model, random or with weights from a checkpoint.

    Args:
        initial: None, or a checkpoint in the model's own format (`srflow convert` makes one of the released files, and
            every run leaves one in RUN/encoder). If its network is the recipe's, all of it is taken, else the encoder
            alone, which must be of the recipe's size.

    Returns: the model, and whether its encoder is trained already.
    Raises: CheckpointError: the checkpoint cannot be read, or its encoder is another.
    """
    model = SRFlow(recipe.model.config())
    if initial is None:
        return model, False
    given = SRFlow.from_pretrained(initial)
    mine, others = model.config, given.config
    if (mine.scale_factor, mine.encoder) != (others.scale_factor, others.encoder):
        raise CheckpointError(
            f"The encoder in {initial} (x{others.scale_factor}, {others.encoder}) is not the recipe's "
            f"(x{mine.scale_factor}, {mine.encoder}); choose another checkpoint, or set model.encoder.* to its numbers."
        )
    if mine.flow == others.flow:
        model.load_state_dict(given.state_dict())
    else:
        model.encoder.load_state_dict(given.encoder.state_dict())
    model.metadata = given.metadata
    return model, True

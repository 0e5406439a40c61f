"""The recipe of a sample: all that it takes to draw its pixels again, as it lies in PNGs, addresses and histories."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np

from srflow.contract.pictures import picture_sha256
from srflow.errors import InputError
from srflow.operations import Draw, Operation, check_operations, from_values, to_values

__all__ = [
    "FLAGS_KEY",
    "INPUT_KEY",
    "LR_KEY",
    "MAX_INDEX",
    "MAX_LR_TEXT",
    "MAX_SIDE",
    "NOT_AS_ASKED",
    "RECIPE_KEY",
    "Precision",
    "SampleRecipe",
    "carried_lr",
]


Precision = Literal["float32", "bfloat16", "float16"]
"""What the convolutions run in; latents, log-determinants and 1x1 convolutions are float32 always."""


@dataclass(frozen=True, kw_only=True)
class SampleRecipe:
    """All that the pixels of one sample depend on, beside the LR picture itself; small enough to go into a PNG.

    The same recipe on the same LR picture gives the same pixels, on the same machine to the last bit.

    model: the key by which the engine knows the model (see `ModelInfo.key`). weights_sha256: of its weights file; None
    for weights that were never on disk. index: the sample's number among those of `seed`. tile: LR pixels a side of
    the tiles; 0: the picture was made in one piece. lr_sha256: `picture_sha256` of the LR picture. operations: what was
    done to the sample after it was drawn, see `srflow.operations`; a plain sample has none.
    """

    model: str
    weights_sha256: str | None
    scale_factor: int
    seed: int
    index: int
    temperature: float
    consistency_rounds: int
    precision: Precision
    tile: int
    lr_height: int
    lr_width: int
    lr_sha256: str
    version: str
    operations: tuple[Operation, ...] = ()

    @property
    def whole_list(self) -> tuple[Operation, ...]:
        """The draw and all that follows it: what the picture is, as one list."""
        return Draw(self.seed, self.index, self.temperature), *self.operations

    def to_json(self) -> str:
        """As one line of JSON, e.g. for the text of a PNG (see `RECIPE_KEY`)."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "operations"}
        if self.operations:  # a plain sample's recipe stays as it was before there were operations
            values["operations"] = to_values(self.operations)
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> SampleRecipe:
        """The inverse of `to_json`; the text may come from anywhere, so everything in it is checked.

        Raises: InputError: if it is no JSON, a field is missing, unknown, of another type, or out of range.
            OperationError, which is one: if that is so of an operation.
        """
        if len(text) > _MAX_JSON:
            raise InputError(f"The recipe has {len(text)} characters; {_MAX_JSON} are the most.")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"The recipe is not valid JSON ({error}).") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) | {"operations"} != known:
            raise InputError("The text is not a recipe of this program: fields are missing, or there are others.")
        for name, (kind, low, high) in _RECIPE_NUMBERS.items():
            value = values[name]
            right = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
            if not right or not low <= value <= high:  # false for NaN, too
                raise InputError(f"The recipe's {name} is {value!r}; it must be a number from {low} to {high}.")
            values[name] = kind(value)
        for name in ("model", "lr_sha256", "version"):
            if not isinstance(values[name], str) or len(values[name]) > _MAX_TEXT:
                raise InputError(f"The recipe's {name} must be a text of at most {_MAX_TEXT} characters.")
        weights = values["weights_sha256"]
        if weights is not None and not (isinstance(weights, str) and len(weights) <= _MAX_TEXT):
            raise InputError("The recipe's weights_sha256 must be a text or null.")
        if values["precision"] not in get_args(Precision):
            raise InputError(f"The recipe's precision must be one of {', '.join(get_args(Precision))}.")
        if "operations" in values:
            values["operations"] = from_values(values["operations"], complete=False)
            check_operations(values["operations"], complete=False, size=(values["lr_height"], values["lr_width"]))
        return cls(**values)


NOT_AS_ASKED = "not as asked"
"""With which a flag begins that tells of something in the place of the sample: see `SampleResult.is_as_asked`."""

RECIPE_KEY = "srflow"
"""Under which name a PNG's text holds the JSON of its `SampleRecipe`."""

INPUT_KEY = "srflow-input"
"""Under which name a sample's PNG says what was done to the LR picture's file on the way in (`Picture.notes`)."""

FLAGS_KEY = "srflow-flags"
"""Under which name a sample's PNG holds its flags (`SampleResult.flags`)."""

LR_KEY = "srflow-lr"
"""Under which name a PNG's text may hold its LR picture, a PNG in base64, so that it can be drawn again."""

MAX_LR_TEXT = 2_000_000
"""Characters of such a text. A longer one is neither written nor read."""

MAX_INDEX = 2**32
"""The largest number that a sample of a seed may have."""

MAX_SIDE = 1_000_000
"""LR pixels: the largest side of a picture, or of a tile, that a recipe may name."""

_MAX_TEXT = 300
_MAX_JSON = 8_000_000
_RECIPE_NUMBERS: dict[str, tuple[type, float, float]] = {
    "scale_factor": (int, 1, 64),
    "seed": (int, 0, 2**64 - 1),
    "index": (int, 0, MAX_INDEX),
    "temperature": (float, 0.0, 2.0),
    "consistency_rounds": (int, 0, 100),
    "tile": (int, 0, MAX_SIDE),
    "lr_height": (int, 1, MAX_SIDE),
    "lr_width": (int, 1, MAX_SIDE),
}


def carried_lr(
    text: Mapping[str, str], recipe: SampleRecipe, open_picture: Callable[[bytes, int], np.ndarray]
) -> np.ndarray | None:
    """The LR picture that a PNG's text carries (see `LR_KEY`); None: there is none, or too large a one.

    Args: open_picture: reads the bytes of a file with at most so many pixels, as `Engine.open_picture`.
    Raises: InputError: it is damaged, or not the recipe's.
    """
    encoded = text.get(LR_KEY)
    if encoded is None or len(encoded) > MAX_LR_TEXT:
        return None
    try:
        lr = open_picture(base64.b64decode(encoded, validate=True), recipe.lr_height * recipe.lr_width)
    except (binascii.Error, ValueError) as error:
        raise InputError("The low-resolution picture inside this PNG is damaged.") from error
    if picture_sha256(lr) != recipe.lr_sha256:
        raise InputError("The low-resolution picture inside this PNG is not the one that its recipe names.")
    return lr

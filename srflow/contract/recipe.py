"""The recipe of a sample: everything needed to draw its pixels again, as stored in PNGs, links and histories."""

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
"""The data type of the convolutions; latents, log-determinants and 1x1 convolutions are always float32."""


@dataclass(frozen=True, kw_only=True)
class SampleRecipe:
    """Everything that the pixels of one sample depend on, except the LR picture itself; small enough for a PNG.

    The same recipe on the same LR picture gives the same pixels, on the same machine to the last bit.

    model: the engine's key of the model (see `ModelInfo.key`).
    weights_sha256: of its weights file; None for weights that were never saved.
    index: the sample's number among those of `seed`.
    tile: side of the tiles in LR pixels; 0: no tiles.
    lr_sha256: `picture_sha256` of the LR picture.
    operations: applied to the sample after the draw, see `srflow.operations`; a plain sample has none.
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
        """The draw and all operations after it, as one list."""
        return Draw(self.seed, self.index, self.temperature), *self.operations

    def to_json(self) -> str:
        """Return one line of JSON, e.g. for the text of a PNG (see `RECIPE_KEY`)."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "operations"}
        if self.operations:  # a plain sample's recipe stays as it was before operations existed
            values["operations"] = to_values(self.operations)
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> SampleRecipe:
        """Read a recipe from JSON; the text may come from anywhere, so everything in it is checked.

        Raises: InputError: it is not JSON, a field is missing, unknown, of another type, or out of range, or (the
            subclass OperationError) an operation is.
        """
        if len(text) > _MAX_JSON:
            raise InputError(f"The recipe has {len(text)} characters; the maximum is {_MAX_JSON}.")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"The recipe is not valid JSON ({error}).") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) | {"operations"} != known:
            raise InputError("The text is not a recipe of this program: fields are missing or unknown.")
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
"""Prefix of flags for a sample that was replaced by something else: see `SampleResult.is_as_asked`."""

RECIPE_KEY = "srflow"
"""Name of the PNG text with the JSON of the `SampleRecipe`."""

INPUT_KEY = "srflow-input"
"""Name of the PNG text that says how the LR picture's file was converted (`Picture.notes`)."""

FLAGS_KEY = "srflow-flags"
"""Name of the PNG text with the sample's flags (`SampleResult.flags`)."""

LR_KEY = "srflow-lr"
"""Name of the PNG text that may contain the LR picture, a PNG in base64, so that the sample can be drawn again."""

MAX_LR_TEXT = 2_000_000
"""Maximum length of such a text in characters. A longer one is neither written nor read."""

MAX_INDEX = 2**32
"""The largest number that a sample of a seed may have."""

MAX_SIDE = 1_000_000
"""LR pixels: the largest side of a picture, or of a tile, in a recipe."""

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
    """Return the LR picture in a PNG's text (see `LR_KEY`); None: there is none, or it is too large.

    Args: open_picture: reads the bytes of a file with a limit on its pixels, as `Engine.open_picture`.
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
        raise InputError("The low-resolution picture inside this PNG is not the one in its recipe.")
    return lr

"""From an uploaded file to the visitor's picture: LR pixels, ground truth, region; or the recipe that a PNG carries."""

from __future__ import annotations

import base64
import binascii
import math
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.settings import Settings, find_model
from app.state import OpenedPicture, Region, Visitor
from srflow.contract import RECIPE_KEY, Engine, ImageError, InputError, ModelInfo, Recipe, picture_sha256

__all__ = [
    "LR_KEY",
    "MAX_FILE_SIZE",
    "MAX_PIXELS",
    "REGION_SIDES",
    "open_array",
    "open_upload",
    "preview",
    "preview_step",
    "read_recipe",
    "select_region",
    "write_inputs",
]

MAX_FILE_SIZE = 64 * 2**20
MAX_PIXELS = 40_000_000
MIN_SIDE = 16
"""Of LR pictures; smaller ones leave the network nothing to look at."""
LR_KEY = "srflow-lr"
"""Under which name a PNG's text holds its LR picture, as a PNG in base64, so that it can be drawn again anywhere."""
REGION_SIDES = (48, 64, 96, 128, 192, 256, 384, 512)
DEFAULT_SIDE = 128
"""Of the region that is taken from LR pictures with more pixels than AUTO_PIXELS."""
AUTO_PIXELS = 192 * 192
_PREVIEW_SIDE = 480
_MAX_LR_TEXT = 2_000_000


def open_upload(engine: Engine, visitor: Visitor, path: str, kind: str, model: str, name: str = "") -> OpenedPicture:
    """Read an uploaded file and make it the visitor's picture.

    kind: "lr" or "hr"; the latter is scaled down for `model`, and kept as ground truth.
    Raises: ImageError: if it cannot be read, is too large or too small.
    """
    if Path(path).stat().st_size > MAX_FILE_SIZE:
        raise ImageError(f"The file is larger than {MAX_FILE_SIZE // 2**20} MB. Please make it smaller.")
    pixels = engine.open_picture(path, MAX_PIXELS)
    model_info = find_model(engine.info(), model)
    if kind == "hr":
        if min(pixels.shape[:2]) < MIN_SIDE * model_info.scale_factor:
            raise ImageError(
                f"The picture is {pixels.shape[1]}×{pixels.shape[0]}; to be scaled down {model_info.scale_factor} "
                f"times, it needs {MIN_SIDE * model_info.scale_factor} pixels a side."
            )
        lr, truth = engine.scale_down(pixels, model)
        return open_array(visitor, lr, truth, model_info, name)
    return open_array(visitor, pixels, None, model_info, name)


def open_array(
    visitor: Visitor, lr: np.ndarray, truth: np.ndarray | None, model: ModelInfo, name: str = ""
) -> OpenedPicture:
    """Make these pixels the visitor's picture; of a large one, the middle is the region."""
    height, width = lr.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageError(f"The picture is {width}×{height}; it needs at least {MIN_SIDE} pixels a side.")
    folder = visitor.new_folder("picture")
    np.save(folder / "lr.npy", lr)
    if truth is not None:
        np.save(folder / "truth.npy", truth)
    picture = OpenedPicture(
        folder=folder,
        width=width,
        height=height,
        scale_factor=model.scale_factor,
        has_truth=truth is not None,
        region=Region(0, 0, width, height),
        subject=secrets.token_hex(8),
        name=name,
    )
    if width * height > AUTO_PIXELS:
        picture = select_region(picture, width // 2, height // 2, DEFAULT_SIDE)
    visitor.replace_picture(picture)
    return picture


def select_region(picture: OpenedPicture, x: int, y: int, side: int | None) -> OpenedPicture:
    """The same picture with the square region round the LR pixel (x, y); side None: the whole picture."""
    if side is None:
        region = Region(0, 0, picture.width, picture.height)
    else:
        width, height = min(side, picture.width), min(side, picture.height)
        left = min(max(x - width // 2, 0), picture.width - width)
        top = min(max(y - height // 2, 0), picture.height - height)
        region = Region(left, top, width, height)
    if region == picture.region:
        return picture
    moved = replace(picture, region=region, subject=secrets.token_hex(8))
    _tidy(picture.folder, {picture.subject, moved.subject})
    return moved


def _tidy(folder: Path, subjects: set[str]) -> None:
    """Remove the PNG files of all other regions: they are named by subject, and one may be moved for hours."""
    for path in folder.glob("*-*.png"):
        if path.stem.rpartition("-")[2] not in subjects:
            path.unlink(missing_ok=True)


def write_inputs(engine: Engine, picture: OpenedPicture) -> dict[str, Path]:
    """PNG files of the region: "input", the LR pixels, and "truth", if there is one; written once."""
    paths = {"input": picture.folder / f"input-{picture.subject}.png"}
    if not paths["input"].exists():
        engine.save_png(paths["input"], picture.lr())
    truth = picture.truth()
    if truth is not None:
        paths["truth"] = picture.folder / f"truth-{picture.subject}.png"
        if not paths["truth"].exists():
            engine.save_png(paths["truth"], truth)
    return paths


def preview_step(picture: OpenedPicture) -> int:
    """How many LR pixels one pixel of the preview stands for."""
    return max(1, math.ceil(max(picture.width, picture.height) / _PREVIEW_SIDE))


def preview(picture: OpenedPicture) -> np.ndarray:
    """The LR picture, thinned out if it is large, with all but the region dimmed. uint8, (h, w, 3)."""
    step = preview_step(picture)
    shown = picture.whole()[::step, ::step].copy()
    region = picture.region
    inside = np.zeros(shown.shape[:2], bool)
    inside[
        region.top // step : math.ceil((region.top + region.height) / step),
        region.left // step : math.ceil((region.left + region.width) / step),
    ] = True
    shown[~inside] = shown[~inside] // 3 + 40
    return shown


def read_recipe(engine: Engine, path: str) -> tuple[Recipe, np.ndarray | None] | None:
    """The recipe in a PNG that this page made, and the LR picture if it carries that too; None: an ordinary picture.

    Raises: InputError: if there is a recipe, but not one that can be used.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                return None
        text: Mapping[str, str] = engine.read_png_text(path)
    except ImageError:
        return None  # opening it as a picture will say what is wrong
    if RECIPE_KEY not in text:
        return None
    recipe = Recipe.from_json(text[RECIPE_KEY])
    Settings.from_recipe(recipe, engine.info())
    encoded = text.get(LR_KEY)
    if encoded is None or len(encoded) > _MAX_LR_TEXT:
        return recipe, None
    try:
        lr = engine.open_picture(base64.b64decode(encoded, validate=True), recipe.lr_height * recipe.lr_width)
    except (binascii.Error, ValueError) as error:
        raise InputError("The low-resolution picture inside this PNG is damaged.") from error
    if picture_sha256(lr) != recipe.lr_sha256:
        raise InputError("The low-resolution picture inside this PNG is not the one that its recipe names.")
    return recipe, lr

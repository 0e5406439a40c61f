"""Opening a visitor's file: LR pixels, ground truth and crop, or the recipe in a PNG of this page."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.records import OpenedPicture, Region, Source
from app.session import Job, Session
from app.settings import Settings, find_model
from srflow.contract import RECIPE_KEY, Engine, ImageError, ModelInfo, SampleRecipe, carried_lr

__all__ = [
    "AUTO_PIXELS",
    "MAX_FILE_SIZE",
    "MAX_PIXELS",
    "REGION_SIDES",
    "open_array",
    "open_source",
    "preview",
    "preview_step",
    "read_recipe",
    "select_region",
    "shown_file",
]

MAX_FILE_SIZE = 64 * 2**20
MAX_PIXELS = 40_000_000
MIN_SIDE = 16
"""Smallest side of an LR picture; smaller ones give the network too little context."""
REGION_SIDES = (48, 64, 96, 128, 192, 256, 384, 512)
DEFAULT_SIDE = 128
"""Side of the crop taken from LR pictures with more pixels than AUTO_PIXELS."""
AUTO_PIXELS = 192 * 192
_PREVIEW_SIDE = 480
_BROWSER_SUFFIXES = (".png", ".apng", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".avif")


def open_source(
    engine: Engine, session: Session, job: Job, source: Source, model: str, max_pixels: int = MAX_PIXELS
) -> OpenedPicture:
    """Read a picture file. A picture of kind "hr" is scaled down for `model`, and kept as ground truth.

    Raises: ImageError: it cannot be read, is too large or too small.
    """
    if source.path.stat().st_size > MAX_FILE_SIZE:
        raise ImageError(f"The file is larger than {MAX_FILE_SIZE // 2**20} MB. Please make it smaller.")
    read = engine.read_picture(source.path, max_pixels)
    info = find_model(engine.info(), model)
    if source.kind != "hr":
        return open_array(engine, session, job, read.pixels, None, info, source, alpha=read.alpha, notes=read.notes)
    pixels = read.on_white()
    if min(pixels.shape[:2]) < MIN_SIDE * info.scale_factor:
        raise ImageError(
            f"The picture is {pixels.shape[1]}×{pixels.shape[0]}. To be scaled down {info.scale_factor} times, it "
            f"needs at least {MIN_SIDE * info.scale_factor} pixels a side. Choose a larger one, or enlarge it as it is."
        )
    lr, truth = engine.scale_down(pixels, model)
    return open_array(engine, session, job, lr, truth, info, source, notes=_on_white(read.notes))


def _on_white(notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("placed on white" if note == "alpha kept" else note for note in notes)


def shown_file(picture: OpenedPicture) -> Path:
    """Return a file that the browser can show: the visitor's file or, for formats that browsers cannot show, the
    preview.
    """
    is_known = picture.source.path.suffix.lower() in _BROWSER_SUFFIXES
    return picture.source.path if is_known else picture.files / "preview.png"


def open_array(
    engine: Engine,
    session: Session,
    job: Job,
    lr: np.ndarray,
    truth: np.ndarray | None,
    model: ModelInfo,
    source: Source,
    *,
    alpha: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> OpenedPicture:
    """Write the pixels to a folder of the session. For a large picture, the middle becomes the crop."""
    height, width = lr.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageError(f"The picture is {width}×{height}. It needs at least {MIN_SIDE} pixels a side.")
    folder = session.new_folder(job, "picture")
    np.save(folder / "lr.npy", lr)
    if truth is not None:
        np.save(folder / "truth.npy", truth)
    if alpha is not None:
        np.save(folder / "alpha.npy", alpha)
    picture = OpenedPicture(
        folder=folder,
        files=folder,
        source=source,
        width=width,
        height=height,
        scale_factor=model.scale_factor,
        has_truth=truth is not None,
        region=Region(0, 0, width, height),
        subject=secrets.token_hex(8),
        has_alpha=alpha is not None,
        notes=notes,
    )
    # The LR picture of a PNG from this page is used whole, as it was when the PNG was drawn.
    if width * height > AUTO_PIXELS and not source.restored:
        picture = replace(picture, region=_square(picture, width // 2, height // 2, DEFAULT_SIDE))
    _write_files(engine, picture)
    return picture


def select_region(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, x: int, y: int, side: int | None
) -> OpenedPicture:
    """Return the same picture with a square crop around the LR pixel (x, y). side: None for the whole picture."""
    region = Region(0, 0, picture.width, picture.height) if side is None else _square(picture, x, y, side)
    if region == picture.region:
        return picture
    moved = replace(picture, region=region, subject=secrets.token_hex(8), files=session.new_folder(job, "region"))
    _write_files(engine, moved)
    return moved


def _square(picture: OpenedPicture, x: int, y: int, side: int) -> Region:
    width, height = min(side, picture.width), min(side, picture.height)
    left = min(max(x - width // 2, 0), picture.width - width)
    top = min(max(y - height // 2, 0), picture.height - height)
    return Region(left, top, width, height)


def _write_files(engine: Engine, picture: OpenedPicture) -> None:
    engine.save_png(picture.files / "input.png", picture.lr())
    truth = picture.truth()
    if truth is not None:
        engine.save_png(picture.files / "truth.png", truth)
    engine.save_png(picture.files / "preview.png", preview(picture))


def preview_step(picture: OpenedPicture) -> int:
    """Return how many LR pixels (per side) one pixel of the preview represents."""
    return max(1, math.ceil(max(picture.width, picture.height) / _PREVIEW_SIDE))


def preview(picture: OpenedPicture) -> np.ndarray:
    """Return the LR picture, subsampled if it is large, with everything outside the crop dimmed. uint8, (h, w, 3)."""
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


def read_recipe(engine: Engine, path: str | Path) -> tuple[SampleRecipe, np.ndarray | None] | None:
    """Read the recipe in a PNG of this page, and the LR picture if the PNG has it; None: it is an ordinary picture.

    Raises: InputError: there is a recipe, but it cannot be used.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                return None
        text: Mapping[str, str] = engine.read_png_text(path)
    except ImageError:
        return None  # opening it as a picture will report the error
    if RECIPE_KEY not in text:
        return None
    recipe = SampleRecipe.from_json(text[RECIPE_KEY])
    Settings.from_recipe(recipe, engine.info())
    return recipe, carried_lr(text, recipe, engine.open_picture)

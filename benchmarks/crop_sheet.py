"""Draws the sheet of a model's card: ten crops, each as ground truth, bicubic, and as drawn by the model.

    python -m benchmarks.crop_sheet checkpoints/srflow-da-r-x4-compact --pictures FOLDER --before EARLIER --output FILE

Rows are the crops of `crops.toml`. Columns: ground truth, bicubic, one sample of the earlier weights if they are given,
and three samples. A crop is drawn with 32 pixels of its surroundings, which are removed afterwards.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from srflow.images import bicubic_upscale, downscale_uint8, to_tensor, to_uint8
from srflow.model import SRFlow
from srflow.pictures import load_image

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_CROPS = Path(__file__).with_name("crops.toml")
_SIDE = 96
_MARGIN = 32
_ENLARGED = 2
_GAP = 4
_HEADING = 22
_SAMPLES = 3


@dataclass(frozen=True)
class Place:
    """A square crop of `_SIDE` pixels of a picture: its name, and its corner."""

    name: str
    picture: str
    left: int
    top: int


def read_places(path: Path) -> list[Place]:
    """Read the crops of a file like `crops.toml`."""
    with path.open("rb") as file:
        return [Place(name, entry["picture"], *entry["place"]) for name, entry in tomllib.load(file).items()]


def surroundings(picture: np.ndarray, place: Place) -> tuple[np.ndarray, slice, slice]:
    """Return the crop with as much margin as possible, and the rows and columns of the crop in it.

    Args: picture: uint8 (H, W, 3).
    """
    height, width = picture.shape[:2]
    top, left = max(place.top - _MARGIN, 0), max(place.left - _MARGIN, 0)
    bottom, right = min(place.top + _SIDE + _MARGIN, height), min(place.left + _SIDE + _MARGIN, width)
    bottom, right = bottom - (bottom - top) % _MARGIN, right - (right - left) % _MARGIN
    rows = slice(place.top - top, place.top - top + _SIDE)
    return picture[top:bottom, left:right], rows, slice(place.left - left, place.left - left + _SIDE)


@torch.inference_mode()
def draw(model: SRFlow, lr: torch.Tensor, count: int, temperature: float | None) -> list[np.ndarray]:
    """Draw samples 0, 1, … of seed 0, uint8. Args: temperature: None for the model's own."""
    samples = model.sample(lr, num_samples=count, seed=0, temperature=temperature)
    return [to_uint8(sample) for sample in samples]


def row(
    picture: np.ndarray, place: Place, model: SRFlow, before: SRFlow | None, temperature: float | None
) -> list[np.ndarray]:
    """Return the sheet's columns for one crop, uint8 (96, 96, 3) each."""
    truth, rows, columns = surroundings(picture, place)
    lr = to_tensor(downscale_uint8(truth, model.scale_factor))
    pictures = [truth, to_uint8(bicubic_upscale(lr, model.scale_factor)[0])]
    if before is not None:
        pictures += draw(before, lr, 1, None)
    pictures += draw(model, lr, _SAMPLES, temperature)
    return [shown[rows, columns] for shown in pictures]


def assemble(rows: Sequence[Sequence[np.ndarray]], headings: Sequence[str]) -> Image.Image:
    """Join all rows into one picture, each crop enlarged without interpolation."""
    cell = _SIDE * _ENLARGED + _GAP
    sheet = Image.new("RGB", (len(headings) * cell - _GAP, len(rows) * cell - _GAP + _HEADING), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, heading in enumerate(headings):
        pen.text((column * cell + 2, 2), heading, fill="black", font=font)
        for index, crops in enumerate(rows):
            side = _SIDE * _ENLARGED
            crop = Image.fromarray(crops[column]).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(crop, (column * cell, index * cell + _HEADING))
    return sheet


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the sheet and save it."""
    parser = argparse.ArgumentParser(prog="benchmarks.crop_sheet", description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a checkpoint folder")
    parser.add_argument("--pictures", type=Path, required=True, metavar="FOLDER", help="where the pictures are")
    parser.add_argument("--before", metavar="CHECKPOINT", help="earlier weights, for a column of their own")
    parser.add_argument("--temperature", type=float, help="of the model's samples (default: the model's)")
    parser.add_argument("--crops", type=Path, default=_CROPS, metavar="FILE", help="the places (default: crops.toml)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".jpg or .png")
    options = parser.parse_args(arguments)
    model = SRFlow.from_pretrained(options.model).eval()
    before = SRFlow.from_pretrained(options.before).eval() if options.before else None
    rows = []
    for place in read_places(options.crops):
        picture = load_image(options.pictures / f"{place.picture}.png")
        rows.append(row(picture, place, model, before, options.temperature))
    headings = ["ground truth", "bicubic", *(["before"] if before is not None else [])]
    headings += [f"sample {number + 1}" for number in range(_SAMPLES)]
    assemble(rows, headings).save(options.output, quality=92, subsampling=0)
    return 0


if __name__ == "__main__":
    sys.exit(main())

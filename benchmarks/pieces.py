"""Whether "Could it be …?" tells pieces of pictures apart: `python -m benchmarks.pieces --pictures FOLDER`.

The right piece is what was there as another photograph would have it: sharper or softer, by up to half an LR pixel
elsewhere, up to 4 % larger or smaller, brighter or darker, with more or less contrast, and as a JPEG. The nine wrong
ones were treated in the same way: three from the same picture and three from others, which of 200 places look most like
the right one when they are small, whatever their brightness and contrast; and three from anywhere in other pictures.
Thresholds would be chosen on every other picture of the folder, and are checked on the rest; writes
benchmarks/results/pieces.md.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.lettering import HEADING, Case, case_of, choose, row, sample_of
from benchmarks.report import publish, table
from srflow.contract import InputError
from srflow.operations import Box
from srflow.pictures import load_image
from srflow.sampling.engine import SamplingEngine
from srflow.steering.candidates import RULED_OUT, UNEXPLAINED, judge

ALIKE = 3
"""Wrong ones that look most alike: so many from the same picture, and from others."""

ANYWHERE = 3
_TRIED = 200  # places among which those that look most alike are found
SIDES = ((6, 12), (12, 24))  # of a place, in LR pixels
_AROUND = 8  # LR pixels about the place that the model sees
_LARGER = 0.04


def as_photographed(pixels: np.ndarray, box: Box, scale: int, random: np.random.Generator) -> np.ndarray:
    """What a box, in LR pixels, shows of a picture, as another photograph would have it: uint8, of the box's size."""
    left, top, right, bottom = (edge * scale for edge in box)
    grown = 1 + random.uniform(-_LARGER, _LARGER)
    x, y = (random.uniform(-scale / 2, scale / 2) for _ in "xy")
    wide, tall = (right - left) * grown / 2, (bottom - top) * grown / 2
    middle = (left + right) / 2 + x, (top + bottom) / 2 + y
    seen = (middle[0] - wide, middle[1] - tall, middle[0] + wide, middle[1] + tall)
    inside = (max(0.0, seen[0]), max(0.0, seen[1]), min(pixels.shape[1], seen[2]), min(pixels.shape[0], seen[3]))
    image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(random.uniform(0, 0.25 * scale)))
    image = image.resize((right - left, bottom - top), Image.Resampling.BICUBIC, box=inside)
    values = np.asarray(image, float)
    values = 128 + random.uniform(0.7, 1.3) * (values - 128) + random.uniform(-25, 25)
    file = io.BytesIO()
    Image.fromarray(np.rint(np.clip(values, 0, 255)).astype(np.uint8)).save(
        file, "JPEG", quality=int(random.integers(75, 96))
    )
    return load_image(file.getvalue())


def place_in(pixels: np.ndarray, size: tuple[int, int], scale: int, random: np.random.Generator, around: int) -> Box:
    """Somewhere, whole LR pixels, so far from the edges. size: (width, height)."""
    corner = [
        int(random.integers(around, pixels.shape[1 - axis] // scale - side - around + 1))
        for axis, side in enumerate(size)
    ]
    return corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]


Found = tuple[np.ndarray, Box]
"""A picture and a place in it."""


def elsewhere_in(pictures: Sequence[np.ndarray], there: Box, scale: int, random: np.random.Generator) -> Found:
    """Anywhere, of the size of a place."""
    picture = pictures[int(random.integers(len(pictures)))]
    return picture, place_in(picture, (there[2] - there[0], there[3] - there[1]), scale, random, 0)


def most_alike(
    pictures: Sequence[np.ndarray], own: np.ndarray, there: Box, scale: int, random: np.random.Generator
) -> list[Found]:
    """The places beside that of `own` whose small versions are most like it in all but levels and contrast."""
    found: list[tuple[float, int, Found]] = []
    wanted = small(own, there, scale)
    while len(found) < _TRIED:
        picture, place = elsewhere_in(pictures, there, scale, random)
        is_over = all(abs(place[axis] - there[axis]) < there[axis + 2] - there[axis] for axis in (0, 1))
        if picture is own and is_over:
            continue
        found.append((-float((wanted * small(picture, place, scale)).sum()), len(found), (picture, place)))
    return [each for _, _, each in sorted(found)[:ALIKE]]


def small(picture: np.ndarray, box: Box, scale: int) -> np.ndarray:
    """A place scaled down, without its mean colour and of length 1."""
    left, top, right, bottom = box
    pixels = picture[top * scale : bottom * scale, left * scale : right * scale].astype(float)
    means = pixels.reshape(bottom - top, scale, right - left, scale, 3).mean((1, 3))
    means -= means.mean((0, 1))
    return means / max(float(np.sqrt(np.square(means).sum())), 1e-9)


def measure(
    engine: SamplingEngine, model: str, scale: int, count: int, pictures: Sequence[np.ndarray], seed: int
) -> list[Case]:
    """So many places of each size."""
    random = np.random.default_rng([scale, seed])
    cases: list[Case] = []
    while len(cases) < count * len(SIDES):
        number = len(cases)
        low, high = SIDES[number % len(SIDES)]
        size = int(random.integers(low, high + 1)), int(random.integers(low, high + 1))
        own = number % len(pictures)
        pixels = pictures[own]
        there = place_in(pixels, size, scale, random, _AROUND)
        around = [edge + by * _AROUND for edge, by in zip(there, (-1, -1, 1, 1), strict=True)]
        hr = np.ascontiguousarray(pixels[around[1] * scale : around[3] * scale, around[0] * scale : around[2] * scale])
        lr, _ = engine.scale_down(hr, model)
        box = _AROUND, _AROUND, _AROUND + size[0], _AROUND + size[1]
        others = [picture for at, picture in enumerate(pictures) if at != own]
        wrong = [
            *most_alike([pixels], pixels, there, scale, random),
            *most_alike(others, pixels, there, scale, random),
            *(elsewhere_in(others, there, scale, random) for _ in range(ANYWHERE)),
        ]
        candidates = [as_photographed(picture, place, scale, random) for picture, place in [(pixels, there), *wrong]]
        try:
            found = judge(lr, sample_of(engine, lr, model, number), box, [[each] for each in candidates], scale)
        except InputError:
            continue  # a place without any contrast: the page says that, too
        cases.append(case_of(min(size), [str(each) for each in range(len(candidates))], found))
        if number % 20 == 0:
            sys.stderr.write(f"x{scale}: {number} of {count * len(SIDES)}\n")
    return cases


def section(key: str, scale: int, choosing: Sequence[Case], checking: Sequence[Case]) -> list[str]:
    """What is reported of a model."""
    factor, unexplained = choose(choosing)
    groups = [("pictures that thresholds would be chosen on", choosing)]
    groups += [
        (f"other pictures, shorter side {low} to {high} LR pixels", [c for c in checking if low <= c.height < high])
        for low, high in SIDES
    ]
    groups.append(("other pictures, all", checking))
    rows = []
    for name, cases in groups:
        if not cases:
            continue
        left = [case.left_over(RULED_OUT, UNEXPLAINED) for case in cases]
        parts = np.s_[1 : 1 + ALIKE], np.s_[1 + ALIKE : 1 + 2 * ALIKE], np.s_[1 + 2 * ALIKE :]
        ruled_out = (100 * (1 - np.mean([each[part] for each in left])) for part in parts)
        rows.append((*row(name, cases, RULED_OUT, UNEXPLAINED), *(f"{share:.1f} %" for share in ruled_out)))
    own = row("other pictures, all, by those thresholds", checking, factor, unexplained)
    return [
        "", f"## x{scale}: {key}", "",
        f"Pieces alone would choose {factor:g} times the best residual, and {unexplained:g} of the contrast.", "",
        table((*HEADING, *_MORE), [*rows, (*own, "", "", "")]),
    ]  # fmt: skip


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of PNGs that no model was trained on")
    parser.add_argument("--count", type=int, default=90, help="places of each size, for choosing and for checking")
    arguments = parser.parse_args()
    pictures = [load_image(file) for file in sorted(arguments.pictures.glob("*.png"))]
    engine = SamplingEngine()
    publish("pieces.md", "Could it be …? Pieces of pictures", lambda: report(engine, arguments.count, pictures))


def report(engine: SamplingEngine, count: int, pictures: Sequence[np.ndarray]) -> list[str]:
    """Measure all models, and return the report on them."""
    sections = []
    for info in engine.info().models:
        choosing, checking = (
            measure(engine, info.key, info.scale_factor, count, pictures[part::2], part) for part in (0, 1)
        )
        sections += section(info.key, info.scale_factor, choosing, checking)
    return [
        "",
        f"Places of {len(pictures)} validation pictures; of {1 + 2 * ALIKE + ANYWHERE} pieces tried, one "
        "shows what was there, as another photograph would have it. Thresholds in use: "
        f"{RULED_OUT:g} times the best residual, and {UNEXPLAINED:g} of the contrast; they were chosen on single "
        "characters (lettering.md).",
        *sections,
    ]


_MORE = "ruled out of look-alikes from the same picture", "from others", "of those from anywhere"

if __name__ == "__main__":
    main()

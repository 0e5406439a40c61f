"""Draws the documentation's pictures of families and of "Could it be …?": `python -m scripts.draw_tools`.

It uses the shipped x4 model, and writes to docs/pictures/.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.exploring import COMPACT, ROOT, example
from benchmarks.lettering import font_file, lettered, plate
from srflow.contract import Comparison, ExploreRequest, SampleRequest, SampleResult, Variant
from srflow.evaluation.families import NUM_VERSIONS, named_branches, tree_of
from srflow.operations import Mask, Reroll
from srflow.sampling.engine import SamplingEngine

FOLDER = ROOT / "docs" / "pictures"
TEXTS = ("8", "B", "3", "6", "S", "1")
_SIDE, _GAP, _LINE = 150, 8, 20  # pixels


def place_mask(shape: tuple[int, ...], box: Sequence[int]) -> Mask:
    """Return the mask of a box in LR pixels: left, top, right, bottom."""
    array = np.zeros(shape[:2], np.uint8)
    array[box[1] : box[3], box[0] : box[2]] = 255
    return Mask.from_array(array)


def sheet(cells: Sequence[tuple[str, np.ndarray]], path: Path) -> None:
    """Join pictures in one row, enlarged without interpolation, each with its caption below."""
    width = len(cells) * (_SIDE + _GAP) + _GAP
    page = Image.new("RGB", (width, _SIDE + 2 * _GAP + _LINE), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for number, (words, pixels) in enumerate(cells):
        left = _GAP + number * (_SIDE + _GAP)
        page.paste(Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.NEAREST), (left, _GAP))
        pen.text((left + _SIDE / 2, _SIDE + 1.5 * _GAP), words, "black", font, anchor="mt")
    page.save(path, quality=88)


def draw_candidates(engine: SamplingEngine) -> None:
    """Draw a true character, what remains of it, and what the input says about six candidates."""
    random = np.random.default_rng(3)
    hr, box = lettered("8", font_file("SourceSansPro-Regular"), 7.0, 4, plate("coffee", 128, random), random)
    lr, _ = engine.scale_down(hr)
    request = SampleRequest(lr=lr, num_samples=1, summaries=False)
    [picture] = [event.picture for event in engine.sample(request) if isinstance(event, SampleResult)]
    assert picture is not None
    left, top, right, bottom = box
    cells = [("the input", lr[top:bottom, left:right])]
    for each in engine.could_be(lr, picture, place_mask(lr.shape, box), TEXTS):
        cells.append((f"“{TEXTS[each.number]}” {each.ruling}", each.pixels))
    sheet(cells, FOLDER / "could_be.jpg")


def draw_families(engine: SamplingEngine, box: tuple[int, int, int, int]) -> None:
    """Draw the most central version of each family of a region of the cat, and how many versions it represents."""
    lr = example("cat", 64)
    recipe = engine.recipe(SampleRequest(lr=lr, num_samples=1, summaries=False))
    rolls = [(Reroll(place_mask(lr.shape, box), 0, number),) for number in range(NUM_VERSIONS)]
    events = engine.explore(ExploreRequest(lr=lr, recipe=recipe, variants=tuple(rolls), choose=1))
    [comparison] = [event for event in events if isinstance(event, Comparison)]
    tree = tree_of(comparison)
    branches = [(name, branch) for name, branch in named_branches(tree) if "." not in name]
    variants = ((), *(rolls[branch.number] for _, branch in branches))
    drawn = [each for each in engine.explore(ExploreRequest(lr=lr, recipe=recipe, variants=variants))
             if isinstance(each, Variant)]  # fmt: skip
    state, *ways = sorted(drawn, key=lambda each: each.number)
    left, top, right, bottom = (4 * edge for edge in box)
    cells = [("the sample", state.patch[top:bottom, left:right])]
    for (name, branch), way in zip(branches, ways, strict=True):
        words = f"family {name}: {100 * len(branch.members) / NUM_VERSIONS:.0f} %"
        cells.append((words, way.laid_into(state.patch)[top:bottom, left:right]))
    sheet(cells, FOLDER / "families.jpg")
    sys.stdout.write(f"{len(branches)} families explain {100 * tree.explained:.0f} %\n")


def main() -> None:
    """Draw both."""
    engine = SamplingEngine(checkpoints=[COMPACT])
    draw_candidates(engine)
    draw_families(engine, (30, 40, 36, 46))


if __name__ == "__main__":
    main()

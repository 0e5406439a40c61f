"""Checks whether "Could it be …?" tells texts apart: `python -m benchmarks.lettering`; writes results/lettering.md.

It works as on the page: the box is drawn by hand around a text of unknown font, size and polarity, ten texts are tried
in the page's own font, and a sample of the model is around them. Thresholds are chosen on some font families (the
higher ones over all scales), and checked on others. The fonts come with Gradio, so that everyone has the same ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.exploring import ROOT
from benchmarks.report import publish, table
from srflow.contract import SampleRequest, SampleResult
from srflow.operations import Box
from srflow.pictures import load_image
from srflow.sampling.engine import SamplingEngine
from srflow.steering.candidates import RULED_OUT, UNEXPLAINED, Candidate, judge
from srflow.steering.lettering import draw_versions

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TEXTS = 10
CHOSEN_ON = ("IBMPlexSans-Regular", "IBMPlexSans-Bold", "IBMPlexMono-Bold", "KaTeX_Main-Regular", "Quicksand-Bold")
CHECKED_ON = (
    "SourceSansPro-Regular", "SourceSansPro-Bold", "Inconsolata-Regular", "Montserrat-Bold", "KaTeX_Typewriter-Regular",
)  # fmt: skip
PLATES = {True: ("astronaut", "cat"), False: ("coffee", "rocket")}  # whether thresholds are chosen on these
HEIGHTS = ((2, 3), (3, 5), (5, 8), (8, 13))  # of a character, in LR pixels
WIDEST = 48  # LR pixels a side of a place, as on the page
LOWEST = HEIGHTS[1][0]
"""Smaller characters are not considered reliable."""

WRONGLY = 0.01
"""Share of the correct texts that may be ruled out on the fonts on which the thresholds are chosen."""

_FINER = 4
_FACTORS = np.arange(1.0, 6.01, 0.05)


@dataclass(frozen=True, eq=False)
class Case:
    """A text on a plate, the texts tried, and the unexplained part of each. The first one tried is the correct one.

    height: of its characters, or of the place, in LR pixels.
    residuals, shares: (texts,), see `Candidate`.
    """

    height: float
    tried: Sequence[str]
    residuals: np.ndarray
    shares: np.ndarray

    def left_over(self, factor: float, unexplained: float, *, without_truth: bool = False) -> np.ndarray:
        """Return which texts are not ruled out; optionally as if the correct one had not been tried."""
        first = int(without_truth)
        residuals, shares = self.residuals[first:], self.shares[first:]
        return (residuals <= factor * max(residuals.min(), 0.5)) & (shares <= unexplained)


def font_file(name: str) -> Path:
    """Return one of Gradio's fonts. Raises: FileNotFoundError: there is none of that name."""
    spec = find_spec("gradio")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "templates" / "frontend"
    for pattern in (f"static/fonts/*/{name}.woff2", f"assets/{name}-*.ttf"):
        for file in folder.glob(pattern):
            return file
    raise FileNotFoundError(f"There is no font {name} in {folder}. Install the gradio of requirements.txt.")


def plate(name: str, side: int, random: np.random.Generator) -> np.ndarray:
    """Return a little texture of a photograph around one grey level: (side, side, 3)."""
    photo = load_image(ROOT / "assets" / "examples" / f"{name}.png").astype(float)
    missing = [(0, max(0, side - length)) for length in photo.shape[:2]]
    photo = np.pad(photo, (*missing, (0, 0)), mode="reflect")
    top, left = (random.integers(0, length - side + 1) for length in photo.shape[:2])
    texture = photo[top : top + side, left : left + side]
    return random.uniform(60, 190) + 0.15 * (texture - texture.mean((0, 1)))


def lettered(
    text: str, font: Path, height: float, scale: int, ground: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, Box]:
    """Return the text in the middle of the ground, lighter or darker, and the box that a visitor would draw around it.

    Args: height: of the text, in LR pixels.
    Returns: uint8, (H, W, 3), and left, top, right, bottom in LR pixels: on each side wider by up to a sixth of the
        height, or up to a pixel if that is more.
    """
    side = ground.shape[0]
    measured = ImageFont.truetype(font, 200)
    left, top, right, bottom = measured.getbbox(text)
    sized = ImageFont.truetype(font, 200 * height * scale * _FINER / (bottom - top))
    left, top, right, bottom = sized.getbbox(text)
    width, tall = (right - left) / _FINER, (bottom - top) / _FINER
    x, y = (side - width) / 2 + random.uniform(-scale, scale), (side - tall) / 2 + random.uniform(-scale, scale)
    large = Image.new("L", (side * _FINER,) * 2)
    ImageDraw.Draw(large).text((round(x * _FINER) - left, round(y * _FINER) - top), text, 255, font=sized)
    ink = np.asarray(large.resize((side, side), Image.Resampling.BOX))[..., None] / 255
    step = random.uniform(40, 100)
    step = -step if ground.mean() + step > 240 or (ground.mean() - step > 15 and random.random() < 0.5) else step
    picture = np.rint(np.clip(ground + ink * step, 0, 255)).astype(np.uint8)
    slack = random.uniform(0, max(1.0, height / 6), 4)
    box = [x / scale - slack[0], y / scale - slack[1], (x + width) / scale + slack[2], (y + tall) / scale + slack[3]]
    wide, high = (max(0, 4 - (np.ceil(box[i + 2]) - np.floor(box[i]))) / 2 for i in (0, 1))
    first_x, first_y = np.floor(box[0] - wide), np.floor(box[1] - high)
    edges = (first_x, first_y, max(first_x + 4, np.ceil(box[2] + wide)), max(first_y + 4, np.ceil(box[3] + high)))
    return picture, tuple(int(edge) for edge in edges)  # type: ignore[return-value]


def characters(random: np.random.Generator) -> Sequence[str]:
    """Return as many different characters as are tried at once."""
    return "".join(random.permutation(list(CHARACTERS))[:TEXTS])


def measure(
    engine: SamplingEngine,
    model: str,
    scale: int,
    count: int,
    is_choosing: bool,
    texts: Callable[[np.random.Generator], Sequence[str]] = characters,
    heights: Sequence[tuple[int, int]] = HEIGHTS,
    side: int = 32,
) -> list[Case]:
    """Measure a number of cases of each height.

    Args: texts: returns those to try, the correct one first.  side: of the picture, in LR pixels.
    """
    random = np.random.default_rng([scale, is_choosing])
    fonts = [font_file(name) for name in (CHOSEN_ON if is_choosing else CHECKED_ON)]
    cases: list[Case] = []
    while len(cases) < count * len(heights):
        number = len(cases)
        height = random.uniform(*heights[number % len(heights)])
        tried = texts(random)
        ground = plate(PLATES[is_choosing][number % 2], side * scale, random)
        hr, box = lettered(tried[0], fonts[number % len(fonts)], height, scale, ground, random)
        if min(box) < 0 or max(box) > side or max(box[2] - box[0], box[3] - box[1]) > WIDEST:
            continue  # too wide a word, for which the page takes no box
        lr, _ = engine.scale_down(hr, model)
        picture = sample_of(engine, lr, model, number)
        size = (box[3] - box[1]) * scale, (box[2] - box[0]) * scale
        versions = [draw_versions(text, *size) for text in tried]
        found = judge(lr, picture, box, versions, scale, or_negative=True)
        cases.append(case_of(height, tried, found))
        if number % 20 == 0:
            sys.stderr.write(f"x{scale}: {number} of {count * len(heights)}\n")
    return cases


def sample_of(engine: SamplingEngine, lr: np.ndarray, model: str, seed: int) -> np.ndarray:
    """Return a sample, for the surroundings of the region."""
    request = SampleRequest(lr=lr, model=model, num_samples=1, seed=seed, summaries=False)
    [picture] = [event.picture for event in engine.sample(request) if isinstance(event, SampleResult)]
    assert picture is not None
    return picture


def case_of(height: float, tried: Sequence[str], found: Sequence[Candidate]) -> Case:
    """Return the case of the candidates found, in the order in which they were given."""
    in_order = sorted(found, key=lambda each: each.number)
    residuals, shares = (np.array([getattr(each, name) for each in in_order]) for name in ("residual", "share"))
    return Case(height, tried, residuals, shares)


def choose(cases: Sequence[Case]) -> tuple[float, float]:
    """Choose the smallest factor and share that rule out at most `WRONGLY` of the correct texts, half of them each."""
    ratios = np.array([case.residuals[0] / max(case.residuals.min(), 0.5) for case in cases])
    factor = next(float(each) for each in _FACTORS if (ratios > each).mean() <= WRONGLY / 2)
    unexplained = float(np.quantile([case.shares[0] for case in cases], 1 - WRONGLY / 2, method="higher"))
    return round(factor, 2), round(unexplained + 0.005, 2)


def row(name: str, cases: Sequence[Case], factor: float, unexplained: float) -> tuple[str, ...]:
    """Return a table row for the cases."""
    kept = [case.left_over(factor, unexplained) for case in cases]
    without = [case.left_over(factor, unexplained, without_truth=True) for case in cases]
    truth = np.array([each[0] for each in kept])
    alone = np.array([each.sum() == 1 for each in kept])
    shares = (
        1 - truth.mean(),
        1 - np.mean([each[1:].mean() for each in kept]),
        (alone & truth).mean(),
        (alone & ~truth).mean(),
        np.mean([int(case.residuals.argmin()) == 0 for case in cases]),
        np.mean([each.sum() == 1 for each in without]),
        np.mean([each.sum() == 0 for each in without]),
    )
    return (name, str(len(cases)), *(f"{100 * share:.1f} %" for share in shares))


def confused(cases: Sequence[Case], factor: float, unexplained: float) -> list[tuple[str, str]]:
    """Return for each true character which others were not ruled out, and in which share of the trials."""
    tried: dict[str, dict[str, list[bool]]] = {each: {} for each in CHARACTERS}
    for case in cases:
        for other, is_left in zip(case.tried[1:], case.left_over(factor, unexplained)[1:], strict=True):
            tried[case.tried[0]].setdefault(other, []).append(bool(is_left))
    rows = []
    for there, others in tried.items():
        left = [f"{other} {sum(each)}/{len(each)}" for other, each in sorted(others.items()) if any(each)]
        rows.append((there, ", ".join(left) or ("none" if others else "not drawn")))
    return rows


def readable(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that are considered reliable."""
    return [case for case in cases if case.height >= LOWEST]


def section(key: str, scale: int, choosing: Sequence[Case], checking: Sequence[Case]) -> list[str]:
    """Return the report on a model."""
    factor, unexplained = choose(readable(choosing))
    rows = [row("fonts that thresholds are chosen on", readable(choosing), RULED_OUT, UNEXPLAINED)]
    for low, high in HEIGHTS:
        cases = [case for case in checking if low <= case.height < high]
        rows.append(row(f"other fonts, {low} to {high} LR pixels high", cases, RULED_OUT, UNEXPLAINED))
    rows.append(row(f"other fonts, {LOWEST} LR pixels and more", readable(checking), RULED_OUT, UNEXPLAINED))
    return [
        "", f"## x{scale}: {key}", "",
        f"This scale alone would choose {factor:g} times the best residual, and {unexplained:g} of the contrast.", "",
        table(HEADING, rows), "",
        f"What was not ruled out, of the times it was tried: other fonts, from {LOWEST} LR pixels on.", "",
        table(("there", "not ruled out"), confused(readable(checking), RULED_OUT, UNEXPLAINED)),
    ]  # fmt: skip


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="of each height, for choosing and for checking")
    count = parser.parse_args().count
    engine = SamplingEngine()
    publish("lettering.md", "Could it be …?", lambda: report(engine, count))


def report(engine: SamplingEngine, count: int) -> list[str]:
    """Measure all models, and return the report on them."""
    sections, best = [], []
    for info in engine.info().models:
        choosing, checking = (measure(engine, info.key, info.scale_factor, count, chosen) for chosen in (True, False))
        best.append(choose(readable(choosing)))
        sections += section(info.key, info.scale_factor, choosing, checking)
    factor, unexplained = np.max(best, axis=0)
    return [
        "",
        f"Single characters; of {TEXTS} tried, one was there, in another font; {len(CHOSEN_ON)} fonts to choose "
        f"thresholds on, {len(CHECKED_ON)} others to check them. Thresholds rule out {100 * WRONGLY:g} % of the right "
        f"ones at most where they are chosen, of {LOWEST} LR pixels and more: {factor:g} times the best residual, "
        f"and {unexplained:g} of the contrast. In use: {RULED_OUT:g} and {UNEXPLAINED:g}.",
        *sections,
    ]


HEADING = (
    "", "cases", "right one ruled out", "wrong ones ruled out", "right one alone fits", "a wrong one alone fits",
    "right one explains most", "without the right one: one fits", "without it: all ruled out",
)  # fmt: skip


if __name__ == "__main__":
    main()

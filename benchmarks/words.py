"""Whether "Could it be …?" tells words apart: `python -m benchmarks.words`; writes benchmarks/results/words.md.

As `benchmarks.lettering`, with the same fonts and plates: one of ten words of two to five capital letters was there. Of
the nine others of its length, three differ from it in one letter, and six are any letters.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.lettering import HEADING, Case, choose, measure, row
from benchmarks.report import publish, table
from srflow.sampling.engine import SamplingEngine
from srflow.steering.candidates import WORDS

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LENGTHS = (2, 5)
NEAR = 3
"""Of the wrong words, so many differ in one letter."""

FAR = 6
HEIGHTS = ((3, 5), (5, 8))  # of a letter, in LR pixels
_SIDE = 48


def words(random: np.random.Generator) -> Sequence[str]:
    """The right one, those near it, and the others: all different, of one length."""
    length = int(random.integers(LENGTHS[0], LENGTHS[1] + 1))
    found = ["".join(random.choice(list(LETTERS), length))]
    while len(found) < 1 + NEAR + FAR:
        if len(found) <= NEAR:
            at = int(random.integers(length))
            word = found[0][:at] + str(random.choice(list(LETTERS))) + found[0][at + 1 :]
        else:
            word = "".join(random.choice(list(LETTERS), length))
        if word not in found:
            found.append(word)
    return found


def shares_ruled_out(cases: Sequence[Case], factor: float, unexplained: float) -> tuple[str, str]:
    """Of the wrong words that differ in one letter, and of the others."""
    left = [case.left_over(factor, unexplained) for case in cases]
    near, far = (np.mean([each[part] for each in left]) for part in (np.s_[1 : 1 + NEAR], np.s_[1 + NEAR :]))
    return f"{100 * (1 - near):.1f} %", f"{100 * (1 - far):.1f} %"


def section(
    key: str, scale: int, choosing: Sequence[Case], checking: Sequence[Case], factor: float, unexplained: float
) -> list[str]:
    """What is reported of a model."""
    groups = [("fonts that thresholds are chosen on", choosing)]
    for low, high in HEIGHTS:
        groups.append((f"other fonts, {low} to {high} LR pixels high", [c for c in checking if low <= c.height < high]))
    for length in range(LENGTHS[0], LENGTHS[1] + 1):
        groups.append((f"other fonts, {length} letters", [c for c in checking if len(c.tried[0]) == length]))
    groups.append(("other fonts, all", checking))
    rows = [
        (*row(name, cases, factor, unexplained), *shares_ruled_out(cases, factor, unexplained))
        for name, cases in groups
        if cases
    ]
    own = choose(choosing)
    return [
        "", f"## x{scale}: {key}", "",
        f"This scale alone would choose {own[0]:g} times the best residual, and {own[1]:g} of the contrast.", "",
        table((*HEADING, "ruled out of those one letter off", "of the others"), rows),
    ]  # fmt: skip


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="of each height, for choosing and for checking")
    count = parser.parse_args().count
    engine = SamplingEngine()
    publish("words.md", "Could it be …? Words", lambda: report(engine, count))


def report(engine: SamplingEngine, count: int) -> list[str]:
    """Measure all models, and return the report on them."""
    models = engine.info().models
    measured = [
        [measure(engine, info.key, info.scale_factor, count, chosen, words, HEIGHTS, _SIDE) for chosen in (True, False)]
        for info in models
    ]
    factor, unexplained = np.max([choose(choosing) for choosing, _ in measured], axis=0)
    lines = [
        "",
        f"Words of {LENGTHS[0]} to {LENGTHS[1]} capital letters; of {1 + NEAR + FAR} tried, one was there, in another "
        f"font. Thresholds chosen on some fonts, the higher ones of all scales: {factor:g} times the best residual, "
        f"and {unexplained:g} of the contrast; in use: {WORDS.ruled_out:g} and {WORDS.unexplained:g}.",
    ]
    for info, (choosing, checking) in zip(models, measured, strict=True):
        lines += section(info.key, info.scale_factor, choosing, checking, factor, unexplained)
    return lines


if __name__ == "__main__":
    main()

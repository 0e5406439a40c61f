"""Exploring against drawing whole pictures: `python -m benchmarks.exploring`; writes benchmarks/results/exploring.md.

Times are compared in one run, in turns; a quiet machine is needed for those in milliseconds, not for the ratios.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import interleaved, machine, save, table
from srflow.contract import (
    Aim,
    Comparison,
    Directions,
    EditRequest,
    ExploreRequest,
    GrainRequest,
    SampleRecipe,
    SampleRequest,
    SampleResult,
    Variant,
    Verdict,
    Wish,
)
from srflow.evaluation.families import NUM_VERSIONS, tree_of
from srflow.operations import Heat, Mask, Mix, Operation, Reroll, Sample, Slide
from srflow.pictures import load_image
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.regions import FEATHER, MARGIN
from srflow.steering.wishes import Like, Roughness

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ("astronaut", "cat", "coffee")
COMPACT = "srflow-da-r-x4-compact"
_SIDE = 96  # LR, of the whole picture
_PLACE = 32  # LR, of the place in its middle
_SLIDER_PLACE = 24  # LR, of a place with sliders
_FAMILY_PLACE = 8  # LR, of a place with families
_SLIDERS, _POSITIONS, _ROLLS = 5, (-90, -60, -30, 30, 60, 90), 48  # as on the page


def example(name: str, side: int = _SIDE) -> np.ndarray:
    """A part of an example as an LR picture: of noise, samples would explode."""
    picture = load_image(ROOT / "assets" / "examples" / f"{name}.png")
    return np.ascontiguousarray(picture[40 : 40 + side, 40 : 40 + side])


def middle(side: int, place: int, by: int = 0) -> tuple[slice, slice]:
    """Rows and columns of a square in the middle, larger by so much on either side."""
    first = (side - place) // 2 - by
    return (slice(first, first + place + 2 * by),) * 2


def mask(side: int = _SIDE, place: int = _PLACE) -> Mask:
    """Of that square."""
    array = np.zeros((side, side), np.uint8)
    array[middle(side, place)] = 255
    return Mask.from_array(array)


def sample(engine: SamplingEngine, lr: np.ndarray, seed: int) -> SampleResult:
    """A whole picture."""
    request = SampleRequest(lr=lr, num_samples=1, seed=seed, summaries=False)
    return next(event for event in engine.sample(request) if isinstance(event, SampleResult))


def explore(
    engine: SamplingEngine,
    lr: np.ndarray,
    recipe: SampleRecipe,
    variants: Sequence[tuple[Operation, ...]],
    choose: int = 0,
) -> list[Variant]:
    """All variants."""
    request = ExploreRequest(lr=lr, recipe=recipe, variants=tuple(variants), choose=choose)
    return [event for event in engine.explore(request) if isinstance(event, Variant)]


def times(engine: SamplingEngine, repeats: int) -> list[str]:
    """Of whole pictures, rolls and slider ticks, each on noise that was not seen before."""
    lr, place = example("cat"), mask()
    recipe = sample(engine, lr, 0).recipe
    seeds = iter(range(1, 1_000_000))
    [rolled] = explore(engine, lr, recipe, [(Reroll(place, 0, 0),)])

    def tick() -> list[Variant]:
        mix = Mix(Sample(0, 7), next(seeds) % 1000 / 1000, mask=place)
        return explore(engine, lr, recipe, [(mix,)])

    seconds = interleaved(
        {
            "whole": lambda: sample(engine, lr, next(seeds)),
            "one": lambda: explore(engine, lr, recipe, [(Reroll(place, next(seeds), 0),)]),
            "eight": lambda: explore(
                engine, lr, recipe, [(Reroll(place, seed, roll),) for seed in [next(seeds)] for roll in range(8)]
            ),
            "further": lambda: explore(engine, lr, rolled.recipe, [(Reroll(place, next(seeds), 0),)]),
            "tick": tick,
            "calm": lambda: explore(engine, lr, recipe, [(Heat(next(seeds) % 997 / 997, place),)]),
            "undo": lambda: explore(engine, lr, recipe, [()]),
        },
        repeats,
    )
    words = {
        "whole": (f"a whole picture of {_SIDE}×{_SIDE} LR, conditioning cached", ""),
        "one": (f"one roll of {_PLACE}×{_PLACE} LR", "150 ms"),
        "eight": ("eight rolls", "800 ms"),
        "further": ("one roll more, on a picture that was changed before", "150 ms"),
        "tick": ("one tick of a slider on the place", "150 ms"),
        "calm": ("a stroke of calm on the place", "150 ms"),
        "undo": ("back to a state that was there", "100 ms"),
    }
    rows = [
        (words[name][0], f"{value * 1e3:.0f} ms", f"{value / seconds['whole']:.2f}", words[name][1])
        for name, value in seconds.items()
    ]
    started = time.perf_counter()
    explore(engine, lr, recipe, [(Reroll(place, next(seeds), roll),) for roll in range(64)], choose=5)
    five = time.perf_counter() - started
    rows.append(("five that differ of 64 rolls, once", f"{five * 1e3:.0f} ms", f"{five / seconds['whole']:.1f}", "4 s"))
    rows += [
        (words, f"{value * 1e3:.0f} ms", f"{value / seconds['whole']:.2f}", goal)
        for words, value, goal in (
            *slider_times(engine, lr, recipe, repeats),
            *steering_times(engine, lr, recipe, repeats),
            *source_times(engine, lr, recipe, repeats),
            *taking_times(engine, lr, recipe, repeats),
        )
    ]
    return [table(("", "median", "of a whole picture", "goal"), rows), ""]


def steering_times(
    engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, repeats: int
) -> list[tuple[str, float, str]]:
    """Seconds until a wish has its slider, of an edit with its verdict, and of one of five texts, with their goals."""
    place = mask(place=_SLIDER_PLACE)
    before = explore(engine, lr, recipe, [()])[0].patch
    found: dict[str, list[float]] = {"wish": [], "edit": [], "text": []}
    for seed in range(1001, 1001 + max(1, repeats // 2)):  # not those of the sliders, whose rolls are kept
        found["wish"].append(wish_seconds(engine, lr, recipe, place, seed, Roughness()))
        edited = before.copy()
        rows, columns = (slice(4 * span.start, 4 * span.stop) for span in middle(_SIDE, _SLIDER_PLACE))
        edited[rows, columns] = np.clip(128 + 2 * (edited[rows, columns].astype(int) - 128) + seed % 100, 0, 255)
        started = time.perf_counter()
        assert any(
            isinstance(event, Verdict)
            for event in engine.edit(EditRequest(lr=lr, recipe=recipe, picture=edited, mask=place))
        )
        found["edit"].append(time.perf_counter() - started)
        started = time.perf_counter()
        engine.could_be(lr, before, place, ("3", "8", "B", "0", "S"))
        found["text"].append((time.perf_counter() - started) / 5)
    what = f"{_SLIDER_PLACE}×{_SLIDER_PLACE} LR"
    return [
        (f"a wish about {what}: {_ROLLS} rolls and six pictures along it", float(np.median(found["wish"])), "2 s"),
        (f"an edit of {what} with its verdict", float(np.median(found["edit"])), "1.5 s"),
        (f"one of five texts tried in {what}", float(np.median(found["text"])), "500 ms"),
    ]


def source_times(
    engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, repeats: int
) -> list[tuple[str, float, str]]:
    """Seconds of grain from another place with its verdict, and until a wish for its look has its slider."""
    place = mask(place=_SLIDER_PLACE)
    source = np.ascontiguousarray(explore(engine, lr, recipe, [()])[0].patch[: 4 * _SLIDER_PLACE, : 4 * _SLIDER_PLACE])
    found: dict[str, list[float]] = {"grain": [], "like": []}
    for seed in range(2001, 2001 + max(1, repeats // 2)):  # of rolls that were not kept
        # Another source each time, so that nothing of it was drawn before.
        request = GrainRequest(lr=lr, recipe=recipe, mask=place, source=np.roll(source, seed, 1), seed=seed)
        started = time.perf_counter()
        assert any(isinstance(event, Verdict) for event in engine.grain(request))
        found["grain"].append(time.perf_counter() - started)
        found["like"].append(wish_seconds(engine, lr, recipe, place, seed, Like(source)))
    what = f"{_SLIDER_PLACE}×{_SLIDER_PLACE} LR"
    return [
        (f"grain of another place for {what}, with its verdict", float(np.median(found["grain"])), "1.5 s"),
        (f"a wish about {what} for what another place looks like", float(np.median(found["like"])), "2 s"),
    ]


def taking_times(
    engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, repeats: int
) -> list[tuple[str, float, str]]:
    """Seconds until a place has its families, once, and of the latents of a picture."""
    place = mask(place=_FAMILY_PLACE)
    rolls = tuple((Reroll(place, 3001, roll),) for roll in range(NUM_VERSIONS))
    request = ExploreRequest(lr=lr, recipe=recipe, variants=rolls, choose=1)
    started = time.perf_counter()
    [comparison] = [event for event in engine.explore(request) if isinstance(event, Comparison)]
    tree_of(comparison)
    families = time.perf_counter() - started
    picture, latents = explore(engine, lr, recipe, [()])[0].patch, []
    for _ in range(max(1, repeats // 2)):
        started = time.perf_counter()
        engine.encode(lr, [picture])
        latents.append(time.perf_counter() - started)
    side = f"{_FAMILY_PLACE}×{_FAMILY_PLACE}"
    return [
        (f"families of a place of {side} LR: {NUM_VERSIONS} rolls and their tree, once", families, "5 s"),
        (f"latents of one picture of {_SIDE}×{_SIDE} LR, the conditioning included", float(np.median(latents)), ""),
    ]


def wish_seconds(
    engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, place: Mask, seed: int, wish: Wish
) -> float:
    """Until a wish has its slider."""
    rolls = tuple((Reroll(place, seed, roll),) for roll in range(_ROLLS))
    request = ExploreRequest(lr=lr, recipe=recipe, variants=rolls, wish=wish, aim=True)
    started = time.perf_counter()
    [aim] = [event for event in engine.explore(request) if isinstance(event, Aim)]
    explore(engine, lr, recipe, [(Slide(place, seed, aim.weights, math.radians(at)),) for at in _POSITIONS])
    return time.perf_counter() - started


def slider_times(
    engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, repeats: int
) -> list[tuple[str, float, str]]:
    """Seconds until a place has its sliders, and of a tick of them, with their goals.

    Five sliders are drawn, however many there are here: as many as a place has at most.
    """
    place = mask(place=_SLIDER_PLACE)
    rng = np.random.default_rng(0)
    ready, ticks = [], []
    for seed in range(1, 1 + max(1, repeats // 2)):
        rolls = tuple((Reroll(place, seed, roll),) for roll in range(_ROLLS))
        request = ExploreRequest(lr=lr, recipe=recipe, variants=rolls, directions=_SLIDERS)
        started = time.perf_counter()
        assert any(isinstance(event, Directions) for event in engine.explore(request))
        weights = [tuple(int(weight) for weight in rng.integers(-32767, 32768, _ROLLS)) for _ in range(_SLIDERS)]
        strips = [(Slide(place, seed, own, math.radians(at)),) for own in weights for at in _POSITIONS]
        explore(engine, lr, recipe, strips)
        ready.append(time.perf_counter() - started)
        for tick in range(5):
            moves = [(own, math.radians(10 * tick + 5)) for own in weights[:2]]
            started = time.perf_counter()
            explore(engine, lr, recipe, [(Slide.combined(place, seed, moves),)])
            ticks.append(time.perf_counter() - started)
    side = f"{_SLIDER_PLACE}×{_SLIDER_PLACE}"
    return [
        (f"five sliders of a place of {side} LR ready", float(np.median(ready)), "4 s"),
        (f"one tick of them, on the place of {side} LR", float(np.median(ticks)), "120 ms"),
    ]


def effects(engine: SamplingEngine, rolls: int) -> list[str]:
    """How much changes where."""
    scale = 4
    inside, near = (
        tuple(slice(span.start * scale, span.stop * scale) for span in middle(_SIDE, _PLACE, by)) for by in (0, FEATHER)
    )
    rows = []
    for name in EXAMPLES:
        lr, place = example(name), mask()
        before = sample(engine, lr, 0)
        variants = explore(engine, lr, before.recipe, [(Reroll(place, 1, roll),) for roll in range(rolls)])
        others = [sample(engine, lr, seed) for seed in range(1, rolls + 1)]
        changed, bleed = [], 0
        for variant in variants:
            picture = before.picture.astype(float)
            height, width = variant.patch.shape[:2]
            picture[variant.top : variant.top + height, variant.left : variant.left + width] = variant.patch
            difference = picture - before.picture
            changed.append(np.square(difference[inside]).mean())
            difference[near] = 0
            bleed = max(bleed, int(np.abs(difference).max()))
        whole = [np.square(other.picture[inside].astype(float) - before.picture[inside]).mean() for other in others]
        lowest = min(variant.lr_psnr for variant in variants)
        rows.append(
            (name, f"{np.sqrt(np.mean(changed)):.2f}", f"{np.sqrt(np.mean(whole)):.2f}",
             f"{np.mean(changed) / np.mean(whole):.2f}", str(bleed), f"{lowest:.1f} dB")
        )  # fmt: skip
    heading = (
        "", "change inside, RMS", "of a new sample", "energy, ratio", "largest change outside the feather",
        "lowest LR-PSNR",
    )  # fmt: skip
    return [f"{rolls} rolls and {rolls} new samples, in grey levels:\n", table(heading, rows), ""]


@torch.inference_mode()
def margins(engine: SamplingEngine) -> list[str]:
    """How far the latents of a place reach, and what a margin around it leaves wrong, in the raw picture."""
    loaded = engine._models.get(None)
    model = engine._models.rearranged(loaded, "float32", lambda: None)
    temperature, scale = loaded.info.default_temperature, loaded.info.scale_factor
    rows, columns = middle(_SIDE, _PLACE)
    found: dict[int, list[tuple[float, ...]]] = {margin: [] for margin in (4, 6, 8, 10, 12, 14, 16, 20)}
    for name in EXAMPLES:
        lr = torch.from_numpy(example(name)).permute(2, 0, 1)[None] / 255
        prepared = model.condition(lr, lambda: None)
        old, new = (
            [level * temperature for level in loaded.model.draw_latents(_SIDE, _SIDE, seed=seed)] for seed in (0, 1)
        )
        for before, after in zip(old, new, strict=True):
            factor = before.shape[-1] // _SIDE
            keep = after[..., rows.start * factor : rows.stop * factor, columns.start * factor : columns.stop * factor]
            keep = keep.clone()
            after.copy_(before)
            after[..., rows.start * factor : rows.stop * factor, columns.start * factor : columns.stop * factor] = keep
        whole, unchanged = (model.decode(latents, prepared, lambda: None)[0][0] * 255 for latents in (new, old))
        steps = torch.arange(_SIDE * scale)
        outside = torch.maximum(rows.start * scale - steps, steps - rows.stop * scale + 1).clamp(min=0)
        distance = torch.maximum(outside[:, None], outside[None])
        for margin, values in found.items():
            box = middle(_SIDE, _PLACE, margin)
            cut = []
            for level in new:
                factor = level.shape[-1] // _SIDE
                cut.append(level[(..., *(slice(span.start * factor, span.stop * factor) for span in box))])
            own = model.decode(cut, prepared.crop(*box), lambda: None)[0][0] * 255
            fine, within = (
                tuple(slice(span.start * scale - first, span.stop * scale - first) for span in around)
                for around, first in (
                    (middle(_SIDE, _PLACE, FEATHER), 0),
                    (middle(_SIDE, _PLACE, FEATHER), box[0].start * scale),
                )
            )
            error = own[(..., *within)] - whole[(..., *fine)]
            ring = (whole - unchanged)[:, (distance > (margin - 2) * scale) & (distance <= margin * scale)]
            values.append(
                (error.square().mean().item(), error.abs().max().item(), ring.square().mean().item(),
                 ring.abs().max().item())
            )  # fmt: skip
    lines = []
    for margin, values in found.items():
        error, largest, ring, ring_largest = zip(*values, strict=True)
        lines.append(
            (f"{margin}{' (used)' if margin == MARGIN else ''}", f"{np.sqrt(np.mean(ring)):.4f}",
             f"{max(ring_largest):.3f}", f"{np.sqrt(np.mean(error)):.4f}", f"{max(largest):.3f}")
        )  # fmt: skip
    heading = (
        "LR pixels", "change of the picture so far away, RMS", "largest", "error of a place with so wide a margin, RMS",
        "largest",
    )  # fmt: skip
    return ["How far latents reach, in grey levels of the raw picture, float32:\n", table(heading, lines), ""]


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description="Exploring against drawing whole pictures.")
    parser.add_argument("--repeats", type=int, default=7, help="of times; medians are taken (default: 7)")
    parser.add_argument("--rolls", type=int, default=8, help="for the effects (default: 8)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="default: the fastest")
    parser.add_argument("--quick", action="store_true", help="a few, to try it; saves nothing")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments = argparse.Namespace(**vars(arguments) | {"repeats": 1, "rolls": 2})
    engine = SamplingEngine("cpu", arguments.precision, checkpoints=[COMPACT])
    text = "\n".join(
        [
            "# Exploring\n",
            f"{COMPACT}, {engine.info().precision}, five rounds of the consistency step. {machine()}. Medians of "
            f"{arguments.repeats} in one run, in turns; load before it: {os.getloadavg()[0]:.1f}.\n",
            *times(engine, arguments.repeats),
            *effects(engine, arguments.rolls),
            *margins(engine),
        ]
    )
    if arguments.quick:
        sys.stdout.write(text + "\n")
    else:
        save("exploring.md", text)


if __name__ == "__main__":
    main()

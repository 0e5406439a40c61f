"""`srflow measure`: the mean of a region, a profile along a line, and the size on which samples agree, with bars."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srflow.cli.places import add_region_argument, read_region

if TYPE_CHECKING:
    import numpy as np

    from srflow.contract import SampleRecipe
    from srflow.evaluation.reports import BarSource, LineReport, PlaceReport
    from srflow.sampling.engine import SamplingEngine

__all__ = ["HELP", "add_arguments", "run"]

HELP = "measure a region or a line in several super-resolutions, with bars, and how far these agree"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description = (
        "Draws samples of a low-resolution picture (with 16 bits) and measures them. If the model is calibrated "
        "for the settings, means have bars that contain the truth as often as promised, on average over pictures "
        "like those of the calibration, provided that the picture was scaled down by bicubic interpolation; "
        "otherwise the spread of the samples is given."
    )
    parser.add_argument("input", type=Path, help="a low-resolution picture")
    add_region_argument(
        parser, "region to average, in pixels of the input; if it is large enough, FRC is computed there"
    )
    parser.add_argument(
        "--line", type=int, nargs=4, metavar=("X", "Y", "X2", "Y2"), help="line of a profile, in pixels of the result"
    )
    parser.add_argument("--frc", action="store_true", help="smallest size of detail on which the samples agree")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="the picture from which the input was made")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all numbers")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="file for the profile (with --line)")
    parser.add_argument("--model", help="a shipped checkpoint, a folder or a Hub id; default: the shipped one")
    parser.add_argument("--num-samples", type=int, default=8, help="2 or more (default: 8)")
    parser.add_argument("--temperature", type=float, help="0 to 2; default: the checkpoint's")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (default: 0)")
    parser.add_argument(
        "--consistency-rounds", type=int, default=5, metavar="N", help="rounds of back-projection; 0: none (default: 5)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16"),
        help="data type of the convolutions; default: the fastest",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the measurements. Returns 0."""
    import json

    from srflow.checkpoints.shipped import resolve_checkpoint
    from srflow.contract import InputError
    from srflow.evaluation.reports import (
        agreement_facts,
        line_facts,
        place_facts,
        report_agreement,
        report_line,
        report_place,
    )
    from srflow.files import atomic_write
    from srflow.pictures import read_picture
    from srflow.sampling.engine import SamplingEngine

    if not (arguments.region or arguments.line or arguments.frc):
        raise InputError("There is nothing to measure. Give --region, --line or --frc.")
    if arguments.num_samples < 2:
        raise InputError(
            f"--num-samples is {arguments.num_samples}; at least two are needed to see how much they differ."
        )
    if arguments.csv and not arguments.line:
        raise InputError("--csv is for the profile: give --line, too.")
    lr = read_picture(arguments.input).pixels
    truth = None if arguments.truth is None else read_picture(arguments.truth).pixels
    place = None if arguments.region is None else read_region(arguments.region, lr)
    engine = SamplingEngine(arguments.device, arguments.precision, checkpoints=[resolve_checkpoint(arguments.model)])
    scale = engine.info().models[0].scale_factor
    size = lr.shape[1] * scale, lr.shape[0] * scale
    if truth is not None and truth.shape[1::-1] != size:
        raise InputError(
            f"{arguments.truth} has {truth.shape[1]}x{truth.shape[0]} pixels; the truth of this input has "
            f"{size[0]}x{size[1]}."
        )
    line = None if arguments.line is None else _line(arguments.line, size)
    samples, recipe = _draw(engine, lr, arguments)
    bars = _bars(engine, recipe, len(samples))
    facts: dict[str, Any] = {"recipe": json.loads(recipe.to_json()), "num_samples": len(samples), "values": "16 bits"}
    found = None
    if place is not None:
        found = report_place(samples, place, scale, bars, truth)
        _print_place(found)
        facts["place"] = place_facts(found)
    if line is not None:
        profile = report_line(samples, line, bars, truth)
        _print_line(profile)
        facts["line"] = line_facts(profile)
        if arguments.csv:
            with atomic_write(arguments.csv, "w") as file:
                file.write(_profile_table(profile))
    if arguments.frc:
        agreement = report_agreement(samples, found)
        if agreement is None:
            raise InputError(f"The result has {size[0]}x{size[1]} pixels; FRC needs 64 a side.")
        where = "in the region" if found is not None and found.has_agreement else "in the whole picture"
        size_text = f"down to {agreement.size:.1f} px"
        if agreement.reaches_end:  # strong edges alone can cause this
            size_text = "at least partly on the smallest details that pixels can show, 2 px,"
        print(f"Samples agree {size_text} {where} (FRC of all pairs, Hann window, 1/7).")
        facts["agreement"] = agreement_facts(agreement)
    if arguments.json:
        with atomic_write(arguments.json, "w") as file:
            file.write(json.dumps(facts, indent=1) + "\n")
    return 0


def _draw(
    engine: SamplingEngine, lr: np.ndarray, arguments: argparse.Namespace
) -> tuple[list[np.ndarray], SampleRecipe]:
    """Return samples in grey levels, float32, and the recipe of the first."""
    import numpy as np

    from srflow.contract import MemoryBudgetError, Notice, SampleRequest, SampleResult

    request = SampleRequest(
        lr=lr,
        num_samples=arguments.num_samples,
        seed=arguments.seed,
        temperature=arguments.temperature,
        consistency_rounds=arguments.consistency_rounds,
        summaries=False,
        deep=True,
    )
    samples, recipe = [], None
    for event in engine.sample(request):
        if isinstance(event, Notice):
            print(event.text)
        elif isinstance(event, SampleResult):
            if event.deep is None:
                for path in (event.path, event.deep_path):
                    Path(str(path)).unlink(missing_ok=True)
                raise MemoryBudgetError(
                    "The samples do not fit into memory. Measure a smaller picture, or fewer samples."
                )
            samples.append(event.deep.astype(np.float32) / np.float32(257))
            recipe = recipe or event.recipe
    assert recipe is not None
    return samples, recipe


def _bars(engine: SamplingEngine, recipe: SampleRecipe, num_samples: int) -> BarSource:
    from srflow.contract import CalibrationError
    from srflow.evaluation.reports import BarSource

    calibration, why_not = None, ""
    try:
        calibration = engine.calibration()
    except CalibrationError as error:
        why_not = str(error)
    return BarSource(
        calibration=calibration,
        temperature=recipe.temperature,
        num_samples=num_samples,
        consistency_rounds=recipe.consistency_rounds,
        why_not=why_not,
    )


def _line(ends: list[int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    from srflow.contract import InputError

    if not all(0 <= end < side for end, side in zip(ends, size * 2, strict=True)):
        raise InputError(f"--line {' '.join(map(str, ends))} leaves the result of {size[0]}x{size[1]} pixels.")
    return ends[0], ends[1], ends[2], ends[3]


def _print_place(report: PlaceReport) -> None:
    from srflow.evaluation.reports import CHANNELS

    left, top, right, bottom = report.box
    print(f"Region x {left} to {right - 1}, y {top} to {bottom - 1} of the result, {report.num_samples} samples:")
    for number, name in enumerate(CHANNELS):
        width = "" if report.half_width is None else f" ± {report.half_width[number]:.2f}"
        truth = "" if report.truth is None else f", truth {report.truth[number]:.2f}"
        print(f"  {name:<10} {report.means[number]:7.2f}{width}  (σ of the samples {report.sigma[number]:.2f}{truth})")
    _print_promise(report)


def _print_line(report: LineReport) -> None:
    x, y, x2, y2 = report.ends
    kind = "σ of the samples" if report.coverage is None else "bar"
    print(
        f"Line from {x}, {y} to {x2}, {y2}: brightness {report.mean.min():.1f} to {report.mean.max():.1f}, "
        f"{kind} {report.half_width.min():.1f} to {report.half_width.max():.1f}"
    )
    _print_promise(report)


def _print_promise(report: PlaceReport | LineReport) -> None:
    if report.coverage is None:
        print(f"  not calibrated: {report.why_not}")
    else:
        print(
            f"  bars are made to contain {100 * report.coverage:g} % of true values, if the input was scaled down "
            "by bicubic interpolation"
        )


def _profile_table(report: LineReport) -> str:
    from srflow.evaluation.exporting import profile_table

    return profile_table(report, [f"sample_{number}" for number in range(len(report.samples))])

"""`python -m srflow calibrate`: measures how wide bars must be to contain the truth as often as promised."""

from __future__ import annotations

import argparse
from pathlib import Path

from srflow.cli.folders import print_line
from srflow.cli.loading import add_device_arguments, consistency_rounds, load_measured
from srflow.contract import InputError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "measure the samples' spread against their true error, and calibrate bars"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description = (
        "Draws samples of pictures with a known truth. By conformal risk control, it finds how many standard "
        "deviations of the samples contain the true value as often as promised, on average over pictures like these "
        "whose LR is made by bicubic downscaling. The coverage is checked on pictures that were left out. Writes "
        "calibration.json, tied to the weights by their hash. Use pictures that the model was not trained on."
    )
    parser.add_argument("model", metavar="MODEL", help="a shipped checkpoint's name, a folder, or a Hub id")
    parser.add_argument("--hr", type=Path, required=True, metavar="FOLDER", help="ground-truth pictures")
    parser.add_argument(
        "--check",
        type=Path,
        metavar="FOLDER",
        help="other ground-truth pictures, on which the finished bars are checked; they do not influence the bars",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="a folder or a .json file (default: calibration.json in the model's folder)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        nargs="+",
        default=[0.7, 0.85, 1.0],
        metavar="T",
        help="where to measure; between them, bars are interpolated (default: 0.7 0.85 1.0)",
    )
    parser.add_argument(
        "--num-samples",
        type=int,
        nargs="+",
        default=[4, 8, 16, 24],
        metavar="K",
        help="numbers of samples for the spread; only the largest costs time (default: 4 8 16 24)",
    )
    parser.add_argument(
        "--consistency-rounds",
        type=int,
        metavar="N",
        help="rounds of back-projection, measured in addition to samples without it; 0: only without (default: 5)",
    )
    parser.add_argument("--coverage", type=float, default=0.9, help="what the bars promise (default: 0.9)")
    parser.add_argument(
        "--confidence",
        type=float,
        help="promise the coverage with this confidence over the choice of pictures, by risk-controlling prediction "
        "sets: wider bars (default: the mean coverage, by conformal risk control)",
    )
    parser.add_argument(
        "--box",
        type=int,
        nargs="+",
        default=[8, 16],
        metavar="PIXELS",
        help="sides of boxes whose means get bars, in addition to single pixels (default: 8 16)",
    )
    parser.add_argument("--folds", type=int, default=5, help="number of folds of the cross-fitting (default: 5)")
    parser.add_argument("--crop", type=int, metavar="PIXELS", help="use only the middle of every picture")
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N pictures")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the samples (default: 0)")
    add_device_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, write the file, print the table. Returns the exit code."""
    from srflow.calibration.file import save_calibration
    from srflow.evaluation.calibrating import calibrate_model, check_calibration
    from srflow.evaluation.pairing import find_pairs
    from srflow.evaluation.report import calibration_table

    path = _output(arguments)  # an error in it must not appear only after an hour
    rounds = consistency_rounds(arguments.consistency_rounds)
    source = load_measured(arguments.model, arguments.device, arguments.precision)
    scale = source.model.scale_factor
    pairs = find_pairs(arguments.hr, scale_factor=scale, limit=arguments.limit, report=print_line)
    others = find_pairs(arguments.check, scale_factor=scale, report=print_line) if arguments.check else None
    calibration = calibrate_model(
        source,
        pairs,
        temperatures=arguments.temperature,
        sample_counts=arguments.num_samples,
        consistency_rounds=rounds,
        coverage=arguments.coverage,
        confidence=arguments.confidence,
        boxes=arguments.box,
        folds=arguments.folds,
        crop=arguments.crop,
        seed=arguments.seed,
        progress=True,
    )
    save_calibration(path, calibration)
    if others is not None:
        calibration = check_calibration(source, calibration, others, progress=True)
        save_calibration(path, calibration)
    print(calibration_table(calibration))
    print(f"Written to {path}.")
    return 0


def _output(arguments: argparse.Namespace) -> Path:
    from srflow.calibration.file import CALIBRATION_FILE
    from srflow.checkpoints.shipped import resolve_checkpoint

    if arguments.output is None:
        folder = Path(resolve_checkpoint(arguments.model))
        if not folder.is_dir():
            raise InputError(f"{arguments.model} is not a folder here; give the path of the calibration with --output.")
        return folder / CALIBRATION_FILE
    return arguments.output if arguments.output.suffix == ".json" else arguments.output / CALIBRATION_FILE

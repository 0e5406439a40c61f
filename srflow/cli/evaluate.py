"""`python -m srflow evaluate`: scores a model or another method's pictures by the protocol of the NTIRE challenges."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srflow import __version__
from srflow.cli.folders import add_folder_arguments, print_line
from srflow.cli.loading import add_device_arguments, consistency_rounds, load_measured
from srflow.contract import DatasetError, InputError
from srflow.files import check_writable

if TYPE_CHECKING:
    import torch

    from srflow.evaluation.features import FeatureDistance
    from srflow.evaluation.pairing import PicturePair
    from srflow.evaluation.results import MethodResult
    from srflow.model import SRFlow

HELP = "score a model, or another method's pictures, on a folder of ground-truth pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description = (
        "Scores by the protocol of the NTIRE challenges 'Learning the Super-Resolution Space': PSNR, SSIM, LR-PSNR, "
        "LPIPS (mean, global best, local best), diversity, a second perceptual distance (of EfficientNet-lite0's "
        "features; needs timm), MSE diversity, bits per dimension and time. Writes "
        "results.csv (every picture), results.json and results.md into the output folder. The first row is bicubic "
        "upscaling, the second the encoder's own output."
    )
    parser.add_argument("--hr", type=Path, required=True, metavar="FOLDER", help="ground-truth pictures")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder for the results")
    parser.add_argument(
        "--model", metavar="CHECKPOINT", help="the model to score: a shipped checkpoint's name, a folder, or a Hub id"
    )
    parser.add_argument(
        "--sr",
        action="append",
        default=[],
        metavar="FOLDER",
        help="super-resolutions of another method, for an additional row named after the folder, or METHOD if "
        "given as METHOD=FOLDER (may be repeated): one picture per ground-truth picture, called NAME, NAME_SR or "
        "NAMEx4; or several, called NAME_sample0, NAME_sample1, … or stored in one sub-folder per sample; or "
        "numbered as in the challenge, 000000_sample00000",
    )
    parser.add_argument(
        "--lr",
        type=Path,
        metavar="FOLDER",
        help="LR pictures, called like the ground truth or with x4 after the name; by default they are made from "
        "it by MATLAB's bicubic imresize",
    )
    parser.add_argument("--num-samples", type=int, default=10, metavar="N", help="samples per picture (default: 10)")
    parser.add_argument(
        "--temperature",
        type=float,
        nargs="+",
        metavar="T",
        help="one or more; each adds a row (default: the checkpoint's)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every picture's samples (default: 0)")
    parser.add_argument(
        "--consistency-rounds",
        type=int,
        metavar="N",
        help="rounds of back-projection in the rows with the consistency step; 0 leaves these rows out (default: 5)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N pictures")
    parser.add_argument(
        "--scale-factor",
        type=int,
        metavar="S",
        help="scale factor of the LR pictures; needed with --sr if there is no --model",
    )
    add_folder_arguments(parser)
    add_device_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the three files, print the table. Returns 0, or 1 if pictures had to be left out."""
    if arguments.model is None and not arguments.sr:
        raise InputError("There is nothing to score: give --model, or --sr with a folder of super-resolutions.")
    from srflow.evaluation.challenge import evaluate_bicubic, evaluate_files, evaluate_model
    from srflow.evaluation.checking import check_files
    from srflow.evaluation.pairing import find_pairs, find_samples
    from srflow.evaluation.perceptual import PerceptualDistance
    from srflow.evaluation.report import markdown_table, write_report
    from srflow.sampling.hardware import resolve_device

    check_writable(arguments.output)
    device = resolve_device(arguments.device)
    source = None if arguments.model is None else load_measured(arguments.model, arguments.device, arguments.precision)
    model = None if source is None else source.model
    scale_factor = _scale_factor(arguments, model)
    pairs = find_pairs(
        arguments.hr,
        arguments.lr,
        scale_factor=scale_factor,
        limit=arguments.limit,
        recursive=not arguments.no_recursive,
        report=print_line,
    )
    others = [_named_folder(text) for text in arguments.sr]
    # Look for all files before anything is computed: a missing one must not be reported only after an hour.
    files = [
        find_samples(folder, pairs, scale_factor=scale_factor, hr_folder=arguments.hr, report=print_line)
        for _, folder in others
    ]
    checked = check_files(pairs, files, scale_factor, progress=True)
    for line in (*checked.problems, *checked.doubts):
        print_line(line)
    if not checked.pairs:
        raise DatasetError(f"None of the {len(pairs)} pictures can be scored; the first: {checked.problems[0]}")
    pairs = checked.pairs
    perceptual, features = PerceptualDistance(device), _feature_distance(device)
    results: list[MethodResult]
    rounds = consistency_rounds(arguments.consistency_rounds)
    if source is None:
        results = [
            evaluate_bicubic(pairs, scale_factor=scale_factor, perceptual=perceptual, features=features, progress=True)
        ]
    else:
        results = evaluate_model(
            source,
            pairs,
            num_samples=arguments.num_samples,
            temperatures=arguments.temperature,
            seed=arguments.seed,
            consistency_rounds=rounds,
            perceptual=perceptual,
            features=features,
            progress=True,
        )
    for (name, _), paths in zip(others, files, strict=True):
        results.append(
            evaluate_files(
                name,
                paths,
                pairs,
                scale_factor=scale_factor,
                perceptual=perceptual,
                features=features,
                progress=True,
            )
        )
    settings = _settings(arguments, model, pairs, scale_factor, rounds, device.type)
    write_report(arguments.output, results, settings | {"feature_network": None if features is None else features.name})
    print(markdown_table(results))
    if checked.problems:
        print(f"Left out {len(checked.problems)} pictures that cannot be scored; they are named above.")
    print(f"Written to {arguments.output}.")
    return 1 if checked.problems else 0


def _feature_distance(device: torch.device) -> FeatureDistance | None:
    """Return the second perceptual distance; if its package is missing, print a line and return None."""
    from srflow.evaluation.features import FeatureDistance, MissingPackageError

    try:
        return FeatureDistance(device)
    except MissingPackageError as error:
        print(f"The feature distance is left out: {error}", file=sys.stderr)
        return None


def _scale_factor(arguments: argparse.Namespace, model: SRFlow | None) -> int:
    if model is None:
        if arguments.scale_factor is None:
            raise InputError("Without --model, give the scale factor of the pictures with --scale-factor.")
        return arguments.scale_factor
    if arguments.scale_factor not in (None, model.scale_factor):
        raise InputError(
            f"--scale-factor is {arguments.scale_factor}, but {arguments.model} is a model for x{model.scale_factor}; "
            "leave the option out."
        )
    return model.scale_factor


def _named_folder(text: str) -> tuple[str, Path]:
    """Split "NAME=FOLDER"; a folder alone gives the method its own name."""
    name, separator, folder = text.partition("=")
    if separator and name and not Path(text).exists():
        return name, Path(folder)
    return Path(text).resolve().name, Path(text)


def _settings(
    arguments: argparse.Namespace,
    model: SRFlow | None,
    pairs: Sequence[PicturePair],
    scale_factor: int,
    rounds: int,
    device_type: str,
) -> dict[str, Any]:
    """Return the settings that affect the numbers, without the names of parent folders, so that machines write the same
    file.
    """
    settings: dict[str, Any] = {
        "protocol": "NTIRE 2021 and 2022, Learning the Super-Resolution Space",
        "scale_factor": scale_factor,
        "hr": arguments.hr.resolve().name,
        "lr": "MATLAB bicubic, uint8" if arguments.lr is None else arguments.lr.resolve().name,
        "num_images": len(pairs),
    }
    if model is not None:
        settings |= {
            "model": model.config.name,
            "weights_sha256": model.metadata.weights_sha256,
            "num_samples": arguments.num_samples,
            "temperatures": arguments.temperature or [model.config.default_temperature],
            "seed": arguments.seed,
            "consistency_rounds": rounds,
            "conv_dtype": arguments.precision,
        }
    return settings | {"device": device_type, "srflow_version": __version__}

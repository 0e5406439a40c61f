"""`srflow sample`: draw super-resolutions of one picture or of a folder of them."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["HELP", "add_arguments", "run"]

HELP = "draw super-resolutions of a low-resolution picture, or of every picture in a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("input", type=Path, help="a picture, or a folder of pictures")
    parser.add_argument("output", type=Path, help="the folder to write NAME_sampleI.png to")
    parser.add_argument("--model", help="a shipped checkpoint, a folder or a Hub id; default: the shipped one")
    parser.add_argument("--num-samples", type=int, default=1, help="samples of each picture (default: 1)")
    parser.add_argument("--temperature", type=float, help="0 to 2; default: the checkpoint's")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (default: 0)")
    parser.add_argument(
        "--consistency-rounds", type=int, default=5, metavar="N", help="of back-projection; 0: none (default: 5)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16", "float16"), help="of the convolutions; default: the fastest"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write one PNG a sample; each carries its recipe as text."""
    from tqdm import tqdm

    from srflow.checkpoints.shipped import DEFAULT_CHECKPOINT
    from srflow.contract import RECIPE_KEY, SampleRequest, SampleResult
    from srflow.images import list_images
    from srflow.sampling.engine import SamplingEngine

    engine = SamplingEngine(arguments.device, arguments.precision, checkpoints=[arguments.model or DEFAULT_CHECKPOINT])
    paths = list_images(arguments.input) if arguments.input.is_dir() else [arguments.input]
    with tqdm(total=len(paths) * arguments.num_samples, unit="sample") as bar:
        for path in paths:
            request = SampleRequest(
                lr=engine.open_picture(path),
                num_samples=arguments.num_samples,
                seed=arguments.seed,
                temperature=arguments.temperature,
                consistency_rounds=arguments.consistency_rounds,
                summaries=False,
            )
            bar.set_description(path.name)
            for event in engine.sample(request):
                if isinstance(event, SampleResult):
                    output = arguments.output / f"{path.stem}_sample{event.index}.png"
                    engine.save_png(output, event.picture, {RECIPE_KEY: event.recipe.to_json()})
                    for flag in event.flags:
                        bar.write(f"{output.name}: {flag}")
                    bar.update()
    return 0

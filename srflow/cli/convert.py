"""`srflow convert`: converts a released file to a checkpoint of our own format."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["HELP", "add_arguments", "run"]

HELP = "convert an SRFlow, SRFlow-DA or RRDB (ESRGAN, Real-ESRGAN) file to a checkpoint folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "released", type=Path, help="a .pth, .pt, .ckpt or .safetensors file, released or from a trainer"
    )
    parser.add_argument("output", type=Path, help="the folder to write")
    parser.add_argument(
        "--blocks",
        type=_block_indices,
        help="which encoder blocks are stacked, counted from 0, e.g. 1,8,15,22; default: the detected preset's",
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert, and report what happened to every kind of key."""
    from srflow.checkpoints.released import convert, read_released
    from srflow.cli.info import describe
    from srflow.files import check_writable

    check_writable(arguments.output)
    converted = convert(read_released(arguments.released), str(arguments.released), blocks=arguments.blocks)
    converted.model.save_pretrained(arguments.output)
    print("\n".join(describe(converted.model)))
    if not converted.has_flow:
        print(
            "the file contains only an encoder, so the flow is random. Train the flow with: python -m srflow train "
            f"{converted.model.config.name} --init {arguments.output} --data FOLDER --output RUN"
        )
    if converted.dead_keys:
        print(f"not converted, because the released code never uses them: {', '.join(converted.dead_keys)}")
    if converted.left_out:
        print(f"left out, because they are not the network: {', '.join(converted.left_out)}")
    print(f"written to {arguments.output}")
    return 0


def _block_indices(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers like 1,8,15,22") from None

"""A region on the command line: a box in pixels of the input."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from srflow.operations import Mask

__all__ = ["add_region_argument", "read_region"]


def add_region_argument(parser: argparse.ArgumentParser, help_text: str, *, required: bool = False) -> None:
    """Declare --region."""
    parser.add_argument(
        "--region",
        type=int,
        nargs=4,
        required=required,
        metavar=("LEFT", "TOP", "WIDTH", "HEIGHT"),
        help=help_text,
    )


def read_region(region: list[int], lr: np.ndarray) -> Mask:
    """Return the box as a mask of the LR picture. Raises: InputError: it does not lie in the picture."""
    from srflow.contract import InputError
    from srflow.operations import Mask

    left, top, width, height = region
    if width < 1 or height < 1 or left < 0 or top < 0 or left + width > lr.shape[1] or top + height > lr.shape[0]:
        raise InputError(
            f"--region {left} {top} {width} {height} does not lie in the picture of {lr.shape[1]}x{lr.shape[0]} pixels."
        )
    return Mask(lr.shape[1], lr.shape[0], (left, top, left + width, top + height), (255, width * height))

"""Reads all files of an evaluation before anything is computed, so that a bad file does not stop it hours later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from srflow.contract import ImageError
from srflow.evaluation.challenge import check_size
from srflow.evaluation.metrics import psnr
from srflow.evaluation.pairing import PicturePair
from srflow.images import downscale_uint8
from srflow.pictures import load_image

__all__ = ["Checked", "check_files"]

_UNLIKELY_PSNR = (
    18.0  # dB; LR pictures of another picture reach about 10, noisy and compressed ones of the same picture 25
)


@dataclass(frozen=True)
class Checked:
    """The result of the check.

    pairs: those whose files can all be read and fit.
    problems: a line for each other one.
    doubts: a line for each picture that can be scored but looks as if files had been mixed up.
    """

    pairs: list[PicturePair]
    problems: tuple[str, ...]
    doubts: tuple[str, ...]


def check_files(
    pairs: Sequence[PicturePair],
    methods: Sequence[Mapping[str, Sequence[Path]]],
    scale_factor: int,
    *,
    progress: bool = False,
) -> Checked:
    """Read all files. Args: methods: the files of every other method, see `pairing.find_samples`."""
    good: list[PicturePair] = []
    problems: list[str] = []
    doubts: list[str] = []
    for pair in tqdm(pairs, desc="checking files", unit="picture", disable=not progress, leave=False):
        try:
            hr, lr = pair.load(scale_factor)
            small = downscale_uint8(hr, scale_factor)
            doubt = _doubt(pair.lr, pair.hr, lr, small)
            for files in methods:
                for path in files[pair.name]:
                    sr = load_image(path)
                    check_size(path, sr, pair, hr, scale_factor)
                    cropped = sr[: hr.shape[0], : hr.shape[1]]
                    doubt = doubt or _doubt(path, pair.hr, downscale_uint8(cropped, scale_factor), small)
        except ImageError as error:
            problems.append(str(error))
            continue
        good.append(pair)
        doubts += [doubt] if doubt else []
    return Checked(good, tuple(problems), tuple(doubts))


def _doubt(path: Path | None, truth: Path, given: np.ndarray, expected: np.ndarray) -> str | None:
    """Return a line if a picture at the LR size is very different from the downscaled ground truth."""
    height, width = (min(sides) for sides in zip(given.shape[:2], expected.shape[:2], strict=True))
    if path is None:
        return None
    value = psnr(given[:height, :width], expected[:height, :width])
    if value >= _UNLIKELY_PSNR:
        return None
    return f"{path.name} does not look like {truth.name} ({value:.1f} dB at the LR size); were files mixed up?"

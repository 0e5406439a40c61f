"""Could it be …? Candidates for a region are compared with the input; only the input can rule one out.

A candidate is a picture of the region: a digit, a word, a crop from elsewhere. It is laid into a super-resolution,
moved by up to half an LR pixel, and its contrast and its three levels are fitted by least squares, so that its
downscaled form is as close to the input as possible. The remaining difference, the residual, is compared with that of
the best candidate: a candidate that leaves much more unexplained is ruled out, provided that the picture of it is
accurate. The likelihood of the flow is not used: it ranks what is natural, not what was there.

Validated as used on the page, at x4 and x8 (`python -m benchmarks.lettering`; benchmarks/results/lettering.md has the
tables and the confusions): the true text was one of ten digits and capital letters, in an unknown font, size and
polarity, in a box drawn by hand. The thresholds were chosen on 360 cases of at least 3 LR pixels' height, in five
fonts. On as many cases in five other fonts, the correct one was ruled out in 1.1 % (x4) and 1.7 % (x8), and of the
wrong ones 84 % and 82 %. Only the correct one remained in 43 % and 42 %, only a wrong one in 1.1 %. If the correct one
was not tried, a single other one remained in 17 % and 14 %: a text that fits need not have been there. Characters 2 LR
pixels high are too small: 1.7 % and 8 % of the correct ones, and 50 % and 41 % of the wrong ones were ruled out.

Words of two to five capital letters are harder to tell apart (`python -m benchmarks.words`; with thresholds of their
own, `WORDS`). Of 48 words in fonts on which the thresholds were not chosen, the correct one was ruled out in 0 % (x4)
and 2.1 % (x8). Of the wrong ones 61 % and 45 % were ruled out, but only 33 % and 22 % of those that differ in a single
letter. Only the correct one remained in 19 % and 15 %; if it was not tried, a single other one in 2 % and 0 %. With the
thresholds of characters, and without versions of other widths, 8 % and 10 % of the correct ones were ruled out.

Pieces of pictures (`python -m benchmarks.pieces`): the correct piece, as a second photograph would show it, among six
similar pieces and three random ones. In 90 regions it was ruled out in 1.1 % (x4) and 0 % (x8), the others in 99.9 %.
If it was not tried, a single other piece remained in 9 % and 10 %, none in 47 % and 51 %. Pieces that the model drew
for the region fit by construction, so they cannot be told apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from srflow.errors import InputError
from srflow.images import bicubic_downscale, to_tensor
from srflow.operations import Box

__all__ = ["CHARACTERS", "RULED_OUT", "UNEXPLAINED", "WORDS", "Candidate", "Limits", "Ruling", "judge"]

Ruling = Literal["fits", "cannot tell", "ruled out"]


@dataclass(frozen=True)
class Limits:
    """ruled_out: see `RULED_OUT`. unexplained: see `UNEXPLAINED`."""

    ruled_out: float
    unexplained: float


RULED_OUT = 1.55
"""Maximum ratio to the best candidate's residual. A candidate with a larger residual is ruled out."""

UNEXPLAINED = 0.8
"""Maximum residual relative to the region's contrast. If even the best candidate exceeds it, none of them was there."""

CHARACTERS = Limits(RULED_OUT, UNEXPLAINED)
WORDS = Limits(1.45, 0.89)
"""Chosen in the same way on words: fonts differ in their letters' widths, so that more is left unexplained."""

MAX_CANDIDATES = 10
_KERNEL = 4  # LR pixels around a region that are compared: the bicubic kernel reaches 2
_MIN_SIDE = 4  # LR pixels
_GAINS = (0.2, 5.0)
_ROUNDING = 0.5  # 8-bit units: maximum rounding error; smaller residuals count as equal


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """How well a candidate explains the input.

    number: in the order of the arguments.
    ruling: "ruled out": see `RULED_OUT` and `UNEXPLAINED`; "fits": it is the only one that is not ruled out; "cannot
        tell": others are not, either.
    residual: root mean square of the unexplained difference, in 8-bit units of the LR picture.
    share: the residual over the standard deviation of the LR picture in the region.
    shift: (down, right) in pixels of the HR picture.
    gain: the factor of its contrast; negative: its negative was used.
    version: which of its pictures explains most.
    pixels: uint8, the region with the fitted candidate.
    """

    number: int
    ruling: Ruling
    residual: float
    share: float
    shift: tuple[int, int]
    gain: float
    version: int
    pixels: np.ndarray = field(repr=False, compare=False)


def judge(
    lr: np.ndarray,
    picture: np.ndarray,
    box: Box,
    candidates: Sequence[Sequence[np.ndarray]],
    scale: int,
    *,
    or_negative: bool = False,
    limits: Limits = CHARACTERS,
    stop: Callable[[], None] | None = None,
) -> tuple[Candidate, ...]:
    """Test candidates for a region, the best one first.

    Args:
        lr: uint8, (h, w, 3).
        picture: uint8, (s h, s w, 3): a super-resolution of it, for the surroundings of the region.
        box: left, top, right, bottom of the region in LR pixels; sides of at least 4.
        candidates: 2 to 10, each with its versions (e.g. a letter in several sizes), of which the best one counts:
            uint8, (s (bottom - top), s (right - left), 3).
        scale: s.
        or_negative: whether negatives are tried, too: for lettering of unknown polarity.
        limits: the thresholds above which a candidate is ruled out.
        stop: called repeatedly; it may raise an exception to cancel the work.

    Raises: InputError: something of another size, too small a region, one candidate or more than ten; or a region
        without contrast, where nothing can be decided.
    """
    left, top, right, bottom = box
    if picture.shape != (lr.shape[0] * scale, lr.shape[1] * scale, 3):
        raise InputError(
            f"The picture is {picture.shape}; at x{scale} that of this LR picture of {lr.shape[1]}x{lr.shape[0]} is "
            f"{(lr.shape[0] * scale, lr.shape[1] * scale, 3)}."
        )
    if not (0 <= left < right <= lr.shape[1] and 0 <= top < bottom <= lr.shape[0]):
        raise InputError(f"The region {box} is not within the LR picture of {lr.shape[1]}x{lr.shape[0]}.")
    size = ((bottom - top) * scale, (right - left) * scale, 3)
    if min(right - left, bottom - top) < _MIN_SIDE:
        raise InputError(
            f"The region has {right - left}x{bottom - top} input pixels; candidates need at least "
            f"{_MIN_SIDE}x{_MIN_SIDE}."
        )
    if not 2 <= len(candidates) <= MAX_CANDIDATES:
        raise InputError(f"There are {len(candidates)} candidates; compare 2 to {MAX_CANDIDATES}.")
    for candidate in itertools.chain(*candidates):
        if candidate.dtype != np.uint8 or candidate.shape != size:
            raise InputError(
                f"A candidate is {candidate.dtype} {candidate.shape}; it must have the region's size, uint8 {size}."
            )
    near = (
        max(0, left - _KERNEL), max(0, top - _KERNEL),
        min(lr.shape[1], right + _KERNEL), min(lr.shape[0], bottom + _KERNEL),
    )  # fmt: skip
    around = to_tensor(picture[near[1] * scale : near[3] * scale, near[0] * scale : near[2] * scale])
    inside = torch.zeros_like(around[:, :1])
    first_row, first_column = (top - near[1]) * scale, (left - near[0]) * scale
    inside[..., first_row : first_row + size[0], first_column : first_column + size[1]] = 1
    own = np.s_[top - near[1] : bottom - near[1], left - near[0] : right - near[0]]
    wanted = lr[near[1] : near[3], near[0] : near[2]].astype(np.float64)[own]
    contrast = float(wanted.std((0, 1)).mean())
    if contrast < 1:
        raise InputError("The input has no contrast in this region: it says nothing about what is there.")
    outside = _reduced(around * (1 - inside), scale)[own]
    level = _reduced(inside.expand(-1, 3, -1, -1), scale)[own]
    reach = range(-(scale // 2), scale // 2 + 1)
    shifts = sorted(
        ((down, right) for down in reach for right in reach), key=lambda shift: abs(shift[0]) + abs(shift[1])
    )
    rows = _reductions(top - near[1], bottom - near[1], near[3] - near[1], scale, reach)
    columns = _reductions(left - near[0], right - near[0], near[2] - near[0], scale, reach)
    nearest_first = [(down - reach[0]) * len(reach) + right - reach[0] for down, right in shifts]
    judged = []
    for number, versions in enumerate(candidates):
        best: tuple[float, float, int, tuple[int, int], np.ndarray] | None = None
        for version, candidate in enumerate(versions):
            if stop is not None:
                stop()
            lower = np.tensordot(rows, candidate.astype(np.float64), axes=1)  # (downs, h, s w, 3)
            small = np.tensordot(columns, lower, axes=(2, 2)).transpose(2, 0, 3, 1, 4)  # (downs, rights, h, w, 3)
            reduced = small.reshape(len(shifts), *wanted.shape)[nearest_first]
            residuals, gains = _fit(wanted - outside, reduced, level, or_negative)
            at = int(
                np.flatnonzero(residuals <= residuals.min() + 1e-9)[0]
            )  # the smallest shift among equally good ones
            if best is None or residuals[at] < best[0] - 1e-9:
                best = float(residuals[at]), float(gains[at]), version, shifts[at], _moved(candidate, shifts[at])
        if best is None:
            raise InputError(f"Candidate {number} has no picture.")
        residual, gain, version, shift, pixels = best
        judged.append(
            Candidate(
                number=number,
                ruling="ruled out",
                residual=residual,
                share=residual / contrast,
                shift=shift,
                gain=gain,
                version=version,
                pixels=_fitted(pixels, gain, wanted),
            )
        )
    judged.sort(key=lambda each: (each.residual, each.number))
    least = max(judged[0].residual, _ROUNDING)
    left_over = [
        each for each in judged if each.residual <= limits.ruled_out * least and each.share <= limits.unexplained
    ]
    ruling: Ruling = "fits" if len(left_over) == 1 else "cannot tell"
    return tuple(replace(each, ruling=ruling) if each in left_over else each for each in judged)


def _moved(candidate: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Move a candidate; repeat its edges where pixels are missing."""
    down, right = shift
    by = max(abs(down), abs(right))
    padded = np.pad(candidate, ((by, by), (by, by), (0, 0)), mode="edge")
    height, width = candidate.shape[:2]
    return padded[by - down : by - down + height, by - right : by - right + width]


def _fitted(pixels: np.ndarray, gain: float, wanted: np.ndarray) -> np.ndarray:
    """Return the candidate with the fitted contrast and the region's mean colour."""
    values = gain * (pixels - pixels.mean((0, 1))) + wanted.mean((0, 1))
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _reduced(picture: Tensor, scale: int) -> np.ndarray:
    """Scale (1, 3, s h, s w) in [0, 1] down to 8-bit units, (h, w, 3)."""
    return 255 * bicubic_downscale(picture, scale)[0].permute(1, 2, 0).double().numpy()


def _reductions(low: int, high: int, count: int, scale: int, reach: Sequence[int]) -> np.ndarray:
    """Return the matrices that scale a region's rows, or columns, down after each shift in reach: (S, high - low, s
    (high - low)).

    Args: low, high: of the region, in LR pixels, among `count` around it; it is 0 outside of the region.
    """
    unit = torch.eye(count * scale, dtype=torch.float64)[:, None, :, None].expand(-1, -1, -1, scale)
    reduction = bicubic_downscale(unit, scale)[:, 0, low:high, 0].T.numpy()[:, low * scale : high * scale]
    side = (high - low) * scale
    moved = np.zeros((len(reach), *reduction.shape))
    for matrix, shift in zip(moved, reach, strict=True):
        # A pixel comes from its position before the shift, or from the edge.
        np.add.at(matrix.T, np.clip(np.arange(side) - shift, 0, side - 1), reduction.T)
    return moved


def _fit(
    wanted: np.ndarray, reduced: np.ndarray, level: np.ndarray, or_negative: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Fit wanted ≈ gain reduced + offset level, with the best offset per channel and gain; return the RMS residual and
    gain.

    Args:
        wanted, level: (h, w, 3).
        reduced: (S, h, w, 3); each of them is fitted.

    Returns: (S,) each.
    """
    # Project out the levels: then only the gain remains.
    norms = np.square(level).sum((0, 1))
    left = wanted - level * ((wanted * level).sum((0, 1)) / norms)
    right = reduced - level * ((reduced * level).sum((1, 2)) / norms)[:, None, None]
    power = np.square(right).sum((1, 2, 3))
    gains = np.divide((left * right).sum((1, 2, 3)), power, out=np.full_like(power, _GAINS[0]), where=power > 1e-9)
    signs = np.where(gains < 0, -1.0, 1.0) if or_negative else np.ones_like(gains)
    gains = signs * np.clip(signs * gains, *_GAINS)
    return np.sqrt(np.square(left - gains[:, None, None, None] * right).mean((1, 2, 3))), gains

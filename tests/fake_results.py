"""What the fake engine says of samples and of ways: numbers of the right kind, quickly made."""

from __future__ import annotations

import zlib

import numpy as np

from srflow.contract import Direction, Directions, SampleRequest, SetSummary, TruthScores
from srflow.operations import Operation

LUMA = np.float32([0.299, 0.587, 0.114])


def directions_of(count: int, wanted: int) -> Directions:
    """Return directions towards each of the first rolls alone."""
    weights = [tuple(32767 * (roll == number) for roll in range(count)) for number in range(wanted)]
    found = [Direction(weights=own, share=0.3 / (number + 1)) for number, own in enumerate(weights)]
    return Directions(found=tuple(found))


def changed(picture: np.ndarray, operations: tuple[Operation, ...], scale: int) -> np.ndarray:
    """Draw other pixels in each operation's region, depending on its content."""
    result = picture.copy()
    height, width = picture.shape[:2]
    for operation in operations:
        mask = operation.place
        left, top, right, bottom = mask.support if mask else (0, 0, width // scale, height // scale)
        place = np.s_[top * scale : bottom * scale, left * scale : right * scale]
        noise = np.random.default_rng(zlib.crc32(repr(operation).encode())).integers(-20, 21, result[place].shape)
        chosen = np.kron(mask.array(), np.ones((scale, scale), np.uint8))[place] > 0 if mask else np.True_
        new = np.clip(result[place] + noise, 0, 255).astype(np.uint8)
        result[place] = np.where(chosen[..., None], new, result[place])
    return result


def scores_of(picture: np.ndarray, truth: np.ndarray | None) -> TruthScores | None:
    if truth is None:
        return None
    error = float(np.mean((picture.astype(np.float32) - truth) ** 2)) + 1e-3
    return TruthScores(psnr=10 * float(np.log10(255**2 / error)), ssim=0.9, lpips=error / 1e4)


def summary_of(pictures: list[np.ndarray], indices: list[int], request: SampleRequest, final: bool) -> SetSummary:
    stack = np.stack(pictures).astype(np.float32)
    luma = stack @ LUMA
    mean = stack.mean(0)
    more = {}
    if final:
        distances = np.sqrt(((stack - mean) ** 2).mean((1, 2, 3)))
        more = {
            "distances_to_mean": tuple(map(float, distances)),
            "nearest_to_mean": indices[int(distances.argmin())],
        }
        if request.pairwise_lpips:
            flat = stack.reshape(len(stack), -1)
            pairs = np.abs(flat[:, None] - flat[None]).mean(-1) / 255
            more |= {
                "pairwise_lpips": pairs.astype(np.float32),
                "mean_pairwise_lpips": float(pairs.mean()),
                "medoid": indices[int(pairs.sum(1).argmin())],
            }
    return SetSummary(
        final=final,
        indices=tuple(indices),
        mean=np.rint(mean).astype(np.uint8),
        std_rgb=stack.std(0),
        std_luma=luma.std(0),
        diversity=float(luma.std(0).mean()),
        split_half_change=0.5 / len(pictures) if len(pictures) >= 4 else None,
        **more,
    )

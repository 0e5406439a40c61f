"""Choosing a few of many samples: those that differ most, the most typical ones, and extremes of simple measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from srflow.contract import Family, InputError
from srflow.luma import LUMA

__all__ = ["EXTREMES", "LEFT_OUT", "extremes", "farthest", "plausible", "typical"]

LEFT_OUT = 0.05
"""Share of the samples that are left out: those whose log-likelihood differs most from the others'."""

EXTREMES = ("smoothest", "sharpest", "darkest", "brightest", "most contrast", "nearest to the mean")
"""The measures of `extremes`."""


def farthest(distances: np.ndarray, count: int, candidates: np.ndarray | None = None) -> tuple[Family, ...]:
    """Choose samples that differ as much as possible: farthest point sampling (Gonzalez 1985), starting at the medoid.

    The medoid, whose distances to the others have the smallest sum, comes first. Then the sample is added, repeatedly,
    whose distance to the nearest chosen one is the largest. The smallest distance among the chosen ones is at least
    half of what the best choice could have.

    Args:
        distances: (N, N), symmetric, zeros on the diagonal.
        count: how many; fewer are chosen if the remaining ones do not differ at all.
        candidates: bool, (N,): samples that may be chosen, and are counted; None: all.
    Raises: InputError: shapes or numbers do not fit.
    """
    allowed, inner = _checked(distances, count, candidates)
    chosen = [int(np.argmin(inner.sum(1)))]
    nearest = inner[chosen[0]].copy()
    while len(chosen) < count and nearest.max() > 0:
        chosen.append(int(np.argmax(nearest)))
        np.minimum(nearest, inner[chosen[-1]], out=nearest)
    return _families(inner, chosen, allowed)


def typical(distances: np.ndarray, count: int, candidates: np.ndarray | None = None) -> tuple[Family, ...]:
    """Choose samples that represent the others: medoids, such that the sum of distances to the nearest one is smallest.

    The algorithm is PAM (Kaufman and Rousseeuw 1990): a greedy start, improved by single exchanges as long as that
    helps. The largest family comes first. Arguments and errors as for `farthest`.
    """
    allowed, inner = _checked(distances, count, candidates)
    chosen: list[int] = []
    nearest = np.full(len(inner), np.inf)
    while len(chosen) < count and nearest.max() > 0:
        chosen.append(int(np.argmin(np.minimum(nearest, inner).sum(1))))
        nearest = np.minimum(nearest, inner[chosen[-1]])
    total = nearest.sum()
    while True:
        best = total, -1, -1
        for place in range(len(chosen)):
            others = [number for number in chosen if number != chosen[place]]
            left = inner[others].min(0) if others else np.full(len(inner), np.inf)
            costs = np.minimum(left, inner).sum(1)
            number = int(np.argmin(costs))
            if costs[number] < best[0] - 1e-12 * total:
                best = costs[number], place, number
        if best[1] < 0:
            break
        total = best[0]
        chosen[best[1]] = best[2]
    families = _families(inner, chosen, allowed)
    return tuple(sorted(families, key=lambda family: (-len(family.members), family.number)))


def plausible(log_probs: Sequence[float | None], is_flagged: Sequence[bool]) -> np.ndarray:
    """Return which samples may be offered, bool, (N,).

    Flagged samples are left out, and the share `LEFT_OUT` whose log-likelihood is farthest from the median, on either
    side: a log-likelihood that is far too high is as unusual as one that is far too low, because a smooth picture has
    the highest of all. Only log-likelihoods of the same region at the same temperature can be compared. None: not
    known, and not judged. If none remained, all are offered.
    """
    known = np.array([np.nan if value is None else value for value in log_probs], float)
    result = ~np.array(is_flagged, bool)
    judged = result & np.isfinite(known)
    count = int(LEFT_OUT * judged.sum())
    if count > 0:
        distance = np.where(judged, np.abs(known - np.median(known[judged])), -1.0)
        result[np.argsort(-distance, kind="stable")[:count]] = False
    return result if result.any() else np.ones_like(result)


def extremes(
    pictures: Sequence[np.ndarray], weight: np.ndarray | None = None, candidates: np.ndarray | None = None
) -> dict[str, int]:
    """Return the number of the first choice for each of `EXTREMES`.

    The measures use luma (BT.601), weighted by position: the smoothest and the sharpest picture have the least and the
    most energy of the Laplacian; darkest and brightest are by the mean; contrast is the standard deviation. Nearest to
    the mean is the picture whose RGB differs least, in mean square, from the mean of all.

    Args:
        pictures: uint8, (h, w, 3), of one size, at least 3 pixels a side.
        weight: (h, w), 0 or more; None: 1.
        candidates: bool, (N,): samples that may be chosen; None: all. The mean is that of all in any case.

    Raises: InputError: there are none, or sizes differ.
    """
    if len(pictures) == 0 or any(picture.shape != pictures[0].shape for picture in pictures):
        raise InputError("Extremes need one picture or more, all of one size.")
    height, width = pictures[0].shape[:2]
    weight = np.ones((height, width)) if weight is None else np.asarray(weight, float)
    if weight.shape != (height, width) or min(height, width) < 3 or weight.min() < 0 or not weight[1:-1, 1:-1].any():
        raise InputError(f"Extremes need 3x3 pixels or more, with weights that are not all 0; got {height}x{width}.")
    share = weight / weight.sum()
    average = np.zeros(pictures[0].shape)
    for picture in pictures:
        average += picture
    average /= len(pictures)
    measured = np.array([_measure(picture, average, share) for picture in pictures])
    detail, mean, contrast, distance = measured.T
    orders = (detail, -detail, mean, -mean, -contrast, distance)
    allowed = np.ones(len(pictures), bool) if candidates is None else candidates
    return {
        name: int(np.argmin(np.where(allowed, values, np.inf))) for name, values in zip(EXTREMES, orders, strict=True)
    }


def _measure(picture: np.ndarray, average: np.ndarray, share: np.ndarray) -> tuple[float, float, float, float]:
    """Return energy of the Laplacian, mean and variance of luma, and squared distance to the mean picture."""
    luma = picture @ LUMA
    mean = (luma * share).sum()
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    return (
        (np.square(laplacian) * share[1:-1, 1:-1]).sum(),
        mean,
        (np.square(luma - mean) * share).sum(),
        (np.square(picture - average).sum(2) * share).sum(),
    )


def _checked(distances: np.ndarray, count: int, candidates: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the candidates, and the distances among them."""
    size = len(distances)
    if distances.shape != (size, size) or size == 0 or not np.isfinite(distances).all() or distances.min() < 0:
        raise InputError(f"Distances must be (N, N), finite and not negative; got {distances.shape}.")
    allowed = np.arange(size) if candidates is None else np.flatnonzero(candidates)
    if count < 1 or len(allowed) == 0 or (candidates is not None and len(candidates) != size):
        raise InputError(f"There must be at least one candidate, and at least one to choose; got {count}.")
    return allowed, distances[np.ix_(allowed, allowed)].astype(float)


def _families(inner: np.ndarray, chosen: list[int], allowed: np.ndarray) -> tuple[Family, ...]:
    owner = np.argmin(inner[chosen], axis=0)
    owner[chosen] = np.arange(len(chosen))
    return tuple(
        Family(number=int(allowed[number]), members=tuple(int(each) for each in allowed[owner == place]))
        for place, number in enumerate(chosen)
    )

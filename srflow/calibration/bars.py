"""The width of a bar about the mean of samples, such that the truth lies inside as often as promised.

The bar at a pixel is

    mean ± λ · sqrt(1 + 1/K) · max(σ, floor)

with the mean and the standard deviation σ (divisor K - 1) of K samples. sqrt(1 + 1/K) accounts for the mean of only K
samples; the floor accounts for rounding to 8 bits. λ is chosen from pictures with a known truth. The loss of a picture,
L_i(λ), is the share of its pixels whose truth lies outside; it decreases as λ grows. Of each picture, only L_i at the
values of `LAMBDAS` is kept.

    conformal risk control (Angelopoulos et al. 2022): the mean coverage over new pictures is at least 1 - α
        λ = min {λ : (n L̄(λ) + 1) / (n + 1) <= α}
    risk-controlling prediction sets (Bates et al. 2021): with confidence 1 - δ over the choice of the calibration
        pictures, the coverage is at least 1 - α:
        λ = min {λ : p(L̄(λ)) < δ},   p the Hoeffding-Bentkus p-value

Both hold for pictures from the same distribution as the calibration's, with LR made in the same way; L̄ is the mean
over the n pictures. The pixels of a picture may depend on each other in any way.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from srflow.errors import InputError

__all__ = [
    "LAMBDAS",
    "MAX_BOX",
    "Choose",
    "box_means",
    "check_targets",
    "conformal_lambda",
    "cross_fit",
    "hoeffding_bentkus_p",
    "min_pictures",
    "nominal_lambda",
    "outside_shares",
    "prediction_sigma",
    "rank_histogram",
    "rcps_lambda",
    "sigma_floor",
]

LAMBDAS = np.concatenate([np.geomspace(0.05, 10, 534), np.geomspace(10, 1e4, 142)[1:]])
"""The possible values of λ: 1 % apart up to 10, then 5 %. At the last one every truth is inside (`sigma_floor`)."""

MAX_BOX = 32
"""Side of the largest box whose mean can have a bar, in pixels; at most that of the smallest picture."""

_SMALLEST_FLOOR = 0.5  # grey levels: half a step of 8 bits

Choose = Callable[[np.ndarray], float]
"""A rule that computes λ from the pictures' losses, (n, len(LAMBDAS))."""


def sigma_floor(box: int, scale_factor: int) -> float:
    """Return the smallest standard deviation used for a bar, in grey levels.

    It is half a level for a pixel. The mean of a box is determined by its n LR pixels, n = (box / scale_factor)², each
    of which is rounded; their average error is half a level / sqrt(n).

    Args: box: pixels a side; 1 for single pixels.
    Raises: InputError: the box is not from 1 to `MAX_BOX`.
    """
    if not 1 <= box <= MAX_BOX:
        raise InputError(f"A box of {box} pixels a side has no bar; choose from 1 to {MAX_BOX}.")
    return _SMALLEST_FLOOR * min(1.0, scale_factor / box)


def prediction_sigma(sigma: np.ndarray, num_samples: int, floor: float) -> np.ndarray:
    """Return the factor of λ: sqrt(1 + 1/K) max(σ, floor).

    Args:
        sigma: of the samples, with the divisor K - 1, any shape, grey levels.
        num_samples: K, at least 2.
        floor: above 0.
    """
    return math.sqrt(1 + 1 / num_samples) * np.maximum(sigma, floor)


def nominal_lambda(num_samples: int, coverage: float) -> float:
    """Return λ for samples with the right spread: Student's t with K - 1 degrees of freedom for normal values; 1.645
    for large K.
    """
    from scipy.special import stdtrit

    return float(stdtrit(num_samples - 1, (1 + coverage) / 2))


def outside_shares(ratios: np.ndarray) -> np.ndarray:
    """Return the loss of a picture at every λ: the share of its pixels outside the bar.

    Args: ratios: |truth - mean| / prediction_sigma at every pixel, any shape, at least one.
    Returns: float32, (len(LAMBDAS),), decreasing.
    """
    # A pixel is inside for every λ from its ratio on; side="left" puts a ratio equal to a λ inside.
    first_inside = np.searchsorted(LAMBDAS, ratios.ravel(), side="left")
    inside = np.bincount(first_inside, minlength=len(LAMBDAS) + 1)[: len(LAMBDAS)].cumsum()
    return (1 - inside / ratios.size).astype(np.float32)


def conformal_lambda(losses: np.ndarray, coverage: float) -> float:
    """Conformal risk control: return the smallest λ whose mean coverage over new pictures is at least `coverage`.

    Args:
        losses: of n pictures, (n, len(LAMBDAS)).
        coverage: 1 - α, between 0 and 1.

    Raises: InputError: n is too small for that coverage, see `min_pictures`.
    """
    _check_number(len(losses), coverage, None)
    means = losses.mean(axis=0, dtype=np.float64)
    return _smallest((len(losses) * means + 1) / (len(losses) + 1) <= _alpha(coverage))


def rcps_lambda(losses: np.ndarray, coverage: float, confidence: float) -> float:
    """Return the smallest λ whose coverage is at least `coverage`, with a confidence over the calibration pictures.

    Args:
        losses: of n pictures, (n, len(LAMBDAS)).
        coverage: 1 - α.
        confidence: 1 - δ; both between 0 and 1.

    Raises: InputError: n is too small for them, see `min_pictures`.
    """
    _check_number(len(losses), coverage, confidence)
    means = losses.mean(axis=0, dtype=np.float64)
    return _smallest(hoeffding_bentkus_p(means, len(losses), _alpha(coverage)) < 1 - confidence)


def hoeffding_bentkus_p(mean_loss: np.ndarray, num_pictures: int, alpha: float) -> np.ndarray:
    """Return the p-value of "the expected loss is above α", valid for losses in [0, 1].

        p = min(exp(-n h(min(L̄, α), α)), e P(Bin(n, α) <= ceil(n L̄))),   h(a, b) = a ln(a/b) + (1-a) ln((1-a)/(1-b))

    Args: mean_loss: L̄, any shape. num_pictures: n.
    """
    from scipy.special import bdtr, rel_entr

    mean_loss = np.asarray(mean_loss, dtype=np.float64)
    low = np.minimum(mean_loss, alpha)
    hoeffding = np.exp(-num_pictures * (rel_entr(low, alpha) + rel_entr(1 - low, 1 - alpha)))
    # Rounding may put the product slightly above a whole number, which ceil would raise to the next one.
    bentkus = math.e * bdtr(np.ceil(np.round(num_pictures * mean_loss, 9)), num_pictures, alpha)
    return np.minimum(hoeffding, bentkus)


def min_pictures(coverage: float, confidence: float | None = None) -> int:
    """Return the smallest number of calibration pictures for a coverage: with fewer, no bar is wide enough.

    Args: confidence: None for conformal risk control.
    """
    check_targets(coverage, confidence)
    if confidence is None:
        return math.ceil(round(1 / _alpha(coverage), 9)) - 1 or 1
    count = 1
    while hoeffding_bentkus_p(np.float64(0), count, _alpha(coverage)) >= 1 - confidence:
        count += 1
    return count


def check_targets(coverage: float, confidence: float | None) -> None:
    """Raise InputError if a target is not between 0.5 and 0.999, the range in which bars are useful."""
    for name, value in (("coverage", coverage), ("confidence", confidence)):
        if value is not None and not 0.5 <= value <= 0.999:
            raise InputError(f"The {name} is {value}; it must be from 0.5 to 0.999.")


def cross_fit(losses: np.ndarray, folds: np.ndarray, choose: Choose) -> np.ndarray:
    """Return a λ for every picture, chosen without the pictures of its own fold, so that it can be checked there.

    Args:
        losses: (n, len(LAMBDAS)).
        folds: the fold of every picture, (n,), whole numbers.

    Returns: (n,), one value per fold.
    """
    lambdas = np.empty(len(losses))
    for fold in np.unique(folds):
        lambdas[folds == fold] = choose(losses[folds != fold])
    return lambdas


def box_means(values: np.ndarray, box: int) -> np.ndarray:
    """Return means over boxes side by side; remaining pixels at the right and the bottom are left out.

    Args:
        values: (H, W, C).
        box: pixels a side, at most H and W.

    Returns: (H // box, W // box, C), float32.
    """
    height, width = (side // box for side in values.shape[:2])
    cut = values[: height * box, : width * box].reshape(height, box, width, box, -1)
    return cut.mean(axis=(1, 3), dtype=np.float32)


def rank_histogram(
    truth: np.ndarray, samples: np.ndarray, random: np.random.Generator, stretch: float = 1.0
) -> np.ndarray:
    """Count how often the truth is above 0, 1, … K of the samples: flat if the truth is distributed like the samples.

    Args:
        truth: (P,).
        samples: (K, P).
        random: breaks ties, evenly.
        stretch: the samples are first moved away from their mean by this factor.

    Returns: counts, (K + 1,), of whole numbers.
    """
    if stretch != 1.0:  # moving the truth instead gives the same order, and leaves ties at 1 exact
        mean = samples.mean(axis=0)
        truth = mean + (truth - mean) / stretch
    below, equal = (samples < truth).sum(axis=0), (samples == truth).sum(axis=0)
    return np.bincount(below + random.integers(0, equal + 1), minlength=len(samples) + 1)


def _alpha(coverage: float) -> float:
    return round(1 - coverage, 12)  # 1 - 0.9 is slightly below 0.1, which would require one more picture


def _check_number(count: int, coverage: float, confidence: float | None) -> None:
    needed = min_pictures(coverage, confidence)
    if count < needed:
        sure = "" if confidence is None else f" with {100 * confidence:g} % confidence"
        raise InputError(
            f"{count} pictures are too few for a coverage of {100 * coverage:g} %{sure}: at least {needed} are "
            "needed. Give more pictures, or ask for less coverage."
        )


def _smallest(holds: np.ndarray) -> float:
    """Return the first λ that satisfies the condition; the last one always does, because its loss is 0."""
    return float(LAMBDAS[np.argmax(holds)])

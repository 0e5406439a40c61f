"""Running statistics of a set of samples: mean, standard deviation, and how far these have converged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from srflow.contract import ChallengeScores, SetSummary, TruthScores
from srflow.evaluation.measuring import LUMA
from srflow.evaluation.metrics import BestOfSamples, crop_ground_truth, crop_to_ground_truth, mse_map, psnr, ssim
from srflow.evaluation.perceptual import MIN_SIDE, PerceptualDistance
from srflow.work import Run, at_once

__all__ = ["RunningMoments", "RunningSummary", "TruthScorer"]

_MIN_SIDE_SSIM = 11  # its Gaussian window
_MIN_SIDE_CHALLENGE = 8  # the ground truth is cropped to multiples of it


class RunningMoments:
    """Sums of the differences from the first sample, from which mean and standard deviation follow.

    Differences rather than values are summed, because the common part of the samples would use up float32's digits. For
    8-bit values the sums are whole numbers, exact for at least 250 samples; those of luma are accurate to a few
    thousandths.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first: np.ndarray | float = 0.0
        self._total: np.ndarray | float = 0.0
        self._squares: np.ndarray | float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Add one more sample's values, of any shape, the same each time."""
        values = values.astype(np.float32)
        if self.count == 0:
            self._first, self._total, self._squares = values, np.zeros_like(values), np.zeros_like(values)
        self.count += 1
        difference = values - self._first
        self._total += difference
        difference *= difference
        self._squares += difference

    def mean(self) -> np.ndarray:
        """Return the mean so far, float32."""
        return self._first + self._total / np.float32(self.count)

    def std(self, *, corrected: bool = False) -> np.ndarray:
        """Return the standard deviation, with the divisor N, or N - 1 if corrected."""
        count = np.float32(self.count)
        variance = self._total / count
        variance *= -variance
        variance += self._squares / count
        np.maximum(variance, 0, out=variance)
        variance *= np.float32(self.count / (self.count - 1) if corrected else 1.0)
        return np.sqrt(variance, out=variance)


class RunningSummary:
    """Summarises the samples of one request, 8-bit pictures, one after the other."""

    def __init__(self) -> None:
        self._rgb, self._luma = RunningMoments(), RunningMoments()
        self._halves = (RunningMoments(), RunningMoments())
        self._indices: list[int] = []
        self._pictures: list[np.ndarray] = []

    def add(self, index: int, picture: np.ndarray) -> None:
        """Add sample number `index`, uint8 (H, W, 3)."""
        luma = picture.astype(np.float32) @ LUMA
        self._halves[len(self._indices) % 2].add(luma)
        self._rgb.add(picture)
        self._luma.add(luma)
        self._indices.append(index)
        self._pictures.append(picture)

    def so_far(self) -> SetSummary:
        """Return the summary without the parts that are computed only at the end."""
        return SetSummary(final=False, **self._cheap())

    @property
    def pictures(self) -> Sequence[np.ndarray]:
        """Return all pictures that were added, in order."""
        return self._pictures

    def final(self, distances_of_pairs: np.ndarray | None, challenge: ChallengeScores | None) -> SetSummary:
        """Return the complete summary.

        Args: distances_of_pairs: LPIPS between all `pictures`, float32, (N, N); None: it was not requested.
        """
        mean = self._rgb.mean()
        distances = tuple(
            float(np.sqrt(np.mean(np.square(picture - mean), dtype=np.float64))) for picture in self._pictures
        )
        values = self._cheap() | {
            "distances_to_mean": distances,
            "nearest_to_mean": self._indices[int(np.argmin(distances))],
            "challenge": challenge,
        }
        count = len(self._pictures)
        if distances_of_pairs is not None:
            values["pairwise_lpips"] = distances_of_pairs
            values["medoid"] = self._indices[int(np.argmin(distances_of_pairs.sum(1)))]
            if count > 1:
                values["mean_pairwise_lpips"] = float(distances_of_pairs.sum() / (count * (count - 1)))
        return SetSummary(final=True, **values)

    def _cheap(self) -> dict[str, Any]:
        std_luma = self._luma.std()
        change = None
        if len(self._indices) >= 4:
            even, odd = (half.std(corrected=True) for half in self._halves)
            overall = float(std_luma.mean(dtype=np.float64))
            change = float(np.abs(even - odd).mean(dtype=np.float64) / overall) if overall > 0 else 0.0
        return {
            "indices": tuple(self._indices),
            "mean": np.rint(self._rgb.mean()).astype(np.uint8),
            "std_rgb": self._rgb.std(),
            "std_luma": std_luma,
            "diversity": float(std_luma.mean(dtype=np.float64)),
            "split_half_change": change,
        }


class TruthScorer:
    """Scores pictures against one ground truth, and a set of samples by the challenge's protocol.

    For small pictures nothing is raised: scores for which they are too small are None.

    Args: run: runs each piece of LPIPS's work.
    """

    def __init__(self, ground_truth: np.ndarray, perceptual: PerceptualDistance, run: Run = at_once) -> None:
        self._run = run
        smallest = min(ground_truth.shape[:2])
        self._hr = crop_ground_truth(ground_truth) if smallest >= _MIN_SIDE_CHALLENGE else ground_truth
        smallest = min(self._hr.shape[:2])
        self._with_ssim = smallest >= _MIN_SIDE_SSIM
        self._lpips_map = run(lambda: perceptual.map_to(self._hr)) if smallest >= MIN_SIDE else None
        self._lpips, self._mse = BestOfSamples(), BestOfSamples()
        self._scores: list[TruthScores] = []

    def score(self, picture: np.ndarray) -> TruthScores:
        """Score one picture that does not count as a sample."""
        return self._score(picture)[0]

    def add_sample(self, picture: np.ndarray) -> TruthScores:
        """Add one more sample of the set."""
        scores, picture, lpips_map = self._score(picture)
        if lpips_map is not None:
            self._lpips.add(lpips_map)
        self._mse.add(mse_map(picture, self._hr))
        self._scores.append(scores)
        return scores

    def challenge(self) -> ChallengeScores:
        """Return the scores of the set so far."""
        lpips = self._lpips.scores() if self._lpips_map is not None else None
        return ChallengeScores(
            psnr=float(np.mean([scores.psnr for scores in self._scores])),
            ssim=float(np.mean([scores.ssim for scores in self._scores])) if self._with_ssim else None,
            lpips=lpips.mean if lpips else None,
            lpips_global=lpips.global_best if lpips else None,
            lpips_local=lpips.local_best if lpips else None,
            diversity=lpips.diversity if lpips else None,
            mse_diversity=self._mse.scores().diversity,
        )

    def _score(self, picture: np.ndarray) -> tuple[TruthScores, np.ndarray, np.ndarray | None]:
        picture = crop_to_ground_truth(picture, self._hr)
        lpips_map_of = self._lpips_map
        lpips_map = None if lpips_map_of is None else self._run(lambda: lpips_map_of(picture))
        scores = TruthScores(
            psnr=psnr(picture, self._hr),
            ssim=ssim(picture, self._hr) if self._with_ssim else None,
            lpips=None if lpips_map is None else float(lpips_map.mean(dtype=np.float64)),
        )
        return scores, picture, lpips_map

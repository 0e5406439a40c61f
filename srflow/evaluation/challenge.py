"""The protocol of the NTIRE challenges "Learning the Super-Resolution Space" (Lugmayr et al., CVPRW 2021 and 2022).

The ground truth is cropped at the right and the bottom to multiples of 8, and scaled down by MATLAB's bicubic imresize
in its uint8 form. Several super-resolutions of every LR picture are drawn, rounded to 8 bits (the released code
truncates, which alone keeps the LR-PSNR below 51 dB), cropped to the ground truth, and scored. Every score is computed
per picture, then averaged over pictures. The samples are those that `srflow sample` writes.
PSNR, SSIM, the feature distance and bits per dimension are our additions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn
from tqdm import tqdm

from srflow.calibration.file import MAX_TEMPERATURE
from srflow.consistency import DEFAULT_ROUNDS
from srflow.contract import ImageError, InputError
from srflow.evaluation.drawing import SampleSource
from srflow.evaluation.features import FeatureDistance
from srflow.evaluation.metrics import (
    CROP_MULTIPLE,
    BestOfSamples,
    crop_to_ground_truth,
    mse_map,
    psnr,
    ssim,
)
from srflow.evaluation.pairing import PicturePair
from srflow.evaluation.perceptual import PerceptualDistance
from srflow.evaluation.results import MethodResult, Scores
from srflow.images import downscale_uint8, upscale_uint8
from srflow.pictures import load_image

if TYPE_CHECKING:
    from srflow.model import SRFlow

__all__ = ["GroundTruth", "SampleScorer", "check_size", "evaluate_bicubic", "evaluate_files", "evaluate_model"]


class GroundTruth:
    """A ground-truth picture with the data that all of its scorers share, computed once.

    Args:
        hr: cropped; uint8, (H, W, 3).
        scale_factor: of the LR picture, for the LR-PSNR.
        perceptual: the LPIPS network.
        features: the network of the second distance; None leaves that out.
    """

    def __init__(
        self,
        hr: np.ndarray,
        scale_factor: int,
        perceptual: PerceptualDistance,
        features: FeatureDistance | None = None,
    ) -> None:
        self.hr = hr
        self.scale_factor = scale_factor
        self.lr = downscale_uint8(hr, scale_factor)
        self.lpips_map = perceptual.map_to(hr)
        self.feature_distance = None if features is None else features.distance_to(hr)


class SampleScorer:
    """Scores the samples of one picture, one after the other; no sample is kept."""

    def __init__(self, truth: GroundTruth) -> None:
        self._truth = truth
        self._psnr: list[float] = []
        self._ssim: list[float] = []
        self._lr_psnr: list[float] = []
        self._feature_distance: list[float] = []
        self._lpips = BestOfSamples()
        self._mse = BestOfSamples()
        self._num_exploded = 0

    def add(self, sr: np.ndarray, *, exploded: bool = False) -> None:
        """Score one more sample.

        Args:
            sr: uint8, (H', W', 3), at least as large as the ground truth, to which it is cropped.
            exploded: see `DrawnSample`; such samples are counted, too.
        Raises: InputError: it is anything else.
        """
        hr = self._truth.hr
        self._num_exploded += exploded
        sr = crop_to_ground_truth(sr, hr)
        self._psnr.append(psnr(sr, hr))
        self._ssim.append(ssim(sr, hr))
        # The same as `metrics.lr_psnr`, but the ground truth is scaled down only once for all samples.
        self._lr_psnr.append(psnr(downscale_uint8(sr, self._truth.scale_factor), self._truth.lr))
        self._lpips.add(self._truth.lpips_map(sr))
        if self._truth.feature_distance is not None:
            self._feature_distance.append(self._truth.feature_distance(sr))
        self._mse.add(mse_map(sr, hr))

    def scores(self, *, seconds: float | None = None, bits_per_dim: float | None = None) -> Scores:
        """Return the scores of all samples so far. Raises InputError: there are none."""
        if not self._psnr:
            raise InputError("There are no samples to score; give at least one.")
        perceptual = self._lpips.scores()
        return Scores(
            psnr=_mean(self._psnr),
            ssim=_mean(self._ssim),
            lr_psnr=_mean(self._lr_psnr),
            lr_psnr_worst=min(self._lr_psnr),
            lpips=perceptual.mean,
            lpips_global=perceptual.global_best,
            lpips_local=perceptual.local_best,
            feature_distance=_mean(self._feature_distance) if self._feature_distance else None,
            diversity=perceptual.diversity,
            mse_diversity=self._mse.scores().diversity,
            bits_per_dim=bits_per_dim,
            seconds=seconds,
            exploded=self._num_exploded / len(self._psnr),
        )


def evaluate_bicubic(
    pairs: Sequence[PicturePair],
    *,
    scale_factor: int,
    perceptual: PerceptualDistance,
    features: FeatureDistance | None = None,
    progress: bool = False,
) -> MethodResult:
    """Score MATLAB's bicubic upscaling of the LR pictures, as a baseline.

    Args:
        pairs: see `pairing.find_pairs`.
        features: see `GroundTruth`.
        progress: show a bar on stderr.

    Raises: ImageError: a picture is broken, or its size does not fit; the message names it.
    """
    scores = {}
    for pair, hr, lr in _load_all(pairs, scale_factor, "bicubic", progress):
        scores[pair.name] = _score_bicubic(GroundTruth(hr, scale_factor, perceptual, features), lr)
    return MethodResult(method="bicubic", pictures=scores)


def evaluate_files(
    name: str,
    files: Mapping[str, Sequence[Path]],
    pairs: Sequence[PicturePair],
    *,
    scale_factor: int,
    perceptual: PerceptualDistance,
    features: FeatureDistance | None = None,
    progress: bool = False,
) -> MethodResult:
    """Score super-resolutions from files, made by any method.

    Args:
        name: of the method.
        files: see `pairing.find_samples`.
        pairs: the ground truth.
        features: see `GroundTruth`.
        progress: show a bar.

    Raises: ImageError: a picture is broken, or its size does not fit; the message names it.
    """
    scores = {}
    for pair, hr, _ in _load_all(pairs, scale_factor, name, progress):
        scorer = SampleScorer(GroundTruth(hr, scale_factor, perceptual, features))
        for path in files[pair.name]:
            sr = load_image(path)
            check_size(path, sr, pair, hr, scale_factor)
            scorer.add(sr)
        scores[pair.name] = scorer.scores()
    return MethodResult(method=name, pictures=scores, num_samples=len(files[pairs[0].name]))


def evaluate_model(
    source: SampleSource,
    pairs: Sequence[PicturePair],
    *,
    num_samples: int = 10,
    temperatures: Sequence[float] | None = None,
    seed: int = 0,
    consistency_rounds: int = DEFAULT_ROUNDS,
    perceptual: PerceptualDistance | None = None,
    features: FeatureDistance | None = None,
    progress: bool = False,
) -> list[MethodResult]:
    """Score a model: bicubic, the encoder's own output, then samples at each temperature, with and without the step.

    Every picture's samples are those of `seed`, so they can be drawn again one picture at a time; the same noise,
    scaled, is used at all temperatures. `seconds` is the time of one super-resolution: the encoder, one sample, and the
    consistency step. Bits per dimension are those of the unchanged ground truth, without the noise of training, and do
    not depend on the temperature.

    Args:
        source: draws the samples, see `srflow.sampling.measured.MeasuredModel`.
        pairs: see `pairing.find_pairs`.
        num_samples: of every picture and temperature; the challenge: 10. The diversity depends on it.
        temperatures: None for the model's default one.
        consistency_rounds: of back-projection in the rows with the consistency step; 0 leaves these rows out.
        perceptual: the LPIPS network; None builds one on the CPU.
        features: the network of the second distance; None leaves that out.
        progress: show a bar on stderr.
    Returns: one result per row of the table, in that order.

    Raises:
        InputError: no pictures or samples, or a number that the engine refuses.
        ImageError: a picture is broken, or its size does not fit; the message names it.
    """
    model = source.model
    temperatures = [model.config.default_temperature] if temperatures is None else list(temperatures)
    _check_settings(pairs, num_samples, temperatures)
    perceptual = perceptual or PerceptualDistance()
    rows = _rows(model, num_samples, temperatures, consistent=consistency_rounds > 0)
    for pair, hr, lr in _load_all(pairs, model.scale_factor, model.config.name, progress):
        truth = GroundTruth(hr, model.scale_factor, perceptual, features)
        bits = _bits_of(source, truth.hr, lr)
        scores = [_score_bicubic(truth, lr), _score_encoder(source, truth, lr)]
        for temperature in temperatures:
            scorers = [SampleScorer(truth) for _ in range(1 + (consistency_rounds > 0))]
            seconds = [0.0] * len(scorers)
            for sample in source.draw(lr, num_samples, temperature, seed, consistency_rounds):
                scorers[0].add(sample.plain, exploded=sample.exploded)
                seconds[0] += sample.seconds
                if sample.consistent is not None:
                    scorers[1].add(sample.consistent, exploded=sample.exploded)
                    seconds[1] += sample.seconds + sample.consistency_seconds
            scores.append(scorers[0].scores(seconds=seconds[0] / num_samples, bits_per_dim=bits))
            scores += [scorer.scores(seconds=seconds[1] / num_samples) for scorer in scorers[1:]]
        for row, score in zip(rows, scores, strict=True):
            row.pictures[pair.name] = score
    return rows


def _rows(model: SRFlow, num_samples: int, temperatures: Sequence[float], *, consistent: bool) -> list[MethodResult]:
    """Return the rows of `evaluate_model`, without scores yet."""
    name = model.config.name
    encoder, flow = _num_params(model.encoder), _num_params(model.flow)
    rows = [
        MethodResult(method="bicubic"),
        MethodResult(method=f"{name}, encoder alone", params=encoder, params_total=encoder),
    ]
    for temperature in temperatures:
        for method in (name, f"{name} + consistency")[: 1 + consistent]:
            rows.append(
                MethodResult(
                    method=method,
                    num_samples=num_samples,
                    temperature=temperature,
                    params=flow,
                    params_total=flow + encoder,
                )
            )
    return rows


def _score_encoder(source: SampleSource, truth: GroundTruth, lr: np.ndarray) -> Scores:
    """Score the super-resolution of the encoder alone."""
    sr, seconds = source.encoder_alone(lr)
    scorer = SampleScorer(truth)
    scorer.add(sr)
    return scorer.scores(seconds=seconds)


def _bits_of(source: SampleSource, hr: np.ndarray, lr: np.ndarray) -> float | None:
    """Return the bits per dimension of the ground truth; None if they are not finite, or the picture is too large.

    A given LR picture may show a few pixels more than the cropped ground truth, and the original SRFlow needs even LR
    sides: then both are cropped to their common part.
    """
    scale, unit = source.model.scale_factor, source.model.config.lr_multiple
    height, width = (side // (scale * unit) * unit for side in hr.shape[:2])
    log_prob = source.log_prob(lr[:height, :width], hr[: height * scale, : width * scale])
    if log_prob is None or not math.isfinite(log_prob):
        return None
    return -log_prob / (3 * height * width * scale**2 * math.log(2))


def _score_bicubic(truth: GroundTruth, lr: np.ndarray) -> Scores:
    start = time.perf_counter()
    sr = upscale_uint8(lr, truth.scale_factor)
    seconds = time.perf_counter() - start
    scorer = SampleScorer(truth)
    scorer.add(sr)
    return scorer.scores(seconds=seconds)


def check_size(path: Path, sr: np.ndarray, pair: PicturePair, hr: np.ndarray, scale_factor: int) -> None:
    """Check that `sr` can belong to the picture that was cropped to `hr`: as large, or larger by what was cropped.

    That is up to 7 pixels, and scale_factor - 1 more if the LR picture's size was rounded up.

    Raises: ImageError: it cannot; the message names the file.
    """
    margins = [side - true for side, true in zip(sr.shape[:2], hr.shape[:2], strict=True)]
    if not all(0 <= margin < CROP_MULTIPLE + scale_factor for margin in margins):
        raise ImageError(
            f"{path.name} is {sr.shape[1]}x{sr.shape[0]}, but the ground truth {pair.hr.name}, cropped to multiples of "
            f"{CROP_MULTIPLE}, is {hr.shape[1]}x{hr.shape[0]}; check the scale factor and the folders."
        )


def _load_all(
    pairs: Sequence[PicturePair], scale_factor: int, what: str, progress: bool
) -> Iterator[tuple[PicturePair, np.ndarray, np.ndarray]]:
    """Yield every pair with its cropped ground truth and LR picture, read one by one."""
    for pair in tqdm(pairs, desc=what, unit="picture", disable=not progress):
        yield pair, *pair.load(scale_factor)


def _check_settings(pairs: Sequence[PicturePair], num_samples: int, temperatures: Sequence[float]) -> None:
    if not pairs:
        raise InputError("There are no pictures to evaluate on; give at least one.")
    if num_samples < 1:
        raise InputError(f"num_samples is {num_samples}; it must be at least 1.")
    if not temperatures:
        raise InputError("There are no temperatures; give at least one, or None for the model's default.")
    for temperature in temperatures:
        if not 0 <= temperature <= MAX_TEMPERATURE:  # false for NaN, too
            raise InputError(f"The temperature is {temperature}; it must be from 0 to {MAX_TEMPERATURE:g}.")


def _num_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

"""The protocol of the NTIRE challenges "Learning the Super-Resolution Space" (Lugmayr et al., CVPRW 2021 and 2022).

The ground truth is cropped at the right and the bottom to multiples of 8, and scaled down by MATLAB's bicubic imresize
in its uint8 form. Several super-resolutions of every LR picture are drawn, rounded to 8 bits (the released code
truncates, which alone keeps the LR-PSNR below 51 dB), cropped to the ground truth, and scored. Every score is computed
per picture, then averaged over pictures. PSNR, SSIM, the feature distance and bits per dimension are our additions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from srflow.contract import ImageError, InputError
from srflow.evaluation.drawing import MAX_PIXELS_PER_BATCH, PictureSampler, Refine, Stopwatch
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
from srflow.images import downscale_uint8, to_tensor, to_uint8, upscale_uint8
from srflow.likelihood import bits_per_dimension
from srflow.pictures import load_image

if TYPE_CHECKING:
    from srflow.model import Conditioning, SRFlow

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
        self._num_non_finite = 0

    def add(self, sr: np.ndarray) -> None:
        """Score one more sample.

        Args: sr: uint8, (H', W', 3), at least as large as the ground truth, to which it is cropped.
        Raises: InputError: it is anything else.
        """
        hr = self._truth.hr
        sr = crop_to_ground_truth(sr, hr)
        self._psnr.append(psnr(sr, hr))
        self._ssim.append(ssim(sr, hr))
        # The same as `metrics.lr_psnr`, but the ground truth is scaled down only once for all samples.
        self._lr_psnr.append(psnr(downscale_uint8(sr, self._truth.scale_factor), self._truth.lr))
        self._lpips.add(self._truth.lpips_map(sr))
        if self._truth.feature_distance is not None:
            self._feature_distance.append(self._truth.feature_distance(sr))
        self._mse.add(mse_map(sr, hr))

    def add_float(self, sr: Tensor) -> None:
        """Round a sample to 8 bits and score it; a sample with NaN or infinity is only counted.

        Args: sr: (3, H', W'), floats, nominally in [0, 1].
        """
        if torch.isfinite(sr).all():
            self.add(to_uint8(sr))
        else:
            self._num_non_finite += 1

    def scores(self, *, seconds: float | None = None, bits_per_dim: float | None = None) -> Scores:
        """Return the scores of all samples so far; if all are non-finite, only their share."""
        count = len(self._psnr) + self._num_non_finite
        if count == 0:
            raise InputError("There are no samples to score; give at least one.")
        share = self._num_non_finite / count
        if not self._psnr:
            return Scores(non_finite=share, seconds=seconds, bits_per_dim=bits_per_dim)
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
            non_finite=share,
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

    Args: pairs: see `pairing.find_pairs`. features: see `GroundTruth`. progress: show a bar on stderr.
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

    Args: name: of the method. files: see `pairing.find_samples`. pairs: the ground truth. features: see `GroundTruth`.
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
    model: SRFlow,
    pairs: Sequence[PicturePair],
    *,
    num_samples: int = 10,
    temperatures: Sequence[float] | None = None,
    seed: int = 0,
    refine: Refine | None = None,
    perceptual: PerceptualDistance | None = None,
    features: FeatureDistance | None = None,
    max_pixels_per_batch: int = MAX_PIXELS_PER_BATCH,
    progress: bool = False,
) -> list[MethodResult]:
    """Score a model: bicubic, the encoder's own output, then the model at each temperature, without and with `refine`.

    Every picture's samples are those of `seed`, so they can be drawn again one picture at a time; the same noise,
    scaled, is used at all temperatures. The encoder reads each LR picture once for all of them. `seconds` is the time
    of one super-resolution: the encoder, one sample (the mean over samples, decoded in batches), and `refine`. Bits per
    dimension are those of the unchanged ground truth, without the noise of training, and do not depend on the
    temperature.

    Args:
        model: on the device where it is to run; evaluated in eval mode; its own mode is restored afterwards.
        pairs: see `pairing.find_pairs`.
        num_samples: of every picture and temperature; the challenge: 10. The diversity depends on it.
        temperatures: None for the model's default one.
        refine: e.g. `srflow.consistency.back_project` with its numbers fixed.
        perceptual: the LPIPS network; None builds one on the model's device.
        features: the network of the second distance; None leaves that out.
        max_pixels_per_batch: HR pixels of the samples that are decoded together; bounds the memory.
        progress: show a bar on stderr.
    Returns: one result per row of the table, in that order.

    Raises:
        InputError: no pictures or samples, or a temperature that is negative or not finite.
        ImageError: a picture is broken, or its size does not fit; the message names it.
    """
    temperatures = [model.config.default_temperature] if temperatures is None else list(temperatures)
    _check_settings(pairs, num_samples, temperatures)
    perceptual = perceptual or PerceptualDistance(model.device)
    rows = _rows(model, num_samples, temperatures, with_refined=refine is not None)
    was_training = model.training
    model.eval()
    try:
        for pair, hr, lr in _load_all(pairs, model.scale_factor, model.config.name, progress):
            truth = GroundTruth(hr, model.scale_factor, perceptual, features)
            picture = _ModelPicture(model, truth, PictureSampler(model, lr, refine, max_pixels_per_batch))
            scores = [_score_bicubic(truth, lr), picture.encoder_alone()]
            for temperature in temperatures:
                scores += picture.samples(num_samples, temperature, seed)
            for row, score in zip(rows, scores, strict=True):
                row.pictures[pair.name] = score
    finally:
        model.train(was_training)
    return rows


def _rows(model: SRFlow, num_samples: int, temperatures: Sequence[float], *, with_refined: bool) -> list[MethodResult]:
    """Return the rows of `evaluate_model`, without scores yet."""
    name = model.config.name
    encoder, flow = _num_params(model.encoder), _num_params(model.flow)
    rows = [
        MethodResult(method="bicubic"),
        MethodResult(method=f"{name}, encoder alone", params=encoder, params_total=encoder),
    ]
    for temperature in temperatures:
        for method in (name, f"{name} + consistency")[: 1 + with_refined]:
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


class _ModelPicture:
    """The evaluation of one picture by one model: shared data, computed once, and the rows."""

    def __init__(self, model: SRFlow, truth: GroundTruth, sampler: PictureSampler) -> None:
        self._model = model
        self._truth = truth
        self._sampler = sampler
        self._bits_per_dim = self._bits_of(truth.hr)

    @torch.no_grad()
    def encoder_alone(self) -> Scores:
        """Score the super-resolution of the encoder alone."""
        with Stopwatch(self._model.device) as watch:
            sr = self._model.encoder.super_resolve(self._sampler.lr)
        scorer = SampleScorer(self._truth)
        scorer.add_float(sr[0].cpu())
        return scorer.scores(seconds=watch.seconds)

    def samples(self, num_samples: int, temperature: float, seed: int) -> list[Scores]:
        """Score samples of the model, and the same ones after refining, if requested."""
        plain, refined = SampleScorer(self._truth), SampleScorer(self._truth)
        decode_seconds = refine_seconds = 0.0
        with_refined = False
        for batch in self._sampler.draw(num_samples, temperature, seed):
            decode_seconds += batch.decode_seconds
            for sample in batch.plain:
                plain.add_float(sample)
            if batch.refined is not None:
                with_refined = True
                refine_seconds += batch.refine_seconds
                for sample in batch.refined:
                    refined.add_float(sample)
        seconds = self._sampler.condition_seconds + decode_seconds / num_samples
        scores = plain.scores(seconds=seconds, bits_per_dim=self._bits_per_dim)
        if not with_refined:
            return [scores]
        return [scores, refined.scores(seconds=seconds + refine_seconds / num_samples)]

    @torch.no_grad()
    def _bits_of(self, hr: np.ndarray) -> float | None:
        """Return the bits per dimension of the ground truth; None if they are not finite.

        A given LR picture may show a few pixels more than the cropped ground truth, and the original SRFlow needs even
        LR sides: then both are cropped to their common part.
        """
        model = self._model
        unit = model.config.lr_multiple
        height, width = (side // (model.scale_factor * unit) * unit for side in hr.shape[:2])
        conditioning: Conditioning = self._sampler.conditioning
        if (height, width) != self._sampler.size:
            conditioning = model.condition(self._sampler.lr[..., :height, :width])
        true = to_tensor(hr[: height * model.scale_factor, : width * model.scale_factor]).to(model.device)
        _, log_prob = model.encode(true, conditioning)
        bits = bits_per_dimension(log_prob, *true.shape[-2:]).item()
        return bits if math.isfinite(bits) else None


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
        if not (math.isfinite(temperature) and temperature >= 0):
            raise InputError(f"The temperature is {temperature}; it must be a finite number of 0 or more.")


def _num_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

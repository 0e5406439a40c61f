"""Requests in, results out: the one door through which the page and the command line use a model."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from srflow import __version__
from srflow.checkpoints.shipped import DEFAULT_CHECKPOINT, resolve_checkpoint, shipped_checkpoints
from srflow.contract import (
    Cancelled,
    CheckpointError,
    EngineInfo,
    Estimate,
    InputError,
    MemoryBudgetError,
    ModelInfo,
    Precision,
    Progress,
    Recipe,
    Reference,
    SampleEvent,
    SampleRequest,
    SampleResult,
    picture_sha256,
)
from srflow.evaluation.metrics import psnr
from srflow.evaluation.perceptual import PerceptualDistance
from srflow.images import (
    MAX_PIXELS,
    crop_to_multiple,
    downscale_uint8,
    load_image,
    read_png_text,
    save_png,
    to_tensor,
    to_uint8,
    upscale_uint8,
)
from srflow.latents import check_seed, draw
from srflow.likelihood import bits_per_dimension, log_likelihood
from srflow.model import SRFlow, pad_to_multiple
from srflow.sampling.consistency import back_project
from srflow.sampling.hardware import DTYPES, choose_precision, memory_limit, resolve_device
from srflow.sampling.inference import InferenceModel, PreparedPicture
from srflow.sampling.summary import RunningSummary, TruthScorer

__all__ = ["SamplingEngine"]

_MAX_SAMPLES = 10_000
_EXPLODED = 4.0  # a raw value this far from [0, 1] is no overshoot: the inverse has left what the model knows
_CLIPPED_LATENT = 1.5  # to which the latents, after temperature, are clipped before such a sample is decoded again
# Trained on with the flow, an encoder may forget its own super-resolution; below this LR-PSNR, in dB, it has, and its
# picture would mislead.
_ENCODER_LR_PSNR = 25.0
_BYTES_PER_VALUE = 4
_WORKING_COPIES = 3  # of the widest activations, alive together while a picture is conditioned or decoded


@dataclass(frozen=True)
class _Loaded:
    info: ModelInfo
    model: SRFlow  # float32, on the CPU; rearranged copies are made of it


class SamplingEngine:
    """`srflow.contract.Engine` on a real model.

    A picture is conditioned once; what that gives is kept, so that another temperature or seed runs the flow alone. One
    lock guards the device; it is free between samples, so that several visitors take turns.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: of the convolutions; None measures which is best.
        checkpoints: names of shipped checkpoints, folders or Hub ids; None takes all that are shipped.
        cache_bytes: how much prepared pictures may hold together; the longest unused go first.
    Raises: CheckpointError: a checkpoint cannot be loaded. InputError: no such device.
    """

    def __init__(
        self,
        device: str = "auto",
        precision: Precision | None = None,
        checkpoints: Sequence[str | Path] | None = None,
        cache_bytes: int = 1 << 30,
    ) -> None:
        self._device = resolve_device(device)
        chosen, reason = choose_precision(self._device) if precision is None else (precision, "asked for")
        self._precision: Precision = chosen
        self._reason = reason
        self._cache_bytes = cache_bytes
        self._models = _load_models(checkpoints)
        self._default = DEFAULT_CHECKPOINT if DEFAULT_CHECKPOINT in self._models else next(iter(self._models))
        self._rearranged: dict[tuple[str, Precision], InferenceModel] = {}
        self._prepared: OrderedDict[tuple[str, Precision, str], PreparedPicture] = OrderedDict()
        self._perceptual: PerceptualDistance | None = None
        self._seconds_per_pixel: dict[str, float] = {}  # of LR, for "conditioning" and "sampling", as last measured
        self._lock = threading.Lock()

    def info(self) -> EngineInfo:
        """Device, precision, models."""
        return EngineInfo(
            device=_describe(self._device),
            precision=self._precision,
            precision_reason=self._reason,
            memory_limit=memory_limit(self._device),
            models=tuple(loaded.info for loaded in self._models.values()),
            default_model=self._default,
            version=__version__,
        )

    def estimate(self, request: SampleRequest) -> Estimate:
        """Time and memory of a request; times are guesses from earlier requests, or 0 before the first.

        Raises: InputError: the request does not fit. MemoryBudgetError: it needs more memory than there is.
        """
        loaded, precision = self._check(request)
        height, width = request.lr.shape[:2]
        s = loaded.info.scale_factor
        cached = self._key(loaded, precision, request) in self._prepared
        num_bytes = _working_bytes(loaded.model, height, width) + request.num_samples * 3 * height * width * s * s
        limit = memory_limit(self._device)
        if num_bytes > limit:
            raise MemoryBudgetError(
                f"A picture of {width}x{height} at x{s} needs about {num_bytes / 1e9:.1f} GB; {limit / 1e9:.1f} GB are "
                "free. Choose a smaller region of it."
            )
        conditioning = 0.0 if cached else self._seconds_per_pixel.get("conditioning", 0.0) * height * width
        sampling = self._seconds_per_pixel.get("sampling", 0.0) * height * width
        return Estimate(
            seconds=conditioning + request.num_samples * sampling,
            seconds_to_first=conditioning + sampling,
            num_bytes=num_bytes,
            precision=precision,
            tile=0,
            num_tiles=1,
            height=height * s,
            width=width * s,
            cached=cached,
        )

    def sample(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[SampleEvent]:
        """Draw the samples; each is yielded when it is finished. See `srflow.contract.Engine`."""
        loaded, precision = self._check(request)
        yield self.estimate(request)
        yield Progress(stage="conditioning", fraction=0.0, text="Reading the picture")
        stop = _stopper(cancel)
        prepared, _ = self._prepare(loaded, precision, request, stop)
        truth = None
        if request.ground_truth is not None:
            truth = TruthScorer(request.ground_truth, self._distance())
        summary = RunningSummary()
        for number in range(request.num_samples):
            yield Progress(stage="sampling", fraction=number / request.num_samples, text=f"Drawing sample {number + 1}")
            stop()
            result = self._draw(loaded, precision, request, request.first_index + number, prepared, truth, stop)
            yield result
            if request.summaries:
                summary.add(result.index, result.picture)
                yield summary.so_far()
        if request.summaries:
            yield Progress(stage="comparing", fraction=1.0, text="Comparing the samples")
            stop()
            distance = self._distance() if request.pairwise_lpips else None
            yield summary.final(distance, truth.challenge() if truth else None)

    def references(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[Reference]:
        """Bicubic, the encoder's own picture, and the flow's at temperature 0 (with the request's consistency step).

        The encoder's is left out where training with the flow has spoilt it.
        """
        loaded, precision = self._check(request)
        stop = _stopper(cancel)
        truth = TruthScorer(request.ground_truth, self._distance()) if request.ground_truth is not None else None
        s = loaded.info.scale_factor

        def reference(kind: str, picture: np.ndarray) -> Reference:
            scores = truth.score(picture) if truth else None
            return Reference(kind=kind, picture=picture, lr_psnr=_lr_psnr(picture, request.lr, s), truth=scores)

        yield reference("bicubic", upscale_uint8(request.lr, s))
        prepared, lr = self._prepare(loaded, precision, request, stop)
        with self._lock, torch.inference_mode():
            stop()
            own = self._inference_model(loaded, precision).super_resolve(lr, stop)
        encoder = reference("encoder", to_uint8(own[..., : request.lr.shape[0] * s, : request.lr.shape[1] * s]))
        if encoder.lr_psnr >= _ENCODER_LR_PSNR:
            yield encoder
        raw, _, _ = self._decode(loaded, precision, request, 0, 0.0, prepared, stop)
        yield reference("zero_temperature", self._finish(raw, request, s))

    def open_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> np.ndarray:
        """Read a picture file: see `srflow.images.load_image`."""
        return load_image(source, max_pixels=max_pixels or MAX_PIXELS)

    def scale_down(self, hr: np.ndarray, model: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """An HR picture → its LR picture for that model, and the ground truth, cropped to fit."""
        loaded = self._model(model)
        ground_truth = crop_to_multiple(hr, loaded.info.scale_factor * loaded.info.lr_multiple)
        return downscale_uint8(ground_truth, loaded.info.scale_factor), ground_truth

    def save_png(self, path: str | Path, picture: np.ndarray, text: Mapping[str, str] | None = None) -> None:
        """Write a PNG: see `srflow.images.save_png`."""
        save_png(path, picture, text=text)

    def read_png_text(self, source: str | Path | bytes | BinaryIO) -> dict[str, str]:
        """The text in a PNG: see `srflow.images.read_png_text`."""
        return read_png_text(source)

    def _check(self, request: SampleRequest) -> tuple[_Loaded, Precision]:
        loaded = self._model(request.model)
        info, lr = loaded.info, request.lr
        if lr.dtype != np.uint8 or lr.ndim != 3 or lr.shape[2] != 3 or 0 in lr.shape:
            raise InputError(f"The LR picture must be uint8 (h, w, 3) and not empty; got {lr.dtype} {lr.shape}.")
        if not 1 <= request.num_samples <= _MAX_SAMPLES:
            raise InputError(f"num_samples is {request.num_samples}; it must be from 1 to {_MAX_SAMPLES}.")
        if request.temperature is not None and not 0 <= request.temperature <= 2:
            raise InputError(f"The temperature is {request.temperature}; it must be from 0 to 2.")
        if not 0 <= request.consistency_rounds <= 100:
            raise InputError(f"consistency_rounds is {request.consistency_rounds}; it must be from 0 to 100.")
        if request.tile:
            raise InputError(f"tile is {request.tile}; pictures are made in one piece (tile 0) in this release.")
        check_seed(request.seed)
        if request.weights_sha256 not in (None, info.weights_sha256):
            raise InputError(
                f"The recipe was made with other weights of {info.key} than those that are loaded; its pixels cannot "
                "be made again. Load the checkpoint that it was made with."
            )
        expected = tuple(side * info.scale_factor for side in lr.shape[:2])
        if request.ground_truth is not None and request.ground_truth.shape[:2] != expected:
            raise InputError(
                f"The ground truth is {request.ground_truth.shape[:2]}, but at x{info.scale_factor} this LR picture "
                f"needs one of {expected}."
            )
        precision = request.precision or self._precision
        if precision not in DTYPES:
            raise InputError(f"The precision is {precision!r}; use one of {', '.join(DTYPES)}.")
        return loaded, precision

    def _model(self, key: str | None) -> _Loaded:
        key = self._default if key is None else key
        if key not in self._models:
            raise InputError(f"There is no model {key!r} here; there are {', '.join(self._models)}.")
        return self._models[key]

    def _distance(self) -> PerceptualDistance:
        with self._lock:
            if self._perceptual is None:
                self._perceptual = PerceptualDistance(self._device)
            return self._perceptual

    def _inference_model(self, loaded: _Loaded, precision: Precision) -> InferenceModel:
        """The model rearranged for sampling; made when first needed, under the lock."""
        key = (loaded.info.key, precision)
        if key not in self._rearranged:
            copy = SRFlow(loaded.model.config, loaded.model.metadata)
            copy.load_state_dict(loaded.model.state_dict())
            self._rearranged[key] = InferenceModel(copy.to(self._device), DTYPES[precision])
        return self._rearranged[key]

    @staticmethod
    def _key(loaded: _Loaded, precision: Precision, request: SampleRequest) -> tuple[str, Precision, str]:
        return loaded.info.key, precision, picture_sha256(request.lr)

    def _prepare(
        self, loaded: _Loaded, precision: Precision, request: SampleRequest, stop: Callable[[], None]
    ) -> tuple[PreparedPicture, Tensor]:
        """What does not depend on the sample, from the cache if it is there; and the padded LR picture."""
        key = self._key(loaded, precision, request)
        lr = pad_to_multiple(to_tensor(request.lr), loaded.info.lr_multiple).to(self._device)
        with self._lock:
            stop()
            prepared = self._prepared.pop(key, None)
            if prepared is None:
                started = time.perf_counter()
                prepared = self._inference_model(loaded, precision).condition(lr, stop)
                self._measured("conditioning", request, time.perf_counter() - started)
            self._prepared[key] = prepared  # at the end: the last used
            while len(self._prepared) > 1 and sum(p.num_bytes() for p in self._prepared.values()) > self._cache_bytes:
                self._prepared.popitem(last=False)
            if prepared.num_bytes() > self._cache_bytes:
                self._prepared.pop(key)
        return prepared, lr

    def _measured(self, what: str, request: SampleRequest, seconds: float) -> None:
        self._seconds_per_pixel[what] = seconds / (request.lr.shape[0] * request.lr.shape[1])

    def _draw(
        self,
        loaded: _Loaded,
        precision: Precision,
        request: SampleRequest,
        index: int,
        prepared: PreparedPicture,
        truth: TruthScorer | None,
        stop: Callable[[], None],
    ) -> SampleResult:
        started = time.perf_counter()
        info = loaded.info
        temperature = info.default_temperature if request.temperature is None else request.temperature
        raw, log_prob, flags = self._decode(loaded, precision, request, index, temperature, prepared, stop)
        clipped = ((raw < 0) | (raw > 1)).float().mean().item()
        picture = self._finish(raw, request, info.scale_factor)
        self._measured("sampling", request, time.perf_counter() - started)
        height, width = request.lr.shape[:2]
        padded = prepared.height * prepared.width * info.scale_factor**2
        return SampleResult(
            index=index,
            picture=picture,
            lr_psnr=_lr_psnr(picture, request.lr, info.scale_factor),
            bits_per_dimension=bits_per_dimension(log_prob, padded, 1).item(),
            clipped=clipped,
            flags=flags,
            recipe=Recipe(
                model=info.key,
                weights_sha256=info.weights_sha256,
                scale_factor=info.scale_factor,
                seed=request.seed,
                index=index,
                temperature=float(temperature),
                consistency_rounds=request.consistency_rounds,
                precision=precision,
                tile=0,
                lr_height=height,
                lr_width=width,
                lr_sha256=picture_sha256(request.lr),
                version=__version__,
            ),
            seconds=time.perf_counter() - started,
            truth=truth.add_sample(picture) if truth else None,
        )

    def _decode(
        self,
        loaded: _Loaded,
        precision: Precision,
        request: SampleRequest,
        index: int,
        temperature: float,
        prepared: PreparedPicture,
        stop: Callable[[], None],
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """One raw sample, (1, 3, s h, s w), its log p, and what a person should know of it."""
        shapes = loaded.model.latent_shapes(*request.lr.shape[:2])
        drawn = [latent * temperature for latent in draw(shapes, 1, request.seed, first_sample=index)]
        flags: tuple[str, ...] = ()
        with self._lock, torch.inference_mode():
            stop()
            model = self._inference_model(loaded, precision)
            raw, log_prob = _decode_once(model, drawn, prepared, stop)
            if not _is_sound(raw):
                clipped = [latent.clamp(-_CLIPPED_LATENT, _CLIPPED_LATENT) for latent in drawn]
                raw, log_prob = _decode_once(model, clipped, prepared, stop)
                flags = (f"decoded again from latents clipped to ±{_CLIPPED_LATENT}: the first try exploded",)
                if not _is_sound(raw):
                    raw = torch.nan_to_num(raw, 0.0, 0.0, 0.0).clamp(-_EXPLODED, _EXPLODED)
                    flags = (*flags, "broken: not finite or exploded even so")
        s = loaded.info.scale_factor
        return raw[..., : request.lr.shape[0] * s, : request.lr.shape[1] * s], log_prob, flags

    def _finish(self, raw: Tensor, request: SampleRequest, scale_factor: int) -> np.ndarray:
        """The consistency step, then 8 bits."""
        with torch.inference_mode():
            lr = to_tensor(request.lr).to(raw.device)
            return to_uint8(back_project(raw, lr, scale_factor, request.consistency_rounds))


def _decode_once(
    model: InferenceModel, latents: Sequence[Tensor], prepared: PreparedPicture, stop: Callable[[], None]
) -> tuple[Tensor, Tensor]:
    on_device = [latent.to(model.device) for latent in latents]
    raw, log_dets = model.decode(on_device, prepared, stop)
    return raw, log_likelihood(on_device, [-log_det for log_det in log_dets])


def _is_sound(raw: Tensor) -> bool:
    """Finite, and nowhere further than `_EXPLODED` from [0, 1]."""
    return bool((raw >= -_EXPLODED).all() & (raw <= 1 + _EXPLODED).all())  # false for NaN, too


def _stopper(cancel: threading.Event | None) -> Callable[[], None]:
    def stop() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled("Stopped.")

    return stop


def _lr_psnr(picture: np.ndarray, lr: np.ndarray, scale_factor: int) -> float:
    """Of the picture, scaled down, against the LR picture that it was made from: what is known must be kept."""
    return psnr(downscale_uint8(picture, scale_factor), lr)


def _load_models(names: Sequence[str | Path] | None) -> dict[str, _Loaded]:
    if names is None:
        names = [folder.name for folder in shipped_checkpoints()]
        if not names:
            raise CheckpointError("No checkpoint comes with this installation; name one (--checkpoint FOLDER).")
    loaded = {}
    for name in names:
        model = SRFlow.from_pretrained(resolve_checkpoint(name))
        key = Path(name).name
        loaded[key] = _Loaded(
            ModelInfo(
                key=key,
                label=f"{model.config.name} (×{model.scale_factor})",
                scale_factor=model.scale_factor,
                default_temperature=model.config.default_temperature,
                weights_sha256=model.metadata.weights_sha256,
                license=model.metadata.license,
                provenance=model.metadata.provenance,
                lr_multiple=model.config.lr_multiple,
            ),
            model,
        )
    return loaded


def _working_bytes(model: SRFlow, height: int, width: int) -> int:
    """About what conditioning keeps and decoding needs beside it."""
    flow, encoder = model.config.flow, model.config.encoder
    values, channels, area = 0, 3, height * width * model.scale_factor**2
    for level in model.flow.levels:
        channels *= level.squeeze.factor**2
        area //= level.squeeze.factor**2
        kept = len(level.steps) * (2 * channels + flow.hidden_channels)
        widest = max(encoder.conditioning_channels, 2 * channels, flow.hidden_channels)
        values += area * (kept + _WORKING_COPIES * widest)
        channels = level.out_channels
    return values * _BYTES_PER_VALUE


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else "Apple GPU (MPS)"

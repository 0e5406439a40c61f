"""Decoding with an eye on the result: an inverse flow can leave what it knows, and then it does so by far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srflow.sampling.inference import InferenceModel, PreparedPicture

__all__ = ["CLIPPED_LATENT", "EXPLODED", "Decoded", "decode"]

EXPLODED = 4.0
"""A raw value this far from [0, 1] is no overshoot, and neither is one that is not finite."""

CLIPPED_LATENT = 1.5
"""To ± which the latents, after temperature, are clipped before such a sample is decoded again."""


@dataclass(frozen=True)
class Decoded:
    """One raw sample (or tile of one), the latents that it was decoded from, and what a person should know of it.

    raw: (3, s h, s w), float32. latents: (C, H, W) each. log_dets: per level, (H, W), of picture → latents, in nats.
    """

    raw: Tensor
    latents: list[Tensor]
    log_dets: list[Tensor]
    flags: tuple[str, ...] = ()


def decode(
    model: InferenceModel, latents: Sequence[Tensor], prepared: PreparedPicture, checkpoint: Callable[[], None]
) -> list[Decoded]:
    """Decode latents, (N, C, H, W) each; a sample that explodes is decoded again from the same latents, clipped.

    If even that is of no use, its values are made finite and clipped, and it is flagged as broken.
    """
    return [
        sample if _is_sound(sample.raw) else _decode_again(model, sample, prepared, checkpoint)
        for sample in _decode_once(model, latents, prepared, checkpoint)
    ]


def _decode_once(
    model: InferenceModel, latents: Sequence[Tensor], prepared: PreparedPicture, checkpoint: Callable[[], None]
) -> list[Decoded]:
    raw, log_dets = model.decode(latents, prepared, checkpoint)
    count = raw.shape[0]
    return [
        Decoded(raw[n], [latent[n] for latent in latents], [-each.expand(count, -1, -1)[n] for each in log_dets])
        for n in range(count)
    ]


def _decode_again(
    model: InferenceModel, sample: Decoded, prepared: PreparedPicture, checkpoint: Callable[[], None]
) -> Decoded:
    clipped = [latent[None].clamp(-CLIPPED_LATENT, CLIPPED_LATENT) for latent in sample.latents]
    [again] = _decode_once(model, clipped, prepared, checkpoint)
    flags: tuple[str, ...] = (f"decoded again from latents clipped to ±{CLIPPED_LATENT}: the first try exploded",)
    raw = again.raw
    if not _is_sound(raw):
        raw = torch.nan_to_num(raw, 0.0, 0.0, 0.0).clamp(-EXPLODED, 1 + EXPLODED)
        flags = (*flags, "broken: not finite or exploded even so")
    return Decoded(raw, again.latents, again.log_dets, flags)


def _is_sound(raw: Tensor) -> bool:
    """Finite, and nowhere further than `EXPLODED` from [0, 1]."""
    return bool((raw >= -EXPLODED).all() & (raw <= 1 + EXPLODED).all())  # false for NaN, too

"""Decodes samples and detects numerical explosions; an exploded sample is decoded again from clipped latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from srflow.contract import NOT_AS_ASKED
from srflow.sampling.inference import InferenceModel, PreparedPicture
from srflow.work import OnStep

__all__ = ["CLIPPED_LATENT", "EXPLODED", "Decoded", "decode", "is_sound", "with_picture"]

EXPLODED = 4.0
"""A raw value this far from [0, 1], or one that is not finite, counts as an explosion rather than an overshoot."""

CLIPPED_LATENT = 1.5
"""The bound ± to which the latents, after temperature, are clipped before such a sample is decoded again."""

_LOWER = (0.5, 0.25, 0.0)  # factors of the latents if clipping was not enough
_WHY = "the flow's inverse explodes on this picture"


@dataclass(frozen=True)
class Decoded:
    """One raw sample (or tile of one), the latents from which it was decoded, and remarks for users.

    raw: (3, s h, s w), float32.
    latents: (C, H, W) each.
    log_dets: per level, (H, W), of picture → latents, in nats.
    """

    raw: Tensor
    latents: list[Tensor]
    log_dets: list[Tensor]
    flags: tuple[str, ...] = ()

    @property
    def is_broken(self) -> bool:
        """Whether no latents gave a valid picture, so that this one is useless."""
        return any(flag.startswith(f"{NOT_AS_ASKED}: broken") for flag in self.flags)


def decode(
    model: InferenceModel, latents: Sequence[Tensor], prepared: PreparedPicture, on_step: OnStep
) -> list[Decoded]:
    """Decode latents, (N, C, H, W) each; a sample that explodes is decoded again from the same latents, clipped.

    If even that fails, the temperature is lowered, finally to zero. A picture for which no latents can be decoded is
    flagged as broken, and its values are made finite; a caller with the LR picture can replace it.
    """
    return [
        sample if is_sound(sample.raw) else _decode_again(model, sample, prepared, on_step)
        for sample in _decode_once(model, latents, prepared, on_step)
    ]


def _decode_once(
    model: InferenceModel, latents: Sequence[Tensor], prepared: PreparedPicture, on_step: OnStep
) -> list[Decoded]:
    raw, log_dets = model.decode(latents, prepared, on_step)
    count = raw.shape[0]
    return [
        Decoded(raw[n], [latent[n] for latent in latents], [-each.expand(count, -1, -1)[n] for each in log_dets])
        for n in range(count)
    ]


def _decode_again(model: InferenceModel, sample: Decoded, prepared: PreparedPicture, on_step: OnStep) -> Decoded:
    clipped = [latent[None].clamp(-CLIPPED_LATENT, CLIPPED_LATENT) for latent in sample.latents]
    [again] = _decode_once(model, clipped, prepared, on_step)
    flags = (f"decoded again from latents clipped to ±{CLIPPED_LATENT}: the first attempt exploded",)
    if is_sound(again.raw):
        return replace(again, flags=flags)
    for factor in _LOWER:
        [again] = _decode_once(model, [latent * factor for latent in clipped], prepared, on_step)
        if is_sound(again.raw):
            return replace(again, flags=(f"{NOT_AS_ASKED}: drawn at {factor:g} times the temperature, because {_WHY}",))
    raw = torch.nan_to_num(again.raw, 0.0, 0.0, 0.0).clamp(-EXPLODED, 1 + EXPLODED)
    return replace(again, raw=raw, flags=(f"{NOT_AS_ASKED}: broken, because {_WHY} at any temperature",))


def with_picture(broken: Decoded, raw: Tensor, name: str) -> Decoded:
    """Return the result with another picture, (3, s h, s w), in place of a broken one.

    name: of that picture, for users.
    """
    return replace(broken, raw=raw, flags=(f"{NOT_AS_ASKED}: {name} in its place, because {_WHY} at any temperature",))


def is_sound(raw: Tensor) -> bool:
    """Return whether all values are finite, and at most `EXPLODED` away from [0, 1]."""
    return bool((raw >= -EXPLODED).all() & (raw <= 1 + EXPLODED).all())  # false for NaN, too

"""Random patches of a picture store, and the other random inputs of a training step.

A batch depends only on (seed, phase, step), and each of its patches also on its index. So a resumed run sees the same
patches, and so do several processes that share a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from srflow.contract import DatasetError
from srflow.images import downscale_uint8
from srflow.training.store import SIZE_MULTIPLE, PictureStore

__all__ = ["MAX_SHIFT", "Batch", "Draws", "PatchSampler", "orient"]

MAX_SHIFT = 3  # pixels; the first strides of feature networks are 2 and 4
_BATCH_STREAM = 2**32 - 1  # instead of a patch's index: for values that the whole batch shares
_NUM_NAMED = 8  # pictures that one message names
_MARGIN_LR = 4  # LR pixels around a patch; MATLAB's antialiased bicubic kernel reaches 2


@dataclass(frozen=True)
class Draws:
    """The random inputs of a batch besides crops and noise: how its samples are drawn and viewed.

    num_samples: samples for each patch.
    temperatures: one temperature per batch is drawn between these two.
    latent_shapes: (C, H, W) of the model's latents for a patch.
    critic_noise: whether noise is drawn for discriminators.
    """

    num_samples: int
    temperatures: tuple[float, float]
    latent_shapes: tuple[tuple[int, int, int], ...]
    critic_noise: bool = False


@dataclass(frozen=True)
class Batch:
    """HR patches (B, 3, P, P) and LR patches (B, 3, P/s, P/s), float32 in [0, 1].

    noise: (B, 3, P, P), to be added to HR for the likelihood, in the unit of HR.
    latents: for samples of each patch, at the batch's temperature: per level (B, num_samples, C, H, W); empty if a
        stage draws none.
    critic_noise: (B, 1 + num_samples, 3, P, P), standard normal: for HR and for the samples; None if it is not used.
    shift: (2,), whole numbers from 0 to `MAX_SHIFT`: number of rows and columns that are cropped before the feature
        network, so that its strides are not always aligned with the flow's blocks of pixels in the same way.
    numbers: origin of each patch: (picture, top, left, orientation), (B, 4).
    """

    hr: Tensor
    noise: Tensor
    lr: Tensor
    latents: tuple[Tensor, ...]
    critic_noise: Tensor | None
    shift: Tensor
    numbers: np.ndarray

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> Batch:
        """Return the same batch on another device, with its pictures in another memory layout."""
        hr, noise, lr = (
            x.to(device, non_blocking=True, memory_format=memory_format) for x in (self.hr, self.noise, self.lr)
        )
        latents = tuple(latent.to(device, non_blocking=True) for latent in self.latents)
        critic_noise = None if self.critic_noise is None else self.critic_noise.to(device, non_blocking=True)
        return replace(self, hr=hr, noise=noise, lr=lr, latents=latents, critic_noise=critic_noise)


@dataclass(frozen=True, kw_only=True)
class PatchSampler:
    """Samples random patches at multiples of the scale factor.

    Pictures are proposed in proportion to their area before downscaling, so that every downscaled copy that is large
    enough is proposed as often as the picture itself. Of `candidates` proposals the one with most LR detail is used.

    LR is the part of the uint8 MATLAB bicubic of the whole (rotated) picture at the patch's position. It is computed
    from a crop with a margin, with mirrored pixels only at the borders of the picture itself.

    Args:
        patch_size: side of the HR patches, a multiple of `scale_factor`.
        flips, rotations: whether patches are also mirrored, or rotated by multiples of 90 degrees.
        candidates, noise, noise_scale: as in `srflow.training.recipe.DataRecipe`.
        draws: what is drawn for samples of the patches; None draws nothing.
        stream: differs between the phases of a run, so that they draw different patches.
    """

    store: PictureStore
    scale_factor: int
    patch_size: int
    batch_size: int
    seed: int
    stream: int = 0
    flips: bool = True
    rotations: bool = True
    candidates: int = 1
    noise: str = "none"
    noise_scale: float = 0.0
    draws: Draws | None = None

    def __post_init__(self) -> None:
        if not self.eligible().size:
            largest = self.store.sizes.min(1).max()
            raise DatasetError(
                f"All pictures are smaller than the patches, {self.patch_size}x{self.patch_size}; the largest has a "
                f"shorter side of {largest} (after data.reductions, and cropping to multiples of {SIZE_MULTIPLE}). "
                "Lower patch_size or provide larger pictures."
            )

    def eligible(self) -> np.ndarray:
        """Return the indices of the pictures that are large enough for a patch."""
        return np.flatnonzero(self.store.sizes.min(1) >= self.patch_size)

    def too_small(self) -> list[str]:
        """Return the names of the pictures that are too small for a patch even in their largest copy in the store."""
        least_reduced = np.flatnonzero(self.store.reductions == self.store.reductions.min())
        return [self.store.names[index] for index in np.setdiff1d(least_reduced, self.eligible())]

    def left_out(self) -> str | None:
        """Say which part of the store is never drawn because it is smaller than a patch; None: all is drawn."""
        drawn, stored = len(self.eligible()), len(self.store)
        if drawn == stored:
            return None
        names = self.too_small()
        some = ", ".join(names[:_NUM_NAMED]) + (
            f" and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else ""
        )
        factors = np.unique(self.store.reductions).tolist()
        counted = f" (downscaling factors {', '.join(map(str, factors))} counted)" if len(factors) > 1 else ""
        return (
            f"{stored - drawn} of {stored} stored pictures{counted} are smaller than a patch of {self.patch_size}x"
            f"{self.patch_size} and are never drawn" + (f"; not used at all: {some}." if names else ".")
        )

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """Return the share of process `rank` in the batch of step `step`; the whole batch if there is one process."""
        share = self.batch_size // world_size
        drawn = [self._draw(step, rank * share + index) for index in range(share)]
        crops = np.concatenate([crop for _, crop, _ in drawn], axis=1)
        # Process the whole batch in one call: the crops' margins keep neighbours in the strip from affecting the
        # patches.
        lr_strip = downscale_uint8(crops, self.scale_factor)
        size, margin = self.patch_size, _MARGIN_LR
        lr_size = size // self.scale_factor
        lr = np.stack(np.split(lr_strip, share, axis=1))[:, margin : margin + lr_size, margin : margin + lr_size]
        start = margin * self.scale_factor
        hr = np.stack(np.split(crops, share, axis=1))[:, start : start + size, start : start + size]
        hr_values = _to_float(hr)
        generators = [generator for _, _, generator in drawn]
        common = self._generator(step, _BATCH_STREAM)
        return Batch(
            hr=hr_values,
            noise=self._noise(hr_values.shape, generators),
            lr=_to_float(lr),
            latents=self._latents(generators, common),
            critic_noise=self._critic_noise(generators),
            shift=torch.from_numpy(common.integers(MAX_SHIFT + 1, size=2)),
            numbers=np.array([numbers for numbers, _, _ in drawn]),
        )

    def _draw(self, step: int, index: int) -> tuple[tuple[int, ...], np.ndarray, np.random.Generator]:
        """Draw patch `index` of step `step`; return its position, its crop with margin, and the generator."""
        generator = self._generator(step, index)
        drawn = [self._place(generator) for _ in range(self.candidates)]
        crops = [self._crop(self.store[picture], top, left) for picture, top, left in drawn]
        best = 0 if self.candidates == 1 else int(np.argmax([self._lr_detail(crop) for crop in crops]))
        mirrored = int(generator.integers(2)) if self.flips else 0
        turns = int(generator.integers(4)) if self.rotations else 0
        return (*drawn[best], 4 * mirrored + turns), orient(crops[best], 4 * mirrored + turns), generator

    def _generator(self, step: int, index: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, self.stream, step, index])))

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for the eligible pictures: indices, (N,), numbers of positions, (N, 2), and cumulative areas, (N,)."""
        eligible = self.eligible()
        positions = (self.store.sizes[eligible] - self.patch_size) // self.scale_factor + 1
        # Use the area before downscaling: otherwise a picture downscaled by 3 would be proposed nine times less often.
        return eligible, positions, np.cumsum(self.store.sizes[eligible].prod(1) * self.store.reductions[eligible] ** 2)

    def _place(self, generator: np.random.Generator) -> tuple[int, int, int]:
        """Draw a picture and a position in it: (index, top, left)."""
        eligible, positions, areas = self._places
        chosen = int(np.searchsorted(areas, generator.integers(areas[-1]), side="right"))
        top, left = (int(generator.integers(count)) * self.scale_factor for count in positions[chosen])
        return int(eligible[chosen]), top, left

    def _lr_detail(self, crop: np.ndarray) -> float:
        """Return how much the LR patch varies: the mean absolute difference of neighbouring pixels."""
        inside = slice(_MARGIN_LR, -_MARGIN_LR)
        lr = downscale_uint8(crop, self.scale_factor)[inside, inside].astype(np.int16)
        return float(np.abs(np.diff(lr, axis=0)).mean() + np.abs(np.diff(lr, axis=1)).mean())

    def _crop(self, picture: np.ndarray, top: int, left: int) -> np.ndarray:
        margin = _MARGIN_LR * self.scale_factor
        height, width = picture.shape[:2]
        bottom, right = top + self.patch_size, left + self.patch_size
        inside = picture[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]
        outside = [
            (max(margin - top, 0), max(bottom + margin - height, 0)),
            (max(margin - left, 0), max(right + margin - width, 0)),
        ]
        return np.pad(inside, [*outside, (0, 0)], mode="symmetric") if np.any(outside) else inside

    def _noise(self, shape: tuple[int, ...], generators: Sequence[np.random.Generator]) -> Tensor:
        """Return the training noise of every patch, from the patch's own generator."""
        if self.noise == "none":
            return torch.zeros(shape)
        if self.noise == "gaussian":
            drawn = [generator.standard_normal(shape[1:], dtype=np.float32) for generator in generators]
        else:
            drawn = [generator.random(shape[1:], dtype=np.float32) - np.float32(0.5) for generator in generators]
        return torch.from_numpy(np.stack(drawn)).mul_(self.noise_scale / 255)

    def _latents(self, generators: Sequence[np.random.Generator], common: np.random.Generator) -> tuple[Tensor, ...]:
        if self.draws is None:
            return ()
        temperature = common.uniform(*self.draws.temperatures)
        sets = [
            [
                generator.standard_normal((self.draws.num_samples, *shape), dtype=np.float32)
                for shape in self.draws.latent_shapes
            ]
            for generator in generators
        ]
        return tuple(torch.from_numpy(np.stack(level)).mul_(temperature) for level in zip(*sets, strict=True))

    def _critic_noise(self, generators: Sequence[np.random.Generator]) -> Tensor | None:
        if self.draws is None or not self.draws.critic_noise:
            return None
        shape = (1 + self.draws.num_samples, 3, self.patch_size, self.patch_size)
        return torch.from_numpy(np.stack([g.standard_normal(shape, dtype=np.float32) for g in generators]))


def orient(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Return one of the eight orientations of a picture (H, W, 3): `orientation % 4` turns, mirrored from 4 on."""
    return np.rot90(picture[:, ::-1] if orientation >= 4 else picture, orientation % 4)


def _to_float(patches: np.ndarray) -> Tensor:
    """Convert uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [0, 1], contiguous."""
    planes = torch.from_numpy(np.ascontiguousarray(patches.transpose(0, 3, 1, 2)))
    return planes.to(torch.float32).div_(255)

"""The distribution that `model(lr)` returns, over super-resolutions of a batch of LR pictures: samples and densities.

It follows `torch.distributions`, and the convention of Zuko that a conditional model, called with its context, returns
a distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from srflow.consistency import back_project
from srflow.contract import InputError
from srflow.latents import Latents, Temperature, draw

if TYPE_CHECKING:
    from srflow.model import Conditioning, SRFlow

__all__ = ["SuperResolutions"]

_MAX_DRAWN_SEED = 2**63 - 1  # the largest value of torch.randint


class SuperResolutions(Distribution):
    """p(hr | lr) of each of B LR pictures: `batch_shape` is (B,), `event_shape` (3, s h, s w).

    The conditioning of the LR pictures is computed when it is first needed, and once for all samples. So all results
    with gradients of one object share a graph (sum them up before `backward`); after an optimiser step, call the model
    again.

    Densities are over [0, 1], in nats; `srflow.likelihood.bits_per_dimension` converts them.

    Args:
        model: the model that received `lr`.
        lr: (B, 3, h, w), in [0, 1], checked, with the model's dtype and on its device.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - as declared by Distribution
    has_rsample = True

    def __init__(self, model: SRFlow, lr: Tensor) -> None:
        self._model, self._lr = model, lr
        self._conditionings: dict[bool, Conditioning] = {}  # keyed by whether gradients are recorded
        height, width = (side * model.scale_factor for side in lr.shape[-2:])
        super().__init__(torch.Size(lr.shape[:1]), torch.Size((3, height, width)), validate_args=False)

    @constraints.dependent_property(is_discrete=False, event_dim=3)
    def support(self) -> constraints.Constraint:
        """All real values: samples are not clipped, and values slightly outside of [0, 1] have a density, too."""
        return constraints.independent(constraints.real, 3)

    @torch.no_grad()
    def sample(
        self,
        sample_shape: Sequence[int] = (),
        *,
        temperature: Temperature = 1.0,
        seed: int | Sequence[int] | None = None,
        consistency_rounds: int = 0,
        batch_size: int = 4,
    ) -> Tensor:
        """Draw super-resolutions, without gradients.

        Args:
            sample_shape: (n,) for n samples of each LR picture; () for one.
            temperature: the standard deviation of the latents: a number, one per level, or a map, (h, w), or (B, 1, h,
                w) with one for each LR picture. At 1 samples are distributed according to `log_prob`; the page and the
                command use `model.config.default_temperature` by default.
            seed: for all LR pictures, or one for each: sample i of a seed is the same in any batch. None draws one for
                each picture from PyTorch's generator, which `torch.manual_seed` sets.
            consistency_rounds: of back-projection onto the LR picture, see `srflow.consistency`; 0: none.
            batch_size: number of samples of a single LR picture that are decoded together; it affects only memory and
            speed.
        Returns: (*sample_shape, B, 3, s h, s w); not clipped, unless there are rounds of back-projection.
        Raises: InputError: an argument is out of range.
        """
        return self.rsample(
            sample_shape,
            temperature=temperature,
            seed=seed,
            consistency_rounds=consistency_rounds,
            batch_size=batch_size,
        )

    def rsample(
        self,
        sample_shape: Sequence[int] = (),
        *,
        temperature: Temperature = 1.0,
        seed: int | Sequence[int] | None = None,
        consistency_rounds: int = 0,
        batch_size: int = 4,
    ) -> Tensor:
        """Draw as `sample`, with gradients: a sample is a differentiable function of weights and LR picture."""
        pictures, _ = self._draw(sample_shape, temperature, seed, batch_size)
        if consistency_rounds:
            lr = self._lr if len(self._lr) == 1 else self._lr.repeat(prod(sample_shape), 1, 1, 1)
            flat = pictures.reshape(-1, *self.event_shape)
            pictures = back_project(flat, lr, self._model.scale_factor, consistency_rounds).reshape(pictures.shape)
        return pictures

    def rsample_and_log_prob(
        self,
        sample_shape: Sequence[int] = (),
        *,
        temperature: Temperature = 1.0,
        seed: int | Sequence[int] | None = None,
        batch_size: int = 4,
    ) -> tuple[Tensor, Tensor]:
        """Draw samples, and return the `log_prob` of each at no extra cost; both with gradients.

        Args: as `sample`. The density is the model's own, of temperature 1, whatever the samples' temperature.
        Returns: (*sample_shape, B, 3, s h, s w), and (*sample_shape, B), in nats.
        Raises: InputError: as `sample`; or the LR picture must be padded, so that its samples have no density.
        """
        self._model.check_has_density(*self._lr.shape[-2:])
        return self._draw(sample_shape, temperature, seed, batch_size)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p(value | lr), in nats; with gradients.

        Args: value: HR pictures, (*sample_shape, B or 1, 3, s h, s w), nominally in [0, 1].
        Returns: (*sample_shape, B).
        Raises: InputError: wrong shape, not floats, NaN, far outside of [0, 1]; or the LR picture must be padded.
        """
        expected = (*self.batch_shape, *self.event_shape)
        if value.ndim < 4 or value.shape[-4] not in (1, expected[0]) or tuple(value.shape[-3:]) != expected[1:]:
            raise InputError(
                f"The pictures have shape {tuple(value.shape)}, but this distribution is over {expected}, with any "
                "number of samples before that; crop them to s times the size of the LR pictures."
            )
        conditioning = self._conditioning()
        flat = value.expand(*value.shape[:-4], *expected).reshape(-1, *expected)
        log_probs = [self._model.encode(pictures, conditioning)[1] for pictures in flat]
        return torch.stack(log_probs).reshape(*value.shape[:-4], *self.batch_shape)

    def _conditioning(self) -> Conditioning:
        """Return the LR pictures' conditioning; if gradients are needed, one that was computed with gradients."""
        key = torch.is_grad_enabled()
        if key not in self._conditionings:
            self._conditionings[key] = self._model.condition(self._lr)
        return self._conditionings[key]

    def _draw(
        self,
        sample_shape: Sequence[int],
        temperature: Temperature,
        seed: int | Sequence[int] | None,
        batch_size: int,
    ) -> tuple[Tensor, Tensor]:
        """Return samples, (*sample_shape, B, 3, s h, s w), and the results of `decode_with_log_prob`."""
        if not isinstance(sample_shape, Sequence) or any(type(size) is not int or size < 1 for size in sample_shape):
            raise InputError(f"sample_shape is {sample_shape}; it must contain whole numbers from 1, e.g. (8,).")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be at least 1.")
        count, num_pictures = prod(sample_shape), len(self._lr)
        seeds = self._seeds(seed)
        shapes = self._model.latent_shapes(*self._lr.shape[-2:])
        conditioning = self._conditioning()
        together = batch_size if num_pictures == 1 else 1
        drawn = []
        for first in range(0, count, together):
            number = min(together, count - first)
            latents = Latents.cat([draw(shapes, number, own, first_sample=first) for own in seeds])
            latents = latents.to(self._lr.device) * _of_samples(temperature, first, number, count, num_pictures)
            drawn.append(self._model.decode_with_log_prob(latents, conditioning))
        pictures, log_probs = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        shape = (*sample_shape, num_pictures)
        return pictures.reshape(*shape, *self.event_shape), log_probs.reshape(shape)

    def _seeds(self, seed: int | Sequence[int] | None) -> list[int]:
        """Return one seed for each LR picture."""
        num_pictures = len(self._lr)
        if seed is None:
            return torch.randint(_MAX_DRAWN_SEED, (num_pictures,)).tolist()
        if not isinstance(seed, Sequence) or isinstance(seed, str):
            return [seed] * num_pictures  # `draw` reports the error
        if len(seed) != num_pictures:
            raise InputError(
                f"There are {len(seed)} seeds for {num_pictures} LR pictures; give one for all, or one for each."
            )
        return list(seed)


def _of_samples(temperature: Any, first: int, number: int, count: int, num_pictures: int) -> Any:
    """Return the temperature of samples `first` to `first + number` of `count`, if it is a map with one for each."""
    per_sample = num_pictures == 1 and count > 1 and getattr(temperature, "ndim", 0) == 4
    if per_sample and temperature.shape[0] == count:
        return temperature[first : first + number]
    return temperature

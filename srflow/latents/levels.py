"""The latents of a picture, or of several: an immutable sequence of tensors, one per level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from srflow.errors import InputError
from srflow.latents.files import read_levels, write_levels
from srflow.latents.maps import Temperature, factors_of
from srflow.likelihood import standard_normal_log_prob

__all__ = ["Latents", "check_same_shapes", "sum_dtype"]


class Latents(Sequence[Tensor]):
    """An immutable sequence of tensors, one per level, finest first; level i is (N, C_i, H_i, W_i), float32.

    (float64 is kept where the model runs in it. Half precision is refused: latents carry the likelihood.)

    Raises: InputError: if there is no level, or the levels are not 4-D float tensors with the same N, dtype and device.
    """

    __slots__ = ("_levels",)

    def __init__(self, levels: Sequence[Tensor]) -> None:
        levels = tuple(levels)
        if not levels:
            raise InputError("Latents need at least one level; got none.")
        first = levels[0]
        for i, level in enumerate(levels):
            if not isinstance(level, Tensor):
                raise InputError(f"Level {i} of the latents must be a tensor; got {type(level).__name__}.")
            if level.ndim != 4 or level.numel() == 0:
                raise InputError(f"Level {i} of the latents must be (N, C, H, W), none of them 0; got {_size(level)}.")
            if level.dtype not in (torch.float32, torch.float64):
                raise InputError(f"Level {i} of the latents must be float32 (or float64); got {level.dtype}.")
            if (level.shape[0], level.dtype, level.device) != (first.shape[0], first.dtype, first.device):
                raise InputError(
                    "All levels must have the same number of samples, dtype and device; level 0 has "
                    f"{first.shape[0]}, {first.dtype}, {first.device} and level {i} has "
                    f"{level.shape[0]}, {level.dtype}, {level.device}."
                )
        self._levels = levels

    # -- a sequence of levels ------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._levels)

    def __getitem__(self, index: int | slice) -> Tensor | tuple[Tensor, ...]:
        """The tensor of a level (for samples, see `samples`)."""
        return self._levels[index]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._levels)

    def __repr__(self) -> str:
        shapes = ", ".join(str(shape) for shape in self.shapes)
        return f"Latents(num_samples={self.num_samples}, shapes=[{shapes}], dtype={self.dtype}, device={self.device})"

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(C, H, W) of every level, as `draw` takes them."""
        return tuple(tuple(level.shape[1:]) for level in self._levels)

    @property
    def num_samples(self) -> int:
        """N, the same at every level."""
        return self._levels[0].shape[0]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self._levels[0].device

    @property
    def dtype(self) -> torch.dtype:
        """float32, or float64."""
        return self._levels[0].dtype

    def to(self, device: torch.device | str) -> Latents:
        """The same latents on another device; the dtype stays."""
        return Latents([level.to(device) for level in self._levels])

    # -- samples -------------------------------------------------------------------------------------------------------

    def samples(self, index: int | slice) -> Latents:
        """The latents of one sample (as a batch of one) or of a range of samples.

        Raises: InputError: if there is no such sample.
        """
        if not isinstance(index, slice):
            if not -self.num_samples <= index < self.num_samples:
                raise InputError(f"There is no sample {index}: these latents hold {self.num_samples}.")
            index = slice(index % self.num_samples, index % self.num_samples + 1)
        elif not range(self.num_samples)[index]:
            raise InputError(f"{index} picks none of the {self.num_samples} samples.")
        if (index.step or 1) < 0:  # which tensors cannot slice by
            picked = list(range(self.num_samples)[index])
            return Latents([level[picked] for level in self._levels])
        return Latents([level[index] for level in self._levels])

    @staticmethod
    def cat(parts: Sequence[Latents]) -> Latents:
        """The samples of several latents, one after the other.

        Raises: InputError: if there are none, or their shapes differ.
        """
        parts = list(parts)
        if not parts:
            raise InputError("There are no latents to join.")
        for part in parts[1:]:
            check_same_shapes(parts[0], part)
        return Latents([torch.cat(levels) for levels in zip(*parts, strict=True)])

    # -- temperature and density ---------------------------------------------------------------------------------------

    def __mul__(self, temperature: Temperature) -> Latents:
        """Scale by a temperature: standard normal latents become N(0, temperature**2).

        Args:
            temperature: finite and at least 0.
                A number; or a sequence of one number per level, finest first; or a map, (h, w) or (N or 1, 1, h, w),
                of any positive size, which `resize_map` brings to the size of every level.

        Raises: InputError: if it is anything else.
        """
        if isinstance(temperature, Latents):
            raise InputError("Latents are multiplied by a temperature: a number, one per level, or a map; got latents.")
        factors = factors_of(temperature, self._levels)
        return Latents([level * factor for level, factor in zip(self._levels, factors, strict=True)])

    __rmul__ = __mul__
    __array_ufunc__ = None  # so that `array * latents` asks __rmul__, and numpy does not loop over the levels

    @classmethod
    def __torch_function__(cls, *_: object, **__: object) -> object:
        """Let `tensor * latents` ask __rmul__; no other function of torch takes latents."""
        return NotImplemented

    def log_prob(self) -> Tensor:
        """Sum of log N(latent; 0, 1) over all levels: nats, (N,), float64 (float32 where the device has no float64).

        Of the latents alone; the log-density of a picture adds the flow's log-determinant.
        """
        dtype = sum_dtype(self._levels[0])
        return sum(standard_normal_log_prob(level.to(dtype)).sum(dim=(1, 2, 3)) for level in self._levels)

    # -- files ---------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write a safetensors file: tensors `level_0`, `level_1`, … and text (seed, temperature, …) as its metadata.

        The file appears whole or not at all.

        Raises: InputError: if the metadata is not text, or uses the reserved name "format".
        """
        write_levels(path, self._levels, metadata)

    @staticmethod
    def load(path: str | Path) -> Latents:
        """Read a file that `save` wrote (to the CPU; see `read_metadata` for the text in it).

        Raises: InputError: if the file is missing, damaged, holds something else, or holds values that are not finite.
        """
        return Latents(read_levels(path))


def check_same_shapes(a: Latents, b: Latents, broadcast: bool = False) -> None:
    """Raises: InputError: they differ in shape, dtype or device. broadcast: one of them may hold a single sample."""
    if a.shapes != b.shapes:
        raise InputError(f"These latents belong to pictures or models of different sizes: {a.shapes} and {b.shapes}.")
    if (a.dtype, a.device) != (b.dtype, b.device):
        raise InputError(f"Latents must agree in dtype and device: {a.dtype}, {a.device} and {b.dtype}, {b.device}.")
    if broadcast and a.num_samples != b.num_samples and 1 not in (a.num_samples, b.num_samples):
        raise InputError(
            f"The numbers of samples must be equal, or one of them 1; got {a.num_samples} and {b.num_samples}."
        )


def sum_dtype(x: Tensor) -> torch.dtype:
    """What to add up in: millions of squares lose digits in float32. (Apple's GPUs have no float64.)"""
    return torch.float32 if x.device.type == "mps" else torch.float64


def _size(level: Tensor) -> str:
    return str(tuple(level.shape))

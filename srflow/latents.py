"""Latents: what a flow turns a picture into, and what is drawn, scaled, mixed and edited to get new pictures.

One tensor per level, finest level first, the order in which the flow's forward pass emits them. All operations return
new `Latents`; none writes into the tensors that it was given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TypeAlias

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from srflow.errors import InputError
from srflow.files import atomic_write
from srflow.likelihood import standard_normal_log_prob
from srflow.noise import MAX_WORD, standard_normal

__all__ = [
    "Latents",
    "Temperature",
    "check_seed",
    "draw",
    "draw_region",
    "mix",
    "read_metadata",
    "replace",
    "resize_map",
    "walk",
]

Temperature: TypeAlias = "float | Sequence[float] | np.ndarray | Tensor"
"""A number, one number per level, or a map (see `Latents.__mul__`)."""

_FORMAT = "srflow-latents"
_VALUES_PER_BAND = 2**18  # drawn at once, so that large levels need little more memory than their result


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
            _check_same_shapes(parts[0], part)
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
        factors = _per_level(temperature, self)
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
        dtype = _sum_dtype(self._levels[0])
        return sum(standard_normal_log_prob(level.to(dtype)).sum(dim=(1, 2, 3)) for level in self._levels)

    # -- files ---------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write a safetensors file: tensors `level_0`, `level_1`, … and text (seed, temperature, …) as its metadata.

        The file appears whole or not at all.

        Raises: InputError: if the metadata is not text, or uses the reserved name "format".
        """
        metadata = dict(metadata or {})
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise InputError(f"Metadata of latents must be text; got {key!r}: {value!r}.")
            if key == "format":
                raise InputError('"format" is the one name that the metadata of latents cannot use.')
        tensors = {f"level_{i}": level.detach().cpu().contiguous() for i, level in enumerate(self._levels)}
        with atomic_write(path) as file:
            file.write(safetensors.torch.save(tensors, metadata={**metadata, "format": _FORMAT}))

    @staticmethod
    def load(path: str | Path) -> Latents:
        """Read a file that `save` wrote (to the CPU; see `read_metadata` for the text in it).

        Raises: InputError: if the file is missing, damaged, holds something else, or holds values that are not finite.
        """
        levels, _ = _read(path, with_levels=True)
        if not all(bool(torch.isfinite(level).all()) for level in levels):
            raise InputError(f"{path}: the latents hold values that are not finite (NaN or infinity).")
        return Latents(levels)


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text that was saved with latents; reads the file's header only.

    Raises: InputError: if the file is missing, damaged or holds something else.
    """
    _, metadata = _read(path, with_levels=False)
    del metadata["format"]
    return metadata


# -- drawing -----------------------------------------------------------------------------------------------------------


def draw(
    shapes: Sequence[tuple[int, int, int]],
    num_samples: int,
    seed: int,
    first_sample: int = 0,
    device: torch.device | str = "cpu",
) -> Latents:
    """Draw standard normal latents, before temperature.

    Sample i of seed s is a function of (s, i, shapes) alone, bit for bit: not of the number of samples, the device, the
    versions of torch and numpy, or of how it is cut into tiles (`draw_region`). Different (s, i) are independent.

    Args:
        shapes: (C, H, W) of every level, finest first.
        num_samples: how many samples, at least 1.
        seed: 0 to 2**64 - 1; 0 is a seed like any other.
        first_sample: number of the first one, so that samples can be drawn in batches.
        device: where the result goes; drawing is done on the CPU.

    Returns: float32 latents of `num_samples` samples.

    Raises: InputError: if any of these is out of range.
    """
    num_samples = _integer(num_samples, "num_samples", 1, MAX_WORD)
    first_sample = _integer(first_sample, "first_sample", 0, MAX_WORD + 1 - num_samples)
    if not shapes:
        raise InputError("Latents need at least one level; got no shapes.")
    levels = []
    for i, shape in enumerate(shapes):
        samples = [draw_region(shape, i, first_sample + n, seed) for n in range(num_samples)]
        levels.append(torch.stack(samples).to(device))
    return Latents(levels)


def draw_region(
    shape: tuple[int, int, int],
    level: int,
    sample: int,
    seed: int,
    rows: slice = slice(None),
    columns: slice = slice(None),
) -> Tensor:
    """A region of one level of one sample: the same values as cut from what `draw` gives, without drawing the rest.

    The stream of a level runs over rows, then columns, then channels, so that whole rows, and the columns of a tile
    within a row, are unbroken ranges of it.

    Args:
        shape: (C, H, W) of the whole level.
        level: its index in the latents, 0 for the finest.
        sample, seed: as for `draw`.
        rows, columns: the region; step 1, and not empty.

    Returns: (C, number of rows, number of columns), float32, on the CPU.

    Raises: InputError: if any of these is out of range.
    """
    seed = check_seed(seed)
    sample = _integer(sample, "sample", 0, MAX_WORD)
    level = _integer(level, "level", 0, MAX_WORD)
    if len(shape) != 3:
        raise InputError(f"The shape of a level must be (C, H, W); got {tuple(shape)}.")
    C, H, W = (_integer(size, "each of C, H and W", 1, MAX_WORD) for size in shape)
    top, bottom = _range(rows, H, "rows")
    left, right = _range(columns, W, "columns")
    values = np.empty((C, bottom - top, right - left), dtype=np.float32)
    band = max(1, _VALUES_PER_BAND // ((right - left) * C))
    for first in range(top, bottom, band):
        last = min(first + band, bottom)
        if right - left == W:  # whole rows follow each other in the stream
            starts, count = [first * W * C], (last - first) * W * C
        else:
            starts, count = [(row * W + left) * C for row in range(first, last)], (right - left) * C
        drawn = standard_normal(seed, sample, level, starts, count).reshape(last - first, right - left, C)
        values[:, first - top : last - top] = drawn.transpose(2, 0, 1)
    return torch.from_numpy(values)


def check_seed(seed: int) -> int:
    """The seed as an int.

    Raises: InputError: if it is no whole number from 0 to 2**64 - 1 (a bool is none).
    """
    return _integer(seed, "seed", 0, MAX_WORD)


# -- mixing and editing ------------------------------------------------------------------------------------------------


def mix(a: Latents, b: Latents, angle: float) -> Latents:
    """cos(angle) a + sin(angle) b: standard normal again if a and b are, and are independent.

    Args:
        a, b: latents of the same shapes; either may hold one sample, which then meets all of the other's.
        angle: radians; 0 gives a, pi/2 gives b.

    Raises: InputError: if the shapes differ or the angle is not finite.
    """
    _check_same_shapes(a, b, broadcast=True)
    angle = _number(angle, "angle")
    cos, sin = math.cos(angle), math.sin(angle)
    return Latents([cos * x + sin * y for x, y in zip(a, b, strict=True)])


def walk(a: Latents, b: Latents, t: float) -> Latents:
    """Go from a (t = 0) to b (t = 1) along the great circle between them, per sample and per level.

    The direction turns at a constant rate and the norm changes linearly, so no point of the way is duller or wilder
    than its ends, as the middle of a straight line would be (its norm is 0.71 of theirs).

    Each level has its own circle: where a and b agree in one level and differ in another, the first then stays as it
    is. One circle for all levels would blow it up by as much as it shrinks the other. For the same reason latents that
    agree in a part of the picture should be walked whole and put into place after that:
    `replace(a, walk(a, b, t), mask)`.

    If b points the opposite way to a there are many shortest ways; one is chosen, always the same.

    Args:
        a, b: latents of the same shapes; either may hold one sample, which then meets all of the other's.
        t: from 0 to 1.

    Raises: InputError: if the shapes differ or t is out of range.
    """
    _check_same_shapes(a, b, broadcast=True)
    t = _number(t, "t")
    if not 0.0 <= t <= 1.0:
        raise InputError(f"t must be from 0 (the first latents) to 1 (the second); got {t}.")
    return Latents([_walk_level(x, y, t) for x, y in zip(a, b, strict=True)])


def replace(a: Latents, b: Latents, mask: np.ndarray | Tensor) -> Latents:
    """Take b where the mask is 1, a where it is 0, and in between sqrt(1 - mask) a + sqrt(mask) b.

    The square roots keep the variance of independent latents at 1 where a mask is soft; a hard mask becomes soft at its
    edges in levels of another size.

    Args:
        a, b: latents of the same shapes; either may hold one sample, which then meets all of the other's.
        mask: values in [0, 1], or bool; (h, w) or (N or 1, 1, h, w), of any positive size: see `resize_map`.

    Raises: InputError: if the shapes differ or the mask does not fit.
    """
    _check_same_shapes(a, b, broadcast=True)
    larger = a if a.num_samples >= b.num_samples else b
    mask = _as_map(mask, larger, name="mask")
    if float(mask.max()) > 1.0:
        raise InputError(f"A mask must have values from 0 to 1; got {float(mask.max())}.")
    levels = []
    for x, y in zip(a, b, strict=True):
        m = resize_map(mask, tuple(x.shape[-2:])).clamp(0.0, 1.0)  # (N or 1, 1, H, W)
        levels.append((1.0 - m).sqrt() * x + m.sqrt() * y)
    return Latents(levels)


def resize_map(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a map, (N, 1, h, w), to the size (H, W) of a level; it then covers the same picture.

    Where it gets smaller, each value is the mean of the area that it covers, so that nothing leaks out of a masked
    region further than the level's own grid makes it; where it gets larger, bilinear. Values stay within their range.
    """
    smaller = tuple(min(old, new) for old, new in zip(values.shape[-2:], size, strict=True))
    if smaller != tuple(values.shape[-2:]):
        values = F.adaptive_avg_pool2d(values, smaller)
    if smaller != tuple(size):
        values = F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)
    return values


# -- inside ------------------------------------------------------------------------------------------------------------


def _walk_level(x: Tensor, y: Tensor, t: float) -> Tensor:
    """`walk` for one level, (N, C, H, W)."""
    x, y = torch.broadcast_tensors(x, y)
    a, b = x.flatten(1), y.flatten(1)  # (N, D)
    norm_a = torch.linalg.vector_norm(a, dim=1, keepdim=True, dtype=_sum_dtype(a))
    norm_b = torch.linalg.vector_norm(b, dim=1, keepdim=True, dtype=_sum_dtype(b))
    # A zero vector (temperature 0) has no direction: it takes the other's, and only the norm changes on the way.
    from_unit = torch.where(norm_a > 0, a / norm_a, b / norm_b).nan_to_num()
    to_unit = torch.where(norm_b > 0, b / norm_b, from_unit)
    cos = (from_unit * to_unit).sum(dim=1, keepdim=True)
    across = to_unit - cos * from_unit
    sin = torch.linalg.vector_norm(across, dim=1, keepdim=True)
    # Parallel or opposite: any direction across will do. Neighbouring values swapped, one sign turned, is one.
    parallel = sin < 1e-6
    across = torch.where(parallel, _perpendicular(from_unit), across / sin)
    angle = torch.atan2(sin, cos)
    unit = (t * angle).cos() * from_unit + (t * angle).sin() * across
    norm = (1.0 - t) * norm_a + t * norm_b
    return (norm * unit).to(x.dtype).reshape(x.shape)


def _perpendicular(unit: Tensor) -> Tensor:
    """A unit vector perpendicular to each of these, (N, D); zero where D is 1 and there is none."""
    pairs = unit[:, : unit.shape[1] // 2 * 2].unflatten(1, (-1, 2))  # (N, D // 2, 2)
    turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(1)
    turned = F.pad(turned, (0, unit.shape[1] - turned.shape[1]))
    return F.normalize(turned, dim=1)


def _sum_dtype(x: Tensor) -> torch.dtype:
    """What to add up in: millions of squares lose digits in float32. (Apple's GPUs have no float64.)"""
    return torch.float32 if x.device.type == "mps" else torch.float64


def _check_same_shapes(a: Latents, b: Latents, broadcast: bool = False) -> None:
    if a.shapes != b.shapes:
        raise InputError(f"These latents belong to pictures or models of different sizes: {a.shapes} and {b.shapes}.")
    if (a.dtype, a.device) != (b.dtype, b.device):
        raise InputError(f"Latents must agree in dtype and device: {a.dtype}, {a.device} and {b.dtype}, {b.device}.")
    if broadcast and a.num_samples != b.num_samples and 1 not in (a.num_samples, b.num_samples):
        raise InputError(
            f"The numbers of samples must be equal, or one of them 1; got {a.num_samples} and {b.num_samples}."
        )


def _per_level(temperature: Temperature, latents: Latents) -> list[float | Tensor]:
    """A number, one per level or a map, as one factor per level."""
    ndim = temperature.ndim if isinstance(temperature, (np.ndarray, Tensor)) else None
    if ndim == 0 or isinstance(temperature, (Real, np.bool_)):
        return [_check_temperature(temperature)] * len(latents)
    if ndim is not None and ndim != 1:
        values = _as_map(temperature, latents, name="temperature")
        return [resize_map(values, shape[1:]) for shape in latents.shapes]
    if not isinstance(temperature, (Sequence, np.ndarray, Tensor)) or isinstance(temperature, (str, bytes, Latents)):
        raise InputError(
            "A temperature must be a number, one per level, or a map (an array or a tensor); "
            f"got {type(temperature).__name__}: {temperature!r}."
        )
    values = temperature if isinstance(temperature, Sequence) else temperature.tolist()
    if len(values) != len(latents):
        raise InputError(
            f"These latents have {len(latents)} levels; got {len(values)} temperatures. "
            "Give one for each level, or a single number."
        )
    return [_check_temperature(value) for value in values]


def _check_temperature(value: object) -> float:
    value = _number(value, "temperature")
    if value < 0.0:
        raise InputError(f"A temperature must be at least 0; got {value}.")
    return value


def _as_map(values: np.ndarray | Tensor, latents: Latents, name: str) -> Tensor:
    """A map of finite values >= 0, as (N or 1, 1, h, w) with the latents' dtype and device."""
    if not isinstance(values, (np.ndarray, Tensor)):
        raise InputError(f"A {name} map must be an array or a tensor; got {type(values).__name__}.")
    size = tuple(values.shape)
    if len(size) == 2:
        values = values[None, None]
    elif len(size) != 4 or size[1] != 1 or size[0] not in (1, latents.num_samples):
        raise InputError(
            f"A {name} map must be (h, w), or (1, 1, h, w), or ({latents.num_samples}, 1, h, w) for as many samples; "
            f"got {size}."
        )
    if 0 in size:
        raise InputError(f"A {name} map must have at least one row and one column; got {size}.")
    if values.dtype in (object, torch.complex64, torch.complex128) or getattr(values.dtype, "kind", "f") not in "biuf":
        raise InputError(f"A {name} map must hold real numbers; got {values.dtype}.")
    # `+ 0` makes a copy, which numpy arrays that are read-only, or run backwards, need on their way to torch.
    values = torch.as_tensor(values + 0 if isinstance(values, np.ndarray) else values)
    values = values.to(latents.device, latents.dtype)
    low = float(values.min())  # NaN, if there is one
    high = float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"A {name} map must be finite; it holds {low if not math.isfinite(low) else high}.")
    if low < 0.0:
        raise InputError(f"A {name} map must not be negative; it holds {low}.")
    return values


def _number(value: object, name: str) -> float:
    """A finite real number as a float; neither a bool nor text."""
    if isinstance(value, (np.ndarray, Tensor)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise InputError(f"The {name} must be a number; got {value!r}.")
    if not math.isfinite(value):
        raise InputError(f"The {name} must be finite; got {value}.")
    return float(value)


def _integer(value: object, name: str, low: int, high: int) -> int:
    """A whole number from low to high as an int; no bool."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise InputError(f"{name} must be a whole number; got {value!r}.")
    if not low <= int(value) <= high:
        raise InputError(f"{name} must be from {low} to {_readable(high)}; got {value}.")
    return int(value)


def _readable(limit: int) -> str:
    return "2**64 - 1" if limit == MAX_WORD else str(limit)


def _range(region: slice, size: int, name: str) -> tuple[int, int]:
    """First and last + 1 of a slice of rows or columns."""
    start, stop, step = region.indices(size)
    if step != 1 or start >= stop:
        raise InputError(f"The {name} of a region must be some of 0 to {size - 1}, one by one; got {region}.")
    return start, stop


def _size(level: Tensor) -> str:
    return str(tuple(level.shape))


def _read(path: str | Path, with_levels: bool) -> tuple[list[Tensor], dict[str, str]]:
    """Levels (none, if not asked for) and metadata of a file of latents."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of latents.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            names = set(file.keys())
            if metadata.get("format") != _FORMAT or names != {f"level_{i}" for i in range(len(names))}:
                raise InputError(f"{path}: a safetensors file, but not one of latents.")
            levels = [file.get_tensor(f"level_{i}") for i in range(len(names))] if with_levels else []
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged, or not a file of latents ({error}).") from error
    return levels, metadata

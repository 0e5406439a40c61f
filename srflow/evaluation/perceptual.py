"""LPIPS, the learned perceptual distance (Zhang et al., CVPR 2018): AlexNet, version 0.1, as a map over the picture.

The distance itself is computed by the `lpips` package. The package would download AlexNet; here the features come from
`assets/lpips/` instead, so nothing is downloaded. "The LPIPS" of two pictures is the mean of the map, as in the NTIRE
challenges: close to the package's non-spatial value, but not equal to it.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor

from srflow.contract import CheckpointError, InputError
from srflow.shipped_files import shipped_folder
from srflow.work import Run, at_once

if TYPE_CHECKING:
    import lpips

__all__ = [
    "MIN_SIDE",
    "WEIGHTS_VARIABLE",
    "PerceptualDistance",
    "check_pictures",
    "find_weights",
    "lpips_map",
    "pairwise_lpips",
]

WEIGHTS_VARIABLE = "SRFLOW_LPIPS_WEIGHTS"
"""Environment variable that may name the file of AlexNet's features."""

MIN_SIDE = 32
"""Side in pixels of the smallest picture for AlexNet's strides."""

_WEIGHTS_FILE = Path("lpips", "alexnet_features.safetensors")  # of the shipped assets
_MAX_PIXELS_HELD = 4_000_000  # of the pictures whose features `pairwise` holds at once: about 45 bytes per pixel

_ROUNDING = 1e-6  # of `pairwise`; smaller distances count as 0

# Positions of torchvision's `features.<i>` inside the package's network, which cuts AlexNet into five slices.
_SLICES = {0: "slice1.0", 3: "slice2.3", 6: "slice3.6", 8: "slice4.8", 10: "slice5.10"}

Features = list[Tensor]


class PerceptualDistance:
    """The LPIPS network on one device. It does not change after construction, so threads may share it.

    Args:
        device: where it runs.
        weights: the file of AlexNet's features; None looks for it, see `find_weights`.
    Raises: CheckpointError: the file is missing, truncated, or has other tensors.
    """

    def __init__(self, device: str | torch.device = "cpu", weights: str | Path | None = None) -> None:
        self.device = torch.device(device)
        self._model = _build(find_weights(weights)).to(self.device)

    def map(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the distance of two pictures at every pixel.

        Args: a, b: uint8, (H, W, 3), at least `MIN_SIDE` pixels a side.
        Returns: float32, (H, W), 0 where nothing differs.
        Raises: InputError: they are anything else, or differ in size.
        """
        return self.map_to(b)(a)

    def map_to(self, reference: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return `map` with one fixed picture, whose features are computed here, once for all comparisons.

        Args: reference: uint8, (H, W, 3), at least `MIN_SIDE` pixels a side.
        Returns: a function of the other picture, uint8, (H, W, 3), that returns float32, (H, W).
        Raises: InputError: the reference, or later a picture, is anything else; or they differ in size.
        """
        _check(reference, reference)
        features = self._features(reference)

        def map_of(picture: np.ndarray) -> np.ndarray:
            _check(picture, reference)
            return self._map(self._features(picture), features, reference.shape[:2]).cpu().numpy()

        return map_of

    def pairwise(self, pictures: Sequence[np.ndarray], run: Run = at_once) -> np.ndarray:
        """Return the LPIPS between all pairs of pictures.

        Large sets are processed in blocks, so that only the features of a few pictures are in memory.

        Args:
            pictures: N of them, uint8, (H, W, 3), of one size.
            run: runs each piece of the work: the features of one picture, or its distances from a block.
        Returns: float32, (N, N), symmetric, with zeros on the diagonal.
        Raises: InputError: as in `map`, or if there are none.
        """
        if len(pictures) == 0:
            raise InputError("There are no pictures to compare; give at least one.")
        for picture in pictures:
            _check(picture, pictures[0])
        block = max(1, _MAX_PIXELS_HELD // (pictures[0].shape[0] * pictures[0].shape[1]))
        result = np.zeros((len(pictures), len(pictures)), dtype=np.float32)
        weights = run(lambda: self._weights(pictures[0]))
        for first in range(0, len(pictures), block):
            self._compare_block(pictures, range(first, min(first + block, len(pictures))), weights, result, run)
        result[result < _ROUNDING] = 0.0
        return result + result.T

    def _compare_block(
        self, pictures: Sequence[np.ndarray], rows: range, weights: Tensor, result: np.ndarray, run: Run
    ) -> None:
        """Fill the given rows of `result` right of the diagonal; their features are released at the end.

        The mean of the map is a sum of weighted squared differences of features, and those of all pairs are one matrix
        product: Σ w (a - b)² = Σ w a² + Σ w b² - 2 Σ w a b. The mean of the features is subtracted first, to lose few
        digits.
        """
        flat = [run(partial(self._flat, pictures[i])) for i in rows]

        @torch.no_grad()
        def within() -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
            block = torch.stack(flat)  # (R, D)
            centre = block.mean(0)
            block -= centre
            weighted = block * weights
            norms = (weighted * block).sum(1)
            inside = norms[:, None] + norms - 2 * weighted @ block.T
            return centre, weighted, norms, inside.cpu().numpy()

        @torch.no_grad()
        def to_another(picture: np.ndarray) -> np.ndarray:
            other = self._flat(picture) - centre
            return (norms + (other.square() * weights).sum() - 2 * weighted @ other).cpu().numpy()

        centre, weighted, norms, inside = run(within)
        flat.clear()
        span = slice(rows.start, rows.stop)
        result[span, span] = np.triu(inside, 1)
        for j in range(rows.stop, len(pictures)):
            result[span, j] = run(partial(to_another, pictures[j]))

    def _flat(self, picture: np.ndarray) -> Tensor:
        """Return all features, (D,)."""
        return torch.cat([layer.flatten() for layer in self._features(picture)])

    @torch.no_grad()
    def _weights(self, picture: np.ndarray) -> Tensor:
        """Return the weights of the squared differences of `_flat` in the mean of the map, for pictures of that size,
        (D,).

        Each is the layer's weight of the channel times the weight of the position in the mean of the bilinearly
        upscaled map.
        """

        def of_positions(count: int, size: int) -> Tensor:
            unit = torch.eye(count, device=self.device)[None]
            return F.interpolate(unit, size=size, mode="linear", align_corners=False)[0].mean(1)

        parts = []
        for head, layer in zip(self._model.lins, self._features(picture), strict=True):
            rows, columns = (of_positions(*sides) for sides in zip(layer.shape[-2:], picture.shape[:2], strict=True))
            channels = head.model[-1].weight.flatten()
            parts.append((channels[:, None, None] * rows[:, None] * columns).flatten())
        return torch.cat(parts)

    @torch.no_grad()
    def _features(self, picture: np.ndarray) -> Features:
        """Return unit-length features of the five layers, (1, C, h, w) each, as the package's forward computes them."""
        import lpips

        x = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device).permute(2, 0, 1).unsqueeze(0)
        outputs = self._model.net(self._model.scaling_layer(x.float() / 127.5 - 1))
        return [lpips.normalize_tensor(output) for output in outputs]

    @torch.no_grad()
    def _map(self, a: Features, b: Features, size: tuple[int, int]) -> Tensor:
        """Return (H, W): the sum over layers of the weighted squared difference, scaled up bilinearly."""
        import lpips

        total = torch.zeros(size, device=self.device)
        for head, x, y in zip(self._model.lins, a, b, strict=True):
            total += lpips.upsample(head((x - y) ** 2), out_HW=size)[0, 0]
        return total


def lpips_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute `PerceptualDistance.map` on the CPU; the network is built at the first call and kept."""
    return _shared().map(a, b)


def pairwise_lpips(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Compute `PerceptualDistance.pairwise` on the CPU; the network is built at the first call and kept."""
    return _shared().pairwise(pictures)


def find_weights(weights: str | Path | None = None) -> Path:
    """Return the file of AlexNet's features.

    It is `weights` if given; otherwise the file named by the environment variable `WEIGHTS_VARIABLE`; otherwise the one
    in the shipped assets.

    Raises: CheckpointError: the file does not exist; the message says where it was expected.
    """
    path = Path(weights or os.environ.get(WEIGHTS_VARIABLE) or shipped_folder("assets") / _WEIGHTS_FILE)
    if not path.is_file():
        raise CheckpointError(
            f"LPIPS needs AlexNet's features, but there is no file {path}. Take assets/{_WEIGHTS_FILE.as_posix()} "
            f"from the repository, put it there, or set {WEIGHTS_VARIABLE} to its path. Nothing is downloaded."
        )
    return path


@functools.cache
def _shared() -> PerceptualDistance:
    return PerceptualDistance()


def _build(path: Path) -> lpips.LPIPS:
    import lpips  # takes a second and 150 MB (torchvision); sampling alone does not need it

    # The package first fills AlexNet with random numbers. They must not come from the caller's generator, or a resumed
    # training run would differ from an uninterrupted one.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*'(pretrained|weights)'.*", category=UserWarning)
        model = lpips.LPIPS(net="alex", version="0.1", spatial=True, pnet_rand=True, verbose=False)
    try:
        tensors = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or is not a safetensors file ({error}); get it again.") from error
    expected = {
        f"features.{index}.{kind}": model.net.state_dict()[f"{place}.{kind}"].shape
        for index, place in _SLICES.items()
        for kind in ("weight", "bias")
    }
    actual = {name: tensor.shape for name, tensor in tensors.items()}
    if actual != expected:
        wrong = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
        raise CheckpointError(
            f"{path} does not contain the ten tensors of AlexNet's features; missing, unexpected or of another "
            f"shape: {', '.join(wrong)}."
        )
    renamed = {}
    for index, place in _SLICES.items():
        for kind in ("weight", "bias"):
            renamed[f"{place}.{kind}"] = tensors[f"features.{index}.{kind}"]
    model.net.load_state_dict(renamed)
    return model.eval().requires_grad_(False)


def check_pictures(picture: np.ndarray, reference: np.ndarray, what: str, min_side: int) -> None:
    """Check pictures before a distance, called `what` in messages, compares them.

    Raises: InputError: they are not uint8, (H, W, 3); of different sizes; or have fewer than `min_side` pixels a side.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(
            f"{what} takes uint8 pictures of shape (H, W, 3); got {picture.dtype} of {picture.shape}. "
            "images.to_uint8 converts tensors in [0, 1]."
        )
    if picture.shape != reference.shape:
        raise InputError(
            f"The pictures differ in size: {picture.shape[1]}x{picture.shape[0]} and "
            f"{reference.shape[1]}x{reference.shape[0]}; crop them first."
        )
    if min(picture.shape[:2]) < min_side:
        raise InputError(
            f"{what} needs {min_side} pixels a side; the picture is {picture.shape[1]}x{picture.shape[0]}."
        )


def _check(picture: np.ndarray, reference: np.ndarray) -> None:
    check_pictures(picture, reference, "LPIPS", MIN_SIDE)

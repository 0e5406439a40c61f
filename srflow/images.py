"""Conversion between arrays and float tensors, and MATLAB's bicubic scaling of both.

An array is (H, W, 3) uint8, RGB, 0 to 255. A tensor is (B, 3, H, W) float, RGB, 0 to 1. Picture files are read and
written in `srflow.pictures`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srflow.arrays import check_uint8
from srflow.errors import InputError

__all__ = [
    "bicubic_downscale",
    "bicubic_upscale",
    "crop_to_multiple",
    "downscale_uint8",
    "to_tensor",
    "to_uint8",
    "to_uint8_batch",
    "to_uint16",
    "upscale_uint8",
]

# -- arrays and tensors ------------------------------------------------------------------------------------------------


def to_tensor(array: np.ndarray) -> Tensor:
    """Convert uint8 (H, W, 3) to (1, 3, H, W), float32, in [0, 1].

    Raises: InputError: the array is of another kind.
    """
    check_uint8(array)
    planes = np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(planes)[None] / 255.0


def to_uint8(tensor: Tensor) -> np.ndarray:
    """Convert (3, H, W) or (1, 3, H, W) float to uint8 (H, W, 3): clipped to [0, 1] and rounded.

    Raises: InputError: the tensor has another shape, or contains NaN.
    """
    if tensor.ndim == 3:
        tensor = tensor[None]
    if tensor.ndim != 4 or tensor.shape[0] != 1:
        raise InputError(f"A picture must be (3, H, W) or (1, 3, H, W); got {tuple(tensor.shape)}.")
    return to_uint8_batch(tensor)[0]


def to_uint8_batch(tensor: Tensor) -> np.ndarray:
    """Convert (B, 3, H, W) float to uint8 (B, H, W, 3): clipped to [0, 1] and rounded.

    Values are rounded, not truncated as in the released code: truncation alone would limit LR-PSNR to about 51 dB.

    Raises: InputError: the tensor has another shape or type, or contains NaN.
    """
    if tensor.ndim != 4 or tensor.shape[1] != 3 or not tensor.is_floating_point():
        raise InputError(f"Pictures must be float (B, 3, H, W); got {tensor.dtype} {tuple(tensor.shape)}.")
    tensor = tensor.detach()
    if tensor.isnan().any():
        raise InputError("The picture contains NaN, which has no colour. (A lower temperature may avoid it.)")
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    return (tensor.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_uint16(tensor: Tensor) -> np.ndarray:
    """Convert (3, H, W) or (1, 3, H, W) float to uint16 (H, W, 3): clipped to [0, 1], where 1 is 65535, and rounded.

    Raises: InputError: the tensor has another shape, or contains NaN.
    """
    if tensor.shape[-3:-2] != (3,) or tensor.ndim not in (3, 4) or (tensor.ndim == 4 and tensor.shape[0] != 1):
        raise InputError(f"A picture must be (3, H, W) or (1, 3, H, W); got {tuple(tensor.shape)}.")
    if tensor.isnan().any():
        raise InputError("The picture contains NaN, which has no colour. (A lower temperature may avoid it.)")
    values = (tensor.detach().reshape(tensor.shape[-3:]).float().clamp(0.0, 1.0) * 65535.0).round()
    return values.to(torch.int32).permute(1, 2, 0).cpu().numpy().astype(np.uint16)


def crop_to_multiple(array: np.ndarray, multiple: int) -> np.ndarray:
    """Crop an array, (H, W) or (H, W, C), at the right and bottom so that H and W are multiples. Returns a view.

    Raises: InputError: nothing would be left.
    """
    _check_factor(multiple, "multiple")
    H, W = (size // multiple * multiple for size in array.shape[:2])
    if H == 0 or W == 0:
        raise InputError(
            f"A picture of {array.shape[1]}x{array.shape[0]} pixels is too small: each side needs {multiple} or more."
        )
    return array[:H, :W]


# -- MATLAB's bicubic scaling ------------------------------------------------------------------------------------------
# The LR pictures of super-resolution papers come from MATLAB's imresize: cubic kernel (a = -1/2), widened by the factor
# for downscaling, and symmetric reflection at the borders. torch's antialiased bicubic has that kernel, but truncates
# it at the borders; so the picture is extended first and the result cropped.

_PADDING = 4  # pixels of the smaller of the two pictures; the kernel reaches 2


def downscale_uint8(array: np.ndarray, factor: int) -> np.ndarray:
    """Scale down as MATLAB's `imresize(array, 1 / factor)` does for uint8: columns first, rounded after each axis.

    Sizes that are not a multiple of the factor are rounded up, as in MATLAB: the last pixels then include the
    reflection.

    Args:
        array: uint8, (H, W, 3) or (H, W), of any size from 1x1.
        factor: a whole number from 1.

    Returns: uint8, (ceil(H / factor), ceil(W / factor), 3), or without the 3.

    Raises: InputError: array or factor are of another kind.
    """
    return _resize_uint8(array, factor, down=True)


def upscale_uint8(array: np.ndarray, factor: int) -> np.ndarray:
    """Scale up as MATLAB's `imresize(array, factor)` does for uint8: columns first, rounded after each axis.

    Args:
        array: uint8, (H, W, 3) or (H, W), of any size from 1x1.
        factor: a whole number from 1.

    Returns: uint8, (factor H, factor W, 3), or without the 3.

    Raises: InputError: array or factor are of another kind.
    """
    return _resize_uint8(array, factor, down=False)


def bicubic_downscale(tensor: Tensor, factor: int) -> Tensor:
    """Scale down as MATLAB's `imresize(tensor, 1 / factor)` does for floats; differentiable, not clipped.

    Args:
        tensor: (B, C, H, W), float32 or float64, of any size from 1x1.
        factor: a whole number from 1.

    Returns: (B, C, ceil(H / factor), ceil(W / factor)).

    Raises: InputError: if tensor or factor are of another kind.
    """
    return _resize_float(tensor, factor, down=True)


def bicubic_upscale(tensor: Tensor, factor: int) -> Tensor:
    """Scale up as MATLAB's `imresize(tensor, factor)` does for floats; differentiable, not clipped.

    Args:
        tensor: (B, C, H, W), float32 or float64, of any size from 1x1.
        factor: a whole number from 1.

    Returns: (B, C, factor H, factor W).

    Raises: InputError: if tensor or factor are of another kind.
    """
    return _resize_float(tensor, factor, down=False)


def _resize_float(tensor: Tensor, factor: int, *, down: bool) -> Tensor:
    _check_factor(factor)
    if tensor.ndim != 4 or tensor.numel() == 0 or tensor.dtype not in (torch.float32, torch.float64):
        raise InputError(
            f"Pictures to scale must be (B, C, H, W), float32 or float64; got {tensor.dtype} {tuple(tensor.shape)}."
        )
    return _interpolate(_extend(tensor, factor, down=down), factor, (2, 3), down=down)


def _resize_uint8(array: np.ndarray, factor: int, *, down: bool) -> np.ndarray:
    _check_factor(factor)
    check_uint8(array, ndims=(3, 2))
    planes = torch.from_numpy(np.array(np.atleast_3d(array).transpose(2, 0, 1), order="C"))[:, None, None]
    resized = []
    for plane in planes:  # (1, 1, H, W); one colour at a time, which is faster and takes less memory
        plane = _extend(plane, factor, down=down)
        for axis in (2, 3):
            # If the factor is a power of two, so is the common denominator of the weights, and their sums are exact in
            # float64: a value that looks like a half is exactly a half.
            values = _interpolate(plane.double(), factor, (axis,), down=down)
            # MATLAB rounds halves away from zero. Negative values are clipped, so this means upwards.
            plane = (values + 0.5).clamp_(0.0, 255.0).to(torch.uint8)
        resized.append(plane[0, 0])
    result = torch.stack(resized, dim=-1).numpy()
    return result if array.ndim == 3 else result[..., 0]


def _extend(x: Tensor, factor: int, *, down: bool) -> Tensor:
    """Extend a picture by symmetric reflection, repeated if it is smaller than the margin (as in MATLAB).

    Both axes are extended before either is scaled, because torch 2.15 scales a column wrongly if it is the only one.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        before = _PADDING * factor if down else _PADDING
        after = before + (-size % factor if down else 0)
        index = torch.arange(-before, size + after, device=x.device).remainder(2 * size)
        index = torch.where(index < size, index, 2 * size - 1 - index)
        # Gather only the margins: gathering all columns would take longer than scaling them.
        first, last = (x.index_select(axis, part) for part in (index[:before], index[before + size :]))
        x = torch.cat([first, x, last], dim=axis)
    return x


def _interpolate(x: Tensor, factor: int, axes: Sequence[int], *, down: bool) -> Tensor:
    """Scale some axes of an extended picture, (B, C, H, W), and crop the margin."""
    sizes = list(x.shape[2:])
    for axis in axes:
        sizes[axis - 2] = sizes[axis - 2] // factor if down else sizes[axis - 2] * factor
    device = x.device
    if device.type == "mps":  # if PyTorch has no antialiased scaling
        x = x.cpu()
    x = F.interpolate(x, size=sizes, mode="bicubic", align_corners=False, antialias=True).to(device)
    margin = _PADDING if down else _PADDING * factor
    for axis in axes:
        x = x.narrow(axis, margin, x.shape[axis] - 2 * margin)
    return x


# -- checks ------------------------------------------------------------------------------------------------------------


def _check_factor(factor: int, name: str = "factor") -> None:
    if isinstance(factor, bool) or not isinstance(factor, (int, np.integer)) or factor < 1:
        raise InputError(f"The {name} must be a whole number from 1; got {factor!r}.")

"""Pictures: files ↔ uint8 arrays ↔ float tensors, and MATLAB's bicubic scaling of both.

An array is (H, W, 3) uint8, RGB, 0 to 255. A tensor is (B, 3, H, W) float, RGB, 0 to 1.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageFile, ImageOps
from PIL.PngImagePlugin import PngImageFile, PngInfo
from torch import Tensor

from srflow.contract import DatasetError, ImageError, ImageTooLargeError, InputError
from srflow.files import atomic_write
from srflow.png import write_png

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "bicubic_downscale",
    "bicubic_upscale",
    "crop_to_multiple",
    "downscale_uint8",
    "list_images",
    "load_image",
    "read_png_text",
    "save_png",
    "to_tensor",
    "to_uint8",
    "to_uint8_batch",
    "upscale_uint8",
]

MAX_PIXELS = 64_000_000
"""Pixels that a picture may have unless the caller says otherwise: 8000x8000."""

# Raster formats that Pillow decodes inside this process. Not EPS, PDF or WMF, which would start other programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "mpo", "webp", "tif", "tiff", "bmp", "dib", "gif"),
        *("ppm", "pgm", "pbm", "pnm", "avif", "jp2", "j2k", "jpx"),
    )
)
"""Name endings, in small letters, by which `list_images` knows a picture. Loading goes by the content alone."""

Source = str | Path | bytes | BinaryIO

_LARGE_BYTES = 1 << 28  # of a picture that is written strip by strip: Pillow would copy it first


# -- files -------------------------------------------------------------------------------------------------------------


def load_image(source: Source, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a picture of any common kind as 8-bit sRGB.

    The format is told by the content, not by the name: PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, AVIF or JPEG 2000. The
    picture is turned as its EXIF data say. Of an animation the first frame is read. Transparent parts are laid on
    white. Embedded colour profiles are converted to sRGB (a broken one is ignored). 16-bit grey is scaled, with
    rounding, not clipped; 16-bit colour is cut to 8 bits by Pillow's decoder. Floats are taken to be from 0 to 1.

    Args:
        source: a path, the bytes of a file, or an open binary file, which is read from where it stands.
        max_pixels: larger pictures are refused by what their header says, before anything is decoded.

    Returns: uint8, (H, W, 3), the caller's own to change.

    Raises:
        ImageTooLargeError: if it has more pixels than `max_pixels`.
        ImageError: if there is no such file, or it is empty, cut off, damaged or no picture.
    """
    with _opened(source) as (file, name), _named_errors(name):
        image = _identify(file, name, _FORMATS)
        _check_pixels(image.size, max_pixels, name)
        image.load()
        _turn_upright(image)
        return np.array(_to_srgb(image, name))


def save_png(path: str | Path, array: np.ndarray, *, text: Mapping[str, str] | None = None) -> None:
    """Write a PNG that reads back as exactly this array. The file appears whole or not at all.

    Args:
        path: where to; an existing file is replaced.
        array: uint8 (H, W, 3) RGB, uint8 (H, W) grey, or uint16 (H, W) grey of 16 bits.
        text: names and values to carry along, see `read_png_text`. A value may hold any characters but NUL; a name
            is of 1 to 79 Latin-1 characters.

    Raises: InputError: if array or text are of another kind.
    """
    if isinstance(array, np.ndarray) and array.dtype.newbyteorder("=") == np.uint16 and array.ndim == 2 and array.size:
        array = array.astype(np.uint16)  # in this machine's byte order
    else:
        _check_uint8(array, ndims=(3, 2))
    info = PngInfo()
    for key, value in (text or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"The text of a PNG must be text; got {key!r}: {value!r}.")
        if not re.fullmatch("[\x20-\x7e\xa1-\xff]{1,79}", key):
            raise InputError(f"The name of a text in a PNG must be of 1 to 79 Latin-1 characters; got {key!r}.")
        if "\0" in value:
            raise InputError(f"The text {key!r} of a PNG must not hold NUL characters.")
        info.add_text(key, value)  # Latin-1 where that does, else UTF-8 (iTXt)
    with atomic_write(path) as file:
        if array.nbytes > _LARGE_BYTES and array.ndim == 3:
            write_png(file, array, ((chunk[0], chunk[1]) for chunk in info.chunks))
            return
        # zlib's usual level 6 takes about three times as long, for files that are 8 % smaller.
        Image.fromarray(np.ascontiguousarray(array)).save(file, format="PNG", pnginfo=info, compress_level=3)


def read_png_text(source: Source, *, max_pixels: int = MAX_PIXELS) -> dict[str, str]:
    """The text that a PNG carries, by name.

    Raises:
        ImageTooLargeError: if it has more pixels than `max_pixels` (text may come after the pixels).
        ImageError: if it cannot be read, or is no PNG.
    """
    with _opened(source) as (file, name), _named_errors(name):
        image = _identify(file, name, ("PNG",))
        _check_pixels(image.size, max_pixels, name)
        assert isinstance(image, PngImageFile)
        return {str(key): str(value) for key, value in image.text.items()}


def list_images(folder: str | Path) -> list[Path]:
    """The pictures in a folder, by their name's ending (`SUFFIXES`); those in folders inside it are not looked for.

    Sorted as people sort: `x2.png` before `x10.png`. Hidden files are left out.

    Raises: DatasetError: if there is no such folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder of pictures.")
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise DatasetError(f"{folder}: no pictures in this folder (looked for {', '.join(sorted(SUFFIXES))}).")
    return sorted(found, key=lambda path: (_natural(path.name), path.name))


# -- arrays and tensors ------------------------------------------------------------------------------------------------


def to_tensor(array: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) → (1, 3, H, W), float32, in [0, 1].

    Raises: InputError: if the array is of another kind.
    """
    _check_uint8(array)
    planes = np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(planes)[None] / 255.0


def to_uint8(tensor: Tensor) -> np.ndarray:
    """(3, H, W) or (1, 3, H, W) float → uint8 (H, W, 3): clipped to [0, 1] and rounded.

    Raises: InputError: if the tensor is of another shape, or holds NaN.
    """
    if tensor.ndim == 3:
        tensor = tensor[None]
    if tensor.ndim != 4 or tensor.shape[0] != 1:
        raise InputError(f"A picture must be (3, H, W) or (1, 3, H, W); got {tuple(tensor.shape)}.")
    return to_uint8_batch(tensor)[0]


def to_uint8_batch(tensor: Tensor) -> np.ndarray:
    """(B, 3, H, W) float → uint8 (B, H, W, 3): clipped to [0, 1] and rounded.

    Rounded, not cut off as in the released code: cutting alone would hold LR-PSNR below about 51 dB.

    Raises: InputError: if the tensor is of another shape or kind, or holds NaN.
    """
    if tensor.ndim != 4 or tensor.shape[1] != 3 or not tensor.is_floating_point():
        raise InputError(f"Pictures must be float (B, 3, H, W); got {tensor.dtype} {tuple(tensor.shape)}.")
    tensor = tensor.detach()
    if tensor.isnan().any():
        raise InputError("The picture holds NaN: there is no colour for it. (A lower temperature may avoid it.)")
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    return (tensor.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def crop_to_multiple(array: np.ndarray, multiple: int) -> np.ndarray:
    """Cut an array, (H, W) or (H, W, C), at the right and bottom so that H and W are multiples. A view, not a copy.

    Raises: InputError: if nothing would be left.
    """
    _check_factor(multiple, "multiple")
    H, W = (size // multiple * multiple for size in array.shape[:2])
    if H == 0 or W == 0:
        raise InputError(
            f"A picture of {array.shape[1]}x{array.shape[0]} pixels is too small: each side needs {multiple} or more."
        )
    return array[:H, :W]


# -- MATLAB's bicubic scaling ------------------------------------------------------------------------------------------
#
# The LR pictures of super-resolution papers come from MATLAB's imresize: cubic kernel (a = -1/2), widened by the factor
# when scaling down, and symmetric reflection at the borders. torch's antialiased bicubic has that kernel, but cuts it
# off at the borders; so the picture is extended first and the result cropped.

_PADDING = 4  # pixels of the smaller of the two pictures; the kernel reaches 2


def downscale_uint8(array: np.ndarray, factor: int) -> np.ndarray:
    """Scale down as MATLAB's `imresize(array, 1 / factor)` does for uint8: columns first, rounded after each axis.

    Sizes that are no multiple of the factor are rounded up, as in MATLAB: the last pixels then see the reflection.

    Args:
        array: uint8, (H, W, 3) or (H, W), of any size from 1x1.
        factor: a whole number from 1.

    Returns: uint8, (ceil(H / factor), ceil(W / factor), 3), or without the 3.

    Raises: InputError: if array or factor are of another kind.
    """
    return _resize_uint8(array, factor, down=True)


def upscale_uint8(array: np.ndarray, factor: int) -> np.ndarray:
    """Scale up as MATLAB's `imresize(array, factor)` does for uint8: columns first, rounded after each axis.

    Args:
        array: uint8, (H, W, 3) or (H, W), of any size from 1x1.
        factor: a whole number from 1.

    Returns: uint8, (factor H, factor W, 3), or without the 3.

    Raises: InputError: if array or factor are of another kind.
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
    _check_uint8(array, ndims=(3, 2))
    planes = torch.from_numpy(np.array(np.atleast_3d(array).transpose(2, 0, 1), order="C"))[:, None, None]
    resized = []
    for plane in planes:  # (1, 1, H, W); one colour at a time, which is quicker and takes less memory
        plane = _extend(plane, factor, down=down)
        for axis in (2, 3):
            # If the factor is a power of two, so is the common denominator of the weights, and their sums are exact in
            # float64: what looks like a half is one.
            values = _interpolate(plane.double(), factor, (axis,), down=down)
            # MATLAB rounds halves away from zero. What is below zero is clipped, so that means upwards.
            plane = (values + 0.5).clamp_(0.0, 255.0).to(torch.uint8)
        resized.append(plane[0, 0])
    result = torch.stack(resized, dim=-1).numpy()
    return result if array.ndim == 3 else result[..., 0]


def _extend(x: Tensor, factor: int, *, down: bool) -> Tensor:
    """Continue a picture by symmetric reflection, over and over where it is smaller than the margin (as in MATLAB).

    Both axes, before either is scaled, since torch 2.15 scales a column wrongly if it is the only one.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        before = _PADDING * factor if down else _PADDING
        after = before + (-size % factor if down else 0)
        index = torch.arange(-before, size + after, device=x.device).remainder(2 * size)
        index = torch.where(index < size, index, 2 * size - 1 - index)
        # Only the margins are gathered: gathering all columns would take longer than scaling them.
        first, last = (x.index_select(axis, part) for part in (index[:before], index[before + size :]))
        x = torch.cat([first, x, last], dim=axis)
    return x


def _interpolate(x: Tensor, factor: int, axes: Sequence[int], *, down: bool) -> Tensor:
    """Scale some axes of an extended picture, (B, C, H, W), and crop the margin off again."""
    sizes = list(x.shape[2:])
    for axis in axes:
        sizes[axis - 2] = sizes[axis - 2] // factor if down else sizes[axis - 2] * factor
    device = x.device
    if device.type == "mps":  # where PyTorch has no antialiased scaling
        x = x.cpu()
    x = F.interpolate(x, size=sizes, mode="bicubic", align_corners=False, antialias=True).to(device)
    margin = _PADDING if down else _PADDING * factor
    for axis in axes:
        x = x.narrow(axis, margin, x.shape[axis] - 2 * margin)
    return x


# -- inside: reading ---------------------------------------------------------------------------------------------------


@contextmanager
def _opened(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    """An open, seekable file and what to call it in errors."""
    if isinstance(source, (str, Path)):
        path = Path(source)
        try:
            file = path.open("rb")
        except IsADirectoryError as error:
            raise ImageError(f"{path} is a folder, not a picture.") from error
        except FileNotFoundError as error:
            raise ImageError(f"{path}: there is no such file.") from error
        except (OSError, ValueError) as error:
            raise ImageError(f"{path}: cannot be opened ({error}).") from error
        with file:
            yield file, path.name
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source), "The picture"
    elif hasattr(source, "read"):
        content = source.read()
        if not isinstance(content, bytes):
            raise ImageError(f"A picture must be read from a binary file; {source!r} gives {type(content).__name__}.")
        name = getattr(source, "name", None)
        yield io.BytesIO(content), Path(name).name if isinstance(name, str) else "The picture"
    else:
        raise ImageError(f"A picture must be a path, bytes or an open binary file; got {type(source).__name__}.")


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into an error with a name."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # a frame that is larger than the picture it belongs to
        raise ImageTooLargeError(f"{name}: has a frame of too many pixels ({error}).") from error
    except MemoryError as error:
        raise ImageTooLargeError(f"{name}: takes more memory than there is.") from error
    except Exception as error:  # decoders answer damaged data with errors of every kind
        raise ImageError(f"{name}: damaged or cut off, it cannot be decoded ({error}).") from error


def _identify(file: BinaryIO, name: str, formats: Sequence[str]) -> ImageFile.ImageFile:
    """Read the header.

    Goes through Pillow's table of formats rather than `Image.open`, whose limit on pixels is one for the whole process:
    it refuses pictures that the caller allows, and warns before `_check_pixels` can tell what the matter is.
    """
    prefix = file.read(16)
    if not prefix:
        raise ImageError(f"{name}: the file is empty (0 bytes).")
    Image.init()
    for kind in formats:
        if kind not in Image.OPEN:  # a Pillow built without it
            continue
        factory, accept = Image.OPEN[kind]
        accepted = accept(prefix) if accept else True
        if isinstance(accepted, str):  # the format is known, its decoder is missing
            raise ImageError(f"{name}: {accepted}.")
        if accepted:
            file.seek(0)
            return factory(file, "")
    raise ImageError(f"{name}: not a picture of a kind that can be read ({', '.join(formats)}).")


def _check_pixels(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name}: {width}x{height} is {width * height:,} pixels; at most {max_pixels:,} are allowed. "
            "Scale it down or crop it."
        )


def _turn_upright(image: Image.Image) -> None:
    """Turn and mirror a picture as its EXIF data say; if they cannot be read, they say nothing."""
    with suppress(Exception):  # there are as many kinds as ways to break EXIF data
        ImageOps.exif_transpose(image, in_place=True)


def _to_srgb(image: Image.Image, name: str) -> Image.Image:
    """Any mode that Pillow's decoders give → RGB."""
    profile = image.info.get("icc_profile")
    alpha = None
    if image.mode.startswith(("I", "F")):
        image = _to_eight_bits(image, name)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha, image = image.getchannel("A"), image.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    image = _apply_profile(image, profile)
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    return image


def _to_eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Grey pictures of 16 bits (modes I;16 and I) or floats (mode F) → mode L."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0.0 and high <= 1.0):  # false for NaN as well
            raise ImageError(f"{name}: float pixels must be from 0 to 1; these are from {low} to {high}.")
        return Image.fromarray(np.rint(values * 255.0).astype(np.uint8))
    if low < 0 or high > 65535:
        raise ImageError(f"{name}: grey pixels must be of 16 bits, 0 to 65535; these are from {low} to {high}.")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Modes L, RGB and CMYK → sRGB, by the embedded ICC profile if there is one that fits."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            # Converting sRGB to sRGB would change nothing but the rounding.
            if image.mode != "RGB" or "sRGB" not in ImageCms.getProfileDescription(source):
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
                assert converted is not None  # as it would be in place
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # broken, or made for another kind of picture: better colours as they are than no picture
    return image if image.mode == "RGB" else image.convert("RGB")


def _natural(name: str) -> list[tuple[int, int | str]]:
    """A sorting key that compares runs of digits as numbers and all else as letters of either case."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


# -- inside: checks ----------------------------------------------------------------------------------------------------


def _check_uint8(array: np.ndarray, ndims: tuple[int, ...] = (3,)) -> None:
    shapes = " or ".join({3: "(H, W, 3)", 2: "(H, W)"}[ndim] for ndim in ndims)
    if not isinstance(array, np.ndarray):
        raise InputError(f"A picture must be a uint8 array {shapes}; got {type(array).__name__}.")
    fits = array.ndim in ndims and (array.ndim == 2 or array.shape[2] == 3)
    if not fits or array.dtype != np.uint8 or array.size == 0:
        raise InputError(f"A picture must be a uint8 array {shapes}; got {array.dtype} {array.shape}.")


def _check_factor(factor: int, name: str = "factor") -> None:
    if isinstance(factor, bool) or not isinstance(factor, (int, np.integer)) or factor < 1:
        raise InputError(f"The {name} must be a whole number from 1; got {factor!r}.")

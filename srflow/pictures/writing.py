"""Writing pictures: all files are written by this module, as PNGs, atomically, marked with their colour space."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from srflow.contract import InputError, Metadata
from srflow.files import atomic_write
from srflow.pictures.png_writer import write_png

__all__ = ["save_png"]

_LARGE_BYTES = 1 << 28  # of a picture that is written strip by strip: Pillow would copy it first
_COMPRESSION = 3  # zlib's usual level 6 takes about three times as long, for files that are 8 % smaller
_XMP_KEY = "XML:com.adobe.xmp"
_PERCEPTUAL = b"\0"  # rendering intent, the content of an sRGB chunk


def save_png(
    path: str | Path,
    array: np.ndarray,
    *,
    alpha: np.ndarray | None = None,
    text: Mapping[str, str] | None = None,
    metadata: Metadata | None = None,
) -> None:
    """Write a PNG that reads back as exactly this array, marked as sRGB. The file is written atomically.

    Args:
        path: where to write it; an existing file is replaced.
        array: uint8 or uint16, (H, W, 3) RGB or (H, W) grey.
        alpha: the opacity, (H, W), of the same type.
        text: names and values to include, see `read_png_text`. A value may contain any characters except NUL; a name
            has 1 to 79 Latin-1 characters.
        metadata: of the picture from which this one was made: dpi, EXIF, XMP, and text, over which `text` has priority.

    Raises:
        InputError: array or text are of another kind.
        OutputError: the file cannot be written.
    """
    array, alpha = _check(array, alpha)
    info = _chunks(_joined(text, metadata))
    if metadata is not None and metadata.xmp is not None:
        info.add_itxt(_XMP_KEY, metadata.xmp.decode("utf-8", "replace").replace("\0", ""))
    with atomic_write(path) as file:
        is_simple = array.dtype == np.uint8 or (array.ndim == 2 and alpha is None)
        if array.nbytes > _LARGE_BYTES or not is_simple:
            write_png(file, array, alpha, _all_chunks(info, metadata))
            return
        options: dict[str, Any] = {}
        if metadata is not None and metadata.dpi is not None:
            options["dpi"] = metadata.dpi
        if metadata is not None and metadata.exif is not None:
            options["exif"] = metadata.exif
        _to_image(array, alpha).save(file, format="PNG", pnginfo=info, compress_level=_COMPRESSION, **options)


def _check(array: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the arrays in this machine's byte order, checked."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"A picture must be an array; got {type(array).__name__}.")
    shapes = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    kind = array.dtype.newbyteorder("=")
    if not shapes or array.size == 0 or kind not in (np.uint8, np.uint16):
        raise InputError(
            f"A picture must be uint8 or uint16, (H, W, 3) or (H, W), and not empty; got {array.dtype} {array.shape}."
        )
    if kind != array.dtype:
        array = array.astype(kind)
    if alpha is not None and (alpha.shape != array.shape[:2] or alpha.dtype != array.dtype):
        raise InputError(
            f"The opacity must be {array.dtype} {array.shape[:2]}, as the picture; got {alpha.dtype} {alpha.shape}."
        )
    return array, alpha


def _joined(text: Mapping[str, str] | None, metadata: Metadata | None) -> dict[str, str]:
    """Return the text to write; text copied from a file is left out if it is invalid."""
    carried = {} if metadata is None else metadata.text
    fit = {key: value for key, value in carried.items() if _is_name(key) and "\0" not in value}
    return fit | dict(text or {})


def _is_name(key: str) -> bool:
    return re.fullmatch("[\x20-\x7e\xa1-\xff]{1,79}", key) is not None


def _chunks(text: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    info.add(b"sRGB", _PERCEPTUAL)
    for key, value in text.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"The text of a PNG must be text; got {key!r}: {value!r}.")
        if not _is_name(key):
            raise InputError(f"The name of a text in a PNG must be of 1 to 79 Latin-1 characters; got {key!r}.")
        if "\0" in value:
            raise InputError(f"The text {key!r} of a PNG must not hold NUL characters.")
        info.add_text(key, value)  # Latin-1 if possible, otherwise UTF-8 (iTXt)
    return info


def _all_chunks(info: PngInfo, metadata: Metadata | None) -> list[tuple[bytes, bytes]]:
    """Return all chunks that Pillow would write before the pixels."""
    chunks = [(chunk[0], chunk[1]) for chunk in info.chunks]
    if metadata is not None and metadata.dpi is not None:
        per_metre = b"".join(int(value / 0.0254 + 0.5).to_bytes(4, "big") for value in metadata.dpi)
        chunks.append((b"pHYs", per_metre + b"\x01"))
    if metadata is not None and metadata.exif is not None:
        chunks.append((b"eXIf", metadata.exif))
    return chunks


def _to_image(array: np.ndarray, alpha: np.ndarray | None) -> Image.Image:
    if alpha is not None:
        array = np.concatenate([np.atleast_3d(array), alpha[..., None]], axis=2)
    return Image.fromarray(np.ascontiguousarray(array))

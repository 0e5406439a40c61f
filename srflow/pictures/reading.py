"""The one door through which picture files come in."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile

from srflow.contract import RECIPE_KEY, ImageError, ImageTooLargeError, Metadata, Picture
from srflow.pictures import jpeg, png
from srflow.pictures.alpha import continue_colours, unpremultiply
from srflow.pictures.colour import (
    ADOBE_RGB,
    Space,
    apply_profile,
    apply_profile_deep,
    apply_space,
    fits,
    lab_to_srgb,
    to_depth,
)
from srflow.pictures.declared import declared_by_nclx, declared_by_png, read_png_chunks
from srflow.pictures.kinds import FORMATS, describe, missing_plugin, register_plugins
from srflow.pictures.metadata import exif_orientation, is_adobe_rgb, read_metadata
from srflow.pictures.tiff import choose_page, is_plain, read_planes, refuse_raw

__all__ = ["MAX_PIXELS", "Source", "load_image", "read_picture", "read_png_text", "read_size"]

MAX_PIXELS = 64_000_000
"""Pixels that a picture may have unless the caller says otherwise: 8000x8000."""

Source = str | Path | bytes | BinaryIO

_PREFIX = 4096  # bytes in which an AVIF or HEIC file says how its colours are coded
_TURNED = (5, 6, 7, 8)  # orientations that exchange width and height


def load_image(source: Source, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels of a picture file as 8-bit sRGB, transparent parts laid on white: uint8, (H, W, 3), to be changed.

    See `read_picture`, of which this is the short form.
    """
    pixels = read_picture(source, max_pixels=max_pixels).on_white()
    return pixels if pixels.flags.writeable else pixels.copy()


def read_picture(source: Source, *, max_pixels: int = MAX_PIXELS, bits: int = 8) -> Picture:
    """Read a picture of any common kind as sRGB.

    The format is told by the content, not by the name: PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, AVIF or JPEG 2000; HEIC
    and JPEG XL if pillow-heif or pillow-jxl-plugin is installed. The picture is turned as its EXIF data say. Colours
    are converted by what an embedded profile does, or by what a PNG's chunks or an nclx box declare; a broken profile
    is ignored. Of an animation the first frame is read, of a TIFF the first page that is no thumbnail. 16-bit values
    and floats, which must be from 0 to 1, keep all their bits until the last step, which rounds.

    Args:
        source: a path, the bytes of a file, or an open binary file, which is read from where it stands.
        max_pixels: larger pictures are refused by what their header says, before anything is decoded.
        bits: 8, or 16 for pixels of uint16.

    Raises:
        ImageTooLargeError: if it has more pixels than `max_pixels`.
        ImageError: if there is no such file, or it is empty, cut off, damaged, no picture, or of a kind whose colours
            are not known.
    """
    dtype = {8: np.uint8, 16: np.uint16}[bits]
    with _opened(source) as (file, name), _named_errors(name):
        kind, prefix = _identify(file, name, FORMATS)
        if kind == "TIFF":
            return _read_tiff(file, name, max_pixels, dtype)
        image = _open(file, kind)
        _check_pixels(image.size, max_pixels, name)
        chunks = read_png_chunks(file) if image.format == "PNG" else {}
        space = declared_by_png(chunks, name) if image.format == "PNG" else declared_by_nclx(prefix, name)
        if png.is_deep(chunks.get(b"IHDR", b"")):
            values, alpha = png.read_deep(file, image)
            planes = _Planes(values, alpha if alpha is not None else png.key_alpha(values, chunks))
        else:
            image, ending = _loaded(image, file)
            planes = _planes_of(image, chunks, name)
            planes.notes += ending
        if space is None and not image.info.get("icc_profile") and is_adobe_rgb(image):
            space = ADOBE_RGB
        icc = image.info.get("icc_profile") if space is None else None
        return _finished(planes, image, icc, space, exif_orientation(image), read_metadata(image), dtype)


def read_size(source: Source, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) of a picture once it is upright, by its header; nothing is decoded. Raises as `read_picture`."""
    with _opened(source) as (file, name), _named_errors(name):
        kind, _ = _identify(file, name, FORMATS)
        if kind == "TIFF":
            file.seek(0)
            with tifffile.TiffFile(file) as tif:
                _, page, _ = choose_page(tif)
                size, orientation = (page.imagewidth, page.imagelength), int(page.tags.valueof(274, 1) or 1)
        else:
            image = _open(file, kind)
            size, orientation = image.size, exif_orientation(image)
        _check_pixels(size, max_pixels, name)
        return (size[1], size[0]) if orientation in _TURNED else size


def read_png_text(source: Source, *, max_pixels: int = MAX_PIXELS) -> dict[str, str]:
    """The text that a PNG carries, by name.

    Raises:
        ImageTooLargeError: if it has more pixels than `max_pixels` (text may come after the pixels).
        ImageError: if it cannot be read, or is no PNG.
    """
    with _opened(source) as (file, name), _named_errors(name):
        kind, _ = _identify(file, name, ("PNG",))
        image = _open(file, kind)
        _check_pixels(image.size, max_pixels, name)
        assert isinstance(image, PngImageFile)
        return {str(key): str(value) for key, value in image.text.items()}


# -- from a file to planes ---------------------------------------------------------------------------------------------


@dataclass
class _Planes:
    """Decoded numbers: an 8-bit Pillow image (mode L, RGB or CMYK), or an array of any depth, grey or of 3 channels."""

    values: Image.Image | np.ndarray
    alpha: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def _loaded(image: ImageFile.ImageFile, file: BinaryIO) -> tuple[ImageFile.ImageFile, tuple[str, ...]]:
    """Decode; a JPEG that lacks no more than its last rows is taken, as browsers do."""
    try:
        image.load()
    except OSError:
        if image.format not in ("JPEG", "MPO"):
            raise
        file.seek(0)
        completed = jpeg.complete(file.read())
        if completed is None:
            raise
        return completed, ("the file's end is missing, and perhaps a part of the lowest rows",)
    return image, ()


def _planes_of(image: Image.Image, chunks: dict[bytes, bytes], name: str) -> _Planes:
    """Any mode that Pillow's decoders give."""
    if image.mode.startswith(("I", "F")):
        return _Planes(_deep_grey(np.asarray(image), image.mode, name))
    if b"tRNS" in chunks and image.mode in ("1", "L", "RGB"):
        values = png.plain_grey(image) if image.mode != "RGB" else np.asarray(image)
        return _Planes(Image.fromarray(values), png.key_alpha(values, chunks))
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
        return _Planes(image.convert(image.mode.rstrip("A")), np.asarray(image.getchannel("A")))
    if image.mode == "1":
        return _Planes(image.convert("L"))
    return _Planes(image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB"))


def _deep_grey(values: np.ndarray, mode: str, name: str) -> np.ndarray:
    """Grey of 16 bits (modes I;16 and I) → uint16; floats (mode F) as they are, from 0 to 1."""
    low, high = values.min(), values.max()
    if mode == "F":
        if not (low >= 0.0 and high <= 1.0):  # false for NaN as well
            raise ImageError(f"{name}: float pixels must be from 0 to 1; these are from {low} to {high}.")
        return values
    if low < 0 or high > 65535:
        raise ImageError(f"{name}: grey pixels must be of 16 bits, 0 to 65535; these are from {low} to {high}.")
    return values.astype(np.uint16)


def _read_tiff(file: BinaryIO, name: str, max_pixels: int, dtype: type) -> Picture:
    file.seek(0)
    with tifffile.TiffFile(file) as tif:
        number, page, notes = choose_page(tif)
        refuse_raw(page, name)
        _check_pixels((page.imagewidth, page.imagelength), max_pixels, name)
        if is_plain(page):
            return _read_plain_tiff(file, number, notes, dtype)
        found = read_planes(file, name, number, page, notes)
    alpha, values = found.alpha, found.values
    if alpha is not None and found.is_associated:
        values = unpremultiply(values, alpha)
    planes = _Planes(values, alpha, found.notes)
    if found.kind == "lab":
        planes.values, planes.notes = lab_to_srgb(values, dtype), (*found.notes, "Lab → sRGB")
    elif found.kind == "cmyk":
        planes.values = Image.fromarray(to_depth(values, np.uint8), "CMYK")
    metadata = Metadata()
    with suppress(Exception):  # Pillow may not know the page, which tifffile does
        file.seek(0)
        image = _open(file, "TIFF")
        image.seek(number)
        metadata = read_metadata(image)
    icc = None if found.kind == "lab" else found.icc
    return _finished(planes, None, icc, None, found.orientation, replace(metadata, dpi=found.dpi), dtype)


def _read_plain_tiff(file: BinaryIO, number: int, notes: tuple[str, ...], dtype: type) -> Picture:
    file.seek(0)
    image = _open(file, "TIFF")
    image.seek(number)
    was_turned = exif_orientation(image) != 1
    image.load()  # which turns it
    orientation = exif_orientation(image)
    planes = _planes_of(image, {}, "")
    planes.notes = (*notes, "turned upright") if was_turned and orientation == 1 else notes
    return _finished(planes, None, image.info.get("icc_profile"), None, orientation, read_metadata(image), dtype)


# -- from planes to a picture ------------------------------------------------------------------------------------------


def _finished(
    planes: _Planes,
    image: Image.Image | None,
    icc: bytes | None,
    space: Space | None,
    orientation: int,
    metadata: Metadata,
    dtype: type,
) -> Picture:
    notes = list(_frames(image, planes.notes))
    pixels, is_grey, done = _coloured(planes.values, icc, space, dtype)
    notes += done
    alpha = None if planes.alpha is None else to_depth(planes.alpha, dtype)
    if alpha is not None and (alpha == np.iinfo(dtype).max).all():
        alpha = None
    if orientation != 1:
        pixels = np.ascontiguousarray(_upright(pixels, orientation))
        alpha = None if alpha is None else np.ascontiguousarray(_upright(alpha, orientation))
        notes.append("turned upright")
    if alpha is not None:
        # Those of this program are right under full transparency, too, and are compared to the last bit.
        is_own = image is not None and RECIPE_KEY in image.info
        pixels = pixels if is_own else continue_colours(pixels, alpha)
        notes.append("alpha kept")
    is_grey = is_grey or _looks_grey(pixels)
    return Picture(pixels=pixels, alpha=alpha, is_grey=is_grey, notes=tuple(notes), metadata=metadata)


def _coloured(
    values: Image.Image | np.ndarray, icc: bytes | None, space: Space | None, dtype: type
) -> tuple[np.ndarray, bool, list[str]]:
    """sRGB pixels (H, W, 3), whether they are known to be grey, and what was done."""
    if isinstance(values, Image.Image):
        image, mode = values, values.mode
        if icc and fits(icc, mode):
            image, done = apply_profile(image, icc)
            if done:
                return _array(image, dtype), mode == "L", [done]
        if mode == "CMYK":
            return _array(image.convert("RGB"), dtype), False, ["CMYK → sRGB without a profile"]
        if space is None:
            return _array(image, dtype), mode == "L", []
        pixels, changed = apply_space(np.asarray(image), space, dtype)
        return pixels, mode == "L", [f"{space.name} → sRGB"] if changed else []
    notes = [] if values.dtype == dtype else [f"{_depth(values)} → {np.iinfo(dtype).bits} bits"]
    is_grey = values.ndim == 2
    if space is not None:
        pixels, changed = apply_space(values, space, dtype)
        done = f"{space.name} → sRGB" if changed else None
    elif icc and fits(icc, "L" if is_grey else "RGB"):
        pixels, done = apply_profile_deep(values, icc, dtype)
    else:
        pixels, done = to_depth(values, dtype), None
        pixels = np.repeat(pixels[..., None], 3, axis=2) if is_grey else pixels
    return pixels, is_grey, [*([done] if done else []), *notes]


def _depth(values: np.ndarray) -> str:
    return "floats" if values.dtype.kind == "f" else f"{8 * values.dtype.itemsize}"


def _array(image: Image.Image, dtype: type) -> np.ndarray:
    """8-bit L or RGB → (H, W, 3) of `dtype`."""
    return to_depth(np.array(image if image.mode == "RGB" else image.convert("RGB")), dtype)


def _frames(image: Image.Image | None, notes: tuple[str, ...]) -> tuple[str, ...]:
    """The notes, after one on frames that are not read. Pages of a TIFF have their own, and no image."""
    with suppress(Exception):  # counting may run into damage behind the first frame
        if image is not None and getattr(image, "is_animated", False):
            count, what = getattr(image, "n_frames", 1), "pictures" if image.format == "MPO" else "frames"
            return (f"first of {count} {what}", *notes)
    return notes


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W) or (H, W, 3), as stored → as it is to be seen (EXIF 2.3, tag 274)."""
    if orientation in _TURNED:
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def _looks_grey(pixels: np.ndarray) -> bool:
    """Whether all channels are the same; a few rows settle it for most pictures."""
    step = max(1, pixels.shape[0] // 8)
    for part in (pixels[::step], pixels):
        if not ((part[..., 0] == part[..., 1]) & (part[..., 0] == part[..., 2])).all():
            return False
    return True


# -- files and errors --------------------------------------------------------------------------------------------------


@contextmanager
def _opened(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    """An open, seekable file and what to call it in errors."""
    if isinstance(source, str) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", source):
        raise ImageError(f"{source} is an address in the web, not a file; download the picture and give its path.")
    if isinstance(source, (str, Path)):
        path = Path(source)
        try:
            file = path.open("rb")
        except IsADirectoryError as error:
            raise ImageError(f"{path} is a folder, not a picture.") from error
        except FileNotFoundError as error:
            if re.match(r"(https?|ftp|file|data):", str(source)):  # Path makes one slash of two
                raise ImageError(
                    f"{source} is an address in the web, not a file; download the picture and give its path."
                ) from error
            raise ImageError(f"{path}: there is no such file.") from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise ImageError(f"{path}: cannot be opened ({reason}).") from error
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
        said = " ".join(str(error).split())
        if re.search("unsupported|not supported|unknown pixel mode|requires|cannot handle|not implemented", said, re.I):
            raise ImageError(f"{name}: of a kind that cannot be decoded ({said}).") from error
        # What is meant for programmers is no help: struct's, an index, a key.
        is_plain = isinstance(error, (OSError, SyntaxError, ValueError)) and not isinstance(error, struct.error)
        detail = f" ({said})" if is_plain and said and len(said) < 120 else ""
        raise ImageError(f"{name}: damaged or cut off, it cannot be decoded{detail}.") from error


def _open(file: BinaryIO, kind: str) -> ImageFile.ImageFile:
    """Read the header of a picture of that format.

    Goes through Pillow's table of formats rather than `Image.open`, whose limit on pixels is one for the whole process:
    it refuses pictures that the caller allows, and warns before `_check_pixels` can tell what the matter is.
    """
    file.seek(0)
    return Image.OPEN[kind][0](file, "")


def _identify(file: BinaryIO, name: str, formats: Sequence[str]) -> tuple[str, bytes]:
    """The format, as Pillow names it, and the first bytes of the file."""
    prefix = file.read(_PREFIX)
    if not prefix:
        raise ImageError(f"{name}: the file is empty (0 bytes).")
    more = register_plugins() if len(formats) > 1 else ()
    for kind in (*formats, *more):
        if kind not in Image.OPEN:  # a Pillow built without it
            continue
        accept = Image.OPEN[kind][1]
        accepted = accept(prefix[:16]) if accept else True
        if isinstance(accepted, str):  # the format is known, its decoder is missing
            continue
        if accepted:
            return kind, prefix
    if missing := missing_plugin(prefix):
        raise ImageError(f"{name}: {missing[0]} pictures need a package: pip install {missing[1]}.")
    known = describe(prefix)
    hint = f"; it looks like {known}" if known else ""
    raise ImageError(f"{name}: not a picture of a kind that can be read ({', '.join((*formats, *more))}){hint}.")


def _check_pixels(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: damaged, it says that it is {width}x{height} pixels large.")
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name}: {width}x{height} is {width * height:,} pixels; at most {max_pixels:,} are allowed. "
            "Scale it down or crop it."
        )

"""Reading picture files: all files enter through this module."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile

from srflow.contract import RECIPE_KEY, ImageError, InputError, Metadata, Picture
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
from srflow.pictures.kinds import FORMATS
from srflow.pictures.metadata import exif_orientation, is_adobe_rgb, read_metadata
from srflow.pictures.opening import Source, check_pixels, identify, named_errors, open_header, opened
from srflow.pictures.tiff import choose_page, is_plain, read_planes, refuse_raw

__all__ = ["MAX_PIXELS", "Source", "load_image", "read_picture", "read_png_text"]

MAX_PIXELS = 64_000_000
"""Default maximum number of pixels of a picture: 8000x8000."""

_TURNED = (5, 6, 7, 8)  # orientations that exchange width and height


def load_image(source: Source, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the pixels of a picture file as 8-bit sRGB, with transparent parts on white: a writable uint8 array, (H, W,
    3).

    This is the short form of `read_picture`.
    """
    pixels = read_picture(source, max_pixels=max_pixels).on_white()
    return pixels if pixels.flags.writeable else pixels.copy()


def read_picture(source: Source, *, max_pixels: int = MAX_PIXELS, bits: int = 8) -> Picture:
    """Read a picture of any common kind as sRGB.

    The content decides the format, not the name: PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, AVIF or JPEG 2000; HEIC and JPEG
    XL if pillow-heif or pillow-jxl-plugin is installed. The picture is rotated by its EXIF orientation. Colours are
    converted by an embedded profile, by a PNG's chunks or by an nclx box; a broken profile is ignored. Of an animation
    the first frame is read, of a TIFF the first page that is not a thumbnail. 16-bit values and floats, which must be
    from 0 to 1, keep all their bits until the last step, which rounds.

    Args:
        source: a path, the bytes of a file, or an open binary file, which is read from its current position.
        max_pixels: larger pictures are refused by their header, before anything is decoded.
        bits: 8, or 16 for pixels of uint16.

    Raises:
        ImageTooLargeError: it has more pixels than `max_pixels`.
        ImageError: there is no such file, or it is empty, cut off, damaged, not a picture, or of a kind with unknown
            colours.
        InputError: `bits` is another number.
    """
    if bits not in (8, 16):
        raise InputError(f"A picture can be read with 8 or 16 bits; got {bits!r}.")
    dtype = np.uint8 if bits == 8 else np.uint16
    with opened(source) as (file, name), named_errors(name):
        kind, prefix = identify(file, name, FORMATS)
        if kind == "TIFF":
            return _read_tiff(file, name, max_pixels, dtype)
        image = open_header(file, kind)
        check_pixels(image.size, max_pixels, name)
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


def read_png_text(source: Source, *, max_pixels: int = MAX_PIXELS) -> dict[str, str]:
    """Read the text in a PNG, by name.

    Raises:
        ImageTooLargeError: it has more pixels than `max_pixels` (text may come after the pixels).
        ImageError: it cannot be read, or is not a PNG.
    """
    with opened(source) as (file, name), named_errors(name):
        kind, _ = identify(file, name, ("PNG",))
        image = open_header(file, kind)
        check_pixels(image.size, max_pixels, name)
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
    """Decode a picture; a JPEG in which only the last rows are missing is accepted, as browsers do."""
    try:
        image.load()
    except OSError:
        if image.format not in ("JPEG", "MPO"):
            raise
        file.seek(0)
        completed = jpeg.complete(file.read())
        if completed is None:
            raise
        return completed, ("the end of the file is missing, and perhaps a part of the lowest rows",)
    return image, ()


def _planes_of(image: Image.Image, chunks: dict[bytes, bytes], name: str) -> _Planes:
    """Convert from any mode of Pillow's decoders."""
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
    """Convert grey of 16 bits (modes I;16 and I) to uint16; floats (mode F) from 0 to 1 are unchanged."""
    low, high = values.min(), values.max()
    if mode == "F":
        if not (low >= 0.0 and high <= 1.0):  # false for NaN as well
            raise ImageError(f"{name}: float pixels must be from 0 to 1; these are from {low} to {high}.")
        return values
    if low < 0 or high > 65535:
        raise ImageError(f"{name}: grey pixels must have 16 bits, 0 to 65535; these are from {low} to {high}.")
    return values.astype(np.uint16)


def _read_tiff(file: BinaryIO, name: str, max_pixels: int, dtype: type) -> Picture:
    file.seek(0)
    with tifffile.TiffFile(file) as tif:
        number, page, notes = choose_page(tif)
        refuse_raw(page, name)
        check_pixels((page.imagewidth, page.imagelength), max_pixels, name)
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
    with suppress(Exception):  # Pillow may not know the page, but tifffile does
        file.seek(0)
        image = open_header(file, "TIFF")
        image.seek(number)
        metadata = read_metadata(image)
    icc = None if found.kind == "lab" else found.icc
    return _finished(planes, None, icc, None, found.orientation, replace(metadata, dpi=found.dpi), dtype)


def _read_plain_tiff(file: BinaryIO, number: int, notes: tuple[str, ...], dtype: type) -> Picture:
    file.seek(0)
    image = open_header(file, "TIFF")
    image.seek(number)
    was_turned = exif_orientation(image) != 1
    image.load()  # which rotates it
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
        # The colours of this program's PNGs are right even under full transparency, and are compared to the last bit.
        is_own = image is not None and RECIPE_KEY in image.info
        pixels = pixels if is_own else continue_colours(pixels, alpha)
        notes.append("alpha kept")
    is_grey = is_grey or _looks_grey(pixels)
    return Picture(pixels=pixels, alpha=alpha, is_grey=is_grey, notes=tuple(notes), metadata=metadata)


def _coloured(
    values: Image.Image | np.ndarray, icc: bytes | None, space: Space | None, dtype: type
) -> tuple[np.ndarray, bool, list[str]]:
    """Return sRGB pixels (H, W, 3), whether they are known to be grey, and a description of the conversion."""
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
    """Convert 8-bit L or RGB to (H, W, 3) of `dtype`."""
    return to_depth(np.array(image if image.mode == "RGB" else image.convert("RGB")), dtype)


def _frames(image: Image.Image | None, notes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the notes, preceded by one on frames that are not read. For pages of a TIFF there are other notes, and no
    image.
    """
    with suppress(Exception):  # counting may run into damage after the first frame
        if image is not None and getattr(image, "is_animated", False):
            count, what = getattr(image, "n_frames", 1), "pictures" if image.format == "MPO" else "frames"
            return (f"first of {count} {what}", *notes)
    return notes


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate (H, W) or (H, W, 3) from the stored to the upright orientation (EXIF 2.3, tag 274)."""
    if orientation in _TURNED:
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def _looks_grey(pixels: np.ndarray) -> bool:
    """Return whether all channels are equal; for most pictures a few rows decide it."""
    step = max(1, pixels.shape[0] // 8)
    for part in (pixels[::step], pixels):
        if not ((part[..., 0] == part[..., 1]) & (part[..., 0] == part[..., 2])).all():
            return False
    return True

"""Reads TIFF: chooses the page, and interprets its numbers. tifffile decodes it, or Pillow where that is correct."""

from __future__ import annotations

import io
import logging
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import tifffile

from srflow.contract import ImageError
from srflow.pictures.tiff_codecs import needs_repacking, repack

__all__ = ["TiffPlanes", "choose_page", "is_plain", "read_planes", "refuse_raw"]

# tifffile's messages about damaged files are in the error; without a handler they would also be printed.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAX_PAGES = 10_000  # maximum number that is counted
_MAX_THUMBNAILS = 50
_MAX_CHANNELS = 32
_MAX_TILE_PIXELS = 1 << 26
_REDUCED = 1  # of NewSubfileType
_IS_MASK = 4
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _CIELAB, _ICCLAB = 0, 1, 2, 3, 5, 8, 9
_PHOTOMETRICS = {4: "a transparency mask", 10: "ITU Lab", 32803: "raw sensor data (CFA)", 34892: "raw linear data"}
_ASSOCIATED, _UNASSOCIATED = 1, 2
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3


@dataclass(frozen=True)
class TiffPlanes:
    """The decoded page.

    values: grey (H, W) or with 3 (RGB, Lab) or 4 (CMYK) channels (H, W, C); uint8, uint16 or float, where 1.0 is white.
    kind: "grey", "rgb", "cmyk", or "lab": L* from 0 to 100, a*, b*.
    alpha: (H, W), of the same depth.
    is_associated: whether the colours were multiplied by it.
    notes: see `srflow.contract.Picture`.
    """

    values: np.ndarray
    kind: str
    alpha: np.ndarray | None
    is_associated: bool
    icc: bytes | None
    orientation: int
    dpi: tuple[float, float] | None
    notes: tuple[str, ...]


def choose_page(tif: tifffile.TiffFile) -> tuple[int, tifffile.TiffPage, tuple[str, ...]]:
    """Return number and content of the page to read, and a note if there are several: the first that is not a
    thumbnail.
    """
    count = _count_pages(tif)
    chosen = 0
    for number in range(min(count, _MAX_THUMBNAILS)):
        page = tif.pages[number]
        if not (isinstance(page, tifffile.TiffPage) and _subfile_type(page) & (_REDUCED | _IS_MASK)):
            chosen = number
            break
    notes: tuple[str, ...] = ()
    if count > 1:
        later = f"page {chosen + 1} of {count}; earlier ones are thumbnails or masks"
        notes = (f"first of {count} pages" if chosen == 0 else later,)
    page = tif.pages[chosen]
    assert isinstance(page, tifffile.TiffPage)
    return chosen, page, notes


def _count_pages(tif: tifffile.TiffFile) -> int:
    """Count the directories in the file's chain, without reading them; stop if it leads back or out of the file."""
    form, file = tif.tiff, tif.filehandle
    place = 4 if form.offsetsize == 4 else 8
    seen: set[int] = set()
    while len(seen) < _MAX_PAGES:
        file.seek(place)
        (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
        if offset == 0 or offset in seen or offset + form.tagnosize > file.size:
            break
        file.seek(offset)
        (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
        place = offset + form.tagnosize + tags * form.tagsize
        if place + form.offsetsize > file.size:
            return max(1, len(seen) + 1)
        seen.add(offset)
    return max(1, len(seen))


def _subfile_type(page: tifffile.TiffPage) -> int:
    kind = int(page.tags.valueof(254, 0) or 0)
    return _REDUCED if page.tags.valueof(255, 1) == 2 and not kind else kind


def refuse_raw(page: tifffile.TiffPage, name: str) -> None:
    """Refuse raw files.

    Raises: ImageError: it is a raw camera file (DNG, NEF, …), of which only a thumbnail could be read.
    """
    is_thumbnail = bool(_subfile_type(page) & _REDUCED) and 330 in page.tags  # the picture is in a sub-directory
    if 50706 in page.tags or is_thumbnail:
        raise ImageError(f"{name}: a raw camera file; develop it to a TIFF, PNG or JPEG first.")


def is_plain(page: tifffile.TiffPage) -> bool:
    """Return whether Pillow decodes it correctly, and faster: at most 8 bits, no planes, no extra channels, or JPEG."""
    photometric = int(page.photometric)
    if page.compression in (2, 3, 4, 6, 7, 34712, 50001):  # CCITT, JPEG, JPEG 2000, WebP: tifffile needs imagecodecs
        return True
    if page.bitspersample not in (1, 2, 4, 8) or page.sampleformat != _UNSIGNED or page.extrasamples:
        return False
    if photometric == 6:  # YCbCr, perhaps subsampled
        return True
    if page.planarconfig != 1:
        return False
    allowed = {_BLACK_IS_ZERO: 1, _WHITE_IS_ZERO: 1, _PALETTE: 1, _RGB: 3}
    return page.samplesperpixel == allowed.get(photometric)


def read_planes(file: BinaryIO, name: str, number: int, page: tifffile.TiffPage, notes: tuple[str, ...]) -> TiffPlanes:
    """Decode a page.

    Raises: ImageError: of an unknown kind, with the reason; any other error of the decoder.
    """
    photometric = int(page.photometric)
    if photometric in _PHOTOMETRICS or photometric not in (0, 1, 2, 3, 5, 6, 8, 9):
        what = _PHOTOMETRICS.get(photometric, f"of the kind {photometric}")
        raise ImageError(f"{name}: a TIFF whose pixels are {what}, which cannot be read. Save it as RGB first.")
    if page.samplesperpixel > _MAX_CHANNELS:
        raise ImageError(f"{name}: a TIFF with {page.samplesperpixel} channels; save three of them as RGB first.")
    tile = page.tilewidth * page.tilelength if page.is_tiled else 0
    if tile > _MAX_TILE_PIXELS:
        raise ImageError(f"{name}: a TIFF with tiles of {page.tilewidth}x{page.tilelength}; save it with smaller ones.")
    if page.imagedepth > 1:
        raise ImageError(f"{name}: a TIFF of a volume ({page.imagedepth} slices in one page); save one slice of it.")
    tags, extras = page.tags, tuple(int(extra) for extra in page.extrasamples)
    values = _decode(file, name, number, page)
    values, more = _meaning_of(values, page, name)
    notes += more
    if photometric == _PALETTE:
        return _finished(_look_up(values, tags.valueof(320), page.bitspersample), "rgb", None, False, page, notes)
    channels = {_RGB: 3, _CMYK: 4, _CIELAB: 3, _ICCLAB: 3, 6: 3}.get(photometric, 1)
    if photometric in (_CIELAB, _ICCLAB) and values.shape[2] == 1:
        channels = 1  # L* alone
    if values.shape[2] < channels:
        raise ImageError(f"{name}: a TIFF that declares {channels} channels but has {values.shape[2]}.")
    colours, others = values[..., :channels], values[..., channels:]
    if photometric == _CMYK and tags.valueof(332, 1) not in (0, 1):
        raise ImageError(f"{name}: a TIFF with other inks than cyan, magenta, yellow and black; save it as RGB first.")
    alpha, is_associated = None, False
    for index in range(others.shape[2]):
        kind = extras[index] if index < len(extras) else None
        if kind in (_ASSOCIATED, _UNASSOCIATED) or (kind is None and index == 0 and others.shape[2] == 1):
            alpha, is_associated = others[..., index], kind == _ASSOCIATED
            break
    left_out = others.shape[2] - (alpha is not None)
    if left_out:
        notes += (f"{left_out} extra channel{'s' * (left_out > 1)} left out",)
    if photometric == _WHITE_IS_ZERO:
        colours = 1 - colours if colours.dtype.kind == "f" else np.iinfo(colours.dtype).max - colours
    if photometric in (_CIELAB, _ICCLAB) and channels == 3:
        return _finished(_to_lab(colours, page, photometric), "lab", alpha, is_associated, page, notes)
    if channels == 1:
        return _finished(colours[..., 0], "grey", alpha, is_associated, page, notes)
    return _finished(colours, "cmyk" if channels == 4 else "rgb", alpha, is_associated, page, notes)


def _finished(
    values: np.ndarray,
    kind: str,
    alpha: np.ndarray | None,
    is_associated: bool,
    page: tifffile.TiffPage,
    notes: tuple[str, ...],
) -> TiffPlanes:
    icc = page.tags.valueof(34675)
    return TiffPlanes(
        values=values,
        kind=kind,
        alpha=alpha,
        is_associated=is_associated,
        icc=bytes(icc) if icc else None,
        orientation=int(page.tags.valueof(274, 1) or 1),
        dpi=_resolution(page),
        notes=notes,
    )


def _resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    unit = {2: 1.0, 3: 2.54}.get(int(page.tags.valueof(296, 2) or 2))
    try:
        x, y = (numerator / denominator for numerator, denominator in (page.tags.valueof(282), page.tags.valueof(283)))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return None if unit is None or min(x, y) <= 1 else (x * unit, y * unit)


# -- decoding ----------------------------------------------------------------------------------------------------------


def _decode(file: BinaryIO, name: str, number: int, page: tifffile.TiffPage) -> np.ndarray:
    """Return the page's numbers, (H, W, C)."""
    if needs_repacking(page):
        with tifffile.TiffFile(io.BytesIO(repack(file, page, number, name))) as tif:
            again = tif.pages[number]
            assert isinstance(again, tifffile.TiffPage)
            return _channels_last(again.asarray(), again)
    return _channels_last(page.asarray(), page)


def _channels_last(values: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    height, width, samples = page.imagelength, page.imagewidth, page.samplesperpixel
    if page.planarconfig == 2 and samples > 1:
        return np.moveaxis(values.reshape(samples, height, width), 0, -1)
    return values.reshape(height, width, samples)


def _meaning_of(values: np.ndarray, page: tifffile.TiffPage, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Convert numbers of any type to uint8, uint16, or float with white at 1; add a note if white had to be guessed."""
    if values.dtype == bool or page.bitspersample == 1:
        return values.astype(np.uint8) * np.uint8(1 if int(page.photometric) == _PALETTE else 255), ()
    if values.dtype.kind == "f":
        return _check_floats(values, name), ()
    if values.dtype.kind not in "iu":
        raise ImageError(f"{name}: a TIFF of complex numbers is not a picture.")
    if int(page.photometric) in (_PALETTE, _CIELAB, _ICCLAB) or values.dtype == np.uint8:
        return values, ()
    low, high = int(values.min()), int(values.max())
    if low < 0:
        raise ImageError(f"{name}: a TIFF with negative numbers, from {low} to {high}; a picture has none.")
    top = _white_of(values.dtype, high, page, name)
    if top == 65535 and values.dtype.itemsize >= 2:
        return values.astype(np.uint16), ()
    notes = (
        (f"white assumed to be {top}, because the largest value is {high}",)
        if high and top != np.iinfo(values.dtype).max
        else ()
    )
    if top == 255:
        return values.astype(np.uint8), notes
    if values.dtype.itemsize <= 2:
        return ((values.astype(np.uint32) * 65535 + top // 2) // top).clip(0, 65535).astype(np.uint16), notes
    return values.astype(np.float64) / top, notes


def _white_of(dtype: np.dtype, high: int, page: tifffile.TiffPage, name: str) -> int:
    """Return the number that stands for white: given by a tag, or the smallest usual one that no value exceeds.

    Scanners and microscopes store 10 or 12 bits in 16 without saying so, and whole numbers of 32 bits may contain 8 or
    16.
    """
    said = page.tags.valueof(281)  # MaxSampleValue
    said = max(said) if isinstance(said, tuple) else said
    if isinstance(said, int) and max(high, 2) <= said < np.iinfo(dtype).max:
        return said
    if dtype.itemsize == 1:
        return int(np.iinfo(dtype).max)
    if dtype.itemsize == 2:
        if high > 4095:
            return 65535 if dtype.kind == "u" else 32767
        usual = (1023, 4095) if high > 255 else (255,)
        return next(top for top in usual if high <= top)
    if high <= 65535:
        return 255 if high <= 255 else 65535
    if dtype.kind == "u" and high > 2**24:
        return int(np.iinfo(dtype).max)
    raise ImageError(
        f"{name}: whole numbers of {8 * dtype.itemsize} bits, up to {high}: it is unknown which of them is white. "
        "Save it with 8 or 16 bits, 0 to 65535."
    )


def _check_floats(values: np.ndarray, name: str) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0):  # false for NaN as well
        raise ImageError(f"{name}: float pixels must be from 0 to 1; these are from {low} to {high}.")
    return values.astype(np.float32, copy=False)


def _look_up(indices: np.ndarray, table: object, bits: int) -> np.ndarray:
    """Return a palette's colours: uint8, or uint16 if they need it."""
    colours = np.asarray(table, dtype=np.uint16).reshape(3, -1).T  # (2^bits, 3)
    if colours.shape[0] < 1 << bits:
        raise ImageError("The palette is too short.")
    if colours.max(initial=0) > 255:  # some programs fill 8 of the 16 bits
        exact = (colours >> 8) * 257 == colours
        colours = (colours >> 8).astype(np.uint8) if exact.all() or (colours & 255 == 0).all() else colours
    else:
        colours = colours.astype(np.uint8)
    return colours[indices[..., 0]]


def _to_lab(values: np.ndarray, page: tifffile.TiffPage, photometric: int) -> np.ndarray:
    """Convert CIE Lab and ICC Lab, 8 or 16 bits, to L* from 0 to 100, a* and b*; float32, (H, W, 3)."""
    bits = page.bitspersample
    if bits not in (8, 16) or values.dtype.kind == "f":
        raise ImageError(f"A Lab TIFF of {bits} bits is of an unknown kind; save it as RGB first.")
    lightness = values[..., :1].astype(np.float32)
    if photometric == _ICCLAB:
        others = values[..., 1:].astype(np.float32) / (1 if bits == 8 else 256) - 128
        top = 255 if bits == 8 else 65280
    else:
        signed = values[..., 1:].astype(np.int8 if bits == 8 else np.int16)
        others = signed.astype(np.float32) / (1 if bits == 8 else 256)
        top = 255 if bits == 8 else 65535
    return np.concatenate([lightness * (100 / top), others], axis=2)

"""Metadata of a file that remain true for an enlarged picture."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Any

from PIL import ExifTags, Image, ImageFile
from PIL.PngImagePlugin import PngImageFile

from srflow.contract import FLAGS_KEY, INPUT_KEY, LR_KEY, RECIPE_KEY, Metadata

__all__ = ["OWN_KEYS", "exif_orientation", "is_adobe_rgb", "read_metadata"]

OWN_KEYS = (RECIPE_KEY, LR_KEY, "srflow-output", INPUT_KEY, FLAGS_KEY)
"""Names of all texts that this program writes; an input's texts with these names are not copied, since they describe
it.
"""

_MAX_BYTES = 1 << 20  # of each of EXIF, XMP and all texts together
_XMP_KEY = "XML:com.adobe.xmp"
# Tags of the first EXIF directory that describe neither the file's structure nor its size.
_MAIN_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, *range(0x9C9B, 0x9CA0))
# Tags of the second one to leave out: sizes, the maker's note (whose offsets break when it is moved), interoperability.
_UNTRUE_TAGS = (0xA002, 0xA003, 0x927C, 0xA005)
_COLOUR_SPACE, _INTEROPERABILITY_INDEX = 0xA001, 1
_ORIENTATION = re.compile(rb"""tiff:Orientation(="[0-9]+"|>[0-9]+</tiff:Orientation)""")


def read_metadata(image: ImageFile.ImageFile | Image.Image) -> Metadata:
    """Read the metadata of a loaded picture; broken or very large entries are left out."""
    text: dict[str, str] = {}
    if isinstance(image, PngImageFile):
        with suppress(Exception):
            text = {str(key): str(value) for key, value in image.text.items() if key not in (*OWN_KEYS, _XMP_KEY)}
    if sum(len(key) + len(value) for key, value in text.items()) > _MAX_BYTES:
        text = {}
    return Metadata(dpi=_read_dpi(image.info.get("dpi")), exif=_read_exif(image), xmp=_read_xmp(image), text=text)


def _read_dpi(value: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(each) for each in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 1 < x < 1e6 and 1 < y < 1e6 and math.isfinite(x * y) else None


def _read_exif(image: Image.Image) -> bytes | None:
    with suppress(Exception):  # broken EXIF data raise errors of every kind
        source = image.getexif()
        kept = Image.Exif()
        for tag in _MAIN_TAGS:
            if tag in source:
                kept[tag] = source[tag]
        details = {tag: value for tag, value in source.get_ifd(ExifTags.IFD.Exif).items() if tag not in _UNTRUE_TAGS}
        if details:
            if _COLOUR_SPACE in details:
                details[_COLOUR_SPACE] = 1  # sRGB
            kept[int(ExifTags.IFD.Exif)] = details
        place = dict(source.get_ifd(ExifTags.IFD.GPSInfo))
        if place:
            kept[int(ExifTags.IFD.GPSInfo)] = place
        content = kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) else b""
        return content if 0 < len(content) <= _MAX_BYTES else None
    return None


def _read_xmp(image: Image.Image) -> bytes | None:
    value = image.info.get("xmp") or image.info.get(_XMP_KEY)
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes) or not 0 < len(value) <= _MAX_BYTES:
        return None
    return _ORIENTATION.sub(lambda match: re.sub(rb"[0-9]+", b"1", match[0]), value)


def exif_orientation(image: Image.Image) -> int:
    """Return a picture's EXIF orientation, 1 to 8; 1 (upright) if there is no valid one."""
    with suppress(Exception):
        value = image.getexif().get(int(ExifTags.Base.Orientation), 1)
        return value if value in range(1, 9) else 1
    return 1


def is_adobe_rgb(image: Image.Image) -> bool:
    """Return whether EXIF data name Adobe RGB, as cameras do that embed no profile (DCF 2.0)."""
    with suppress(Exception):
        exif = image.getexif()
        if exif.get_ifd(ExifTags.IFD.Exif).get(_COLOUR_SPACE) == 65535:
            return str(exif.get_ifd(ExifTags.IFD.Interop).get(_INTEROPERABILITY_INDEX, "")).startswith("R03")
    return False

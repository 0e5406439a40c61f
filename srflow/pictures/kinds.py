"""The kinds of pictures that can be read, and names for files that cannot, recognised by their first bytes."""

from __future__ import annotations

import importlib
from contextlib import suppress
from functools import cache

from PIL import Image

__all__ = ["FORMATS", "PLUGIN_SUFFIXES", "SUFFIXES", "describe", "is_picture", "missing_plugin", "register_plugins"]

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")
"""Raster formats that Pillow decodes inside this process. EPS, PDF and WMF are excluded, because they start other
programs.
"""

_PLUGIN_FORMATS = ("HEIF", "JXL")

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "mpo", "webp", "tif", "tiff", "bmp", "dib", "gif"),
        *("ppm", "pgm", "pbm", "pnm", "avif", "jp2", "j2k", "jpx"),
    )
)
"""Name endings, in lower case, of pictures in a folder. When a file is loaded, only its content counts."""

PLUGIN_SUFFIXES = {".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".jxl": "JPEG XL", ".avif": "AVIF"}
"""Endings of kinds that need a package, if Pillow cannot read them itself."""

_PACKAGES = {"HEIC": "pillow-heif", "JPEG XL": "pillow-jxl-plugin", "AVIF": "pillow-avif-plugin"}

# Files that people mistake for pictures, or receive instead of one, by their first bytes.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with git lfs pull"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file, perhaps an SVG drawing"),
    (b"%pdf", "a PDF document"),
    (b"%!ps", "a PostScript drawing"),
    (b"8bps", "a Photoshop file (PSD)"),
    (b"gimp xcf", "a GIMP file (XCF)"),
    (b"qoif", "a QOI picture"),
    (b"dds ", "a DDS texture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?radiance", "a Radiance HDR picture"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"rar!", "a RAR archive"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"fujifilmccd-raw", "a raw camera file"),
    (b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
    (b"simple  =", "a FITS file"),
    (b"\x93numpy", "a NumPy array"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"hevc", b"hevx", b"heim", b"heis")


@cache
def register_plugins() -> tuple[str, ...]:
    """Load the installed optional packages, once. Returns the names of the formats that they add."""
    with suppress(Exception):  # a broken package counts as missing
        importlib.import_module("pillow_heif").register_heif_opener()
    with suppress(Exception):
        importlib.import_module("pillow_jxl")
    Image.init()
    if "AVIF" not in Image.OPEN:
        with suppress(Exception):
            importlib.import_module("pillow_avif")
    return tuple(name for name in _PLUGIN_FORMATS if name in Image.OPEN)


def describe(prefix: bytes) -> str | None:
    """Say what an unreadable file seems to be, by its first 32 bytes or more; None: unknown."""
    plain = prefix.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, name in _OTHERS:
        if plain.startswith(start):
            return name
    if prefix[4:8] == b"ftyp" and prefix[8:12] not in (b"avif", b"avis", *_HEIC_BRANDS):
        return "a video, or a raw camera file (CR3)"
    if prefix[:4] == b"RIFF" and prefix[8:12] == b"AVI ":
        return "a film (AVI)"
    return None


def missing_plugin(prefix: bytes) -> tuple[str, str] | None:
    """Return (kind, package) of a file whose kind needs a missing package, by its first bytes."""
    kind = None
    if prefix[:2] == b"\xff\x0a" or prefix[:12] == b"\x00\x00\x00\x0cJXL \r\n\x87\n":
        kind = "JPEG XL"
    elif prefix[4:8] == b"ftyp":
        brand = prefix[8:12]
        brands = {prefix[at : at + 4] for at in range(16, len(prefix) - 3, 4)}
        if brand in (b"avif", b"avis") or (brand in (b"mif1", b"msf1") and b"avif" in brands):
            kind = "AVIF"
        elif brand in _HEIC_BRANDS:
            kind = "HEIC"
    if kind is None:
        return None
    needed = {"JPEG XL": "JXL", "HEIC": "HEIF"}.get(kind, kind)
    register_plugins()
    return None if needed in Image.OPEN else (kind, _PACKAGES[kind])


def is_picture(prefix: bytes) -> bool:
    """Return whether a file without a known ending begins like a readable picture."""
    formats = (*FORMATS, *register_plugins())
    for kind in formats:
        if kind not in Image.OPEN:
            continue
        accept = Image.OPEN[kind][1]
        if accept is not None and accept(prefix[:16]) is True:
            return True
    return False

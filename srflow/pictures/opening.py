"""Opening a picture file: its format, its declared size, and errors that name it."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from srflow.contract import ImageError, ImageTooLargeError
from srflow.pictures.kinds import describe, missing_plugin, register_plugins

__all__ = ["Source", "check_pixels", "identify", "named_errors", "open_header", "opened"]

Source = str | Path | bytes | BinaryIO

_PREFIX = 4096  # bytes in which an AVIF or HEIC file declares its colours


@contextmanager
def opened(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    """Yield an open, seekable file and its name for error messages."""
    if isinstance(source, str) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", source):
        raise ImageError(f"{source} is a web address, not a file; download the picture and give its path.")
    if isinstance(source, (str, Path)):
        path = Path(source)
        try:
            file = path.open("rb")
        except IsADirectoryError as error:
            raise ImageError(f"{path} is a folder, not a picture.") from error
        except FileNotFoundError as error:
            if re.match(r"(https?|ftp|file|data):", str(source)):  # Path merges two slashes into one
                raise ImageError(
                    f"{source} is a web address, not a file; download the picture and give its path."
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
def named_errors(name: str) -> Iterator[None]:
    """Turn any error of a decoder into an error that names the file."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # a frame that is larger than the picture it belongs to
        raise ImageTooLargeError(f"{name}: has a frame of too many pixels ({error}).") from error
    except MemoryError as error:
        raise ImageTooLargeError(f"{name}: does not fit into memory.") from error
    except Exception as error:  # decoders raise errors of every kind for damaged data
        said = " ".join(str(error).split())
        if re.search("unsupported|not supported|unknown pixel mode|requires|cannot handle|not implemented", said, re.I):
            raise ImageError(f"{name}: of a kind that cannot be decoded ({said}).") from error
        # Messages for programmers do not help users: those of struct, an index, a key.
        is_plain = isinstance(error, (OSError, SyntaxError, ValueError)) and not isinstance(error, struct.error)
        detail = f" ({said})" if is_plain and said and len(said) < 120 else ""
        raise ImageError(f"{name}: damaged or cut off, so it cannot be decoded{detail}.") from error


def open_header(file: BinaryIO, kind: str) -> ImageFile.ImageFile:
    """Read the header of a picture of that format.

    It uses Pillow's table of formats rather than `Image.open`, whose limit on pixels applies to the whole process: that
    refuses pictures that the caller allows, and warns before `check_pixels` can report the problem.
    """
    file.seek(0)
    return Image.OPEN[kind][0](file, "")


def identify(file: BinaryIO, name: str, formats: Sequence[str]) -> tuple[str, bytes]:
    """Return the format, as Pillow names it, and the first bytes of the file."""
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
    raise ImageError(f"{name}: not a picture of a readable kind ({', '.join((*formats, *more))}){hint}.")


def check_pixels(size: tuple[int, int], max_pixels: int, name: str) -> None:
    """Check the number of pixels. Raises ImageTooLargeError: more than `max_pixels`; ImageError: none at all."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: damaged: it declares a size of {width}x{height} pixels.")
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name}: {width}x{height} is {width * height:,} pixels; the maximum is {max_pixels:,}. Scale it down "
            "or crop it."
        )

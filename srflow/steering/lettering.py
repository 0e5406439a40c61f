"""Texts as pictures of a region, in several sizes: candidates for lettering of unknown size."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from srflow.errors import InputError, brief

__all__ = ["MAX_TEXT", "draw_versions"]

MAX_TEXT = 12
"""Maximum number of characters of one text."""

_SIZES = (0.55, 0.65, 0.75, 0.85, 0.95)  # of the region that the text fills, in height or in width
_WIDTHS = (0.8, 1.0, 1.25)  # of a word, relative to this font: fonts differ more in it than in single characters
_FINER = 4  # times oversampled, then averaged, so that edges are as smooth as a camera's
_PAPER, _INK = 60, 200
_NO_CHARACTER = "\uffff"  # fonts draw the same glyph for it as for any missing character


def draw_versions(text: str, height: int, width: int) -> list[np.ndarray]:
    """Draw a text in the middle of a region, light on dark, in several sizes: uint8, (height, width, 3) each.

    Texts of two or more characters are also drawn narrower and wider.

    Raises: InputError: it is empty or too long, or nothing of it is visible.
    """
    if not isinstance(text, str) or not 1 <= len(text.strip()) <= MAX_TEXT:
        raise InputError(f"A candidate must be a text of 1 to {MAX_TEXT} characters; got {brief(text)}.")
    text = text.strip()
    font = _font(40)
    missing = [each for each in text if not each.isspace() and _looks(font, each) == _looks(font, _NO_CHARACTER)]
    if missing:
        raise InputError(f"The font has no {' '.join(map(brief, missing))}; use other characters.")
    widths = _WIDTHS if len(text) > 1 else (1.0,)
    return [_draw(text, height, width, size, wider) for wider in widths for size in _SIZES]


def _draw(text: str, height: int, width: int, size: float, wider: float) -> np.ndarray:
    large = height * _FINER, round(width * _FINER / wider)  # resized to the width of the region at the end
    # The size of the font differs from that of the letters, so the letters are measured first.
    left, top, right, bottom = _font(100).getbbox(text)
    if right <= left or bottom <= top:
        raise InputError(f"Nothing of the text {brief(text)} is visible.")
    font = _font(100 * size * min(large[0] / (bottom - top), large[1] / (right - left)))
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (large[1], large[0]), _PAPER)
    corner = (large[1] - right - left) / 2, (large[0] - bottom - top) / 2
    ImageDraw.Draw(picture).text(corner, text, _INK, font=font)
    small = np.asarray(picture.resize((width, height), Image.Resampling.BOX))
    return np.repeat(small[..., None], 3, 2)


def _looks(font: ImageFont.FreeTypeFont, character: str) -> bytes:
    return bytes(font.getmask(character))


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(1.0, size))
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise InputError("Lettering needs a Pillow that was built with FreeType.")
    return font

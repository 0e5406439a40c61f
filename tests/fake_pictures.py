"""Picture files in a few lines of Pillow, for the fake engine."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from srflow.contract import ImageError, ImageTooLargeError, Metadata, Picture


class FakePictures:
    """The part of `srflow.contract.Engine` that reads and writes files."""

    def open_picture(self, source: str | Path | bytes, max_pixels: int | None = None) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                if max_pixels is not None and image.width * image.height > max_pixels:
                    raise ImageTooLargeError(f"The picture has {image.width}×{image.height} pixels; too large.")
                return np.array(image.convert("RGB"))
        except OSError as error:
            raise ImageError("This is not a picture that can be read.") from error

    def scale_down(self, hr: np.ndarray, model: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        scale = 8 if model == "fake-x8" else 4
        height, width = (side // scale for side in hr.shape[:2])
        truth = hr[: height * scale, : width * scale]
        return truth[::scale, ::scale].copy(), truth

    def read_picture(self, source: str | Path | bytes, max_pixels: int | None = None) -> Picture:
        return Picture(pixels=self.open_picture(source, max_pixels))

    def save_png(
        self,
        path: str | Path,
        picture: np.ndarray,
        text: dict[str, str] | None = None,
        *,
        alpha: np.ndarray | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        info = PngImagePlugin.PngInfo()
        for key, value in (text or {}).items():
            info.add_text(key, value)
        Image.fromarray(picture).save(path, format="PNG", pnginfo=info, compress_level=1)

    def read_png_text(self, source: str | Path | bytes) -> dict[str, str]:
        try:
            with Image.open(source) as image:
                image.load()
                return {key: value for key, value in image.info.items() if isinstance(value, str)}
        except OSError as error:
            raise ImageError("This is not a PNG.") from error

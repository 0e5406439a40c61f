"""`srflow.load("…")`: a pipeline from a picture to Pillow pictures of super-resolutions, the same as the command's."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from srflow.checkpoints.shipped import resolve_checkpoint
from srflow.consistency import DEFAULT_ROUNDS
from srflow.contract import InputError, Notice, Picture, Precision, SampleRequest, SampleResult
from srflow.images import upscale_uint8
from srflow.pictures import read_picture
from srflow.sampling.engine import SamplingEngine

if TYPE_CHECKING:
    from srflow.contract import EngineInfo

__all__ = ["Pipeline", "SampleSet", "load"]

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I")
_TIFF_MODES = ("F", "CMYK", "LAB")


@dataclass(frozen=True)
class SampleSet:
    """The samples of one picture, in the order of their numbers.

    images: of mode L if the picture is grey, otherwise RGB; with an alpha channel, LA or RGBA.
    results: the engine's results for each sample: `recipe`, which draws it again; `lr_psnr`, `bits_per_dimension`,
        `flags`. Their `picture` is the array of the image.
    notes: how the picture was converted (e.g. "Display P3 → sRGB"), and notices of the engine.
    """

    images: list[Image.Image]
    results: list[SampleResult]
    notes: tuple[str, ...]


class Pipeline:
    """A pipeline for one checkpoint. Calling it returns the pixels that `srflow sample` writes with the same settings.

    Args:
        checkpoint: the name of a shipped one, a folder, or a Hub id; None: the default one.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: of the convolutions; None measures which is fastest.
    Raises: CheckpointError: it cannot be loaded. InputError: there is no such device.
    """

    def __init__(self, checkpoint: str | Path | None, device: str = "auto", precision: Precision | None = None) -> None:
        self._engine = SamplingEngine(device, precision, checkpoints=[resolve_checkpoint(checkpoint)])

    @property
    def info(self) -> EngineInfo:
        """The device, the precision, and the model: its scale factor, default temperature, licence, origin."""
        return self._engine.info()

    def __call__(
        self,
        image: Image.Image | str | Path | bytes | BinaryIO,
        *,
        num_samples: int = 1,
        temperature: float | None = None,
        seed: int = 0,
        consistency_rounds: int = DEFAULT_ROUNDS,
        tile: int | None = None,
    ) -> SampleSet:
        """Draw super-resolutions of one LR picture.

        Args:
            image: a Pillow picture of any mode, or a picture file: its path, its bytes, or the open file. It is rotated
                by its EXIF orientation and converted to sRGB by its profile.
            num_samples: 1 to 10,000.
            temperature: 0 to 2; None takes the checkpoint's default.
            seed: 0 or more. The same seed draws the same samples.
            consistency_rounds: of back-projection onto the LR picture; 0: none.
            tile: side of the tiles in LR pixels; 0: no tiles; None: as large as fits into memory.
        Raises: ImageError: the picture cannot be read. InputError: a setting is out of range. MemoryBudgetError.
        """
        picture = _read(image)
        request = SampleRequest(
            lr=picture.pixels,
            num_samples=num_samples,
            temperature=temperature,
            seed=seed,
            consistency_rounds=consistency_rounds,
            tile=tile,
            summaries=False,
        )
        images, results, notes = [], [], list(picture.notes)
        for event in self._engine.sample(request):
            if isinstance(event, Notice):
                notes.append(event.text)
            elif isinstance(event, SampleResult):
                images.append(_image(picture, event))
                results.append(event)
        return SampleSet(images, results, tuple(notes))


def load(checkpoint: str | Path | None = None, *, device: str = "auto", precision: Precision | None = None) -> Pipeline:
    """Load a checkpoint as a pipeline from a picture to super-resolutions: see `Pipeline`.

    `SRFlow.from_pretrained` returns the model itself, for work with tensors.
    """
    return Pipeline(checkpoint, device, precision)


def _read(image: Any) -> Picture:
    """Read a Pillow picture through a file in memory, so that it is treated exactly like a file."""
    if not isinstance(image, Image.Image):
        if isinstance(image, np.ndarray):
            raise InputError("The pipeline takes Pillow pictures and files; make one with Image.fromarray(array).")
        return read_picture(image)
    if 0 in image.size:
        raise InputError(f"The picture is empty: {image.size[0]}x{image.size[1]} pixels.")
    if image.mode not in (*_PNG_MODES, *_TIFF_MODES):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    file = io.BytesIO()
    kind = "TIFF" if image.mode in _TIFF_MODES else "PNG"
    options: dict[str, Any] = {"compress_level": 1} if kind == "PNG" else {}
    image.save(file, kind, exif=image.getexif().tobytes(), icc_profile=image.info.get("icc_profile"), **options)
    return read_picture(file.getvalue())


def _image(picture: Picture, result: SampleResult) -> Image.Image:
    """Return a sample as `srflow sample` writes it."""
    pixels = result.picture
    if pixels is None:  # it did not fit into memory beside the others
        assert result.path is not None
        pixels = np.load(result.path)
        Path(result.path).unlink()  # free the memory for the others
    image = Image.fromarray(pixels[..., 0] if picture.is_grey else pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(upscale_uint8(picture.alpha, result.recipe.scale_factor)))
    return image

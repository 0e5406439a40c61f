"""The engine: the only interface to the models."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np

from srflow.calibration.file import Calibration
from srflow.contract.exploring import EditEvent, EditRequest, Encoded, ExploreEvent, ExploreRequest, GrainRequest
from srflow.contract.pictures import Metadata, Picture
from srflow.contract.recipe import Precision, SampleRecipe
from srflow.contract.sampling import Estimate, Progress, Reference, SampleEvent, SampleRequest
from srflow.operations import Mask

if TYPE_CHECKING:
    from srflow.steering.candidates import Candidate

__all__ = [
    "Engine",
    "EngineInfo",
    "ModelInfo",
]


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model on offer. label: for people. lr_multiple: LR sides are padded to a multiple of it."""

    key: str
    label: str
    scale_factor: int
    default_temperature: float
    weights_sha256: str | None
    license: str
    provenance: str
    lr_multiple: int = 1


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """The engine's machine and models.

    device, precision_reason: a short text for people.
    memory_limit: maximum bytes for a request.
    """

    device: str
    precision: Precision
    precision_reason: str
    memory_limit: int
    models: tuple[ModelInfo, ...]
    default_model: str
    version: str


class Engine(Protocol):
    """The only interface to the models. `srflow.sampling.engine.SamplingEngine` implements it; tests use a few lines of
    numpy.

    All methods may be called from any thread. Long methods have the argument `cancel`: when it is set, the work stops
    within a fraction of a second and `Cancelled` is raised. Closing the iterator of `sample` early stops the work, too.
    """

    def info(self) -> EngineInfo:
        """Return device, precision and models."""
        ...

    def estimate(self, request: SampleRequest) -> Estimate:
        """Estimate time, memory and tiles of a request; nothing is computed. Raises InputError, MemoryBudgetError."""
        ...

    def sample(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[SampleEvent]:
        """Draw the samples; each is yielded when it is finished.

        Raises: InputError: the request does not fit. MemoryBudgetError: not enough memory even in the smallest tiles.
            CheckpointError: the model cannot be loaded. Cancelled.
        """
        ...

    def recipe(self, request: SampleRequest) -> SampleRecipe:
        """Return the recipe of the request's first sample, as the start of `explore`; nothing is computed.

        Raises InputError, MemoryBudgetError.
        """
        ...

    def explore(self, request: ExploreRequest, cancel: threading.Event | None = None) -> Iterator[ExploreEvent]:
        """Draw the variants; each is yielded when it is finished. The state's data are cached for the next call.

        Raises: InputError: the request does not fit, or (its subclass OperationError) an operation does not.
            MemoryBudgetError: not enough memory. CheckpointError. Cancelled.
        """
        ...

    def edit(self, request: EditRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        """Make an edited picture match the LR picture and look natural, and say how much of the edit remains.

        Raises: InputError: the request does not fit, nothing was edited, or too much. MemoryBudgetError: not enough
            memory. CheckpointError. Cancelled.
        """
        ...

    def grain(self, request: GrainRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        """Give a region the grain of another one, as far as the input and the model allow, and say how far that is.

        Raises: as `edit`; also InputError: the source is too small.
        """
        ...

    def could_be(
        self,
        lr: np.ndarray,
        picture: np.ndarray,
        mask: Mask,
        candidates: Sequence[str] | Sequence[np.ndarray],
        model: str | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[Candidate, ...]:
        """Test candidates for a region of a super-resolution, the best first: see `srflow.steering.candidates.judge`.

        Args: candidates: 2 to 10 texts, each tried in several sizes and as its negative; or as many pictures of the
            mask's support, uint8, (s h, s w, 3), used unchanged.
        Raises: InputError: the region is too small or has no contrast, or the candidates are invalid.
        """
        ...

    def encode(
        self,
        lr: np.ndarray,
        pictures: Sequence[np.ndarray],
        model: str | None = None,
        cancel: threading.Event | None = None,
    ) -> Encoded:
        """Return the latents of super-resolutions, uint8 or uint16, (s h, s w, 3), of one LR picture, uint8, (h, w, 3).

        Raises: InputError: sizes or types do not fit. MemoryBudgetError: they are too large. Cancelled.
        """
        ...

    def encode_each(
        self,
        lr: np.ndarray,
        pictures: Sequence[np.ndarray],
        model: str | None = None,
        cancel: threading.Event | None = None,
    ) -> Iterator[Progress | Encoded]:
        """The same, telling how far it is; the latents come last. Raises: as `encode`."""
        ...

    def calibration(self, model: str | None = None) -> Calibration:
        """Return the calibration of a model, which gives the width of bars about the mean of a set: see
        `Calibration.bar`.

        Raises: NotCalibratedError: the model has none. InputError: there is no such model.
        """
        ...

    def references(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[Reference]:
        """Draw bicubic, the encoder's own picture, and the flow's at temperature 0 (with the request's consistency
        step).
        """
        ...

    def open_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> np.ndarray:
        """Read a picture file, on white. Raises ImageError, ImageTooLargeError: see `srflow.pictures.load_image`."""
        ...

    def read_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> Picture:
        """Read a picture file with its opacity and metadata. Raises as `open_picture`."""
        ...

    def scale_down(self, hr: np.ndarray, model: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Scale down an HR picture for that model (MATLAB's bicubic); return the LR picture and the cropped ground
        truth.
        """
        ...

    def save_png(
        self,
        path: str | Path,
        picture: np.ndarray,
        text: Mapping[str, str] | None = None,
        *,
        alpha: np.ndarray | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        """Write uint8 or uint16, (H, W, 3) or (H, W), as a PNG, atomically: see `srflow.pictures.save_png`.

        alpha: the opacity, of the picture's size, or of the LR picture's: then it is enlarged by bicubic interpolation.
        """
        ...

    def read_png_text(self, source: str | Path | bytes | BinaryIO) -> dict[str, str]:
        """Read the text in a PNG; its recipe is under `RECIPE_KEY`. Raises ImageError."""
        ...

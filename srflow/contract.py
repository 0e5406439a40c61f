"""What crosses the border between the model and those who use it: named errors, requests, results, the engine.

Imports neither torch nor an image library, so that a page or a script can use all of it without loading them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, get_args

import numpy as np

from srflow.errors import (
    CalibrationError,
    Cancelled,
    CheckpointError,
    DatasetError,
    ImageError,
    ImageTooLargeError,
    InputError,
    MemoryBudgetError,
    NotCalibratedError,
    OperationError,
    OutputError,
    RecipeError,
    SRFlowError,
    TrainingDivergedError,
)
from srflow.evaluation.calibration_file import Bar, Calibration, Value
from srflow.operations import Draw, Mask, Operation, check_operations, from_values, to_values
from srflow.steering.wishes import Aim, Wish

if TYPE_CHECKING:
    from srflow.steering.candidates import Candidate

__all__ = [
    "FLAGS_KEY",
    "INPUT_KEY",
    "LR_KEY",
    "MAX_INDEX",
    "MAX_LR_TEXT",
    "MAX_SIDE",
    "NOT_AS_ASKED",
    "RECIPE_KEY",
    "Aim",
    "Bar",
    "Calibration",
    "CalibrationError",
    "Cancelled",
    "ChallengeScores",
    "CheckpointError",
    "Comparison",
    "DatasetError",
    "Direction",
    "Directions",
    "EditEvent",
    "EditRequest",
    "Engine",
    "EngineInfo",
    "Estimate",
    "ExploreEvent",
    "ExploreRequest",
    "Family",
    "ImageError",
    "ImageTooLargeError",
    "InputError",
    "MemoryBudgetError",
    "Metadata",
    "ModelInfo",
    "NotCalibratedError",
    "Notice",
    "OperationError",
    "OutputError",
    "PartialSample",
    "Picture",
    "Precision",
    "Progress",
    "Recipe",
    "RecipeError",
    "Reference",
    "ReferenceKind",
    "SRFlowError",
    "SampleEvent",
    "SampleRequest",
    "SampleResult",
    "SetSummary",
    "TrainingDivergedError",
    "TruthScores",
    "Value",
    "Variant",
    "Verdict",
    "Wish",
    "carried_lr",
    "picture_sha256",
]


# -- pictures as they were read ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a picture file says beside its pixels; all of it fit to go into another file.

    dpi: pixels per inch, horizontally and vertically. exif: a TIFF block (without the "Exif" prefix) of the tags that
    stay true of an enlarged picture: no orientation, sizes or thumbnail. xmp: an XMP packet. text: of a PNG, by name.
    """

    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    text: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture as it was read.

    pixels: (H, W, 3), uint8, or uint16 if that was asked for; sRGB. Under full transparency they continue the colours
    beside it, so that nothing foreign bleeds into the edge when the picture is enlarged.
    alpha: (H, W) of the same kind, the opacity; None if the picture is opaque all over.
    is_grey: whether red, green and blue are the same everywhere.
    notes: what was done on the way in, in short phrases, e.g. "Display P3 → sRGB", "first of 3 pages".
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    is_grey: bool = False
    notes: tuple[str, ...] = ()
    metadata: Metadata = Metadata()

    def on_white(self) -> np.ndarray:
        """The pixels as they look on white paper, (H, W, 3)."""
        if self.alpha is None:
            return self.pixels
        top = int(np.iinfo(self.pixels.dtype).max)
        colour, weight = self.pixels.astype(np.uint32), self.alpha.astype(np.uint32)[..., None]
        mixed = (colour * weight + top * (top - weight) + top // 2) // top
        return mixed.astype(self.pixels.dtype)


# -- what the sampling engine is asked, and what it answers ------------------------------------------------------------
#
# Pictures are uint8 arrays, (H, W, 3), RGB. Nothing here is a tensor, and nothing refers to a device's memory.

Precision = Literal["float32", "bfloat16", "float16"]
"""What the convolutions run in; latents, log-determinants and 1x1 convolutions are float32 always."""

ReferenceKind = Literal["bicubic", "encoder", "zero_temperature"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that the pixels of one sample depend on, beside the LR picture itself; small enough to go into a PNG.

    The same recipe on the same LR picture gives the same pixels, on the same machine to the last bit.

    model: the key by which the engine knows the model (see `ModelInfo.key`). weights_sha256: of its weights file; None
    for weights that were never on disk. index: the sample's number among those of `seed`. tile: LR pixels a side of
    the tiles; 0: the picture was made in one piece. lr_sha256: `picture_sha256` of the LR picture. operations: what was
    done to the sample after it was drawn, see `srflow.operations`; a plain sample has none.
    """

    model: str
    weights_sha256: str | None
    scale_factor: int
    seed: int
    index: int
    temperature: float
    consistency_rounds: int
    precision: Precision
    tile: int
    lr_height: int
    lr_width: int
    lr_sha256: str
    version: str
    operations: tuple[Operation, ...] = ()

    @property
    def whole_list(self) -> tuple[Operation, ...]:
        """The draw and all that follows it: what the picture is, as one list."""
        return Draw(self.seed, self.index, self.temperature), *self.operations

    def to_json(self) -> str:
        """As one line of JSON, e.g. for the text of a PNG (see `RECIPE_KEY`)."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "operations"}
        if self.operations:  # a plain sample's recipe stays as it was before there were operations
            values["operations"] = to_values(self.operations)
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The inverse of `to_json`; the text may come from anywhere, so everything in it is checked.

        Raises: InputError: if it is no JSON, a field is missing, unknown, of another type, or out of range.
            OperationError, which is one: if that is so of an operation.
        """
        if len(text) > _MAX_JSON:
            raise InputError(f"The recipe has {len(text)} characters; {_MAX_JSON} are the most.")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"The recipe is not valid JSON ({error}).") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) | {"operations"} != known:
            raise InputError("The text is not a recipe of this program: fields are missing, or there are others.")
        for name, (kind, low, high) in _RECIPE_NUMBERS.items():
            value = values[name]
            right = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
            if not right or not low <= value <= high:  # false for NaN, too
                raise InputError(f"The recipe's {name} is {value!r}; it must be a number from {low} to {high}.")
            values[name] = kind(value)
        for name in ("model", "lr_sha256", "version"):
            if not isinstance(values[name], str) or len(values[name]) > _MAX_TEXT:
                raise InputError(f"The recipe's {name} must be a text of at most {_MAX_TEXT} characters.")
        weights = values["weights_sha256"]
        if weights is not None and not (isinstance(weights, str) and len(weights) <= _MAX_TEXT):
            raise InputError("The recipe's weights_sha256 must be a text or null.")
        if values["precision"] not in get_args(Precision):
            raise InputError(f"The recipe's precision must be one of {', '.join(get_args(Precision))}.")
        if "operations" in values:
            values["operations"] = from_values(values["operations"], complete=False)
            check_operations(values["operations"], complete=False, size=(values["lr_height"], values["lr_width"]))
        return cls(**values)


NOT_AS_ASKED = "not as asked"
"""With which a flag begins that tells of something in the place of the sample: see `SampleResult.is_as_asked`."""

RECIPE_KEY = "srflow"
"""Under which name a PNG's text holds the JSON of its `Recipe`."""

INPUT_KEY = "srflow-input"
"""Under which name a sample's PNG says what was done to the LR picture's file on the way in (`Picture.notes`)."""

FLAGS_KEY = "srflow-flags"
"""Under which name a sample's PNG holds its flags (`SampleResult.flags`)."""

LR_KEY = "srflow-lr"
"""Under which name a PNG's text may hold its LR picture, a PNG in base64, so that it can be drawn again."""

MAX_LR_TEXT = 2_000_000
"""Characters of such a text. A longer one is neither written nor read."""

MAX_INDEX = 2**32
"""The largest number that a sample of a seed may have."""

MAX_SIDE = 1_000_000
"""LR pixels: the largest side of a picture, or of a tile, that a recipe may name."""

_MAX_TEXT = 300
_MAX_JSON = 8_000_000
_RECIPE_NUMBERS: dict[str, tuple[type, float, float]] = {
    "scale_factor": (int, 1, 64),
    "seed": (int, 0, 2**64 - 1),
    "index": (int, 0, MAX_INDEX),
    "temperature": (float, 0.0, 2.0),
    "consistency_rounds": (int, 0, 100),
    "tile": (int, 0, MAX_SIDE),
    "lr_height": (int, 1, MAX_SIDE),
    "lr_width": (int, 1, MAX_SIDE),
}


def carried_lr(
    text: Mapping[str, str], recipe: Recipe, open_picture: Callable[[bytes, int], np.ndarray]
) -> np.ndarray | None:
    """The LR picture that a PNG's text carries (see `LR_KEY`); None: there is none, or too large a one.

    Args: open_picture: reads the bytes of a file with at most so many pixels, as `Engine.open_picture`.
    Raises: InputError: it is damaged, or not the recipe's.
    """
    encoded = text.get(LR_KEY)
    if encoded is None or len(encoded) > MAX_LR_TEXT:
        return None
    try:
        lr = open_picture(base64.b64decode(encoded, validate=True), recipe.lr_height * recipe.lr_width)
    except (binascii.Error, ValueError) as error:
        raise InputError("The low-resolution picture inside this PNG is damaged.") from error
    if picture_sha256(lr) != recipe.lr_sha256:
        raise InputError("The low-resolution picture inside this PNG is not the one that its recipe names.")
    return lr


def picture_sha256(picture: np.ndarray) -> str:
    """SHA-256 of a picture's size and pixels (not of a file), by which a recipe names its LR picture."""
    digest = hashlib.sha256(f"{picture.shape}".encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleRequest:
    """What to draw. Whatever is None is chosen by the engine, which says in the results what it chose.

    lr: uint8, (h, w, 3). model: a key of `EngineInfo.models`; None: its default. first_index: number of the first
    sample. temperature: 0 to 2; None: the checkpoint's default. consistency_rounds: of back-projection onto the LR
    picture; 0: none. ground_truth: uint8, (s h, s w, 3); adds `TruthScores`. precision, tile: as in `Recipe`.
    pairwise_lpips: adds the LPIPS matrix and the medoid to the final summary, at some cost.
    summaries: whether the set is summed up at all, after every sample and at the end. weights_sha256: if not None, the
    model's weights must be these. version: of the program that drew the samples before; if another draws them now, a
    `Notice` says so. earlier: number and picture, uint8 (s h, s w, 3), of samples drawn before with the
    same settings; they are not drawn again, but summaries take them in, before the new ones. operations: what is done
    to every sample after it was drawn, as in `Recipe`. deep: adds every sample in 16 bits; not with operations on
    places, which are laid into pictures of 8 bits.
    """

    lr: np.ndarray
    model: str | None = None
    num_samples: int = 8
    first_index: int = 0
    seed: int = 0
    temperature: float | None = None
    consistency_rounds: int = 5
    ground_truth: np.ndarray | None = None
    precision: Precision | None = None
    tile: int | None = None
    pairwise_lpips: bool = False
    summaries: bool = True
    weights_sha256: str | None = None
    version: str | None = None
    earlier: tuple[tuple[int, np.ndarray], ...] = ()
    operations: tuple[Operation, ...] = ()
    deep: bool = False

    @classmethod
    def from_recipe(cls, recipe: Recipe, lr: np.ndarray, **changes: Any) -> SampleRequest:
        """The request that draws the recipe's one sample again; `changes` override its fields.

        Raises: InputError: if `lr` is not the picture that the recipe was made for.
        """
        if lr.shape[:2] != (recipe.lr_height, recipe.lr_width) or picture_sha256(lr) != recipe.lr_sha256:
            raise InputError(
                f"The recipe belongs to another LR picture of {recipe.lr_width}x{recipe.lr_height}; "
                f"got one of {lr.shape[1]}x{lr.shape[0]}. Open the picture that it was made from."
            )
        values: dict[str, Any] = {
            "model": recipe.model,
            "weights_sha256": recipe.weights_sha256,
            "version": recipe.version,
            "num_samples": 1,
            "first_index": recipe.index,
            "seed": recipe.seed,
            "temperature": recipe.temperature,
            "consistency_rounds": recipe.consistency_rounds,
            "precision": recipe.precision,
            "tile": recipe.tile,
            "operations": recipe.operations,
        }
        return cls(lr=lr, **(values | changes))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a request will take. seconds: to all results; seconds_to_first: to the first sample.

    num_bytes: of memory at the peak, beyond what the engine holds already. tile: as in `Recipe`. cached: the picture's
    conditioning is there already.
    """

    seconds: float
    seconds_to_first: float
    num_bytes: int
    precision: Precision
    tile: int
    num_tiles: int
    height: int
    width: int
    cached: bool


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a request is. fraction: 0 to 1 of all its work. text: what is being done, for people."""

    stage: Literal["waiting", "loading", "conditioning", "sampling", "comparing"]
    fraction: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a person should know, e.g. that the device's memory ran out and smaller tiles are used."""

    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class PartialSample:
    """Finished rows of a sample that is made in tiles. rows: uint8, (r, s w, 3), from row `top` on."""

    index: int
    top: int
    rows: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TruthScores:
    """A picture against the ground truth, both cropped as in the NTIRE challenges; None: too small to be scored."""

    psnr: float
    ssim: float | None
    lpips: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleResult:
    """One finished sample.

    picture: uint8, (s h, s w, 3); None if it did not fit into memory: then `path` is a .npy file with it, which is
    there until the iterator of `Engine.sample` ends or is closed, and which the caller may remove or move away before.
    deep: the same as uint16, if that was asked for; None if it went to the file `deep_path`, likewise.
    lr_psnr: dB, after rounding to 8 bits, at most 100. bits_per_dimension: -log2 p(sample | lr) / (3 H W) of the *raw*
    sample, before the consistency step, for a density over [0, 1] (add 8 for 8-bit values); exact for a picture in one
    piece, and of one in tiles the sum over the tiles' own parts, which nearly is; of the padded sample, if the model
    had to pad the LR picture; None where operations changed a place only, since such a picture was not decoded as a
    whole. clipped: share of the raw sample's values outside [0, 1].
    flags: what a person should know, e.g. that the sample had to be decoded again from clipped latents.
    """

    index: int
    picture: np.ndarray | None
    lr_psnr: float
    bits_per_dimension: float | None
    clipped: float
    flags: tuple[str, ...]
    recipe: Recipe
    seconds: float
    truth: TruthScores | None = None
    path: str | None = None
    deep: np.ndarray | None = None
    deep_path: str | None = None

    @property
    def flagged(self) -> bool:
        """Whether there is anything special about it."""
        return bool(self.flags)

    @property
    def is_as_asked(self) -> bool:
        """False if something else had to be put in the place of the sample, or of a part of it."""
        return not any(flag.startswith(NOT_AS_ASKED) for flag in self.flags)


@dataclass(frozen=True, kw_only=True)
class ChallengeScores:
    """A set of samples against the ground truth (NTIRE 2021 and 2022); smaller is better, but for diversity and PSNR.

    lpips: the mean over samples; lpips_global: the best sample; lpips_local: the best sample at every pixel.
    diversity: 100 (global - local) / global, in percent; it depends on the number of samples (the challenge: 10).
    mse_diversity: the same of the squared error. All of LPIPS are None where the picture is too small for it.
    """

    psnr: float
    ssim: float | None
    lpips: float | None
    lpips_global: float | None
    lpips_local: float | None
    diversity: float | None
    mse_diversity: float


@dataclass(frozen=True, kw_only=True, eq=False)
class SetSummary:
    """The samples drawn so far, taken together. The last one of a request is `final`; fields marked * only there.

    indices: of the samples, in the order of all per-sample fields. mean: uint8, (H, W, 3). std_rgb: float32, (H, W, 3),
    standard deviation over the samples (of the set itself: divided by N) in 8-bit units. std_luma: float32, (H, W), of
    luma (BT.601, 0 to 255). diversity: the mean of `std_luma`.
    split_half_change: mean |σ of the even - σ of the odd samples| over mean σ, of luma, each half's σ corrected for
    its number: how much the map would still change; None below four samples.
    distances_to_mean*: RMSE, 8-bit units. nearest_to_mean*, medoid*: numbers of samples (`indices`), the latter by
    LPIPS. pairwise_lpips*: float32, (N, N). mean_pairwise_lpips*: of two different samples.
    """

    final: bool
    indices: tuple[int, ...]
    mean: np.ndarray
    std_rgb: np.ndarray
    std_luma: np.ndarray
    diversity: float
    split_half_change: float | None
    distances_to_mean: tuple[float, ...] | None = None
    nearest_to_mean: int | None = None
    pairwise_lpips: np.ndarray | None = None
    mean_pairwise_lpips: float | None = None
    medoid: int | None = None
    challenge: ChallengeScores | None = None


SampleEvent = Estimate | Progress | Notice | PartialSample | SampleResult | SetSummary
"""What `Engine.sample` yields: an `Estimate` first, a final `SetSummary` (if asked for) last."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExploreRequest:
    """Ways to go on from a sample, all of them at once: e.g. eight rolls of one place.

    lr: uint8, (h, w, 3). recipe: of the sample to go on from, with the operations that were done to it so far: its
    `state`. variants: for each way the further operations, often one; an empty tuple asks for the state itself. Those
    that are about the same place are decoded together. choose: how many of them to choose for a `Comparison` at the
    end; all variants must then be about one place, or all about the whole picture. 0: there is none. directions: how
    many to look for at the most; the variants must then be rolls 0, 1, 2 … of one place and seed, 8 or more. 0: none.
    wish: what to measure of every variant, at the place that the last operation of each is about; all must be about the
    same place, but for the state itself. aim: whether to look for the way to more of it among the variants, which must
    then be such rolls, 16 or more.
    """

    lr: np.ndarray
    recipe: Recipe
    variants: tuple[tuple[Operation, ...], ...]
    choose: int = 0
    directions: int = 0
    wish: Wish | None = None
    aim: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Variant:
    """One way to go on, drawn. Its picture is the state's, with `patch` laid into it at row `top`, column `left`.

    number: in the request's `variants`. patch: uint8, (h, w, 3), all that differs from the state; the whole picture if
    the last operations were about the whole of it, or if the state itself was asked for. recipe: draws this variant,
    and is the state to go on from if it is chosen. lr_psnr: of the whole picture, as in `SampleResult`. log_prob: how
    likely the model finds what was decoded last, inside the mask's box or everywhere, in nats, before the consistency
    step. It compares with that of other variants of the same place at the same temperature, and with nothing else.
    measured: of the request's wish.
    """

    number: int
    left: int
    top: int
    patch: np.ndarray
    lr_psnr: float
    flags: tuple[str, ...]
    recipe: Recipe
    seconds: float
    log_prob: float | None = None
    measured: float | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """A variant, and those that it stands for, itself among them: all that are nearer to it than to another chosen."""

    number: int
    members: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A way in which the rolls of a place differ: `Slide(mask, seed, weights, angle)` goes along it.

    weights: of the rolls. share: of the rolls' variance that it explains, 0 to 1, measured on rolls that had no part in
    choosing it.
    """

    weights: tuple[int, ...]
    share: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """The variants of a request, taken together; all numbers are those of `Variant.number`.

    different: those that differ as much as they can, by farthest points in LPIPS (RMSE where the picture is too small
    for it), each with its family; the first is the most central one. typical: those that stand for the others best, the
    largest family first. left_out: not offered and not counted, since the model finds them implausible, or since they
    are flagged. extremes: the first choice by each measure of `srflow.evaluation.choosing.EXTREMES`, by its name.
    distances: float32, (N, N).
    """

    different: tuple[Family, ...]
    typical: tuple[Family, ...]
    left_out: tuple[int, ...]
    extremes: Mapping[str, int]
    distances: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Directions:
    """The principal ways in which a place can differ, the largest share first. None found: only texture differs."""

    found: tuple[Direction, ...]


ExploreEvent = Progress | Notice | Variant | Comparison | Directions | Aim
"""What `Engine.explore` yields: the variants as they are finished, and at the end what was asked for of them all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EditRequest:
    """A picture that somebody has edited, to be brought back into what may lie behind the LR picture.

    lr: uint8, (h, w, 3). recipe: of the picture before the edit. picture: uint8, (s h, s w, 3), after it. mask: the
    place that was edited; None: found by comparing the two pictures.
    """

    lr: np.ndarray
    recipe: Recipe
    picture: np.ndarray
    mask: Mask | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What is left of an edit, and how usual it is. Pairs are of the two variants: made consistent, made natural.

    mask: the place. drawn_lr_psnr: of the picture as it was drawn, see `SampleResult`. kept: which part of the change
    is left, 1: all of it, 0: nothing. deviations: how much likelier the place is than in samples that went through the
    same steps, in standard deviations of theirs; very negative is implausible, and so is very positive: too flat.
    plausibility: which share of these samples is as unusual as it, or more so, on either side. num_samples: how many
    they are. unusual: float32, (h, w) of the mask's box (`Mask.support`): how much larger the latents of what fits the
    input are than usual around every LR pixel, in standard deviations of the samples'.
    """

    mask: Mask
    drawn_lr_psnr: float
    kept: tuple[float, float]
    deviations: tuple[float, float]
    plausibility: tuple[float, float]
    num_samples: int
    unusual: np.ndarray


EditEvent = Progress | Notice | Variant | Verdict
"""What `Engine.edit` yields: variant 0, made consistent; variant 1, made natural; then the verdict."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """A picture to compare samples with: uint8, (s h, s w, 3)."""

    kind: ReferenceKind
    picture: np.ndarray
    lr_psnr: float
    truth: TruthScores | None = None


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model that can be asked for. label: for people. lr_multiple: LR sides are padded to a multiple of it."""

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
    """What the engine runs on and what it offers. device, precision_reason: a short text for people.

    memory_limit: bytes that a request may take at most.
    """

    device: str
    precision: Precision
    precision_reason: str
    memory_limit: int
    models: tuple[ModelInfo, ...]
    default_model: str
    version: str


class Engine(Protocol):
    """The one door to a model: `srflow.sampling.engine.SamplingEngine` is the real one, tests use a few lines of numpy.

    All methods may be called from any thread. Whatever takes long takes `cancel`: when it is set, the work stops within
    a fraction of a second and `Cancelled` is raised. Leaving the iterator of `sample` early stops the work, too.
    """

    def info(self) -> EngineInfo:
        """Device, precision, models."""
        ...

    def estimate(self, request: SampleRequest) -> Estimate:
        """Time, memory and tiles of a request; nothing is computed. Raises InputError, MemoryBudgetError."""
        ...

    def sample(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[SampleEvent]:
        """Draw the samples; each is yielded when it is finished.

        Raises: InputError: the request does not fit. MemoryBudgetError: not enough memory even in the smallest tiles.
            CheckpointError: the model cannot be loaded. Cancelled.
        """
        ...

    def recipe(self, request: SampleRequest) -> Recipe:
        """The recipe of the request's first sample, for `explore` to go on from; nothing is computed.

        Raises InputError, MemoryBudgetError.
        """
        ...

    def explore(self, request: ExploreRequest, cancel: threading.Event | None = None) -> Iterator[ExploreEvent]:
        """Draw the variants; each is yielded when it is finished. What the state needs is kept for the next call.

        Raises: InputError: the request does not fit; OperationError, which is one: an operation does not.
            MemoryBudgetError: not enough memory. CheckpointError. Cancelled.
        """
        ...

    def edit(self, request: EditRequest, cancel: threading.Event | None = None) -> Iterator[EditEvent]:
        """Bring an edited picture back into what may lie behind the LR picture, and say what is left of the edit.

        Raises: InputError: the request does not fit, nothing was edited, or too much. MemoryBudgetError: not enough
            memory. CheckpointError. Cancelled.
        """
        ...

    def could_be(
        self,
        lr: np.ndarray,
        picture: np.ndarray,
        mask: Mask,
        texts: Sequence[str],
        model: str | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[Candidate, ...]:
        """Test texts for a place of a super-resolution, the best first: see `srflow.steering.candidates.judge`.

        Raises: InputError: the place is too small or says nothing, or the texts are not 2 to 10.
        """
        ...

    def calibration(self, model: str | None = None) -> Calibration:
        """How wide bars about the mean of a set must be to hold the truth as often as promised: see `Calibration.bar`.

        Raises: NotCalibratedError: nothing was measured for the model. InputError: there is no such model.
        """
        ...

    def references(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[Reference]:
        """Bicubic, the encoder's own picture, and the flow's at temperature 0 (with the request's consistency step)."""
        ...

    def open_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> np.ndarray:
        """Read a picture file, on white. Raises ImageError, ImageTooLargeError: see `srflow.pictures.load_image`."""
        ...

    def read_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> Picture:
        """Read a picture file with all that belongs to it. Raises as `open_picture`."""
        ...

    def scale_down(self, hr: np.ndarray, model: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """An HR picture → its LR picture for that model (MATLAB's bicubic), and the ground truth, cropped to fit."""
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
        """Write uint8 or uint16, (H, W, 3) or (H, W), as a PNG, whole or not at all: see `srflow.pictures.save_png`.

        alpha: the opacity, of the picture's size, or of the LR picture's: then it is enlarged bicubically.
        """
        ...

    def read_png_text(self, source: str | Path | bytes | BinaryIO) -> dict[str, str]:
        """The text in a PNG; its recipe is under `RECIPE_KEY`. Raises ImageError."""
        ...

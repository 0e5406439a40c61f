"""Drawing samples: the request, and the events of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from srflow.contract.pictures import picture_sha256
from srflow.contract.recipe import NOT_AS_ASKED, Precision, SampleRecipe
from srflow.errors import InputError
from srflow.operations import Operation

__all__ = [
    "ChallengeScores",
    "Estimate",
    "Notice",
    "PartialSample",
    "Progress",
    "Reference",
    "ReferenceKind",
    "SampleEvent",
    "SampleRequest",
    "SampleResult",
    "SetSummary",
    "TruthScores",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleRequest:
    """What to draw. The engine chooses every value that is None; the results say what it chose.

    lr: uint8, (h, w, 3).
    model: a key of `EngineInfo.models`; None: its default.
    first_index: number of the first sample.
    temperature: 0 to 2; None: the checkpoint's default.
    consistency_rounds: of back-projection onto the LR picture; 0: none.
    ground_truth: uint8, (s h, s w, 3); adds `TruthScores`.
    precision, tile: as in `SampleRecipe`.
    pairwise_lpips: adds the LPIPS matrix and the medoid to the final summary, at some cost.
    summaries: whether the set is summarised, after every sample and at the end.
    weights_sha256: if not None, the model must have these weights.
    version: of the program that drew the samples before; if another one draws them now, a `Notice` says so.
    earlier: number and picture, uint8 (s h, s w, 3), of existing samples with the same settings; they are not drawn
        again, but summaries include them, before the new ones.
    operations: applied to every sample after the draw, as in `SampleRecipe`.
    deep: adds every sample with 16 bits; not possible with operations on regions, which are laid into pictures of 8
        bits.
    plain: adds every sample without the consistency step, from the same decoding; not possible with operations on
        regions either.
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
    plain: bool = False

    @classmethod
    def from_recipe(cls, recipe: SampleRecipe, lr: np.ndarray, **changes: Any) -> SampleRequest:
        """Create the request that draws the recipe's sample again; `changes` override its fields.

        Raises: InputError: `lr` is not the picture of the recipe.
        """
        if lr.shape[:2] != (recipe.lr_height, recipe.lr_width) or picture_sha256(lr) != recipe.lr_sha256:
            raise InputError(
                f"The recipe belongs to another LR picture of {recipe.lr_width}x{recipe.lr_height}; got one of "
                f"{lr.shape[1]}x{lr.shape[0]}. Open the picture from which it was made."
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
    """The estimated cost of a request.

    seconds: to all results.
    seconds_to_first: to the first sample.
    num_bytes: peak memory, in addition to what the engine holds already.
    tile: as in `SampleRecipe`.
    cached: whether the picture's conditioning is in the cache.
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
    """The progress of a request. fraction: 0 to 1 of all its work. text: the current work, for people."""

    stage: Literal["waiting", "loading", "conditioning", "sampling", "comparing"]
    fraction: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A message for users, e.g. that the device's memory ran out and smaller tiles are used."""

    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class PartialSample:
    """Finished rows of a sample that is made in tiles. rows: uint8, (r, s w, 3), from row `top` on."""

    index: int
    top: int
    rows: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TruthScores:
    """Scores against the ground truth, both cropped as in the NTIRE challenges; None: the picture is too small."""

    psnr: float
    ssim: float | None
    lpips: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleResult:
    """One finished sample.

    picture: uint8, (s h, s w, 3); None if it did not fit into memory: then `path` is a .npy file with it, which exists
        until the iterator of `Engine.sample` ends or is closed, and which the caller may remove or move before that.
    deep: the same as uint16, if requested; None if it is in the file `deep_path`, likewise.
    plain: as `picture`, but without the consistency step, if requested; None if it is in `plain_path`.
    lr_psnr: dB, after rounding to 8 bits, at most 100.
    bits_per_dimension: -log2 p(sample | lr) / (3 H W) of the *raw* sample, before the consistency step, for a density
        over [0, 1] (add 8 for 8-bit values). It is exact without tiles; with tiles it is the sum over the tiles' own
        parts, a close approximation. It is that of the padded sample, if the model had to pad the LR picture. None if
        operations changed only a region, because such a picture was not decoded as a whole.
    clipped: share of the raw sample's values outside [0, 1].
    flags: remarks for users, e.g. that the sample had to be decoded again from clipped latents.
    """

    index: int
    picture: np.ndarray | None
    lr_psnr: float
    bits_per_dimension: float | None
    clipped: float
    flags: tuple[str, ...]
    recipe: SampleRecipe
    seconds: float
    truth: TruthScores | None = None
    path: str | None = None
    deep: np.ndarray | None = None
    deep_path: str | None = None
    plain: np.ndarray | None = None
    plain_path: str | None = None

    @property
    def flagged(self) -> bool:
        """Whether there is any remark about it."""
        return bool(self.flags)

    @property
    def is_as_asked(self) -> bool:
        """False if the sample, or a part of it, had to be replaced by something else."""
        return not any(flag.startswith(NOT_AS_ASKED) for flag in self.flags)


@dataclass(frozen=True, kw_only=True)
class ChallengeScores:
    """Scores of a set of samples (NTIRE 2021 and 2022); smaller is better, except for diversity and PSNR.

    lpips: the mean over samples.
    lpips_global: the best sample.
    lpips_local: the best sample at every pixel.
    diversity: 100 (global - local) / global, in percent; it depends on the number of samples (the challenge: 10).
    mse_diversity: the same for the squared error. All LPIPS values are None if the picture is too small for it.
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
    """Statistics of the samples drawn so far. The last one of a request is `final`; fields marked * are set only there.

    indices: of the samples, in the order of all per-sample fields.
    mean: uint8, (H, W, 3).
    std_rgb: float32, (H, W, 3), standard deviation over the samples (of the set itself: divisor N) in 8-bit units.
    std_luma: float32, (H, W), of luma (BT.601, 0 to 255).
    diversity: the mean of `std_luma`.
    split_half_change: mean |σ of the even - σ of the odd samples| over mean σ, of luma, each half's σ corrected for its
        number: how much the map would still change; None below four samples.
    distances_to_mean*: RMSE, 8-bit units.
    nearest_to_mean*, medoid*: numbers of samples (`indices`), the latter by LPIPS.
    pairwise_lpips*: float32, (N, N).
    mean_pairwise_lpips*: over pairs of different samples.
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
"""What `Engine.sample` yields: an `Estimate` first, a final `SetSummary` (if requested) last."""

ReferenceKind = Literal["bicubic", "encoder", "zero_temperature"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """A picture to compare samples with: uint8, (s h, s w, 3)."""

    kind: ReferenceKind
    picture: np.ndarray
    lr_psnr: float
    truth: TruthScores | None = None

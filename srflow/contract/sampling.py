"""Drawing samples: what is asked for, and what is told of it."""

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
    """What to draw. Whatever is None is chosen by the engine, which says in the results what it chose.

    lr: uint8, (h, w, 3). model: a key of `EngineInfo.models`; None: its default. first_index: number of the first
    sample. temperature: 0 to 2; None: the checkpoint's default. consistency_rounds: of back-projection onto the LR
    picture; 0: none. ground_truth: uint8, (s h, s w, 3); adds `TruthScores`. precision, tile: as in `SampleRecipe`.
    pairwise_lpips: adds the LPIPS matrix and the medoid to the final summary, at some cost.
    summaries: whether the set is summed up at all, after every sample and at the end. weights_sha256: if not None, the
    model's weights must be these. version: of the program that drew the samples before; if another draws them now, a
    `Notice` says so. earlier: number and picture, uint8 (s h, s w, 3), of samples drawn before with the same settings;
    they are not drawn again, but summaries take them in, before the new ones. operations: what is done to every sample
    after it was drawn, as in `SampleRecipe`. deep: adds every sample in 16 bits; not with operations on places, which
    are laid into pictures of 8 bits. plain: adds every sample as it is without the consistency step, from the same
    decoding; not with operations on places either.
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

    num_bytes: of memory at the peak, beyond what the engine holds already. tile: as in `SampleRecipe`. cached: the
    picture's conditioning is there already.
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
    plain: as `picture`, but without the consistency step, if that was asked for; None if it went to `plain_path`.
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

ReferenceKind = Literal["bicubic", "encoder", "zero_temperature"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """A picture to compare samples with: uint8, (s h, s w, 3)."""

    kind: ReferenceKind
    picture: np.ndarray
    lr_psnr: float
    truth: TruthScores | None = None

"""Exploring a sample: variants, choices among them, edits and their verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from srflow.contract.recipe import SampleRecipe
from srflow.contract.sampling import Notice, Progress
from srflow.operations import Mask, Operation
from srflow.steering.wishes import Aim, Wish

__all__ = [
    "Comparison",
    "Direction",
    "Directions",
    "EditEvent",
    "EditRequest",
    "Encoded",
    "ExploreEvent",
    "ExploreRequest",
    "Family",
    "GrainRequest",
    "Variant",
    "Verdict",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExploreRequest:
    """Several variants of a sample: e.g. eight rolls of one region.

    lr: uint8, (h, w, 3).
    recipe: of the sample to change, including its operations so far: the `state`.
    variants: for each variant its further operations, often one; an empty tuple requests the state itself. Variants of
        the same region are decoded together.
    choose: number of variants to choose for a `Comparison` at the end; all variants must then be of one region, or all
        of the whole picture. 0: no comparison.
    directions: maximum number of directions to find; the variants must then be at least 8 rolls 0, 1, 2 … of one region
        and seed. 0: none.
    wish: what to measure of every variant, in the region of its last operation; except for the state itself, all must
        have the same region.
    aim: whether to find the direction of the wish among the variants, which must then be at least 16 such rolls.
    draft: whether to decode less around the region of each last operation, which is faster and less exact (.08 grey
        levels RMS with the shipped ×4 model). Drafts are for pictures that are only measured or shown small; their
        recipes draw the exact pictures.
    """

    lr: np.ndarray
    recipe: SampleRecipe
    variants: tuple[tuple[Operation, ...], ...]
    choose: int = 0
    directions: int = 0
    wish: Wish | None = None
    aim: bool = False
    draft: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Variant:
    """A drawn variant. Its picture is the state's, with `patch` laid into it at row `top`, column `left`.

    number: in the request's `variants`.
    patch: uint8, (h, w, 3), everything that differs from the state; the whole picture if the last operations were on
        the whole picture, or if the state itself was requested.
    recipe: draws this variant, and is the next state if it is kept.
    lr_psnr: of the whole picture, as in `SampleResult`.
    log_prob: the log-likelihood of what was decoded last, inside the mask's box or everywhere, in nats, before the
        consistency step. It can be compared only with that of other variants of the same region at the same
        temperature.
    measured: of the request's wish.
    """

    number: int
    left: int
    top: int
    patch: np.ndarray
    lr_psnr: float
    flags: tuple[str, ...]
    recipe: SampleRecipe
    seconds: float
    log_prob: float | None = None
    measured: float | None = None

    def laid_into(self, state: np.ndarray) -> np.ndarray:
        """Return the variant's whole picture, uint8, (s h, s w, 3), from the state's."""
        picture = state.copy()
        height, width = self.patch.shape[:2]
        picture[self.top : self.top + height, self.left : self.left + width] = self.patch
        return picture


@dataclass(frozen=True, kw_only=True)
class Family:
    """A chosen variant and those that it represents, including itself: all that are nearer to it than to another chosen
    one.
    """

    number: int
    members: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A direction in which the rolls of a region differ: `Slide(mask, seed, weights, angle)` moves along it.

    weights: of the rolls.
    share: of the rolls' variance that it explains, 0 to 1, measured on rolls that were not used to choose it.
    """

    weights: tuple[int, ...]
    share: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Statistics over the variants of a request; all numbers are those of `Variant.number`.

    different: those that differ as much as possible, by farthest points in LPIPS (RMSE if the picture is too small for
        it), each with its family; the first is the most central one.
    typical: those that represent the others best, the largest family first.
    left_out: neither offered nor counted, because the model finds them implausible, or they are flagged.
    extremes: the first choice by each measure of `srflow.evaluation.choosing.EXTREMES`, by its name.
    distances: float32, (N, N).
    """

    different: tuple[Family, ...]
    typical: tuple[Family, ...]
    left_out: tuple[int, ...]
    extremes: Mapping[str, int]
    distances: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Directions:
    """The principal ways in which a region can differ, the largest share first.

    If none was found, only texture differs.
    """

    found: tuple[Direction, ...]


ExploreEvent = Progress | Notice | Variant | Comparison | Directions | Aim
"""What `Engine.explore` yields: the variants as they are finished, and at the end the requested statistics."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EditRequest:
    """An edited picture, to be made consistent with the LR picture and natural.

    lr: uint8, (h, w, 3).
    recipe: of the picture before the edit.
    picture: uint8, (s h, s w, 3), after it.
    mask: the edited region; None: found by comparing the two pictures.
    """

    lr: np.ndarray
    recipe: SampleRecipe
    picture: np.ndarray
    mask: Mask | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GrainRequest:
    """A region to be given the grain of another one.

    lr: uint8, (h, w, 3).
    recipe: of the picture that gets it.
    mask: the region there.
    source: the region from which it is taken, of any picture at the scale of the HR picture, uint8, (H, W, 3), at least
        `srflow.steering.grain.MIN_SOURCE` LR pixels a side.
    seed: of the pieces that are taken from it.
    """

    lr: np.ndarray
    recipe: SampleRecipe
    mask: Mask
    source: np.ndarray
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """How much of an edit, or of added grain, remains, and how unusual it is.

    Pairs are of the two variants: made consistent, made natural.

    mask: the region.
    drawn_lr_psnr: of the picture as edited, see `SampleResult`.
    kept: the share of the change that remains, 1: all of it, 0: nothing.
    deviations: how much more likely the region is than in samples that went through the same steps, in their standard
        deviations; very negative is implausible, and so is very positive: too flat.
    plausibility: the share of these samples that are at least as unusual, on either side.
    num_samples: their number.
    unusual: float32, (h, w) of the mask's box (`Mask.support`): how much larger than usual the latents of the
        consistent form are around every LR pixel, in standard deviations of the samples'.
    """

    mask: Mask
    drawn_lr_psnr: float
    kept: tuple[float, float]
    deviations: tuple[float, float]
    plausibility: tuple[float, float]
    num_samples: int
    unusual: np.ndarray


EditEvent = Progress | Notice | Variant | Verdict
"""What `Engine.edit` and `Engine.grain` yield: variant 0, made consistent; 1, made natural; then the verdict."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """Pictures as latents of a model.

    levels: float32, (K, C, h, w) of every level, finest first, times temperature. With the conditioning of the LR
        picture, `SRFlow.decode` turns them into the same pictures again, including all changes, within rounding to 8
        bits. After the consistency step, or an edit, they are not exactly normal.
    log_probs: float64, (K,), log p(picture | lr), in nats, for a density over [0, 1].
    """

    levels: tuple[np.ndarray, ...]
    log_probs: np.ndarray

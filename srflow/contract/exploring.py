"""Exploring from a sample: variants, choices among them, edits and their verdicts."""

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
    recipe: SampleRecipe
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
    recipe: SampleRecipe
    seconds: float
    log_prob: float | None = None
    measured: float | None = None

    def laid_into(self, state: np.ndarray) -> np.ndarray:
        """Its whole picture, uint8, (s h, s w, 3), from the state's."""
        picture = state.copy()
        height, width = self.patch.shape[:2]
        picture[self.top : self.top + height, self.left : self.left + width] = self.patch
        return picture


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
    recipe: SampleRecipe
    picture: np.ndarray
    mask: Mask | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GrainRequest:
    """The grain of one place for another.

    lr: uint8, (h, w, 3). recipe: of the picture that gets it. mask: the place there. source: the place that it is taken
    from, of any picture in the scale of the large one, uint8, (H, W, 3), `srflow.steering.grain.MIN_SOURCE` LR pixels a
    side or more. seed: of the pieces that are taken from it.
    """

    lr: np.ndarray
    recipe: SampleRecipe
    mask: Mask
    source: np.ndarray
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What is left of an edit, or of grain that was laid on, and how usual it is.

    Pairs are of the two variants: made consistent, made natural.

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
"""What `Engine.edit` and `Engine.grain` yield: variant 0, made consistent; 1, made natural; then the verdict."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """Pictures as latents of a model.

    levels: float32, (K, C, h, w) of every level, finest first, times temperature. With the conditioning of the LR
    picture, `SRFlow.decode` turns them into the pictures again, whatever was done to these: within rounding to 8 bits.
    After the consistency step, or an edit, they are not exactly normal. log_probs: float64, (K,), log p(picture | lr),
    in nats, for a density over [0, 1].
    """

    levels: tuple[np.ndarray, ...]
    log_probs: np.ndarray

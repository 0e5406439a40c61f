"""The grain of another place, brought into what may lie behind the LR picture as edits are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from srflow.operations.given import Origin
from srflow.sampling.editing import Editing, to_usual
from srflow.sampling.regions import Region

__all__ = ["Graining"]

_SHARES = (1.0, 0.6, 0.3)  # of the noise's variance that is the grain's
_STRENGTHS = (1.0, 0.85, 0.7, 0.6)  # of the grain: at the size of noise, what has edges is less likely than noise
_STRONGER = (1.15, 1.3, 1.4, 1.5, 1.6, 1.8)  # of all grain: smooth grain is likelier than a rough place's noise
_WAYS = (*((share, strength) for share in _SHARES for strength in _STRENGTHS), *((1.0, each) for each in _STRONGER))


class Graining(Editing):
    """An `Editing` of a place that was given grain (`srflow.steering.grain.lay_grain`).

    Grain takes the place of the noise that was there, so that what may be natural differs from an edit's: latents that
    are smaller than those of samples are enlarged as well, and the noise before and the grain, which have nothing in
    common, are mixed by square roots of shares, so that their size stays.

    What has edges is less likely than noise of its size, and smooth grain is likelier than a rough place's noise: both
    weaker and stronger grain is tried; stronger grain last, since it is for few. On twelve pairs of places chosen at
    random from validation pictures, others than those that this was chosen on, eleven were within two standard
    deviations of samples' log-likelihood, the twelfth at -3.1, and .33 of the grain was left on average. With strengths
    of .7 to 1 alone it had been five pairs, from -20.5 to +3.2, and .26.
    """

    origins: ClassVar[tuple[Origin, Origin]] = ("grain", "natural grain")

    def _natural(
        self,
        before: Sequence[Tensor],
        drawn: Sequence[Tensor],
        samples: Sequence[Sequence[Tensor]],
        region: Region,
    ) -> list[list[Tensor]]:
        """As of an edit: grain of samples' size, weaker, with more and more of the noise before, and last stronger."""
        ends = [level * factor for level, factor in zip(drawn, to_usual(drawn, samples, region), strict=True)]
        return [
            [math.sqrt(1 - share) * z + math.sqrt(share) * strength * end for z, end in zip(before, ends, strict=True)]
            for share, strength in _WAYS
        ]

"""The interface between the measurements of a model's samples and the source that draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from srflow.contract import Precision

if TYPE_CHECKING:
    from srflow.model import SRFlow

__all__ = ["DrawnSample", "SampleSource"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnSample:
    """A sample as `srflow sample` writes it.

    plain: uint8, (s h, s w, 3), without the consistency step.
    consistent: the same with it; None: it was not requested.
    exploded: whether the flow's inverse exploded, so that the sample was decoded again from clipped latents.
    seconds: to make the plain one, including the encoder.
    consistency_seconds: additional time for the other one.
    """

    plain: np.ndarray = field(repr=False)
    consistent: np.ndarray | None = field(repr=False)
    exploded: bool
    seconds: float
    consistency_seconds: float


class SampleSource(Protocol):
    """A model to be measured; `srflow.sampling.measured.MeasuredModel` implements it."""

    @property
    def model(self) -> SRFlow:
        """The model, for its settings and the hash of its weights; it draws nothing itself."""
        ...

    @property
    def precision(self) -> Precision:
        """The data type of the convolutions that draw."""
        ...

    def draw(
        self, lr: np.ndarray, num_samples: int, temperature: float, seed: int, consistency_rounds: int
    ) -> Iterator[DrawnSample]:
        """Yield samples 0, 1, … of a seed, for an LR picture, uint8, (h, w, 3).

        All are drawn before the first is yielded, so that the measurements do not affect the timing.
        """
        ...

    def encoder_alone(self, lr: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the super-resolution of the encoder alone, uint8, (s h, s w, 3), and the seconds it took."""
        ...

    def log_prob(self, lr: np.ndarray, hr: np.ndarray) -> float | None:
        """Return log p(hr | lr) in nats, in float32; None: the picture does not fit into the device's memory."""
        ...

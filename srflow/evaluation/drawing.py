"""What measures a model's samples, and what draws them: the border between the two."""

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

    plain: uint8, (s h, s w, 3), without the consistency step. consistent: the same with it; None: it was not asked for.
    exploded: whether the flow's inverse left what it knows, so that the sample was decoded again from smaller latents.
    seconds: to make the plain one, reading the LR picture included. consistency_seconds: more, for the other one.
    """

    plain: np.ndarray = field(repr=False)
    consistent: np.ndarray | None = field(repr=False)
    exploded: bool
    seconds: float
    consistency_seconds: float


class SampleSource(Protocol):
    """A model that is to be measured: `srflow.sampling.measured.MeasuredModel` is the real one."""

    @property
    def model(self) -> SRFlow:
        """Its settings and the hash of its weights; it draws nothing itself."""
        ...

    @property
    def precision(self) -> Precision:
        """Of the convolutions of what draws."""
        ...

    def draw(
        self, lr: np.ndarray, num_samples: int, temperature: float, seed: int, consistency_rounds: int
    ) -> Iterator[DrawnSample]:
        """Samples 0, 1, … of a seed, of an LR picture, uint8, (h, w, 3).

        All are drawn before the first is given, so that measuring does not slow down what is timed.
        """
        ...

    def encoder_alone(self, lr: np.ndarray) -> tuple[np.ndarray, float]:
        """The super-resolution that the encoder makes by itself, uint8, (s h, s w, 3), and how many seconds it took."""
        ...

    def log_prob(self, lr: np.ndarray, hr: np.ndarray) -> float | None:
        """log p(hr | lr) in nats, in float32; None: the device's memory does not suffice for a picture of that size."""
        ...

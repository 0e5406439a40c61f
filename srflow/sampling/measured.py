"""A model to be measured with the samples of the engine, including its tiles and its guard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import numpy as np

from srflow.contract import MemoryBudgetError, Precision, SampleRequest, SampleResult
from srflow.evaluation.drawing import DrawnSample
from srflow.model import SRFlow
from srflow.sampling.engine import SamplingEngine

__all__ = ["MeasuredModel"]


class MeasuredModel:
    """A `srflow.evaluation.drawing.SampleSource` for the default model of an engine."""

    def __init__(self, engine: SamplingEngine) -> None:
        self._engine = engine

    @property
    def model(self) -> SRFlow:
        """See `SampleSource`."""
        return self._engine.network()

    @property
    def precision(self) -> Precision:
        """See `SampleSource`."""
        return self._engine.info().precision

    def draw(
        self, lr: np.ndarray, num_samples: int, temperature: float, seed: int, consistency_rounds: int
    ) -> Iterator[DrawnSample]:
        """See `SampleSource`. Raises: InputError: a number is out of range. MemoryBudgetError."""
        request = SampleRequest(
            lr=lr,
            num_samples=num_samples,
            seed=seed,
            temperature=temperature,
            consistency_rounds=consistency_rounds,
            plain=consistency_rounds > 0,
            summaries=False,
        )
        with closing(self._engine.sample(request)) as events:
            # Take only as many events as needed: samples in files are deleted when the iterator ends.
            drawn = list(islice((event for event in events if isinstance(event, SampleResult)), num_samples))
            reading = self._engine.seconds(request, "conditioning")
            finishing = self._engine.seconds(request, "finishing") if consistency_rounds else 0.0
            for result in drawn:
                picture = _loaded(result.picture, result.path)
                yield DrawnSample(
                    plain=_loaded(result.plain, result.plain_path) if consistency_rounds else picture,
                    consistent=picture if consistency_rounds else None,
                    exploded=result.flagged,
                    seconds=reading + max(0.0, result.seconds - finishing),
                    consistency_seconds=finishing,
                )

    def encoder_alone(self, lr: np.ndarray) -> tuple[np.ndarray, float]:
        """See `SampleSource`."""
        started = time.perf_counter()
        picture = self._engine.super_resolve(lr)
        return picture, time.perf_counter() - started

    def log_prob(self, lr: np.ndarray, hr: np.ndarray) -> float | None:
        """See `SampleSource`."""
        try:
            return float(self._engine.encode(lr, [hr]).log_probs[0])
        except MemoryBudgetError:
            return None


def _loaded(picture: np.ndarray | None, path: str | None) -> np.ndarray:
    if picture is not None:
        return picture
    assert path is not None, "a picture that is not in memory is in a file"
    return np.load(path, mmap_mode="c")

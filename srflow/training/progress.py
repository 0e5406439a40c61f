"""The progress and the speed of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["Progress", "Timing"]


@dataclass
class Progress:
    """The progress of a run; saved with every checkpoint."""

    step: int = 0  # steps done, over all stages
    seconds: float = 0.0  # spent in steps, over all starts
    left_out: int = 0  # steps that count as done because the run started from a checkpoint
    skipped: int = 0  # steps without an update, because something was not finite
    bad_in_a_row: int = 0
    best: dict[str, float] = field(default_factory=dict)  # the best score by kind of stage; lower is better
    best_question: str = ""  # what `best` was measured on: pictures and settings of the validation, as JSON
    losses: dict[str, list[float]] = field(default_factory=dict)  # by name, since the last line of the log
    norms: list[float] = field(default_factory=list)

    def note(self, losses: dict[str, float], norm: float) -> bool:
        """Store a step's losses and gradient norm for the log; return whether all of them are finite."""
        for name, value in losses.items():
            self.losses.setdefault(name, []).append(value)
        self.norms.append(norm)
        return all(math.isfinite(value) for value in (*losses.values(), norm))


@dataclass
class Timing:
    """The timing of the steps since the last line of the log. Validation and saving do not count."""

    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0  # for patches

    def add(self, seconds: float, waited: float) -> None:
        """Count one step. Args: seconds: of the whole step. waited: the part spent waiting for patches."""
        self.steps += 1
        self.seconds += seconds
        self.waited += waited

"""Checks whether bars hold and how far samples agree: `python -m benchmarks.bars`; writes results/bars.md.

It uses the example pictures, which neither training nor calibration has seen. They are few; the promise is an average
over many pictures, see the model's card for its check on 100.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import numpy as np

from benchmarks.exploring import COMPACT, ROOT
from benchmarks.report import interleaved, machine, save, table
from srflow.contract import SampleRequest, SampleResult
from srflow.evaluation.agreement import find_agreement, ring_correlation
from srflow.evaluation.measuring import LUMA, check_truth
from srflow.evaluation.reports import BarSource, report_line, report_place
from srflow.operations import Mask
from srflow.pictures import load_image
from srflow.sampling.engine import SamplingEngine

EXAMPLES = ("astronaut", "cat", "coffee", "rocket", "grass")


def drawn(engine: SamplingEngine, name: str, count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the truth, and samples of the downscaled picture."""
    lr, truth = engine.scale_down(load_image(ROOT / "assets" / "examples" / f"{name}.png"))
    events = engine.sample(SampleRequest(lr=lr, num_samples=count, summaries=False))
    return truth, [event.picture for event in events if isinstance(event, SampleResult) and event.picture is not None]


def size_with_truth(truth: np.ndarray, samples: Sequence[np.ndarray]) -> float:
    """Return the size on which samples agree with the truth, computed like `find_agreement` among samples."""
    frequencies, _ = ring_correlation([truth @ LUMA] * 2)
    shares = np.mean([ring_correlation([sample @ LUMA, truth @ LUMA])[1] for sample in samples], axis=0)
    below = np.flatnonzero(shares < 1 / 7)
    return float(1 / frequencies[below[0]]) if below.size else 2.0


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-samples", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    count = arguments.num_samples
    engine = SamplingEngine(checkpoints=[COMPACT])
    info, calibration = engine.info().models[0], engine.calibration()
    source = BarSource(
        calibration=calibration,
        temperature=info.default_temperature,
        num_samples=count,
        consistency_rounds=5,
    )
    bars = {"luma": source.bar(), "rgb": source.bar("rgb")}
    rows, truth, samples = [], np.zeros(0), []
    for name in EXAMPLES:
        truth, samples = drawn(engine, name, count)
        found = check_truth(truth, samples, bars)
        outside = found.ranks[0] + found.ranks[-1]
        rows.append(
            (name, *(f"{100 * found.inside[value]:.1f} %" for value in ("luma", "rgb")),
             f"{100 * outside:.1f} % ({200 / (count + 1):.1f} %)", f"{find_agreement(samples).size:.2f} px",
             f"{size_with_truth(truth, samples):.2f} px")
        )  # fmt: skip
    heading = (
        "", "brightness inside", "red, green, blue inside", "truth outside all samples (ideal)",
        "samples agree down to", "with the truth",
    )  # fmt: skip
    place = Mask(truth.shape[1] // 4, truth.shape[0] // 4, (8, 8, 32, 32), (255, 576))
    seconds = interleaved(
        {
            "mean of a place of 24×24 LR with its bar": lambda: report_place(samples, place, 4, source),
            "profile of 250 pixels with its band": lambda: report_line(samples, (10, 10, 259, 100), source),
            "down to which size samples agree, whole picture": lambda: find_agreement(samples),
            "how bars did against the truth": lambda: check_truth(truth, samples, bars),
        },
        arguments.repeats,
    )
    lines = [
        "# Bars that hold, and measuring",
        "",
        f"{machine()}. Load before it: {os.getloadavg()[0]:.1f}.",
        "",
        f"{info.key}, temperature {info.default_temperature:g}, {count} samples, promised: "
        f"{100 * calibration.coverage:g} %, on average over pictures.",
        "",
        table(heading, rows),
        "",
        "2.00 px is all that pixels can show: strong edges correlate at every frequency, with the truth, too.",
        "",
        f"Times, of {count} samples of {truth.shape[1]}×{truth.shape[0]} pixels:",
        "",
        table(("", "median"), [(name, f"{1e3 * value:.1f} ms") for name, value in seconds.items()]),
    ]
    save("bars.md", "\n".join(lines))


if __name__ == "__main__":
    main()

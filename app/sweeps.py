"""The same latents at several temperatures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.pictures import write_inputs
from app.runs import make_request, sample_pixels, sample_text
from app.settings import Settings
from app.state import Job, Visitor
from srflow.contract import Cancelled, Engine, Progress, SampleResult, SetSummary

__all__ = ["SWEEP_TEMPERATURES", "Sweep", "SweepNews", "sweep"]

SWEEP_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2)


@dataclass
class Sweep:
    """What there is so far. paths: of the first sample at each temperature. points: numbers, means over the samples."""

    width: int
    height: int
    subject: str
    paths: dict[float, Path] = field(default_factory=dict)
    points: list[dict[str, float | None]] = field(default_factory=list)


@dataclass(frozen=True)
class SweepNews:
    """How far it is; `sweep` where there is something new to show."""

    text: str
    fraction: float
    sweep: Sweep | None = None


def sweep(engine: Engine, visitor: Visitor, settings: Settings, num_samples: int, job: Job) -> Iterator[SweepNews]:
    """Draw `num_samples` samples at each of `SWEEP_TEMPERATURES`, all from the same seed.

    Raises: whatever the engine raises, Cancelled included.
    """
    picture = visitor.picture
    assert picture is not None
    folder = visitor.new_folder("sweep")
    visitor.keep_only("sweep", {folder})
    result = Sweep(
        picture.region.width * picture.scale_factor,
        picture.region.height * picture.scale_factor,
        f"{picture.subject} {folder}",
    )
    text_of = sample_text(write_inputs(engine, picture)["input"])
    settings = replace(settings, num_samples=num_samples, pairwise=False)
    yield SweepNews("Sweeping the temperature", 0.0, result)
    for number, temperature in enumerate(SWEEP_TEMPERATURES):
        samples: list[SampleResult] = []
        diversity = None
        # At τ = 0 all samples are the same one.
        at = replace(settings, temperature=temperature, num_samples=1 if temperature == 0 else num_samples)
        for event in engine.sample(make_request(picture, at), job.cancel):
            if job.cancel.is_set():
                raise Cancelled("Stopped.")
            if isinstance(event, Progress):
                done = (number + event.fraction) / len(SWEEP_TEMPERATURES)
                yield SweepNews(f"τ = {temperature:g}: {event.text}", done)
            elif isinstance(event, SampleResult):
                samples.append(event)
                with sample_pixels(event) as pixels:
                    if len(samples) == 1:
                        result.paths[temperature] = folder / f"tau-{temperature:.2f}.png"
                        engine.save_png(result.paths[temperature], pixels, text_of(event))
                if len(samples) == 1:
                    yield SweepNews(f"τ = {temperature:g}", number / len(SWEEP_TEMPERATURES), result)
            elif isinstance(event, SetSummary) and event.final:
                diversity = event.diversity
        result.points.append(_point(temperature, samples, diversity if num_samples > 1 else None))
        yield SweepNews(f"τ = {temperature:g} done", (number + 1) / len(SWEEP_TEMPERATURES), result)


def _point(temperature: float, samples: list[SampleResult], diversity: float | None) -> dict[str, float | None]:
    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    return {
        "temperature": temperature,
        "diversity": diversity,
        "lr_psnr": mean([sample.lr_psnr for sample in samples]),
        "lpips": mean([sample.truth.lpips for sample in samples if sample.truth]),
        "psnr": mean([sample.truth.psnr for sample in samples if sample.truth]),
    }

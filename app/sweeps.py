"""The same latents at several temperatures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.records import OpenedPicture, Sweep
from app.runs import make_request, sample_pixels, sample_text
from app.session import Job, Session
from app.settings import Settings
from app.tasks import Part, Update
from srflow.contract import Engine, Progress, SampleResult, SetSummary

__all__ = ["SWEEP_TEMPERATURES", "sweep"]

SWEEP_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2)


def sweep(
    engine: Engine, session: Session, job: Job, picture: OpenedPicture, settings: Settings, num_samples: int
) -> Iterator[Update]:
    """Draw `num_samples` samples at each of `SWEEP_TEMPERATURES`, all from the same seed.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    folder = session.new_folder(job, "sweep")
    result = Sweep(
        folder=folder,
        width=picture.region.width * picture.scale_factor,
        height=picture.region.height * picture.scale_factor,
        subject=f"{picture.subject} {folder.name}",
    )
    text_of = sample_text(picture)
    settings = replace(settings, num_samples=num_samples, pairwise=False)
    swept = frozenset({Part.SWEEP})
    yield Update(text="Sweeping the temperature", fraction=0.0, changed=swept, changes={"sweep": result}, spoken=True)
    for number, temperature in enumerate(SWEEP_TEMPERATURES):
        samples: list[SampleResult] = []
        diversity = None
        # At τ = 0 all samples are identical.
        at = replace(settings, temperature=temperature, num_samples=1 if temperature == 0 else num_samples)
        for event in engine.sample(make_request(picture, at), job.cancel):
            job.check()
            if isinstance(event, Progress):
                done = (number + event.fraction) / len(SWEEP_TEMPERATURES)
                yield Update(text=f"τ = {temperature:g}: {event.text}", fraction=done)
            elif isinstance(event, SampleResult):
                samples.append(event)
                with sample_pixels(event) as pixels:
                    if len(samples) > 1:
                        continue
                    path = folder / f"tau-{temperature:.2f}.png"
                    engine.save_png(path, pixels, text_of(event.recipe, event.flags), alpha=picture.alpha())
                result = replace(result, paths=result.paths | {temperature: path})
                fraction = number / len(SWEEP_TEMPERATURES)
                yield Update(text=f"τ = {temperature:g}", fraction=fraction, changed=swept, changes={"sweep": result})
            elif isinstance(event, SetSummary) and event.final:
                diversity = event.diversity
        point = _point(temperature, samples, diversity if num_samples > 1 else None)
        result = replace(result, points=(*result.points, point))
        fraction = (number + 1) / len(SWEEP_TEMPERATURES)
        yield Update(text=f"τ = {temperature:g} done", fraction=fraction, changed=swept, changes={"sweep": result})
    result = replace(result, is_drawing=False)
    ended = swept | {Part.END}
    yield Update(text="The sweep is done.", changed=ended, changes={"sweep": result}, kind="done", spoken=True)


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

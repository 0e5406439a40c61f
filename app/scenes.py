"""The message that shows a view in the linked viewer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from app.exploring import place_of
from app.records import Explored, OpenedPicture, PictureRecord, Run, Slider, View
from app.settings import Settings
from app.strip import compared_picture, strip_steps
from app.sweeps import SWEEP_TEMPERATURES
from app.viewer import LOOK_ONLY, Picture, Scene, SliderBank, SliderStrip, Walk
from app.wording import REFERENCES, START_NOTE

__all__ = ["main_scene", "sweep_scene"]


def main_scene(view: View) -> Scene | None:
    """Return what the viewer shows; None: no picture is open.

    Positions are reserved for pictures that are still to come, so that nothing moves when they arrive.
    """
    picture, run = view.picture, view.run
    if picture is None:
        return None
    scale = picture.scale_factor
    references = {"input": picture.files / "input.png"}
    if picture.has_truth:
        references["truth"] = picture.files / "truth.png"
    pictures = []
    is_waiting = run is None or run.is_drawing
    if run is not None:
        references |= run.references
        pictures = list(_samples(run))
    elif view.settings is not None and view.explored is None:
        pictures = [Picture(f"s{index}", f"Sample {index + 1}") for index in _indices(view.settings)]
    explored = view.explored
    if explored is not None:
        pictures += _explored(explored)
    for kind, (label, key) in REFERENCES.items():
        if kind in references or (is_waiting and kind != "truth"):
            pictures.append(Picture(kind, label, references.get(kind), "reference", key=key))
    compared = compared_picture(view)
    if compared is not None:
        pictures.append(compared)
    return Scene(
        picture.region.width * scale,
        picture.region.height * scale,
        pictures,
        overlay=None if run is None else run.overlays.get(view.measure),
        overlay_expected=is_waiting and sum(picture.kind == "sample" for picture in pictures) > 1,
        subject=f"{picture.subject} {scale}",
        placeholder="input",
        suggested_place=None if run is None else run.place,
        grid=(picture.region.width, picture.region.height),
        walk=None if explored is None else _walk(explored, picture),
        explored=explored.state.id if explored is not None and explored.has_changes else None,
        steps=strip_steps(view),
        temperature=_temperature(view),
        revision=view.revision,
        note=START_NOTE if run is None and explored is None else "",
    )


def _temperature(view: View) -> float | None:
    """Return the temperature of the pictures: that of the explored picture, otherwise that of the samples."""
    if view.explored is not None and view.explored.state.recipe is not None:
        return view.explored.state.recipe.temperature
    settings = view.settings if view.run is None else view.run.settings
    return None if settings is None else settings.temperature


def _explored(explored: Explored) -> Iterator[Picture]:
    """Return the explored picture and its finished variants."""
    if explored.has_changes:
        yield _picture(explored.state, "sample")
    yield from (_picture(way, "way") for way in explored.ways)


def _picture(record: PictureRecord, kind: Literal["sample", "way"]) -> Picture:
    badge = "" if record.recipe is not None else LOOK_ONLY
    return Picture(record.id, record.label, record.path, kind, badge=badge, file_name=f"{record.path.stem}.png")


def _walk(explored: Explored, picture: OpenedPicture) -> Walk | None:
    if not explored.count:
        return None
    ids = tuple(way.id for way in explored.ways)
    box = place_of(explored, picture)
    bank = None
    if explored.sliders is not None:
        bank = SliderBank(tuple(map(_strip, explored.sliders)), explored.angles)
    return Walk(
        *(explored.state.id, ids, explored.count, box, explored.kind),
        dial=explored.dial,
        blend=explored.blend,
        found=explored.found,
        sliders=bank,
        levels=explored.levels,
    )


def _strip(slider: Slider) -> SliderStrip:
    deviations = None if slider.scale is None else slider.scale.deviations
    return SliderStrip(slider.strip, slider.ends, slider.direction.share, deviations, slider.remark)


def _indices(settings: Settings) -> range:
    return range(settings.first_index, settings.first_index + settings.num_samples)


def _samples(run: Run) -> Iterator[Picture]:
    """Return the samples in order; while more are being drawn, with reserved positions for those."""
    done = {sample.id: sample for sample in run.samples}
    for index in _indices(run.settings):
        name, label = f"s{index}", f"Sample {index + 1}"
        if sample := done.pop(name, None):
            flagged = sample.numbers is not None and sample.numbers.flags
            yield Picture(name, sample.label, sample.path, badge="flagged" if flagged else "")
        elif run.is_drawing or index in run.parts:
            yield Picture(name, label, parts=run.parts.get(index, ()))
    for sample in done.values():  # not of this drawing, for example edited ones
        yield Picture(sample.id, sample.label, sample.path)


def sweep_scene(view: View) -> Scene | None:
    """Return the first sample at each temperature, side by side; None: there was no sweep."""
    sweep = view.sweep
    if sweep is None:
        return None
    pictures = [
        Picture(f"t{number}", f"τ = {temperature:g}", sweep.paths.get(temperature))
        for number, temperature in enumerate(SWEEP_TEMPERATURES)
        if sweep.is_drawing or temperature in sweep.paths
    ]
    return Scene(sweep.width, sweep.height, pictures, subject=sweep.subject, revision=view.revision)

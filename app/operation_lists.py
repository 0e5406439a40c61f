"""Drawing lists of operations: the picture of a list, and variants of a region of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.checks import read_int
from app.records import OpenedPicture
from app.runs import make_request, sample_pixels, sample_text
from app.session import Job
from app.settings import Settings
from app.tasks import Update
from srflow.contract import (
    Comparison,
    Engine,
    ExploreRequest,
    InputError,
    MemoryBudgetError,
    Notice,
    Progress,
    SampleRequest,
    SampleResult,
    Variant,
)
from srflow.operations import (
    Draw,
    Mask,
    Operation,
    Reroll,
    check_operations,
    from_address,
    from_json,
    to_values,
)

__all__ = [
    "MAX_VARIANTS",
    "Drawn",
    "draw_list",
    "give_drawn",
    "list_request",
    "read_operations",
    "read_place",
    "reroll",
    "save_variants",
]

MAX_VARIANTS = 64


@dataclass(frozen=True)
class Drawn:
    """The result of a call: PNGs, each with its recipe inside, and numbers for JSON."""

    files: tuple[Path, ...]
    numbers: Mapping[str, Any]


def give_drawn(
    progress: Iterator[object], drawn: Sequence[Drawn]
) -> Iterator[tuple[list[str] | None, dict[str, Any] | None]]:
    """Yield what an endpoint returns: nothing while its call is running, then files and numbers.

    Args:
        progress: of the call, see `app.endpoints.Endpoints`.
        drawn: holds the result after the call has ended.
    """
    for ended in progress:
        if ended is None:
            yield None, None
    yield [str(file) for file in drawn[0].files], dict(drawn[0].numbers)


def read_operations(text: object, default: Draw) -> tuple[Operation, ...]:
    """Read a complete list from a program: JSON, or the short form from a link; empty: the default.

    Raises: InputError: it is not a valid list.
    """
    if not isinstance(text, str):
        raise InputError("The operations must be text: JSON, or the short form from a link.")
    text = text.strip()
    if not text:
        return (default,)
    return from_json(text) if text.startswith("{") else from_address(text)


def read_place(
    left: object, top: object, width: object, height: object, picture: OpenedPicture, which: str = ""
) -> Mask:
    """Read a box of LR pixels as a mask that selects all of it.

    Raises: InputError: it is not inside the picture.

    Args: which: prefix of the names of its corner in error messages.
    """
    across = read_int(left, f"{which}left", 0, picture.region.width - 1)
    down = read_int(top, f"{which}top", 0, picture.region.height - 1)
    right = across + read_int(width, "width", 1, picture.region.width - across)
    bottom = down + read_int(height, "height", 1, picture.region.height - down)
    box = across, down, right, bottom
    return Mask(picture.region.width, picture.region.height, box, (255, (right - across) * (bottom - down)))


def draw_list(
    engine: Engine,
    folder: Path,
    job: Job,
    picture: OpenedPicture,
    settings: Settings,
    operations: Sequence[Operation],
) -> Generator[Update, None, Drawn]:
    """Draw the picture of a complete list into a folder. The settings' sample number and temperature are ignored.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    text_of, alpha = sample_text(picture), picture.alpha()
    path = folder / "drawn.png"
    numbers: dict[str, Any] = {}
    for event in engine.sample(list_request(picture, settings, operations), job.cancel):
        job.check()
        if isinstance(event, Progress):
            yield Update(text=event.text, fraction=event.fraction)
        elif isinstance(event, Notice):
            yield Update(text=event.text, fraction=0.0)
        elif isinstance(event, SampleResult):
            with sample_pixels(event) as pixels:
                engine.save_png(path, pixels, text_of(event.recipe, event.flags), alpha=alpha)
            numbers = {
                "operations": to_values(operations),
                "lr_psnr": event.lr_psnr,
                "flags": list(event.flags),
                "truth": None if event.truth is None else asdict(event.truth),
                "seconds": event.seconds,
            }
    return Drawn((path,), numbers)


def reroll(
    engine: Engine,
    folder: Path,
    job: Job,
    picture: OpenedPicture,
    settings: Settings,
    operations: Sequence[Operation],
    place: Mask,
    num_variants: int,
    choose: int,
) -> Generator[Update, None, Drawn]:
    """Draw variants of a region of a list's picture, numbered from 0; the settings' seed is that of the rolls.

    Files are written after everything has been drawn: of all variants or, if some are to be chosen, of those that
    differ most.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    lr = picture.lr()
    recipe = engine.recipe(list_request(picture, settings, operations))
    ways = tuple((Reroll(place, settings.seed, roll),) for roll in range(num_variants))
    state: np.ndarray | None = None
    variants: dict[int, Variant] = {}
    comparison: Comparison | None = None
    for request in (
        ExploreRequest(lr=lr, recipe=recipe, variants=((),)),
        ExploreRequest(lr=lr, recipe=recipe, variants=ways, choose=choose),
    ):
        for event in engine.explore(request, job.cancel):
            job.check()
            if isinstance(event, Progress):
                yield Update(text=event.text, fraction=event.fraction)
            elif isinstance(event, Comparison):
                comparison = event
            elif isinstance(event, Variant) and state is None:
                state = event.patch
            elif isinstance(event, Variant):
                variants[event.number] = event
    if state is None:
        raise MemoryBudgetError("The picture could not be drawn.")
    chosen = sorted(variants) if comparison is None else [family.number for family in comparison.different]
    named = {f"variant-{number:02d}": variants[number] for number in chosen}
    files = save_variants(engine, folder, job, picture, state, named)
    numbers: dict[str, Any] = {
        "files": chosen,
        "variants": [
            {
                "number": number,
                "lr_psnr": variant.lr_psnr,
                "log_prob": variant.log_prob,
                "flags": list(variant.flags),
                "operations": to_values(variant.recipe.whole_list),
            }
            for number, variant in sorted(variants.items())
        ],
    }
    if comparison is not None:
        numbers |= {
            "different": [asdict(family) for family in comparison.different],
            "typical": [asdict(family) for family in comparison.typical],
            "left_out": list(comparison.left_out),
            "extremes": dict(comparison.extremes),
        }
    return Drawn(files, numbers)


def save_variants(
    engine: Engine, folder: Path, job: Job, picture: OpenedPicture, state: np.ndarray, named: Mapping[str, Variant]
) -> tuple[Path, ...]:
    """Write variants as whole pictures, each with its recipe inside.

    Raises: Cancelled: the job was cancelled.

    Args:
        state: the picture that the variants change, uint8 (s h, s w, 3).
        named: prefix of the file names.
    """
    text_of, alpha = sample_text(picture), picture.alpha()
    files = []
    for name, variant in named.items():
        job.check()
        files.append(folder / f"{name}.png")
        engine.save_png(files[-1], variant.laid_into(state), text_of(variant.recipe, variant.flags), alpha=alpha)
    return tuple(files)


def list_request(picture: OpenedPicture, settings: Settings, operations: Sequence[Operation]) -> SampleRequest:
    """Return the request for the picture of a complete list."""
    check_operations(operations, size=(picture.region.height, picture.region.width))
    draw = operations[0]
    assert isinstance(draw, Draw)
    return replace(
        make_request(picture, settings),
        num_samples=1,
        first_index=draw.index,
        seed=draw.seed,
        temperature=draw.temperature,
        operations=tuple(operations[1:]),
        pairwise_lpips=False,
        summaries=False,
    )

"""`srflow sample`: draw super-resolutions of one picture or of a folder of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srflow.sampling.engine import SamplingEngine

__all__ = ["HELP", "add_arguments", "run"]

HELP = "draw super-resolutions of a low-resolution picture, or of every picture in a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("input", type=Path, help="a picture, or a folder of pictures")
    parser.add_argument("output", type=Path, help="the folder to write NAME_sampleI.png to")
    parser.add_argument("--model", help="a shipped checkpoint, a folder or a Hub id; default: the shipped one")
    parser.add_argument("--num-samples", type=int, default=1, help="samples of each picture (default: 1)")
    parser.add_argument("--temperature", type=float, help="0 to 2; default: the checkpoint's")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (default: 0)")
    parser.add_argument(
        "--consistency-rounds", type=int, default=5, metavar="N", help="of back-projection; 0: none (default: 5)"
    )
    parser.add_argument("--tile", type=int, metavar="PIXELS", help="LR pixels a side; 0: in one piece; default: fits")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16", "float16"), help="of the convolutions; default: the fastest"
    )
    parser.add_argument("--compile", action="store_true", help="compile the networks; for GPUs: no faster on a CPU")


def run(arguments: argparse.Namespace) -> int:
    """Write one PNG a sample; each carries its recipe as text.

    Started by `accelerate launch` or `torchrun`, every process takes its share of a folder. A picture of a folder that
    cannot be enlarged is named and left out; the exit code is 1 then.
    """
    from tqdm import tqdm

    from srflow.checkpoints.shipped import DEFAULT_CHECKPOINT
    from srflow.contract import InputError, MemoryBudgetError
    from srflow.images import list_images
    from srflow.sampling.engine import SamplingEngine

    is_folder = arguments.input.is_dir()
    paths = list_images(arguments.input) if is_folder else [arguments.input]
    names = _output_names(paths)
    failed = False
    with _process(arguments.device) as (rank, num_processes, device):
        engine = SamplingEngine(
            device,
            arguments.precision,
            checkpoints=[arguments.model or DEFAULT_CHECKPOINT],
            spill_folder=arguments.output,
            compiled=arguments.compile,
        )
        share = paths[rank::num_processes]
        with tqdm(total=len(share) * arguments.num_samples, unit="sample", disable=rank > 0) as bar:
            for path in share:
                bar.set_description(path.name)
                try:
                    for output, flags in _draw(engine, path, arguments, names[path]):
                        for flag in flags:
                            bar.write(f"{output.name}: {flag}", file=sys.stderr)
                        bar.update()
                except (InputError, MemoryBudgetError) as error:
                    if not is_folder:
                        raise
                    failed = True
                    bar.write(f"{path.name}: {error}", file=sys.stderr)
    return 1 if failed else 0


def _draw(
    engine: SamplingEngine, path: Path, arguments: argparse.Namespace, name: str
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Draw and write the samples of one picture; yields each one's path and flags."""
    import numpy as np

    from srflow.contract import RECIPE_KEY, Notice, SampleRequest, SampleResult

    request = SampleRequest(
        lr=engine.open_picture(path),
        num_samples=arguments.num_samples,
        seed=arguments.seed,
        temperature=arguments.temperature,
        consistency_rounds=arguments.consistency_rounds,
        tile=arguments.tile,
        summaries=False,
    )
    for event in engine.sample(request):
        if isinstance(event, Notice):
            sys.stderr.write(f"{name}: {event.text}\n")
        elif isinstance(event, SampleResult):
            output = arguments.output / f"{name}_sample{event.index}.png"
            picture = np.load(str(event.path), mmap_mode="r") if event.picture is None else event.picture
            try:
                engine.save_png(output, picture, {RECIPE_KEY: event.recipe.to_json()})
            finally:
                if event.path is not None:
                    Path(event.path).unlink()
            yield output, event.flags


def _output_names(paths: Sequence[Path]) -> dict[Path, str]:
    """What the PNGs of each picture begin with: its name without the ending, unless two would be the same."""
    stems = [path.stem for path in paths]
    return {path: path.name if stems.count(path.stem) > 1 else path.stem for path in paths}


@contextmanager
def _process(device: str) -> Iterator[tuple[int, int, str]]:
    """The number of this process, how many there are, and the device that it is to use."""
    from srflow.processes import join_processes, leave_processes, processes_started

    if processes_started() == 1:  # so that one alone does not wait for Accelerate's import
        yield 0, 1, device
        return
    state = join_processes(cpu=device == "cpu")
    try:
        yield state.process_index, state.num_processes, str(state.device) if device in ("auto", "cuda") else device
    finally:
        leave_processes()

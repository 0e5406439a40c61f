"""`srflow sample`: draws super-resolutions of one picture or of a folder of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from srflow.cli.folders import Outcome, add_folder_arguments, find_inputs, print_line, without_name

if TYPE_CHECKING:
    from srflow.contract import Picture, SampleResult
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
        "--consistency-rounds", type=int, default=5, metavar="N", help="rounds of back-projection; 0: none (default: 5)"
    )
    parser.add_argument(
        "--tile", type=int, metavar="PIXELS", help="LR pixels a side; 0: no tiles; default: as large as fits"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16"),
        help="data type of the convolutions; default: the fastest",
    )
    parser.add_argument(
        "--bits",
        type=int,
        choices=(8, 16),
        default=8,
        help="bits of each value in the PNGs; 16 for further editing (default: 8)",
    )
    parser.add_argument(
        "--export",
        choices=("npz", "tiff", "ome-tiff", "latents", "latents-npz"),
        action="append",
        default=[],
        help="write also NAME_samples, with all samples of a picture: for NumPy, as a float32 stack for ImageJ, as "
        "OME-TIFF, with as many bits as the PNGs, or as latents (safetensors, or for NumPy), which the model decodes "
        "to the same pixels; may be given several times",
    )
    parser.add_argument("--compile", action="store_true", help="compile the networks; for GPUs: not faster on a CPU")
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="skip samples that already exist for the same picture and settings",
    )
    parser.add_argument(
        "--strip-metadata", action="store_true", help="do not carry over resolution, EXIF, XMP and text of the input"
    )
    add_folder_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write one PNG per sample; each contains its recipe as text.

    If started by `accelerate launch` or `torchrun`, every process draws its share of a folder. A picture of a folder
    that cannot be enlarged is named and left out. Exit status: see `Outcome`.
    """
    from tqdm import tqdm

    from srflow.checkpoints.shipped import resolve_checkpoint
    from srflow.contract import InputError, MemoryBudgetError, OutputError
    from srflow.files import check_writable
    from srflow.pictures import read_picture
    from srflow.pictures.folders import output_names
    from srflow.sampling.engine import SamplingEngine

    check_writable(arguments.output)
    outcome = Outcome()
    with _process(arguments.device) as (rank, num_processes, device):
        say = print_line if rank == 0 else lambda _: None
        inputs = find_inputs(arguments.input, arguments, exclude=[arguments.output], say=say)
        names = output_names(inputs.paths, inputs.root)
        if not inputs.is_folder:
            read_picture(arguments.input)  # report an error in it before the model is loaded
        engine = SamplingEngine(
            device,
            arguments.precision,
            checkpoints=[resolve_checkpoint(arguments.model)],
            spill_folder=arguments.output,
            compiled=arguments.compile,
        )
        share = inputs.paths[rank::num_processes]
        with tqdm(total=len(share) * arguments.num_samples, unit="sample", disable=rank > 0) as bar:
            for path in share:
                bar.set_description(path.name)
                try:
                    for result in _draw(engine, path, arguments, names[path], bar.update):
                        outcome.doubtful += not result.is_as_asked
                    _export(engine, path, names[path], arguments)
                    outcome.done += 1
                except (InputError, MemoryBudgetError, OutputError) as error:
                    if not inputs.is_folder:
                        raise
                    outcome.failed += 1
                    print_line(without_name(error, path))
    if line := outcome.describe():
        print_line(line)
    return outcome.status


def _draw(
    engine: SamplingEngine, path: Path, arguments: argparse.Namespace, name: str, update: Callable[..., object]
) -> Iterator[SampleResult]:
    """Draw and write the missing samples of one picture; yield each one's result."""
    from srflow.contract import Notice, SampleRequest, SampleResult
    from srflow.pictures import read_picture

    picture = read_picture(path)
    if picture.notes:
        print_line(f"{path.name}: {', '.join(picture.notes)}")
    for first, count in _missing(engine, picture, arguments, name, update):
        request = SampleRequest(
            lr=picture.pixels,
            num_samples=count,
            first_index=first,
            seed=arguments.seed,
            temperature=arguments.temperature,
            consistency_rounds=arguments.consistency_rounds,
            tile=arguments.tile,
            summaries=False,
            deep=arguments.bits == 16,
        )
        for event in engine.sample(request):
            if isinstance(event, Notice):
                print_line(f"{name}: {event.text}")
            elif isinstance(event, SampleResult):
                output = arguments.output / f"{name}_sample{event.index}.png"
                _write(output, picture, event, arguments.strip_metadata)
                for flag in event.flags:
                    print_line(f"{output.name}: {flag}")
                update()
                yield event


def _export(engine: SamplingEngine, path: Path, name: str, arguments: argparse.Namespace) -> None:
    """Write all samples of a picture to one file, if requested."""
    from srflow.cli.exporting import export_samples
    from srflow.pictures import read_picture

    if arguments.export:
        pngs = [arguments.output / f"{name}_sample{index}.png" for index in range(arguments.num_samples)]
        lr = read_picture(path).pixels
        export_samples(engine, lr, pngs, arguments.output / f"{name}_samples", arguments.export, arguments.bits)


def _write(output: Path, picture: Picture, result: SampleResult, strip_metadata: bool) -> None:
    """Return whether a PNG of the right depth with the sample's recipe exists; precision and tiles do not count."""
    import numpy as np

    from srflow.contract import FLAGS_KEY, INPUT_KEY, RECIPE_KEY
    from srflow.images import upscale_uint8
    from srflow.pictures import save_png

    depth = np.uint8
    picture_of, path = result.picture, result.path
    if result.deep is not None or result.deep_path is not None:
        depth, picture_of, path = np.uint16, result.deep, result.deep_path
    pixels = np.load(str(path), mmap_mode="r") if picture_of is None else picture_of
    alpha = None if picture.alpha is None else upscale_uint8(picture.alpha, result.recipe.scale_factor)
    if alpha is not None and depth is np.uint16:
        alpha = alpha.astype(np.uint16) * 257
    text = {RECIPE_KEY: result.recipe.to_json()}
    if picture.notes:
        text[INPUT_KEY] = ", ".join(picture.notes)
    if result.flags:
        text[FLAGS_KEY] = ", ".join(result.flags)
    try:
        save_png(
            output,
            pixels[..., 0] if picture.is_grey else pixels,
            alpha=alpha,
            text=text,
            metadata=None if strip_metadata else picture.metadata,
        )
    finally:
        for file in (result.path, result.deep_path):
            if file is not None:
                Path(file).unlink()


def _missing(
    engine: SamplingEngine, picture: Picture, arguments: argparse.Namespace, name: str, update: Callable[..., object]
) -> Iterator[tuple[int, int]]:
    """Yield (first, count) of the samples to draw: all, or with --skip-existing the missing ones."""
    wanted = list(range(arguments.num_samples))
    if arguments.skip_existing:
        there = [index for index in wanted if _is_there(engine, picture, arguments, name, index)]
        update(len(there))
        wanted = [index for index in wanted if index not in there]
    if arguments.num_samples < 1:
        yield 0, arguments.num_samples  # the engine reports the error
    while wanted:
        count = next((i for i, index in enumerate(wanted) if index != wanted[0] + i), len(wanted))
        yield wanted[0], count
        wanted = wanted[count:]


def _is_there(engine: SamplingEngine, picture: Picture, arguments: argparse.Namespace, name: str, index: int) -> bool:
    """Return whether a PNG of the right depth with the sample's recipe exists; precision and tiles may differ."""
    from srflow.contract import RECIPE_KEY, InputError, SampleRecipe, picture_sha256
    from srflow.pictures import png_bits, read_png_text

    path = arguments.output / f"{name}_sample{index}.png"
    if not path.is_file():
        return False
    with suppress(InputError, KeyError):
        recipe = SampleRecipe.from_json(read_png_text(path)[RECIPE_KEY])
        info = engine.info().models[0]
        height, width = picture.pixels.shape[:2]
        temperature = info.default_temperature if arguments.temperature is None else arguments.temperature
        asked = SampleRecipe(
            model=info.key,
            weights_sha256=info.weights_sha256,
            scale_factor=info.scale_factor,
            seed=arguments.seed,
            index=index,
            temperature=float(temperature),
            consistency_rounds=arguments.consistency_rounds,
            precision=arguments.precision or recipe.precision,
            tile=recipe.tile,
            lr_height=height,
            lr_width=width,
            lr_sha256=picture_sha256(picture.pixels),
            version=recipe.version,
        )
        return recipe == asked and png_bits(path) == arguments.bits
    return False


@contextmanager
def _process(device: str) -> Iterator[tuple[int, int, str]]:
    """Return the number of this process, how many there are, and the device for it."""
    from srflow.processes import join_processes, leave_processes, processes_started

    if processes_started() == 1:  # so that a single process need not import Accelerate
        yield 0, 1, device
        return
    state = join_processes(cpu=device == "cpu")
    try:
        yield state.process_index, state.num_processes, str(state.device) if device in ("auto", "cuda") else device
    finally:
        leave_processes()

"""`srflow encode`: computes the latents of a true HR picture, and how likely the model finds each part of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from srflow.cli.folders import Outcome, add_folder_arguments, find_inputs, print_line, without_name

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from srflow.model import SRFlow

__all__ = ["HELP", "add_arguments", "run"]

HELP = "turn HR pictures into their latents, with their log-likelihood as numbers and as a map"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "hr", type=Path, help="an HR picture, or a folder of them; cropped at the right and bottom to a size that fits"
    )
    parser.add_argument(
        "lr",
        type=Path,
        nargs="?",
        help="the LR picture of a single HR picture; default: HR downscaled by bicubic interpolation",
    )
    parser.add_argument("--model", help="a shipped checkpoint, a folder or a Hub id; default: the shipped one")
    parser.add_argument(
        "--output",
        type=Path,
        help="the output folder, with a subfolder per picture for a folder of pictures; default: beside HR, named "
        "NAME-encoded",
    )
    parser.add_argument("--device", default="cpu", help="where to compute, e.g. cpu, cuda, mps (default: cpu)")
    add_folder_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write latents.safetensors, likelihood.json and likelihood.png for each picture. Exit status: see `Outcome`."""
    from srflow.checkpoints.shipped import resolve_checkpoint
    from srflow.contract import InputError, OutputError
    from srflow.files import check_writable
    from srflow.model import SRFlow
    from srflow.pictures.folders import output_names
    from srflow.sampling.hardware import resolve_device

    exclude = [] if arguments.output is None else [arguments.output]
    inputs = find_inputs(arguments.hr, arguments, exclude=exclude)
    if inputs.is_folder and arguments.lr is not None:
        raise InputError("An LR picture can be given only for one HR picture, not for a folder of them.")
    names = output_names(inputs.paths, inputs.root)
    outputs = {path: _output(arguments.output, path, names[path], inputs.is_folder) for path in inputs.paths}
    check_writable(next(iter(outputs.values())).parent)
    if not inputs.is_folder:
        _read(arguments.hr)  # report an error in it before the model is loaded
    model = SRFlow.from_pretrained(resolve_checkpoint(arguments.model)).to(resolve_device(arguments.device))
    outcome = Outcome()
    for path, output in outputs.items():
        try:
            _encode(model, path, arguments.lr, output)
            outcome.done += 1
        except (InputError, OutputError) as error:
            if not inputs.is_folder:
                raise
            outcome.failed += 1
            print_line(without_name(error, path))
    if line := outcome.describe():
        print_line(line)
    return outcome.status


def _output(given: Path | None, path: Path, name: str, is_folder: bool) -> Path:
    if given is None:
        return path.with_name(f"{Path(name).name}-encoded")
    return given / name if is_folder else given


def _read(path: Path) -> np.ndarray:
    from srflow.pictures import read_picture

    picture = read_picture(path)
    notes = [note if note != "alpha kept" else "placed on white" for note in picture.notes]
    if notes:
        print_line(f"{path.name}: {', '.join(notes)}")
    return picture.on_white()


def _encode(model: SRFlow, path: Path, lr_path: Path | None, output: Path) -> None:
    """Encode one picture. Raises InputError: it cannot be read, or the sizes do not fit."""
    import json

    import torch

    from srflow.contract import InputError
    from srflow.files import atomic_write
    from srflow.images import crop_to_multiple, downscale_uint8, to_tensor
    from srflow.likelihood import bits_per_dimension
    from srflow.pictures import save_png
    from srflow.pictures.folders import OUTPUT_KEY

    scale = model.scale_factor
    hr = crop_to_multiple(_read(path), scale * model.config.lr_multiple)
    lr = _read(lr_path) if lr_path else downscale_uint8(hr, scale)
    if tuple(side * scale for side in lr.shape[:2]) != hr.shape[:2]:
        raise InputError(
            f"{path.name} is {hr.shape[1]}x{hr.shape[0]} (cropped to fit), so at x{scale} its LR picture must be "
            f"{hr.shape[1] // scale}x{hr.shape[0] // scale}; {lr_path.name if lr_path else 'it'} is "
            f"{lr.shape[1]}x{lr.shape[0]}."
        )
    with torch.no_grad():
        conditioning = model.condition(to_tensor(lr).to(model.device))
        hr_tensor = to_tensor(hr).to(model.device)
        latents, log_prob = model.encode(hr_tensor, conditioning)
        by_place = model.log_prob_map(hr_tensor, conditioning)[0].cpu()
    height, width = hr.shape[:2]
    bits = bits_per_dimension(log_prob, height, width, for_8_bit_values=True).item()
    grey, low, high = _as_picture(by_place)
    numbers = {
        "model": model.config.name,
        "weights_sha256": model.metadata.weights_sha256,
        "hr": path.name,
        "height": height,
        "width": width,
        "log_prob_nats": log_prob.item(),
        "bits_per_dimension_8_bit": bits,
        "bits_per_dimension_of_density_on_0_1": bits - 8,
        "likelihood_png": {"black_nats_per_pixel": low, "white_nats_per_pixel": high},
    }
    latents.to("cpu").save(output / "latents.safetensors", {"model": model.config.name, "hr": path.name})
    save_png(output / "likelihood.png", grey, text={OUTPUT_KEY: "log-likelihood per pixel"})
    with atomic_write(output / "likelihood.json", "w") as file:
        json.dump(numbers, file, indent=2)
    print(f"log p(hr | lr) = {log_prob.item():.1f} nats; {bits:.3f} bits per dimension (8-bit values, no noise added)")
    print(f"written to {output}: latents.safetensors, likelihood.png (dark is unlikely), likelihood.json")


def _as_picture(by_place: Tensor) -> tuple[np.ndarray, float, float]:
    """Map nats per pixel to grey values from the 1st percentile (black) to the 99th (white), also returned."""
    import numpy as np

    values = by_place.numpy().astype(np.float64)
    low, high = (float(value) for value in np.percentile(values, (1, 99)))
    spread = max(high - low, 1e-12)
    return np.rint(255 * np.clip((values - low) / spread, 0, 1)).astype(np.uint8), low, high

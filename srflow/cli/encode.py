"""`srflow encode`: what a model makes of a true HR picture: its latents, and how likely it finds each place."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` needs neither
    import numpy as np
    from torch import Tensor

__all__ = ["HELP", "add_arguments", "run"]

HELP = "turn an HR picture into its latents, with its log-likelihood, in numbers and as a picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("hr", type=Path, help="the HR picture; cropped at the right and bottom to a size that fits")
    parser.add_argument("lr", type=Path, nargs="?", help="its LR picture; default: HR reduced bicubically")
    parser.add_argument("--model", help="a shipped checkpoint, a folder or a Hub id; default: the shipped one")
    parser.add_argument("--output", type=Path, help="the folder to write to; default: beside HR, named NAME-encoded")
    parser.add_argument("--device", default="cpu", help="where to compute, e.g. cpu, cuda, mps (default: cpu)")


def run(arguments: argparse.Namespace) -> int:
    """Write latents.safetensors, likelihood.json and likelihood.png."""
    import json

    import torch

    from srflow.checkpoints.shipped import resolve_checkpoint
    from srflow.files import atomic_write
    from srflow.images import crop_to_multiple, downscale_uint8, load_image, save_png, to_tensor
    from srflow.likelihood import bits_per_dimension
    from srflow.model import SRFlow

    model = SRFlow.from_pretrained(resolve_checkpoint(arguments.model)).to(arguments.device)
    multiple = model.scale_factor * model.config.lr_multiple
    hr = crop_to_multiple(load_image(arguments.hr), multiple)
    lr = load_image(arguments.lr) if arguments.lr else downscale_uint8(hr, model.scale_factor)
    with torch.no_grad():
        conditioning = model.condition(to_tensor(lr).to(arguments.device))
        hr_tensor = to_tensor(hr).to(arguments.device)
        latents, log_prob = model.encode(hr_tensor, conditioning)
        by_place = model.log_prob_map(hr_tensor, conditioning)[0].cpu()
    height, width = hr.shape[:2]
    bits = bits_per_dimension(log_prob, height, width, for_8_bit_values=True).item()
    output = arguments.output or arguments.hr.with_name(f"{arguments.hr.stem}-encoded")
    picture, low, high = _as_picture(by_place)
    numbers = {
        "model": model.config.name,
        "weights_sha256": model.metadata.weights_sha256,
        "hr": arguments.hr.name,
        "height": height,
        "width": width,
        "log_prob_nats": log_prob.item(),
        "bits_per_dimension_8_bit": bits,
        "bits_per_dimension_of_density_on_0_1": bits - 8,
        "likelihood_png": {"black_nats_per_pixel": low, "white_nats_per_pixel": high},
    }
    latents.to("cpu").save(output / "latents.safetensors", {"model": model.config.name, "hr": arguments.hr.name})
    save_png(output / "likelihood.png", picture)
    with atomic_write(output / "likelihood.json", "w") as file:
        json.dump(numbers, file, indent=2)
    print(f"log p(hr | lr) = {log_prob.item():.1f} nats; {bits:.3f} bits per dimension (8-bit values, no noise added)")
    print(f"written to {output}: latents.safetensors, likelihood.png (dark is unlikely), likelihood.json")
    return 0


def _as_picture(by_place: Tensor) -> tuple[np.ndarray, float, float]:
    """Nats per pixel → grey values from the 1st percentile (black) to the 99th (white), and those two."""
    import numpy as np

    values = by_place.numpy().astype(np.float64)
    low, high = (float(value) for value in np.percentile(values, (1, 99)))
    spread = max(high - low, 1e-12)
    return np.rint(255 * np.clip((values - low) / spread, 0, 1)).astype(np.uint8), low, high

"""Fuzzing with mutated pictures and checkpoints: none may crash, hang, use much memory or leave a partial file.

    python -m benchmarks.fuzz --pictures 20000 --checkpoints 5000 --configs 5000 --headers 5000

checkpoints: weights files of other programs, in which any byte may change. configs, headers: well-formed JSON with
other values, in the configuration of a checkpoint of our own, and in the header of its weights or of released ones.

Each is made from a good file by a few random changes, which depend only on its number, and is read as the program reads
it. It may be read, or refused by one of the package's own errors; anything else is a failure, which is printed with its
number. Batches run in separate processes, so that a crash is detected and reported.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import logging
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo

from srflow.contract import CheckpointError, ImageError
from srflow.conversion.released import convert, read_released
from srflow.model import SRFlow
from srflow.pictures import read_picture, save_png
from srflow.presets import get_preset

MAX_PIXELS = 1_000_000
"""Maximum size of the pictures that are read; the good ones have about a thousand pixels."""

_BATCH = 2500
_HANG_SECONDS = 60  # seconds after which a process is ended and its current work is printed


@cache
def picture_seeds() -> tuple[bytes, ...]:
    """Return small good pictures of every kind that can be written here."""
    rng = np.random.default_rng(0)
    rgb = np.clip(np.mgrid[0:24, 0:40].sum(0)[..., None] * [3, 4, 2] + rng.integers(0, 20, (24, 40, 3)), 0, 255)
    rgb = rgb.astype(np.uint8)
    rgba = np.dstack([rgb, rng.integers(0, 256, (24, 40), dtype=np.uint8)])
    deep = rgb.astype(np.uint16) * 257
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    text = PngInfo()
    text.add_text("srflow", "{}")
    text.add(b"gAMA", (100_000).to_bytes(4, "big"))
    made: list[bytes] = []

    def add(array: np.ndarray, kind: str, **options: object) -> None:
        file = io.BytesIO()
        Image.fromarray(array).save(file, kind, **options)
        made.append(file.getvalue())

    for array in (rgb, rgba, rgb[..., 0]):
        add(array, "PNG", pnginfo=text)
        add(array, "TIFF")
        add(array, "TIFF", compression="tiff_lzw")
    add(rgb, "PNG", icc_profile=profile, exif=exif)
    add(rgb, "JPEG", icc_profile=profile, exif=exif, quality=90)
    add(rgb, "JPEG", progressive=True)
    add(rgb, "BMP")
    add(rgb, "PPM")
    add(rgb, "GIF", save_all=True, append_images=[Image.fromarray(255 - rgb)])
    add(rgb, "PNG", save_all=True, append_images=[Image.fromarray(255 - rgb)])
    for kind, needed in (("WEBP", "webp"), ("AVIF", "avif"), ("JPEG2000", "jpg_2000")):
        if features.check(needed):
            add(rgb, kind)
    for array, options in (
        (deep, {"photometric": "rgb", "tile": (16, 16)}),
        (
            np.moveaxis(deep, 2, 0),
            {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib", "predictor": 2},
        ),
        (deep[..., 0], {"photometric": "miniswhite"}),
        ((rgb / 255).astype(np.float32), {"photometric": "rgb"}),
        (rgba, {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        (rgb, {"photometric": "cielab"}),
        (rgba, {"photometric": "separated"}),
        (np.stack([rgb, rgb]), {"photometric": "rgb", "planarconfig": "contig"}),
    ):
        file = io.BytesIO()
        tifffile.imwrite(file, array, **options)
        made.append(file.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        for number, (array, alpha) in enumerate(((deep, None), (deep, deep[..., 0]), (deep[..., 0], deep[..., 1]))):
            save_png(Path(folder) / f"{number}.png", array, alpha=alpha)
            made.append((Path(folder) / f"{number}.png").read_bytes())
    return tuple(made)


@cache
def checkpoint_seeds() -> tuple[bytes, ...]:
    """Return small good weights files: RRDB networks in three styles of names, as ZIP pickle, plain pickle and
    safetensors.
    """
    import safetensors.torch

    torch.manual_seed(0)
    encoder = {"conv_first": (4, 3), "trunk_conv": (4, 4), "upconv1": (4, 4), "upconv2": (4, 4), "HRconv": (4, 4)}
    encoder |= {"conv_last": (3, 4)}
    for number in range(4):
        for dense in range(1, 4):
            for conv in range(1, 6):
                sizes = (2 if conv < 5 else 4, 4 + 2 * (conv - 1))
                encoder[f"RRDB_trunk.{number}.RDB{dense}.conv{conv}"] = sizes
    tensors = {f"{name}.weight": torch.randn(*sizes, 3, 3) for name, sizes in encoder.items()}
    tensors |= {f"{name}.bias": torch.randn(sizes[0]) for name, sizes in encoder.items()}
    made = [safetensors.torch.save(tensors)]
    for values, options in (
        (tensors, {}),
        ({"params_ema": tensors, "iter": 5}, {}),
        ({"state_dict": {f"netG.{key}": value for key, value in tensors.items()}}, {}),
        (tensors, {"_use_new_zipfile_serialization": False}),
    ):
        file = io.BytesIO()
        torch.save(values, file, **options)
        made.append(file.getvalue())
    return tuple(made)


def mutated(seeds: tuple[bytes, ...], number: int) -> bytes:
    """Return a good file, changed in a few places, which depend only on its number."""
    rng = np.random.default_rng(number)
    content = bytearray(seeds[number % len(seeds)])
    for _ in range(int(rng.integers(1, 6))):
        # Make half of the changes near the beginning, where the headers are.
        limit = len(content) if rng.random() < 0.5 else min(len(content), 400)
        place = int(rng.integers(0, max(1, limit)))
        length = int(rng.integers(1, 9))
        match int(rng.integers(0, 8)):
            case 0 | 1:
                content[place : place + 1] = bytes([content[place] ^ 1 << int(rng.integers(8))]) if content else b""
            case 2:
                content[place : place + length] = rng.bytes(length)
            case 3:
                content[place : place + 4] = [b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"][int(rng.integers(3))]
            case 4:
                del content[place : place + length * int(rng.integers(1, 30))]
            case 5:
                content[place:place] = rng.bytes(length)
            case 6:
                content[place:place] = content[place : place + 64]
            case _:
                del content[place + 1 :]
    return bytes(content)


def try_picture(number: int, folder: Path) -> str:
    """Read a mutated picture; a picture that can be read must also be written, and read back the same.

    Returns the outcome.

    Raises: any failure.
    """
    try:
        picture = read_picture(mutated(picture_seeds(), number), max_pixels=MAX_PIXELS)
    except ImageError:
        return "refused"
    height, width = picture.pixels.shape[:2]
    if picture.pixels.dtype != np.uint8 or picture.pixels.shape[2] != 3 or height * width > MAX_PIXELS:
        raise AssertionError(f"read as {picture.pixels.dtype} {picture.pixels.shape}")
    if number % 20 == 0:
        path = folder / "out.png"
        save_png(path, picture.pixels, alpha=picture.alpha, metadata=picture.metadata)
        with Image.open(path) as image:
            if not np.array_equal(np.asarray(image)[..., :3], picture.pixels):
                raise AssertionError("written and read back, it is another picture")
    return "read"


def try_checkpoint(number: int, folder: Path) -> str:
    """Convert a mutated checkpoint. Returns the outcome. Raises: any failure."""
    path = folder / "weights.pth"
    path.write_bytes(mutated(checkpoint_seeds(), number))
    try:
        converted = convert(read_released(path), path.name)
    except CheckpointError:
        return "refused"
    if number % 50 == 0:
        converted.model.save_pretrained(folder / "model")
    return "read"


@cache
def own_checkpoint() -> tuple[str, bytes]:
    """Return a small good checkpoint of our own: its config.json, and its weights file."""
    preset = get_preset("srflow-da-r-x4-compact")
    encoder = {"num_features": 4, "growth_channels": 2, "num_blocks": 2, "stacked_blocks": (0, 1)}
    flow = {"hidden_channels": 4, "steps_per_level": 2, "splits": ((2,), ()), "projection_channels": 4}
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        SRFlow(preset.resized(encoder, flow)).save_pretrained(folder)
        return Path(folder, "config.json").read_text(), Path(folder, "model.safetensors").read_bytes()


@cache
def released_weights() -> bytes:
    """Return a small released network, as safetensors."""
    import safetensors.torch

    folder = Path(__file__).resolve().parents[1] / "tests" / "golden"
    tensors = safetensors.torch.load_file(folder / "SRFlow-DA-R_DF2K_4X.safetensors")
    tensors = {name.removeprefix("sd."): value for name, value in tensors.items() if name.startswith("sd.")}
    return safetensors.torch.save(tensors | safetensors.torch.load_file(folder / "RRDB_4X.safetensors"))


def _altered(value: Any, rng: np.random.Generator) -> Any:
    """Return JSON with one change, at any depth."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[int(rng.integers(len(value)))]
        match int(rng.integers(0, 8)):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return {_renamed(name, rng) if name == key else name: item for name, item in value.items()}
            case _:
                return value | {key: _altered(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.6:
        place = int(rng.integers(len(value)))
        match int(rng.integers(0, 4)):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return [*value, value[place]]
            case _:
                return [*value[:place], _altered(value[place], rng), *value[place + 1 :]]
    return _VALUES[int(rng.integers(len(_VALUES)))]


_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "²", "F8_E4M3", "I64", "F16", "BF16", "F64", "BOOL", "C64"),
    *(-1, 0, 1, 2, 3, 4, 5, 7, 12, 64, 255, 2000, 2_000_000, 2**31, 2**63, 10**400, 0.5, 2.5, 1e-320, 1e300),
    *(float("inf"), float("nan"), [], {}, [[]], [1] * 5000, [0, 1], [2, 2], [3, 2], [16], [[1], [2]], {"a": 1}),
)


def _renamed(name: str, rng: np.random.Generator) -> str:
    """Return a name with a number in it replaced, or with a letter changed."""
    places = [place for place, letter in enumerate(name) if letter.isdigit()]
    if places and rng.random() < 0.7:
        place = places[int(rng.integers(len(places)))]
        digits = ["-1", "0", "1", "2", "9", "77", "3000000", "9" * 5000, "²", "٣"]
        return name[:place] + digits[int(rng.integers(len(digits)))] + name[place + 1 :]
    place = int(rng.integers(len(name) + 1))
    return name[:place] + "x" + name[place + 1 :]


def _with_altered_header(content: bytes, rng: np.random.Generator) -> bytes:
    size = int.from_bytes(content[:8], "little")
    values = json.loads(content[8 : 8 + size])
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.5:  # the same bytes with other sides: such a file is well-formed
            name = list(values)[int(rng.integers(len(values)))]
            shape = values[name].get("shape") if isinstance(values[name], dict) else None
            if isinstance(shape, list):
                values[name] = values[name] | {"shape": _reshaped(shape, rng)}
        else:
            values = _altered(values, rng)
        if not isinstance(values, dict) or not values:
            break
    header = json.dumps(values).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def _reshaped(shape: list[Any], rng: np.random.Generator) -> list[Any]:
    match int(rng.integers(0, 4)):
        case 0:
            return shape[::-1]
        case 1:
            return [*shape, 1]
        case 2:
            return [math.prod(shape)] if all(isinstance(side, int) for side in shape) else []
        case _:
            return [1, *shape]


def try_config(number: int, folder: Path) -> str:
    """Load a checkpoint with a changed config.json. Returns the outcome. Raises: any failure."""
    config, weights = own_checkpoint()
    rng = np.random.default_rng(number)
    values = json.loads(config)
    for _ in range(int(rng.integers(1, 4))):
        values = _altered(values, rng)
    text = json.dumps(values) if number % 50 else "[" * 200_000
    return _load(folder, text, weights)


def try_header(number: int, folder: Path) -> str:
    """Load, or convert, weights with a changed header. Returns the outcome. Raises: any failure."""
    rng = np.random.default_rng(number)
    if number % 2:
        config, weights = own_checkpoint()
        return _load(folder, config, _with_altered_header(weights, rng))
    path = folder / "weights.safetensors"
    path.write_bytes(_with_altered_header(released_weights(), rng))
    try:
        convert(read_released(path), path.name, blocks=(0, 1, 2, 3))
    except CheckpointError:
        return "refused"
    return "read"


def _load(folder: Path, config: str, weights: bytes) -> str:
    (folder / "config.json").write_text(config)
    (folder / "model.safetensors").write_bytes(weights)
    try:
        SRFlow.from_pretrained(folder)
    except CheckpointError:
        return "refused"
    return "read"


TRIALS: dict[str, Callable[[int, Path], str]] = {
    "pictures": try_picture,
    "checkpoints": try_checkpoint,
    "configs": try_config,
    "headers": try_header,
}

_MAX_GROWTH = 300
"""MiB by which trials may increase the memory: the good files take a few."""


def run_batch(kind: str, numbers: range) -> dict[str, object]:
    """Run some trials in this process.

    Returns counts, failures by number, the longest time and the growth of the memory.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    counts: Counter[str] = Counter()
    failures: dict[int, str] = {}
    longest = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        TRIALS[kind](numbers[0], folder)  # lazily loaded libraries do not count as growth
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in numbers:
            started = time.process_time()  # the load of other programs
            try:
                counts[TRIALS[kind](number, folder)] += 1
            except Exception as error:  # which are what this benchmark looks for
                failures[number] = f"{type(error).__name__}: {error}"[:300]
            longest = max(longest, time.process_time() - started)
        halves = [str(path) for path in folder.rglob("*") if path.suffix in (".part", ".old")]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"counts": counts, "failures": failures, "longest": longest, "grown_mib": grown, "halves": halves}


def _worker(kind: str, first: int, count: int) -> None:
    faulthandler.enable()
    faulthandler.dump_traceback_later(_HANG_SECONDS + count, exit=True)
    sys.stdout.write(json.dumps(run_batch(kind, range(first, first + count))))


def main() -> int:
    """Run all batches and print the totals. Returns 1 if there was any failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--checkpoints", type=int, default=500)
    parser.add_argument("--configs", type=int, default=500)
    parser.add_argument("--headers", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="number of the first one (default: 0)")
    parser.add_argument("--worker", nargs=3, metavar=("KIND", "FIRST", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        kind, first, count = arguments.worker
        _worker(kind, int(first), int(count))
        return 0
    failed = False
    for kind in TRIALS:
        counts: Counter[str] = Counter()
        longest, grown, problems = 0.0, 0.0, []
        stop = arguments.first + getattr(arguments, kind)
        for first in range(arguments.first, stop, _BATCH):
            count = min(_BATCH, stop - first)
            command = [sys.executable, "-m", "benchmarks.fuzz", "--worker", kind, str(first), str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
            result: dict[str, object] = {}
            with contextlib.suppress(ValueError):
                result = json.loads(done.stdout)
            if not result:
                problems.append(f"{first} to {first + count - 1}: exit {done.returncode}: {done.stderr[-1500:]}")
                continue
            counts.update(result["counts"])
            longest, grown = max(longest, result["longest"]), max(grown, result["grown_mib"])
            problems += [f"{number}: {text}" for number, text in result["failures"].items()]
            problems += [f"{first}: half a file: {name}" for name in result["halves"]]
            if result["grown_mib"] > _MAX_GROWTH:
                problems.append(f"{first} to {first + count - 1}: memory grew by {result['grown_mib']:.0f} MiB")
        lines = [
            f"{kind}: {dict(counts)}, {len(problems)} failures, longest {longest:.2f} s of processor time, memory "
            f"grown by at most {grown:.0f} MiB in a batch of {_BATCH}"
        ]
        sys.stdout.write("\n".join(lines + problems) + "\n")
        sys.stdout.flush()
        failed = failed or bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Mutated pictures and checkpoints: none may crash the program, hang it, take much memory or leave half a file.

    python -m benchmarks.fuzz --pictures 20000 --checkpoints 5000

Each is made from a good file by a few random changes, a function of its number alone, and is read as the program reads
it. It may be read or refused by one of the package's own errors; anything else is a failure, which is printed with its
number. Batches run in processes of their own, so that a crash is seen and named.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import logging
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

import numpy as np
import tifffile
import torch
from PIL import Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo

from srflow.checkpoints.released import convert, read_released
from srflow.contract import CheckpointError, ImageError
from srflow.pictures import read_picture, save_png

MAX_PIXELS = 1_000_000
"""Of the pictures that are read; the good ones have about a thousand."""

_BATCH = 2500
_HANG_SECONDS = 60  # after which a process is ended and what it was doing is printed


@cache
def picture_seeds() -> tuple[bytes, ...]:
    """Small good pictures of every kind that can be written here."""
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
    """Small good weights files: RRDB networks in three styles of names, as pickle in ZIP, as pickle and safetensors."""
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
    """A good file, changed in a few places: a function of its number alone."""
    rng = np.random.default_rng(number)
    content = bytearray(seeds[number % len(seeds)])
    for _ in range(int(rng.integers(1, 6))):
        # Half of the changes near the beginning, where the headers are.
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
    """Read a mutated picture; what can be read must also be written, and read back the same. Returns what became of it.

    Raises: whatever is a failure.
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
    """Convert a mutated checkpoint. Returns what became of it. Raises: whatever is a failure."""
    path = folder / "weights.pth"
    path.write_bytes(mutated(checkpoint_seeds(), number))
    try:
        converted = convert(read_released(path), path.name)
    except CheckpointError:
        return "refused"
    if number % 50 == 0:
        converted.model.save_pretrained(folder / "model")
    return "read"


TRIALS: dict[str, Callable[[int, Path], str]] = {"pictures": try_picture, "checkpoints": try_checkpoint}


def run_batch(kind: str, numbers: range) -> dict[str, object]:
    """Try some in this process. Returns counts, failures by number, the longest time and the growth of the memory."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    counts: Counter[str] = Counter()
    failures: dict[int, str] = {}
    longest = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        TRIALS[kind](numbers[0], folder)  # what is loaded once does not count as growth
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in numbers:
            started = time.process_time()  # whatever else the machine does
            try:
                counts[TRIALS[kind](number, folder)] += 1
            except Exception as error:  # which is what is looked for
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
    """Run all batches and print the sums. Returns 1 if there was any failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--checkpoints", type=int, default=500)
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
        lines = [
            f"{kind}: {dict(counts)}, {len(problems)} failures, longest {longest:.2f} s of processor time, "
            f"memory grown by at most {grown:.0f} MiB in a batch of {_BATCH}"
        ]
        sys.stdout.write("\n".join(lines + problems) + "\n")
        sys.stdout.flush()
        failed = failed or bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

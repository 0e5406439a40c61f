"""The sampling engine against the plain way: `python -m benchmarks.sampling`; writes benchmarks/results/sampling.md.

Give it a quiet machine: about a quarter of an hour on two cores. `--quick` tries all of it on small pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.plain import PlainSampler
from benchmarks.report import interleaved, machine, save, table
from srflow.contract import SampleRequest
from srflow.images import to_tensor
from srflow.model import SRFlow
from srflow.pictures import load_image
from srflow.presets import PRESETS
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.flops import flops_per_pixel
from srflow.sampling.hardware import DTYPES
from srflow.sampling.inference import InferenceModel

ROOT = Path(__file__).resolve().parents[1]
COMPACT = "srflow-da-r-x4-compact"


def picture(height: int, width: int) -> np.ndarray:
    """Made up: speed does not depend on what is in it."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def draw(engine: SamplingEngine, request: SampleRequest, *, forget: bool) -> None:
    """All samples, their finishing included. forget: the conditioning is computed again."""
    if forget:
        engine._worker.free()
    for _ in engine.sample(request):
        pass


def conv_peak(precision: str, repeats: int) -> float:
    """FLOP/s of the fastest of some 3x3 convolutions like those of the networks, channels last."""
    best = 0.0
    for channels, side in ((64, 128), (64, 256), (192, 128)):
        x = torch.ones(1, channels, side, side).to(DTYPES[precision], memory_format=torch.channels_last)
        weight = torch.full((64, channels, 3, 3), 0.01).to(DTYPES[precision], memory_format=torch.channels_last)
        with torch.inference_mode():
            for _ in range(repeats + 1):
                started = time.perf_counter()
                F.conv2d(x, weight, padding=1)
                best = max(best, 2 * 9 * 64 * channels * side**2 / (time.perf_counter() - started))
    return best


def paper_size(repeats: int, side: int, num_samples: int) -> list[str]:
    """srflow-da-x4, a square picture, several samples."""
    torch.manual_seed(0)
    model = SRFlow(PRESETS["srflow-da-x4"])
    lr = picture(side, side)
    latents = list(model.draw_latents(side, side) * 0.0)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        engine = SamplingEngine("cpu", checkpoints=[folder])
    plain, tensor = PlainSampler(model), to_tensor(lr)
    conditioning = plain.encode(tensor)
    one, many = (SampleRequest(lr=lr, num_samples=n, temperature=0.0, summaries=False) for n in (1, num_samples))
    seconds = interleaved(
        {
            "encoder": lambda: plain.encode(tensor),
            "decode": lambda: plain.decode(tensor, conditioning, latents),
            "many": lambda: draw(engine, many, forget=True),
            "further": lambda: draw(engine, one, forget=False),
        },
        repeats,
    )
    sample = seconds["encoder"] + seconds["decode"]
    loaded = engine._models.get(None)
    inference = engine._models.rearranged(loaded, engine.info().precision, lambda: None)
    once, each = (flops_per_pixel(model, what) * side * side for what in ("conditioning", "sampling"))
    peak = conv_peak(engine.info().precision, repeats)
    bound = (once + num_samples * each) / peak
    rows = [
        ("plain: encoder + decoding = one sample",
         f"{seconds['encoder']:.2f} + {seconds['decode']:.2f} = {sample:.2f} s", "1", ""),
        (f"engine ({engine.info().precision}): {num_samples} samples, nothing cached", f"{seconds['many']:.2f} s",
         f"{num_samples * sample / seconds['many']:.1f}x faster than {num_samples} plain ones", "25x"),
        ("engine: each further sample", f"{seconds['further']:.3f} s", f"{seconds['further'] / sample:.1%} of plain",
         "10 %"),
        (f"its convolutions alone at the measured peak ({peak / 1e9:.0f} GFLOP/s)", f"{bound:.2f} s",
         f"{bound / seconds['many']:.0%} of the engine's time", ""),
    ]  # fmt: skip
    return [
        f"## srflow-da-x4, {side}×{side} LR, {num_samples} samples\n",
        table(("", "median", "ratio", "goal"), rows),
        f"\nConvolutions: {once / 1e9:.0f} GFLOP once and {each / 1e9:.0f} a sample; the plain way computes "
        f"{_plain_flops(model) * side * side / 1e9:.0f} a sample. Float32 convolutions peak at "
        f"{conv_peak('float32', repeats) / 1e9:.0f} GFLOP/s here.\n",
        profile(inference, tensor, num_samples),
    ]


def _plain_flops(model: SRFlow) -> float:
    """Convolutions of a sample the plain way, for an LR pixel."""
    scale = model.scale_factor
    total = 0.0
    strides = iter(model.encoder.level_strides)
    for level in model.flow.levels:
        total += (scale / next(strides)) ** 2 * sum(p.numel() for p in level.parameters() if p.ndim == 4)
    tail = set(model.encoder.super_resolution_tail())
    for name, parameter in model.encoder.named_parameters():
        if parameter.ndim == 4 and name not in tail:
            doubled = int(name.split(".")[1]) + 1 if name.startswith("up_convs") else 0
            total += 4.0**doubled * parameter.numel()
    return 2 * total


def profile(model: InferenceModel, lr: torch.Tensor, num_samples: int) -> str:
    """Where the engine's time goes, by operator; without the consistency step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        prepared = model.condition(lr, lambda: None)
        for _ in range(num_samples):
            latents = [torch.zeros(1, *shape) for shape in model.latent_shapes(*lr.shape[-2:])]
            model.decode(latents, prepared, lambda: None)
    events = [event for event in profiler.key_averages() if event.self_cpu_time_total > 0]
    total = sum(event.self_cpu_time_total for event in events)
    events.sort(key=lambda event: -event.self_cpu_time_total)
    rows = [(event.key, f"{event.self_cpu_time_total / total:.1%}") for event in events[:8]]
    return "Where the engine's time goes:\n\n" + table(("operator", "share"), rows) + "\n"


def compact(repeats: int, side: int) -> list[str]:
    """The shipped model, conditioning cached, as the page uses it: consistency step and numbers included."""
    engine = SamplingEngine("cpu")
    # A photograph: samples of noise explode, and are decoded twice.
    lr = np.ascontiguousarray(load_image(ROOT / "assets" / "examples" / "cat.png")[100 : 100 + side, 100 : 100 + side])
    one, eight = (SampleRequest(lr=lr, num_samples=count, summaries=False) for count in (1, 8))
    seconds = interleaved(
        {
            "cold": lambda: draw(engine, one, forget=True),
            "one": lambda: draw(engine, one, forget=False),
            "eight": lambda: draw(engine, eight, forget=False),
        },
        repeats,
    )
    rows = [
        ("one sample, picture seen for the first time", f"{seconds['cold'] * 1e3:.0f} ms", ""),
        ("one sample, conditioning cached", f"{seconds['one'] * 1e3:.0f} ms", "150 ms"),
        ("eight samples, conditioning cached", f"{seconds['eight'] * 1e3:.0f} ms", "800 ms"),
    ]
    heading = f"## {COMPACT}, {side}×{side} LR ({engine.info().precision}, five rounds of the consistency step)\n"
    return [heading, table(("", "median", "goal"), rows), ""]


def memory(repeats: int, height: int, width: int) -> list[str]:
    """Peak memory and time of large pictures, each in a process of its own."""
    runs = {
        "plain": ("plain", height, width, 1),
        "engine": ("engine", height, width, 1),
        "engine, picture 4 times as large": ("engine", 2 * height, 2 * width, 1),
        "engine, 4 samples": ("engine", height, width, 4),
        "engine, 4 samples, picture 4 times as large": ("engine", 2 * height, 2 * width, 4),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as folder:
        SRFlow(PRESETS["srflow-da-x4"]).save_pretrained(folder)
        for _ in range(repeats):
            for name, (way, *numbers) in runs.items():
                found[name].append(_measure(way, folder, *numbers))
    medians = {
        name: {key: float(np.median([value[key] for value in values])) for key in values[0]}
        for name, values in found.items()
    }
    plain = medians["plain"]
    rows = [
        (name, f"{values['peak'] / 1e9:.2f} GB", f"{values['peak'] / plain['peak']:.2f}",
         f"{values['before'] / 1e9:.2f} GB", f"{values['seconds']:.1f} s")
        for name, values in medians.items()
    ]  # fmt: skip
    small, large = medians["engine"], medians["engine, picture 4 times as large"]
    small4, large4 = medians["engine, 4 samples"], medians["engine, 4 samples, picture 4 times as large"]
    more_pixels = 3 * height * width * 16
    growth = (large["peak"] - small["peak"]) / more_pixels
    growth4 = (large4["peak"] - small4["peak"]) / (4 * more_pixels)
    return [
        f"## srflow-da-x4, {width}×{height} LR → {4 * width}×{4 * height}\n",
        table(("", "peak memory", "of plain", "before the request", "time"), rows),
        f"\nMemory grows by {growth:.1f} bytes for an HR pixel more ({growth4:.1f} for each of 4 samples; goal: 24), "
        f"time by {large['seconds'] / small['seconds']:.2f}x ({large4['seconds'] / small4['seconds']:.2f}x with 4 "
        f"samples; goal: 4.2x); peak memory is {small['peak'] / plain['peak']:.2f} of the plain way's (goal: 0.33).\n",
    ]


def _measure(way: str, checkpoint: str, height: int, width: int, num_samples: int) -> dict[str, float]:
    arguments = (way, checkpoint, str(height), str(width), str(num_samples))
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    sys.stderr.write(f"{' '.join(arguments)}: {output}")
    return json.loads(output)


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description="The sampling engine against the plain way.")
    parser.add_argument("--repeats", type=int, default=5, help="of times; medians are taken (default: 5)")
    parser.add_argument("--memory-repeats", type=int, default=1, help="of the slow memory runs (default: 1)")
    parser.add_argument("--only", choices=("paper", "compact", "memory"), help="one part; saves nothing")
    parser.add_argument("--quick", action="store_true", help="small pictures, to try it; saves nothing")
    arguments = parser.parse_args()
    sides = (32, 3, 24, (60, 80)) if arguments.quick else (128, 10, 96, (270, 480))
    measure = {
        "paper": lambda: paper_size(arguments.repeats, *sides[:2]),
        "compact": lambda: compact(arguments.repeats, sides[2]),
        "memory": lambda: memory(arguments.memory_repeats, *sides[3]),
    }
    chosen = [arguments.only] if arguments.only else list(measure)
    parts = [
        "# Sampling\n",
        f"{machine()}. Medians of {arguments.repeats} in one run, in turns; load before it: {os.getloadavg()[0]:.1f}. "
        "Random weights for srflow-da-x4 (speed does not depend on them).\n",
        *(line for name in chosen for line in measure[name]()),
    ]
    if arguments.quick or arguments.only:
        sys.stdout.write("\n".join(parts) + "\n")
    else:
        save("sampling.md", "\n".join(parts))


if __name__ == "__main__":
    main()

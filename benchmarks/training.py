"""Measures time and memory of a training step, compared with the plain form of the same step.

    python -m benchmarks.training                      # the full measurement: about half an hour on one core
    python -m benchmarks.training --paper 1x80 --compact 2x96 --memory 1x80 --repeats 2    # a quick test

The plain form is the straightforward implementation: float32, (B, C, H, W) in contiguous layout, every conv block
convolves its own [activations, upsampled conditioning], log factors are applied to the outputs, the 1x1 convolution is
a convolution, and Adam, clipping and averaging work tensor by tensor. Both forms start from the same weights and must
have the same loss, or nothing is measured. They are timed alternating, so that other load affects both.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import machine, peak_bytes, table
from srflow.flow.affine import Affine
from srflow.flow.conv_blocks import ConvBlock, DeepBlock
from srflow.flow.network import FlowLevel, FlowStep
from srflow.images import bicubic_upscale
from srflow.likelihood import bits_per_dimension, log_likelihood
from srflow.model import SRFlow
from srflow.training.averaging import AveragedModel
from srflow.training.memory import recompute_activations
from srflow.training.precision import AUTOCAST_DTYPES, choose_precision
from srflow.training.recipe import Precision, TrainingRecipe
from srflow.training.recipe_files import load_recipe
from srflow.training.stages import Stage, freeze_all_but, plan
from srflow.training.step import build_parts, update

PAPER, COMPACT = "srflow-da-r-x4", "srflow-da-r-x4-compact"
_RESULT = Path(__file__).parent / "results" / "training.md"
_LEARNING_RATE = 1e-5  # small: the weights must hardly change during a measurement
_AGREEMENT = 1e-5  # of the two forms' losses, relative
_COMPILED = ", compiled"

Step = Callable[[], float]


@dataclass(frozen=True)
class Size:
    """The size of a batch: number of patches, and HR pixels along a patch's side."""

    batch: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """From "12x160"."""
        batch, patch = (int(number) for number in text.split("x"))
        return cls(batch, patch)

    def __str__(self) -> str:
        return f"{self.batch} of {self.patch}×{self.patch}"


@dataclass(frozen=True)
class Timing:
    """Medians over the repeats, of one step. flops: multiplications and additions count separately."""

    name: str
    seconds: float
    cpu_seconds: float
    flops: int
    conv_share: float


class PlainObjective(nn.Module):
    """`LikelihoodObjective` of a -R preset in the plain form, on the model's own parameters."""

    def __init__(self, model: SRFlow, encoder_output_weight: float) -> None:
        super().__init__()
        self.model = model
        self.encoder_output_weight = encoder_output_weight

    def forward(self, hr: Tensor, lr: Tensor) -> Tensor:
        """Map hr (B, 3, s h, s w) and lr (B, 3, h, w) to the loss, a scalar."""
        model = self.model
        features, stacked = model.encoder.features(lr)
        x = hr - bicubic_upscale(lr, model.scale_factor) if model.config.flow.residual else hr
        latents, log_dets = [], []
        for level, conditioning in zip(model.flow.levels, model.encoder.stack(features, stacked), strict=True):
            x, level_latents, log_det = _plain_level(level, x, conditioning)
            latents += level_latents
            log_dets.append(log_det)
        loss = bits_per_dimension(log_likelihood([*latents, x], log_dets), *hr.shape[-2:]).mean()
        if self.encoder_output_weight:
            own = model.encoder.super_resolve_from_finest(features, lr)
            loss = loss + self.encoder_output_weight * F.l1_loss(own, hr)
        return loss


def _plain_level(level: FlowLevel, x: Tensor, conditioning: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
    if level.projection is not None:
        conditioning = F.relu(level.projection(conditioning))
    x = F.pixel_unshuffle(x, level.squeeze.factor)
    log_det, latents = 0.0, []
    for step in level.transitions.layers:
        x, own = _plain_mix(step, x)
        log_det = log_det + own
    for number, step in enumerate(level.steps, start=1):
        x, own = _plain_step(step, x, conditioning)
        log_det = log_det + own
        if str(number) in level.splits:
            split = level.splits[str(number)]
            kept, given = x.chunk(2, 1)
            mean, log_sigma = _plain_last(split.prior, kept).chunk(2, 1)
            if split.log_sigma_bound is not None:
                log_sigma = split.log_sigma_bound * torch.tanh(log_sigma / split.log_sigma_bound)
            latents.append((given - mean) * torch.exp(-log_sigma))
            log_det = log_det - log_sigma.sum(1)
            x = kept
    return x, latents, log_det


def _plain_step(step: FlowStep, x: Tensor, conditioning: Tensor) -> tuple[Tensor, Tensor]:
    x, log_det = _plain_mix(step, x)
    raw = _plain_block(step.injector.block, conditioning)
    x, own = Affine.from_raw(raw, step.injector.log_scale_bound).forward(x)
    log_det = log_det + own
    kept, changed = x.chunk(2, 1)
    raw = _plain_block(step.coupling.block, torch.cat([kept, conditioning], 1))
    changed, own = Affine.from_raw(raw, step.coupling.log_scale_bound).forward(changed)
    return torch.cat([kept, changed], 1), log_det + own


def _plain_mix(step: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Actnorm and invertible 1x1 convolution."""
    norm, mix = step.layers[0], step.layers[1]
    x = (x + norm.bias) * torch.exp(norm.logs)
    log_det = norm.logs.sum() + torch.linalg.slogdet(mix.weight)[1]
    return F.conv2d(x, mix.weight[:, :, None, None]), log_det.expand(1, *x.shape[-2:])


def _plain_block(block: ConvBlock, x: Tensor) -> Tensor:
    if not isinstance(block, DeepBlock):
        raise TypeError(f"The plain form knows DeepBlock, of SRFlow-DA and -R; got {type(block).__name__}.")
    first = hidden = F.relu(block.first(x))
    for conv in block.convs:
        hidden = F.relu(conv(hidden))
    return _plain_last(block.last, hidden + first if block.skip else hidden)


def _plain_last(conv: nn.Module, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight, conv.bias, padding=1) * torch.exp(3 * conv.logs)


def start_model(recipe: TrainingRecipe, hr: Tensor, lr: Tensor) -> SRFlow:
    """Return the recipe's model after its actnorms' first batch, with zero weights redrawn."""
    torch.manual_seed(0)
    model = SRFlow(recipe.model.config()).train()
    with torch.no_grad():
        model.log_prob(hr, lr)
        for parameter in model.parameters():
            if parameter.ndim == 4 and not parameter.any():
                parameter.normal_(std=0.005)
    return model


def draw_batch(size: Size, scale_factor: int) -> tuple[Tensor, Tensor]:
    """Draw smooth pictures with grain: hr (B, 3, P, P) and lr (B, 3, P/s, P/s) in [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    lr = torch.rand(size.batch, 3, size.patch // scale_factor, size.patch // scale_factor, generator=generator)
    hr = F.interpolate(lr, scale_factor=scale_factor, mode="bicubic").clamp(0, 1)
    return hr + 0.01 * torch.randn(hr.shape, generator=generator), lr


def plain_step(model: SRFlow, stage: Stage, hr: Tensor, lr: Tensor) -> Step:
    """Make one update in the plain form; return its loss."""
    parameters = freeze_all_but(stage, model)
    objective = PlainObjective(model, stage.phase.encoder_output_weight)
    optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE, betas=stage.phase.betas, foreach=False, fused=False)
    average = copy.deepcopy(model).requires_grad_(False)
    decay = stage.phase.ema_decay

    def step() -> float:
        optimizer.zero_grad()
        loss = objective(hr, lr)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, stage.phase.clip_norm, foreach=False)
        optimizer.step()
        with torch.no_grad():
            for mine, theirs in zip(average.parameters(), model.parameters(), strict=True):
                mine.mul_(decay).add_(theirs, alpha=1 - decay)
        return loss.item()

    return step


def our_step(
    model: SRFlow,
    stage: Stage,
    recipe: TrainingRecipe,
    precision: Precision,
    hr: Tensor,
    lr: Tensor,
    *,
    compiled: bool = False,
) -> Step:
    """Make one update as the trainer does, compiled if `runtime.compile` is on; return its loss."""
    model.to(memory_format=torch.channels_last)
    hr, lr = (x.to(memory_format=torch.channels_last) for x in (hr, lr))
    cpu = torch.device("cpu")
    parts = build_parts(stage, model, recipe, cpu, compiled=compiled)
    noise = torch.zeros_like(hr)  # the plain form adds none
    for group in parts.optimizer.param_groups:
        group["lr"] = _LEARNING_RATE
    average = AveragedModel(model)
    dtype = AUTOCAST_DTYPES.get(precision)

    def step() -> float:
        losses = update(stage, parts, (hr, noise, lr), cpu, dtype)
        average.update(model, stage.phase.ema_decay)
        return losses.minimised.item()

    return step


def measure(name: str, size: Size, repeats: int, *, compiled: bool = False) -> list[Timing]:
    """Measure the plain form, ours in float32 and in bfloat16, and, if requested, compiled; alternating.

    Raises: RuntimeError: their losses differ, so they are not the same step.
    """
    recipe = load_recipe(name)
    stage = plan(recipe)[-1]
    hr, lr = draw_batch(size, recipe.model.config().scale_factor)
    start = start_model(recipe, hr, lr)
    steps = {
        "plain, float32": plain_step(copy.deepcopy(start), stage, hr, lr),
        "ours, float32": our_step(copy.deepcopy(start), stage, recipe, "float32", hr, lr),
        "ours, bf16": our_step(copy.deepcopy(start), stage, recipe, "bf16", hr, lr),
    }
    if compiled:
        steps["ours, bf16" + _COMPILED] = our_step(copy.deepcopy(start), stage, recipe, "bf16", hr, lr, compiled=True)
    losses = {key: step() for key, step in steps.items()}  # also the warm-up
    plain, ours = losses["plain, float32"], losses["ours, float32"]
    if abs(plain - ours) > _AGREEMENT * abs(plain):
        raise RuntimeError(f"The plain form's loss is {plain}, ours {ours}: they are not the same step.")
    times: dict[str, list[tuple[float, float]]] = {key: [] for key in steps}
    for _ in range(repeats):
        for key, step in steps.items():
            started = time.perf_counter(), time.process_time()
            step()
            times[key].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    return [
        Timing(
            key,
            *(statistics.median(column) for column in zip(*times[key], strict=True)),
            _flops(steps[key.removesuffix(_COMPILED)]),
            _conv_share(step),
        )
        for key, step in steps.items()
    ]


def _flops(step: Step) -> int:
    """Return the FLOPs of a step without compilation: they are counted when its operators are called."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def _conv_share(step: Step) -> float:
    """Return the share of a step's processor time that convolutions take."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found:
        step()
    by_name = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    return sum(value for key, value in by_name.items() if "conv" in key.lower()) / sum(by_name.values())


def conv_peak(dtype: torch.dtype, repeats: int = 9) -> float:
    """Return the FLOP/s of the best of a few runs of a wide 3x3 convolution: an upper bound for a step."""
    x = torch.rand(2, 256, 40, 40).to(dtype, memory_format=torch.channels_last)
    weight = torch.rand(256, 256, 3, 3).to(dtype, memory_format=torch.channels_last)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        F.conv2d(x, weight, padding=1)
        seconds.append(time.perf_counter() - started)
    return 2 * 9 * 256 * 256 * x[:, 0].numel() / min(seconds)


def peak_memory(size: Size, precision: Precision, low_memory: bool) -> float:
    """Return the peak memory in GiB of a separate process that makes two steps of the paper's recipe."""
    settings = {"size": f"{size.batch}x{size.patch}", "precision": precision, "low_memory": low_memory}
    command = [sys.executable, "-m", "benchmarks.training", "--two-steps", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(f"The measurement of memory failed: {done.stderr[-2000:]}")
    return float(done.stdout)


def _two_steps(settings: dict) -> float:
    """Return the peak memory of this process in GiB; see `peak_memory`."""
    recipe, size = load_recipe(PAPER), Size.parse(settings["size"])
    hr, lr = draw_batch(size, recipe.model.config().scale_factor)
    torch.manual_seed(0)
    model = SRFlow(recipe.model.config()).train()
    if settings["low_memory"]:
        recompute_activations(model)
    step = our_step(model, plan(recipe)[-1], recipe, settings["precision"], hr, lr)
    for _ in range(2):
        step()
    return peak_bytes() / 2**30


def report(
    timings: dict[tuple[str, Size], list[Timing]],
    peaks: dict[str, float],
    memory: dict[str, float],
    memory_size: Size,
    precision: tuple[str, str],
    repeats: int,
) -> str:
    """Format everything as Markdown."""
    peak_words = " and at ".join(f"{peak / 1e12:.3f} TFLOP/s in {name}" for name, peak in peaks.items())
    heading = ["recipe, batch", "form", "s/step", "CPU s/step", "steps/s", "speed-up", "CPU speed-up", "TFLOP/step"]
    heading += ["convolutions' share of the time", "of the peak"]
    rows = []
    for (name, size), forms in timings.items():
        plain = forms[0]
        for form in forms:
            peak = peaks["bf16" if "bf16" in form.name else "float32"]
            ratios = (plain.seconds / form.seconds, plain.cpu_seconds / form.cpu_seconds)
            row = [f"{name}, {size}", form.name, f"{form.seconds:.3f}", f"{form.cpu_seconds:.3f}"]
            row += [f"{1 / form.seconds:.3f}", *(f"{ratio:.2f}" for ratio in ratios), f"{form.flops / 1e12:.3f}"]
            rows.append([*row, f"{form.conv_share:.0%}", f"{form.flops / form.seconds / peak:.0%}"])
    lines = [
        "# Training speed and memory",
        "",
        f"{machine()}. Medians of {repeats} steps, the forms in turns. `auto` chooses {precision[0]} here "
        f"({precision[1]}). A wide 3×3 convolution runs at {peak_words}; the last column compares a whole step with "
        "that.",
        "",
        table(heading, rows),
    ]
    if memory:
        lines += [
            "",
            f"Peak memory of a process that trains `{PAPER}`, both parts, batch {memory_size}, in {precision[0]} "
            "(libraries included):",
            "",
            table(["mode", "GiB"], [[mode, f"{value:.2f}"] for mode, value in memory.items()]),
        ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and save them."""
    parser = argparse.ArgumentParser(prog="benchmarks.training", description=__doc__.partition("\n")[0])
    parser.add_argument("--compact", type=Size.parse, default=Size(8, 96), metavar="BxP", help="batch of the compact")
    parser.add_argument("--paper", type=Size.parse, default=Size(4, 160), metavar="BxP", help="of the paper's recipe")
    parser.add_argument("--memory", type=Size.parse, default=Size(12, 160), metavar="BxP", help="for the peak memory")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--compile", action="store_true", help="time the compiled step too; compiling takes minutes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=_RESULT, metavar="FILE")
    parser.add_argument("--two-steps", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.two_steps is not None:
        sys.stdout.write(f"{_two_steps(options.two_steps)}\n")
        return 0
    torch.set_num_threads(options.threads)
    precision = choose_precision(torch.device("cpu"))
    peaks = {"float32": conv_peak(torch.float32), "bf16": conv_peak(torch.bfloat16)}
    timings = {
        (name, size): measure(name, size, options.repeats, compiled=options.compile)
        for name, size in ((COMPACT, options.compact), (PAPER, options.paper))
    }
    memory = {}
    if not options.no_memory:
        modes = {"as it is": False, "low_memory": True}
        memory = {mode: peak_memory(options.memory, precision[0], low) for mode, low in modes.items()}
    text = report(timings, peaks, memory, options.memory, precision, options.repeats)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Chooses the data type of a run's convolutions if the recipe leaves the choice to the machine.

Sixteen bits are not faster everywhere: processors without 16-bit instructions convert back and forth, and take twice as
long as in float32. Therefore the speed is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from srflow.training.recipe import Precision

__all__ = ["AUTOCAST_DTYPES", "choose_precision"]

AUTOCAST_DTYPES: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}

_WORTHWHILE = 1.2  # sixteen bits must be this much faster, because they cost accuracy
_PATIENCE = 0.5  # maximum seconds of the trial, apart from the round in progress
_ROUNDS = 8


def choose_precision(device: torch.device) -> tuple[Precision, str]:
    """Return the faster precision for training on `device`, and the reason as text. Takes less than a second.

    On a CPU or a GPU with native bfloat16, "bf16" competes with "float32"; on an older GPU, "fp16" does. The winner is
    found by forward and backward passes through convolutions like those of the networks.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        candidate: Precision = "bf16" if native else "fp16"
    elif device.type == "cpu":
        candidate = "bf16"
    else:
        return "float32", f"the safe choice on {device.type}"
    ratio = _speedup(device, AUTOCAST_DTYPES[candidate])
    if ratio >= _WORTHWHILE:
        return candidate, f"{ratio:.1f} times as fast as float32 in a test"
    return "float32", f"{candidate} was only {ratio:.1f} times as fast in a test; {_WORTHWHILE} are required"


def _speedup(device: torch.device, dtype: torch.dtype) -> float:
    """Return how many times as fast a few convolutions run in `dtype` as in float32, forward and backward."""
    generator = torch.Generator().manual_seed(0)  # do not change the run's own random numbers
    x = torch.randn(2, 64, 48, 48, generator=generator).to(device, memory_format=torch.channels_last)
    weights = [torch.randn(64, 64, 3, 3, generator=generator).mul(0.05) for _ in range(2)]
    weights = [w.to(device, memory_format=torch.channels_last).requires_grad_() for w in weights]
    with _one_thread():
        _seconds(x, weights, torch.float32)  # the first call includes setting up
        started = time.perf_counter()
        plain: list[float] = []
        short: list[float] = []
        # Alternate between the two, and take the best time of each: other load affects both, and not all rounds.
        while not short or (time.perf_counter() - started < _PATIENCE and len(short) < _ROUNDS):
            plain.append(_seconds(x, weights, torch.float32))
            short.append(_seconds(x, weights, dtype))
    return min(plain) / min(short)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: on a busy machine, threads spend most of such a short time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seconds(x: Tensor, weights: list[Tensor], dtype: torch.dtype) -> float:
    """Time one forward and backward pass, as a training step does it: by autocast over float32 weights."""
    # On a CPU, measure the processor time of this thread: the work of other processes does not count.
    clock = time.thread_time if x.device.type == "cpu" else time.perf_counter
    _wait(x.device)
    started = clock()
    with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
        y = x
        for weight in weights:
            y = F.conv2d(y, weight, padding=1).relu()
    torch.autograd.grad(y.float().sum(), weights)
    _wait(x.device)
    return clock() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

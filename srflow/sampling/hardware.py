"""What the machine can do: which device, what the convolutions run best in, and how much memory may be taken."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import psutil
import torch

from srflow.contract import InputError, Precision

__all__ = ["DTYPES", "choose_precision", "memory_limit", "resolve_device"]

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

_WORTHWHILE = 1.2  # bfloat16 must be faster by this, for it costs accuracy
_MEMORY_SHARE = 0.7  # of what is free; the rest is left to others, and to what an estimate misses
_CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def resolve_device(name: str) -> torch.device:
    """A device by name; "auto" is the first of CUDA, MPS, CPU that is there. Raises InputError if `name` is none."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"There is no device {name!r} on this machine; use auto, cpu, cuda or mps.") from error
    return device


def choose_precision(device: torch.device) -> tuple[Precision, str]:
    """What convolutions run in by default, and why, in words for people. On a CPU it is tried out, in about 0.1 s."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16", "the GPU computes it natively"
        return "float16", "the GPU has no native bfloat16"
    if device.type != "cpu":
        return "float32", f"the safe choice on {device.type}"
    ratio = _seconds(torch.float32) / _seconds(torch.bfloat16)
    if ratio >= _WORTHWHILE:
        return "bfloat16", f"convolutions were {ratio:.1f} times as fast as in float32 when tried"
    return "float32", f"bfloat16 convolutions were only {ratio:.1f} times as fast when tried"


@torch.inference_mode()
def _seconds(dtype: torch.dtype) -> float:
    """Median time of a convolution like those of the networks, on the CPU."""
    x = torch.ones(1, 64, 64, 64).to(dtype, memory_format=torch.channels_last)
    weight = torch.full((64, 64, 3, 3), 0.01).to(dtype, memory_format=torch.channels_last)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        torch.nn.functional.conv2d(x, weight, padding=1)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def memory_limit(device: torch.device) -> int:
    """Bytes that one request may take: a share of what is free now, of the GPU, or of machine and control group."""
    if device.type == "cuda":
        return int(_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0])
    free = psutil.virtual_memory().available
    for limit_file, usage_file in _CGROUP_FILES:
        try:
            limit, usage = (int(Path(name).read_text()) for name in (limit_file, usage_file))
        except (OSError, ValueError):  # no such control group, or "max": no limit
            continue
        free = min(free, limit - usage)
    return int(_MEMORY_SHARE * max(free, 0))

"""What the machine can do: which device, what the convolutions run best in, and how much memory may be taken."""

from __future__ import annotations

import ctypes
import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch

from srflow.contract import InputError, Precision

__all__ = ["DTYPES", "choose_precision", "conv_throughput", "memory_limit", "resolve_device", "trim_allocator"]

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

_WORTHWHILE = 1.2  # bfloat16 must be faster by this, for it costs accuracy
_MEMORY_SHARE = 0.7  # of what is free; the rest is left to others, and to what an estimate misses
_CHANNELS, _SIDE = 64, 64  # of the convolution that is tried out
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


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
        others = [other for other in ("cuda", "mps") if _is_there(other) and other != name]
        raise InputError(
            f"There is no device {name!r} on this machine; use {', '.join(['auto', *others])} or cpu."
        ) from error
    return device


def _is_there(device_type: str) -> bool:
    return torch.cuda.is_available() if device_type == "cuda" else torch.backends.mps.is_available()


def choose_precision(device: torch.device) -> tuple[Precision, str]:
    """What convolutions run in by default, and why, in words for people. On a CPU it is tried out, in about 0.1 s."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16", "the GPU computes it natively"
        return "float16", "the GPU has no native bfloat16"
    if device.type != "cpu":
        return "float32", f"the safe choice on {device.type}"
    ratio = conv_throughput("bfloat16") / conv_throughput("float32")
    if ratio >= _WORTHWHILE:
        return "bfloat16", f"convolutions were {ratio:.1f} times as fast as in float32 when tried"
    return "float32", f"bfloat16 convolutions were only {ratio:.1f} times as fast when tried"


@functools.cache
@torch.inference_mode()
def conv_throughput(precision: Precision) -> float:
    """FLOP/s of a 3x3 convolution like those of the networks, channels last, on the CPU: the median of a few tries."""
    dtype = DTYPES[precision]
    x = torch.ones(1, _CHANNELS, _SIDE, _SIDE).to(dtype, memory_format=torch.channels_last)
    weight = torch.full((_CHANNELS, _CHANNELS, 3, 3), 0.01).to(dtype, memory_format=torch.channels_last)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        torch.nn.functional.conv2d(x, weight, padding=1)
        times.append(time.perf_counter() - started)
    return 2 * 9 * _CHANNELS**2 * _SIDE**2 / statistics.median(times[1:])


def memory_limit(device: torch.device) -> int:
    """Bytes that one request may take: a share of what is free now, of the GPU, or of machine and control groups."""
    if device.type == "cuda":
        # What torch keeps of earlier work is free to the next: else the same request would get other tiles.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(_MEMORY_SHARE * (torch.cuda.mem_get_info(device)[0] + kept))
    free = min([psutil.virtual_memory().available, *_free_in_cgroups()])
    return int(_MEMORY_SHARE * max(free, 0))


def trim_allocator() -> None:
    """Have the C library give freed memory back to the system, where it can: glibc alone keeps much of it.

    Tensors of up to 32 MB come from its heap. After tiles of several sizes the heap has holes that nothing fits into.
    """
    if (trim := _malloc_trim()) is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def _free_in_cgroups() -> Iterator[int]:
    """Bytes left in each control group that this process is in (version 2, then version 1) and that has a limit."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _walk_up(_CGROUPS, path, ("memory.max", "memory.current", "inactive_file"))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _walk_up(_CGROUPS / "memory", path, names)


def _walk_up(root: Path, path: str, names: tuple[str, str, str]) -> Iterator[int]:
    """Of a group and those around it. In a container the path may be one of the host's: then the root is its own."""
    folder = root / path.lstrip("/")
    if not folder.is_dir():
        folder = root
    limit_name, usage_name, cache_name = names
    while folder == root or root in folder.parents:
        try:
            limit, usage = (int((folder / name).read_text()) for name in (limit_name, usage_name))
            # Files that were read count as used, but make room when room is needed.
            yield limit - usage + _statistic(folder / "memory.stat", cache_name)
        except (OSError, ValueError):  # not there, or "max": no limit
            pass
        folder = folder.parent


def _statistic(path: Path, name: str) -> int:
    values = dict(line.split(maxsplit=1) for line in path.read_text().splitlines())
    return int(values.get(name, 0))

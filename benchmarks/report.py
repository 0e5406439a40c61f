"""The common part of benchmarks: repetitions, medians, a description of the machine, tables in Markdown."""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import torch

from srflow.environment import processor_name, source_commit

__all__ = ["interleaved", "machine", "peak_bytes", "publish", "save", "table"]

RESULTS = Path(__file__).resolve().parent / "results"


def interleaved(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each, alternating, so that other load affects all of them; one round to warm up does
    not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(repeats + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - started)
        sys.stderr.write(f"round {number} of {repeats}\n")
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> str:
    """Describe processor, threads, PyTorch, the source's commit and today's date; no host names."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    instructions = f" ({', '.join(known)})" if known else ""
    return (
        f"{processor_name()}{instructions}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}; "
        f"commit {source_commit() or 'unknown'}, {datetime.now(timezone.utc):%Y-%m-%d}"
    )


def peak_bytes() -> int:
    """Return the peak memory of this process in bytes, including its interpreter and PyTorch."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux ru_maxrss begins with the peak of the parent process
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def save(name: str, text: str) -> None:
    """Print, and write to benchmarks/results/."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


def publish(file: str, title: str, measured: Callable[[], list[str]]) -> None:
    """Measure, and print and save a report: the machine, what was measured, and the processor time that it took."""
    lines = [f"# {title}", "", f"{machine()}. Load before it: {os.getloadavg()[0]:.1f}."]
    started = time.process_time()
    lines += measured()
    lines += ["", f"{time.process_time() - started:.0f} s of processor time."]
    save(file, "\n".join(lines))

"""Describes the machine of this process: processor, cores, version, commit. No host names and no paths."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

__all__ = ["num_cores", "processor_name", "source_commit"]

_ROOT = Path(__file__).resolve().parents[1]


def processor_name() -> str:
    """Return the processor's name from the system, such as "AMD EPYC 9755 128-Core Processor"."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def source_commit() -> str | None:
    """Return the git commit of the package's source, with "+changes" if files of it were edited since.

    None if the package is installed without its repository, or git is missing.
    """
    try:
        top = _git("rev-parse", "--show-toplevel")
        if Path(top).resolve() != _ROOT:  # the repository of another project, inside which the package is installed
            return None
        changed = _git("status", "--porcelain", "--untracked-files=no")
        return _git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(_ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

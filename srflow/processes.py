"""Joining the processes that `torchrun`, `accelerate launch` or MPI started together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from srflow.contract import InputError

if TYPE_CHECKING:
    from accelerate import PartialState

__all__ = ["join_processes", "processes_started"]

_COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def processes_started() -> int:
    """How many processes do this work together, as their launcher says; 1 without one."""
    return max(int(os.environ.get(name) or 1) for name in _COUNTS)


def join_processes(*, cpu: bool = False) -> PartialState:
    """Accelerate's view of this process among the others; one alone is a group too.

    Args: cpu: use no GPU. Without one that is so anyway: Accelerate would take each process for one that runs alone.

    Raises: InputError: the processes do not find each other. Each would do all of the work, in the same folder.
    """
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    started = processes_started()
    cpu = cpu or parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu)
    if state.num_processes != started:
        raise InputError(
            f"{started} processes were started, but Accelerate joins {state.num_processes} of them, on the device "
            f"{state.device}. Start them with torchrun or `accelerate launch`, which set LOCAL_RANK, RANK and "
            "WORLD_SIZE; or start one."
        )
    return state

"""Joins the processes that `torchrun`, `accelerate launch` or MPI started together, and leaves them."""

from __future__ import annotations

import gc
import importlib
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from srflow.errors import InputError

if TYPE_CHECKING:
    from accelerate import PartialState

__all__ = ["join_processes", "leave_processes", "processes_started"]

_TIMEOUT = timedelta(
    hours=3
)  # the others wait while the main process decodes all pictures; NCCL's default is 10 minutes
_COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def processes_started() -> int:
    """Return how many processes share this work, according to their launcher; 1 without one."""
    return max(int(os.environ.get(name) or 1) for name in _COUNTS)


def join_processes(*, cpu: bool = False) -> PartialState:
    """Return Accelerate's state of this process among the others; a single process is a group, too.

    Args: cpu: use no GPU. Without a GPU this is required: otherwise Accelerate would treat each process as a single
    one.

    Raises: InputError: the processes do not find each other. Each would do all of the work, in the same folder.
    """
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    started = processes_started()
    if started > 1:
        # Its functions take the group as a default value. If it were imported later (torch._dynamo does so), they would
        # keep the group alive beyond `leave_processes`.
        importlib.import_module("torch.distributed.nn")
    cpu = cpu or parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu, **({"timeout": _TIMEOUT} if started > 1 else {}))
    if state.num_processes != started:
        raise InputError(
            f"{started} processes were started, but Accelerate joins {state.num_processes} of them, on the device "
            f"{state.device}. Start them with torchrun or `accelerate launch`, which set LOCAL_RANK, RANK and "
            "WORLD_SIZE; or start one."
        )
    return state


def leave_processes() -> None:
    """End the group before the process ends; do nothing without one. Wrappers of models must be deleted before.

    The group's threads may still be releasing tensors, for which they need the interpreter. A thread that waits for the
    interpreter at its shutdown ends the process with SIGABRT, although all work is done.
    """
    gc.collect()  # DistributedDataParallel holds the group and refers to itself
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

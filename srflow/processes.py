"""Joining the processes that `torchrun`, `accelerate launch` or MPI started together, and leaving them."""

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

_TIMEOUT = timedelta(hours=3)  # the others wait while the main process decodes all pictures; NCCL's is 10 minutes
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
    if started > 1:
        # Its functions take the group as a default value. Imported later (torch._dynamo does), they would keep the
        # group alive beyond `leave_processes`.
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
    """End the group, before the process does; nothing where there is none. Wrappers of models must be gone by then.

    Its threads may still be letting go of tensors, for which they need the interpreter. One that waits for it when the
    interpreter shuts down ends the process with SIGABRT, after all of its work was done.
    """
    gc.collect()  # DistributedDataParallel holds the group and refers to itself
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

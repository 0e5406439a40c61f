"""Started by `test_training_loop.py`: the command, which is killed while it writes the checkpoint of a step.

Arguments: the step; then the command's own.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import IO, Any

import torch

from srflow.cli import main

if __name__ == "__main__":
    last = int(sys.argv[1])
    save = torch.save

    def save_or_die(state: dict[str, Any], stream: IO[bytes]) -> None:
        if state["step"] == last:
            stream.write(b"half a checkpoint")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, stream)

    torch.save = save_or_die
    sys.exit(main(sys.argv[2:]))

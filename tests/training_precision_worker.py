"""Started twice by `test_training_distributed.py`: the command, with a trial that ends differently in each process.

Arguments: a folder, in which each process notes the precision that its trainer went on with; then the command's own.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from process_helpers import watch_group

from srflow import processes
from srflow.cli import main
from srflow.training import settling, trainer

if __name__ == "__main__":
    leave_and_check = watch_group()
    rank = int(os.environ["RANK"])
    settling.choose_precision = lambda device: (("float32", "bf16")[rank], "because of a test")
    run = trainer.Trainer.run

    def noted(self: trainer.Trainer, *arguments: float | None) -> str:
        (Path(sys.argv[1]) / f"rank{rank}").write_text(self.recipe.runtime.precision)
        gc.disable()  # or luck would clear away what holds the group
        return run(self, *arguments)

    trainer.Trainer.run = noted
    left: list[None] = []
    processes.leave_processes = lambda: left.append(leave_and_check())
    code = main(sys.argv[2:])
    assert len(left) == 1, "the command did not leave the processes"
    sys.exit(code)

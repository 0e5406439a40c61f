"""Started twice by `test_training_distributed.py`: the command, with a trial that ends differently in each process.

Arguments: a folder, in which each process notes the precision that its trainer went on with; then the command's own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from srflow.cli import main
from srflow.training import trainer

if __name__ == "__main__":
    rank = int(os.environ["RANK"])
    trainer.choose_precision = lambda device: (("float32", "bf16")[rank], "because of a test")
    run = trainer.Trainer.run

    def noted(self: trainer.Trainer, *arguments: float | None) -> str:
        (Path(sys.argv[1]) / f"rank{rank}").write_text(self.recipe.runtime.precision)
        return run(self, *arguments)

    trainer.Trainer.run = noted
    sys.exit(main(sys.argv[2:]))

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from training_helpers import TOY, toy_recipe
from training_worker import gradients

from srflow.contract import TrainingRecipeError
from srflow.training import trainer as trainer_module
from srflow.training.trainer import Trainer

TESTS = Path(__file__).parent


def launch_two(*command: str, timeout: float = 800) -> None:
    """Two processes on the CPU, which talk by gloo; `accelerate launch` starts such only where there is MPI."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {
        "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}",
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("ACCELERATE_USE_CPU", None)
    done = subprocess.run(
        [*launcher, *command], env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one_with_the_whole_batch(data, tmp_path):
    """From before the initialisation of the actnorms on: their statistics are those of the whole batch."""
    stages = ("flow", "both")
    launch_two(str(TESTS / "training_worker.py"), str(data), str(tmp_path), str(tmp_path), *stages)
    for stage in stages:
        two = torch.load(tmp_path / f"{stage}.pt", weights_only=True)
        assert two.pop("processes") == 2
        one = gradients(Accelerator(cpu=True), data, tmp_path, stage)
        assert two.keys() == one.keys()
        for name, expected in one.items():
            torch.testing.assert_close(two[name], expected, rtol=1e-8, atol=1e-10, msg=f"{name} differs ({stage})")


@pytest.mark.slow
def test_two_processes_train_like_one(data, tmp_path):
    """The command itself: all stages, one log, one set of checkpoints, and the losses of a single process.

    In a precision that they agree on, though a trial ends differently in each: were one of them in another, the first
    exchange of gradients would still work and the weights drift apart.
    """
    overrides = [*TOY, "training.learning_rate=1e-4"]
    places = ["--data", str(data), "--validation", str(data), "--cache", str(tmp_path)]
    places += ["--output", str(tmp_path / "two"), "runtime.precision=auto"]
    worker = [str(TESTS / "training_precision_worker.py"), str(tmp_path)]
    launch_two(*worker, "train", "srflow-da-r-x4-compact", *overrides, *places)
    chosen = json.loads((tmp_path / "two" / "recipe.json").read_text())["runtime"]["precision"]
    assert chosen == "float32"
    assert {(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)} == {chosen}
    recipe = toy_recipe(*overrides[len(TOY) :], "runtime.precision=float32")
    one = Trainer(recipe, data, tmp_path / "one", cache=tmp_path)
    assert one.run() == "finished"
    curves = [
        [(line["step"], line["loss"]) for line in lines if line["kind"] == "training"]
        for lines in (read_lines(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    ]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-3)
    assert len(curves[1]) == 8
    lines = read_lines(tmp_path / "two" / "metrics.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "validation"] == [2, 4, 8]


@pytest.mark.slow
def test_two_processes_fit_their_steps_into_the_given_time(data, tmp_path):
    """The measurement initialises actnorms, which wait for all processes: one alone would wait forever."""
    places = ["--data", str(data), "--cache", str(tmp_path), "--output", str(tmp_path / "run")]
    command = ["-m", "srflow", "train", "srflow-da-r-x4-compact", *TOY, "runtime.precision=float32", *places]
    launch_two(*command, "--minutes", "0.1", timeout=300)
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    steps = read_lines(tmp_path / "run" / "metrics.jsonl")[-1]["step"]
    assert steps == recipe["pretraining"]["steps"] + recipe["training"]["steps"] > 8


def read_lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_batch_that_cannot_be_shared_is_refused(data, tmp_path, monkeypatch):
    class ThreeProcesses(Accelerator):
        num_processes = 3

    monkeypatch.setattr(trainer_module, "_accelerator", lambda recipe: ThreeProcesses(cpu=True))
    with pytest.raises(TrainingRecipeError, match=r"pretraining\.batch_size is 2; 3 processes"):
        Trainer(toy_recipe(), data, tmp_path / "run", cache=tmp_path)


def test_the_actnorms_flags_are_not_sent_round_at_every_step():
    """All processes set them at the same step, so DDP need not broadcast them before every forward pass."""
    accelerator = trainer_module._accelerator(toy_recipe("runtime.precision=float32"))
    assert accelerator.ddp_handler.broadcast_buffers is False

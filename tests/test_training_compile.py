"""`runtime.compile`: the same losses, checkpoints that fit both ways, and a clear message without a compiler."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import forget_accelerator
from training_helpers import TOY, stop_at, toy_recipe

from srflow.compiling import check_compiler
from srflow.contract import TrainingRecipeError
from srflow.training.trainer import Trainer


def run(data: Path, output: Path, *overrides: str, stopped_in: int | None = None) -> Trainer:
    """Four likelihood steps with the encoder frozen: tracing a stage takes far longer than its steps."""
    short = ["validation.every_steps=0", "pretraining.steps=0", "training={steps=4, encoder_joins_at=1.0}"]
    recipe = toy_recipe(*short, "runtime.precision=float32", *overrides)
    trainer = Trainer(recipe, data, output, cache=output.parent / "cache")
    if stopped_in is not None:
        stop_at(trainer, stopped_in)
    trainer.run()
    forget_accelerator()
    return trainer


def losses(output: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (output / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_checkpoints_of_compiled_runs_fit_uncompiled_ones_and_the_reverse(data, tmp_path, traced):
    plain = run(data, tmp_path / "plain")
    for name, first, then in (("on, off", "true", "false"), ("off, on", "false", "true")):
        run(data, tmp_path / name, f"runtime.compile={first}", stopped_in=2)
        (file,) = (tmp_path / name / "checkpoints").iterdir()
        state = torch.load(file, weights_only=True)
        assert state["model"].keys() == state["average"].keys() == plain.model.state_dict().keys()
        assert run(data, tmp_path / name, f"runtime.compile={then}").progress.step == 4
        assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "plain"), rel=1e-3)
    assert sum(type(module).__name__ == "LikelihoodObjective" for module in traced) == 2


@pytest.mark.slow
def test_low_memory_can_be_compiled(data, tmp_path, traced):
    run(data, tmp_path / "plain")
    run(data, tmp_path / "compiled", "runtime.compile=true", "runtime.low_memory=true")
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-3)


def test_a_machine_that_cannot_compile_says_so_before_anything_else(data, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("No working C++ compiler found.\nA long story follows.")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(
        TrainingRecipeError, match=r"here: No working C\+\+ compiler found\. Install .*or leave the option out"
    ):
        run(data, tmp_path / "run", "runtime.compile=true")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_without_a_compiler_the_command_ends_with_one_line(data, tmp_path):
    environment = os.environ | {"CXX": str(tmp_path / "nowhere"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}
    overrides = [*TOY, "runtime.compile=true"]
    places = ["--data", str(data), "--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "srflow", "train", "srflow-da-r-x4-compact", *overrides, *places],
        env=environment,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "srflow train: runtime.compile=true needs torch.compile, which does not work here" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler")
def test_with_a_compiler_the_check_passes(monkeypatch):
    from torch._inductor import config  # it takes seconds, which most tests do without

    if hasattr(config, "cpp_cache_precompile_headers"):
        # It pays from the second kernel on; here is one, and the headers would take half of the test's time.
        monkeypatch.setattr(config, "cpp_cache_precompile_headers", False)
    check_compiler(torch.device("cpu"), TrainingRecipeError, "a test")

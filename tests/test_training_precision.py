"""The precision of convolutions: the choice in a new run, a resumed run, and fp16 with its loss scale."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from conftest import forget_accelerator
from training_helpers import TOY, toy_recipe

from srflow.cli import main
from srflow.contract import InputError, TrainingRecipeError
from srflow.training import precision, run_folder, settling
from srflow.training import trainer as trainer_module
from srflow.training.cost import estimate
from srflow.training.precision import choose_precision
from srflow.training.recipe_files import load_recipe, recipe_names
from srflow.training.trainer import Trainer


@pytest.fixture
def train(data, tmp_path):
    def make(*overrides: str, output: str = "run") -> Trainer:
        messages: list[str] = []
        trainer = Trainer(
            toy_recipe("validation.every_steps=0", *overrides),
            data,
            tmp_path / output,
            cache=tmp_path / "cache",
            report=messages.append,
        )
        trainer.messages = messages
        return trainer

    return make


def saved_precision(run: Path) -> str:
    return json.loads((run / "recipe.json").read_text())["runtime"]["precision"]


def rows(run: Path, key: str) -> list:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line[key] for line in lines if line["kind"] == "training"]


@pytest.mark.parametrize(("speedup", "chosen"), [(1.9, "bf16"), (1.2, "bf16"), (1.1, "float32"), (0.5, "float32")])
def test_sixteen_bits_are_chosen_where_they_are_clearly_faster(monkeypatch, speedup, chosen):
    monkeypatch.setattr(precision, "_speedup", lambda device, dtype: speedup)
    name, reason = choose_precision(torch.device("cpu"))
    assert name == chosen
    assert f"{speedup:.1f} times" in reason


def test_an_older_gpu_gets_fp16_and_an_unknown_device_float32(monkeypatch):
    tried = []
    monkeypatch.setattr(precision, "_speedup", lambda device, dtype: tried.append(dtype) or 3.0)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert choose_precision(torch.device("cuda"))[0] == "fp16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert choose_precision(torch.device("cuda"))[0] == "bf16"
    assert tried == [torch.float16, torch.bfloat16]
    assert choose_precision(torch.device("mps"))[0] == "float32"


def test_the_trial_leaves_threads_and_random_numbers_alone(request):
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(threads := 3)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    name, reason = choose_precision(torch.device("cpu"))
    assert name in ("bf16", "float32")
    assert "in a test" in reason
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(1), expected)


def test_a_trial_of_something_very_slow_ends_after_one_round(monkeypatch):
    """Without instructions for it, a processor may take a hundred times as long."""
    tried = []

    def seconds(x, weights, dtype):
        tried.append(dtype)
        clock[0] += 2.0 if dtype == torch.bfloat16 else 0.02
        return 2.0 if dtype == torch.bfloat16 else 0.02

    clock = [0.0]
    monkeypatch.setattr(precision, "_seconds", seconds)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: clock[0])
    assert choose_precision(torch.device("cpu"))[0] == "float32"
    assert tried.count(torch.bfloat16) == 1


def test_a_trial_of_something_very_fast_ends_after_some_rounds(monkeypatch):
    tried = []

    def seconds(x, weights, dtype):
        tried.append(dtype)
        assert len(tried) < 100, "the trial goes on and on"
        return 1e-4 if dtype == torch.bfloat16 else 2e-4

    monkeypatch.setattr(precision, "_seconds", seconds)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: 0.0)
    assert choose_precision(torch.device("cpu")) == ("bf16", "2.0 times as fast as float32 in a test")


@pytest.mark.parametrize("name", recipe_names())
def test_compact_recipes_leave_the_choice_to_the_machine_and_the_papers_do_not(name):
    assert load_recipe(name).runtime.precision == ("auto" if "-compact" in name else "float32")


def test_the_choice_is_said_saved_and_kept_by_a_resumed_run(train, tmp_path, monkeypatch):
    monkeypatch.setattr(settling, "choose_precision", lambda device: ("float32", "because of a test"))
    first = train("runtime.precision=auto")
    assert any("float32 (because of a test)" in message for message in first.messages)
    assert first.accelerator.mixed_precision == "no"
    assert first.run(stop_after=0.0) == "time limit"
    assert saved_precision(tmp_path / "run") == "float32"
    forget_accelerator()

    monkeypatch.setattr(settling, "choose_precision", lambda device: pytest.fail("chosen twice"))
    again = train("runtime.precision=auto")
    assert again.recipe.runtime.precision == "float32"
    assert any("float32, as at the start of the run" in message for message in again.messages)
    assert again.run() == "finished"
    assert saved_precision(tmp_path / "run") == "float32"
    forget_accelerator()

    train("runtime.precision=float32", output="whole").run()
    assert rows(tmp_path / "run", "loss") == rows(tmp_path / "whole", "loss")


def test_a_run_of_before_the_choice_goes_on_as_it_was(train, tmp_path, monkeypatch):
    """Its recipe.json says "bf16", because that was the default; the same command now asks for "auto"."""
    monkeypatch.setattr(settling, "choose_precision", lambda device: pytest.fail("chosen anew"))
    recipe = toy_recipe("validation.every_steps=0", "runtime.precision=bf16")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    before = (tmp_path / "run" / "recipe.json").read_bytes()
    trainer = train("runtime.precision=auto")
    assert trainer.recipe == recipe
    assert trainer.accelerator.mixed_precision == "bf16"
    assert (tmp_path / "run" / "recipe.json").read_bytes() == before


def test_another_precision_asked_for_by_name_is_taken_and_said(train, tmp_path):
    assert train("runtime.precision=bf16").run(stop_after=0.0) == "time limit"
    forget_accelerator()
    trainer = train("runtime.precision=float32")
    assert trainer.accelerator.mixed_precision == "no"
    assert any("runtime.precision is 'float32', was 'bf16'" in message for message in trainer.messages)
    assert saved_precision(tmp_path / "run") == "float32"


def test_fp16_without_a_gpu_is_refused(train):
    with pytest.raises(TrainingRecipeError, match="needs a GPU"):
        train("runtime.precision=fp16")


def test_a_dry_run_says_what_the_machine_would_choose(capsys, monkeypatch):
    monkeypatch.setattr(precision, "choose_precision", lambda device: ("bf16", "because of a test"))
    command = ["train", "srflow-da-r-x4-compact", *TOY, "runtime.precision=auto", "--dry-run"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "bf16 (because of a test)" in text
    assert "parameters, bf16" in text


def test_the_estimate_counts_an_open_choice_as_the_larger_one():
    kept = [estimate(toy_recipe(f"runtime.precision={name}")).memory_bytes for name in ("auto", "float32", "bf16")]
    assert kept[0] == kept[1] > kept[2]


def test_an_unreadable_saved_recipe_is_named(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text('{"name": "half a rec')
    for precision_name in ("auto", "bf16"):
        with pytest.raises(TrainingRecipeError, match=r"recipe\.json cannot be read"):
            train(f"runtime.precision={precision_name}")
        forget_accelerator()


def test_a_folder_that_cannot_be_written_is_named(train, tmp_path, monkeypatch):
    def full_disk(path, mode="wb"):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "atomic_write", full_disk)
    with pytest.raises(InputError, match=r"run cannot be written.*No space left"):
        train()


class HalfPrecisionOnCPU(Accelerator):
    """What Accelerate makes of fp16 on a GPU, with the CPU's autocast and the CPU's loss scaler in their places."""

    def __init__(self) -> None:
        super().__init__(cpu=True, mixed_precision="bf16")
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)

    @property
    def mixed_precision(self) -> str:
        return "fp16"


@pytest.fixture
def half(monkeypatch):
    monkeypatch.setattr(trainer_module, "_accelerator", lambda recipe: HalfPrecisionOnCPU())


def overflow(trainer: Trainer, steps: set[int], factor: float) -> Trainer:
    """Have the gradients of these steps, from 1, be too large, as those of fp16 are while the scale is too high."""
    backward = trainer.accelerator.backward
    trainer.accelerator.backward = lambda loss: backward(loss * (factor if trainer.progress.step + 1 in steps else 1.0))
    return trainer


def test_gradients_are_unscaled_before_they_are_measured_and_clipped(train, tmp_path, half, monkeypatch):
    """A scale that is a power of two is not seen at all in what is logged or learnt."""
    clipped = ("training.clip_norm=0.01", "pretraining.clip_norm=0.01")
    scaled = train(*clipped)
    scaled.run()
    assert scaled.accelerator.scaler.get_scale() > 2.0**10  # it was in use
    forget_accelerator()
    monkeypatch.undo()
    train(*clipped, output="plain").run()
    for key in ("loss", "grad_norm"):
        assert rows(tmp_path / "run", key) == pytest.approx(rows(tmp_path / "plain", key), rel=1e-5)
    assert max(rows(tmp_path / "run", "grad_norm")) > 0.01


@pytest.mark.parametrize("factor", [1e38, 1e25], ids=["gradients overflow", "their norm does"])
def test_a_step_that_overflows_changes_no_weights(train, tmp_path, half, factor):
    seen = []
    trainer = overflow(train("training.clip_norm=0"), {6, 7}, factor)
    step = trainer._step

    def watched(*arguments):
        result = step(*arguments)
        weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
        seen.append((weights, trainer.accelerator.scaler.get_scale()))
        return result

    trainer._step = watched
    assert trainer.run() == "finished"
    assert rows(tmp_path / "run", "skipped") == [0, 0, 0, 0, 0, 1, 2, 2]
    assert torch.equal(seen[4][0], seen[6][0])
    assert seen[6][0].isfinite().all()
    assert not torch.equal(seen[6][0], seen[7][0])
    if factor == 1e38:
        assert seen[6][1] == seen[4][1] / 4  # each such step halves the scale


def test_the_loss_scale_survives_a_stop(train, tmp_path, half):
    overflow(train(output="whole"), {3, 6}, 1e38).run()
    forget_accelerator()
    stopped = overflow(train(), {3, 6}, 1e38)
    step = stopped._step
    stopped._step = lambda *rest: (stopped.request_stop() if stopped.progress.step == 4 else None, step(*rest))[1]
    assert stopped.run() == "stopped"
    state = stopped.accelerator.scaler.state_dict()
    forget_accelerator()
    again = overflow(train(), {3, 6}, 1e38)
    assert again.progress.step == 5
    assert again.accelerator.scaler.state_dict() == state
    assert (state["scale"], state["_growth_tracker"]) != (2.0**10, 0)
    again.run()
    for key in ("loss", "grad_norm", "skipped"):
        assert rows(tmp_path / "run", key) == rows(tmp_path / "whole", key)

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import forget_accelerator, random_pair, toy_config
from torch import nn
from training_helpers import TOY, stop_at, toy_recipe, write_pictures

from srflow import SRFlow
from srflow.contract import CheckpointError, DatasetError, TrainingDivergedError, TrainingRecipeError
from srflow.training import run_folder
from srflow.training import trainer as trainer_module
from srflow.training.averaging import AveragedModel
from srflow.training.patches import PatchSampler
from srflow.training.recipe_files import load_recipe
from srflow.training.stages import freeze_all_but, phase_parameters, plan
from srflow.training.store import PictureStore
from srflow.training.trainer import Trainer
from srflow.training.validation import ValidationSet


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data") / "train", [(80, 72), (64, 96), (64, 64)])


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train(data, cache, tmp_path):
    """train(*overrides, output="run", **settings) → a Trainer on the toy pictures; its messages are in `.messages`."""

    def make(*overrides: str, output: str = "run", **settings) -> Trainer:
        messages: list[str] = []
        trainer = Trainer(
            toy_recipe(*overrides), data, tmp_path / output, cache=cache, report=messages.append, **settings
        )
        trainer.messages = messages
        return trainer

    return make


def metrics(run: Path, kind: str = "training") -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def losses(run: Path) -> list[tuple[int, float, float]]:
    return [(line["step"], line["loss"], line["grad_norm"]) for line in metrics(run)]


def same_weights(first: Path, second: Path) -> bool:
    a, b = (SRFlow.from_pretrained(folder).state_dict() for folder in (first, second))
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="session")
def uninterrupted(data, cache, tmp_path_factory) -> Path:
    """A whole toy run, to compare with."""
    output = tmp_path_factory.mktemp("reference") / "run"
    assert Trainer(toy_recipe(), data, output, validation=data, cache=cache).run() == "finished"
    forget_accelerator()
    return output


def test_a_run_goes_through_its_stages_and_leaves_its_files(uninterrupted):
    assert [line["stage"] for line in metrics(uninterrupted)] == ["encoder"] * 2 + ["flow"] * 2 + ["both"] * 4
    assert [line["step"] for line in metrics(uninterrupted)] == list(range(1, 9))
    for name in ("last", "best", "encoder"):
        assert SRFlow.from_pretrained(uninterrupted / name).config == toy_recipe().model.config()
    assert json.loads((uninterrupted / "recipe.json").read_text()) == toy_recipe().to_dict()
    assert list((uninterrupted / "tensorboard").iterdir())
    assert "step 8 of 8" in SRFlow.from_pretrained(uninterrupted / "last").metadata.provenance


def test_validation_scores_samples(uninterrupted):
    rows = metrics(uninterrupted, "validation")
    assert [(row["step"], row["stage"]) for row in rows] == [(2, "encoder"), (4, "flow"), (8, "both")]
    for row in rows[1:]:
        for temperature in ("0", "0.8"):
            assert row[f"non_finite@{temperature}"] == 0
            assert 5 < row[f"psnr@{temperature}"] < 60
            assert 0 < row[f"lpips@{temperature}"] < 2
            assert 5 < row[f"lr_psnr@{temperature}"] < 100
        assert row["bits_per_dimension"] < 8
    assert 0 < rows[0]["l1"] < 1


@pytest.mark.parametrize("step", [1, 2, 4, 6])
def test_a_stopped_run_goes_on_bit_for_bit(train, tmp_path, uninterrupted, step):
    """Within stages, and at the ends of stages, where the optimiser or the trained parameters change."""
    assert stop_at(train(), step).run() == "stopped"
    assert [row[0] for row in losses(tmp_path / "run")] == list(range(1, step + 1))
    again = train()
    assert again.progress.step == step
    assert again.run() == "finished"
    assert losses(tmp_path / "run") == losses(uninterrupted)
    assert same_weights(tmp_path / "run" / "last", uninterrupted / "last")


def test_means_over_an_interval_survive_a_stop_within_it(train, tmp_path):
    for output, step in (("whole", 0), ("stopped", 5)):
        if step:
            stop_at(train("log.every_steps=3", output=output), step).run()
        train("log.every_steps=3", output=output).run()
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    assert [row[0] for row in losses(tmp_path / "whole")] == [3, 6]


def test_the_best_weights_survive_a_stop(train, tmp_path, uninterrupted, data):
    stop_at(train(validation=data), 5).run()
    train(validation=data).run()
    assert metrics(tmp_path / "run", "validation") == metrics(uninterrupted, "validation")
    assert same_weights(tmp_path / "run" / "best", uninterrupted / "best")


def test_steps_after_the_last_checkpoint_are_repeated_not_doubled(train, tmp_path, uninterrupted):
    """As after kill -9: the log knows more steps than the checkpoint, and its last line is half written."""
    trainer = train("checkpoint.every_steps=4")
    trainer.folder.save_checkpoint = keep_until(trainer.folder.save_checkpoint, 4)
    stop_at(trainer, 7).run()
    with (tmp_path / "run" / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "training", "st')
    again = train("checkpoint.every_steps=4")
    assert again.progress.step == 4
    again.run()
    assert losses(tmp_path / "run") == losses(uninterrupted)


def keep_until(save, last):
    return lambda step, *rest: save(step, *rest) if step <= last else None


@pytest.mark.slow
def test_a_killed_process_goes_on_with_the_same_command(data, cache, tmp_path, uninterrupted):
    """kill -9 while a checkpoint is written, twice; the loss curve is that of a run that was left alone."""
    root, threads = Path(__file__).parents[1], str(torch.get_num_threads())
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": threads}
    places = ["--data", str(data), "--cache", str(cache), "--output", str(tmp_path / "run")]
    command = ["train", "srflow-da-r-x4-compact", *TOY, "checkpoint.every_steps=1", "validation.every_steps=0", *places]
    for step in (3, 6):
        worker = [sys.executable, str(Path(__file__).with_name("training_killed_worker.py")), str(step)]
        killed = subprocess.run([*worker, *command], env=environment, check=False, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
        assert max(row[0] for row in losses(tmp_path / "run")) >= step - 1
        assert not (tmp_path / "run" / "checkpoints" / f"step-{step:09d}.pt").exists()
    subprocess.run([sys.executable, "-m", "srflow", *command], env=environment, check=True, capture_output=True)
    assert losses(tmp_path / "run") == losses(uninterrupted)
    assert len(losses(uninterrupted)) == 8


@pytest.mark.slow
def test_an_interrupt_saves_and_exits_with_130(data, cache, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    places = ["--data", str(data), "--cache", str(cache), "--output", str(tmp_path / "run")]
    overrides = [*TOY, "training.steps=100000", "validation.every_steps=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "srflow", "train", "srflow-da-r-x4-compact", *overrides, *places],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 600
    file = tmp_path / "run" / "metrics.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and len(file.read_text().splitlines()) > 4:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=600)
    assert process.returncode == 130, text
    assert "is saved" in text
    (checkpoint,) = sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))[-1:]
    assert int(checkpoint.stem.removeprefix("step-")) == losses(tmp_path / "run")[-1][0]


def test_a_truncated_checkpoint_falls_back_to_the_one_before(train, tmp_path, uninterrupted):
    stop_at(train("checkpoint.every_steps=2"), 6).run()
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    again = train("checkpoint.every_steps=2")
    assert again.progress.step == 4
    assert any(newest.name in message and "cannot be used" in message for message in again.messages)
    again.run()
    assert losses(tmp_path / "run") == losses(uninterrupted)


def test_a_changed_byte_in_a_checkpoint_is_noticed(train, tmp_path):
    stop_at(train("checkpoint.every_steps=2"), 6).run()
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)
    assert train("checkpoint.every_steps=2").progress.step == 4


def test_a_full_disk_keeps_the_checkpoint_before_and_goes_on(train, tmp_path, monkeypatch):
    trainer = train("checkpoint.every_steps=2")
    original = run_folder.torch.save

    def full(state, stream):
        if state["step"] >= 6:
            stream.write(b"some bytes")
            raise OSError(28, "No space left on device")
        original(state, stream)

    monkeypatch.setattr(run_folder.torch, "save", full)
    assert trainer.run() == "finished"
    assert any("no space left on the disk" in message for message in trainer.messages)
    files = [file.name for file in (tmp_path / "run" / "checkpoints").iterdir()]
    assert sorted(files) == ["step-000000002.pt", "step-000000004.pt"]
    monkeypatch.undo()
    assert train("checkpoint.every_steps=2").progress.step == 4


def test_only_the_last_checkpoints_are_kept(train, tmp_path):
    train("checkpoint={every_steps=1, keep=2}").run()
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2


def test_another_recipe_is_refused_by_name_unless_allowed(train):
    stop_at(train(), 3).run()
    with pytest.raises(TrainingRecipeError, match=r"training.learning_rate is 0.0005, was 0.001"):
        train("training.learning_rate=5e-4", "log.every_steps=3")
    assert train("log.every_steps=3").progress.step == 3  # what changes no weights may differ
    assert train("training.learning_rate=5e-4", allow_changes=True).progress.step == 3


def test_the_time_limit_saves_and_ends(train):
    assert train().run(stop_after=0.0) == "time limit"
    assert train().progress.step == 1


class _Poisoned(nn.Module):
    """The objective, with a loss that is NaN at certain calls."""

    def __init__(self, objective: nn.Module, bad: set[int]) -> None:
        super().__init__()
        self.objective, self.bad, self.calls = objective, bad, 0

    def forward(self, *inputs):
        self.calls += 1
        factor = float("nan") if self.calls in self.bad else 1.0
        losses = self.objective(*inputs)
        reported = {name: value * factor for name, value in losses.reported.items()}
        return losses._replace(minimised=losses.minimised * factor, reported=reported)


def poison(monkeypatch, bad: set[int]) -> None:
    from srflow.training import step as module

    original = module.build_objective
    monkeypatch.setattr(
        module,
        "build_objective",
        lambda stage, *rest, **options: _Poisoned(
            original(stage, *rest, **options), bad if stage.name == "both" else set()
        ),
    )


def test_non_finite_steps_are_left_out_and_counted(train, tmp_path, monkeypatch):
    poison(monkeypatch, {2, 3})
    trainer = train()
    assert trainer.run() == "finished"
    assert [line["skipped"] for line in metrics(tmp_path / "run")] == [0, 0, 0, 0, 0, 1, 2, 2]
    assert metrics(tmp_path / "run")[5]["loss"] is None
    assert all(torch.isfinite(p).all() for p in trainer.average.module.parameters())
    assert trainer.average.num_updates == 4


def test_lasting_non_finite_losses_end_the_run_and_keep_the_good_state(train, tmp_path, monkeypatch):
    poison(monkeypatch, {2, 3, 4})
    with pytest.raises(TrainingDivergedError, match=r"3 steps in a row, up to step 8.*learning_rate"):
        train("runtime.max_bad_steps=3", "checkpoint.every_steps=1").run()
    monkeypatch.undo()
    assert train("checkpoint.every_steps=1", "runtime.max_bad_steps=3").progress.step == 5


def test_a_run_that_ends_on_a_bad_step_is_saved_as_far_as_it_came(train, tmp_path, monkeypatch):
    poison(monkeypatch, {4})
    assert train().run() == "finished"
    again = train()
    assert again.progress.step == 8
    assert (again.progress.skipped, again.progress.bad_in_a_row) == (1, 1)
    assert "step 8 of 8" in SRFlow.from_pretrained(tmp_path / "run" / "last").metadata.provenance


def test_bad_steps_in_a_row_are_counted_over_a_stop(train, monkeypatch):
    poison(monkeypatch, {2})
    assert stop_at(train("runtime.max_bad_steps=2"), 6).run() == "stopped"
    poison(monkeypatch, {1})
    with pytest.raises(TrainingDivergedError, match="2 steps in a row, up to step 7"):
        train("runtime.max_bad_steps=2").run()


def test_low_memory_gives_the_same_losses(train, tmp_path):
    train("runtime.precision=float32", output="plain").run()
    forget_accelerator()
    train("runtime.precision=float32", "runtime.low_memory=true", output="low").run()
    np.testing.assert_allclose(losses(tmp_path / "low"), losses(tmp_path / "plain"), rtol=1e-4)


@pytest.mark.parametrize(("optimizer", "kinds"), [("adam", [None]), ("muon", ["muon", "adam"])])
def test_the_recipe_says_which_optimiser(train, tmp_path, optimizer, kinds):
    factor = "training.muon_factor=7"
    train("pretraining.steps=0", "training.steps=1", f"training.optimizer={optimizer}", factor).run()
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    groups = torch.load(saved, weights_only=False)["optimizer"]["param_groups"]
    assert [group.get("kind") for group in groups] == kinds
    assert groups[-1]["betas"] == (0.9, 0.99)
    assert [group["factor"] for group in groups if group.get("kind") == "muon"] == [7] * (optimizer == "muon")


def test_settings_of_the_optimiser_may_change_in_a_run(train, tmp_path):
    stop_at(train("training.muon_factor=3"), 4).run()
    again = train("training.muon_factor=7", "training.betas=[0.8, 0.9]", allow_changes=True)
    assert again.run() == "finished"
    saved = torch.load(max((tmp_path / "run" / "checkpoints").iterdir()), weights_only=False)["optimizer"]
    assert [group.get("factor") for group in saved["param_groups"]] == [7, None]
    assert saved["param_groups"][1]["betas"] == (0.8, 0.9)
    assert not any("anew" in message for message in again.messages)
    assert {state["steps"] for state in saved["state"].values() if "steps" in state} == {4, 6}  # of encoder and flow


@pytest.mark.parametrize(("first", "second"), [("adam", "muon"), ("muon", "adam")])
def test_a_run_goes_on_with_another_optimiser(train, first, second):
    stop_at(train(f"training.optimizer={first}"), 4).run()
    again = train(f"training.optimizer={second}", allow_changes=True)
    assert again.run() == "finished"
    assert sum("starts without its state" in message for message in again.messages) == 1


def test_the_recipe_says_where_patches_come_from(train, monkeypatch):
    samplers = []

    class Noted(PatchSampler):
        def __post_init__(self) -> None:
            samplers.append(self)

    monkeypatch.setattr(trainer_module, "PatchSampler", Noted)
    train("data.reductions=[1, 2]", "data.candidates=5", "data.flips=false", "data.noise_scale=3")
    for sampler in samplers:
        assert set(sampler.store.reductions.tolist()) == {1, 2}
        assert (sampler.candidates, sampler.flips, sampler.rotations) == (5, False, True)
    assert [sampler.noise for sampler in samplers] == ["none", "gaussian", "gaussian"]
    assert samplers[1].noise_scale == 3


def test_an_initial_checkpoint_replaces_the_encoders_stage(train, uninterrupted, tmp_path):
    trainer = train(initial=uninterrupted / "encoder")
    given = SRFlow.from_pretrained(uninterrupted / "encoder").encoder.state_dict()
    assert all(torch.equal(value, given[key]) for key, value in trainer.model.encoder.state_dict().items())
    trainer.run()
    assert [line["stage"] for line in metrics(tmp_path / "run")] == ["flow"] * 2 + ["both"] * 4


def test_an_encoder_fits_another_flow_but_no_other_encoder(train, uninterrupted):
    wider = train("model.flow.hidden_channels=12", initial=uninterrupted / "encoder", output="wider")
    assert wider.progress.step == 2
    with pytest.raises(CheckpointError, match=r"model\.encoder"):
        train("model.encoder.num_features=12", initial=uninterrupted / "encoder", output="other")


def test_validation_pictures_must_be_large_enough(train, tmp_path):
    small = write_pictures(tmp_path / "small", [(24, 24)])
    with pytest.raises(DatasetError, match="32"):
        train(validation=small)


def test_an_encoder_picture_that_is_not_finite_does_not_end_the_validation(data, cache):
    recipe = toy_recipe()
    model = SRFlow(recipe.model.config()).eval()
    validation = ValidationSet(PictureStore.open(data, cache), recipe, torch.device("cpu"))
    assert validation.score(model, "samples").values["encoder_psnr"] > 15
    nn.init.constant_(model.encoder.conv_last.bias, float("nan"))
    assert validation.score(model, "samples").values["encoder_psnr"] < 15  # it counts as black


@pytest.mark.parametrize("preset", ["srflow-da-r-x4-compact", "srflow-da-s-x4-compact", "srflow-da-r-x8-compact"])
def test_each_stage_trains_exactly_what_gets_gradients(preset):
    """Parameters without a gradient would make several processes wait for ever."""
    from srflow.training.stages import build_objective

    recipe = load_recipe(preset, ["pretraining.steps=1", "training.steps=2"])
    model = SRFlow(toy_config(preset)).train()
    hr, lr = random_pair(model.scale_factor, dtype=torch.float32)
    # The zero convs stop gradients at first; a step's worth of change lets them through.
    for parameter in model.parameters():
        if parameter.ndim == 4 and not parameter.any():
            nn.init.normal_(parameter, std=0.01)
    for stage in plan(recipe):
        trained = freeze_all_but(stage, model)
        build_objective(stage, model, recipe)(hr, torch.zeros_like(hr), lr).minimised.backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in trained), stage.name
        chosen = {id(parameter) for parameter in trained}
        assert all(parameter.grad is None for parameter in model.parameters() if id(parameter) not in chosen)
        assert chosen <= {id(parameter) for parameter in phase_parameters(stage, model)}
        model.zero_grad(set_to_none=True)


def test_the_encoders_own_picture_is_learnt_beside_the_likelihood_without_touching_it():
    model = SRFlow(toy_config("srflow-da-r-x4-compact")).train()
    hr, lr = random_pair(4, dtype=torch.float32)
    log_prob, picture = model.log_prob_and_encoder_output(hr, lr)
    torch.testing.assert_close(log_prob, model.log_prob(hr, lr))
    torch.testing.assert_close(picture, model.encoder.super_resolve(lr))
    picture.square().sum().backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {f"encoder.{name}" for name in model.encoder.super_resolution_tail()}


def test_the_average_copies_first_and_follows_then():
    model = nn.Linear(2, 2, bias=False)
    average = AveragedModel(model)
    values = []
    for value in (4.0, 8.0, 8.0):
        nn.init.constant_(model.weight, value)
        average.update(model, decay=0.15)
        values.append(average.module.weight[0, 0].item())
    # The decay of the second update is (1 + 1) / (10 + 1) at most, but no more than asked for.
    assert values == pytest.approx([4.0, 8 - 4 * 0.15, 8 - 4 * 0.15**2])
    nn.init.constant_(model.weight, 0.0)
    before = average.module.weight[0, 0].item()
    average.update(model, decay=0.999)
    assert average.module.weight[0, 0].item() == pytest.approx(before * 4 / 13)

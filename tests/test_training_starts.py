"""How runs start, go on and stop: what failed starts leave behind, and which changes of a recipe a run can take."""

import json
import re
import signal

import pytest
import torch
from training_helpers import stop_at, toy_recipe, write_pictures

from srflow import SRFlow
from srflow.cli import main
from srflow.contract import CheckpointError, DatasetError, TrainingRecipeError
from srflow.training import trainer as trainer_module
from srflow.training.trainer import Trainer


@pytest.fixture
def train(tmp_path):
    """train(*overrides, **settings) → a Trainer of the toy recipe in tmp_path/run; its messages are in `.messages`."""
    pictures = write_pictures(tmp_path / "pictures", [(64, 64), (80, 72)])

    def make(*overrides: str, **settings) -> Trainer:
        messages: list[str] = []
        run = tmp_path / "run"
        recipe = toy_recipe("validation.every_steps=0", *overrides)
        trainer = Trainer(recipe, pictures, run, cache=tmp_path / "cache", report=messages.append, **settings)
        trainer.messages = messages
        return trainer

    return make


def test_a_start_whose_weights_do_not_fit_leaves_nothing_behind(train, tmp_path):
    SRFlow(toy_recipe("model.encoder.num_features=12").model.config()).save_pretrained(tmp_path / "other")
    with pytest.raises(CheckpointError):
        train(initial=tmp_path / "other")
    assert not (tmp_path / "run").exists()
    assert train("model.encoder.num_features=12", initial=tmp_path / "other").progress.step == 2


def test_a_start_whose_validation_fails_leaves_nothing_behind(train, tmp_path):
    with pytest.raises(DatasetError):
        train("validation.every_steps=1", validation=write_pictures(tmp_path / "small", [(24, 24)]))
    assert not (tmp_path / "run").exists()


def test_patches_too_small_for_the_feature_network_are_refused_before_anything_is_trained(train, tmp_path):
    with pytest.raises(TrainingRecipeError, match=r"finetuning\.patch_size is 32.*35 pixels"):
        train("finetuning={steps=2, batch_size=2, patch_size=32}")
    assert not (tmp_path / "run").exists()


def test_a_run_never_changes_its_network(train, tmp_path):
    stop_at(train(), 3).run()
    before = (tmp_path / "run" / "recipe.json").read_text()
    with pytest.raises(
        TrainingRecipeError, match=r"another network: model\.flow\.hidden_channels is 24, was 16.*--output"
    ):
        train("model.flow.hidden_channels=24", allow_changes=True)
    assert (tmp_path / "run" / "recipe.json").read_text() == before
    assert train().progress.step == 3


def test_a_checkpoint_of_another_network_is_a_named_error(train, tmp_path):
    """As when a file of another run was copied into the folder."""
    stop_at(train(), 3).run()
    file = max((tmp_path / "run" / "checkpoints").iterdir())
    for older in set(file.parent.iterdir()) - {file}:
        older.unlink()
    state = torch.load(file, weights_only=True)
    state["model"] = {name: tensor for name, tensor in state["model"].items() if "conv_first" not in name}
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=r"checkpoint of step 3 does not fit.*conv_first"):
        train()


def test_a_folder_without_a_checkpoint_takes_another_recipe(train, tmp_path):
    """What a run leaves that was killed before it was first saved."""
    train("model.flow.hidden_channels=24")
    again = train()
    assert any("never saved" in message for message in again.messages)
    assert json.loads((tmp_path / "run" / "recipe.json").read_text()) == again.recipe.to_dict()


def test_a_longer_run_does_not_freeze_the_encoder_again(train):
    """The toy run's encoder joins after 2 of 6 steps, that is at step 4; of 60, at step 20."""
    assert train().run() == "finished"
    with pytest.raises(
        TrainingRecipeError, match=r"at step 8, in the stage 'both'.*begins at step 20.*encoder_joins_at=0\.1 "
    ):
        train("training.steps=60", allow_changes=True)
    longer = train("training.steps=60", "training.encoder_joins_at=0.1", allow_changes=True)
    assert stop_at(longer, 9).run() == "stopped"
    assert sum("Stage 'both'" in message for message in longer.messages) == 1


@pytest.mark.parametrize(("steps", "planned"), [(9, "[0]"), (1, "[0, 1]")])
def test_a_phase_that_has_ended_keeps_its_steps(train, steps, planned):
    """Otherwise the run would be in the middle of a phase that it never began."""
    stop_at(train(), 3).run()
    with pytest.raises(
        TrainingRecipeError, match=rf"at step 3.*began at the steps \[0, 2\].*{re.escape(planned)}.*--init"
    ):
        train(f"pretraining.steps={steps}", allow_changes=True)


def test_a_phase_may_go_on_at_its_end(train):
    stop_at(train(), 2).run()
    assert train("pretraining.steps=4", allow_changes=True).run() == "finished"


def test_the_encoder_may_join_later_as_long_as_it_has_not_joined(train):
    stop_at(train(), 4).run()
    assert train("training.encoder_joins_at=0.9", allow_changes=True).progress.step == 4


@pytest.mark.parametrize("step", [1, 2])
def test_the_encoder_is_exported_wherever_the_run_was_stopped(train, tmp_path, step):
    stop_at(train(), step).run()
    assert (tmp_path / "run" / "encoder").is_dir() == (step == 2)
    train().run()
    assert "step 2 of 8" in SRFlow.from_pretrained(tmp_path / "run" / "encoder").metadata.provenance


def test_every_phase_says_what_it_never_draws(train):
    """The pictures, 64x64 and 80x72, hold the first phase's patches, but not both hold the second's."""
    messages = train("training.patch_size=72", "data.reductions=[1, 2]").messages
    assert not any("Stage 'encoder'" in message for message in messages)
    (likelihood,) = (message for message in messages if "72x72" in message)
    assert "Stage 'flow': 3 of 4 stored pictures (downscaling factors 1, 2 counted)" in likelihood
    assert "not used at all: picture0.png." in likelihood


def test_a_signal_is_noted_at_once_and_spoken_of_by_the_loop(train, monkeypatch, tmp_path):
    """A handler that prints can meet a print in progress, which raises and ends the run unsaved."""
    asked: list[str] = []

    class Interrupted:
        def __init__(self, *_arguments, report, **_options):
            monkeypatch.setattr("tqdm.tqdm.write", lambda *_a, **_k: pytest.fail("printed inside the handler"))

        def request_stop(self, message):
            asked.append(message)

        def run(self, _stop_after):
            signal.raise_signal(signal.SIGTERM)
            monkeypatch.undo()
            return "stopped"

    monkeypatch.setattr(trainer_module, "Trainer", Interrupted)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        places = ["--data", str(tmp_path), "--output", str(tmp_path / "run")]
        assert main(["train", "srflow-da-r-x4-compact", *places]) == 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert asked == ["SIGTERM: saving now. Send it once more to end at once, without saving."]

    trainer = train()
    trainer.request_stop(asked[0])
    assert trainer.messages.count(asked[0]) == 0
    assert trainer.run() == "stopped"
    assert trainer.messages.count(asked[0]) == 1

"""`--init`: what fits, which parts are used, and the messages to the user."""

import re
from pathlib import Path

import pytest
import torch
from training_helpers import toy_recipe, write_pictures

from srflow import SRFlow
from srflow.checkpoints import shipped
from srflow.cli import main
from srflow.contract import CheckpointError
from srflow.encoder import RRDBEncoder
from srflow.presets import EncoderConfig
from srflow.training.initialise import initial_model
from srflow.training.recipe_files import load_recipe
from srflow.training.trainer import Trainer

# The paper's recipe on a network of a few channels.
TINY_PAPER = [
    "model.encoder={num_features=8, growth_channels=4, num_blocks=4, stacked_blocks=[0, 3]}",
    "model.flow={hidden_channels=8, steps_per_level=1, splits=[[1], []]}",
    "pretraining={steps=3, batch_size=2, patch_size=32}",
    "training={steps=2, batch_size=2, patch_size=32}",
    "validation.every_steps=0",
]


def write_rrdb(file: Path) -> dict[str, torch.Tensor]:
    """A file as ESRGAN's authors release them, of four small blocks; returns its tensors."""
    config = EncoderConfig(num_features=8, growth_channels=4, num_blocks=4, stacked_blocks=())
    renames = [
        (r"^blocks\.(\d+)\.dense_blocks\.(\d)\.convs\.(\d)", lambda m: f"RRDB_trunk.{m[1]}.RDB{m[2]}.conv{m[3]}"),
        (r"^up_convs\.(\d)", lambda m: f"upconv{int(m[1]) + 1}"),
        (r"^hr_conv", lambda _: "HRconv"),
    ]
    released = {}
    for name, tensor in RRDBEncoder(config, 4, (2, 4)).state_dict().items():
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        name = re.sub(r"RDB(\d)\.conv(\d)", lambda m: f"RDB{int(m[1]) + 1}.conv{int(m[2]) + 1}", name)
        released[name] = tensor
    torch.save(released, file)
    return released


def test_the_papers_recipe_starts_from_a_converted_rrdb_file(tmp_path, capsys):
    """As paper.toml says: `convert`, then `train --init`."""
    released = write_rrdb(tmp_path / "RRDB.pth")
    assert main(["convert", str(tmp_path / "RRDB.pth"), str(tmp_path / "rrdb")]) == 0
    assert f"train srflow-da-r-x4 --init {tmp_path / 'rrdb'}" in capsys.readouterr().out
    pictures = write_pictures(tmp_path / "pictures", [(48, 48)])
    messages: list[str] = []
    recipe = load_recipe("srflow-da-r-x4", [*TINY_PAPER, "runtime.precision=float32"])
    run = tmp_path / "run"
    trainer = Trainer(recipe, pictures, run, initial=tmp_path / "rrdb", cache=tmp_path, report=messages.append)
    assert torch.equal(trainer.model.encoder.conv_first.weight, released["conv_first.weight"])
    assert trainer.progress.step == 3  # the encoder's own training is left out
    assert trainer.run() == "finished"
    trained = SRFlow.from_pretrained(run / "last").config.encoder
    assert (trained.long_skip, trained.stacked_blocks) == ("last_block", (0, 3))  # SRFlow's network, not ESRGAN's
    assert any("long_skip 'last_block' (the checkpoint has 'first_conv')" in message for message in messages)
    assert any("stacked_blocks (0, 3) (the checkpoint has (0, 1, 2, 3))" in message for message in messages)


def save_toy(folder: Path, *overrides: str) -> SRFlow:
    model = SRFlow(toy_recipe(*overrides).model.config())
    model.save_pretrained(folder)
    return model


def test_the_same_network_is_taken_whole_another_flow_gives_its_encoder(tmp_path):
    save_toy(tmp_path / "given")
    assert initial_model(toy_recipe(), tmp_path / "given")[1] == ("encoder", "flow")
    assert initial_model(toy_recipe("model.flow.hidden_channels=12"), tmp_path / "given")[1] == ("encoder",)
    assert initial_model(toy_recipe(), None)[1] == ()


def test_a_flow_that_was_trained_on_other_wiring_is_not_taken(tmp_path):
    """Its conditioning would mean something else."""
    given = save_toy(tmp_path / "given")
    messages: list[str] = []
    model, parts = initial_model(toy_recipe("model.encoder.long_skip=first_conv"), tmp_path / "given", messages.append)
    assert parts == ("encoder",)
    assert torch.equal(model.encoder.conv_first.weight, given.encoder.conv_first.weight)
    assert len(messages) == 1
    assert "long_skip 'first_conv' (the checkpoint has 'last_block')" in messages[0]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.encoder.num_features=12", ["num_features 12 (the checkpoint has 16)", "num_features=16"]),
        ("model.encoder.num_blocks=2", ["num_blocks 2 (the checkpoint has 1)", "model.encoder={num_blocks=1}"]),
    ],
)
def test_layers_of_another_size_are_refused_with_what_to_do(tmp_path, override, words):
    save_toy(tmp_path / "given")
    with pytest.raises(CheckpointError) as error:
        initial_model(toy_recipe(override), tmp_path / "given")
    for word in words:
        assert word in str(error.value)


def test_another_scale_factor_is_refused(tmp_path):
    SRFlow(load_recipe("srflow-da-r-x8-compact").model.config()).save_pretrained(tmp_path / "given")
    with pytest.raises(CheckpointError, match=r"x8 model and the recipe trains a x4"):
        initial_model(toy_recipe(), tmp_path / "given")


def test_a_shipped_checkpoint_is_found_by_its_name(tmp_path, monkeypatch):
    given = save_toy(tmp_path / "srflow-toy")
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    model, _ = initial_model(toy_recipe(), "srflow-toy")
    assert torch.equal(model.encoder.conv_first.weight, given.encoder.conv_first.weight)


def test_a_given_encoder_is_trained_further_if_the_recipe_does_nothing_else(tmp_path):
    given = save_toy(tmp_path / "given")
    pictures = write_pictures(tmp_path / "pictures", [(48, 48)])
    recipe = toy_recipe("training.steps=0", "validation.every_steps=0")
    trainer = Trainer(recipe, pictures, tmp_path / "run", initial=tmp_path / "given", minutes=0.05)
    assert trainer.progress.step == 0
    assert trainer.run() == "finished"
    trained = SRFlow.from_pretrained(tmp_path / "run" / "last")
    assert not torch.equal(trained.encoder.conv_first.weight, given.encoder.conv_first.weight)
    flows = [dict(model.flow.named_parameters()) for model in (trained, given)]
    assert all(torch.equal(flows[0][name], flows[1][name]) for name in flows[0])

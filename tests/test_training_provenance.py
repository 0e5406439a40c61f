"""The provenance that a run and its weights record."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from training_helpers import TOY, toy_recipe, write_pictures

from srflow import SRFlow, __version__, environment
from srflow.checkpoints.own import WEIGHTS_FILE
from srflow.cli import main
from srflow.environment import source_commit
from srflow.training.provenance import Provenance
from srflow.training.store import PictureStore
from srflow.training.trainer import Trainer


@pytest.fixture
def pictures(tmp_path) -> Path:
    return write_pictures(tmp_path / "pictures", [(64, 64), (80, 72)])


@pytest.fixture
def train(pictures, tmp_path):
    """train(*overrides, output="run", **settings) → a Trainer of the toy recipe."""

    def make(*overrides: str, output: str = "run", **settings) -> Trainer:
        recipe = toy_recipe("validation.every_steps=0", *overrides)
        return Trainer(recipe, pictures, tmp_path / output, cache=tmp_path / "cache", **settings)

    return make


def record(folder: Path) -> dict:
    return json.loads((folder / "provenance.json").read_text())


def test_a_run_says_from_its_start_what_makes_it(train, pictures, tmp_path):
    trainer = train(command=["train", "x", "--data", str(pictures), f"--cache={tmp_path}"], overrides=["seed=0"])
    first = record(tmp_path / "run")
    assert (first["steps"], first["planned"], first["parent"]) == (0, 8, None)
    (start,) = first["starts"]
    assert start["recipe"] == trainer.recipe.to_dict()
    assert start["command"] == ["train", "x", "--data", "pictures", f"--cache={tmp_path.name}"]  # no folders
    assert start["overrides"] == ["seed=0"]
    assert (start["version"], start["step"]) == (__version__, 0)
    assert start["hardware"]["device"] == "cpu"
    assert start["hardware"]["processes"] == 1
    assert start["hardware"]["cores"] >= 1
    assert start["pictures"]["count"] == 2
    assert start["validation_pictures"] is None
    trainer.run()
    last = record(tmp_path / "run")
    assert (last["steps"], last["starts"]) == (8, [start])
    assert last["seconds"] == pytest.approx(trainer.progress.seconds)


def test_every_copy_of_the_weights_has_the_record_and_names_the_file(train, tmp_path, pictures):
    train("validation.every_steps=4", validation=pictures).run()
    for name, steps in (("encoder", 2), ("best", None), ("last", 8)):
        folder = tmp_path / "run" / name
        assert record(folder)["weights_sha256"] == hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
        assert steps in (None, record(folder)["steps"])
        assert record(folder)["text"] == SRFlow.from_pretrained(folder).metadata.provenance
    assert record(tmp_path / "run")["starts"][0]["validation_pictures"]["count"] == 2


def test_starts_are_added_where_something_differs(train, tmp_path):
    train().run(stop_after=0.0)
    train().run(stop_after=0.0)
    assert len(record(tmp_path / "run")["starts"]) == 1
    train("training.learning_rate=5e-4", allow_changes=True)
    starts = record(tmp_path / "run")["starts"]
    assert [start["step"] for start in starts] == [0, 2]
    assert [start["recipe"]["training"]["learning_rate"] for start in starts] == [1e-3, 5e-4]


def test_a_lost_record_begins_where_the_run_is(train, tmp_path):
    train().run(stop_after=0.0)
    (tmp_path / "run" / "provenance.json").write_text("{}")
    train()
    assert [start["step"] for start in record(tmp_path / "run")["starts"]] == [1]


def test_a_new_run_does_not_take_over_what_lies_in_its_folder(train, tmp_path):
    (tmp_path / "run").mkdir()
    Provenance(name="another", steps=1000).write(tmp_path / "run")
    train()
    assert (record(tmp_path / "run")["name"], record(tmp_path / "run")["steps"]) == ("srflow-da-r-x4-compact", 0)


def test_a_chain_of_runs_names_its_parents_and_counts_its_own_steps(train, tmp_path):
    """The first begins with a file of another licence; the second with the whole model of the first."""
    given = SRFlow(toy_recipe("model.flow.hidden_channels=12").model.config())
    given.metadata = given.metadata.__class__("other", "Converted from RRDB.pth, under its licence.")
    given.save_pretrained(tmp_path / "rrdb")
    assert train(initial=tmp_path / "rrdb").run(stop_after=0.0) == "time limit"
    last = SRFlow.from_pretrained(tmp_path / "run" / "last").metadata
    sha256 = given.metadata.weights_sha256[:12]
    assert last.license == "other"
    assert last.provenance == (
        f"Converted from RRDB.pth, under its licence. From the encoder of those weights (sha256 {sha256}), trained by "
        "`srflow train srflow-da-r-x4-compact`: averaged weights after step 1 of 6."
    )
    assert train(initial=tmp_path / "rrdb").run() == "finished"  # resumed: the same parent, all of its own steps
    first = record(tmp_path / "run" / "last")
    assert (first["steps"], first["planned"]) == (6, 6)
    parent = first["parent"]
    assert (parent["source"], parent["parts"], parent["license"], parent["record"]) == (
        "rrdb",
        ["encoder"],
        "other",
        None,
    )
    assert parent["weights_sha256"] == given.metadata.weights_sha256

    train("seed=1", initial=tmp_path / "run" / "last", output="second").run(stop_after=0.0)
    second = record(tmp_path / "second" / "last")
    assert second["parent"]["record"] == first
    assert second["parent"]["parts"] == ["encoder", "flow"]
    assert second["text"].startswith(f"{first['text']} From those weights (sha256 {first['weights_sha256'][:12]}), tr")
    assert "after step 1 of 6." in second["text"]


def test_the_command_records_itself(pictures, tmp_path):
    places = ["--data", str(pictures), "--cache", str(tmp_path), "--output", str(tmp_path / "run")]
    words = ["train", "srflow-da-r-x4-compact", *TOY, "validation.every_steps=0", "--stop-after", "0"]
    assert main([*words, *places]) == 0
    (start,) = record(tmp_path / "run")["starts"]
    assert start["overrides"] == [*TOY, "validation.every_steps=0"]
    assert start["command"] == [*words, "--data", "pictures", "--cache", tmp_path.name, "--output", "run"]


def test_what_is_written_is_read_again(train, tmp_path):
    train(initial=None)
    read = Provenance.read(tmp_path / "run")
    assert read.to_dict() == record(tmp_path / "run")
    assert Provenance.read(tmp_path) is None


def test_a_full_disk_does_not_end_the_run(train, tmp_path, monkeypatch):
    trainer = train()
    messages: list[str] = []
    trainer.folder.report = messages.append
    monkeypatch.setattr(Provenance, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert trainer.run() == "finished"
    assert any("No space left" in message for message in messages)


def test_pictures_are_known_by_their_contents_wherever_they_lie(pictures, tmp_path):
    sources = PictureStore.open(pictures, tmp_path / "cache").sources
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in sorted(pictures.iterdir())]
    assert (sources.folder, sources.count) == ("pictures", 2)
    assert sources.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    (tmp_path / "copy").mkdir()
    for path in pictures.iterdir():
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    copy = PictureStore.open(tmp_path / "copy", tmp_path / "cache", reductions=(1, 2)).sources
    assert (copy.folder, copy.sha256) == ("copy", sources.sha256)
    (tmp_path / "copy" / "picture0.png").write_bytes((pictures / "picture1.png").read_bytes())
    assert PictureStore.open(tmp_path / "copy", tmp_path / "cache").sources.sha256 != sources.sha256


def test_files_are_hashed_once(pictures, tmp_path, monkeypatch):
    first = PictureStore.open(pictures, tmp_path / "cache").sources
    monkeypatch.setattr("srflow.training.store._sha256", lambda path: pytest.fail(f"{path} was hashed again"))
    assert PictureStore.open(pictures, tmp_path / "cache").sources == first


def test_the_commit_is_that_of_the_packages_own_repository(tmp_path, monkeypatch):
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "--message", "first")
    monkeypatch.setattr(environment, "_ROOT", tmp_path.resolve())
    assert source_commit() == git("rev-parse", "HEAD")
    (tmp_path / "file").write_text("2")
    assert source_commit() == git("rev-parse", "HEAD") + "+changes"
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(environment, "_ROOT", tmp_path.resolve() / "site-packages")
    assert source_commit() is None
    monkeypatch.setenv("PATH", "")
    assert source_commit() is None

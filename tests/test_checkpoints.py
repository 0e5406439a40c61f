"""Our own checkpoint format: what is saved, what is refused, and a stand-in for the Hub."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch
from conftest import make_toy, random_pair
from PIL import Image

from srflow.checkpoints import own
from srflow.checkpoints.shipped import DEFAULT_CHECKPOINT, resolve_checkpoint, shipped_checkpoints
from srflow.contract import CheckpointError, InputError
from srflow.model import SRFlow
from srflow.training.initialise import initial_model
from srflow.training.recipe_files import load_recipe


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = make_toy("srflow-da-r-x4-compact", torch.float32)
    model.metadata = own.Metadata("cc-by-4.0", "Drawn at random.")
    model.save_pretrained(tmp_path / "model", model_card_kwargs={"details": "## Data\n\nNone."})
    return tmp_path / "model"


def test_a_loaded_model_is_the_saved_one(saved: Path) -> None:
    model = make_toy("srflow-da-r-x4-compact", torch.float32)
    loaded = SRFlow.from_pretrained(saved)
    assert not loaded.training
    assert loaded.config == model.config
    hr, lr = random_pair(4, dtype=torch.float32)
    torch.testing.assert_close(loaded.log_prob(hr, lr), model.log_prob(hr, lr))
    # The actnorms are trained: other data in training mode must not initialise them again.
    before = {key: value.clone() for key, value in loaded.state_dict().items()}
    loaded.train().log_prob(hr * 0.1, lr * 0.1)
    assert all(torch.equal(value, before[key]) for key, value in loaded.state_dict().items())


def test_licence_origin_and_hash_are_kept(saved: Path) -> None:
    loaded = SRFlow.from_pretrained(saved)
    assert (loaded.metadata.license, loaded.metadata.provenance) == ("cc-by-4.0", "Drawn at random.")
    assert len(loaded.metadata.weights_sha256) == 64
    loaded.save_pretrained(saved.with_name("again"))
    assert SRFlow.from_pretrained(saved.with_name("again")).metadata == loaded.metadata


def test_the_card_has_front_matter_and_is_not_overwritten(saved: Path) -> None:
    card = huggingface_hub.ModelCard.load(saved / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.pipeline_tag == "image-to-image"
    assert card.data.library_name == "srflow"
    assert "## Data" in card.text
    (saved / "README.md").write_text("mine")
    SRFlow.from_pretrained(saved).save_pretrained(saved)
    assert (saved / "README.md").read_text() == "mine"


def test_the_example_on_the_card_runs(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.linear_gradient("L").resize((6, 4)).save(tmp_path / "lr.png")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", (saved / "README.md").read_text(), re.DOTALL)
    exec(example.replace("path/to/this/folder", str(saved)), {})
    with Image.open("sr.png") as drawn:
        assert drawn.size == (24, 16)


def _edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    values["model"] |= changes
    path.write_text(json.dumps(values))


def _edit_top(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _edit_tensors(folder: Path, change: object) -> None:
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    change(tensors)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")


BROKEN = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "not a configuration"),
    "config of something else": (lambda f: (f / "config.json").write_text("{}"), "not a configuration"),
    "unknown setting": (lambda f: _edit_config(f, colour="red"), "colour"),
    "missing setting": (lambda f: _edit_config(f, flow={}), "incomplete"),
    "truncated": (lambda f: os.truncate(f / "model.safetensors", 999), "truncated"),
    "no safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"x" * 100), "truncated"),
    "missing key": (lambda f: _edit_tensors(f, lambda t: t.pop("encoder.conv_first.bias")), "1 keys missing .encoder"),
    "extra key": (lambda f: _edit_tensors(f, lambda t: t.update(surprise=torch.zeros(1))), "too many .surprise"),
    "whole numbers": (
        lambda f: _edit_tensors(f, lambda t: t.update({"encoder.conv_first.bias": torch.ones(4, dtype=torch.int64)})),
        "1 of another kind .encoder.conv_first.bias holds torch.int64",
    ),
    "far too many layers": (
        lambda f: _edit_config(f, encoder={"num_blocks": 2_000_000}), "num_blocks is 2000000; it must be from 1 to 256"
    ),
    "nested too deeply": (lambda f: (f / "config.json").write_text("[" * 200_000), "not a configuration"),
    "no licence": (lambda f: _edit_top(f, license=None), "license is None; it must be a text"),
    "format version": (lambda f: _edit_top(f, format_version=True), "format version True"),
    "NaN": (lambda f: _edit_tensors(f, lambda t: t["encoder.conv_first.bias"].fill_(torch.nan)), "not finite"),
    "another scale factor": (
        lambda f: _edit_config(f, **make_toy("srflow-da-r-x8-compact", torch.float32).config.to_dict()),
        "scale factor",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_checkpoints_get_a_named_error(saved: Path, case: str) -> None:
    damage, message = BROKEN[case]
    damage(saved)
    with pytest.raises(CheckpointError, match=message):
        SRFlow.from_pretrained(saved)


def test_loading_takes_no_random_numbers_and_weights_of_other_precisions(saved: Path) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.half() for name, tensor in tensors.items() if tensor.is_floating_point()})

    _edit_tensors(saved, halve)
    state = torch.get_rng_state()
    loaded = SRFlow.from_pretrained(saved)
    assert torch.equal(torch.get_rng_state(), state)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.is_initialized
    (saved / "model.safetensors").unlink()  # loaded tensors do not depend on the file
    assert torch.isfinite(loaded.sample(torch.rand(1, 3, 4, 4))).all()


def test_a_model_that_was_changed_for_sampling_is_not_saved(saved: Path) -> None:
    model = SRFlow.from_pretrained(saved)
    before = (saved / "model.safetensors").read_bytes()
    model.set_conv_dtype(torch.bfloat16)
    with pytest.raises(InputError, match="set_conv_dtype"):
        model.save_pretrained(saved)
    assert (saved / "model.safetensors").read_bytes() == before


def test_what_is_kept_knows_no_model() -> None:
    """The model knows how it is kept; files, card and metadata know of configurations and tensors only."""
    for name in ("own", "card", "metadata", "shipped"):
        assert "srflow.model" not in Path(own.__file__).with_name(f"{name}.py").read_text(), name


def test_a_newer_format_is_refused(saved: Path) -> None:
    values = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(values | {"format_version": 99}))
    with pytest.raises(CheckpointError, match="version 99"):
        SRFlow.from_pretrained(saved)


def test_a_crash_while_saving_leaves_the_old_weights(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = (saved / "model.safetensors").read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space"):
        make_toy("srflow-da-r-x4-compact", torch.float32, seed=1).save_pretrained(saved)
    assert (saved / "model.safetensors").read_bytes() == old
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_loading_from_the_hub_by_a_stand_in(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repo_id: str, filename: str, **options: object) -> str:
        asked.append((repo_id, filename, options))
        return str(saved / filename)

    monkeypatch.setattr(own, "hf_hub_download", download)
    model = SRFlow.from_pretrained("somebody/some-model", revision="v1")
    assert model.config.name == "srflow-da-r-x4-compact"
    assert asked == [
        ("somebody/some-model", "config.json", {"revision": "v1"}),
        ("somebody/some-model", "model.safetensors", {"revision": "v1"}),
    ]


def test_hub_errors_are_worded(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(own, "hf_hub_download", unreachable)
    with pytest.raises(CheckpointError, match="could not be reached"):
        SRFlow.from_pretrained("somebody/some-model")
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="neither a folder nor a name"):
        SRFlow.from_pretrained("no/such/folder")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the Hub: a folder of repositories for the client's uploads and downloads."""
    folder = tmp_path / "hub"

    def create_repo(_self: object, repo_id: str, **_: object) -> huggingface_hub.RepoUrl:
        owned = repo_id if "/" in repo_id else f"me/{repo_id}"  # as the Hub resolves it
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{owned}")

    def upload_folder(_self: object, *, repo_id: str, folder_path: Path, revision: str | None, **_: object) -> str:
        shutil.copytree(folder_path, folder / repo_id / (revision or "main"))
        return f"commit of {repo_id}"

    def download(repo_id: str, filename: str, revision: str = "main") -> str:
        return str(folder / repo_id / revision / filename)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(own, "hf_hub_download", download)
    return folder


def test_a_model_that_was_pushed_to_the_hub_comes_back_from_there(hub: Path, tmp_path: Path) -> None:
    model = make_toy("srflow-da-r-x4-compact", torch.float32)
    model.push_to_hub("somebody/some-model", model_card_kwargs={"details": "## Data"})
    files = sorted(path.name for path in (hub / "somebody/some-model/main").iterdir())
    assert files == ["README.md", "config.json", "model.safetensors"]
    assert "## Data" in (hub / "somebody/some-model/main/README.md").read_text()
    assert model.save_pretrained(tmp_path / "named", push_to_hub=True, branch="v1") == "commit of me/named"
    for loaded in (SRFlow.from_pretrained("somebody/some-model"), SRFlow.from_pretrained("me/named", revision="v1")):
        assert loaded.metadata.weights_sha256 == model.metadata.weights_sha256
    assert model.save_pretrained(tmp_path / "kept") is None
    assert not (hub / "me/kept").exists()


UNKNOWN = {
    "loading": (lambda m, f: SRFlow.from_pretrained(f, dtype="auto", typo=1), "dtype, typo; it has revision"),
    "saving": (lambda m, f: m.save_pretrained(f, safe_serialization=True), "safe_serialization; it has none"),
    "pushing": (lambda m, f: m.save_pretrained(f, push_to_hub=True, typo=1), "typo; it has commit_message"),
    "the card": (lambda m, f: m.save_pretrained(f, model_card_kwargs={"language": "en"}), "language; it has details"),
    "a name for nothing": (lambda m, f: m.save_pretrained(f, repo_id="a/b"), "push_to_hub=True"),
    "another configuration": (lambda m, f: m.save_pretrained(f, config={}), "accepts no other"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_options_that_do_not_exist_are_refused(saved: Path, hub: Path, case: str) -> None:
    ask, message = UNKNOWN[case]
    model = make_toy("srflow-da-r-x4-compact", torch.float32)
    before = (saved / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(InputError, match=message):
        ask(model, saved)
    assert (saved / "model.safetensors").stat().st_mtime_ns == before
    assert not hub.exists()


def test_shipped_checkpoints_load() -> None:
    for folder in shipped_checkpoints():
        assert SRFlow.from_pretrained(folder).config.name == folder.name


def test_shipped_encoders_fit_the_recipes_that_they_are_for() -> None:
    folders = sorted((resolve_checkpoint(None).parent / "encoders").iterdir())
    assert folders
    for folder in folders:
        assert folder not in shipped_checkpoints()  # it cannot be sampled from
        model, has_encoder = initial_model(load_recipe(folder.name), folder)
        assert has_encoder
        given = SRFlow.from_pretrained(folder).encoder.state_dict()
        for name, tensor in model.encoder.state_dict().items():
            assert torch.equal(tensor, given[name]), name


def test_names_of_shipped_checkpoints_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srflow.checkpoints.shipped._FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match="--model"):
        resolve_checkpoint(None)
    assert resolve_checkpoint("somebody/model") == "somebody/model"
    (tmp_path / DEFAULT_CHECKPOINT).mkdir()
    (tmp_path / DEFAULT_CHECKPOINT / "config.json").touch()
    assert resolve_checkpoint(None) == resolve_checkpoint(DEFAULT_CHECKPOINT) == tmp_path / DEFAULT_CHECKPOINT

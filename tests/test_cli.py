"""The command line: what it prints, what it writes, and its error messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy
from training_helpers import TOY

from srflow.cli import main
from srflow.images import downscale_uint8, to_tensor
from srflow.latents import Latents
from srflow.model import SRFlow
from srflow.pictures import load_image, save_png
from srflow.presets import PRESETS


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    make_toy("srflow-da-r-x4-compact", torch.float32).save_pretrained(folder)
    return folder


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.linspace(20, 120, 27), np.linspace(0, 100, 30))[..., None] + rng.normal(0, 3, (27, 30, 3))
    save_png(tmp_path / "picture.png", smooth.round().astype(np.uint8))
    return tmp_path / "picture.png"


def test_info_lists_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in PRESETS)
    assert "8,414,064" in printed


def test_info_shows_the_layers_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """The released -S "splits every 6", which a printed list shows to be after steps 1 and 7."""
    assert main(["info", "srflow-da-s-x4"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    steps = [" ".join(words[:3]) for words in lines if words[:2] == ["flow", "step"] or words[:1] == ["split"]]
    assert steps[:3] == ["flow step 1", "split → latent", "flow step 2"]
    assert steps[8] == "split → latent"
    assert len(steps) == 14


def test_encode_writes_latents_numbers_and_a_picture(checkpoint: Path, hr: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["encode", str(hr), "--model", str(checkpoint), "--output", str(out)]) == 0
    numbers = json.loads((out / "likelihood.json").read_text())
    assert (numbers["height"], numbers["width"]) == (24, 28)  # cropped to multiples of 4
    assert load_image(out / "likelihood.png").shape == (24, 28, 3)
    picture = load_image(hr)[:24, :28]
    model = SRFlow.from_pretrained(checkpoint)
    lr_path = tmp_path / "lr.png"
    save_png(lr_path, downscale_uint8(picture, 4))
    with torch.no_grad():
        latents, log_prob = model.encode(to_tensor(picture), model.condition(to_tensor(load_image(lr_path))))
    assert numbers["log_prob_nats"] == pytest.approx(log_prob.item(), rel=1e-5)
    loaded = Latents.load(out / "latents.safetensors")
    for ours, theirs in zip(loaded, latents, strict=True):
        torch.testing.assert_close(ours, theirs)
    # The same LR, given by hand, is the same result.
    again = tmp_path / "again"
    assert main(["encode", str(hr), str(lr_path), "--model", str(checkpoint), "--output", str(again)]) == 0
    assert json.loads((again / "likelihood.json").read_text()) == numbers


def test_encode_takes_a_folder_and_leaves_out_its_own_results(
    checkpoint: Path, hr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    hr.rename(folder / "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    for _ in range(2):
        assert main(["encode", str(folder), "--model", str(checkpoint)]) == 1
        assert sorted(path.name for path in folder.iterdir()) == ["a-encoded", "a.png", "b.png"]
    assert "1 made by this program (a-encoded/likelihood.png)" in capsys.readouterr().err


def test_encode_words_sizes_that_do_not_fit(
    checkpoint: Path, hr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_png(tmp_path / "lr.png", np.zeros((5, 5, 3), np.uint8))
    assert main(["encode", str(hr), str(tmp_path / "lr.png"), "--model", str(checkpoint)]) == 2
    assert "must be 7x6; lr.png is 5x5" in capsys.readouterr().err


def test_errors_of_the_system_are_one_line(
    hr: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_arguments: object) -> int:
        raise OSError(28, "No space left on device", "some/file")

    monkeypatch.setattr("srflow.cli.encode.run", fail)
    assert main(["encode", str(hr)]) == 2
    assert capsys.readouterr().err == "srflow encode: some/file: No space left on device.\n"


def test_errors_are_one_line_and_exit_code_2(hr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", str(hr), "--model", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("srflow encode: ")
    assert error.count("\n") == 1
    assert "config.json" in error


def test_help_of_every_command_needs_no_torch() -> None:
    code = (
        "import sys\nfrom srflow.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for command in ("info", "sample", "encode", "convert", "train", "evaluate"):
        assert command in result.stdout


def test_overrides_are_taken_before_and_after_options(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = ["train", "srflow-da-r-x4-compact", *TOY]

    def planned() -> str:
        return capsys.readouterr().out.partition("Measured here")[0]

    assert main([*recipe, "training.steps=7", "--dry-run", "pretraining.steps=5"]) == 0
    printed = planned()
    assert main([*recipe, "--dry-run", "training.steps=7", "pretraining.steps=5"]) == 0
    assert planned() == printed
    with pytest.raises(SystemExit):
        main([*recipe, "--dry-run", "--no-such-option"])

"""`srflow sample` on folders: shares, names, pictures that cannot be read, results that do not fit into memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.cli import main
from srflow.contract import RECIPE_KEY, Recipe
from srflow.images import load_image, read_png_text, save_png
from srflow.sampling import engine as engine_module

NAME = "srflow-da-r-x4-compact"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A toy model, three pictures, and where results go."""
    make_toy(NAME, torch.float32).save_pretrained(tmp_path / "model")
    for number in range(3):
        array = np.random.default_rng(number).integers(90, 160, (6, 20 + number, 3), dtype=np.uint8)
        save_png(tmp_path / "in" / f"p{number}.png", array)
    return tmp_path / "model", tmp_path / "in", tmp_path / "out"


def arguments(folders: tuple[Path, Path, Path], *more: str) -> list[str]:
    model, given, out = map(str, folders)
    return ["sample", given, out, "--model", model, "--temperature", "0.3", "--precision", "float32", *more]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_two_processes_share_a_folder(folders: tuple[Path, Path, Path]) -> None:
    assert main(arguments(folders, "--device", "cpu")) == 0
    expected = {path.name: load_image(path) for path in folders[2].iterdir()}
    shared = folders[2].with_name("shared")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", "srflow"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, *arguments((*folders[:2], shared))],
        check=True, timeout=300, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert set(re.findall(r"\| \d+/(\d+) \[", done.stderr)) == {"2"}  # of the three pictures, by the first's bar
    assert names(shared) == sorted(expected)
    for path in shared.iterdir():
        np.testing.assert_array_equal(load_image(path), expected[path.name])


def test_a_process_takes_its_share_and_no_more(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srflow.cli.sample._process", lambda device: nullcontext((1, 2, device)))
    assert main(arguments(folders, "--device", "cpu")) == 0
    assert names(folders[2]) == ["p1_sample0.png"]


def test_a_picture_that_cannot_be_read_is_named_and_left_out(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture
) -> None:
    (folders[1] / "p1.png").write_bytes(b"no picture")
    assert main(arguments(folders)) == 1
    assert names(folders[2]) == ["p0_sample0.png", "p2_sample0.png"]
    assert "p1.png" in capsys.readouterr().err


def test_pictures_of_one_name_do_not_overwrite_each_other(folders: tuple[Path, Path, Path]) -> None:
    (folders[1] / "p1.png").rename(folders[1] / "p0.bmp")
    assert main(arguments(folders)) == 0
    assert names(folders[2]) == ["p0.bmp_sample0.png", "p0.png_sample0.png", "p2_sample0.png"]


def test_tiles_can_be_asked_for(folders: tuple[Path, Path, Path]) -> None:
    assert main(arguments(folders, "--tile", "16")) == 0
    recipe = Recipe.from_json(read_png_text(folders[2] / "p0_sample0.png")[RECIPE_KEY])
    assert recipe.tile == 16


def test_results_that_do_not_fit_into_memory_go_through_files(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert main(arguments(folders, "--num-samples", "2")) == 0
    expected = load_image(folders[2] / "p1_sample1.png")
    original = engine_module.make_plan

    def on_disk(*given: object, **settings: object) -> object:
        import dataclasses

        return dataclasses.replace(original(*given, **settings), on_disk=True)

    monkeypatch.setattr(engine_module, "make_plan", on_disk)
    monkeypatch.setattr("srflow.pictures.writing._LARGE_BYTES", 0)
    other = folders[2].with_name("other")
    assert main(arguments((*folders[:2], other), "--num-samples", "2")) == 0
    assert names(other) == names(folders[2])
    np.testing.assert_array_equal(load_image(other / "p1_sample1.png"), expected)
    assert "files" in capsys.readouterr().err

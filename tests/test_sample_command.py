"""`srflow sample` on folders: shares, names, pictures that cannot be read, results that do not fit into memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy
from PIL import Image

from srflow.cli import main
from srflow.contract import RECIPE_KEY, SampleRecipe
from srflow.images import upscale_uint8
from srflow.pictures import load_image, png_bits, read_picture, read_png_text, save_png
from srflow.sampling import engine as engine_module
from srflow.sampling import estimating
from srflow.sampling.inference import InferenceModel

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
        check=True, timeout=800, env=environment, capture_output=True, text=True,
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
    recipe = SampleRecipe.from_json(read_png_text(folders[2] / "p0_sample0.png")[RECIPE_KEY])
    assert recipe.tile == 16


def test_results_that_do_not_fit_into_memory_go_through_files(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert main(arguments(folders, "--num-samples", "2")) == 0
    expected = load_image(folders[2] / "p1_sample1.png")
    original = estimating.make_plan

    def on_disk(*given: object, **settings: object) -> object:
        return replace(original(*given, **settings), on_disk=True)

    monkeypatch.setattr(estimating, "make_plan", on_disk)
    monkeypatch.setattr("srflow.pictures.writing._LARGE_BYTES", 0)
    other = folders[2].with_name("other")
    assert main(arguments((*folders[:2], other), "--num-samples", "2")) == 0
    assert names(other) == names(folders[2])
    np.testing.assert_array_equal(load_image(other / "p1_sample1.png"), expected)
    assert "files" in capsys.readouterr().err


def test_no_picture_that_can_be_read_is_exit_status_2(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture
) -> None:
    for number in range(3):
        (folders[1] / f"p{number}.png").write_bytes(b"no picture")
    assert main(arguments(folders)) == 2
    error = capsys.readouterr().err
    assert "3 of 3 pictures failed" in error
    assert "p0.png: p0.png" not in error


def test_names_that_meet_only_at_the_end_lose_nothing(folders: tuple[Path, Path, Path]) -> None:
    for path in folders[1].iterdir():
        path.unlink()
    for name, value in (("photo.png", 60), ("photo.bmp", 120), ("photo.bmp.png", 180)):
        Image.fromarray(np.full((6, 20, 3), value, np.uint8)).save(folders[1] / name)
    assert main(arguments(folders)) == 0
    expected = ["photo.bmp.png_sample0.png", "photo.bmp_sample0.png", "photo.png_sample0.png"]
    assert names(folders[2]) == expected
    for name, value in zip(expected, (180, 120, 60), strict=True):
        assert abs(load_image(folders[2] / name).mean() - value) < 20


def test_subfolders_keep_their_names_and_what_is_left_out_is_named(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture
) -> None:
    (folders[1] / "sub").mkdir()
    (folders[1] / "p1.png").rename(folders[1] / "sub" / "p0.png")
    (folders[1] / "notes.txt").write_text("x")
    assert main(arguments(folders)) == 0
    assert names(folders[2]) == ["p0_sample0.png", "p2_sample0.png", "sub"]
    assert names(folders[2] / "sub") == ["p0_sample0.png"]
    assert "Left out 1 file" in capsys.readouterr().err
    other = folders[2].with_name("other")
    assert main(arguments((*folders[:2], other), "--no-recursive")) == 0
    assert names(other) == ["p0_sample0.png", "p2_sample0.png"]


def test_a_second_run_in_the_same_folder_does_not_enlarge_what_the_first_made(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture
) -> None:
    same = (folders[0], folders[1], folders[1])
    for _ in range(2):
        assert main(arguments(same)) == 0
        assert names(folders[1]) == [f"p{number}{end}.png" for number in range(3) for end in ("", "_sample0")]
    assert "3 made by this program" in capsys.readouterr().err


@pytest.mark.parametrize("on_disk", [False, True])
def test_sixteen_bits_hold_what_eight_round_away(
    folders: tuple[Path, Path, Path], on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgba = np.random.default_rng(0).integers(90, 160, (6, 20, 4), dtype=np.uint8)
    Image.fromarray(rgba).save(folders[1] / "p0.png")
    assert main(arguments(folders)) == 0
    original = estimating.make_plan
    monkeypatch.setattr(
        estimating, "make_plan", lambda *given, **more: replace(original(*given, **more), on_disk=on_disk)
    )
    deep = folders[2].with_name("deep")
    assert main(arguments((*folders[:2], deep), "--bits", "16")) == 0
    assert names(deep) == names(folders[2])
    for name in names(deep):
        assert png_bits(deep / name) == 16
        values, rounded = (read_picture(folder / name, bits=16) for folder in (deep, folders[2]))
        difference = values.pixels.astype(int) - rounded.pixels
        assert 100 < np.abs(difference).max() <= 129, "no more than half a level of 8 bits, of 257"
        assert len(np.unique(values.pixels % 257)) > 200, "the levels between those of 8 bits are there"
    np.testing.assert_array_equal(
        read_picture(deep / "p0_sample0.png", bits=16).alpha, upscale_uint8(rgba[..., 3], 4).astype(np.uint16) * 257
    )
    before = {path.name: path.stat().st_mtime_ns for path in deep.iterdir()}
    assert main(arguments((*folders[:2], deep), "--bits", "16", "--skip-existing")) == 0
    assert {path.name: path.stat().st_mtime_ns for path in deep.iterdir()} == before
    assert main(arguments((*folders[:2], deep), "--skip-existing")) == 0
    assert all(png_bits(path) == 8 for path in deep.iterdir()), "of another depth: not what is asked for"


def test_existing_samples_are_skipped_by_their_recipe(folders: tuple[Path, Path, Path]) -> None:
    assert main(arguments(folders, "--num-samples", "2")) == 0
    inodes = {path.name: path.stat().st_ino for path in folders[2].iterdir()}
    torn = folders[2] / "p0_sample1.png"
    torn.write_bytes(torn.read_bytes()[:-300])
    (folders[2] / "p2_sample0.png").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in folders[2].iterdir()}
    assert main(arguments(folders, "--num-samples", "2", "--skip-existing")) == 0
    assert names(folders[2]) == sorted(inodes)
    kept = {path.name for path in folders[2].iterdir() if path.stat().st_mtime_ns == before.get(path.name)}
    assert kept == set(inodes) - {"p0_sample1.png", "p2_sample0.png"}
    again = {path.name: path.stat().st_mtime_ns for path in folders[2].iterdir()}
    assert main(arguments(folders, "--num-samples", "2", "--skip-existing", "--seed", "5")) == 0
    assert all(path.stat().st_mtime_ns != again[path.name] for path in folders[2].iterdir())


def test_an_output_that_cannot_be_written_is_one_line_before_any_work(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module.SamplingEngine, "__init__", lambda *_, **__: pytest.fail("loaded a model"))
    (tmp_path / "file").write_text("in the way")
    for output, said in ((tmp_path / "file", "is a file"), (tmp_path / "file" / "out", "cannot be written")):
        assert main(arguments((*folders[:2], output))) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    missing = tmp_path / "none.png"
    assert main(arguments((folders[0], missing, tmp_path / "out"))) == 2
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_costs_one_picture_and_leaves_no_half_file(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert main(arguments(folders)) == 1
    assert names(folders[2]) == ["p1_sample0.png", "p2_sample0.png"]
    assert "no room left" in capsys.readouterr().err


def test_alpha_grey_metadata_and_notes_reach_the_output(folders: tuple[Path, Path, Path]) -> None:
    for path in folders[1].iterdir():
        path.unlink()
    rng = np.random.default_rng(0)
    rgba = rng.integers(90, 160, (8, 12, 4), dtype=np.uint8)
    rgba[:, :6, 3], rgba[:, 6:, 3] = 0, 255
    Image.fromarray(rgba).save(folders[1] / "alpha.png", dpi=(300, 300))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    grey = rng.integers(90, 160, (8, 12), dtype=np.uint8)
    Image.fromarray(grey).save(folders[1] / "grey.png", exif=exif)
    assert main(arguments(folders)) == 0
    with Image.open(folders[2] / "alpha_sample0.png") as image:
        image.load()
        assert image.mode == "RGBA"
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
        assert np.array_equal(np.asarray(image)[..., 3], upscale_uint8(rgba[..., 3], 4))
        assert image.text["srflow-input"] == "alpha kept"
    with Image.open(folders[2] / "grey_sample0.png") as image:
        assert image.mode == "L"
        assert image.getexif()[0x010F] == "Maker"
    bare = folders[2].with_name("bare")
    assert main(arguments((*folders[:2], bare), "--strip-metadata")) == 0
    with Image.open(bare / "alpha_sample0.png") as image:
        assert "dpi" not in image.info
        assert RECIPE_KEY in image.text


def test_a_sample_that_cannot_be_drawn_is_marked_in_file_and_exit_status(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = InferenceModel.decode

    def broken(model: InferenceModel, latents: list[torch.Tensor], *rest: object) -> tuple:
        raw, log_dets = original(model, latents, *rest)
        return raw * torch.nan, log_dets

    monkeypatch.setattr(InferenceModel, "decode", broken)
    one = (folders[0], folders[1] / "p0.png", folders[2])
    assert main(arguments(one)) == 1
    assert read_png_text(folders[2] / "p0_sample0.png")["srflow-flags"].startswith("not as asked")


def test_names_with_digits_of_other_kinds_are_sorted_too(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    for name in ("10\u00b23.png", "\u0663.png", "2.png", "10.png"):
        save_png(tmp_path / "in" / name, np.full((2, 2, 3), 100, np.uint8))
    assert main(arguments(folders)) == 0
    assert len(names(folders[2])) == 7

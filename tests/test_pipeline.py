"""`srflow.load("…")`: Pillow pictures in and out, the same as the command writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy
from PIL import Image

import srflow
from srflow.cli import main
from srflow.contract import CheckpointError, ImageError, InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "toy"
    make_toy("srflow-da-r-x4-compact", torch.float32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pipe(folder: Path) -> srflow.Pipeline:
    return srflow.load(folder, device="cpu", precision="float32")


def picture(mode: str = "RGB", size: tuple[int, int] = (7, 5)) -> Image.Image:
    """Smooth enough for an 8-bit comparison; partly transparent where the mode has an alpha."""
    width, height = size
    rng = np.random.default_rng(0)
    pixels = rng.integers(40, 200, (height, width, 4), dtype=np.uint8)
    pixels[:, : width // 2, 3] = 255
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P"])
def test_the_pixels_are_those_that_the_command_writes(pipe, folder: Path, tmp_path: Path, mode: str) -> None:
    image = picture(mode)
    image.save(tmp_path / "lr.png")
    arguments = ["--model", str(folder), "--precision", "float32", "--device", "cpu", "--num-samples", "2"]
    arguments += ["--seed", "3", "--temperature", "0.5"]
    assert main(["sample", str(tmp_path / "lr.png"), str(tmp_path / "out"), *arguments]) == 0
    drawn = pipe(image, num_samples=2, seed=3, temperature=0.5)
    assert len(drawn.images) == 2
    for index, own in enumerate(drawn.images):
        with Image.open(tmp_path / "out" / f"lr_sample{index}.png") as written:
            assert own.mode == written.mode
            np.testing.assert_array_equal(np.asarray(own), np.asarray(written))
        assert drawn.results[index].recipe.index == index


def test_files_are_taken_as_well_and_exif_turns_a_picture_that_was_opened(pipe, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    picture().save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        one = pipe(opened)
    assert one.images[0].size == (20, 28)
    assert "turned upright" in one.notes
    for source in (tmp_path / "turned.png", str(tmp_path / "turned.png"), (tmp_path / "turned.png").read_bytes()):
        np.testing.assert_array_equal(np.asarray(pipe(source).images[0]), np.asarray(one.images[0]))


@pytest.mark.parametrize("mode", ["1", "I;16", "F", "CMYK", "HSV", "YCbCr", "RGBa", "PA"])
def test_every_mode_of_pillow_is_drawn(pipe, mode: str) -> None:
    if mode == "F":
        image = Image.fromarray(np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7))
    elif mode == "I;16":
        image = Image.fromarray(np.linspace(0, 65535, 35).astype(np.uint16).reshape(5, 7))
    else:
        image = picture("RGBA").convert(mode) if mode in ("RGBa", "PA") else picture("RGB").convert(mode)
    (drawn,) = pipe(image, temperature=0.0).images
    assert drawn.size == (28, 20)
    assert drawn.mode == {"1": "L", "I;16": "L", "F": "L", "RGBa": "RGBA", "PA": "RGBA"}.get(mode, "RGB")
    # At temperature 0 the toy model's picture is near the bicubic one, so colours that went wrong would show.
    means = [np.asarray(each.convert("RGB"), float).mean((0, 1)) for each in (drawn, _plain(image))]
    np.testing.assert_allclose(*means, atol=40)


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in ("F", "I;16"):
        values = np.asarray(image, float)
        return Image.fromarray((values / values.max() * 255).astype(np.uint8))
    return image.convert("RGBA") if image.mode in ("RGBa", "PA") else image


def test_a_model_is_told_of_and_loaded_by_its_shipped_name() -> None:
    info = srflow.load("srflow-da-r-x4-compact", device="cpu", precision="float32").info
    assert info.models[0].scale_factor == 4
    assert srflow.SRFlow.from_pretrained("srflow-da-r-x4-compact").config.name == "srflow-da-r-x4-compact"


def test_what_does_not_fit_is_named(pipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="num_samples is 0"):
        pipe(picture(), num_samples=0)
    with pytest.raises(InputError, match="fromarray"):
        pipe(np.zeros((5, 7, 3), np.uint8))
    with pytest.raises(InputError, match="empty: 0x4"):
        pipe(Image.new("RGB", (0, 4)))
    with pytest.raises(ImageError, match="no such file"):
        pipe(tmp_path / "nothing.png")
    with pytest.raises(CheckpointError, match="neither a folder nor a name"):
        srflow.load("no/such/folder", device="cpu", precision="float32")


def test_the_package_lists_what_it_offers() -> None:
    assert set(dir(srflow)) == set(srflow.__all__)
    assert all(hasattr(srflow, name) for name in srflow.__all__)

"""`srflow replay`: the same pixels from a PNG or a JSON file, and what it says when that cannot be."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.cli import main
from srflow.contract import LR_KEY, RECIPE_KEY, SampleRecipe, SampleRequest, SampleResult
from srflow.operations import Heat, Mask, Reroll
from srflow.pictures import load_image, read_png_text, save_png
from srflow.sampling.engine import SamplingEngine

NAME = "srflow-da-r-x4-compact"
MASK = Mask(26, 24, (8, 6, 16, 14), (255, 64))


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A model's folder, an LR picture, and a PNG that was explored from it and carries its recipe."""
    make_toy(NAME, torch.float32).save_pretrained(tmp_path / NAME)
    lr = np.random.default_rng(0).integers(90, 160, (24, 26, 3), dtype=np.uint8)
    save_png(tmp_path / "lr.png", lr)
    request = SampleRequest(
        lr=lr, num_samples=1, first_index=2, temperature=0.3, operations=(Reroll(MASK, 4, 1), Heat(0.1, MASK))
    )
    events = SamplingEngine("cpu", "float32", [tmp_path / NAME]).sample(request)
    [result] = [event for event in events if isinstance(event, SampleResult)]
    save_png(tmp_path / "explored.png", result.picture, text={RECIPE_KEY: result.recipe.to_json()})
    return tmp_path / NAME, tmp_path / "lr.png", tmp_path / "explored.png"


def replay(*words: object) -> int:
    return main(["replay", *map(str, words), "--device", "cpu"])


def test_a_png_is_drawn_again(made: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    model, lr, png = made
    assert replay(png, "--lr", lr, "--model", model) == 0
    assert "The pixels are identical to those of the PNG." in capsys.readouterr().out
    drawn = png.with_name("explored-replayed.png")
    np.testing.assert_array_equal(load_image(drawn), load_image(png))
    assert read_png_text(drawn) == read_png_text(png)


def test_a_json_file_and_the_picture_inside_a_png(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, lr, png = made
    recipe = read_png_text(png)[RECIPE_KEY]
    (tmp_path / "recipe.json").write_text(recipe)
    assert replay(tmp_path / "recipe.json", "--lr", lr, "--model", model, "--output", tmp_path / "a.png") == 0
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), load_image(png))
    carrying = {RECIPE_KEY: recipe, LR_KEY: base64.b64encode(lr.read_bytes()).decode()}
    save_png(tmp_path / "carrying.png", load_image(png), text=carrying)
    assert replay(tmp_path / "carrying.png", "--model", model, "--output", tmp_path / "b.png") == 0
    assert read_png_text(tmp_path / "b.png") == carrying


def test_other_pixels_are_told(made: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    model, lr, png = made
    picture = load_image(png)
    picture[3, 4, 1] += 5
    save_png(png, picture, text=read_png_text(png))
    assert replay(png, "--lr", lr, "--model", model) == 1
    assert f"1 of {picture[..., 0].size} pixels differ" in capsys.readouterr().err


def test_what_cannot_be_replayed_is_told(
    made: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, lr, png = made
    text = read_png_text(png)[RECIPE_KEY]
    plain, broken, foreign = tmp_path / "plain.png", tmp_path / "broken.json", tmp_path / "foreign.json"
    save_png(plain, load_image(png))
    broken.write_text(text.replace("reroll", "explode"))
    foreign.write_text(replace(SampleRecipe.from_json(text), model="../" + NAME).to_json())
    other = tmp_path / "other.png"
    save_png(other, load_image(lr)[::-1].copy())
    for words, message in (
        ((tmp_path / "nothing.png",), "no such file"),
        ((plain, "--lr", lr, "--model", model), "no recipe"),
        ((broken, "--lr", lr, "--model", model), "explode"),
        ((png, "--model", model), "--lr FILE"),
        ((png, "--lr", other, "--model", model), "another LR picture"),
        ((foreign, "--lr", lr), "--model FOLDER"),
        ((model / "model.safetensors",), "neither"),
    ):
        assert replay(*words) == 2
        assert message in capsys.readouterr().err
    assert not png.with_name("explored-replayed.png").exists()
    assert json.loads(text)["operations"]["version"] == 1


def test_a_recipe_is_told_in_words_without_a_model(
    made: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    *_, png = made
    assert replay(png, "--describe") == 0
    words = "sample 3 of seed 0; then region at the centre re-rolled, 2nd variant; region at the centre calmer"
    assert words in capsys.readouterr().out
    assert not png.with_name("explored-replayed.png").exists()

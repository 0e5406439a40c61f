"""Families for programs: the endpoint, and `srflow families`."""

from __future__ import annotations

import json

import gradio as gr
import numpy as np
import pytest
import test_app_families as families
import test_list_endpoints as lists
import torch
from conftest import make_toy
from test_list_endpoints import LIST, call

from srflow.cli import main
from srflow.contract import RECIPE_KEY, SampleRecipe
from srflow.evaluation import families as trees
from srflow.operations import Draw, Reroll, from_values, to_json
from srflow.pictures import load_image, read_png_text, save_png

harness, image, grouped = lists.harness, lists.image, families.grouped
PLACE = (4, 3, 8, 7)


def find(harness, image, *place: float, operations: str = "") -> tuple:
    return call(harness, "families", image, *place, operations, "", 9, True, False)


def test_families_come_with_their_shares_and_what_leads_to_them(harness, grouped, image) -> None:
    files, numbers = find(harness, image, *PLACE, operations=to_json(LIST))
    assert len(grouped.explored[0].variants) == 160
    [left_out] = grouped._comparison(160, 1).left_out
    assert grouped.explored[0].recipe.whole_list == LIST == from_values(numbers["operations"])
    names = [family["name"] for family in numbers["families"]]
    assert [name for name in names if "." not in name] == ["1", "2", "3"]
    assert names.index("1.1") == 1
    outer = [family for family in numbers["families"] if "." not in family["name"]]
    members = sorted(number for family in outer for number in family["members"])
    assert members == [number for number in range(160) if number != left_out], "one is implausible"
    assert [family["share"] for family in outer] == pytest.approx([90 / 160, 60 / 160, 9 / 160], abs=1.1 / 160)
    assert numbers["explained"] > 0.9
    for file, family in zip(files, numbers["families"], strict=True):
        recipe = SampleRecipe.from_json(grouped.read_png_text(file)[RECIPE_KEY])
        roll = recipe.operations[-1]
        assert isinstance(roll, Reroll)
        assert (roll.seed, roll.to_values()) == (9, family["operation"])
        assert roll.roll in family["members"]
    json.dumps(numbers)


def test_where_there_are_none_it_says_what_they_would_explain(harness, engine, image, monkeypatch) -> None:
    monkeypatch.setattr(trees, "MIN_EXPLAINED", 1.0)
    files, numbers = find(harness, image, *PLACE)
    assert (files, numbers["families"]) == ([], [])
    assert 0 < numbers["explained"] < 1
    assert engine.explored[0].recipe.whole_list == (Draw(0, 0, 0.9),)


def test_a_large_place_is_refused_before_anything_is_drawn(harness, engine, image) -> None:
    with pytest.raises(gr.Error, match="at most 12"):
        find(harness, image, 0, 0, 13, 4)
    assert engine.explored == []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "toy"
    make_toy("srflow-da-r-x4-compact", torch.float32).save_pretrained(folder)
    return folder


def test_the_command_writes_a_tree(model, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(trees, "MIN_EXPLAINED", -1.0)  # of noise: the toy draws nothing else
    array = np.random.default_rng(0).integers(90, 160, (24, 26, 3), dtype=np.uint8)
    save_png(tmp_path / "lr.png", array)
    out = tmp_path / "out"
    options = ["--model", str(model), "--device", "cpu", "--precision", "float32", "--temperature", "0.5"]
    given = [str(tmp_path / "lr.png"), str(out), *options, "--index", "2", "--seed", "5"]
    assert main(["families", *given, "--region", "3", "4", "6", "5"]) == 0
    printed = capsys.readouterr().out
    found = json.loads((out / "families.json").read_text())
    assert found["recipe"]["index"] == 2
    assert len(found["families"]) >= 2
    assert f"{sum('.' not in family['name'] for family in found['families'])} families explain" in printed
    base = None
    for family in found["families"]:
        path = out / f"family-{family['name']}.png"
        assert f"{family['name']}: {100 * family['share']:.0f} %, {path}" in printed
        recipe = SampleRecipe.from_json(read_png_text(path)[RECIPE_KEY])
        assert recipe.operations[0].to_values() == family["operation"]
        assert (recipe.seed, recipe.index, recipe.operations[0].seed) == (5, 2, 5)
        outside = load_image(path)
        outside[4:48, 0:48] = 0  # the place, with what it fades over
        assert base is None or np.array_equal(outside, base), "all else stays"
        base = outside


def test_the_command_says_that_only_texture_differs(model, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(trees, "MIN_EXPLAINED", 1.0)
    save_png(tmp_path / "lr.png", np.full((16, 16, 3), 120, np.uint8))
    given = [str(tmp_path / "lr.png"), str(tmp_path / "out"), "--model", str(model), "--device", "cpu"]
    assert main(["families", *given, "--region", "3", "4", "4", "4"]) == 0
    assert "Only texture differs" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "families.json").read_text())["families"] == []
    assert main(["families", *given, "--region", "0", "0", "14", "4"]) == 2
    assert "at most 12" in capsys.readouterr().err
    assert main(["families", *given, "--region", "10", "0", "8", "4"]) == 2
    assert "--region 10 0 8 4 does not lie in" in capsys.readouterr().err

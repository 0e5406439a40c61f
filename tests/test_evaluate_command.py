import json
import sys

import numpy as np
import pytest
import torch
from conftest import make_toy

from srflow.cli import main
from srflow.images import downscale_uint8, upscale_uint8
from srflow.pictures import load_image, save_png


@pytest.fixture(scope="module")
def hr(tmp_path_factory):
    """Two pictures, 40x32 and 44x36."""
    folder = tmp_path_factory.mktemp("data") / "Photos"
    for index, (name, size) in enumerate({"a": (32, 40), "b": (36, 44)}.items()):
        coarse = np.random.default_rng(index).integers(0, 256, (9, 11, 3), dtype=np.uint8)
        save_png(folder / f"{name}.png", upscale_uint8(coarse, 4)[: size[0], : size[1]])
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_toy("srflow-da-r-x4-compact", torch.float32).save_pretrained(folder)
    return folder


def evaluate(*arguments):
    return main(["evaluate", *map(str, arguments)])


def test_a_model_from_the_command_line(hr, checkpoint, tmp_path, capsys):
    arguments = ["--model", checkpoint, "--hr", hr, "--num-samples", 2, "--temperature", 0.4, 0.6, "--device", "cpu"]
    assert evaluate(*arguments, "--output", tmp_path / "one") == 0
    assert "| bicubic |" in capsys.readouterr().out
    report = json.loads((tmp_path / "one" / "results.json").read_text())
    name = "srflow-da-r-x4-compact"
    assert [(row["method"], row["temperature"]) for row in report["rows"]] == [
        ("bicubic", None),
        (f"{name}, encoder alone", None),
        (name, 0.4),
        (f"{name} + consistency", 0.4),
        (name, 0.6),
        (f"{name} + consistency", 0.6),
    ]
    settings = report["settings"]
    assert (settings["model"], settings["hr"], settings["num_images"]) == (name, "Photos", 2)
    assert len(settings["weights_sha256"]) == 64
    assert settings["consistency_rounds"] == 5
    assert settings["feature_network"] == "efficientnet-lite0"
    assert all(row["feature_distance"] > 0 for row in report["rows"])
    assert str(tmp_path) not in json.dumps(report)
    assert str(hr.parent) not in json.dumps(report)
    # The same command gives the same numbers, but for the time.
    assert evaluate(*arguments, "--output", tmp_path / "two") == 0
    again = json.loads((tmp_path / "two" / "results.json").read_text())
    for row in (*report["rows"], *again["rows"]):
        del row["seconds"]
    assert again == report


def test_limit_and_no_consistency_step(hr, checkpoint, tmp_path):
    arguments = ["--model", checkpoint, "--hr", hr, "--num-samples", 1, "--limit", 1, "--consistency-rounds", 0]
    assert evaluate(*arguments, "--precision", "bfloat16", "--output", tmp_path) == 0
    report = json.loads((tmp_path / "results.json").read_text())
    assert [row["num_images"] for row in report["rows"]] == [1, 1, 1]
    assert report["rows"][2]["temperature"] == 0.8  # the preset's default
    assert report["settings"]["conv_dtype"] == "bfloat16"


def test_another_methods_pictures_without_a_model(hr, tmp_path):
    for name in ("a", "b"):
        picture = load_image(hr / f"{name}.png")
        save_png(tmp_path / "Perfect" / f"{name}.png", picture)
        save_png(tmp_path / "noisy" / f"{name}_sample0.png", picture // 2)
        save_png(tmp_path / "noisy" / f"{name}_sample1.png", picture // 4)
    sr = ["--sr", tmp_path / "Perfect", "--sr", f"Half and quarter={tmp_path / 'noisy'}"]
    assert evaluate(*sr, "--hr", hr, "--scale-factor", 4, "--output", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["bicubic", "Perfect", "Half and quarter"]
    assert [row["num_samples"] for row in rows] == [1, 1, 2]
    assert (rows[1]["psnr"], rows[1]["lr_psnr"], rows[1]["lpips"]) == (100.0, 100.0, 0.0)
    assert rows[2]["psnr"] < rows[0]["psnr"]


def test_pictures_beside_a_model_and_given_lr(hr, checkpoint, tmp_path):
    for name in ("a", "b"):
        picture = load_image(hr / f"{name}.png")
        save_png(tmp_path / "sr" / f"{name}.png", picture)
        save_png(tmp_path / "LR" / f"{name}x4.png", downscale_uint8(picture, 4))
    arguments = ["--model", checkpoint, "--num-samples", 1, "--sr", tmp_path / "sr", "--lr", tmp_path / "LR"]
    assert evaluate(*arguments, "--hr", hr, "--output", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(report["rows"]) == 5
    assert report["rows"][-1]["psnr"] == 100.0
    assert report["settings"]["lr"] == "LR"


def test_without_timm_the_feature_distance_is_left_out_and_a_line_says_so(hr, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    for name in ("a", "b"):
        save_png(tmp_path / "sr" / f"{name}.png", load_image(hr / f"{name}.png"))
    assert evaluate("--sr", tmp_path / "sr", "--hr", hr, "--scale-factor", 4, "--output", tmp_path / "out") == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "feature distance" in line]
    assert "pip install timm" in line
    report = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["feature_distance"] for row in report["rows"]] == [None, None]
    assert report["settings"]["feature_network"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to score"),
        (["--sr", "{hr}"], "--scale-factor"),
        (["--model", "{model}", "--scale-factor", "8"], "for x4"),
        (["--model", "{model}", "--consistency-rounds", "-1"], "rounds is -1"),
        (["--model", "{model}", "--num-samples", "0"], "num_samples is 0"),
        (["--model", "{model}", "--temperature", "-1"], "temperature is -1"),
        (["--model", "{model}", "--limit", "0"], "limit is 0"),
        (["--model", "{model}", "--sr", "{hr}/nowhere"], "no folder"),
        (["--model", "{model}", "--device", "abacus"], "abacus"),
        (["--model", "{hr}"], "not a checkpoint"),
    ],
)
def test_mistakes_are_one_line_on_stderr(hr, checkpoint, tmp_path, capsys, arguments, message):
    filled = [argument.format(hr=hr, model=checkpoint) for argument in arguments]
    assert evaluate(*filled, "--hr", hr, "--output", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_broken_picture_is_named(hr, checkpoint, tmp_path, capsys):
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "torn.png").write_bytes((hr / "a.png").read_bytes()[:200])
    assert evaluate("--model", checkpoint, "--hr", tmp_path / "hr", "--output", tmp_path / "out") == 2
    assert "torn.png" in capsys.readouterr().err


def test_one_bad_picture_is_left_out_and_the_others_are_scored(hr, tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes((hr / f"{name}.png").read_bytes())
        save_png(tmp_path / "sr" / f"{name}.png", load_image(hr / f"{name}.png"))
    (folder / "torn.png").write_bytes((hr / "a.png").read_bytes()[:200])
    save_png(tmp_path / "sr" / "torn.png", load_image(hr / "a.png"))
    save_png(tmp_path / "sr" / "b.png", load_image(hr / "b.png")[::2, ::2])
    out = tmp_path / "out"
    assert evaluate("--sr", tmp_path / "sr", "--hr", folder, "--scale-factor", 4, "--output", out) == 1
    error = capsys.readouterr().err
    assert "torn.png" in error
    assert "b.png is" in error
    report = json.loads((out / "results.json").read_text())
    assert report["settings"]["num_images"] == 1


def test_lr_pictures_that_were_swapped_are_doubted(hr, tmp_path, capsys):
    for name, other in (("a", "b"), ("b", "a")):
        save_png(tmp_path / "lr" / f"{name}.png", downscale_uint8(load_image(hr / f"{other}.png")[:32, :40], 4))
        save_png(tmp_path / "sr" / f"{name}.png", load_image(hr / f"{name}.png"))
    arguments = ("--sr", tmp_path / "sr", "--hr", hr, "--lr", tmp_path / "lr", "--scale-factor", 4)
    assert evaluate(*arguments, "--output", tmp_path / "out") == 0
    assert capsys.readouterr().err.count("mixed up") == 2


COMMANDS = {
    "evaluate": lambda model, hr, output: ["--model", model, "--hr", hr, "--output", output],
    "calibrate": lambda model, hr, output: [model, "--hr", hr],
    "encode": lambda model, hr, output: [hr / "a.png", "--model", model],
    "sample": lambda model, hr, output: [hr / "a.png", output, "--model", model],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_finds_its_device_by_the_same_rule(hr, checkpoint, tmp_path, capsys, name):
    given = [name, *COMMANDS[name](checkpoint, hr, tmp_path / "output"), "--device", "cuda:77"]
    assert main(list(map(str, given))) != 0
    assert "There is no device 'cuda:77' on this machine; use auto" in capsys.readouterr().err

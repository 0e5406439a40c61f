"""Latents of changed pictures: decoded, they give the same pictures again."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_toy
from test_editing import CAT, draw

from srflow import SRFlow
from srflow.checkpoints.shipped import shipped_checkpoints
from srflow.cli import main
from srflow.contract import Cancelled, InputError, MemoryBudgetError, SampleRequest
from srflow.images import downscale_uint8, to_tensor, to_uint8_batch
from srflow.latents import Latents, read_metadata
from srflow.operations import Heat, Mask, Reroll
from srflow.pictures import load_image, read_picture, save_png
from srflow.sampling import encoding
from srflow.sampling.engine import SamplingEngine

MASK = Mask.from_array(np.pad(np.full((6, 7), 255, np.uint8), ((4, 12), (5, 15))))


@pytest.fixture(scope="module")
def engine() -> SamplingEngine:
    return SamplingEngine("cpu", "float32")


@pytest.fixture(scope="module")
def model(engine: SamplingEngine) -> SRFlow:
    name = engine.info().default_model
    return SRFlow.from_pretrained(next(folder for folder in shipped_checkpoints() if folder.name == name))


@pytest.fixture(scope="module")
def lr() -> np.ndarray:
    return downscale_uint8(load_image(CAT)[80:168, 60:168], 4)  # 22x27


def decoded(model: SRFlow, levels: tuple[np.ndarray, ...], lr: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        latents = Latents([torch.from_numpy(level) for level in levels])
        return to_uint8_batch(model.decode(latents, model.condition(to_tensor(lr))))


def test_samples_and_explored_pictures_come_back(engine: SamplingEngine, model: SRFlow, lr: np.ndarray) -> None:
    plain = draw(engine, SampleRequest(lr=lr, num_samples=1, seed=3, summaries=False))
    recipe = replace(plain.recipe, operations=(Reroll(MASK, 1, 0), Heat(0.2, MASK)))
    explored = draw(engine, SampleRequest.from_recipe(recipe, lr, summaries=False))
    pictures = [plain.picture, explored.picture]
    found = engine.encode(lr, pictures)
    assert [level.shape for level in found.levels] == [(2, *shape) for shape in model.latent_shapes(22, 27)]
    difference = np.abs(decoded(model, found.levels, lr).astype(int) - np.stack(pictures))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
    size = np.sqrt(np.square(found.levels[1][0]).mean())
    assert 0.5 * plain.recipe.temperature < size < 1.5 * plain.recipe.temperature
    with torch.no_grad():
        _, log_prob = model.encode(to_tensor(explored.picture), model.condition(to_tensor(lr)))
    assert found.log_probs[1] == pytest.approx(log_prob.item(), rel=1e-5)


def test_it_tells_how_far_it_is_and_stops_in_between(engine: SamplingEngine, lr: np.ndarray) -> None:
    pictures = [np.full((88, 108, 3), level, np.uint8) for level in (90, 100, 110)]
    *told, found = engine.encode_each(lr, pictures)
    assert [(each.text, round(3 * each.fraction)) for each in told] == [
        (f"Encoding picture {number + 1} of 3", number) for number in range(3)
    ]
    assert found.log_probs.shape == (3,)
    stop = threading.Event()
    events = engine.encode_each(lr, pictures, cancel=stop)
    next(events)
    stop.set()
    with pytest.raises(Cancelled):
        list(events)


def test_sixteen_bits_are_encoded_as_such(engine: SamplingEngine, lr: np.ndarray) -> None:
    request = SampleRequest(lr=lr, num_samples=1, seed=3, summaries=False, deep=True)
    result = draw(engine, request)
    fine, coarse = (engine.encode(lr, [each]).levels for each in (result.deep, result.picture))
    rounding = np.abs(fine[1] - coarse[1]).mean()
    assert 0 < rounding < 0.2


def test_sizes_that_the_model_pads(tmp_path: Path) -> None:
    make_toy("srflow-x4", torch.float32).save_pretrained(tmp_path / "srflow-x4")
    engine = SamplingEngine("cpu", "float32", [tmp_path / "srflow-x4"])
    lr = np.random.default_rng(0).integers(90, 160, (9, 11, 3), dtype=np.uint8)
    picture = draw(engine, SampleRequest(lr=lr, num_samples=1, seed=3, temperature=0.4, summaries=False)).picture
    levels = engine.encode(lr, [picture]).levels
    np.testing.assert_allclose(
        decoded(SRFlow.from_pretrained(tmp_path / "srflow-x4"), levels, lr)[0].astype(int), picture, atol=1
    )


def test_what_cannot_be_encoded_is_refused(
    engine: SamplingEngine, lr: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.zeros((88, 108, 3), np.uint8)
    with pytest.raises(InputError, match="108x88 pixels for this LR picture; got uint8"):
        engine.encode(lr, [picture, picture[:-4]])
    with pytest.raises(InputError, match="got float64"):
        engine.encode(lr, [picture / 2])
    with pytest.raises(InputError, match="no picture"):
        engine.encode(lr, [])
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Cancelled):
        engine.encode(lr, [picture], cancel=stopped)
    monkeypatch.setattr(encoding, "_MAX_PIXELS", 9000)
    with pytest.raises(MemoryBudgetError, match="smaller region"):
        engine.encode(lr, [picture])


def test_the_command_exports_latents_that_decode_to_its_pngs(tmp_path: Path, model: SRFlow, lr: np.ndarray) -> None:
    save_png(tmp_path / "lr.png", lr)
    given = [str(tmp_path / "lr.png"), str(tmp_path), "--device", "cpu", "--precision", "float32", "--num-samples", "2"]
    assert main(["sample", *given, "--export", "latents", "--export", "latents-npz"]) == 0
    path = tmp_path / "lr_samples.latents.safetensors"
    pngs = np.stack([read_picture(tmp_path / f"lr_sample{index}.png").pixels for index in range(2)])
    levels = tuple(level.numpy() for level in Latents.load(path))
    difference = np.abs(decoded(model, levels, lr).astype(int) - pngs)
    assert difference.max() <= 1
    assert '"index": 1' in read_metadata(path)["facts"]
    with np.load(tmp_path / "lr_samples.latents.npz") as found:
        np.testing.assert_array_equal(found["level_0"], levels[0])
        assert found["log_prob"].shape == (2,)

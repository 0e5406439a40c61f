"""What the page does with values from browsers, pictures and the engine's answers; with a fake engine, no browser."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from fake_engine import FakeEngine
from PIL import Image

from app import wiring
from app.ahead import Ahead, warm_up
from app.checks import read_bool, read_choice, read_float, read_int
from app.downloads import write_zip
from app.examples import EXAMPLES
from app.layout import build_app, launch_options
from app.memory import release_memory
from app.page import Page
from app.panels import controls, diversity, download, numbers, picture, results
from app.pictures import LR_KEY, open_array, open_upload, preview, read_recipe, select_region, write_inputs
from app.runs import build_scene, draw, load_map, start_scene
from app.settings import MAX_SEED, Settings, find_model
from app.state import Visitors
from app.sweeps import SWEEP_TEMPERATURES, sweep
from app.viewer import Scene
from app.views import COLORS, atlas_positions, colorize, numbers_html, scale_top, status_html
from app.wording import UNEXPECTED
from srflow.contract import (
    RECIPE_KEY,
    Cancelled,
    ImageError,
    ImageTooLargeError,
    InputError,
    MemoryBudgetError,
    Recipe,
    SampleRequest,
)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def visitors(tmp_path) -> Visitors:
    return Visitors(tmp_path / "cache")


@pytest.fixture
def visitor(visitors):
    return visitors.open()


@pytest.fixture
def lr() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)


@pytest.fixture
def settings(engine) -> Settings:
    return Settings.read({"num_samples": 4}, engine.info())


def run(engine, visitor, settings, **options):
    steps = list(draw(engine, visitor, settings, visitor.begin(), **options))
    return visitor.run, steps


# ---------------------------------------------------------------- values from browsers


@pytest.mark.parametrize(
    "value", [None, "x", True, [], {}, float("nan"), float("inf"), 10**5000, "9" * 5000, 1.3, -1], ids=lambda _: ""
)
def test_hostile_numbers_are_refused(value):
    for read in (read_float, read_int):
        with pytest.raises(InputError) as error:
            read(value, "The temperature", 0, 1.2)
        assert len(str(error.value)) < 200


def test_numbers_are_read_as_browsers_and_addresses_send_them():
    assert read_int(3.0, "n", 0, 9) == 3
    assert read_int("7", "n", 0, 9) == 7
    assert read_float("0.9", "τ", 0, 1.2) == 0.9
    assert read_int(str(MAX_SEED), "seed", 0, MAX_SEED) == MAX_SEED
    assert read_bool("true", "b") is True
    with pytest.raises(InputError):
        read_int(2.5, "n", 0, 9)
    with pytest.raises(InputError):
        read_bool(1, "b")
    with pytest.raises(InputError):
        read_choice(["lr"], "kind", ("lr", "hr"))


def test_settings_survive_the_address_and_the_browsers_memory(engine):
    info = engine.info()
    chosen = Settings.read(
        {"model": "fake-x8", "temperature": 0.45, "seed": 12, "num_samples": 3, "consistency": False, "tile": 64}, info
    )
    assert (chosen.consistency_rounds, chosen.tile, chosen.precision) == (0, 64, None)
    assert Settings.read(chosen.to_values(), info) == chosen
    query = dict(pair.split("=") for pair in chosen.to_query(example="cat").split("&"))
    assert query.pop("example") == "cat"
    assert Settings.read(query, info) == chosen


@pytest.mark.parametrize(
    "values",
    [
        {"model": "../../etc"},
        {"temperature": 3},
        {"num_samples": 17},
        {"num_samples": 0},
        {"seed": -1},
        {"seed": 2**60},
        {"precision": "int4"},
        {"tile": -5},
        {"consistency": "yes"},
    ],
)
def test_settings_out_of_range_are_refused(engine, values):
    with pytest.raises(InputError):
        Settings.read(values, engine.info())


# ---------------------------------------------------------------- pictures


def test_a_low_resolution_picture_is_taken_as_it_is(engine, visitor, lr, tmp_path):
    Image.fromarray(lr).save(tmp_path / "a.png")
    opened = open_upload(engine, visitor, str(tmp_path / "a.png"), "lr", "fake-x4")
    np.testing.assert_array_equal(opened.lr(), lr)
    assert opened.truth() is None
    assert visitor.picture is opened


def test_a_high_resolution_picture_is_scaled_down_and_kept_as_truth(engine, visitor, tmp_path):
    hr = np.random.default_rng(1).integers(0, 256, (83, 90, 3), np.uint8)
    Image.fromarray(hr).save(tmp_path / "a.png")
    opened = open_upload(engine, visitor, str(tmp_path / "a.png"), "hr", "fake-x4")
    assert (opened.width, opened.height) == (22, 20)
    np.testing.assert_array_equal(opened.truth(), hr[:80, :88])


def test_pictures_that_do_not_fit_are_refused_in_words(engine, visitor, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ImageError):
        open_upload(engine, visitor, str(tmp_path / "a.png"), "lr", "fake-x4")
    Image.new("RGB", (15, 40)).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"15×40.*at least 16"):
        open_upload(engine, visitor, str(tmp_path / "b.png"), "lr", "fake-x4")
    with pytest.raises(ImageError, match="needs 128 pixels"):
        open_upload(engine, visitor, str(tmp_path / "b.png"), "hr", "fake-x8")
    monkeypatch.setattr("app.pictures.MAX_PIXELS", 100)
    with pytest.raises(ImageTooLargeError):
        open_upload(engine, visitor, str(tmp_path / "b.png"), "lr", "fake-x4")
    monkeypatch.setattr("app.pictures.MAX_FILE_SIZE", 10)
    with pytest.raises(ImageError, match="larger than"):
        open_upload(engine, visitor, str(tmp_path / "b.png"), "lr", "fake-x4")
    assert visitor.picture is None


def test_of_a_large_picture_a_region_is_taken_and_can_be_moved(engine, visitor):
    big = np.random.default_rng(2).integers(0, 256, (300, 700, 3), np.uint8)
    truth = np.kron(big, np.ones((4, 4, 1), np.uint8))
    opened = open_array(visitor, big, truth, find_model(engine.info(), None))
    assert (opened.region.width, opened.region.height) == (128, 128)
    moved = select_region(opened, 699, 0, 192)
    np.testing.assert_array_equal(moved.lr(), big[:192, 508:])
    np.testing.assert_array_equal(moved.truth(), truth[: 4 * 192, 4 * 508 :])
    assert moved.subject != opened.subject
    assert select_region(moved, 690, 5, 192) is moved, "the same region is the same subject"
    assert select_region(moved, 0, 0, None).lr().shape == big.shape
    for x in range(4):
        moved = select_region(moved, 100 * x, 0, 192)
        write_inputs(engine, moved)
        engine.save_png(moved.folder / f"preview-{moved.subject}.png", preview(moved))
    assert len(list(moved.folder.glob("*.png"))) == 6, "those of the region and of the one before"
    moved = select_region(moved, 699, 0, 192)
    shown = preview(moved)
    assert shown.shape == (150, 350, 3)
    np.testing.assert_array_equal(shown[:96, 254:], big[::2, ::2][:96, 254:])
    assert (shown[100:] != big[::2, ::2][100:]).any()


# ---------------------------------------------------------------- runs


def test_a_run_writes_samples_with_their_recipes_references_map_and_numbers(engine, visitor, settings, lr):
    truth = np.kron(lr, np.ones((4, 4, 1), np.uint8))
    open_array(visitor, lr, truth, find_model(engine.info(), None))
    result, steps = run(engine, visitor, settings)
    assert [sample.recipe.index for sample in result.samples] == [0, 1, 2, 3]
    assert result.finished
    assert set(result.references) == {"input", "truth", "bicubic", "encoder", "zero_temperature", "mean"}
    for sample in result.samples:
        with Image.open(sample.path) as image:
            assert image.format == "PNG"
            assert Recipe.from_json(image.info[RECIPE_KEY]) == sample.recipe
    pictures = np.stack([np.array(Image.open(sample.path)) for sample in result.samples]).astype(np.float32)
    expected = (pictures @ np.float32([0.299, 0.587, 0.114])).std(0)
    np.testing.assert_allclose(load_map(result, "luma"), expected, atol=1e-3)
    np.testing.assert_allclose(load_map(result, "rgb"), np.sqrt((pictures.std(0) ** 2).mean(-1)), atol=1e-3)
    assert result.diversity == pytest.approx(expected.mean(), rel=1e-4)
    assert len(result.atlas) == 4
    assert {name for step in steps for name in step.fresh} == {"samples", "map", "references", "end"}


def test_rows_of_tiles_are_shown_as_they_come_and_go_when_the_sample_is_there(engine, visitor, lr, monkeypatch):
    monkeypatch.setattr("app.runs._PARTS_INTERVAL", 0.0)
    open_array(visitor, lr, None, find_model(engine.info(), None))
    tiled = Settings.read({"num_samples": 3, "tile": 8}, engine.info())
    engine.notice = "Memory ran short: smaller tiles are used."
    seen, steps = [], []
    for step in draw(engine, visitor, tiled, visitor.begin()):
        steps.append(step)
        if "parts" in step.fresh:
            scene = build_scene(visitor.run, waiting=True)
            seen.append([[(part.top, part.rows) for part in p.parts] for p in scene.pictures if p.kind == "sample"])
    assert seen[0] == [[(0, 32)], [], []]
    assert seen[-1] == [[(0, 32), (32, 32), (64, 16)]] * 3, "all grow together"
    assert len(list(visitor.run.folder.glob("part-*.png"))) == 9
    for sample, shown in zip(visitor.run.samples, scene.pictures, strict=False):
        whole = np.array(Image.open(sample.path))
        for part in shown.parts:
            np.testing.assert_array_equal(np.array(Image.open(part.path)), whole[part.top : part.top + part.rows])
    assert not visitor.run.parts
    assert not any(picture.parts for picture in build_scene(visitor.run, waiting=False).pictures)
    assert steps[0].text == "Starting, 9 tiles of 8×8"
    assert steps[-1].text.count("Memory ran short") == 1


def test_rows_that_come_faster_than_they_are_shown_make_few_files(engine, visitor, lr, monkeypatch):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    tiled = Settings.read({"num_samples": 2, "tile": 4}, engine.info())
    monkeypatch.setattr("app.runs._PARTS_INTERVAL", 1e9)
    result, steps = run(engine, visitor, tiled)
    assert sum("parts" in step.fresh for step in steps) == 1, "the first at once, the next after a while"
    assert len(list(result.folder.glob("part-*.png"))) == 1
    is_due = iter([True, *[False] * 8, True])  # five rows of tiles of two samples
    monkeypatch.setattr("app.runs._Writer.are_parts_due", lambda self: next(is_due))
    result, steps = run(engine, visitor, tiled)
    heights = [Image.open(result.folder / f"part-{i}.png").height for i in (1, 2, 3)]
    assert sum("parts" in step.fresh for step in steps) == 2
    assert heights == [16, 64, 80], "the first row of the first sample, the rest of it, all of the second"


def test_tiles_that_are_begun_anew_replace_those_before(engine, visitor, lr, monkeypatch):
    monkeypatch.setattr("app.runs._PARTS_INTERVAL", 0.0)
    engine.num_restarts = 1
    open_array(visitor, lr, None, find_model(engine.info(), None))
    tiled = Settings.read({"num_samples": 1, "tile": 12}, engine.info())
    seen = []
    for step in draw(engine, visitor, tiled, visitor.begin()):
        if "parts" in step.fresh:
            seen.append([(part.top, part.rows, part.path) for part in visitor.run.parts[0]])
    assert [[part[:2] for part in parts] for parts in seen] == [[(0, 48)], [(0, 48)], [(0, 48), (48, 32)]]
    assert seen[0][0][2] != seen[1][0][2], "another file, or browsers show the old one"


def test_samples_that_do_not_fit_into_memory_come_as_files(engine, visitor, settings, lr, tmp_path):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    plain, _ = run(engine, visitor, settings)
    pixels = np.array(Image.open(plain.samples[1].path))
    engine.spill = tmp_path / "spill"
    engine.spill.mkdir()
    open_array(visitor, lr, None, find_model(engine.info(), None))
    result, steps = run(engine, visitor, settings)
    assert not list(engine.spill.iterdir()), "they are ours to remove"
    np.testing.assert_array_equal(np.array(Image.open(result.samples[1].path)), pixels)
    assert result.finished
    assert result.overlay is None
    assert "to compare with do not fit" in steps[-1].text
    assert len(build_scene(result, waiting=False).pictures) == 5
    news = list(sweep(engine, visitor, settings, 2, visitor.begin()))
    assert len(news[-1].sweep.paths) == len(SWEEP_TEMPERATURES)
    assert not list(engine.spill.iterdir())


def test_a_place_worth_looking_at_is_found_once_for_a_picture(engine, visitor, settings, lr):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    result, _ = run(engine, visitor, settings)
    assert result.place[0] == 88, "the fake engine's noise grows to the right; blocks of 16, and the last one's middle"
    assert build_scene(result, waiting=False).suggested_place == result.place
    result.place = (3, 4)
    again, _ = run(engine, visitor, Settings.read({"num_samples": 2, "seed": 9}, engine.info()))
    assert again.place == (3, 4), "crops do not wander off at every new seed"
    open_array(visitor, lr[::-1].copy(), None, find_model(engine.info(), None))
    lone, _ = run(engine, visitor, Settings.read({"num_samples": 1}, engine.info()))
    assert lone.place is None


def test_before_the_first_sample_everything_is_in_its_place(engine, visitor, settings, lr):
    truth = np.kron(lr, np.ones((4, 4, 1), np.uint8))
    picture = open_array(visitor, lr, truth, find_model(engine.info(), None))
    start = start_scene(engine, picture, settings)
    assert start.note
    there = {p.id: np.array(Image.open(p.path)) for p in start.pictures if p.path}
    assert set(there) == {"input", "truth"}
    np.testing.assert_array_equal(there["input"], lr)
    np.testing.assert_array_equal(there["truth"], truth)
    assert start.placeholder == "input"
    result, _ = run(engine, visitor, settings)
    end = build_scene(result, waiting=False)
    assert [p.id for p in end.pictures] == [p.id for p in start.pictures]
    assert (end.subject, end.note) == (start.subject, "")


def test_a_sample_file_brings_back_settings_and_the_same_pixels(engine, visitors, visitor, lr):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    chosen = Settings.read({"num_samples": 3, "seed": 5, "temperature": 0.7, "consistency": False}, engine.info())
    result, _ = run(engine, visitor, chosen)
    path = result.samples[2].path
    recipe, found = read_recipe(engine, str(path))
    np.testing.assert_array_equal(found, lr)
    restored = Settings.from_recipe(recipe, engine.info())
    assert (restored.seed, restored.temperature, restored.consistency_rounds) == (5, 0.7, 0)
    assert (restored.precision, restored.tile) == ("float32", 0)
    other = visitors.open()
    open_array(other, found, None, find_model(engine.info(), None))
    again, _ = run(engine, other, restored)
    same = next(sample for sample in again.samples if sample.recipe.index == 2)
    np.testing.assert_array_equal(np.array(Image.open(same.path)), np.array(Image.open(path)))
    SampleRequest.from_recipe(recipe, found)


def test_files_that_carry_no_good_recipe(engine, visitor, settings, lr, tmp_path):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    result, _ = run(engine, visitor, settings)
    recipe = result.samples[0].recipe
    picture = np.zeros((8, 8, 3), np.uint8)
    path = str(tmp_path / "a.png")
    engine.save_png(path, picture)
    assert read_recipe(engine, path) is None
    Path(path).write_bytes(b"GIF89a")
    assert read_recipe(engine, path) is None
    engine.save_png(path, picture, {RECIPE_KEY: "{}"})
    with pytest.raises(InputError):
        read_recipe(engine, path)
    engine.save_png(path, picture, {RECIPE_KEY: recipe.to_json()})
    assert read_recipe(engine, path) == (recipe, None)
    engine.save_png(tmp_path / "other.png", lr[::-1])
    other = base64.b64encode((tmp_path / "other.png").read_bytes()).decode()
    for lr_text in ("!!", "aGVsbG8=", other):
        engine.save_png(path, picture, {RECIPE_KEY: recipe.to_json(), LR_KEY: lr_text})
        with pytest.raises(InputError):
            read_recipe(engine, path)
    unknown = recipe.to_json().replace("fake-x4", "other")
    engine.save_png(path, picture, {RECIPE_KEY: unknown})
    with pytest.raises(InputError, match="The model must be one of"):
        read_recipe(engine, path)
    other_weights = recipe.to_json().replace("4" * 64, "5" * 64)
    engine.save_png(path, picture, {RECIPE_KEY: other_weights})
    with pytest.raises(InputError, match="other weights"):
        read_recipe(engine, path)


def test_references_are_kept_while_only_temperature_and_seed_change(engine, visitor, settings, lr):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    first, _ = run(engine, visitor, settings)
    second, _ = run(engine, visitor, Settings.read({"num_samples": 2, "temperature": 0.1}, engine.info()))
    assert second.references["encoder"] == first.references["encoder"]
    assert all(path.exists() for path in second.references.values())
    assert second.references["mean"] != first.references["mean"]
    third, _ = run(engine, visitor, Settings.read({"num_samples": 2, "consistency": False}, engine.info()))
    assert third.references["encoder"] != first.references["encoder"]


def test_files_of_many_runs_do_not_pile_up(engine, visitor, settings, lr):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    counts = []
    for seed in range(6):
        if seed == 3:
            open_array(visitor, lr[::-1].copy(), None, find_model(engine.info(), None))
        run(engine, visitor, Settings.read({"num_samples": 3, "seed": seed}, engine.info()))
        counts.append(sum(1 for path in visitor.folder.rglob("*") if path.is_file()))
    assert counts[-1] <= counts[1]


def test_visitors_have_their_own_files_which_go_with_them(engine, visitors, settings, lr, monkeypatch):
    first, second = visitors.open(), visitors.open()
    assert first.folder != second.folder
    open_array(first, lr, None, find_model(engine.info(), None))
    run(engine, first, settings)
    visitors.forget(first)
    assert not first.folder.exists()
    assert second.folder.exists()
    with pytest.raises(InputError, match="reload"):
        visitors.touch(first)
    with pytest.raises(InputError):
        visitors.touch(None)
    monkeypatch.setattr("app.state.MAX_VISITORS", 3)
    others = [visitors.open() for _ in range(3)]
    assert len(visitors) == 3
    assert not second.folder.exists(), "the one away longest goes"
    assert all(other.folder.exists() for other in others)


def test_the_zip_holds_everything(engine, visitor, settings, lr):
    with pytest.raises(InputError, match="Press Sample"):
        write_zip(engine, visitor.run)
    open_array(visitor, lr, None, find_model(engine.info(), None))
    result, _ = run(engine, visitor, settings)
    with zipfile.ZipFile(write_zip(engine, result)) as archive:
        names = set(archive.namelist())
        assert {f"samples/sample-{i:02d}.png" for i in (1, 2, 3, 4)} <= names
        assert {"mean.png", "std-luma-16bit.png", "run.json", "references/encoder.png"} <= names
        assert archive.read("samples/sample-01.png") == result.samples[0].path.read_bytes()
        facts = json.loads(archive.read("run.json"))
        with archive.open("std-luma-16bit.png") as file:
            std = np.array(Image.open(file))
    assert std.dtype in (np.uint16, np.int32)
    np.testing.assert_allclose(std / 256, load_map(result, "luma"), atol=1 / 256)
    assert facts["settings"]["seed"] == 0
    assert [sample["recipe"]["index"] for sample in facts["samples"]] == [0, 1, 2, 3]


def test_the_sweep_draws_the_same_noise_at_every_temperature(engine, visitor, settings, lr):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    news = list(sweep(engine, visitor, settings, 2, visitor.begin()))
    result = news[-1].sweep
    assert tuple(result.paths) == SWEEP_TEMPERATURES
    assert [point["temperature"] for point in result.points] == list(SWEEP_TEMPERATURES)
    assert {(request.seed, request.first_index) for request in engine.requests} == {(0, 0)}
    spread = [point["diversity"] for point in result.points]
    assert spread == sorted(spread)
    assert spread[0] == 0
    assert result.points[0]["psnr"] is None
    recipe, found = read_recipe(engine, str(result.paths[0.6]))
    assert recipe.temperature == 0.6
    np.testing.assert_array_equal(found, lr, "it can be dropped on the page like a sample")
    fractions = [step.fraction for step in news]
    assert fractions == sorted(fractions)


# ---------------------------------------------------------------- handlers of the page


class Harness:
    """The page's handlers and components, called as Gradio would."""

    def __init__(self, engine: FakeEngine, visitors: Visitors):
        with gr.Blocks() as app:
            page = Page(app, engine, visitors, gr.State(None))
            self.panels = wiring.Panels(
                picture.build(),
                controls.build(),
                results.build(),
                diversity.build(),
                numbers.build(),
                download.build(),
                gr.BrowserState(None, storage_key="test", secret="test"),
            )
            self.handlers = wiring.wire(app, page, self.panels)
            self.remeasure = diversity.wire(page, self.panels.diversity, self.panels.results)
        self.page = page
        self.values: dict = {}
        self.open()

    def open(self, query: dict | None = None, memory: object = None, fragment: object = "") -> dict:
        shown = self.handlers.open_page(memory, fragment, SimpleNamespace(query_params=query or {}))
        self.visitor = shown.get(self.page.visitor)
        self.take(shown)
        return shown

    def take(self, shown: dict) -> dict:
        for component, value in shown.items():
            if isinstance(value, dict) and "__type__" in value:
                value = value.get("value", self.values.get(component))
            self.values[component] = value
        return shown

    @property
    def settings(self) -> list:
        return [self.values[component] for component in self.panels.controls.inputs]

    def change(self, name: str, value: object) -> None:
        self.values[getattr(self.panels.controls, name)] = value

    def drain(self, handler, lock: bool = True) -> list[dict]:
        return [self.take(shown) for shown in handler(self.visitor, "luma", lock, *self.settings)]

    @property
    def status(self) -> str:
        return self.values[self.panels.results.status]

    @property
    def scene(self) -> Scene:
        return self.values[self.panels.results.viewer]


@pytest.fixture
def harness(engine, visitors) -> Harness:
    return Harness(engine, visitors)


def test_the_page_opens_with_an_example_and_the_defaults(harness):
    assert "Ready" in harness.status
    assert harness.visitor.picture.name == EXAMPLES[0].name
    assert harness.settings[:5] == ["fake-x4", 0.9, 0, 8, True]


def test_samples_stream_in_and_every_message_has_the_whole_scene(harness):
    harness.change("num_samples", 3)
    shown = harness.drain(harness.handlers.press)
    viewer = harness.panels.results.viewer
    scenes = [values[viewer] for values in shown if viewer in values]
    ready = [sum(p.path is not None for p in scene.pictures if p.kind == "sample") for scene in scenes]
    assert ready == sorted(ready)
    assert {0, 1, 2, 3} <= set(ready)
    assert {scene.subject for scene in scenes} == {scenes[0].subject}
    for component in harness.handlers.objects[:3]:
        first = next(i for i, values in enumerate(shown) if component in values)
        assert all(component in values for values in shown[first:]), "see wiring: none may be skipped"
    assert len({len(scene.pictures) for scene in scenes}) == 1, "nothing jumps"
    assert "done" in harness.status
    assert harness.scene.overlay is not None
    assert "seed=0" in harness.values[harness.handlers.query]
    assert "example=cat" in harness.values[harness.handlers.query]


def test_an_unlocked_seed_changes_and_dice_do_too(harness):
    seed = harness.panels.controls.seed
    harness.change("num_samples", 1)
    harness.drain(harness.handlers.press)
    assert harness.values[seed] == 0
    seeds = set()
    for _ in range(3):
        harness.drain(harness.handlers.press, lock=False)
        harness.drain(harness.handlers.throw_dice)
        seeds.add(harness.values[seed])
        assert harness.visitor.run.settings.seed == harness.values[seed], "the seed used is the seed shown"
    assert len(seeds) > 1


def test_controls_redraw_only_once_there_is_something_to_redraw(harness, engine):
    harness.change("num_samples", 1)
    harness.drain(harness.handlers.move)
    assert not engine.requests
    harness.drain(harness.handlers.press)
    harness.change("temperature", 0.3)
    harness.drain(harness.handlers.move)
    assert engine.requests[-1].temperature == 0.3
    harness.drain(harness.handlers._preset("Wild"))
    assert harness.values[harness.panels.controls.temperature] == engine.requests[-1].temperature == 1.1
    assert engine.requests[-1].consistency_rounds == 0


def test_the_latest_wish_wins(engine, visitors):
    harness = Harness(engine, visitors)
    harness.change("num_samples", 2)
    harness.drain(harness.handlers.press)
    engine.delay = 0.3
    old: list[dict] = []
    settings = list(harness.settings)
    thread = threading.Thread(
        target=lambda: old.extend(harness.handlers.press(harness.visitor, "luma", True, *settings)), daemon=True
    )
    thread.start()
    while len(engine.requests) < 2:
        time.sleep(0.01)
    harness.change("temperature", 0.1)
    harness.drain(harness.handlers.move)
    thread.join(10)
    assert engine.num_cancelled == 1
    assert not any("done" in str(values.get(harness.panels.results.status)) for values in old)
    assert harness.visitor.run.settings.temperature == 0.1
    assert harness.visitor.run.finished


def test_stop_keeps_what_is_finished(engine, visitors):
    harness = Harness(engine, visitors)
    engine.delay = 0.2
    shown = []
    for values in harness.handlers.press(harness.visitor, "luma", True, *harness.settings):
        shown.append(harness.take(values))
        if harness.visitor.run and len(harness.visitor.run.samples) == 2:
            harness.handlers.stop(harness.visitor)
    assert "Stopped after 2 of 8 samples" in harness.status
    assert [p.id for p in harness.scene.pictures if p.kind == "sample"] == ["s0", "s1"]


def test_stop_keeps_the_rows_that_are_there(engine, visitors, monkeypatch):
    monkeypatch.setattr("app.runs._PARTS_INTERVAL", 0.0)
    harness = Harness(engine, visitors)
    harness.change("tile", 20)
    harness.change("num_samples", 2)
    for values in harness.handlers.press(harness.visitor, "luma", True, *harness.settings):
        harness.take(values)
        if harness.visitor.run and len(harness.visitor.run.parts) == 2:
            harness.handlers.stop(harness.visitor)
    assert "Stopped." in harness.status
    samples = [p for p in harness.scene.pictures if p.kind == "sample"]
    assert [p.id for p in samples] == ["s0", "s1"]
    assert all(p.parts and p.path is None for p in samples)
    assert not harness.values[harness.panels.download.choice], "nothing is finished"


def test_stop_before_the_first_sample_leaves_the_page_as_it_began(engine, visitors):
    harness = Harness(engine, visitors)
    before = harness.scene
    for values in harness.handlers.press(harness.visitor, "luma", True, *harness.settings):
        harness.take(values)
        harness.handlers.stop(harness.visitor)
    assert "Stopped." in harness.status
    assert harness.scene == before


def test_another_picture_clears_what_was_drawn_of_the_former_one(harness):
    assert harness.scene.note
    harness.change("num_samples", 2)
    harness.drain(harness.handlers.press)
    assert not harness.scene.note
    old = harness.scene.subject
    harness.take(harness.handlers.take_example(harness.visitor, 1, *harness.settings))
    assert "Ready" in harness.status
    assert harness.scene.note
    assert harness.scene.subject != old
    assert harness.visitor.run is None
    assert "will appear" in harness.values[harness.panels.numbers.table]
    harness.drain(harness.handlers.press)
    subject = harness.scene.subject
    harness.take(harness.handlers.take_region(harness.visitor, "Whole picture", *harness.settings))
    assert harness.scene.subject == subject, "it is the whole picture already"
    assert harness.visitor.run is not None
    harness.take(harness.handlers.take_region(harness.visitor, "64 × 64", *harness.settings))
    assert (harness.scene.width, harness.scene.note != "") == (256, True)


def test_nothing_comes_from_a_run_once_there_is_another_picture(harness, engine):
    engine.delay = 0.02
    stream = harness.handlers.press(harness.visitor, "luma", True, *harness.settings)
    while not (harness.visitor.run and harness.visitor.run.samples):
        harness.take(next(stream))
    harness.take(harness.handlers.take_example(harness.visitor, 1, *harness.settings))
    assert list(stream) == []


def test_facts_and_places_follow_the_controls(harness):
    harness.change("num_samples", 5)
    harness.change("tile", 32)
    harness.take(harness.handlers.refresh_facts(harness.visitor, "hr", *harness.settings))
    assert "9 tiles of 32×32" in harness.values[harness.panels.picture.facts]
    assert sum(p.kind == "sample" for p in harness.scene.pictures) == 5
    harness.drain(harness.handlers.press)
    scene = harness.scene
    harness.change("num_samples", 6)
    harness.take(harness.handlers.refresh_facts(harness.visitor, "hr", *harness.settings))
    assert harness.scene is scene, "what is drawn stays"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryBudgetError("It needs 90 GB; there are 4 GB."), "Choose a smaller region"),
        (InputError("The picture is odd."), "The picture is odd."),
        (ZeroDivisionError("secret detail"), UNEXPECTED),
        (Cancelled("x"), "Stopped."),
    ],
)
def test_failures_become_words_and_the_settings_stay(harness, engine, error, words, caplog):
    harness.change("num_samples", 2)
    harness.drain(harness.handlers.press)
    engine.error = error
    before = list(harness.settings)
    harness.drain(harness.handlers.press)
    assert words in harness.status
    assert "secret detail" not in harness.status
    assert "Traceback" not in harness.status
    assert harness.settings == before
    assert ("secret detail" in caplog.text) == (words == UNEXPECTED), "noted, for those who run it"
    engine.error = None
    harness.drain(harness.handlers.press)
    assert "done" in harness.status


def test_uploads_that_fail_leave_the_old_picture(harness, tmp_path):
    old = harness.visitor.picture
    (tmp_path / "a.jpg").write_text("hello")
    harness.take(harness.handlers.take_upload(harness.visitor, str(tmp_path / "a.jpg"), "lr", *harness.settings))
    assert "not a picture" in harness.status
    assert harness.visitor.picture is old
    for kind in ("xx", None, ["lr"]):
        path = str(EXAMPLES[0].path)
        harness.take(harness.handlers.take_upload(harness.visitor, path, kind, *harness.settings))
        assert "error" in harness.status
    harness.take(harness.handlers.take_example(harness.visitor, 10**9, *harness.settings))
    assert "The example must be" in harness.status


def test_memory_is_given_back_after_each_run(harness, monkeypatch):
    release_memory()
    calls = []
    monkeypatch.setattr("app.page.release_memory", lambda: calls.append(harness.status))
    harness.change("num_samples", 2)
    harness.drain(harness.handlers.press)
    assert len(calls) == 1
    assert "done" in calls[0]


def test_a_dropped_sample_restores_everything(harness, engine):
    harness.change("num_samples", 3)
    harness.change("temperature", 0.35)
    harness.change("seed", 99)
    harness.drain(harness.handlers.press)
    sample = harness.visitor.run.samples[2]
    pixels = np.array(Image.open(sample.path))
    path = str(sample.path)
    other = Harness(engine, harness.page.visitors)
    other.take(other.handlers.take_upload(other.visitor, path, "lr", *other.settings))
    assert "sample 3 of seed 99" in other.status
    assert other.values[other.panels.controls.temperature] == 0.35
    assert other.values[other.panels.picture.kind] == "lr"
    other.drain(other.handlers.press)
    np.testing.assert_array_equal(np.array(Image.open(other.visitor.run.samples[2].path)), pixels)


def test_the_address_and_the_memory_set_the_controls(harness):
    harness.open({"seed": "7", "temperature": "0.5", "num_samples": "2", "consistency": "0", "example": "coffee"})
    assert harness.settings[:5] == ["fake-x4", 0.5, 7, 2, False]
    assert harness.visitor.picture.name == "coffee"
    harness.open({"seed": "7"}, fragment="seed=8&temperature=0.4")
    assert harness.settings[1:3] == [0.4, 8]
    harness.open({"seed": "-7"}, fragment=["seed=8"])
    assert "The address does not fit" in harness.status
    assert harness.settings[2] == 0
    harness.open(memory={"seed": 3, "temperature": 0.2})
    assert harness.settings[1:3] == [0.2, 3]
    for memory in ({"seed": "x"}, [1], "text", {"model": {"a": 1}}):
        harness.open(memory=memory)
        assert "Ready" in harness.status
        assert harness.settings[2] == 0


def test_the_measure_can_be_changed_while_samples_come_in(harness, monkeypatch):
    monkeypatch.setattr("app.runs._MAP_INTERVAL", 0.0)
    stream = harness.handlers.press(harness.visitor, "luma", True, *harness.settings)
    while not (harness.visitor.run and harness.visitor.run.overlay):
        harness.take(next(stream))
    harness.take(harness.remeasure(harness.visitor, "rgb"))
    for values in stream:
        harness.take(values)
    run = harness.visitor.run
    values = np.array(Image.open(run.overlay.values_path))
    top = run.overlay.maximum
    np.testing.assert_allclose(values / 255 * top, np.minimum(load_map(run, "rgb"), top), atol=top / 250)
    assert np.abs(load_map(run, "rgb") - load_map(run, "luma")).max() > 5


def test_a_place_chosen_in_the_preview_is_checked(harness, engine):
    big = np.zeros((300, 700, 3), np.uint8)
    open_array(harness.visitor, big, None, find_model(engine.info(), None))
    for index in (None, [1], ["a", 2], [10**9, 0], [-1, 0]):
        event = SimpleNamespace(index=index)
        handler = harness.handlers.take_place
        harness.take(handler(harness.visitor, "64 × 64", *harness.settings, event=event))
        assert "The place must be" in harness.status
    event = SimpleNamespace(index=[300, 100])
    harness.take(harness.handlers.take_place(harness.visitor, "64 × 64", *harness.settings, event=event))
    region = harness.visitor.picture.region
    assert (region.left, region.top, region.width) == (600 - 32, 200 - 32, 64)


# ---------------------------------------------------------------- work ahead


def test_pictures_are_conditioned_before_they_are_asked_for(engine, visitor, settings, lr, caplog):
    ahead = Ahead(engine)
    assert ahead.prepare(visitor, settings) is None, "there is no picture"
    open_array(visitor, lr, None, find_model(engine.info(), None))
    engine.delay, engine.error = 0.01, ZeroDivisionError("drawn")
    ahead.prepare(visitor, settings).join(10)
    assert len(engine.requests) == 1
    assert not caplog.records, "it left before the first sample"
    np.testing.assert_array_equal(engine.requests[0].lr, lr)
    with ahead._turn:
        former = ahead.prepare(visitor, settings)
        latter = ahead.prepare(visitor, settings)
    former.join(10)
    latter.join(10)
    assert len(engine.requests) == 2, "the latest picture only"
    open_array(visitor, np.zeros((300, 300, 3), np.uint8), None, find_model(engine.info(), None))
    visitor.picture = visitor.picture.whole_region()
    assert ahead.prepare(visitor, settings) is None, "it would take long"


def test_what_fails_ahead_is_told_later(engine, visitor, settings, lr, caplog):
    open_array(visitor, lr, None, find_model(engine.info(), None))
    engine.estimate = lambda request: 1 / 0
    Ahead(engine).prepare(visitor, settings).join(10)
    assert "Work ahead failed" in caplog.text
    caplog.clear()
    engine.error = MemoryBudgetError("too much")
    del engine.estimate
    warm_up(engine)
    assert not caplog.records


def test_the_engine_is_warmed_up_with_the_picture_that_the_page_opens_with(engine, harness):
    warm_up(engine)
    request = engine.requests[-1]
    np.testing.assert_array_equal(request.lr, harness.visitor.picture.lr())
    np.testing.assert_array_equal(request.ground_truth, harness.visitor.picture.truth())
    assert request.num_samples == 1


# ---------------------------------------------------------------- views


def test_the_maps_colours_rise_in_lightness():
    assert scale_top(np.zeros((4, 4))) == 1
    ramp = colorize(np.linspace(0, 10, 256)[None], 10)
    lightness = ramp[0].astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -0.5).all()
    assert "#{:02x}{:02x}{:02x}".format(*ramp[0, 0]) == COLORS[0].lower()
    assert "#{:02x}{:02x}{:02x}".format(*ramp[0, -1]) == COLORS[-1].lower()


def test_the_atlas_keeps_distances():
    points = np.array([[0, 0], [3, 0], [0, 4], [3, 4]], float)
    pairs = np.linalg.norm(points[:, None] - points[None], axis=-1)
    placed = np.array(atlas_positions([np.zeros(1)] * 4, pairs))
    found = np.linalg.norm(placed[:, None] - placed[None], axis=-1)
    np.testing.assert_allclose(found / found.max(), pairs / pairs.max(), atol=1e-6)
    assert np.abs(placed).max() <= 1
    assert atlas_positions([np.ones((2, 2)), np.ones((2, 2))]) == [(0, 0), (0, 0)]


def test_texts_from_elsewhere_are_not_markup(engine, visitor, settings, lr):
    assert "<img" not in status_html("<img src=x>")
    open_array(visitor, lr, None, find_model(engine.info(), None))
    result, _ = run(engine, visitor, settings)
    table = numbers_html(result)
    assert table.count("<tr>") == 5
    assert "decoded again" in table


# ---------------------------------------------------------------- the page as a whole


def test_the_page_needs_neither_torch_nor_the_engine_to_be_built():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from app.layout import build_app, launch_options\n"
        "class Never:\n"
        "    def __getattr__(self, name): raise AssertionError(name)\n"
        "build_app(Never()); launch_options()\n"
        "bad = [name for name in ('torch', 'torchvision', 'lpips', 'skimage') if name in sys.modules]\n"
        "assert not bad, bad"
    )
    root = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=120)


def test_nothing_lossy_nothing_from_elsewhere_and_everything_bounded(engine):
    app = build_app(engine)
    images = [block for block in app.blocks.values() if isinstance(block, gr.Image)]
    assert images
    assert {image.format for image in images} == {"png"}
    options = launch_options()
    assert options["ssr_mode"] is False
    assert options["max_file_size"] > 0
    assert options["state_session_capacity"] <= 1000
    assert not any(sheet["url"] for sheet in (font.stylesheet() for font in options["theme"]._font))
    assert "http" not in options["css"] + options["head"]
    assert app.delete_cache is not None
    assert app._queue.max_size == 64
    assert app.analytics_enabled is False


def test_endpoints_are_documented(engine):
    named = build_app(engine).get_api_info()["named_endpoints"]
    assert set(named) == {"/sample", "/diversity_map", "/sweep", "/models"}
    names = [parameter["parameter_name"] for parameter in named["/sample"]["parameters"]]
    expected = ["image", "model", "temperature", "seed", "num_samples", "consistency", "high_resolution_input"]
    assert names == expected
    assert all(endpoint["returns"] for endpoint in named.values())
    defaults = {
        name: {p["parameter_name"]: p["parameter_default"] for p in named[name]["parameters"]}["num_samples"]
        for name in ("/sample", "/diversity_map", "/sweep")
    }
    assert defaults == {"/sample": 8, "/diversity_map": 8, "/sweep": 3}, "as the descriptions say"
    assert "super-resolutions" in named["/sample"]["description"]

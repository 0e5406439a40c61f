"""Values from browsers, pictures, sets of samples, sweeps and downloads; with a fake engine, no page."""

from __future__ import annotations

import base64
import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.ahead import Ahead
from app.checks import read_bool, read_choice, read_float, read_int
from app.downloads import write_zip
from app.memory import release_memory
from app.opening import Opening
from app.pictures import open_array, open_source, preview, read_recipe, select_region
from app.records import Source
from app.runs import draw, load_map
from app.scenes import main_scene
from app.settings import MAX_SEED, Settings, find_model
from app.sweeps import SWEEP_TEMPERATURES, sweep
from app.tasks import Part, perform
from app.views import COLORS, atlas_html, atlas_positions, colorize, numbers_html, scale_top, spread_apart, status_html
from srflow.contract import (
    LR_KEY,
    RECIPE_KEY,
    ImageError,
    ImageTooLargeError,
    InputError,
    MemoryBudgetError,
    SampleRecipe,
    SampleRequest,
)


@pytest.fixture
def lr() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)


@pytest.fixture
def settings(engine) -> Settings:
    return Settings.read({"num_samples": 4}, engine.info())


def show(engine, session, lr, truth=None, source=None):
    """Open these pixels, as a job of its own."""
    job = session.begin(session.serial + 1)
    source = source or Source(session.folder / "x.png")
    picture = open_array(engine, session, job, lr, truth, find_model(engine.info(), None), source)
    session.commit(job, picture=picture, run=None)
    session.end(job)
    return picture


def steps_of(engine, session, settings, work=draw, **options):
    """Draw samples of what is shown; every update, with the view after it."""
    job = session.begin(session.serial + 1)
    view = session.view
    former = {"former": view.run} if work is draw else {}
    found = list(
        perform(session, job, lambda job: work(engine, session, job, view.picture, settings, **former | options))
    )
    if found[-1][0].error:
        raise found[-1][0].error
    return found


def run(engine, session, settings, **options):
    steps = steps_of(engine, session, settings, **options)
    return session.view.run, [update for update, _ in steps]


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


def test_precision_and_tiles_are_not_remembered_and_sets_know_what_they_share(engine):
    info = engine.info()
    settings = Settings.read({"tile": 0, "precision": "float32", "seed": 3, "temperature": 0.5}, info)
    assert {"tile", "precision", "seed"}.isdisjoint(settings.to_memory())
    assert settings.draws_same(replace(settings, num_samples=2, pairwise=True))
    assert not settings.draws_same(replace(settings, seed=4))
    assert settings.preset(info) == "Faithful"
    assert Settings.read({}, info).preset(info) == "Balanced"
    assert replace(settings, temperature=0.55).preset(info) is None


# ---------------------------------------------------------------- pictures


def open_file(engine, session, path, kind, model="fake-x4"):
    job = session.begin(session.serial + 1)
    try:
        return open_source(engine, session, job, Source(Path(path), kind), model)
    finally:
        session._running.clear()  # the folders stay for the test to look at


def test_a_low_resolution_picture_is_taken_as_it_is(engine, session, lr, tmp_path):
    Image.fromarray(lr).save(tmp_path / "a.png")
    opened = open_file(engine, session, tmp_path / "a.png", "lr")
    np.testing.assert_array_equal(opened.lr(), lr)
    assert opened.truth() is None
    np.testing.assert_array_equal(np.array(Image.open(opened.files / "input.png")), lr)


def test_a_high_resolution_picture_is_scaled_down_and_kept_as_truth(engine, session, tmp_path):
    hr = np.random.default_rng(1).integers(0, 256, (83, 90, 3), np.uint8)
    Image.fromarray(hr).save(tmp_path / "a.png")
    opened = open_file(engine, session, tmp_path / "a.png", "hr")
    assert (opened.width, opened.height) == (22, 20)
    np.testing.assert_array_equal(opened.truth(), hr[:80, :88])
    np.testing.assert_array_equal(np.array(Image.open(opened.files / "truth.png")), hr[:80, :88])


def test_pictures_that_do_not_fit_are_refused_in_words(engine, session, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ImageError):
        open_file(engine, session, tmp_path / "a.png", "lr")
    Image.new("RGB", (15, 40)).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"15×40.*at least 16"):
        open_file(engine, session, tmp_path / "b.png", "lr")
    with pytest.raises(ImageError, match="at least 128 pixels"):
        open_file(engine, session, tmp_path / "b.png", "hr", "fake-x8")
    with pytest.raises(ImageTooLargeError):
        open_source(engine, session, session.begin(99), Source(tmp_path / "b.png"), "fake-x4", 100)
    monkeypatch.setattr("app.pictures.MAX_FILE_SIZE", 10)
    with pytest.raises(ImageError, match="larger than"):
        open_file(engine, session, tmp_path / "b.png", "lr")


def test_of_a_large_picture_a_region_is_taken_and_can_be_moved(engine, session):
    big = np.random.default_rng(2).integers(0, 256, (300, 700, 3), np.uint8)
    truth = np.kron(big, np.ones((4, 4, 1), np.uint8))
    opened = show(engine, session, big, truth)
    job = session.begin(50)
    assert (opened.region.width, opened.region.height) == (128, 128)
    moved = select_region(engine, session, job, opened, 699, 0, 192)
    np.testing.assert_array_equal(moved.lr(), big[:192, 508:])
    np.testing.assert_array_equal(moved.truth(), truth[: 4 * 192, 4 * 508 :])
    np.testing.assert_array_equal(np.array(Image.open(moved.files / "input.png")), big[:192, 508:])
    assert moved.subject != opened.subject
    assert select_region(engine, session, job, moved, 690, 5, 192) is moved, "the same region is the same subject"
    assert select_region(engine, session, job, moved, 0, 0, None).lr().shape == big.shape
    session.commit(job, picture=moved)
    session.end(job)
    assert len(list(session.folder.glob("region-*"))) == 1, "those that nothing shows are gone"
    shown = preview(moved)
    assert shown.shape == (150, 350, 3)
    np.testing.assert_array_equal(shown[:96, 254:], big[::2, ::2][:96, 254:])
    assert (shown[100:] != big[::2, ::2][100:]).any()


# ---------------------------------------------------------------- runs


def test_a_run_writes_samples_with_their_recipes_references_map_and_numbers(engine, session, settings, lr):
    show(engine, session, lr, np.kron(lr, np.ones((4, 4, 1), np.uint8)))
    result, steps = run(engine, session, settings)
    assert [sample.recipe.index for sample in result.samples] == [0, 1, 2, 3]
    assert not result.is_drawing
    assert set(result.references) == {"input", "truth", "bicubic", "encoder", "zero_temperature", "mean"}
    for sample in result.samples:
        with Image.open(sample.path) as image:
            assert image.format == "PNG"
            assert SampleRecipe.from_json(image.info[RECIPE_KEY]) == sample.recipe
        assert sample.numbers.lr_psnr == 50 + sample.recipe.index
    pictures = np.stack([np.array(Image.open(sample.path)) for sample in result.samples]).astype(np.float32)
    expected = (pictures @ np.float32([0.299, 0.587, 0.114])).std(0)
    np.testing.assert_allclose(load_map(result, "luma"), expected, atol=1e-3)
    np.testing.assert_allclose(load_map(result, "rgb"), np.sqrt((pictures.std(0) ** 2).mean(-1)), atol=1e-3)
    for measure, overlay in result.overlays.items():
        # Half widths of the bars, by the engine's calibration: λ √(1 + 1/4) σ, σ over the samples less one.
        sigma = np.sqrt(4 / 3) * (expected if measure == "luma" else pictures.std(0))
        half = np.sqrt(1 + 1 / 4) * {"luma": 2.0, "rgb": 3.0}[measure] * np.maximum(sigma, 0.5)
        half = half if measure == "luma" else np.sqrt((half**2).mean(-1))
        values = np.array(Image.open(overlay.values_path)) / 255 * overlay.values_top
        np.testing.assert_allclose(values, half, atol=overlay.values_top / 250)
        assert overlay.values_top > overlay.maximum, "what lies beyond the scale's end can be read, too"
        assert (overlay.bars, overlay.unit) == (0.9, "grey levels")
    assert result.diversity == pytest.approx(expected.mean(), rel=1e-4)
    assert len(result.atlas) == 4
    parts = {part for step in steps for part in step.changed}
    assert parts == {Part.ROWS, Part.SAMPLES, Part.MAP, Part.REFERENCES, Part.END}


def test_more_samples_are_added_and_those_there_are_not_drawn_again(engine, session, settings, lr):
    show(engine, session, lr, np.kron(lr, np.ones((4, 4, 1), np.uint8)))
    first, _ = run(engine, session, settings)
    more, steps = run(engine, session, replace(settings, num_samples=6))
    assert [request.num_samples for request in engine.requests] == [4, 2]
    assert engine.requests[-1].first_index == 4
    assert [sample.recipe.index for sample in more.samples] == list(range(6))
    assert more.samples[:4] == first.samples
    assert "2 more samples of seed 0" in steps[-1].text
    show(engine, session, lr[::-1].copy())
    show(engine, session, lr, np.kron(lr, np.ones((4, 4, 1), np.uint8)))
    at_once, _ = run(engine, session, replace(settings, num_samples=6))
    np.testing.assert_allclose(load_map(more, "luma"), load_map(at_once, "luma"), atol=1e-4)
    assert more.diversity == pytest.approx(at_once.diversity)
    assert more.distances_to_mean == pytest.approx(at_once.distances_to_mean)
    assert len(more.atlas) == 6
    again, steps = run(engine, session, replace(settings, num_samples=6))
    assert len(engine.requests) == 3
    assert "here already" in steps[-1].text
    assert again == replace(at_once, is_drawing=False)


def test_other_settings_are_drawn_anew(engine, session, settings, lr):
    show(engine, session, lr)
    run(engine, session, settings)
    for other in (replace(settings, seed=1), replace(settings, temperature=0.1, num_samples=6)):
        result, _ = run(engine, session, other)
        assert engine.requests[-1].num_samples == other.num_samples
        assert len(result.samples) == other.num_samples
    paired, _ = run(engine, session, replace(other, pairwise=True))
    assert paired.pairwise is not None
    few, _ = run(engine, session, replace(other, num_samples=2))
    assert len(few.samples) == len(few.atlas) == 2


def test_rows_of_tiles_are_shown_as_they_come_and_go_when_the_sample_is_there(engine, session, lr, monkeypatch):
    monkeypatch.setattr("app.runs._ROWS_INTERVAL", 0.0)
    show(engine, session, lr)
    tiled = Settings.read({"num_samples": 3, "tile": 8}, engine.info())
    engine.notice = "Memory ran short: smaller tiles are used."
    seen, steps = [], steps_of(engine, session, tiled)
    for update, view in steps[1:]:
        if Part.ROWS in update.changed:
            scene = main_scene(view)
            seen.append([[(part.top, part.rows) for part in p.parts] for p in scene.pictures if p.kind == "sample"])
            last = scene
    assert seen[0] == [[(0, 32)], [], []]
    assert seen[-1] == [[(0, 32), (32, 32), (64, 16)]] * 3, "all grow together"
    result = session.view.run
    assert len(list(result.folder.glob("rows-*.png"))) == 9
    for sample, shown in zip(result.samples, last.pictures, strict=False):
        whole = np.array(Image.open(sample.path))
        for part in shown.parts:
            np.testing.assert_array_equal(np.array(Image.open(part.path)), whole[part.top : part.top + part.rows])
    assert not result.parts
    assert not any(picture.parts for picture in main_scene(session.view).pictures)
    assert steps[1][0].text == "Starting, 9 tiles of 8×8"
    assert steps[-1][0].text.count("Memory ran short") == 1


def test_rows_that_come_faster_than_they_are_shown_make_few_files(engine, session, lr, monkeypatch):
    show(engine, session, lr)
    tiled = Settings.read({"num_samples": 2, "tile": 4}, engine.info())
    monkeypatch.setattr("app.runs._ROWS_INTERVAL", 1e9)
    result, steps = run(engine, session, tiled)
    assert sum(Part.ROWS in step.changed for step in steps[1:]) == 1, "the first at once, the next after a while"
    assert len(list(result.folder.glob("rows-*.png"))) == 1
    is_due = iter([True, *[False] * 8, True])  # five rows of tiles of two samples
    monkeypatch.setattr("app.runs._Writer.are_rows_due", lambda self: next(is_due))
    result, steps = run(engine, session, replace(tiled, seed=1))
    heights = [Image.open(result.folder / f"rows-{i}.png").height for i in (1, 2, 3)]
    assert sum(Part.ROWS in step.changed for step in steps[1:]) == 2
    assert heights == [16, 64, 80], "the first row of the first sample, the rest of it, all of the second"


def test_tiles_that_are_begun_again_replace_those_before(engine, session, lr, monkeypatch):
    monkeypatch.setattr("app.runs._ROWS_INTERVAL", 0.0)
    engine.num_restarts = 1
    show(engine, session, lr)
    tiled = Settings.read({"num_samples": 1, "tile": 12}, engine.info())
    seen = [
        [(part.top, part.rows, part.path) for part in view.run.parts[0]]
        for update, view in steps_of(engine, session, tiled)[1:]
        if Part.ROWS in update.changed
    ]
    assert [[part[:2] for part in parts] for parts in seen] == [[(0, 48)], [(0, 48)], [(0, 48), (48, 32)]]
    assert seen[0][0][2] != seen[1][0][2], "another file, or browsers show the old one"


def test_samples_that_do_not_fit_into_memory_come_as_files(engine, session, settings, lr, tmp_path):
    show(engine, session, lr)
    plain, _ = run(engine, session, settings)
    pixels = np.array(Image.open(plain.samples[1].path))
    engine.spill = tmp_path / "spill"
    engine.spill.mkdir()
    show(engine, session, lr)
    result, steps = run(engine, session, settings)
    assert not list(engine.spill.iterdir()), "they are ours to remove"
    np.testing.assert_array_equal(np.array(Image.open(result.samples[1].path)), pixels)
    assert not result.overlays
    assert "to compare with do not fit" in steps[-1].text
    assert len(main_scene(session.view).pictures) == 5
    more, _ = run(engine, session, replace(settings, num_samples=5))
    assert len(more.samples) == 5
    assert engine.requests[-1].earlier == ()
    swept = steps_of(engine, session, settings, sweep, num_samples=2)
    assert len(swept[-1][1].sweep.paths) == len(SWEEP_TEMPERATURES)
    assert not list(engine.spill.iterdir())


def test_a_place_worth_looking_at_is_found_once_for_a_picture(engine, session, settings, lr):
    show(engine, session, lr)
    result, _ = run(engine, session, settings)
    assert result.place[0] == 88, "the fake engine's noise grows to the right; blocks of 16, and the last one's middle"
    assert main_scene(session.view).suggested_place == result.place
    again, _ = run(engine, session, replace(settings, seed=9))
    assert again.place == result.place, "crops do not move at every new seed"
    show(engine, session, lr[::-1].copy())
    lone, _ = run(engine, session, replace(settings, num_samples=1))
    assert lone.place is None


def test_before_the_first_sample_everything_is_in_its_place(engine, session, settings, lr):
    truth = np.kron(lr, np.ones((4, 4, 1), np.uint8))
    show(engine, session, lr, truth)
    job = session.begin(session.serial + 1)
    session.commit(job, settings=settings, step=False)
    session.end(job)
    start = main_scene(session.view)
    assert start.note
    there = {p.id: np.array(Image.open(p.path)) for p in start.pictures if p.path}
    assert set(there) == {"input", "truth"}
    np.testing.assert_array_equal(there["input"], lr)
    np.testing.assert_array_equal(there["truth"], truth)
    assert start.placeholder == "input"
    run(engine, session, settings)
    end = main_scene(session.view)
    assert [p.id for p in end.pictures] == [p.id for p in start.pictures]
    assert (end.subject, end.note) == (start.subject, "")


def test_a_sample_file_brings_back_settings_and_the_same_pixels(engine, sessions, session, lr):
    show(engine, session, lr)
    chosen = Settings.read({"num_samples": 3, "seed": 5, "temperature": 0.7, "consistency": False}, engine.info())
    result, _ = run(engine, session, chosen)
    path = result.samples[2].path
    recipe, found = read_recipe(engine, str(path))
    np.testing.assert_array_equal(found, lr)
    restored = Settings.from_recipe(recipe, engine.info())
    assert (restored.seed, restored.temperature, restored.consistency_rounds) == (5, 0.7, 0)
    assert (restored.precision, restored.tile) == ("float32", 0)
    other = sessions.open()
    show(engine, other, found)
    again, _ = run(engine, other, restored)
    same = next(sample for sample in again.samples if sample.recipe.index == 2)
    np.testing.assert_array_equal(np.array(Image.open(same.path)), np.array(Image.open(path)))
    SampleRequest.from_recipe(recipe, found)


def test_a_text_too_long_to_be_read_again_is_not_written(engine, session, settings, lr, monkeypatch):
    show(engine, session, lr)
    monkeypatch.setattr("app.runs.MAX_LR_TEXT", 100)
    result, _ = run(engine, session, settings)
    with Image.open(result.samples[0].path) as image:
        assert RECIPE_KEY in image.info
        assert LR_KEY not in image.info


def test_files_that_carry_no_good_recipe(engine, session, settings, lr, tmp_path):
    show(engine, session, lr)
    result, _ = run(engine, session, settings)
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


def test_references_are_kept_while_only_temperature_and_seed_change(engine, session, settings, lr):
    show(engine, session, lr)
    first, _ = run(engine, session, settings)
    second, _ = run(engine, session, replace(settings, num_samples=2, temperature=0.1))
    assert second.references["encoder"] == first.references["encoder"]
    assert all(path.exists() for path in second.references.values())
    assert second.references["mean"] != first.references["mean"]
    third, _ = run(engine, session, replace(settings, num_samples=2, consistency_rounds=0))
    assert third.references["encoder"] != first.references["encoder"]


def test_a_map_that_is_written_again_is_never_read_half(engine, session, settings, lr):
    show(engine, session, np.tile(lr, (6, 6, 1)))
    result, _ = run(engine, session, settings)
    (path,) = result.folder.glob("std.npz")
    content = path.read_bytes()
    is_over = threading.Event()

    def write_on():
        from app.runs import _Writer

        job = session.begin(session.serial + 1)
        writer = _Writer(engine, session, job, result.picture, settings, None)
        writer.run = replace(writer.run, folder=result.folder)
        (event,) = [e for e in engine.sample(engine.requests[0]) if getattr(e, "final", False)]
        while not is_over.is_set():
            writer.write_maps(event)

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        for _ in range(60):
            assert load_map(result, "luma").shape == (480, 576)
    finally:
        is_over.set()
        thread.join(20)
    path.write_bytes(content[:50])
    with pytest.raises(InputError, match="Draw the samples again"):
        load_map(result, "rgb")
    path.unlink()
    with pytest.raises(InputError, match="Draw the samples again"):
        load_map(result, "luma")


def test_the_zip_holds_everything(engine, session, settings, lr):
    with pytest.raises(InputError, match="Press Sample"):
        write_zip(engine, None, session.folder)
    show(engine, session, lr)
    result, _ = run(engine, session, settings)
    with zipfile.ZipFile(write_zip(engine, result, session.download_folder())) as archive:
        names = set(archive.namelist())
        assert {f"samples/sample-{i:02d}.png" for i in (1, 2, 3, 4)} <= names
        assert {"mean.png", "std-luma-16bit.png", "run.json", "references/encoder.png"} <= names
        assert {"diversity-map-luma.png", "diversity-map-rgb.png"} <= names
        assert archive.read("samples/sample-01.png") == result.samples[0].path.read_bytes()
        facts = json.loads(archive.read("run.json"))
        with archive.open("std-luma-16bit.png") as file:
            std = np.array(Image.open(file))
    assert std.dtype in (np.uint16, np.int32)
    np.testing.assert_allclose(std / 256, load_map(result, "luma"), atol=1 / 256)
    assert facts["settings"]["seed"] == 0
    assert [sample["recipe"]["index"] for sample in facts["samples"]] == [0, 1, 2, 3]


def test_the_sweep_draws_the_same_noise_at_every_temperature(engine, session, settings, lr):
    show(engine, session, lr)
    steps = steps_of(engine, session, settings, sweep, num_samples=2)
    result = session.view.sweep
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
    fractions = [update.fraction for update, _ in steps[:-1]]
    assert fractions == sorted(fractions)
    assert steps[-1][0].fraction is None


# ---------------------------------------------------------------- work ahead


def test_pictures_are_read_before_they_are_asked_for(engine, session, settings, lr, caplog):
    ahead = Ahead(engine)
    picture = show(engine, session, lr)
    engine.delay, engine.error = 0.01, ZeroDivisionError("drawn")
    ahead.prepare(session, picture, settings).join()
    assert len(engine.requests) == 1
    assert not caplog.records, "it left before the first sample"
    np.testing.assert_array_equal(engine.requests[0].lr, lr)
    with ahead._turn:
        former = ahead.prepare(session, picture, settings)
        latter = ahead.prepare(session, picture, settings)
    former.join()
    latter.join()
    assert len(engine.requests) == 2, "the latest picture only"
    large = show(engine, session, np.zeros((300, 300, 3), np.uint8)).whole_region()
    assert ahead.prepare(session, large, settings) is None, "it would take long"


def test_what_fails_ahead_is_told_later(engine, sessions, session, settings, lr, caplog):
    picture = show(engine, session, lr)
    engine.estimate = lambda request: 1 / 0
    Ahead(engine).prepare(session, picture, settings).join()
    assert "Work ahead failed" in caplog.text
    caplog.clear()
    del engine.estimate
    engine.error = MemoryBudgetError("too much")
    opening = Opening(engine, sessions)
    opening.draw()
    assert opening.view is None
    assert not caplog.records


def test_memory_is_given_back_after_each_piece_of_work(engine, session, settings, lr, monkeypatch):
    release_memory()
    calls = []
    monkeypatch.setattr("app.tasks.release_memory", lambda: calls.append(1))
    show(engine, session, lr)
    run(engine, session, settings)
    assert len(calls) == 1


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


def test_texts_from_elsewhere_are_not_markup(engine, session, settings, lr):
    assert "<img" not in status_html("<img src=x>")
    assert status_html('"a', spoken=True).count('"') == 4
    show(engine, session, lr)
    result, _ = run(engine, session, settings)
    table = numbers_html(result)
    assert table.count("<tr>") == 5
    assert "decoded again" in table
    assert table.count("data-sort") == 4
    assert "<dt>bits/dim</dt>" in table, "definitions that need no pointer"
    assert atlas_html(result).count('role="button"') == 4
    named = replace(result, pictures=(replace(result.samples[0], recipe=None, label="<b>Edited"),))
    assert "<b>Edited" not in numbers_html(named)


def test_dots_of_the_similarity_map_do_not_cover_each_other():
    crowded = [(100.0, 100.0), (104.0, 98.0), (100.0, 100.0), (300.0, 50.0)]
    places = np.array(spread_apart(crowded, 26))
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)[np.triu_indices(4, 1)]
    assert gaps.min() >= 25.9
    assert tuple(places[3]) == crowded[3]  # what has room stays
    assert spread_apart([], 26) == []

"""The page's events, each passed to its function as Gradio does; with a fake engine, without a browser."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from gradio.helpers import special_args
from page_harness import Harness
from PIL import Image
from plotly.graph_objects import Figure

from app.examples import EXAMPLES
from app.layout import build_page, launch_options
from app.opening import Opening, example_source
from app.page import NEXT_SERIAL
from app.runs import load_map
from app.settings import PRESETS
from app.tasks import Part
from app.viewer import LinkedViewer
from app.wording import NEXT_STEP, UNEXPECTED, preset_choices
from srflow.contract import INPUT_KEY, RECIPE_KEY, Cancelled, InputError, MemoryBudgetError, Picture


@pytest.fixture
def harness(engine, sessions) -> Harness:
    return Harness(engine, sessions)


@pytest.fixture
def upload(tmp_path):
    def write(width: int = 40, height: int = 30, name: str = "mine.png") -> str:
        pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
        return str(tmp_path / name)

    return write


def bring(harness: Harness, path: str | None) -> None:
    harness.values[harness.picture.image] = path
    harness.fire(harness.picture.image, "upload")


def sample(harness: Harness, count: int = 2, **controls) -> None:
    harness.change("num_samples", count)
    for name, value in controls.items():
        harness.change(name, value)
    harness.fire(harness.controls.sample)


def ids(harness: Harness, only_ready: bool = True) -> list[str]:
    pictures = harness.scene.pictures
    return [p.id for p in pictures if p.kind == "sample" and (p.path or not only_ready)]


def one_sample_in(harness: Harness) -> Iterator[dict]:
    """Return the messages of a press of Sample that are still to come when the first sample has arrived."""
    stream = harness.stream(harness.controls.sample)
    while not ids(harness):
        next(stream)
    return stream


# ---------------------------------------------------------------- how Gradio calls handlers


def test_every_event_can_be_called_the_way_gradio_calls_it(engine, harness, caplog):
    """With data, inputs and outputs as Gradio gives and checks them; no unexpected error may occur."""
    blocks = harness.page.blocks
    events = [fn for fn in blocks.fns.values() if fn.fn and harness.page.session in fn.inputs and fn.inputs_as_dict]
    assert len(events) > 30
    harness.session.stop(0)
    harness.change("num_samples", 1)
    for number, fn in enumerate(events):
        if harness.page.memory in fn.inputs:
            continue  # the load events, which the harness itself fires
        assert fn.js == NEXT_SERIAL or "srflowSerial" in fn.js, "else the server cannot know its order"
        assert min(c._id for c in fn.inputs) == harness.page.serial._id, "the script changes the first input"
        for data in (None, {"index": [3, 4], "id": "s0"}, {"index": "x"}):
            values = {component: harness.values.get(component) for component in fn.inputs}
            values[harness.page.serial] = 100 * number + 10 + len(str(data))
            event = gr.EventData(target=None, _data=data)
            arguments, _, place, _ = special_args(fn.fn, [values], SimpleNamespace(query_params={}), event)
            assert place is None or place == 1, "data goes to what can be given by position, and to nothing else"
            shown = fn.fn(*arguments)
            for values in [shown] if isinstance(shown, dict) else shown:
                assert isinstance(values, dict)
                assert set(values) <= set(fn.outputs)
                harness.take(values)
            assert UNEXPECTED not in harness.status
    assert not caplog.records


def test_what_travels_is_skipped_without_being_made_anew(harness):
    import asyncio

    from gradio.state_holder import SessionState

    blocks, state = harness.page.blocks, SessionState(harness.page.blocks)
    fn = harness.find(harness.controls.sample, "click")
    before = dict(state.blocks_config.blocks)
    shown = {harness.page.status: "x", harness.results.viewer: harness.scene, harness.sweep.figure: gr.skip()}
    values = asyncio.run(blocks.postprocess_data(fn, shown, state))
    found = dict(zip(fn.outputs, values, strict=True))
    assert found[harness.page.status] == "x"
    assert found[harness.results.viewer]["subject"] == harness.scene.subject
    assert found[harness.sweep.figure] == gr.skip()
    assert state.blocks_config.blocks == before


def test_a_message_never_takes_the_one_before_apart(harness):
    blocks, fn = harness.page.blocks, harness.find(harness.controls.sample, "click")
    scene, other, skip = {"pictures": [1, 2], "note": ""}, {"pictures": [1, 2, 3], "note": ""}, gr.skip()
    num = len(fn.outputs)

    def send(value: object, final: bool = False) -> list:
        return blocks.handle_streaming_diffs(fn, [value] * num, "somebody", "a run", final)

    assert send(scene) == [scene] * num
    assert send(scene) == [[]] * num, "what stays is not sent again"
    assert send(other) == [[["replace", [], other]]] * num, "whole, not what was added to the former one"
    assert send(skip) == [[["replace", [], skip]]] * num
    assert send(None, final=True) == [skip] * num
    assert send(scene) == [scene] * num, "another run begins with everything"


def test_only_work_has_its_answers_streamed(harness):
    fns = [fn for fn in harness.page.blocks.fns.values() if fn.fn is not None and fn.api_visibility == "private"]
    assert len(fns) > 20
    for fn in fns:
        is_streamed = fn.queue is not False
        assert is_streamed == inspect.isgeneratorfunction(fn.fn), fn.targets


def test_the_tab_that_gradio_selects_while_the_page_is_made_is_no_mistake(harness):
    fn = next(fn for fn in harness.page.blocks.fns.values() if fn.targets[0][1] == "select")
    values = {harness.page.serial: 2, harness.page.session: None}
    assert fn.fn(values) == {harness.page.status: gr.skip()}


# ---------------------------------------------------------------- opening the page


def test_the_page_opens_with_finished_samples_drawn_once_for_everybody(engine, sessions):
    first = Harness(engine, sessions, opening=True)
    assert len(ids(first)) == 8
    assert first.scene.overlay is not None
    assert NEXT_STEP in first.status
    assert first.values[first.numbers.table].count("<tr>") == 9
    num_requests = len(engine.requests)
    first.open()
    assert len(engine.requests) == num_requests
    assert first.session.view.run.samples[0].path.exists()
    sample(first)
    first.fire(first.page.undo)
    assert len(ids(first)) == 8


def test_while_the_first_set_is_drawn_the_picture_is_there_and_then_the_set(engine, sessions, harness):
    harness.page.opening = Opening(engine, sessions)
    fill = [fn for fn in harness.page.blocks.fns.values() if harness.page.memory in fn.inputs][1]
    harness.values[harness.page.session] = sessions.open()
    harness.session.want(example_source(0))
    stream = harness._call(fill, request=SimpleNamespace(query_params={}), serial=1)
    while "Drawing the first samples" not in harness.status:
        next(stream)
    assert harness.scene.note
    harness.page.opening.draw()
    list(stream)
    assert len(ids(harness)) == 8


def test_the_address_and_the_memory_set_the_controls(harness):
    query = {"seed": "7", "temperature": "0.5", "num_samples": "2", "consistency": "0", "example": "coffee"}
    harness.open(query)
    assert harness.settings[:5] == ["fake-x4", 0.5, 7, 2, False]
    assert harness.session.view.picture.source.name == "coffee"
    assert ids(harness) == ["s0", "s1"], "a link shows what it is a link to"
    harness.open({"seed": "7"}, fragment="seed=8&temperature=0.4")
    assert harness.settings[1:3] == [0.4, 8]
    harness.open({"seed": "-7"}, fragment=["seed=8"])
    assert "The settings in this link can&#x27;t be used" in harness.status
    assert harness.settings[2] == 0
    harness.open(memory={"num_samples": 3, "temperature": 0.2})
    assert harness.settings[1:4] == [0.2, 0, 3]
    for memory in ({"seed": "x"}, [1], "text", {"model": {"a": 1}}):
        harness.open(memory=memory)
        assert "Ready" in harness.status
        assert harness.settings[2] == 0


def test_buttons_pressed_before_the_page_is_there_do_not_send_anybody_away(engine, harness):
    session = harness.session
    harness.values[harness.page.session] = None
    harness.fire(harness.controls.sample)
    assert "still being set up" in harness.status
    assert "reload" not in harness.status
    harness.values[harness.page.session] = session
    sample(harness)
    assert "done" in harness.status


def test_sample_pressed_while_the_model_loads_is_done_when_it_is_there(engine, harness):
    load, fill = [fn for fn in harness.page.blocks.fns.values() if harness.page.memory in fn.inputs]
    request = SimpleNamespace(query_params={"example": "coffee"})
    harness.take(next(harness._call(load, request=request, serial=1)))
    harness.change("model", None)
    sample(harness)
    assert "done" in harness.status
    assert harness.session.view.picture.source.name == "coffee"
    late = list(harness._call(fill, request=request, serial=1))
    assert "done" in harness.status, "what the page does by itself is older than what the visitor did"
    assert all(value == gr.skip() for values in late for value in values.values())


# ---------------------------------------------------------------- sampling


def test_samples_stream_in_and_every_message_has_the_whole_scene(harness):
    harness.change("num_samples", 3)
    viewer = harness.results.viewer
    shown = harness.fire(harness.controls.sample)
    assert all(value == gr.skip() for value in shown[-1].values()), "Gradio repeats the last message when it likes"
    scenes = [values[viewer] for values in shown[:-1] if viewer in values]
    ready = [sum(p.path is not None for p in scene.pictures if p.kind == "sample") for scene in scenes]
    assert ready == sorted(ready)
    assert {0, 1, 2, 3} <= set(ready)
    assert {scene.subject for scene in scenes} == {scenes[0].subject}
    assert len({len(scene.pictures) for scene in scenes}) == 1, "nothing jumps"
    assert all(scene.overlay or scene.overlay_expected for scene in scenes), "nor does the grid make room for the map"
    assert "done" in harness.status
    assert harness.scene.overlay is not None
    assert f"seed={harness.seed}" in harness.values[harness.page.query]
    assert "example=cat" in harness.values[harness.page.query]


def test_figures_are_made_for_the_tab_that_is_open_and_announcements_are_few(harness, monkeypatch):
    histogram, atlas = harness.diversity.histogram, harness.numbers.atlas
    harness.change("num_samples", 4)
    made = []
    monkeypatch.setattr("app.panels.diversity.load_map", lambda *which: made.append(which) or load_map(*which))
    shown = harness.fire(harness.controls.sample)
    figures = {c for c in harness.page.outputs if isinstance(c, gr.Plot)}
    with_figures = [number for number, values in enumerate(shown[:-1]) if figures & set(values)]
    assert with_figures == [len(shown) - 2], "at the end only"
    assert not made
    assert harness.values[histogram] is None
    assert "data-show-sample" in harness.values[atlas]
    harness.open_tab("Diversity")
    assert len(Figure(harness.values[histogram]).to_json()) < 6000
    harness.fire(harness.controls.sample)
    assert len(made) == 2, "once when the tab was opened, once for the new set"
    assert harness.values[atlas] is None, "out of date, and out of sight"
    harness.open_tab("Numbers", serial=harness.serial - 5)  # overtaken on the network
    assert harness.values[atlas] is None
    harness.open_tab("Numbers")
    assert harness.values[atlas].count("data-show-sample") == 4
    harness.open_tab("What am I looking at?")
    spoken = [s for values in shown[:-1] if "data-spoken" in (s := values.get(harness.page.status, ""))]
    assert 4 <= len(spoken) <= 7, "start, each sample, end"


def test_sample_draws_new_samples_unless_the_seed_is_kept(harness, engine):
    seeds = set()
    for _ in range(3):
        sample(harness, 1)
        seeds.add(harness.seed)
        assert harness.session.view.run.settings.seed == harness.seed, "the seed used is the seed shown"
    assert len(seeds) > 1
    harness.values[harness.controls.keep] = True
    kept = harness.seed
    sample(harness, 3)
    assert harness.seed == kept
    assert engine.requests[-1].num_samples == 2, "the one that is there is not drawn again"
    harness.fire(harness.controls.more)
    assert ids(harness) == [f"s{i}" for i in range(7)]
    assert engine.requests[-1].num_samples == 4
    assert harness.settings[3] == 7
    harness.fire(harness.controls.dice)
    assert harness.seed != kept
    assert harness.session.view.run.settings.seed == harness.seed


def test_controls_redraw_only_once_there_is_something_to_redraw(harness, engine):
    harness.change("num_samples", 1)
    harness.change("temperature", 0.2)
    harness.fire(harness.controls.temperature, "input")
    assert not engine.requests
    sample(harness, 1)
    assert engine.requests[-1].temperature == 0.2
    harness.change("temperature", 0.3)
    harness.fire(harness.controls.temperature, "input")
    assert engine.requests[-1].temperature == 0.3
    assert harness.values[harness.controls.preset] is None
    harness.values[harness.controls.preset] = "Wild"
    harness.fire(harness.controls.preset, "input")
    assert harness.settings[1] == engine.requests[-1].temperature == 1.1
    assert engine.requests[-1].consistency_rounds == 0
    harness.change("temperature", 0.9)
    harness.change("consistency", True)
    harness.fire(harness.controls.consistency, "input")
    assert harness.values[harness.controls.preset] == "Balanced"


def test_the_latest_request_wins_whichever_arrives_first(harness, engine):
    sample(harness, 2)
    harness.change("temperature", 0.8)
    older = harness.stream(harness.controls.temperature, "input", serial=51)
    harness.change("temperature", 0.85)
    newer = list(harness.stream(harness.controls.temperature, "input", serial=52))
    assert newer
    last = list(older)
    assert all(value == gr.skip() for values in last for value in values.values())
    assert engine.requests[-1].temperature == harness.session.view.run.settings.temperature == 0.85


def test_a_run_that_notices_late_that_it_was_superseded_shows_nothing_more(engine, harness):
    engine.delay = 0.02
    older = one_sample_in(harness)
    engine._check = lambda cancel: None  # it does not check for Stop any more
    harness.fire(harness.picture.examples[1])
    shown = (harness.scene, harness.status)
    for values in older:
        assert all(value == gr.skip() for value in values.values())
    assert (harness.scene, harness.status) == shown
    assert harness.session.view.picture.source.name == EXAMPLES[1].name
    assert harness.session.view.run is None


def test_a_message_that_is_ready_too_late_is_not_sent(harness, monkeypatch):
    """While it is being made, a newer event runs from beginning to end."""
    show, newer = harness.page.show, []

    def show_slowly(session, view, update):
        shown = show(session, view, update)
        if Part.PICTURE in update.changed and not newer:
            newer.append(None)
            harness.fire(harness.controls.sample)
        return shown

    monkeypatch.setattr(harness.page, "show", show_slowly)
    late = harness.fire(harness.picture.kind, "input")
    assert newer
    assert all(value == gr.skip() for values in late for value in values.values())
    assert harness.status.count("samples in")
    assert len(ids(harness)) == 8


def test_presets_say_what_they_set(harness, engine):
    assert preset_choices(PRESETS, 0.85) == [
        ("Faithful: τ 0.5", "Faithful"),
        ("Balanced: τ 0.85", "Balanced"),
        ("Wild: τ 1.1, input not matched", "Wild"),
    ]
    shown = harness.controls.show_presets(harness.session.view.settings, engine.info())
    assert (shown["value"], shown["choices"][1]) == ("Balanced", ("Balanced: τ 0.9", "Balanced"))


def test_two_presets_at_once_show_what_is_drawn(engine, harness):
    sample(harness, 1)
    harness.values[harness.controls.preset] = "Faithful"
    first = harness.stream(harness.controls.preset, "input")
    next(first)
    harness.values[harness.controls.preset] = "Wild"
    harness.fire(harness.controls.preset, "input")
    list(first)
    assert harness.settings[1] == engine.requests[-1].temperature == 1.1
    assert harness.settings[4] is False


def test_stop_keeps_what_is_finished(engine, harness):
    engine.delay = 0.05
    for _ in harness.stream(harness.controls.sample):
        if len(ids(harness)) == 2:
            harness.fire(harness.controls.stop)
    assert "Stopped after 2 of 8 samples" in harness.status
    assert ids(harness, only_ready=False) == ["s0", "s1"]
    assert harness.values[harness.numbers.table].count("<tr>") == 3


def test_stop_before_the_first_sample_keeps_the_set_that_was_there(engine, harness):
    sample(harness, 3)
    before, table, run = harness.scene, harness.values[harness.numbers.table], harness.session.view.run
    engine.delay = 0.2
    waiting = []
    for _ in harness.stream(harness.controls.sample):
        waiting.append(harness.scene)
        harness.fire(harness.controls.stop)
    assert any(not [p for p in scene.pictures if p.kind == "sample" and p.path] for scene in waiting)
    assert "Stopped." in harness.status
    assert harness.scene == before
    assert harness.values[harness.numbers.table] == table
    assert harness.session.view.run == run
    harness.fire(harness.download.zip)
    assert harness.values[harness.download.file].endswith(".zip")


def test_stop_keeps_the_rows_that_are_there(engine, sessions, monkeypatch):
    monkeypatch.setattr("app.runs._ROWS_INTERVAL", 0.0)
    harness = Harness(engine, sessions)
    harness.change("tile", 20)
    harness.change("num_samples", 2)
    for _ in harness.stream(harness.controls.sample):
        if harness.session.view.run and len(harness.session.view.run.parts) == 2:
            harness.fire(harness.controls.stop)
    assert "Stopped." in harness.status
    samples = [p for p in harness.scene.pictures if p.kind == "sample"]
    assert [p.id for p in samples] == ["s0", "s1"]
    assert all(p.parts and p.path is None for p in samples)
    assert not harness.values[harness.download.choice], "nothing is finished"


def test_a_set_that_a_slider_replaced_is_one_undo_away(harness):
    sample(harness, 2, temperature=0.9)
    before, seed = harness.scene, harness.seed
    harness.change("temperature", 0.1)
    harness.fire(harness.controls.temperature, "input")
    assert harness.scene != before
    harness.fire(harness.page.undo)
    assert replace(harness.scene, steps=()) == replace(before, steps=()), "but for the history, which goes on"
    assert harness.settings[1:3] == [0.9, seed]
    assert all(Path(p.path).exists() for p in harness.scene.pictures if p.path)
    harness.fire(harness.page.redo)
    assert harness.settings[1] == 0.1
    harness.fire(harness.page.redo)
    assert "nothing to redo" in harness.status


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryBudgetError("It needs 90 GB; there are 4 GB."), "Choose a smaller crop"),
        (InputError("The picture is odd."), "The picture is odd."),
        (ZeroDivisionError("secret detail"), UNEXPECTED),
        (Cancelled("x"), "Stopped."),
    ],
)
def test_failures_become_words_and_the_settings_stay(harness, engine, error, words, caplog):
    sample(harness, 2)
    before, scene = harness.settings, harness.scene
    harness.values[harness.controls.keep] = True
    harness.change("temperature", 0.5)
    before[1] = 0.5
    engine.error = error
    harness.fire(harness.controls.sample)
    assert words in harness.status
    assert "secret detail" not in harness.status
    assert "Traceback" not in harness.status
    assert harness.settings == before
    assert harness.scene == scene, "the set that was there is there again"
    assert ("secret detail" in caplog.text) == (words == UNEXPECTED), "noted, for those who run it"
    engine.error = None
    harness.fire(harness.controls.sample)
    assert "done" in harness.status


def test_an_error_about_a_number_goes_when_the_number_is_mended(harness):
    harness.change("seed", None)
    harness.fire(harness.controls.seed, "input")
    assert "must be a number" in harness.status
    harness.change("seed", 5)
    harness.fire(harness.controls.seed, "input")
    assert "error" not in harness.status


def test_settings_that_wait_for_sample_say_so(harness):
    harness.change("num_samples", 5)
    harness.change("tile", 32)
    harness.fire(harness.controls.num_samples, "release")
    assert "9 tiles of 32×32" in harness.values[harness.picture.facts]
    assert len(ids(harness, only_ready=False)) == 5
    harness.fire(harness.controls.sample)
    scene = harness.scene
    harness.change("num_samples", 6)
    harness.fire(harness.controls.num_samples, "release")
    assert harness.scene is scene, "what is drawn stays"
    assert harness.values[harness.controls.sample] == "Sample (changed)"
    harness.fire(harness.controls.sample)
    assert harness.values[harness.controls.sample] == "Sample"


def test_a_sweep_during_a_run_leaves_nothing_waiting(engine, harness):
    engine.delay = 0.02
    run = one_sample_in(harness)
    harness.fire(harness.sweep.button)
    list(run)
    assert "The sweep is done" in harness.status
    assert ids(harness, only_ready=False) == ids(harness), "none waits for a sample that nobody draws"
    assert harness.values[harness.download.choice] == "s0"
    assert len(harness.values[harness.sweep.viewer].pictures) == 8
    harness.fire(harness.picture.examples[1])
    assert harness.values[harness.sweep.viewer] is None, "it was of another picture"


# ---------------------------------------------------------------- pictures


def test_another_picture_clears_what_was_drawn_of_the_former_one(harness):
    assert harness.scene.note
    sample(harness)
    assert not harness.scene.note
    old = harness.scene.subject
    harness.fire(harness.picture.examples[1])
    assert "Ready" in harness.status
    assert harness.scene.note
    assert harness.scene.subject != old
    assert "will appear" in harness.values[harness.numbers.table]
    sample(harness)
    subject = harness.scene.subject
    harness.values[harness.picture.region] = "Whole picture"
    harness.fire(harness.picture.region, "input")
    assert harness.scene.subject == subject, "it is the whole picture already"
    assert harness.session.view.run is not None
    harness.values[harness.picture.region] = "64 × 64"
    harness.fire(harness.picture.region, "input")
    assert (harness.scene.width, harness.scene.note != "") == (256, True)


def test_what_a_visitor_brings_is_low_resolution_unless_said_otherwise(harness, upload):
    assert harness.values[harness.picture.kind] == "hr", "the example is"
    bring(harness, upload())
    picture = harness.session.view.picture
    assert (picture.width, picture.has_truth) == (40, False)
    assert harness.values[harness.picture.kind] == "lr"
    assert "large picture" not in harness.values[harness.picture.question]
    bring(harness, upload(400, 300))
    assert harness.session.view.picture.region.width == 128
    assert "it is a large picture" in harness.values[harness.picture.question]
    harness.fire(harness.picture.as_large)
    picture = harness.session.view.picture
    assert (picture.width, picture.has_truth) == (100, True)
    assert "large picture" not in harness.values[harness.picture.question]


def test_a_choice_that_is_made_while_the_end_of_an_upload_is_on_its_way_stays(harness, upload):
    harness.values[harness.picture.image] = upload()
    told = [shown.get(harness.picture.kind) for shown in harness.fire(harness.picture.image, "upload")]
    assert told.count("lr") == 1, "once the new picture is shown, the visitor may choose"


def test_a_picture_that_is_refused_leaves_its_error_and_is_not_replaced_by_the_one_before(harness, engine, tmp_path):
    sample(harness)
    before = harness.scene
    (tmp_path / "a.jpg").write_text("hello")
    bring(harness, str(tmp_path / "a.jpg"))
    assert "not a picture" in harness.status
    assert "error" in harness.status
    assert "Undo brings back the previous picture" in harness.status
    num_requests = len(engine.requests)
    harness.fire(harness.controls.sample)
    assert len(engine.requests) == num_requests, "the picture before is not drawn in its place"
    assert "There is no picture" in harness.status
    assert harness.values[harness.picture.image] is None
    harness.fire(harness.page.undo)
    assert harness.scene == before
    harness.fire(harness.controls.sample)
    assert "done" in harness.status


def test_an_emptied_box_is_no_picture(harness, engine):
    sample(harness)
    num_requests = len(engine.requests)
    harness.fire(harness.picture.image, "clear")
    assert harness.scene is None
    harness.fire(harness.controls.sample)
    harness.change("model", "fake-x8")
    harness.fire(harness.controls.model, "input")
    assert len(engine.requests) == num_requests
    assert "There is no picture" in harness.status


def test_a_model_of_another_scale_takes_the_picture_anew(harness, engine):
    sample(harness)
    harness.change("model", "fake-x8")
    harness.fire(harness.controls.model, "input")
    harness.fire(harness.controls.model, "input")
    picture = harness.session.view.picture
    assert picture.scale_factor == 8
    sample(harness)
    assert engine.requests[-1].lr.shape[0] * 8 == engine.requests[-1].ground_truth.shape[0]
    assert "done" in harness.status


def test_the_balanced_preset_stays_selected_when_the_model_changes(harness, engine):
    sample(harness)
    assert engine.requests[-1].temperature == 0.9
    harness.change("model", "fake-x8")
    harness.fire(harness.controls.model, "input")
    assert harness.values[harness.controls.temperature] == 0.8
    assert harness.values[harness.controls.preset] == "Balanced"
    sample(harness)
    assert engine.requests[-1].temperature == 0.8
    harness.change("model", "fake-x4")
    harness.fire(harness.controls.model, "input")
    assert harness.values[harness.controls.temperature] == 0.9


def test_a_temperature_of_the_visitor_stays_when_the_model_changes(harness, engine):
    harness.change("temperature", 0.7)
    harness.change("model", "fake-x8")  # before the preset shows that it is no longer selected
    harness.fire(harness.controls.model, "input")
    assert harness.values[harness.controls.temperature] == 0.7
    assert harness.values[harness.controls.preset] is None
    sample(harness)
    assert engine.requests[-1].temperature == 0.7


def test_the_temperature_follows_the_model_without_a_picture_too(harness):
    harness.fire(harness.picture.image, "clear")
    harness.change("model", "fake-x8")
    harness.fire(harness.controls.model, "input")
    assert "There is no picture" in harness.status
    assert harness.values[harness.controls.model] == "fake-x8"
    assert harness.values[harness.controls.temperature] == 0.8


def test_a_model_that_does_not_fit_is_set_back_with_its_temperature(harness, upload):
    bring(harness, upload(100, 100))
    harness.values[harness.picture.kind] = "hr"
    harness.fire(harness.picture.kind, "input")
    harness.change("model", "fake-x8")
    harness.fire(harness.controls.model, "input")
    assert "at least 128 pixels" in harness.status
    assert harness.values[harness.controls.model] == "fake-x4"
    assert harness.values[harness.controls.temperature] == 0.9


def test_a_kind_or_model_that_does_not_fit_is_set_back(harness, upload):
    bring(harness, upload(20, 20))
    harness.values[harness.picture.kind] = "hr"
    harness.fire(harness.picture.kind, "input")
    assert "at least 64 pixels" in harness.status
    assert harness.values[harness.picture.kind] == "lr"
    sample(harness)
    assert "done" in harness.status


def test_pictures_asked_for_at_once_end_with_the_last_one(harness, engine, upload):
    gate = threading.Event()
    read = engine.open_picture

    def slow(source, max_pixels=None):
        if "mine" in str(source) or "upload" in str(source):
            gate.wait()
        return read(source, max_pixels)

    engine.open_picture = slow
    harness.values[harness.picture.image] = upload()
    older = harness.stream(harness.picture.image, "upload")
    next(older)
    thread = threading.Thread(target=lambda: list(older), daemon=True)
    thread.start()
    harness.fire(harness.picture.examples[2])
    gate.set()
    thread.join()
    assert harness.session.view.picture.source.name == EXAMPLES[2].name
    assert harness.values[harness.picture.image] == str(EXAMPLES[2].path)


def test_sample_pressed_during_an_upload_means_the_upload(harness, engine, upload):
    harness.values[harness.picture.image] = upload()
    older = harness.stream(harness.picture.image, "upload")
    next(older)
    sample(harness)
    list(older)
    assert engine.requests[-1].lr.shape == (30, 40, 3)
    assert "done" in harness.status


def test_files_of_the_page_outlive_gradios_cache(harness, engine, upload):
    path = upload()
    bring(harness, path)
    Path(path).unlink()  # Gradio's sweep
    sample(harness)
    assert "done" in harness.status
    harness.values[harness.picture.kind] = "lr"
    harness.fire(harness.picture.kind, "input")
    assert "error" not in harness.status
    harness.fire(harness.download.zip)
    for name in ("rgb", "luma"):
        harness.values[harness.diversity.measure] = name
        harness.fire(harness.diversity.measure, "input")
    assert "error" not in harness.status
    root = harness.page.sessions.root
    files = [p.path for p in harness.scene.pictures if p.path] + [harness.scene.overlay.path]
    assert all(root in Path(file).parents for file in files)
    assert gr.utils.is_static_file(files[0]), "served as it is: neither copied nor swept"


def test_a_dropped_sample_restores_everything(harness, engine):
    harness.values[harness.controls.keep] = True
    sample(harness, 3, temperature=0.35, seed=99)
    record = harness.session.view.run.samples[2]
    pixels = np.array(Image.open(record.path))
    other = Harness(engine, harness.page.sessions)
    before = other.session.view
    bring(other, str(record.path))
    assert "This PNG was made here" in other.status
    assert other.session.view == before, "nothing happens before the answer"
    other.fire(other.picture.restore)
    assert "sample 3 of seed 99" in other.status
    assert other.values[other.controls.temperature] == 0.35
    assert other.values[other.picture.kind] == "lr"
    assert "float32, without tiles" in other.values[other.controls.chip]
    other.fire(other.controls.sample)
    np.testing.assert_array_equal(np.array(Image.open(other.session.view.run.samples[2].path)), pixels)
    assert "tile" not in other.values[other.page.memory]
    assert "precision" not in other.values[other.page.memory]
    other.fire(other.picture.examples[1])
    assert other.values[other.controls.tile] == -1, "settings of a PNG hold for its own picture only"
    assert other.values[other.controls.precision] == "auto"


def test_a_dropped_sample_can_be_enlarged_again(harness, engine):
    sample(harness, 1)
    path = str(harness.session.view.run.samples[0].path)
    bring(harness, path)
    harness.fire(harness.picture.as_picture)
    picture = harness.session.view.picture
    assert (picture.width, picture.height) == (384, 300)
    sample(harness, 1)
    assert "done" in harness.status


def test_a_sample_without_its_picture_leaves_none(harness, engine, tmp_path):
    sample(harness, 1)
    recipe = harness.session.view.run.samples[0].recipe
    engine.save_png(tmp_path / "bare.png", np.zeros((80, 80, 3), np.uint8), {RECIPE_KEY: recipe.to_json()})
    bring(harness, str(tmp_path / "bare.png"))
    harness.fire(harness.picture.restore)
    assert "Now open the low-resolution picture of 96×75" in harness.status
    num_requests = len(engine.requests)
    harness.fire(harness.controls.sample)
    assert len(engine.requests) == num_requests
    assert harness.session.view.picture is None


def test_a_sample_with_settings_of_elsewhere_is_taken_as_a_picture(harness, engine, tmp_path):
    sample(harness, 1)
    recipe = replace(harness.session.view.run.samples[0].recipe, seed=2**60, temperature=1.9)
    engine.save_png(tmp_path / "other.png", np.zeros((80, 64, 3), np.uint8), {RECIPE_KEY: recipe.to_json()})
    bring(harness, str(tmp_path / "other.png"))
    assert "Treated as a picture" in harness.status
    picture = harness.session.view.picture
    assert (picture.width, picture.height) == (64, 80)
    sample(harness, 1)
    assert "done" in harness.status


def test_what_was_done_to_a_file_is_shown_and_its_opacity_reaches_the_samples(harness, engine, upload, monkeypatch):
    alpha = np.arange(40 * 48, dtype=np.uint32).astype(np.uint8).reshape(40, 48)
    read = Picture(pixels=np.full((40, 48, 3), 99, np.uint8), alpha=alpha, notes=("Display P3 → sRGB", "alpha kept"))
    monkeypatch.setattr(engine, "read_picture", lambda _source, _max_pixels=None: read)
    saved, original = [], engine.save_png

    def save_png(path, picture, text=None, *, alpha=None, metadata=None):
        saved.append((path, text or {}, alpha))
        original(path, picture, text)

    monkeypatch.setattr(engine, "save_png", save_png)
    bring(harness, upload(48, 40))
    assert "Display P3 → sRGB, alpha kept" in harness.values[harness.picture.facts]
    sample(harness, 1)
    [(_, text, used)] = [each for each in saved if RECIPE_KEY in each[1]]
    np.testing.assert_array_equal(used, alpha)
    assert text[INPUT_KEY] == "Display P3 → sRGB, alpha kept"


def test_files_that_browsers_do_not_know_are_shown_by_their_preview(harness, tmp_path):
    Image.fromarray(np.full((40, 48, 3), 99, np.uint8)).save(tmp_path / "scan.tif")
    bring(harness, str(tmp_path / "scan.tif"))
    assert harness.values[harness.picture.image].endswith("preview.png")
    assert harness.session.source.path.suffix == ".tif"


def test_a_place_of_the_region_is_checked(harness, upload):
    bring(harness, upload(700, 300))
    harness.values[harness.picture.region] = "64 × 64"
    for index in (None, [1], ["a", 2], [10**9, 0], [-1, 0]):
        harness.fire(harness.picture.preview, "select", {"index": index})
        assert "The position must be" in harness.status
    assert harness.values[harness.picture.region] == "128 × 128", "set back with the error"
    harness.values[harness.picture.region] = "64 × 64"
    harness.fire(harness.picture.preview, "select", {"index": [300, 100]})
    region = harness.session.view.picture.region
    assert (region.left, region.top, region.width) == (600 - 32, 200 - 32, 64)
    assert harness.values[harness.picture.left] == 568
    harness.values[harness.picture.left] = 7
    harness.fire(harness.picture.left, "submit")
    region = harness.session.view.picture.region
    assert (region.left, region.top, region.width) == (7, 168, 64)
    harness.values[harness.picture.top] = 9999
    harness.fire(harness.picture.top, "submit")
    assert "The top edge must be" in harness.status


# ---------------------------------------------------------------- the other panels


def test_the_measure_can_be_changed_while_samples_come_in(harness, monkeypatch):
    monkeypatch.setattr("app.runs._MAP_INTERVAL", 0.0)
    stream = harness.stream(harness.controls.sample)
    while harness.scene.overlay is None:
        next(stream)
    harness.values[harness.diversity.measure] = "rgb"
    harness.fire(harness.diversity.measure, "input")
    list(stream)
    run = harness.session.view.run
    assert harness.scene.overlay == run.overlays["rgb"]
    assert np.abs(load_map(run, "rgb") - load_map(run, "luma")).max() > 5
    assert len(ids(harness)) == 8, "the work went on"


def test_downloads_and_link(harness):
    for button in (harness.download.png, harness.download.zip, harness.download.link):
        harness.fire(button)
        assert "Press Sample first" in harness.status
    sample(harness, 2)
    harness.fire(harness.results.viewer, "pick", {"id": "s1"})
    assert harness.values[harness.download.choice] == "s1"
    for data in ({"id": "../x"}, None, {"id": 3}):
        harness.fire(harness.results.viewer, "pick", data)
        assert harness.values[harness.download.choice] == "s1"
    harness.fire(harness.download.png)
    path = Path(harness.values[harness.download.file])
    assert path.name == f"tau0.9-seed{harness.seed}-sample-02.png"
    harness.values[harness.download.choice] = "nothing"
    harness.fire(harness.download.png)
    assert harness.values[harness.download.file] is None, "or the file before would be saved again"
    harness.fire(harness.download.link)
    assert "settings and the example" in harness.status


# ---------------------------------------------------------------- the page as a whole


def test_the_page_needs_neither_torch_nor_the_engine_to_be_built():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from app.layout import build_page, launch_options\n"
        "class Never:\n"
        "    def __getattr__(self, name): raise AssertionError(name)\n"
        "page = build_page(Never()); launch_options(); page.sessions.close()\n"
        "bad = [name for name in ('torch', 'torchvision', 'lpips', 'skimage') if name in sys.modules]\n"
        "assert not bad, bad"
    )
    root = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_a_panel_has_what_the_page_asks_of_it(harness):
    for panel in harness.page.panels:
        assert set(panel.streamed) <= set(panel.outputs)
        assert set(panel.show(harness.session.view, frozenset())) == set()
    outputs = harness.page.outputs
    assert len(outputs) == len(set(outputs)), "each component is shown by one panel"


def test_nothing_lossy_nothing_from_elsewhere_and_everything_bounded(harness):
    app = harness.page.blocks
    images = [block for block in app.blocks.values() if isinstance(block, gr.Image)]
    assert images
    assert {image.format for image in images} == {"png"}
    options = launch_options()
    assert options["ssr_mode"] is False
    assert options["show_error"] is False
    assert options["max_file_size"] > 0
    assert options["state_session_capacity"] <= 1000
    assert not any(sheet["url"] for sheet in (font.stylesheet() for font in options["theme"]._font))
    assert "http" not in options["css"] + options["head"]
    assert app.delete_cache is not None
    assert app._queue.max_size == 64
    assert app.analytics_enabled is False
    assert sum(isinstance(block, LinkedViewer) for block in app.blocks.values()) == 2


def test_endpoints_are_documented(engine, sessions):
    named = build_page(engine, sessions).blocks.get_api_info()["named_endpoints"]
    assert set(named) == {
        "/sample",
        "/diversity_map",
        "/sweep",
        "/draw_list",
        "/reroll",
        "/sliders",
        "/families",
        "/wish",
        "/edit",
        "/grain",
        "/could_be",
        "/measure",
        "/export",
        "/models",
    }
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


def test_a_long_wait_for_the_engine_can_be_stopped(engine, harness):
    engine.is_held = True
    stream = one_sample_in(harness)
    timer = threading.Timer(0.05, lambda: harness.session.stop(harness.serial + 1))
    timer.start()
    list(stream)  # without Stop it would never end
    assert "Stopped after 1" in harness.status


# ---------------------------------------------------------------- endpoints


def call(harness, name: str, *values):
    fn = next(fn for fn in harness.page.blocks.fns.values() if fn.api_name == name)
    return fn.fn(*values)


@pytest.fixture
def endpoint_values():
    return str(EXAMPLES[0].path), "", 0.5, 3, 2, True, True


def test_an_endpoint_gives_its_result_last_and_keeps_it_for_its_age(harness, endpoint_values, upload, monkeypatch):
    *_, (files, numbers) = call(harness, "sample", *endpoint_values)
    for _ in range(34):
        list(call(harness, "sample", upload(), *endpoint_values[1:4], 1, False, False))
    assert all(Path(file).exists() for file in files)
    assert [sample["recipe"]["seed"] for sample in numbers["samples"]] == [3, 3]
    monkeypatch.setattr("app.endpoints.RESULT_SECONDS", 0)
    list(call(harness, "sample", *endpoint_values))
    assert not Path(files[0]).exists()
    assert len(harness.page.sessions) == 1, "calls are no visitors"


def test_a_call_whose_client_leaves_stops(harness, engine, endpoint_values, monkeypatch):
    monkeypatch.setattr("app.endpoints._PROGRESS_SECONDS", 0.0)
    engine.delay = 0.05
    stream = call(harness, "sample", *endpoint_values)
    assert next(stream) == (None, None)
    assert next(stream) == (None, None)
    stream.close()
    folders = list(harness.page.sessions.root.glob("*/run-*"))
    assert not folders, "the job is over, and its files are gone"


def test_an_endpoint_refuses_in_words(harness, endpoint_values, monkeypatch):
    with pytest.raises(gr.Error, match="The number of samples must be"):
        list(call(harness, "sample", *endpoint_values[:4], 99, True, True))
    monkeypatch.setattr("app.endpoints.MAX_PIXELS", 1000)
    with pytest.raises(gr.Error, match="megapixels"):
        list(call(harness, "sample", *endpoint_values))

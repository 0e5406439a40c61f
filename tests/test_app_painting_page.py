"""Painting calm and wild on the real page, with the fake engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import test_app_explore as explore
from playwright.sync_api import expect
from test_app_explore import WALK, Explorer

from srflow.operations import Heat

pytestmark = [pytest.mark.browser, pytest.mark.slow]

engine, url, visit = explore.engine, explore.url, explore.visit

HEAT = "viewer.exploring.heat"


def begin(visit: Explorer) -> None:
    visit.page.get_by_role("button", name="Calm / wild").click()
    expect(visit.page.get_by_role("group", name="Paint calm and wild")).to_be_visible()


def stroke(visit: Explorer, index: int, start: tuple[float, float], end: tuple[float, float]) -> None:
    box = visit.canvas(index).bounding_box()
    place = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    visit.page.mouse.move(*place[0])
    visit.page.mouse.down()
    visit.page.mouse.move(*place[1], steps=4)
    visit.page.mouse.up()


def last_painted(engine):
    """The last request with a way to go on; one with the picture alone comes ahead of the first stroke."""
    return next(request for request in reversed(engine.explored) if len(request.variants) > 1)


def paint(visit: Explorer, engine, act: Callable[[], object], *temperatures: float) -> str:
    """Do something, and wait until another picture, with these temperatures, is shown for it. Gives its id."""
    former = visit.viewer(f"viewer.pictures.get({WALK}.message?.ids[0])?.loadedUrl ?? null")
    act()
    visit.page.wait_for_function(
        "([former, wanted]) => { const viewer = document.querySelector('#viewer .lv').parentElement.linkedViewer;"
        " const { walk, heat } = viewer.exploring; const shown = viewer.pictures.get(walk.message?.ids[0]);"
        " return walk.message?.kind === 'heat' && viewer.current === shown?.id && shown.state === 'ready'"
        " && shown.loadedUrl !== former && heat.map.heat().map(one => one.temperature).join() === wanted.join(); }",
        arg=[former, list(temperatures)],
    )
    expect(visit.page.locator("#status .done")).to_contain_text("Painted.")
    assert [one.temperature for one in last_painted(engine).variants[1]] == list(temperatures)
    return visit.viewer(f"{WALK}.message.ids[0]")


def test_painting_calm_and_wild_follows_each_stroke_and_is_kept(visit, engine):
    sample = visit.file("s2")
    begin(visit)
    name = paint(visit, engine, lambda: stroke(visit, 2, (0.3, 0.3), (0.5, 0.3)), 0.3)
    assert visit.viewer(f"{WALK}.message.start") == "s2"
    assert last_painted(engine).recipe.index == 2
    assert any(request.variants == ((),) and request.recipe.index == 2 for request in engine.explored), "begun ahead"
    first = visit.file(name)
    left, top, right, bottom = (4 * edge for edge in visit.viewer(f"{HEAT}.map.message().box"))
    outside = np.ones(sample.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(first[outside], sample[outside])
    assert not np.array_equal(first, sample)

    visit.page.get_by_label("Temperature to paint with").press("End")
    expect(visit.page.locator(".lv-heat-text")).to_have_text("1.20")
    again = paint(visit, engine, lambda: stroke(visit, 0, (0.3, 0.7), (0.5, 0.7)), 0.3, 1.2)
    assert again == name, "in place"
    both = visit.file(name)
    visit.page.locator("#viewer .lv-stage").focus()
    visit.press("ArrowLeft")
    assert visit.now == "s2", "how it was before is a key away"

    paint(visit, engine, lambda: visit.press("Control+z"), 0.3)
    assert np.array_equal(visit.file(name), first), "taking the stroke back gives the picture before it"
    paint(visit, engine, lambda: visit.press("Control+Shift+z"), 0.3, 1.2)
    assert np.array_equal(visit.file(name), both)
    assert visit.page.locator("#undo").is_disabled(), "nothing is kept yet"

    kept = visit.keep()
    assert np.array_equal(visit.file(kept), both)
    assert visit.viewer(f"{HEAT}.isEmpty"), "what was painted belongs to the picture now"
    expect(visit.page.locator("#viewer .lv-step-label")).to_have_text(["8 samples", "Wilder"])
    visit.page.get_by_role("button", name="More like this").click()
    visit.wait_for_viewer(f"{WALK}.message?.kind === 'more' && {WALK}.message.ids.length === 8")
    assert visit.viewer(f"{WALK}.message.start") == kept
    operations = engine.explored[-1].recipe.operations
    assert [type(one) for one in operations] == [Heat, Heat]
    assert operations[0].temperature == 0.3


def test_taking_back_all_strokes_is_as_it_was_before_and_escape_leaves(visit, engine):
    begin(visit)
    row = visit.page.get_by_role("group", name="Paint calm and wild")
    paint(visit, engine, lambda: stroke(visit, 1, (0.3, 0.3), (0.5, 0.3)), 0.3)
    row.get_by_role("button", name="Undo stroke").click()
    visit.wait_for_viewer("!viewer.scene.walk && viewer.mode === 'grid'")
    paint(visit, engine, row.get_by_role("button", name="Redo").click, 0.3)
    visit.page.locator("#viewer .lv-stage").focus()
    visit.press("Escape")
    visit.wait_for_viewer("!viewer.scene.walk && viewer.mode === 'grid'")
    assert visit.viewer(f"{HEAT}.isEmpty")
    assert visit.viewer("viewer.scene.explored") is None


def test_places_found_by_a_rule_and_the_chosen_one_are_painted(visit, engine):
    visit.paint(1, (0.2, 0.2), (0.3, 0.2))
    begin(visit)
    assert not visit.viewer("viewer.exploring.mask.isChoosing"), "one paints at a time"
    row = visit.page.get_by_role("group", name="Paint calm and wild")
    paint(visit, engine, row.get_by_role("button", name="Uncertain areas").click, 0)
    found = last_painted(engine).variants[1][0].mask.array()
    assert found[:, -found.shape[1] // 8 :].mean() > 80, "the fake engine's samples differ most on the right"
    paint(visit, engine, row.get_by_role("button", name="Selected region").click, 0, 0.3)
    assert visit.viewer(f"{HEAT}.map.past.length") == 2
    row.get_by_role("button", name="Tint").click()
    assert visit.viewer(f"{HEAT}.hasTint") is False
    row.get_by_role("button", name="Done").click()
    expect(row).to_be_hidden()
    visit.press("Escape")
    visit.wait_for_viewer("!viewer.scene.walk")


def test_by_keyboard_alone_a_box_is_painted_moved_and_kept(visit, engine):
    visit.page.get_by_role("button", name="Calm / wild").press("Enter")
    visit.page.get_by_role("group", name="Paint calm and wild").get_by_role("button", name="Box").press("Enter")
    visit.page.locator("#viewer .lv-stage").focus()
    paint(visit, engine, lambda: visit.press("Enter"), 0.3)
    before = last_painted(engine).variants[1][0].mask.support
    visit.page.locator("#viewer .lv-stage").focus()
    paint(visit, engine, lambda: visit.press("ArrowRight", "ArrowRight"), 0.3)
    left, top, right, bottom = before
    assert last_painted(engine).variants[1][0].mask.support == (left + 2, top, right + 2, bottom)
    visit.page.locator("#viewer .lv-stage").focus()
    kept = visit.keep()
    assert visit.viewer("viewer.scene.explored") == kept
    assert visit.viewer(f"{HEAT}.isEmpty")

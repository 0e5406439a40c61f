"""Painting calm and wild on the real page, with the fake engine."""

from __future__ import annotations

import numpy as np
import pytest
import test_app_explore as explore
from playwright.sync_api import expect
from test_app_explore import WALK, Explorer

from srflow.operations import Heat

pytestmark = [pytest.mark.browser, pytest.mark.slow]

engine, url, visit = explore.engine, explore.url, explore.visit

READY = "[...viewer.pictures.values()].every(p => p.state === 'ready')"
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


def painted(visit: Explorer, engine, *temperatures: float) -> str:
    """Wait until the picture with these temperatures is shown. Gives its id."""
    visit.page.wait_for_function(
        "wanted => { const { map } = document.querySelector('#viewer .lv').parentElement.linkedViewer.exploring.heat;"
        " return map?.heat().map(one => one.temperature).join() === wanted.join(); }",
        arg=list(temperatures),
    )
    visit.wait_for_viewer(
        f"{WALK}.message?.kind === 'heat' && {WALK}.message.ids.length === 1"
        f" && viewer.current === {WALK}.message.ids[0] && {READY}"
    )
    expect(visit.page.locator("#status .done")).to_contain_text("Painted.")
    visit.page.wait_for_function("() => !document.querySelector('#status .bar')")
    drawn = [one.temperature for one in engine.explored[-1].variants[1]]
    assert drawn == list(temperatures)
    return visit.viewer(f"{WALK}.message.ids[0]")


def test_painting_calm_and_wild_follows_each_stroke_and_is_kept(visit, engine):
    sample = visit.file("s2")
    begin(visit)
    stroke(visit, 2, (0.3, 0.3), (0.5, 0.3))
    name = painted(visit, engine, 0.3)
    assert visit.viewer(f"{WALK}.message.start") == "s2"
    assert engine.explored[-1].recipe.index == 2
    first = visit.file(name)
    left, top, right, bottom = (4 * edge for edge in visit.viewer(f"{HEAT}.map.message().box"))
    outside = np.ones(sample.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(first[outside], sample[outside])
    assert not np.array_equal(first, sample)

    slider = visit.page.get_by_label("Temperature to paint with")
    slider.press("End")
    expect(visit.page.locator(".lv-heat-text")).to_have_text("1.20")
    stroke(visit, 0, (0.3, 0.7), (0.5, 0.7))
    visit.page.wait_for_function(
        "former => document.querySelector('#viewer .lv').parentElement.linkedViewer.pictures.get(former[0])?.loadedUrl"
        " !== former[1]",
        arg=[name, visit.viewer(f"viewer.pictures.get({name!r}).loadedUrl")],
    )
    assert painted(visit, engine, 0.3, 1.2) == name, "in place"
    both = visit.file(name)
    visit.press("ArrowLeft")
    assert visit.now == "s2", "how it was before is a key away"

    visit.page.locator("#viewer .lv-stage").focus()
    visit.press("Control+z")
    assert painted(visit, engine, 0.3) == name
    assert np.array_equal(visit.file(name), first), "taking the stroke back gives the picture before it"
    visit.press("Control+Shift+z")
    painted(visit, engine, 0.3, 1.2)
    assert np.array_equal(visit.file(name), both)
    assert visit.page.locator("#undo").is_disabled(), "nothing is kept yet"

    kept = visit.keep()
    assert np.array_equal(visit.file(kept), both)
    assert visit.viewer(f"{HEAT}.isEmpty"), "what was painted belongs to the picture now"
    expect(visit.page.locator("#viewer .lv-step-label")).to_have_text(["8 samples", "Wilder"])
    rolled = visit.viewer("viewer.scene.explored")
    visit.page.get_by_role("button", name="More like this").click()
    visit.wait_for_viewer(f"{WALK}.message?.kind === 'more' && {WALK}.message.ids.length === 8")
    assert [type(one) for one in engine.explored[-1].recipe.operations] == [Heat, Heat]
    assert engine.explored[-1].recipe.operations[0].temperature == 0.3
    assert visit.viewer(f"{WALK}.message.start") == rolled


def test_taking_back_all_strokes_is_as_it_was_before_and_escape_leaves(visit, engine):
    begin(visit)
    stroke(visit, 1, (0.3, 0.3), (0.5, 0.3))
    painted(visit, engine, 0.3)
    visit.page.get_by_role("button", name="Undo stroke").click()
    visit.wait_for_viewer("!viewer.scene.walk && viewer.mode === 'grid'")
    visit.page.get_by_role("group", name="Paint calm and wild").get_by_role("button", name="Redo").click()
    painted(visit, engine, 0.3)
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
    row.get_by_role("button", name="Uncertain areas").click()
    painted(visit, engine, 0)
    found = engine.explored[-1].variants[1][0].mask.array()
    assert found[:, -found.shape[1] // 8 :].mean() > 80, "the fake engine's samples differ most on the right"
    row.get_by_role("button", name="Chosen place").click()
    painted(visit, engine, 0, 0.3)
    assert visit.viewer(f"{HEAT}.map.past.length") == 2
    row.get_by_role("button", name="Tint").click()
    assert visit.viewer(f"{HEAT}.hasTint") is False
    row.get_by_role("button", name="Done").click()
    expect(row).to_be_hidden()
    visit.press("Escape")

"""Sliders of a place on the real page, with the fake engine."""

from __future__ import annotations

import numpy as np
import pytest
import test_app_explore as explore
from playwright.sync_api import expect
from test_app_explore import WALK, Explorer

from srflow.operations import Slide

pytestmark = [pytest.mark.browser, pytest.mark.slow]

engine, url, visit = explore.engine, explore.url, explore.visit

READY = "[...viewer.pictures.values()].every(p => p.state === 'ready')"
HANDLES = ".lv-slider-handle"


def ask_for_sliders(visit: Explorer) -> None:
    visit.page.get_by_role("button", name="More ways").click()
    visit.page.get_by_role("button", name="Sliders of this region").click()
    visit.wait_for_viewer(f"{WALK}.message?.sliders && {READY} && {WALK}.message.ids[0] === viewer.current")


def wait_for_angles(visit: Explorer, *angles: int) -> None:
    visit.wait_for_viewer(f"viewer.scene.walk?.sliders?.angles.join() === '{','.join(map(str, angles))}' && {READY}")


def test_a_box_its_sliders_two_moved_one_kept_and_undone(visit, engine):
    visit.choose_box(3, 4, 16, 14)
    ask_for_sliders(visit)
    handles = visit.page.locator(HANDLES)
    assert handles.count() == 3
    expect(visit.page.locator(".lv-walk-title")).to_have_text("3 sliders explain 55 % of the variance here")
    expect(visit.page.locator(".lv-slider-share").first).to_have_text("1: explains 30 %")
    expect(handles.first).to_be_focused()
    name = visit.now
    before = visit.file(name)
    keep = visit.page.get_by_role("button", name="Keep this one")
    assert keep.is_disabled(), "nothing has been moved"

    visit.press("End")
    wait_for_angles(visit, 90, 0, 0)
    first = visit.file(name)
    assert not np.array_equal(first, before)
    expect(handles.first).to_be_focused()
    box = handles.nth(1).bounding_box()
    at = {"x": 5.5 * box["width"] / 7, "y": box["height"] / 2}  # the middle of the picture at 60 degrees
    handles.nth(1).click(position=at)
    wait_for_angles(visit, 90, 60, 0)
    assert handles.first.input_value() == "90", "the first one stays"
    assert handles.nth(1).get_attribute("aria-valuetext").startswith("60 degrees towards ")
    (slide,) = engine.explored[-1].variants[1]
    assert isinstance(slide, Slide)
    assert np.count_nonzero(slide.weights) == 2
    assert visit.now == name, "in place"
    moved = visit.file(name)

    visit.page.get_by_role("button", name="Reset slider 2 to the middle").click()
    wait_for_angles(visit, 90, 0, 0)
    assert np.array_equal(visit.file(name), first)
    handles.nth(1).press("Home")
    handles.nth(1).click(position=at)
    wait_for_angles(visit, 90, 60, 0)
    assert np.array_equal(visit.file(name), moved)
    visit.check_accessibility()
    assert visit.page.locator("#undo").is_disabled(), "nothing is kept yet"
    assert visit.keep() == name
    assert np.array_equal(visit.file(name), moved)
    assert visit.page.locator(HANDLES).count() == 0
    visit.undo(None)
    assert visit.viewer(f"{WALK}.message") is None


def test_of_many_positions_the_last_one_is_kept_even_if_it_is_still_drawn(visit, engine):
    visit.choose_box(3, 4, 16, 14)
    ask_for_sliders(visit)
    before = len(engine.explored)
    engine.delay = 0.3  # so that positions come faster than pictures
    try:
        for _ in range(12):
            visit.press("ArrowLeft")
        visit.keep()
    finally:
        engine.delay = 0.0
    (slide,) = engine.explored[-1].variants[1]
    assert slide.angle == pytest.approx(-np.pi / 3)
    assert 2 <= len(engine.explored) - before < 12


def test_escape_leaves_the_sliders(visit):
    visit.choose_box(3, 4, 16, 14)
    ask_for_sliders(visit)
    visit.press("ArrowRight")
    wait_for_angles(visit, 5, 0, 0)
    visit.press("Escape")
    visit.wait_for_viewer("!viewer.scene.walk")
    assert visit.viewer("viewer.mode") == "grid"
    assert visit.viewer("viewer.scene.explored") is None


def test_where_only_texture_differs_that_is_said_in_their_place(visit, engine):
    engine.num_directions = 0
    try:
        visit.choose_box(3, 4, 16, 14)
        ask_for_sliders(visit)
    finally:
        engine.num_directions = 3
    expect(visit.page.locator(".lv-sliders-words")).to_contain_text("Only texture differs here")
    assert visit.page.locator(HANDLES).count() == 0
    visit.page.locator(".lv-walk").get_by_role("button", name="Leave").click()
    visit.wait_for_viewer("!viewer.scene.walk")


def test_a_place_of_another_size_is_answered_in_words_and_none_is_asked_for(visit, engine):
    before = len(engine.explored)
    visit.page.get_by_role("button", name="More ways").click()
    visit.page.get_by_role("button", name="Sliders of this region").click()
    assert visit.viewer("viewer.exploring.mask.isChoosing")
    visit.choose_box(3, 4, 8, 14)
    visit.page.get_by_role("button", name="More ways").click()
    visit.page.get_by_role("button", name="Sliders of this region").click()
    expect(visit.page.locator("#status .error")).to_contain_text("this one has 8×14. Select a larger one")
    assert not any(request.directions for request in engine.explored[before:])

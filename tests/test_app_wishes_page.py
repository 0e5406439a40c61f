"""A wish on the real page, with the fake engine: asked for in the menu, moved by key, judged in words, kept."""

from __future__ import annotations

import pytest
import test_app_explore as explore
from playwright.sync_api import expect
from test_app_explore import Explorer

from srflow.steering.wishes import Stripes

pytestmark = [pytest.mark.browser, pytest.mark.slow]

engine, url, visit = explore.engine, explore.url, explore.visit


def test_a_wish_is_moved_and_kept(visit: Explorer, engine) -> None:
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    menu = visit.page.get_by_role("group", name="More ways")
    visit.page.get_by_role("button", name="More ways").click()
    inside = "([a, b]) => a.getBoundingClientRect().right <= b.getBoundingClientRect().right + 1"
    assert visit.page.evaluate(inside, [menu.element_handle(), visit.page.locator("#viewer .lv").element_handle()])
    every = visit.page.get_by_label("every")
    expect(every).to_be_hidden()
    visit.page.get_by_label("What is wished for").select_option("stripes")
    every.fill("6")
    menu.get_by_role("button", name="Wish", exact=True).click()
    handle = visit.page.get_by_role("slider", name="Slider 1: less striped to striped")
    expect(handle).to_be_focused()
    assert engine.explored[-3].wish == Stripes(6, 0)
    assert " sd" in handle.get_attribute("aria-valuetext")
    handle.press("End")
    visit.wait_for_viewer("viewer.scene.walk?.sliders?.angles[0] === 90")
    expect(visit.page.locator("#status .done")).to_contain_text("fits the input")
    visit.keep()
    visit.undo(None)

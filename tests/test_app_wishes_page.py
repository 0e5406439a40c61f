"""Wishes and edits on the real page, with the fake engine: asked for in the menu, judged in words, kept."""

from __future__ import annotations

import numpy as np
import pytest
import test_app_explore as explore
from PIL import Image
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


def test_an_edit_is_looked_at_in_all_its_forms_and_what_is_natural_kept(visit: Explorer) -> None:
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    visit.page.get_by_role("button", name="More ways").click()
    menu = visit.page.get_by_role("group", name="More ways")
    visit.page.get_by_label("The colour to paint").fill("#00ff00")
    menu.get_by_role("button", name="Edit", exact=True).click()
    visit.wait_for_viewer("viewer.scene.walk?.kind === 'edit' && viewer.scene.walk.ids.length === 4")
    expect(visit.page.locator("#status .done")).to_contain_text("fits the input")
    assert visit.page.locator(".lv-walk-label").all_inner_texts()[1:4] == [
        "As drawn",
        "Made consistent",
        "Made natural",
    ]
    visit.press("ArrowRight", "ArrowRight")
    natural = visit.viewer("viewer.scene.walk.ids[2]")
    assert visit.keep() == natural
    visit.undo(None)


def test_a_download_that_was_edited_is_brought_back(visit: Explorer, engine, tmp_path) -> None:
    name = visit.viewer("viewer.samples()[2].id")
    pixels = visit.file(name).astype(np.uint8)
    pixels[40:60, 50:90] = 255
    Image.fromarray(pixels).save(tmp_path / "edited.png")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.locator("#bring-back").click()
    chooser.value.set_files(tmp_path / "edited.png")
    visit.wait_for_viewer("viewer.scene.walk?.kind === 'edit' && viewer.scene.walk.ids.length === 4")
    assert visit.viewer("viewer.scene.walk.start") == name
    assert engine.edited[-1].mask.support == (12, 10, 23, 15)

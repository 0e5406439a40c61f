"""Wishes and edits on the real page, with the fake engine: requested in the menu, judged in words, kept."""

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

WALKING = (
    "[...viewer.pictures.values()].every(p => p.state === 'ready')"
    " && viewer.exploring.walk.message.ids.includes(viewer.current)"
)


def test_a_wish_is_moved_and_kept(visit: Explorer, engine) -> None:
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    menu = visit.page.get_by_role("group", name="More ways")
    visit.page.get_by_role("button", name="More ways").click()
    inside = "([a, b]) => a.getBoundingClientRect().right <= b.getBoundingClientRect().right + 1"
    assert visit.page.evaluate(inside, [menu.element_handle(), visit.page.locator("#viewer .lv").element_handle()])
    every = visit.page.get_by_label("Period of the stripes in pixels")
    expect(every).to_be_hidden()
    visit.page.get_by_label("Kind of wish").select_option("stripes")
    every.fill("6")
    menu.get_by_role("button", name="Wish", exact=True).click()
    handle = visit.page.get_by_role("slider", name="Slider 1: less striped to striped")
    expect(handle).to_be_focused()
    assert last_wish(engine) == Stripes(6, 0)
    assert " sd" in handle.get_attribute("aria-valuetext")
    handle.press("End")
    visit.wait_for_viewer("viewer.scene.walk?.sliders?.angles[0] === 90")
    expect(visit.page.locator("#status .done")).to_contain_text("matches the input")
    visit.keep()
    visit.undo(None)


def test_an_edit_is_looked_at_in_all_its_forms_and_what_is_natural_kept(visit: Explorer) -> None:
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    visit.page.get_by_role("button", name="More ways").click()
    menu = visit.page.get_by_role("group", name="More ways")
    visit.page.get_by_label("Colour to paint").fill("#00ff00")
    menu.get_by_role("button", name="Edit", exact=True).click()
    visit.wait_for_viewer("viewer.scene.walk?.kind === 'edit' && viewer.scene.walk.ids.length === 4")
    expect(visit.page.locator("#status .done")).to_contain_text("matches the input")
    assert visit.page.locator(".lv-walk-label").all_inner_texts()[1:4] == [
        "As drawn",
        "Made consistent",
        "Made natural",
    ]
    visit.wait_for_viewer(WALKING)
    visit.settle()
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


def test_strokes_that_are_drawn_are_wished_for(visit: Explorer, engine) -> None:
    visit.choose_box(4, 4, 8, 10)
    more = visit.page.get_by_role("button", name="More ways")
    more.click()
    visit.page.get_by_label("Kind of wish").select_option("scribble")
    visit.page.get_by_label("How wide the strokes are").select_option("1")
    visit.page.get_by_role("button", name="Draw strokes").click()
    expect(visit.page.locator(".lv-explore-hint")).to_contain_text("Draw strokes inside the selected region")
    view = visit.viewer("[viewer.view.x, viewer.view.y]")
    frame = visit.viewer("[viewer.frame.width, viewer.frame.height]")
    box = visit.canvas(1).bounding_box()
    tall = box["width"] * frame[1] / frame[0]  # of the picture, in the middle of its pane
    above = (box["height"] - tall) / 2
    places = (20.5, 30.5), (40.5, 46.5)
    start, end = ((x / frame[0], (above + y / frame[1] * tall) / box["height"]) for x, y in places)
    visit.drag(1, start, end)
    visit.drag(1, end, (0.99, 0.99))  # its end is moved to the place's corner
    visit.press("Backspace")
    assert visit.viewer("viewer.exploring.scribble.strokes.length") == 1
    assert visit.viewer("[viewer.view.x, viewer.view.y]") == view, "strokes do not move the picture"
    visit.press("Enter")
    handle = visit.page.get_by_role("slider", name="Slider 1: the opposite of the strokes to as drawn")
    expect(handle).to_be_focused()
    [stroke] = last_wish(engine).strokes
    assert (stroke.want, stroke.width, stroke.colour) == ("brighter", 1, ())
    corner, far = stroke.points[:2], stroke.points[-2:]
    assert np.allclose(corner, (4.5, 14.5), atol=1)  # the place begins at 16, 16
    assert np.allclose(far, (24.5, 30.5), atol=1)
    assert visit.viewer("viewer.exploring.scribble.isOn") is False
    handle.press("End")
    visit.wait_for_viewer("viewer.scene.walk?.sliders?.angles[0] === 90")
    kept = visit.keep()
    assert kept != ""
    visit.undo(None)


def last_wish(engine):
    """Return the last wish; the page may have sent other requests since, ahead of the next action."""
    *_, wish = (request.wish for request in engine.explored if request.wish is not None)
    return wish


def click(visit: Explorer, index: int, x: float, y: float) -> None:
    box = visit.canvas(index).bounding_box()
    visit.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    visit.page.mouse.down()
    visit.page.mouse.up()


def test_grain_is_taken_from_the_place_that_is_clicked(visit: Explorer, engine) -> None:
    visit.choose_box(4, 4, 8, 10)
    visit.page.get_by_role("button", name="More ways").click()
    visit.page.get_by_role("button", name="Grain from another region").click()
    hint = visit.page.locator(".lv-explore-hint")
    expect(hint).to_contain_text("click the region to take it from")
    visit.press("Escape")
    expect(hint).not_to_contain_text("taken from")
    assert visit.viewer("viewer.exploring.source.isOn") is False
    visit.page.get_by_role("button", name="More ways").click()
    visit.page.get_by_role("button", name="Grain from another region").click()
    visit.drag(2, (0.4, 0.4), (0.5, 0.5))
    assert visit.viewer("viewer.exploring.source.isOn"), "a drag moves the picture"
    visit.page.keyboard.press("0")
    clicked = visit.viewer("viewer.panes[2].ids[0]")
    click(visit, 2, 0.5, 0.5)
    visit.wait_for_viewer("viewer.scene.walk?.kind === 'grain' && viewer.scene.walk.ids.length === 3")
    grid = visit.viewer("viewer.scene.grid")
    height, width = engine.grained[-1].source.shape[:2]
    assert (width, height) == (32, 40)
    middle = visit.file(clicked)
    left, top = (int(side / 2 - part / 2) for side, part in zip(grid, (8, 10), strict=True))
    near = [
        (4 * (top + down), 4 * (left + right)) for down in (0, 1) for right in (0, 1)
    ]  # it may be off by half a pixel
    cuts = [middle[row : row + 40, column : column + 32] for row, column in near]
    assert any(np.array_equal(engine.grained[-1].source, cut) for cut in cuts)
    expect(visit.page.locator("#status .done")).to_contain_text("of the grain matches the input")
    visit.wait_for_viewer(WALKING)
    visit.settle()
    natural = visit.viewer("viewer.scene.walk.ids[1]")
    visit.press("ArrowRight")
    assert visit.keep() == natural
    visit.undo(None)


def test_a_wish_for_another_place_s_look_asks_for_that_place(visit: Explorer, engine) -> None:
    visit.choose_box(4, 4, 8, 10)
    visit.page.get_by_role("button", name="More ways").click()
    visit.page.get_by_label("Kind of wish").select_option("like")
    visit.page.get_by_role("group", name="More ways").get_by_role("button", name="Wish", exact=True).click()
    expect(visit.page.locator(".lv-explore-hint")).to_contain_text("click the region to take it from")
    visit.press("Enter")
    expect(
        visit.page.get_by_role("slider", name="Slider 1: less like the patch to more like the patch")
    ).to_be_focused()
    assert last_wish(engine).reference.shape == (40, 32, 3)


DROP = """(node) => {
  const bitmap = new Uint8Array(54 + 192); // of 8x8 pixels: 24 bytes a row
  const view = new DataView(bitmap.buffer);
  bitmap.set([0x42, 0x4d]);
  view.setUint32(2, bitmap.length, true); view.setUint32(10, 54, true); view.setUint32(14, 40, true);
  view.setInt32(18, 8, true); view.setInt32(22, 8, true);
  view.setUint16(26, 1, true); view.setUint16(28, 24, true);
  for (let at = 54; at < bitmap.length; at += 3) bitmap.set([10, 20, 30], at);
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bitmap], "dropped.bmp", { type: "image/bmp" }));
  node.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
}"""


def test_pieces_are_clicked_one_by_one_and_compared_with_files(visit: Explorer, engine, tmp_path) -> None:
    visit.choose_box(4, 4, 8, 10)
    more = visit.page.get_by_role("button", name="More ways")
    asker = visit.page.get_by_role("button", name="Could it be one of these?")
    more.click()
    for number in (1, 2):
        expect(asker).to_be_disabled()
        visit.page.get_by_role("button", name="Add a piece").click()
        click(visit, number, 0.5, 0.5)
        expect(visit.page.get_by_role("group", name="More ways")).to_contain_text(f"{number} piece")
    asker.click()
    visit.wait_for_viewer("viewer.scene.walk?.kind === 'pieces' && viewer.scene.walk.ids.length === 2")
    assert [piece.shape for piece in engine.compared[-1]] == [(40, 32, 3)] * 2
    expect(visit.page.locator("#status .done")).to_contain_text("if the right one was not tried")
    visit.press("Escape")
    visit.wait_for_viewer("!viewer.scene.walk")
    visit.settle()
    more.click()
    menu = visit.page.get_by_role("group", name="More ways")
    Image.fromarray(np.full((64, 90, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_role("button", name="Add a file").click()
    chooser.value.set_files(tmp_path / "wall.png")
    expect(menu).to_contain_text("2 pieces, wall.png")
    visit.page.get_by_role("button", name="Add a piece").evaluate(DROP)  # beside it counts, too
    expect(menu).to_contain_text("2 pieces, wall.png, dropped.bmp")
    asker.click()
    visit.wait_for_viewer("viewer.scene.walk?.kind === 'pieces' && viewer.scene.walk.ids.length === 4")
    assert [piece.shape for piece in engine.compared[-1]] == [(40, 32, 3)] * 4
    assert (engine.compared[-1][2] == 90).all()
    assert (engine.compared[-1][3] == (30, 20, 10)).all()
    expect(visit.page.locator("#status .done")).to_contain_text("“wall.png” was scaled from 90×64, its edges cut off.")
    visit.press("Escape")
    visit.wait_for_viewer("!viewer.scene.walk")
    visit.settle()
    more.click()
    visit.page.get_by_role("button", name="Clear", exact=True).click()
    expect(asker).to_be_disabled()
    visit.press("Escape")


def test_a_photo_gives_its_grain(visit: Explorer, engine, tmp_path) -> None:
    visit.choose_box(4, 4, 8, 10)
    visit.page.wait_for_timeout(600)  # a box is sent when it has stopped
    Image.fromarray(np.full((50, 60, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.locator("#grain-photo").click()
    chooser.value.set_files(tmp_path / "photo.png")
    visit.wait_for_viewer("viewer.scene.walk?.kind === 'grain' && viewer.scene.walk.ids.length === 3")
    assert engine.grained[-1].source.shape == (50, 60, 3)

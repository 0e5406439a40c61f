"""Choosing a place in a real browser: tools, keys, fingers, what is drawn and what is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from viewer.viewer_page import GRID, NUM_SAMPLES, Driver, validator

pytestmark = pytest.mark.browser

WHOLE = 255
Points = Sequence[tuple[float, float]]


class Chooser:
    """What a visitor does with the tools. Places are in LR pixels of one pane."""

    def __init__(self, driver: Driver, *, has_touch: bool = False):
        self.driver = driver
        if has_touch:
            self.client = driver.page.context.new_cdp_session(driver.page)

    def open(self, tool: str = "Brush") -> Chooser:
        self.driver.focus()
        if not self.mask["isChoosing"]:
            self.driver.press("c")
        self.press(tool)
        return self

    def press(self, name: str) -> None:
        row = self.driver.page.locator("#viewer .lv-mask")
        row.get_by_role("button", name=name, exact=True).click()
        self.driver.settle()

    def on_page(self, x: float, y: float, index: int = 0) -> tuple[float, float]:
        """Of an LR position, in CSS pixels of the page."""
        box = self.driver.canvas(index).bounding_box()
        left, top, step = self.driver.evaluate(
            "[viewer.panes[argument].drawn.x, viewer.panes[argument].drawn.y, viewer.exploring.mask.step()]"
            ".map(value => value / devicePixelRatio)",
            index,
        )
        return box["x"] + left + x * step, box["y"] + top + y * step

    def drag(self, points: Points, index: int = 0, *, alt: bool = False) -> None:
        mouse = self.driver.page.mouse
        if alt:
            self.driver.page.keyboard.down("Alt")
        for number, (x, y) in enumerate(points):
            mouse.move(*self.on_page(x, y, index))
            if number == 0:
                mouse.down()
        mouse.up()
        if alt:
            self.driver.page.keyboard.up("Alt")
        self.driver.settle()

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        places = [self.on_page(*point) for point in points]
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self.client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    @property
    def mask(self) -> dict:
        return self.driver.state()["mask"]

    def array(self) -> np.ndarray:
        """The mask that is sent."""
        message = self.mask["message"]
        shown = np.zeros((GRID[1], GRID[0]), int)
        if message is not None:
            assert (message["width"], message["height"]) == GRID
            left, top, right, bottom = message["box"]
            values = np.repeat(message["runs"][::2], message["runs"][1::2])
            shown[top:bottom, left:right] = values.reshape(bottom - top, right - left)
        return shown

    def wait_until_sent(self) -> None:
        message = self.mask["message"]
        wanted = "nothing" if message is None else json.dumps({"box": message["box"], "sum": int(self.array().sum())})
        self.driver.page.wait_for_function(
            "wanted => [...document.querySelectorAll('label')].find(node => node.textContent.trim() === 'mask')"
            "?.querySelector('textarea, input').value === wanted",
            arg=wanted,
        )


def boxed(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((GRID[1], GRID[0]), int)
    mask[top:bottom, left:right] = WHOLE
    return mask


@pytest.fixture
def chooser(viewer) -> Chooser:
    return Chooser(viewer)


def test_without_a_stroke_nothing_is_drawn_or_sent(chooser):
    before = chooser.driver.pixels(2)
    chooser.open("Box").press("Lasso")
    chooser.press("Lock")
    chooser.driver.page.mouse.move(*chooser.on_page(4, 4))
    chooser.driver.press("Escape")
    assert np.array_equal(chooser.driver.pixels(2), before)
    assert chooser.driver.evaluate(
        "[viewer.exploring.mask.painted, viewer.exploring.mask.layer, viewer.timers.mask]"
    ) == [None, None, None]
    assert chooser.driver.textbox("mask") == ""


def test_a_stroke_of_the_brush_is_sent_and_tints_all_panes_alike(chooser):
    before = [chooser.driver.pixels(index) for index in range(NUM_SAMPLES + 1)]
    chooser.open().drag([(8.5, 9.5), (20.5, 9.5)], index=1)
    mask = chooser.array()
    assert (mask[9, 8:21] == WHOLE).all()
    assert mask[9, 24:].sum() == 0
    assert mask[:6].sum() == 0
    assert ((mask > 0) & (mask < WHOLE)).any(), "the rim is soft"
    chooser.wait_until_sent()
    chooser.driver.page.mouse.move(0, 0)
    chooser.driver.settle()
    changed = [np.any(chooser.driver.pixels(index) != before[index], axis=-1) for index in range(NUM_SAMPLES + 1)]
    assert all(np.array_equal(one, changed[0]) for one in changed[:NUM_SAMPLES])
    rows, columns = np.nonzero(changed[-1])  # the map's tile
    step = chooser.driver.evaluate("viewer.exploring.mask.step()")
    assert 14 * step < np.ptp(columns) < 18 * step
    assert 2 * step < np.ptp(rows) < 5 * step
    assert changed[0].mean() < 0.2


def test_the_picture_under_the_tint_can_be_judged(chooser):
    before = chooser.driver.pixels(0).astype(int)
    chooser.open("Box").drag([(5.5, 5.5), (24.5, 14.5)])
    chooser.driver.page.mouse.move(0, 0)
    chooser.driver.settle()
    left, top, step = chooser.driver.evaluate(
        "[viewer.panes[0].drawn.x, viewer.panes[0].drawn.y, viewer.exploring.mask.step()]"
    )
    rows = slice(int(top + 7 * step), int(top + 13 * step))
    columns = slice(int(left + 7 * step), int(left + 23 * step))
    was, now = before[rows, columns, :3], chooser.driver.pixels(0)[rows, columns, :3].astype(int)
    assert np.abs(now - was).max() <= 0.25 * WHOLE
    assert np.ptp(now[..., 1], axis=1).min() >= 0.7 * np.ptp(was[..., 1], axis=1).min(), "contrast stays"
    assert (now[..., 2] > was[..., 2]).all()
    chooser.driver.press("Escape")
    assert np.array_equal(chooser.driver.pixels(0)[rows, columns, :3], was), "only the outline stays"


def test_box_lasso_and_eraser_choose_and_take_away(chooser):
    chooser.open("Box").drag([(4.2, 3.7), (15.6, 12.1)])
    expected = boxed(4, 3, 16, 13)
    assert np.array_equal(chooser.array(), expected)
    chooser.drag([(6.5, 5.5), (8.5, 7.5)], alt=True)
    expected[5:8, 6:9] = 0
    assert np.array_equal(chooser.array(), expected)
    chooser.press("Lasso")
    chooser.drag([(18, 2), (28, 2), (28, 10), (18, 10), (18, 3)])
    expected[2:10, 18:28] = WHOLE
    assert np.array_equal(chooser.array(), expected)
    chooser.press("Eraser")
    chooser.drag([(22.5, 5.5), (24.5, 5.5)])
    erased = chooser.array()
    assert (erased[5, 22:25] == 0).all()
    assert (erased <= expected).all()
    assert np.array_equal(erased[:, :18], expected[:, :18])
    chooser.press("Invert")
    assert np.array_equal(chooser.array(), WHOLE - erased)
    chooser.press("Clear")
    assert chooser.mask["message"] is None
    chooser.wait_until_sent()


def test_a_box_is_placed_moved_and_resized_by_keys_alone(chooser):
    driver = chooser.driver
    driver.focus()
    driver.press("c")
    driver.page.locator("#viewer .lv-mask button").nth(1).focus()
    driver.press("Enter")
    assert chooser.mask["toolName"] == "box"
    assert chooser.mask["floating"] is None, "Enter pressed the button, and put no box in"
    driver.focus()
    driver.press("Enter")
    assert np.array_equal(chooser.array(), boxed(13, 8, 18, 13))
    driver.press("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown", "Shift+ArrowLeft")
    assert np.array_equal(chooser.array(), boxed(15, 7, 19, 13))
    values = driver.page.locator("#viewer .lv-mask .lv-number").evaluate_all("nodes => nodes.map(node => node.value)")
    assert values == ["15", "7", "4", "6"]
    chooser.wait_until_sent()
    driver.press("Enter", "Enter")
    assert np.array_equal(chooser.array(), np.maximum(boxed(15, 7, 19, 13), boxed(13, 8, 18, 13)))
    driver.press("Control+z", "Control+z")
    assert chooser.mask["message"] is None, "moving a box is no step of its own"
    assert driver.state()["view"]["fitted"], "the arrows have not moved the pictures"


def test_a_box_is_typed_in_numbers(chooser):
    chooser.open("Box")
    fields = chooser.driver.page.locator("#viewer .lv-mask .lv-number")
    for number, value in enumerate(["3", "4", "7"]):
        fields.nth(number).fill(value)
    assert chooser.mask["message"] is None
    fields.nth(3).fill("99")
    fields.nth(3).press("Enter")
    chooser.driver.wait_until("viewer.exploring.mask.painted?.floating")
    assert np.array_equal(chooser.array(), boxed(3, 0, 10, 20)), "cut to the picture"
    fields.nth(0).press("Control+a")
    fields.nth(0).press_sequentially("12")
    fields.nth(0).press("Tab")
    assert np.array_equal(chooser.array(), boxed(12, 0, 19, 20)), "the box moved, instead of another one"
    assert chooser.driver.state()["mode"] == "grid", "digits show no samples while they are typed"


def test_ctrl_z_takes_back_strokes_here_and_reaches_the_page_elsewhere(chooser):
    driver = chooser.driver
    driver.page.evaluate(
        "window.reached = []; document.addEventListener('keydown', event => event.ctrlKey && event.key.length === 1"
        " && window.reached.push(event.key))"
    )
    chooser.open("Box").drag([(2.5, 2.5), (5.5, 5.5)])
    chooser.drag([(12.5, 2.5), (15.5, 5.5)])
    driver.press("Control+z")
    assert np.array_equal(chooser.array(), boxed(2, 2, 6, 6))
    driver.press("Control+Shift+Z")
    assert chooser.array()[3, 13] == WHOLE
    driver.press("Control+z", "Control+z", "Control+z", "Control+z")
    assert chooser.mask["message"] is None
    chooser.wait_until_sent()
    assert driver.page.evaluate("window.reached") == []
    assert "Ctrl+Z" in driver.page.locator("#viewer .lv-mask-hint").inner_text()
    driver.press("Escape", "Control+z")
    assert driver.page.evaluate("window.reached") == ["z"]


def test_brackets_change_the_brush(chooser):
    chooser.open()
    before = chooser.mask["diameter"]
    chooser.driver.press("]", "]", "]", "[")
    assert chooser.mask["diameter"] == before + 2
    chooser.driver.page.mouse.move(*chooser.on_page(15, 10))
    chooser.driver.settle()
    ring = chooser.driver.page.locator("#viewer .lv-brush")
    step = chooser.on_page(1, 0)[0] - chooser.on_page(0, 0)[0]
    assert ring.bounding_box()["width"] == pytest.approx((before + 2) * step, abs=0.5)
    box = ring.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert middle == pytest.approx(chooser.on_page(15, 10), abs=1)
    assert chooser.mask["message"] is None


def test_moving_the_brush_without_painting_draws_no_picture_anew(chooser):
    chooser.open().drag([(8.5, 9.5), (12.5, 9.5)])
    chooser.driver.evaluate(
        "(() => { const draw = viewer.draw; viewer.draws = 0;"
        " viewer.draw = function () { viewer.draws += 1; draw.call(this); }; })()"
    )
    for x in range(5, 25, 2):
        chooser.driver.page.mouse.move(*chooser.on_page(x, 12))
    chooser.driver.settle()
    assert chooser.driver.evaluate("viewer.draws") == 0
    chooser.drag([(8.5, 12.5), (9.5, 12.5)])
    assert chooser.driver.evaluate("viewer.draws") > 0


def test_locked_pixels_are_left_out_of_what_is_sent(chooser):
    chooser.open("Box").press("Lock")
    chooser.drag([(10.5, 0.5), (14.5, 19.5)])
    assert chooser.mask["message"] is None
    chooser.press("Choose")
    chooser.drag([(8.5, 5.5), (16.5, 9.5)])
    expected = boxed(8, 5, 17, 10)
    expected[:, 10:15] = 0
    assert np.array_equal(chooser.array(), expected)
    chooser.wait_until_sent()
    chooser.press("Lock")
    chooser.press("Clear")
    assert np.array_equal(chooser.array(), boxed(8, 5, 17, 10))


def test_the_place_stays_with_its_picture_and_goes_with_it(chooser):
    chooser.open("Box").drag([(4.5, 4.5), (9.5, 9.5)])
    chooser.driver.show("other")
    assert np.array_equal(chooser.array(), boxed(4, 4, 10, 10)), "new samples of the same picture"
    chooser.driver.press("2")
    chooser.driver.show("subject")
    assert chooser.mask["message"] is None
    assert chooser.mask["isChoosing"]
    sent = chooser.driver.textbox("mask")
    chooser.drag([(1.5, 1.5), (3.5, 3.5)])
    chooser.driver.wait_for_text("mask", "refused: .*no longer shown.*")
    assert sent != ""


def test_a_scene_without_a_grid_has_no_tools(chooser):
    chooser.open("Box").drag([(4.5, 4.5), (9.5, 9.5)])
    chooser.driver.show("without tools")
    assert chooser.mask["message"] is None
    assert chooser.driver.page.locator("#viewer .lv-mask").is_hidden()
    assert chooser.driver.page.get_by_role("button", name="Select a region").count() == 0
    chooser.driver.focus()
    chooser.driver.press("c")
    assert not chooser.mask["isChoosing"]


def test_what_is_sent_is_as_described(chooser):
    chooser.driver.evaluate(
        "(() => { window.sent = []; const trigger = viewer.trigger;"
        " viewer.trigger = (name, data) => { window.sent.push([name, data]); trigger(name, data); }; })()"
    )
    chooser.open().drag([(8.5, 9.5), (12.5, 12.5)])
    chooser.press("Clear")
    chooser.driver.page.wait_for_function("() => window.sent.length === 2")
    messages = chooser.driver.page.evaluate("window.sent")
    assert [name for name, _ in messages] == ["mask", "mask"]
    for _, data in messages:
        assert list(validator("MaskEvent").iter_errors(data)) == []
    assert messages[0][1]["mask"]["runs"]
    assert messages[1][1] == {"mask": None, "id": "s0", "subject": "one"}


def test_one_finger_paints_and_two_move_and_zoom(opened):
    viewer = opened(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
    chooser = Chooser(viewer, has_touch=True)
    viewer.page.get_by_role("button", name="Select a region").tap()
    viewer.page.locator("#viewer .lv-stage").scroll_into_view_if_needed()
    viewer.settle()
    chooser.touch("touchStart", (8.5, 9.5))
    for x in (10.5, 14.5, 18.5):
        chooser.touch("touchMove", (x, 9.5))
    chooser.touch("touchEnd")
    viewer.wait_until("viewer.exploring.mask.painted?.past.length === 1")
    painted = chooser.array()
    assert (painted[9, 8:19] == WHOLE).all()
    assert viewer.state()["view"]["fitted"]
    first = [chooser.on_page(x, y) for x, y in ((10, 10), (20, 10))]
    apart = [(first[0][0] - 15, first[0][1]), (first[1][0] + 25, first[1][1])]
    for kind, points in (
        ("touchStart", first[:1]),
        ("touchStart", first),
        ("touchMove", [(first[0][0] - 8, first[0][1]), first[1]]),
        ("touchMove", apart),
        ("touchEnd", []),
    ):
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        chooser.client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
    viewer.wait_until("!viewer.view.fitted")
    viewer.settle()
    assert np.array_equal(chooser.array(), painted), "the first of the two fingers has painted nothing"
    assert viewer.evaluate("viewer.exploring.mask.painted.past.length") == 1


def test_a_large_picture_is_painted_without_making_its_whole_mask_anew(viewer):
    viewer.show_large()
    chooser = Chooser(viewer)
    chooser.open("Box")
    viewer.evaluate("viewer.exploring.mask.putBox({x: 0, y: 0, width: 600, height: 450}, {isNew: true})")
    viewer.settle()
    viewer.evaluate(
        "(() => { const layer = viewer.exploring.mask.layer; const fill = layer.fillTint; viewer.filled = [];"
        " layer.fillTint = function (box) { viewer.filled.push(box); fill.call(this, box); }; })()"
    )
    chooser.press("Eraser")
    chooser.driver.press("[", "[", "[", "[", "[", "[")
    diameter = chooser.mask["diameter"]
    chooser.drag([(300, 200), (320, 200), (340, 210)])
    filled = viewer.evaluate("viewer.filled")
    assert filled
    assert all(box["width"] <= 40 + 2 * diameter and box["height"] <= 10 + 2 * diameter for box in filled)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_while_choosing(opened, theme):
    chooser = Chooser(opened(theme=theme))
    for tool in ("Brush", "Box", "Lasso"):
        chooser.open(tool)
        results = Axe().run(chooser.driver.page, context="#viewer").response
        assert [item["id"] for item in results["violations"] if item["impact"] in ("serious", "critical")] == []

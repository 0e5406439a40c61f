"""The line to measure along: drawn, shown in every picture, told to Python, put away."""

from __future__ import annotations

import numpy as np
import pytest

from viewer.viewer_page import HEIGHT, WIDTH, Driver, validator

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ENDS = "viewer.line.ends.map(({ x, y }) => [x, y])"


@pytest.fixture
def line(viewer) -> Driver:
    """With the tool in hand; what is told to Python is kept in `told`."""
    viewer.evaluate("window.told = []")
    viewer.evaluate(
        "(() => { const tell = viewer.trigger;"
        " viewer.trigger = (name, data) => { window.told.push([name, data]); tell(name, data); }; })()"
    )
    viewer.page.get_by_role("button", name="Line", exact=True).click()
    viewer.settle()
    return viewer


def on_page(driver: Driver, x: float, y: float, index: int = 0) -> tuple[float, float]:
    """Of an SR position, in CSS pixels of the page."""
    box = driver.canvas(index).bounding_box()
    drawn = driver.evaluate("viewer.panes[argument].drawn", index)
    ratio = driver.evaluate("devicePixelRatio")
    return (
        box["x"] + (drawn["x"] + (x + 0.5) * drawn["zoom"]) / ratio,
        box["y"] + (drawn["y"] + (y + 0.5) * drawn["zoom"]) / ratio,
    )


def drag(driver: Driver, start: tuple[float, float], end: tuple[float, float], index: int = 0) -> None:
    driver.page.mouse.move(*on_page(driver, *start, index))
    driver.page.mouse.down()
    driver.page.mouse.move(*on_page(driver, *end, index), steps=3)
    driver.page.mouse.up()
    driver.settle()


def told(driver: Driver) -> list:
    return [data for name, data in driver.evaluate("window.told") if name == "line"]


def test_a_line_is_told_in_pixels_of_the_picture_and_seen_in_every_one(line):
    before = line.pixels(3).astype(int)
    view = line.state()["view"]
    drag(line, (20, 30), (90, 50), index=1)
    assert line.evaluate(ENDS) == [[20, 30], [90, 50]]
    [data] = told(line)
    assert data["line"] == [20, 30, 90, 50]
    assert list(validator("LineEvent").iter_errors(data)) == []
    assert line.state()["view"] == view, "the pictures did not move"
    line.page.mouse.move(0, 0)
    line.settle()
    assert np.abs(line.pixels(3).astype(int) - before).max() > 50


def test_beyond_the_edge_it_ends_at_the_edge(line):
    drag(line, (5, 5), (WIDTH + 40, HEIGHT + 40))
    assert line.evaluate(ENDS) == [[5, 5], [WIDTH - 1, HEIGHT - 1]]


def test_a_click_leaves_the_line_as_it_was(line):
    drag(line, (20, 30), (90, 50))
    line.page.mouse.click(*on_page(line, 60, 10))
    line.settle()
    assert line.evaluate(ENDS) == [[20, 30], [90, 50]]
    assert len(told(line)) == 1
    assert line.state()["place"] is None, "and chooses no close-ups"


def test_escape_and_other_tools_put_it_away(line):
    line.focus()
    line.press("Escape")
    assert line.evaluate("viewer.line.isOn") is False
    drag(line, (20, 30), (60, 30))
    assert told(line) == []
    for key in ("l", "c"):
        line.evaluate("viewer.line.toggle(true)")
        line.press(key)
        assert line.evaluate("viewer.line.isOn") is False
        line.press("Escape" if key == "c" else "l")
    line.press("l")
    line.evaluate("viewer.line.toggle(true)")
    assert line.state()["loupe"] is False


def test_it_belongs_to_its_picture(line):
    drag(line, (20, 30), (90, 50))
    line.show("subject")
    assert line.evaluate(ENDS) == []

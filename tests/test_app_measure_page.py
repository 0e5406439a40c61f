"""Bars and measuring on the real page, with the fake engine: the read-out, a line drawn, a place chosen, an export."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import numpy as np
import pytest
from fake_engine import FakeEngine
from playwright.sync_api import expect
from test_app_explore import Explorer

from app.layout import build_page, launch_options
from app.visitors import Sessions

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    page = build_page(FakeEngine(), Sessions(tmp_path_factory.mktemp("sessions")))
    page.opening.draw()
    page.blocks.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield page.blocks.local_url.rstrip("/")
    page.blocks.close()
    page.sessions.close()
    del os.environ["GRADIO_TEMP_DIR"]


@pytest.fixture
def visit(browser, url) -> Iterator[Explorer]:
    visit = Explorer(browser, url)
    visit.open_in_full()
    yield visit
    visit.close()


def test_bars_are_read_measured_and_taken_away(visit):
    page = visit.page
    # The scale speaks grey levels, and what that rests on is one press away.
    expect(page.locator("#viewer .lv-legend")).to_contain_text("90 % of true pixels lie within ± this (grey levels)")
    expect(page.locator("#viewer .lv-legend")).to_contain_text("certain 0")
    why = page.locator("#viewer .lv-why")
    expect(why).to_contain_text(re.compile(r"Truth inside in \d+ % \(promised 90 %\)"))
    expect(page.locator("#viewer .lv-details")).to_be_hidden()
    why.click()
    expect(page.locator("#viewer .lv-details")).to_contain_text("20 pictures")
    visit.wait_for_viewer("viewer.overlay?.state === 'ready' && viewer.overlay.grey")
    box = visit.canvas(0).bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    expect(page.locator("#viewer .lv-position")).to_contain_text(re.compile(r"brightness \d+ ± [\d.]+ \(90 %\)"))
    # A line, from its end that is marked.
    page.get_by_role("button", name="Line", exact=True).click()
    visit.drag(0, (0.3, 0.5), (0.7, 0.5))
    expect(page.locator("#measured")).to_contain_text("Line of")
    ends = visit.viewer("viewer.line.ends.map(({ x, y }) => [x, y])")
    assert ends[1][0] - ends[0][0] == pytest.approx(0.4 * 384, abs=30)
    page.get_by_role("tab", name="Measure").click()
    expect(page.locator("#profile .js-plotly-plot")).to_be_visible()
    expect(page.locator("#measured-place")).to_contain_text(f"Line from x {ends[0][0]}, y {ends[0][1]}")
    expect(page.locator("#measured-place")).to_contain_text("Samples agree")
    # A place takes the pointer from the line; the line's profile stays.
    visit.paint(0, (0.5, 0.4), (0.5, 0.42))
    assert not visit.viewer("viewer.line.isOn")
    expect(page.locator("#measured-place table")).to_be_visible()
    expect(page.locator("#measured")).to_contain_text("Region of")
    expect(page.locator("#measured")).to_contain_text("Line of")
    # In numbers, for those who do not draw.
    for label, value in (("From x", 0), ("from y", 0), ("to x", 30), ("to y", 0)):
        page.locator("#measure-line").get_by_label(label).fill(str(value))
    page.locator("#measure-button").click()
    expect(page.locator("#measured-place")).to_contain_text("Line from x 0, y 0 to x 30, y 0")
    with page.expect_download() as download:
        page.locator("#export").click()
    with np.load(download.value.path()) as found:
        assert found["samples"].shape == (8, 300, 384, 3)
        assert found["half_width"].shape == (300, 384, 4)
    assert not visit.problems

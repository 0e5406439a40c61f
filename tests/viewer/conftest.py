"""Fixtures for the tests of the viewer: a served page, and tabs with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from app.viewer import LinkedViewer
from viewer.viewer_page import Driver, Scenes, build_page


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Scenes:
    return Scenes(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def served(scenes) -> Iterator[tuple[str, LinkedViewer]]:
    page, viewer = build_page(scenes)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    yield url, viewer
    page.close()


class Tabs:
    """Opens tabs in one browser, and keeps the errors that their scripts raise."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser, self._address = browser, address
        self.errors: list[object] = []

    def open(self, script: str = "", width: int = 1280, height: int = 900, **options) -> Driver:
        """A visitor's first tab. script: run before the page's own. options: of the browser's context."""
        page = self._browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
        if script:
            page.add_init_script(script)
        page.on("pageerror", lambda error: self.errors.append(error))
        return Driver(page)

    def load(self, tab: Driver, theme: str = "light") -> Driver:
        """Go to the page, and show the first scene."""
        tab.traffic.leave()
        tab.page.goto(f"{self._address}?__theme={theme}")
        tab.page.locator("#viewer .lv").wait_for()
        tab.show("first")
        return tab


@pytest.fixture
def opened(browser, served):
    """Opens tabs: `opened(theme="dark", device_scale_factor=2, …)` gives a Driver with the first scene on it."""
    tabs, drivers = Tabs(browser, served[0]), []

    def open_page(theme: str = "light", **options) -> Driver:
        drivers.append(tabs.open(**options))
        return tabs.load(drivers[-1], theme)

    yield open_page
    for driver in drivers:
        driver.page.context.close()
    assert not tabs.errors, f"the page raised {tabs.errors}"


@pytest.fixture(scope="module")
def tab(browser, served) -> Iterator[tuple[Tabs, Driver]]:
    """One tab for all tests of a module that need nothing particular: to load a page again takes half as long."""
    tabs = Tabs(browser, served[0])
    driver = tabs.open()
    yield tabs, driver
    driver.page.context.close()


@pytest.fixture
def viewer(tab) -> Iterator[Driver]:
    """The page, loaded anew, with the first scene on it."""
    tabs, driver = tab
    driver.page.unroute_all()
    driver.page.mouse.move(0, 0)
    tabs.errors.clear()
    yield tabs.load(driver)
    driver.evaluate("sessionStorage.clear()")  # what a test has the viewer remember is not the next one's
    assert not tabs.errors, f"the page raised {tabs.errors}"

"""Fixtures for the tests of the viewer: a served page, a browser, and pages opened in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

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


def find_browser(playwright: Playwright) -> str:
    """The Chromium that is named, one on the path, or Playwright's own; without one, the tests must not pass unseen."""
    if named := os.environ.get("SRFLOW_BROWSER"):
        return named
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    own = playwright.chromium.executable_path
    if Path(own).is_file():
        return own
    pytest.fail("No Chromium found: put chromium or google-chrome on the PATH, or run `playwright install chromium`.")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, served):
    """Opens pages: `opened(theme="dark", device_scale_factor=2, …)` gives a Driver with the first scene on it."""
    contexts = []

    def open_page(theme: str = "light", width: int = 1280, height: int = 900, script: str = "", **options) -> Driver:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(f"{served[0]}?__theme={theme}")
        page.locator("#viewer .lv").wait_for()
        driver = Driver(page)
        driver.show("first")
        return driver

    errors: list = []
    yield open_page
    for context in contexts:
        context.close()
    assert not errors, f"the page raised {errors}"


@pytest.fixture
def viewer(opened) -> Driver:
    return opened()

"""Fixtures for the tests of the viewer: a served page, and tabs with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
        driver = Driver(page)
        page.goto(f"{served[0]}?__theme={theme}")
        page.locator("#viewer .lv").wait_for()
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

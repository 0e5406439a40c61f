"""The real page in headless Chromium, with the fake engine, and its endpoints through `gradio_client`."""

from __future__ import annotations

import io
import json
import os
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from fake_engine import FakeEngine
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from traffic import TIMEOUT, Traffic

from app.examples import EXAMPLES
from app.layout import build_page, launch_options
from app.memory import drop_copies
from app.visitors import Sessions
from srflow.contract import RECIPE_KEY, SampleRecipe, SetSummary

pytestmark = [pytest.mark.browser, pytest.mark.slow]

expect.set_options(timeout=TIMEOUT)
VIEWER = "document.querySelector('#viewer .lv').parentElement.linkedViewer"


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def app(engine, tmp_path_factory) -> Iterator[gr.Blocks]:
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    page = build_page(engine, Sessions(tmp_path_factory.mktemp("sessions")))
    page.opening.draw()
    page.blocks.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield page.blocks
    page.blocks.close()
    page.sessions.close()
    del os.environ["GRADIO_TEMP_DIR"]


@pytest.fixture(scope="module")
def url(app) -> str:
    return app.local_url.rstrip("/")


CHANGE_THEME = """async (theme) => {
    document.body.classList.toggle("dark", theme === "dark");
    await new Promise(requestAnimationFrame);
    const fading = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    await Promise.allSettled(fading.map((animation) => animation.finished));
}"""
AXE = Axe()
GRAVE = ("serious", "critical")
TABS = {
    "Diversity": "#histogram .js-plotly-plot",
    "Temperature sweep": "#over-temperature .js-plotly-plot",
    "What am I": "#about",
    "Numbers": "#atlas [data-show-sample=s2]",
}


class Visit:
    """One visitor's tab. options: of the browser's context."""

    def __init__(self, browser: Browser, url: str, **options) -> None:
        self.url = url
        self.problems: list[str] = []
        self.page: Page = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options)).new_page()
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.traffic = Traffic(self.page, self._check_address)
        self.settle = self.traffic.settle

    def open(self, query: str = "") -> Visit:
        """Go to the page, as somebody who has not been there before."""
        self.traffic.leave()
        self.page.mouse.move(0, 0)
        storage = {"origin": self.url, "storageTypes": "local_storage"}
        self.page.context.new_cdp_session(self.page).send("Storage.clearDataForOrigin", storage)
        self.page.goto(f"{self.url}/{query}")
        expect(self.page.locator("#status")).to_contain_text(re.compile("Ready|samples in|Restored|From the link"))
        return self

    def _check_address(self, address: str) -> None:
        if not address.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.problems.append(f"asked for {address}")

    def sample(self) -> None:
        self.do(lambda: self.page.click("#sample"))

    def do(self, act) -> None:
        """Do something that draws, and wait until what it drew is shown."""
        former = self.drawn()
        act()
        self.wait_until_drawn(former)
        self.settle()

    def drawn(self) -> str:
        """What the page says that it shows: settings of the finished set, by which one set is told from another."""
        return self.page.evaluate("() => document.querySelector('#query textarea').value")

    def wait_until_drawn(self, former: str) -> None:
        """Until another set than the former one is shown in full."""
        self.page.wait_for_function("former => document.querySelector('#query textarea').value !== former", arg=former)
        self.page.locator("#status .done").wait_for()  # comes in the same message, and stays
        self.wait_for_viewer("viewer.pictures.size && [...viewer.pictures.values()].every(p => p.state === 'ready')")

    def viewer(self, expression: str):
        return self.page.evaluate(f"() => {{ const viewer = {VIEWER}; return {expression}; }}")

    def wait_for_viewer(self, expression: str) -> None:
        self.page.wait_for_function(f"() => {{ const viewer = {VIEWER}; return {expression}; }}")

    def canvas(self, index: int = 0):
        return self.page.locator("#viewer .lv-canvas").nth(index)

    def pixels(self, canvas: str = "viewer.panes[0].canvas") -> str:
        return self.viewer(f"({canvas}).toDataURL('image/png')")

    def upload(self, path: Path | str) -> None:
        self.page.locator("#picture input[type=file]").set_input_files(str(path))

    def set_number(self, selector: str, value: object) -> None:
        field = self.page.locator(f"{selector} input[type=number]")
        field.fill(str(value))
        field.press("Tab")

    def check_accessibility(self) -> None:
        """In both themes: nothing that axe calls serious or critical."""
        for theme in ("light", "dark"):
            self.page.evaluate(CHANGE_THEME, theme)
            found = AXE.run(self.page, options={"resultTypes": ["violations"]}).response["violations"]
            grave = [(one["id"], [n["html"][:200] for n in one["nodes"]]) for one in found if one["impact"] in GRAVE]
            assert not grave, (theme, grave)

    def close(self) -> None:
        assert not self.problems
        self.page.context.close()


@pytest.fixture(scope="module")
def tab(browser, url) -> Iterator[Visit]:
    """For all tests that need nothing particular: to load the page again takes half as long as in a new context."""
    visit = Visit(browser, url)
    yield visit
    visit.close()


@pytest.fixture
def visit(tab) -> Iterator[Visit]:
    """The page, loaded anew."""
    tab.problems.clear()
    yield tab.open()
    assert not tab.problems


def test_from_upload_to_the_same_pixels_again(visit, browser, url, tmp_path):
    hr = np.array(Image.open(EXAMPLES[1].path))[:160, :200]
    Image.fromarray(hr).save(tmp_path / "mine.png")
    visit.upload(tmp_path / "mine.png")
    expect(visit.page.locator("#preview-facts")).to_contain_text("200×160 → 800×640")
    visit.page.locator("#kind").get_by_label("Full-size").check()
    expect(visit.page.locator("#preview-facts")).to_contain_text("50×40 → 200×160")
    visit.set_number("#num-samples", 3)
    visit.sample()
    assert visit.viewer("viewer.samples().length") == 3
    assert visit.viewer("viewer.references().map(p => p.id)") == [
        *("input", "bicubic", "encoder", "zero_temperature", "mean", "truth"),
    ]
    expect(visit.page.locator("#numbers tbody tr")).to_have_count(3)

    # zoom in one: all zoom, and stay so while other pictures come in
    box = visit.canvas(1).bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.locator("#viewer .lv-stage").focus()  # without it the wheel scrolls the page
    visit.page.mouse.wheel(0, -600)
    visit.wait_for_viewer("!viewer.view.fitted")
    visit.settle()
    view = visit.viewer("({...viewer.view})")
    before = visit.pixels()
    assert before != visit.pixels("viewer.panes[1].canvas")

    # flip by key, at the same place
    visit.page.keyboard.press("2")
    assert visit.viewer("viewer.current") == "s1"
    visit.page.keyboard.press("a")

    # click a place: crops of all
    empty = visit.pixels("[...viewer.crops.values()][0].canvas")
    visit.page.mouse.click(box["x"] + 40, box["y"] + 40)
    visit.settle()
    crop = visit.pixels("[...viewer.crops.values()][0].canvas")
    assert crop != empty

    # another temperature: other pictures, same view
    visit.do(lambda: visit.set_number("#temperature", 0.3))
    expect(visit.page).to_have_url(re.compile("temperature=0.3"))
    assert visit.pixels() != before
    assert visit.pixels("[...viewer.crops.values()][0].canvas") != crop
    assert visit.viewer("({...viewer.view})") == view

    # download; dropped on another visitor's page, it restores the settings and gives the same pixels
    visit.viewer("viewer.show('s1')")
    expect(visit.page.locator("#download-choice input")).to_have_value("Sample 2")
    with visit.page.expect_download() as download:
        visit.page.click("#download-png")
    path = tmp_path / "sample.png"
    download.value.save_as(path)
    with Image.open(path) as image:
        recipe = SampleRecipe.from_json(image.info[RECIPE_KEY])
        pixels = np.array(image)
    assert (recipe.temperature, recipe.index) == (0.3, 1)

    with visit.page.expect_download() as download:
        visit.page.click("#download-zip")
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert np.array_equal(np.array(Image.open(io.BytesIO(archive.read("samples/sample-02.png")))), pixels)
        assert json.loads(archive.read("run.json"))["settings"]["temperature"] == 0.3

    other = Visit(browser, url).open()
    other.upload(path)
    other.page.click("#restore")
    expect(other.page.locator("#status")).to_contain_text(f"sample 2 of seed {recipe.seed}")
    expect(other.page.locator("#temperature input[type=number]")).to_have_value("0.3")
    expect(other.page.locator("#preview-facts")).to_contain_text("50×40 → 200×160")
    other.sample()
    address = other.viewer("viewer.pictures.get('s1').loadedUrl")
    served = np.array(Image.open(io.BytesIO(other.page.request.get(address).body())))
    assert np.array_equal(served, pixels)
    other.close()


def test_a_reply_that_is_late_does_not_put_an_older_view_in_the_place_of_a_newer_one(visit, tmp_path):
    Image.new("RGB", (50, 40), "teal").save(tmp_path / "teal.png")
    visit.upload(tmp_path / "teal.png")
    expect(visit.page.locator("#preview-facts")).to_contain_text("50×40 → 200×160")
    visit.settle()
    late: list[Route] = []

    def hold(route: Route) -> None:
        is_reply = not late and route.request.method == "POST" and "/run/" in route.request.url
        (late.append if is_reply else Route.continue_)(route)

    visit.page.route("**/gradio_api/**", hold)
    visit.set_number("#num-samples", 3)  # asks for three empty places
    visit.page.wait_for_function("() => true")
    assert late
    reply = late[0].fetch()
    visit.page.click("#sample")
    ready = "viewer.samples().length === 3 && viewer.samples().every(p => p.state === 'ready')"
    visit.wait_for_viewer(ready)
    expect(visit.page.locator("#status .done")).to_be_visible()
    late[0].fulfill(response=reply)
    visit.settle()
    assert visit.viewer(ready)


def test_files_that_are_no_pictures_are_refused_in_words(visit, tmp_path):
    (tmp_path / "fake.png").write_text("no picture at all")
    visit.upload(tmp_path / "fake.png")
    expect(visit.page.locator("#status .error")).to_contain_text("not a picture")
    expect(visit.page.locator("#sample")).to_be_disabled()  # the picture before is not drawn in its place
    visit.settle()
    expect(visit.page.locator("#status .error")).to_contain_text("not a picture")
    assert visit.viewer("viewer.pictures.size") == 0
    visit.page.click("#undo")
    expect(visit.page.locator("#status")).to_contain_text("Back: 8 samples")
    visit.sample()


DROP = """({ names, colors, link, kind }) => {
    const data = new DataTransfer();
    for (const [i, name] of (names ?? []).entries()) {
        const canvas = Object.assign(document.createElement("canvas"), { width: 22 + i, height: 20 });
        const bytes = atob(canvas.toDataURL("image/png").split(",")[1]);
        data.items.add(new File([Uint8Array.from(bytes, (c) => c.charCodeAt(0))], name, { type: "image/png" }));
    }
    if (link) data.setData("text/uri-list", link);
    const options = { bubbles: true, cancelable: true };
    const event = kind === "paste"
        ? new ClipboardEvent("paste", { ...options, clipboardData: data })
        : new DragEvent("drop", { ...options, dataTransfer: data });
    document.querySelector("#viewer").dispatchEvent(event);
    return event.defaultPrevented;
}"""


def test_of_several_files_the_first_is_opened_and_the_others_wait(visit, tmp_path):
    facts, waiting = visit.page.locator("#preview-facts"), visit.page.locator("#waiting")
    expect(waiting).to_be_hidden()
    assert visit.page.evaluate(DROP, {"names": ["a.png", "<b>.png", "c.png"]})
    expect(facts).to_contain_text("22×20")
    expect(waiting).to_contain_text("Next: <b>.png, c.png")
    visit.check_accessibility()
    waiting.get_by_role("button", name="Next picture").click()
    expect(facts).to_contain_text("23×20")
    expect(waiting).to_contain_text("Next: c.png")
    assert visit.page.evaluate(DROP, {"names": ["d.png"], "kind": "paste"}), "what is new takes the place of what waits"
    expect(facts).to_contain_text("22×20")
    expect(waiting).to_be_hidden()
    for name, size in (("one.png", (31, 20)), ("two.png", (32, 20))):
        Image.new("RGB", size).save(tmp_path / name)
    visit.page.locator("#picture input[type=file]").set_input_files([tmp_path / "one.png", tmp_path / "two.png"])
    expect(facts).to_contain_text("31×20")
    expect(waiting).to_contain_text("Next: two.png")
    waiting.get_by_role("button", name="Forget them").click()
    expect(waiting).to_be_hidden()
    assert visit.page.evaluate(DROP, {"link": "https://example.com/a.png"})
    expect(waiting).to_contain_text("Save the picture as a file")
    visit.settle()


def test_examples_the_map_and_the_sweep(visit):
    visit.page.locator("#examples button").nth(2).click()
    expect(visit.page.locator("#status")).to_contain_text("Ready: press Sample.")
    visit.set_number("#num-samples", 4)
    visit.sample()
    expect(visit.page).to_have_url(re.compile("example=coffee"))
    visit.page.get_by_role("tab", name="Diversity").click()
    expect(visit.page.locator("#histogram .js-plotly-plot")).to_be_visible()
    expect(visit.page.locator("#readout")).to_contain_text("Mean σ")
    luma = visit.viewer("viewer.overlay.url")
    visit.page.locator("#measure").get_by_label("RGB").check()
    visit.wait_for_viewer(f"viewer.overlay.url !== '{luma}'")
    visit.page.get_by_role("tab", name="Numbers").click()
    visit.page.locator("#atlas [data-show-sample=s2]").click()
    assert visit.viewer("[viewer.mode, viewer.current]") == ["single", "s2"]
    visit.page.get_by_role("tab", name="Temperature sweep").click()
    visit.page.click("#sweep")
    expect(visit.page.locator("#status")).to_contain_text("The sweep is done")
    expect(visit.page.locator("#sweep-viewer .lv-canvas")).to_have_count(8)
    for name, content in TABS.items():
        visit.page.get_by_role("tab", name=name).click()
        expect(visit.page.locator(content)).to_be_visible()
        visit.check_accessibility()


def test_stop_stops(visit, engine):
    engine.is_held = True
    try:
        visit.page.click("#sample")
        expect(visit.page.locator("#status")).to_contain_text("Sample 1 of 8")
        visit.page.click("#stop")
        expect(visit.page.locator("#status")).to_contain_text("Stopped after 1")
    finally:
        engine.is_held = False
    visit.wait_for_viewer("viewer.samples().length === 1")
    visit.sample()


def test_a_picture_in_tiles_grows_row_by_row(visit, engine):
    page = visit.page
    page.click("#more button")
    page.get_by_label("Tile side").fill("25")
    page.get_by_label("Tile side").press("Tab")
    expect(page.locator("#preview-facts")).to_contain_text("12 tiles of 25×25")
    visit.set_number("#num-samples", 2)
    engine.is_held = True
    try:
        page.click("#sample")
        visit.wait_for_viewer("[...(viewer.pictures.get('s0')?.parts.values() || [])].some(part => part.levels.length)")
        expect(page.locator("#viewer .lv-caption").first).to_contain_text("33 %")
        page.click("#stop")
        expect(page.locator("#status")).to_contain_text("Stopped")
    finally:
        engine.is_held = False
    assert visit.viewer("viewer.describe().pictures[0].state") == "waiting"
    visit.sample()
    assert visit.viewer("viewer.describe().pictures[0].parts") == []


def test_nothing_jumps_from_opening_to_the_end(visit):
    def places() -> list[dict]:
        parts = ("#downloads", "#tabs", "#viewer .lv-stage", "#viewer .lv-crops", "#sample", "#temperature", "#picture")
        return [visit.page.locator(part).bounding_box() for part in parts]

    visit.sample()
    before = places()
    visit.page.evaluate(
        f"() => {{ window.seen = []; const viewer = {VIEWER}, setScene = viewer.setScene.bind(viewer);"
        " viewer.setScene = (scene) => { setScene(scene);"
        " window.seen.push(document.querySelector('#downloads').getBoundingClientRect().y); }; }"
    )
    visit.sample()
    assert places() == before
    assert set(visit.page.evaluate("window.seen")) == {before[0]["y"]}


def test_actions_stay_in_reach(browser, url):
    for size in ({"width": 1280, "height": 900}, {"width": 390, "height": 844}):
        visit = Visit(browser, url, viewport=size).open()
        assert visit.viewer("viewer.samples().filter(p => p.state === 'ready').length") >= 0
        for y in (0, 900):
            visit.page.evaluate(f"window.scrollTo(0, {y})")
            visit.settle()
            for button in ("#sample", "#stop", "#temperature"):
                box = visit.page.locator(button).bounding_box()
                assert 0 <= box["y"] <= size["height"] - box["height"]
        visit.page.evaluate("window.scrollTo(0, 0)")
        assert visit.page.locator("#viewer .lv-stage").bounding_box()["y"] < 420, "pictures on the same screen"
        visit.close()


def test_opening_the_page_shows_finished_samples(browser, url, engine):
    before = len(engine.requests)
    visit = Visit(browser, url).open()
    visit.wait_for_viewer("viewer.samples().length === 8 && viewer.samples().every(p => p.state === 'ready')")
    assert visit.viewer("Boolean(viewer.overlay)")
    expect(visit.page.locator("#numbers tbody tr")).to_have_count(8)
    visit.check_accessibility()
    assert all(request.num_samples == 8 and request.seed == 0 for request in engine.requests[before:])
    visit.close()


def test_answers_that_come_all_at_once_are_all_shown(browser, url):
    visit = Visit(browser, url)

    def hold(route: Route) -> None:
        """The work is done, and all its answers wait, before the browser knows what it asked for."""
        response = route.fetch()
        time.sleep(0.5)
        route.fulfill(response=response)

    visit.page.route("**/queue/join*", hold)
    visit.open()
    visit.wait_for_viewer("viewer.pictures.size > 8 && [...viewer.pictures.values()].every(p => p.state === 'ready')")
    visit.sample()
    assert visit.viewer("viewer.samples().length") == 8
    expect(visit.page.locator("#preview img")).to_be_visible()
    visit.close()


def test_every_control_once_and_nothing_unexpected(visit, app, tmp_path, caplog):
    """Whatever can be pressed, dragged or chosen: no toast, no error, no exception."""
    page = visit.page
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (300, 400, 3), np.uint8)).save(tmp_path / "large.png")

    def settled() -> None:
        visit.settle()
        assert page.locator("#status .bar").count() == 0
        assert page.locator(".toast-body, .toast-wrap .error").count() == 0
        assert page.locator("#status .error").count() == 0, page.locator("#status").inner_text()

    visit.set_number("#num-samples", 2)
    visit.sample()
    for selector in ("#dice", "#add", "#undo", "#redo", "#stop", "#copy-link"):
        page.click(selector)
        settled()
    for number in range(len(EXAMPLES)):
        page.locator("#examples button").nth(number).click()
        settled()
    visit.upload(tmp_path / "large.png")
    expect(page.locator("#question")).to_contain_text("large picture")
    page.locator("#preview img").click(position={"x": 20, "y": 20})
    settled()
    page.locator("#region-left input").fill("5")
    page.locator("#region-left input").press("Enter")
    settled()
    page.locator("#region input").click()
    page.get_by_role("option", name="48 × 48").click()
    settled()
    page.click("#as-large")
    settled()
    page.locator("#kind").get_by_label("Low-resolution").check()
    settled()
    page.locator("#region input").click()
    page.get_by_role("option", name="48 × 48").click()
    settled()
    visit.sample()
    for name in ("Faithful", "Wild", "Balanced"):
        page.locator("#presets").get_by_label(name).check()
        settled()
    page.locator("#consistency input").uncheck()
    settled()
    page.locator("#keep-seed input").check()
    visit.set_number("#seed", 12)
    page.locator("#seed input").fill("13")
    settled()
    page.click("#more button")
    page.get_by_label("Compare all pairs").check()
    page.get_by_label("Skip samples").fill("1")
    page.get_by_label("Tile side").fill("0")
    page.get_by_label("Tile side").press("Tab")
    page.get_by_label("Precision").click()
    page.get_by_role("option", name="float32").click()
    settled()
    page.locator("#model input").click()
    page.get_by_role("option", name="Fake ×8").click()
    settled()
    visit.sample()
    settled()
    for selector in ("#download-png", "#download-zip"):
        with page.expect_download():
            page.click(selector)
            settled()
    heading = page.locator("#numbers [data-sort]").nth(1)
    heading.click()
    heading.click()
    page.locator("#numbers summary").click()
    page.locator("#atlas [data-show-sample]").first.click()
    page.get_by_role("tab", name="Diversity").click()
    page.locator("#measure").get_by_label("RGB").check()
    settled()
    page.get_by_role("tab", name="Temperature sweep").click()
    page.click("#sweep")
    expect(page.locator("#status")).to_contain_text("The sweep is done")
    page.get_by_role("tab", name="What am I").click()
    page.locator("#picture").get_by_role("button", name="Remove Image").click()
    expect(page.locator("#status")).to_contain_text("There is no picture")
    assert page.locator(".toast-body").count() == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_table_is_sorted_by_any_column(visit):
    visit.wait_for_viewer("viewer.samples().length === 8")
    page = visit.page
    head = page.locator("#numbers th").nth(2)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    values = page.locator("#numbers tbody td:nth-child(3)").all_inner_texts()
    assert values == sorted(values, key=float)
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert page.locator("#numbers tbody td:nth-child(3)").all_inner_texts() == values[::-1]


def test_few_announcements_and_few_bytes(browser, url, engine, tmp_path):
    visit = Visit(browser, url).open()
    page = visit.page
    Image.fromarray(np.random.default_rng(6).integers(0, 256, (190, 190, 3), np.uint8)).save(tmp_path / "mine.png")
    visit.upload(tmp_path / "mine.png")
    expect(page.locator("#preview-facts")).to_contain_text("190×190 → 760×760")
    page.evaluate(
        "() => { window.said = []; new MutationObserver(() => said.push(document.querySelector('#announcements')"
        ".textContent)).observe(document.querySelector('#announcements'), { childList: true }); }"
    )
    visit.settle()  # the stream of what came before is closed
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    streams, sizes = set(), []

    def begin(event: dict) -> None:
        if "queue/data" in event["request"]["url"]:
            streams.add(event["requestId"])

    def count(event: dict) -> None:
        if event["requestId"] in streams:
            sizes.append(event["dataLength"])

    session.on("Network.requestWillBeSent", begin)
    session.on("Network.dataReceived", count)
    engine.delay = 0.5
    try:
        visit.sample()
    finally:
        engine.delay = 0.0
    said = page.evaluate("window.said")
    assert 3 <= len(said) <= 11, "start, each sample, end"
    assert said[-1].startswith("8 samples")
    assert 5_000 < sum(sizes) < 280_000, f"{sum(sizes)} bytes of messages; pictures are files"
    visit.close()


def test_sessions_do_not_grow_with_the_runs(visit, app):
    def count() -> int:
        return sum(len(session.blocks_config.blocks) for session in app.state_holder.session_data.values())

    visit.set_number("#num-samples", 2)
    counts = []
    for _ in range(3):
        visit.sample()
        counts.append(count())
    assert counts[-1] - counts[0] < 10, "else see app.memory"
    assert len(app._queue.event_analytics) <= 1, "Gradio would sum them all up after each event"
    drop_copies(app)
    assert count() == len(app.state_holder.session_data) * len(app.blocks)
    visit.sample()


def test_settings_are_remembered_and_the_address_is_stronger(browser, url):
    visit = Visit(browser, url).open()
    visit.set_number("#num-samples", 2)
    visit.do(lambda: visit.set_number("#temperature", 0.6))
    page = visit.page
    page.goto("about:blank")
    page.goto(url)
    expect(page.locator("#status")).to_contain_text("Ready")
    expect(page.locator("#temperature input[type=number]")).to_have_value("0.6")
    page.goto("about:blank")
    page.goto(f"{url}/#seed=11&temperature=0.2&num_samples=1&example=rocket")
    expect(page.locator("#seed input")).to_have_value("11")
    expect(page.locator("#status")).to_contain_text("1 sample in")
    visit.wait_for_viewer("viewer.samples().length === 1 && viewer.samples()[0].state === 'ready'")
    visit.close()


def test_nothing_is_wider_than_a_phone(browser, url):
    for theme in ("light", "dark"):
        visit = Visit(browser, url, viewport={"width": 390, "height": 844}).open(f"?__theme={theme}")
        visit.sample()
        overflow = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0
        visit.close()


def test_visitors_get_their_own_pictures(browser, url):
    visits = [Visit(browser, url).open() for _ in range(3)]
    for number, visit in enumerate(visits):
        visit.page.locator("#examples button").nth(number + 1).click()
        expect(visit.page.locator("#status")).to_contain_text("Ready: press Sample.")
    former = [visit.drawn() for visit in visits]
    for visit in visits:
        visit.page.click("#sample")
    for number, visit in enumerate(visits):
        visit.wait_until_drawn(former[number])
        expect(visit.page).to_have_url(re.compile(f"example={EXAMPLES[number + 1].name}"))
        address = visit.viewer("viewer.pictures.get('truth').loadedUrl")
        served = np.array(Image.open(io.BytesIO(visit.page.request.get(address).body())))
        expected = np.array(Image.open(EXAMPLES[number + 1].path).convert("RGB"))
        assert np.array_equal(served, expected[: served.shape[0], : served.shape[1]])
    for visit in visits:
        visit.close()


# ---------------------------------------------------------------- endpoints


@pytest.fixture(scope="module")
def client(url, tmp_path_factory) -> Client:
    return Client(url, verbose=False, download_files=str(tmp_path_factory.mktemp("client")))


def test_the_sample_endpoint_gives_files_and_numbers(client):
    image = handle_file(str(EXAMPLES[0].path))
    files, numbers = client.predict(
        image=image, temperature=0.5, seed=3, num_samples=2, high_resolution_input=True, api_name="/sample"
    )
    assert [sample["recipe"]["seed"] for sample in numbers["samples"]] == [3, 3]
    assert numbers["samples"][0]["truth"]["psnr"] > 0
    for file, sample in zip(files, numbers["samples"], strict=True):
        with Image.open(file) as picture:
            assert picture.size == (384, 300)
            assert json.loads(picture.info[RECIPE_KEY]) == sample["recipe"]


def test_the_other_endpoints(client):
    image = handle_file(str(EXAMPLES[-1].path))
    colour, exact, numbers = client.predict(image=image, num_samples=4, api_name="/diversity_map")
    assert Image.open(colour).size == (384, 384)
    std = np.array(Image.open(exact)) / 256
    assert std.mean() == pytest.approx(numbers["diversity"], abs=0.01)
    files, points = client.predict(image=image, num_samples=2, api_name="/sweep")
    assert len(files) == len(points) == 8
    assert {model["key"] for model in client.predict(api_name="/models")} == {"fake-x4", "fake-x8"}


def test_a_call_whose_client_hangs_up_is_ended(url, engine, monkeypatch):
    drawn, is_over, draw = [], threading.Event(), engine.sample

    def watched(*request: object) -> Iterator[object]:
        try:
            for event in draw(*request):
                drawn.append(event)
                yield event
        finally:
            is_over.set()

    monkeypatch.setattr(engine, "sample", watched)
    monkeypatch.setattr(engine, "delay", 10.0)  # for each of 16 samples; progress is told once a second
    with httpx.Client(base_url=f"{url}/gradio_api/", timeout=60) as http:
        (path,) = http.post("upload", files={"files": EXAMPLES[-1].path.open("rb")}).json()
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, "", -1, 0, 16, True, False]
        call = http.post("call/sample", json={"data": data}).json()["event_id"]
        with http.stream("GET", f"call/sample/{call}") as response:
            assert "generating" in next(response.iter_lines())
    assert is_over.wait(100), "the engine goes on although nobody listens"
    assert not [event for event in drawn if isinstance(event, SetSummary) and event.final]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_samples": 99}, "The number of samples must be"),
        ({"model": "nothing"}, "The model must be one of"),
        ({"temperature": 7}, "The temperature must be"),
    ],
)
def test_endpoints_refuse_in_words(client, values, words):
    with pytest.raises(AppError, match=words):
        client.predict(image=handle_file(str(EXAMPLES[0].path)), api_name="/sample", **values)

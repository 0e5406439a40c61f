"""Exploring on the real page, with the fake engine: from the brush to a PNG that brings it all back."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import numpy as np
import pytest
from fake_engine import FakeEngine
from PIL import Image
from playwright.sync_api import expect
from test_app_page import Visit

from app.layout import build_page, launch_options
from app.visitors import Sessions
from srflow.contract import RECIPE_KEY, SampleRecipe
from srflow.operations import Mix, Reroll

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WALK = "viewer.exploring.walk"
ALL_THERE = (
    f"{WALK}.message?.ids.length === 8 && [...viewer.pictures.values()].every(p => p.state === 'ready')"
    f" && {WALK}.message.ids.includes(viewer.current)"
)


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def url(engine, tmp_path_factory) -> Iterator[str]:
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    page = build_page(engine, Sessions(tmp_path_factory.mktemp("sessions")))
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


class Explorer(Visit):
    """A visitor with a brush."""

    def open_in_full(self) -> None:
        """Go to the page, and wait for all pictures that it opens with."""
        self.open()
        self.wait_for_viewer(
            "viewer.pictures.size > 8 && [...viewer.pictures.values()].every(p => p.state === 'ready')"
        )

    def paint(self, index: int, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Stroke over a pane, from and to fractions of it."""
        if not self.viewer("viewer.exploring.mask.isChoosing"):
            self.page.get_by_role("button", name="Select a region").click()
        self.drag(index, start, end)

    def drag(self, index: int, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Over a pane, from and to fractions of it."""
        box = self.canvas(index).bounding_box()
        place = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
        self.page.mouse.move(*place[0])
        self.page.mouse.down()
        self.page.mouse.move(*place[1], steps=4)
        self.page.mouse.up()

    def choose_box(self, left: int, top: int, width: int, height: int) -> None:
        """Choose a box by its numbers, in LR pixels."""
        if not self.viewer("viewer.exploring.mask.isChoosing"):
            self.page.get_by_role("button", name="Select a region").click()
        self.page.get_by_role("button", name="Box", exact=True).click()
        for name, value in zip(("Left", "Top", "Width", "Height"), (left, top, width, height), strict=True):
            self.page.get_by_role("spinbutton", name=f"{name} of the box").fill(str(value))
        self.page.get_by_role("spinbutton", name="Height of the box").press("Tab")

    def walk(self, act) -> list[str]:
        """Do something that brings ways to go on, and wait for all of them. Gives their ids."""
        former = self.viewer(f"{WALK}.message?.ids ?? []")
        act()
        self.page.wait_for_function(
            "former => { const ids = document.querySelector('#viewer .lv').parentElement.linkedViewer"
            ".exploring.walk.message?.ids ?? []; return ids.length && ids[0] !== former[0]; }",
            arg=former,
        )
        self.wait_for_viewer(ALL_THERE)
        expect(self.page.locator("#status .done")).to_contain_text("step through them")
        return self.viewer(f"{WALK}.message.ids")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def keep(self) -> str:
        """Keep the way that is shown. Gives what the viewer then calls explored."""
        former = self.viewer("viewer.scene.explored")
        self.press("Enter")
        self.page.wait_for_function(
            "former => { const viewer = document.querySelector('#viewer .lv').parentElement.linkedViewer;"
            " return !viewer.scene.walk && viewer.scene.explored !== former; }",
            arg=former,
        )
        return self.viewer("viewer.scene.explored")

    def undo(self, explored: str | None) -> None:
        self.press("Control+z")
        self.page.wait_for_function(
            "wanted => document.querySelector('#viewer .lv').parentElement.linkedViewer.scene.explored === wanted",
            arg=explored,
        )
        self.wait_for_viewer("[...viewer.pictures.values()].every(p => p.state === 'ready')")

    def file(self, name: str) -> np.ndarray:
        """The pixels behind a picture."""
        address = self.viewer(f"viewer.pictures.get({name!r}).loadedUrl")
        response = self.page.request.get(address)
        assert response.ok
        return np.asarray(Image.open(io.BytesIO(response.body())).convert("RGB")).astype(int)

    @property
    def now(self) -> str:
        return self.viewer("viewer.current")


def test_open_brush_roll_keep_and_undo_twice(visit, engine):
    sample = visit.file("s2")
    assert visit.page.locator(".lv-explore-hint").is_visible()
    visit.paint(2, (0.3, 0.4), (0.5, 0.5))
    left, top, right, bottom = (4 * edge for edge in visit.viewer("viewer.exploring.mask.painted.message()").get("box"))
    rolls = visit.walk(lambda: visit.press("r"))
    assert visit.viewer("viewer.mode") == "single"
    assert visit.viewer(f"{WALK}.message.start") == "s2", "the sample that was painted on"
    assert engine.explored[-1].recipe.index == 2
    assert visit.now == rolls[0], "in place, in the full picture"
    outside = np.ones(sample.shape[:2], bool)
    outside[top:bottom, left:right] = False
    pictures = [visit.file(name) for name in rolls]
    assert all(np.array_equal(picture[outside], sample[outside]) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 8
    visit.press("ArrowRight", "ArrowRight")
    assert visit.now == rolls[2]
    visit.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert visit.now == "s2", "how it was before is part of the walk"
    visit.press("ArrowLeft")
    assert visit.now == rolls[7]
    first = visit.keep()
    assert (first, visit.now) == (rolls[7], rolls[7])
    assert np.array_equal(visit.file(first), pictures[7])
    expect(visit.page.locator("#viewer .lv-caption .lv-label").first).to_have_text("Explored, 1 change")

    again = visit.walk(lambda: visit.press("r"))
    assert engine.explored[-1].recipe.operations[0].roll == 7
    assert visit.viewer(f"{WALK}.message.start") == first
    second = visit.keep()
    assert second == again[0]
    visit.undo(first)
    assert visit.now == first
    assert np.array_equal(visit.file(first), pictures[7])
    visit.undo(None)
    assert visit.viewer("viewer.pictures.size > 8 && ![...viewer.pictures.values()].some(p => p.kind === 'way')")
    visit.press("Control+Shift+z")
    visit.wait_for_viewer(f"viewer.scene.explored === {first!r}")


def test_leaving_brings_back_what_was_there(visit):
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    visit.walk(lambda: visit.press("r"))
    visit.press("ArrowRight", "Escape")
    visit.wait_for_viewer("!viewer.scene.walk")
    assert visit.viewer("viewer.mode") == "grid"
    assert visit.viewer("viewer.scene.explored") is None
    assert visit.page.locator("#undo").is_disabled(), "nothing has been changed"
    assert visit.viewer("viewer.exploring.mask.isEmpty") is False, "the region stays selected"


def test_without_a_place_roll_says_what_is_missing(visit, engine):
    before = len(engine.explored)
    visit.page.get_by_role("button", name="Roll", exact=True).click()
    assert visit.viewer("viewer.exploring.mask.isChoosing")
    expect(visit.page.locator(".lv-mask-hint")).to_be_visible()
    assert len(engine.explored) == before


def test_the_pictures_stay_under_the_brush(visit):
    visit.page.get_by_role("button", name="Select a region").click()
    before = visit.canvas(1).bounding_box()
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    expect(visit.page.locator(".lv-mask-hint")).to_contain_text("Now press Roll")
    assert visit.canvas(1).bounding_box() == before


def test_more_like_this_at_a_dial(visit, engine):
    visit.press("Tab")
    visit.page.locator("#viewer .lv-stage").focus()
    visit.press("4")
    more = visit.page.get_by_role("button", name="More like this")
    visit.walk(more.click)
    assert visit.viewer(f"{WALK}.message.start") == "s3"
    [_, *ways] = engine.explored[-1].variants
    dial = visit.page.get_by_label("How different neighbours are, in percent")
    visit.walk(lambda: dial.press("ArrowRight"))
    [_, *farther] = engine.explored[-1].variants
    for (near,), (far,) in zip(ways, farther, strict=True):
        assert isinstance(near, Mix)
        assert near.other == far.other, "the same neighbours"
        assert near.angle == pytest.approx(0.35 * np.pi / 2)
        assert far.angle == pytest.approx(0.4 * np.pi / 2)
        assert near.mask is None
    visit.page.locator("#viewer .lv-stage").focus()
    visit.press("ArrowRight")
    chosen = visit.now
    visit.walk(more.click)
    assert visit.viewer(f"{WALK}.message.start") == chosen, "going on from a neighbour keeps it"
    assert visit.viewer("viewer.scene.explored") == chosen
    assert isinstance(engine.explored[-1].recipe.operations[0], Mix)


def test_new_samples_end_a_walk_and_leave_what_is_explored(visit):
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    visit.walk(lambda: visit.press("r"))
    kept = visit.keep()
    visit.walk(lambda: visit.press("r"))
    visit.sample()
    assert visit.viewer("viewer.scene.walk") is None
    assert visit.viewer("viewer.scene.explored") == kept


def test_the_png_brings_the_same_pixels_back_on_a_fresh_page(visit, browser, url, tmp_path):
    visit.paint(0, (0.3, 0.4), (0.5, 0.5))
    visit.walk(lambda: visit.press("r"))
    visit.press("ArrowRight")
    visit.keep()
    visit.page.get_by_role("button", name="Select a region").click()
    visit.paint(0, (0.6, 0.6), (0.7, 0.7))
    visit.walk(lambda: visit.press("r"))
    name = visit.keep()
    expected = visit.file(name)
    with visit.page.expect_download() as download:
        visit.page.click("#download-png")
    path = tmp_path / "explored.png"
    download.value.save_as(path)
    with Image.open(path) as image:
        recipe = SampleRecipe.from_json(image.info[RECIPE_KEY])
        assert np.array_equal(np.asarray(image.convert("RGB")), expected)
    assert [type(operation) for operation in recipe.operations] == [Reroll, Reroll]
    first, second = (operation.mask.support for operation in recipe.operations)
    assert first[2] <= second[0], "the place that was kept is not rolled again with the next one"

    other = Explorer(browser, url)
    other.open()
    other.upload(path)
    other.page.click("#restore")
    other.wait_for_viewer("viewer.scene.explored && viewer.pictures.get(viewer.scene.explored)?.state === 'ready'")
    restored = other.viewer("viewer.scene.explored")
    assert np.array_equal(other.file(restored), expected)
    assert other.now == restored
    expect(other.page.locator("#status")).to_contain_text("Restored: explored, 2 changes")
    other.close()


# ---------------------------------------------------------------- the history


class Historian(Explorer):
    """A visitor who looks at the strip of the history."""

    @property
    def steps(self):
        return self.page.locator("#viewer .lv-step")

    def captions(self) -> list[str]:
        return self.page.locator("#viewer .lv-step-label").all_inner_texts()

    def wait_for_steps(self, *captions: str) -> None:
        """Until the strip has these, with their thumbnails."""
        expect(self.page.locator("#viewer .lv-step-label")).to_have_text(list(captions))
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('#viewer .lv-step img')].every(one => one.naturalWidth)"
        )

    def go(self, index: int, act=None) -> None:
        """To a step, by a click unless told otherwise."""
        (act or self.steps.nth(index).click)()
        expect(self.steps.nth(index)).to_have_attribute("aria-current", "step")
        self.wait_for_viewer("[...viewer.pictures.values()].every(p => p.state === 'ready')")


@pytest.fixture
def historian(browser, url) -> Iterator[Historian]:
    visit = Historian(browser, url)
    visit.open_in_full()
    yield visit
    visit.close()


def roll_and_keep(visit: Explorer, number: int) -> str:
    """Roll the chosen place, and keep the roll of that number."""
    visit.walk(lambda: visit.press("r"))
    visit.press(*["ArrowRight"] * (number - 1))
    return visit.keep()


def test_the_whole_story_from_the_brush_to_the_same_pixels_on_a_fresh_page(historian, browser, url, tmp_path):
    visit = historian
    assert visit.page.locator("#viewer .lv-history").is_hidden(), "one step is no history"
    visit.paint(2, (0.3, 0.4), (0.5, 0.5))
    first = roll_and_keep(visit, 2)
    visit.wait_for_steps("8 samples", "Variant 2")
    visit.walk(visit.page.get_by_role("button", name="More like this").click)
    visit.page.locator("#viewer .lv-stage").focus()
    second = visit.keep()
    visit.wait_for_steps("8 samples", "Variant 2", "35 % away")
    expected = visit.file(second)
    visit.undo(first)
    visit.undo(None)
    branch = roll_and_keep(visit, 3)
    visit.wait_for_steps("8 samples", "Variant 2", "35 % away", "Variant 3")
    expect(visit.page.locator("#viewer .lv-branch .lv-step-branch")).to_have_text("↳1")
    expect(visit.page.locator("#viewer .lv-off-way")).to_have_count(2)
    branch_pixels = visit.file(branch)

    visit.go(2)
    assert visit.now == second
    assert np.array_equal(visit.file(second), expected)
    visit.steps.nth(3).click(modifiers=["Shift"])
    visit.wait_for_viewer("viewer.mode === 'wipe' && [...viewer.pictures.values()].every(p => p.state === 'ready')")
    left, right = visit.viewer("viewer.compare")
    assert right == second
    assert np.array_equal(visit.file(left), branch_pixels)
    expect(visit.page.locator("#viewer .lv-history-text")).to_contain_text(
        "From “Variant 3” to the current step: without region at the centre re-rolled, 3rd variant; then region at the"
    )
    visit.page.locator("#viewer .lv-stage").focus()
    visit.press("d")
    assert visit.viewer("viewer.panes.map(({ kind, ids }) => [kind, ...ids])") == [["difference", second, left]]
    visit.press("a", "k")
    assert (visit.viewer("viewer.mode"), visit.now) == ("single", left)

    with visit.page.expect_download() as download:
        visit.page.click("#download-png")
    path = tmp_path / "explored.png"
    download.value.save_as(path)
    other = Explorer(browser, url)
    other.open()
    other.upload(path)
    other.page.click("#restore")
    other.wait_for_viewer("viewer.scene.explored && viewer.pictures.get(viewer.scene.explored)?.state === 'ready'")
    assert np.array_equal(other.file(other.viewer("viewer.scene.explored")), expected)
    other.close()


def test_the_link_in_the_address_draws_it_again(historian, browser, url):
    visit = historian
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    kept = roll_and_keep(visit, 4)
    visit.page.wait_for_function("() => location.hash.includes('explored=')")
    other = Explorer(browser, url)
    other.open(visit.page.evaluate("location.hash"))
    expect(other.page.locator("#status")).to_contain_text("From the link: explored, 1 change")
    other.wait_for_viewer("viewer.scene.explored && viewer.pictures.get(viewer.scene.explored)?.state === 'ready'")
    assert np.array_equal(other.file(other.viewer("viewer.scene.explored")), visit.file(kept))
    other.close()


def test_the_strip_by_keyboard_names_and_pins(historian):
    visit = historian
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    roll_and_keep(visit, 1)
    roll_and_keep(visit, 2)
    visit.wait_for_steps("8 samples", "Variant 1", "Variant 2")
    expect(visit.page.locator("#viewer .lv-step[tabindex='0']")).to_have_count(1)
    visit.steps.nth(2).focus()
    visit.press("ArrowLeft")
    expect(visit.steps.nth(1)).to_be_focused()
    visit.go(1, lambda: visit.press("Enter"))
    visit.steps.nth(1).focus()
    visit.press("F2")
    field = visit.page.get_by_label("Name of the step")
    expect(field).to_be_focused()
    visit.page.keyboard.type("d wild eye")
    assert visit.viewer("viewer.mode") == "single", "letters are typed, and are no keys of the viewer"
    visit.press("Enter")
    visit.wait_for_steps("8 samples", "d wild eye", "Variant 2")
    expect(visit.steps.nth(1)).to_be_focused()
    expect(visit.page.locator("#viewer .lv-history-text")).to_contain_text("d wild eye: sample 2 of seed 0")
    visit.press("F2", "x", "Escape")
    assert visit.captions()[1] == "d wild eye"
    visit.page.get_by_role("button", name="Pin", exact=True).click()
    expect(visit.page.locator("#viewer .lv-step-pin:visible")).to_have_count(1)
    visit.page.get_by_role("button", name="Compare", exact=True).click()
    expect(visit.steps.nth(1)).to_be_disabled()
    visit.steps.nth(2).click()
    visit.wait_for_viewer("viewer.mode === 'wipe'")
    expect(visit.page.locator("#viewer .lv-compared .lv-step-label")).to_have_text("Variant 2")


def test_on_a_phone_the_strip_is_one_low_row(browser, url):
    visit = Historian(browser, url, viewport={"width": 390, "height": 844})
    visit.open()
    visit.wait_for_viewer("viewer.pictures.size > 8 && [...viewer.pictures.values()].every(p => p.state === 'ready')")
    visit.page.locator("#viewer .lv-explore").scroll_into_view_if_needed()
    visit.paint(0, (0.3, 0.4), (0.5, 0.5))
    for number in range(1, 8):
        roll_and_keep(visit, number)
    visit.wait_for_steps("8 samples", *(f"Variant {number}" for number in range(1, 8)))
    strip = visit.page.locator("#viewer .lv-history")
    box, newest = strip.bounding_box(), visit.steps.last.bounding_box()
    assert box["height"] <= 64
    assert box["x"] <= newest["x"] < newest["x"] + newest["width"] <= box["x"] + box["width"] + 1, "scrolled into view"
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page itself does not scroll"
    visit.close()

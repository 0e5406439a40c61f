"""The map, differences, downloads, large pictures, and who may act: the parts of the viewer beside its panes."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from viewer.viewer_page import (
    NUM_LARGE,
    NUM_SAMPLES,
    OTHER_RED,
    OVERLAY_COLOR,
    REDS,
    WIDTH,
    Driver,
    marked,
    place_of,
    validator,
)

pytestmark = pytest.mark.browser

DIFFERENCE_COLORS = ("#a5d4ff", "#2f6fb3", "#14141a", "#b3502f", "#ffcfa5")
MEGABYTE = 2**20

COUNT_BYTES = """
window.decoded = { now: 0, most: 0 };
const create = window.createImageBitmap, close = ImageBitmap.prototype.close;
const add = (bytes) => { decoded.now += bytes; decoded.most = Math.max(decoded.most, decoded.now); };
window.createImageBitmap = async (...args) => {
  const bitmap = await create(...args);
  add(4 * bitmap.width * bitmap.height);
  return bitmap;
};
ImageBitmap.prototype.close = function () { add(-4 * this.width * this.height); close.call(this); };
"""


def difference_color(minuend: str, subtrahend: str, scale: int, more: int = 0) -> np.ndarray:
    """The colour of a difference in red alone, as the legend says."""
    colors = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in DIFFERENCE_COLORS], float)
    at = np.clip(0.299 * (REDS[minuend] + more - REDS[subtrahend]) / scale, -1, 1) * 2 + 2
    return np.array([np.interp(at, range(5), colors[:, channel]) for channel in range(3)])


def middle(viewer: Driver, index: int = 0) -> np.ndarray:
    pixels = viewer.pixels(index)
    return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2, :3].astype(float)


# ---------------------------------------------------------------- the map


def test_the_map_is_a_tile_that_can_be_switched_off_for_the_visit(viewer):
    tile = viewer.state()["panes"][-1]
    assert tile["kind"] == "map"
    assert middle(viewer, NUM_SAMPLES).tolist() == list(OVERLAY_COLOR)
    assert middle(viewer, 0)[0] == REDS["s0"], "the pictures stay as they are"
    assert viewer.canvas(NUM_SAMPLES).get_attribute("aria-label") == "Where samples differ"
    assert viewer.page.locator(".lv-legend").is_visible()
    viewer.page.get_by_role("button", name="Map", exact=True).click()
    assert len(viewer.state()["panes"]) == NUM_SAMPLES
    viewer.page.reload()
    viewer.page.locator("#viewer .lv").wait_for()
    viewer.show("first")
    assert len(viewer.state()["panes"]) == NUM_SAMPLES
    viewer.focus()
    viewer.press("v")
    assert len(viewer.state()["panes"]) == NUM_SAMPLES + 1


def test_a_place_is_kept_for_the_map_so_that_nothing_moves_when_it_arrives(viewer):
    def boxes() -> list:
        return [viewer.canvas(index).bounding_box() for index in range(NUM_SAMPLES + 1)]

    viewer.page.get_by_role("button", name="expected", exact=True).click()
    viewer.wait_until("viewer.scene.overlay_expected")
    viewer.page.evaluate("scrollTo(0, 0)")
    before = boxes()
    assert viewer.canvas(NUM_SAMPLES).get_attribute("aria-label") == "Where samples differ, waiting"
    viewer.show("arrived")
    assert boxes() == before
    assert middle(viewer, NUM_SAMPLES).tolist() == list(OVERLAY_COLOR)
    viewer.page.locator("#viewer .lv[data-shown=last]").wait_for()


def test_a_click_on_the_map_chooses_a_place_like_any_other(viewer):
    viewer.page.mouse.click(*viewer.centre(NUM_SAMPLES))
    viewer.settle()
    place = viewer.state()["place"]
    assert abs(place["x"] - WIDTH / 2) <= 1
    viewer.wait_for_text("place", f"{place['x']} {place['y']} s0")


# ---------------------------------------------------------------- differences


def test_differences_show_what_each_sample_has_more_or_less_of_than_the_truth(viewer):
    viewer.focus()
    viewer.press("d")
    viewer.wait_until("[...viewer.differences.known.values()].filter(one => one.scale === 64).length === 11")
    viewer.settle()
    assert viewer.canvas(1).get_attribute("aria-label") == "Sample 2 − Ground truth"
    for index in (0, 5, NUM_SAMPLES - 1):
        expected = difference_color(f"s{index}", "truth", 64)
        assert np.abs(middle(viewer, index) - expected).max() <= 2, "one range for all"
    legend = viewer.page.locator(".lv-legend").inner_text().split("\n")
    assert legend == ["Difference (8-bit levels)", "darker −64", "+64 brighter"]
    viewer.page.mouse.move(*viewer.centre(1))
    viewer.settle()
    assert "ΔRGB −195 +0 +0" in viewer.page.locator(".lv-position").inner_text()


def test_any_two_pictures_can_be_subtracted_by_keyboard_and_menus(viewer):
    viewer.focus()
    viewer.press("d", "3")
    assert viewer.state()["difference"] == ["s2", "truth"]
    viewer.page.get_by_label("Picture to subtract").select_option("s1")
    viewer.wait_until("viewer.differences.known.get('s2\\ns1')?.scale === 4")
    viewer.settle()
    assert np.abs(middle(viewer) - difference_color("s2", "s1", 4)).max() <= 2
    viewer.page.get_by_label("Range of the colours").select_option("16")
    viewer.wait_until("viewer.differences.known.get('s2\\ns1').scale === 16")
    viewer.settle()
    assert np.abs(middle(viewer) - difference_color("s2", "s1", 16)).max() <= 2
    viewer.focus()
    viewer.press("x")
    viewer.wait_until("viewer.differences.known.has('s1\\ns2')")
    viewer.settle()
    assert np.abs(middle(viewer) - difference_color("s1", "s2", 16)).max() <= 2, "the sign is shown"
    viewer.press("Escape")
    panes = viewer.state()["panes"]
    assert [pane["ids"][0] for pane in panes] == [f"s{i}" for i in range(NUM_SAMPLES) if i != 2]
    viewer.press("Escape")
    assert viewer.state()["mode"] == "grid"


def test_a_difference_follows_new_pictures(viewer):
    viewer.focus()
    viewer.press("d", "1")
    viewer.wait_until("viewer.differences.known.get('s0\\ntruth')")
    viewer.show("other")
    viewer.wait_until("viewer.differences.known.get('s0\\ntruth').urls.includes('s0_5.png')")
    viewer.settle()
    assert np.abs(middle(viewer) - difference_color("s0", "truth", 64)).max() > 2
    assert np.abs(middle(viewer) - difference_color("s0", "truth", 64, more=OTHER_RED)).max() <= 2


# ---------------------------------------------------------------- files


def test_each_caption_has_the_file_itself(viewer, scenes):
    viewer.page.locator("#viewer").get_by_role("link", name="Download Sample 3 (PNG)").focus()
    with viewer.page.expect_download() as download:
        viewer.page.keyboard.press("Enter")
    assert download.value.suggested_filename == "sample-3.png"
    assert download.value.path().read_bytes() == (scenes.folder / "s2_0.png").read_bytes()
    with viewer.page.expect_download() as download:
        viewer.page.get_by_role("link", name="Download Where samples differ (PNG)").click()
    assert download.value.path().read_bytes() == scenes.paths["overlay"].read_bytes()
    assert viewer.state()["place"] is None, "no click on the picture"
    viewer.focus()
    viewer.press("k")
    with viewer.page.expect_download() as download:
        viewer.page.get_by_role("link", name="Download <img").click()
    assert download.value.suggested_filename.startswith("img-src-x-onerror")


def test_an_older_address_that_arrives_late_does_not_make_a_newer_one_be_asked_twice(viewer):
    held: dict[str, list] = {"a": [], "b": []}

    def hold(route) -> None:
        held[route.request.url[-1]].append(route)

    viewer.page.route(re.compile(r"s0_0\.png\?[ab]$"), hold)
    show = (
        "viewer.setScene({...viewer.scene, pictures: viewer.scene.pictures.map(p => p.id === 's0'"
        " ? {...p, image: {...p.image, url: p.image.url.split('?')[0] + argument}} : p)})"
    )
    for end in ("?a", "?b"):
        with viewer.page.expect_request(re.compile(rf"s0_0\.png\{end}$")):
            viewer.evaluate(show, end)
    with viewer.page.expect_event("requestfinished", lambda request: request.url.endswith("?a")):
        held["a"][0].continue_()
    viewer.settle()
    viewer.evaluate(show, "?b")
    viewer.settle()
    assert [len(routes) for routes in held.values()] == [1, 1]
    held["b"][0].continue_()
    viewer.wait_until("viewer.pictures.get('s0').loadedUrl.endsWith('?b')")


def test_a_picture_is_fetched_again_when_the_network_fails_for_a_moment(viewer):
    attempts: list[str] = []

    def fail_twice(route) -> None:
        attempts.append(route.request.url)
        if len(attempts) <= 2:
            route.abort()
        else:
            route.continue_()

    viewer.page.route("**/s5_5.png", fail_twice)
    viewer.show("other")
    assert len(attempts) == 3
    assert viewer.pixels(5)[100, 100, 0] == REDS["s5"] + OTHER_RED


# ---------------------------------------------------------------- large pictures


def test_large_pictures_are_decoded_only_where_they_are_seen(opened):
    viewer = opened(script=COUNT_BYTES)
    viewer.show_large()
    whole = 2400 * 1800 * 4
    kept = viewer.page.evaluate("decoded.now")
    assert kept < (NUM_LARGE + 1) * 8 * MEGABYTE
    assert viewer.page.evaluate("decoded.most") < kept + 2.5 * whole, "two are decoded at a time"
    assert viewer.state()["bytes"] <= kept

    viewer.focus()
    viewer.press("2", "z")
    viewer.wait_until("viewer.pictures.get('s1').patches.get('view')?.halvings === 0")
    viewer.page.mouse.move(0, 0)
    viewer.settle()
    shot = np.asarray(Image.open(io.BytesIO(viewer.canvas().screenshot())).convert("RGB")).astype(int)
    origin = viewer.state()["panes"][0]["drawn"]
    whole_picture = marked(REDS["s1"], 2400, 1800)
    shown = whole_picture[-origin["y"] :, -origin["x"] :][: shot.shape[0], : shot.shape[1]]
    assert np.array_equal(shot, shown), "each pixel of the file is a pixel of the screen"

    for number in range(1, NUM_LARGE + 1):
        viewer.press(str(number))
        viewer.wait_until("viewer.pictures.get(argument).patches.get('view')?.halvings === 0", f"s{number - 1}")
    assert viewer.page.evaluate("decoded.now") < kept + 128 * MEGABYTE
    viewer.show("first")
    assert viewer.page.evaluate("decoded.now") < 5 * MEGABYTE, "those of the former subject are given up"


def test_differences_and_close_ups_of_large_pictures_are_sharp(opened):
    viewer = opened()
    viewer.show_large()
    viewer.focus()
    viewer.press("d", "2", "z")
    viewer.wait_until("viewer.differences.known.get('s1\\ntruth')?.source.patches.size")
    viewer.settle()
    assert np.abs(middle(viewer) - difference_color("s1", "truth", 64)).max() <= 2
    viewer.press("a", "Enter")
    viewer.wait_until("[...viewer.pictures.values()].every(p => p.patches.get('place')?.halvings === 0)")
    viewer.settle()
    place = viewer.state()["place"]
    crop = viewer.read("viewer.crops.get('s7').canvas")
    expected = marked(REDS["s7"], 2400, 1800)[place["y"], place["x"]]
    assert crop[crop.shape[0] // 2, crop.shape[1] // 2, :3].tolist() == expected.tolist()


# ---------------------------------------------------------------- wheel, keys, focus


def test_the_wheel_scrolls_the_page_until_the_viewer_has_the_focus(opened):
    viewer = opened(height=500)
    before = viewer.state()["view"]
    tip = viewer.page.get_by_text("Click a picture first to zoom")
    viewer.page.mouse.move(*viewer.centre(1))
    assert tip.is_hidden()
    viewer.page.mouse.wheel(0, 200)
    viewer.page.wait_for_function("scrollY > 100")
    viewer.page.mouse.wheel(0, -100)
    viewer.page.wait_for_function("scrollY < 150")
    assert viewer.state()["view"] == before
    assert tip.is_visible()
    tip.wait_for(state="hidden")
    viewer.page.evaluate("scrollTo(0, 0)")
    viewer.page.mouse.move(*viewer.centre(1))
    viewer.page.keyboard.down("Control")
    viewer.page.mouse.wheel(0, -50)
    viewer.page.keyboard.up("Control")
    viewer.wait_until("viewer.view.zoom > argument * 1.2", before["zoom"])
    viewer.focus()
    viewer.page.mouse.wheel(0, -300)
    viewer.wait_until("viewer.view.zoom > argument * 2", before["zoom"])
    assert viewer.page.evaluate("scrollY") == 0


def test_a_control_that_is_switched_off_does_not_take_the_keys_with_it(viewer):
    viewer.focus()
    viewer.press("o")
    viewer.page.get_by_label("Opacity of the overlay").focus()
    viewer.press("o", "5")
    assert viewer.state()["current"] == "s4"
    viewer.press("w")
    viewer.page.get_by_role("button", name="Swap the two pictures").focus()
    viewer.press("a", "6")
    assert viewer.state()["current"] == "s5"


def test_motion_is_spared_those_who_ask_for_it(opened):
    durations = {}
    for motion in ("reduce", "no-preference"):
        tip = opened(reduced_motion=motion).page.locator("#viewer .lv-tip")
        durations[motion] = tip.evaluate("node => getComputedStyle(node).transitionDuration")
    assert durations["reduce"] == "0s"
    assert durations["no-preference"] != "0s"


@pytest.mark.parametrize("ratio", [1.25, 1.5])
def test_captions_are_whole_device_pixels_high(opened, ratio):
    viewer = opened(device_scale_factor=ratio)
    stage = viewer.page.locator("#viewer .lv-stage").bounding_box()
    offset = (viewer.canvas().bounding_box()["y"] - stage["y"]) * ratio
    assert offset == pytest.approx(viewer.evaluate("viewer.caption"), abs=ratio / 64), "layout rounds to 1/64"
    viewer.focus()
    viewer.press("1", "z")
    viewer.page.mouse.move(*viewer.at(0.51, 0.52))
    viewer.settle()
    hover = viewer.evaluate("({px: viewer.hover.px, py: viewer.hover.py})")
    where = place_of(viewer.pixels()[int(hover["py"]), int(hover["px"])])
    assert viewer.page.locator(".lv-position").inner_text().startswith(f"x {where[0]}, y {where[1]} ·")


# ---------------------------------------------------------------- names, themes, messages


def test_what_is_written_on_a_control_is_its_name(viewer):
    toolbar = viewer.page.get_by_role("group", name="View", exact=True)
    for name in ("Grid", "Single", "Wipe", "Difference", "Fit", "100 %", "Loupe", "References", "Map", "Overlay"):
        button = toolbar.get_by_role("button", name=name, exact=True)
        assert button.inner_text() == name
        assert button.get_attribute("title") not in (None, "", name), "the title says what it does"
    for name in ("Zoom in", "Zoom out", "Full screen", "Help"):
        assert toolbar.get_by_role("button", name=name, exact=True).is_visible()
    chip = viewer.page.get_by_role("group", name="Show one picture").get_by_role("button").nth(2)
    assert (chip.inner_text(), chip.get_attribute("title")) == ("3", "Show Sample 3 alone (3)")
    levels = viewer.page.evaluate("[...document.querySelectorAll('#viewer :is(h1,h2,h3,h4)')].map(n => n.tagName)")
    assert levels[0] == "H2"
    assert set(levels[1:]) == {"H3"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened, theme):
    viewer = opened(theme=theme)
    viewer.show("values")
    viewer.focus()
    for keys in ((), ("w",), ("d",), ("2",), ("Escape", "Escape", "?")):
        viewer.press(*keys)
        results = Axe().run(viewer.page, context="#viewer").response
        assert len(results["passes"]) > 10
        serious = [
            (violation["id"], node["html"])
            for violation in results["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]
        assert serious == [], keys


def test_axe_would_find_a_control_without_a_name(viewer):
    for name in ("aria-label", "title"):
        viewer.page.locator(".lv-end button").last.evaluate("(node, name) => node.removeAttribute(name)", name)
    violations = Axe().run(viewer.page, context="#viewer").response["violations"]
    assert "button-name" in [violation["id"] for violation in violations]


def test_what_travels_is_as_described(viewer):
    viewer.evaluate(
        "(() => { window.sent = []; const trigger = viewer.trigger;"
        " viewer.trigger = (name, data) => { window.sent.push([name, data]); trigger(name, data); }; })()"
    )
    viewer.show("values")
    assert list(validator("Scene").iter_errors(viewer.evaluate("viewer.scene"))) == []
    viewer.focus()
    viewer.press("Enter", "2")
    viewer.page.wait_for_function("() => window.sent.length === 2")
    for name, data in viewer.page.evaluate("window.sent"):
        assert list(validator(f"{name.capitalize()}Event").iter_errors(data)) == []
        assert data["subject"] == "one"
    assert {name for name, _ in viewer.page.evaluate("window.sent")} == {"place", "pick"}


def test_difference_and_map_work_by_touch_on_a_phone(opened):
    viewer = opened(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
    viewer.page.get_by_role("button", name="Difference").tap()
    viewer.wait_until("viewer.differences.known.size === 11")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert viewer.page.evaluate(overflow) <= 0
    viewer.page.get_by_role("button", name="Grid").tap()
    tools, zoom = (viewer.page.get_by_role("button", name=name, exact=True) for name in ("Tools", "Zoom in"))
    assert zoom.is_hidden(), "folded away, for the pictures"
    tools.tap()
    assert tools.get_attribute("aria-expanded") == "true"
    assert zoom.is_visible()
    viewer.page.get_by_role("button", name="Map", exact=True).tap()
    assert viewer.state()["showMap"] is False
    for box in viewer.page.locator("#viewer .lv-toolbar button").evaluate_all(
        "nodes => nodes.map(node => node.getBoundingClientRect().height)"
    ):
        assert box >= 32
    assert viewer.page.evaluate(overflow) <= 0

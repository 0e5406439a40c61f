"""The linked viewer in a real browser: panes, keys, pointers, crops, the loupe and what Python sends."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from viewer.viewer_page import (
    HEIGHT,
    HOSTILE_LABEL,
    NUM_SAMPLES,
    OTHER_RED,
    OVERLAY_COLOR,
    REDS,
    WIDTH,
    Driver,
    marked,
    place_of,
)

browser_test = pytest.mark.browser


@browser_test
def test_zooming_in_one_picture_zooms_all(viewer):
    before = viewer.pixels(4)
    row, column = before.shape[0] // 3, before.shape[1] // 4
    viewer.wheel(4, x=1 / 4, y=1 / 3, index=4)
    after = [viewer.pixels(index) for index in range(NUM_SAMPLES)]
    assert viewer.state()["view"]["zoom"] > 4
    assert [int(pixels[row, column, 0]) for pixels in after] == [REDS[f"s{i}"] for i in range(NUM_SAMPLES)]
    assert len({pixels[..., 1:3].tobytes() for pixels in after}) == 1, "all panes show the same part"
    moved = np.subtract(place_of(after[4][row, column]), place_of(before[row, column]))
    assert np.abs(moved).max() <= 1, "what is under the pointer stays there"
    assert np.ptp(after[4][..., 1]) < np.ptp(before[before[..., 3] > 0][:, 1]) / 2


@browser_test
def test_a_scene_that_a_newer_one_overtook_is_left_aside(viewer):
    viewer.evaluate("viewer.setScene({ ...viewer.scene, revision: 7 })")
    viewer.evaluate("viewer.setScene({ ...viewer.scene, revision: 6, pictures: [] })")
    assert viewer.evaluate("viewer.samples().length") == NUM_SAMPLES
    viewer.evaluate("viewer.setScene({ ...viewer.scene, revision: 7, pictures: viewer.scene.pictures.slice(0, 1) })")
    assert viewer.evaluate("viewer.samples().length") == 1
    viewer.evaluate("viewer.setScene(null)")
    viewer.evaluate("viewer.setScene({ ...argument, revision: 6 })", {"width": 8, "height": 8, "pictures": []})
    assert viewer.evaluate("viewer.scene") is None


@browser_test
def test_dragging_moves_all_by_the_same_and_reports_no_place(viewer):
    viewer.wheel(5)
    before = place_of(viewer.pixels(1)[60, 60])
    viewer.drag(-64, -32, index=1)
    zoom = viewer.state()["view"]["zoom"]
    for index in (0, 1, NUM_SAMPLES - 1):
        moved = np.subtract(place_of(viewer.pixels(index)[60, 60]), before)
        assert np.abs(moved - np.array([64, 32]) / zoom).max() <= 1.01
    viewer.traffic.settle()
    assert viewer.textbox("place") == ""


@browser_test
@pytest.mark.parametrize("ratio", [1, 2])
def test_at_100_percent_the_screen_shows_the_pictures_own_pixels(opened, ratio):
    viewer = opened(device_scale_factor=ratio)
    viewer.focus()
    viewer.press("1", "z")
    viewer.page.mouse.move(0, 0)
    assert viewer.state()["view"]["zoom"] == 1
    shot = np.asarray(Image.open(io.BytesIO(viewer.canvas().screenshot())).convert("RGB"))
    origin = viewer.state()["panes"][0]["drawn"]
    shown = shot[origin["y"] : origin["y"] + HEIGHT, origin["x"] : origin["x"] + WIDTH]
    assert np.array_equal(shown, marked(REDS["s0"]))


@browser_test
def test_pixels_are_squares_when_enlarged_and_smooth_before(viewer):
    viewer.focus()
    viewer.press("k")  # black and white pixels in turn: anything grey is interpolated

    def has_grey(zoom: float) -> bool:
        viewer.evaluate("[viewer.zoomTo(1), viewer.zoomTo(argument), viewer.zoomTo(argument)]", zoom)  # past "fit"
        viewer.settle()
        shown = viewer.pixels()
        shown = shown[shown[..., 3] == 255][:, 0]
        return bool(((shown > 20) & (shown < 235)).any())

    assert has_grey(8.5) is False
    assert has_grey(3) is False
    assert has_grey(2.5) is True
    assert has_grey(2) is False
    assert has_grey(1.5) is True
    assert has_grey(1) is False
    viewer.press("s")  # half the size, so enlarged 2.4 times already
    assert has_grey(1.2) is False


@browser_test
def test_a_smaller_picture_fills_the_same_frame_pixel_by_pixel(viewer):
    viewer.focus()
    viewer.press("1", "z", "i")
    origin = viewer.state()["panes"][0]["drawn"]
    shown = viewer.pixels()[origin["y"] : origin["y"] + HEIGHT, origin["x"] : origin["x"] + WIDTH, :3]
    assert np.array_equal(shown, np.kron(marked(200, WIDTH // 4, HEIGHT // 4), np.ones((4, 4, 1), np.uint8)))


@browser_test
def test_keys_flip_between_pictures_at_the_same_place(viewer):
    viewer.wheel(5, x=0.3, y=0.4)
    viewer.focus()
    viewer.press("3")
    where = viewer.pixels()[100, 100, 1:3].tolist()

    def red() -> int:
        pixels = viewer.pixels()
        assert pixels[100, 100, 1:3].tolist() == where
        return int(pixels[100, 100, 0])

    assert viewer.state()["mode"] == "single"
    assert red() == REDS["s2"]
    for keys, shown in ((["7"], "s6"), (["Shift+Digit2"], "s10"), (["g"], "truth"), ([" "], "s10"), ([" "], "truth")):
        viewer.press(*keys)
        assert red() == REDS[shown], keys
    viewer.press("1", "n")
    assert red() == REDS["s1"]
    viewer.press("p", "p")
    assert red() == REDS["truth"], "the step before the first is the last"
    viewer.wait_for_text("pick", "truth")
    viewer.press("Escape")
    assert viewer.state()["mode"] == "grid"
    assert len(viewer.state()["panes"]) == NUM_SAMPLES + 1, "and the map"


@browser_test
def test_keys_act_only_while_the_focus_is_in_the_viewer(viewer):
    before = viewer.state()
    viewer.page.mouse.move(*viewer.centre())
    viewer.press("4", "w", "f")  # the focus is on the button that brought the pictures, outside the viewer
    viewer.page.evaluate("document.activeElement.blur()")
    viewer.press("6")
    viewer.page.get_by_label("note", exact=True).evaluate("node => node.focus({preventScroll: true})")
    viewer.press("7")
    assert viewer.state() == before
    viewer.page.get_by_role("button", name="Loupe").evaluate("node => node.focus({preventScroll: true})")
    viewer.press("4")
    assert viewer.state()["current"] == "s3", "on a button of the viewer"


@browser_test
def test_the_wipe_shows_two_chosen_pictures_at_a_movable_border(viewer):
    viewer.focus()
    viewer.press("w")
    viewer.page.get_by_label("Picture on the left").select_option("lr")
    viewer.page.get_by_label("Picture on the right").select_option("truth")
    viewer.settle()

    def border() -> float:
        """Where the left picture ends, as a fraction of the canvas; checks that both sides show what they should."""
        row = viewer.pixels()[200]
        row = row[:, 0][row[:, 3] == 255].tolist()
        left, right = REDS[viewer.state()["compare"][0]], REDS[viewer.state()["compare"][1]]
        assert row == sorted(row, key=[left, right].index)
        first = np.flatnonzero(viewer.pixels()[200][:, 3])[0]
        return (first + row.count(left)) / viewer.pixels().shape[1]

    assert border() == pytest.approx(0.5, abs=0.01)
    start = viewer.at(0.5, 0.3)
    viewer.page.mouse.move(*start)
    viewer.page.mouse.down()
    viewer.page.mouse.move(*viewer.at(0.6, 0.4))
    viewer.page.mouse.move(*viewer.at(0.7, 0.3))
    viewer.page.mouse.up()
    viewer.settle()
    assert border() == pytest.approx(0.7, abs=0.01)
    viewer.page.get_by_role("slider", name="Border").focus()
    viewer.press("ArrowLeft", "ArrowLeft")
    assert border() == pytest.approx(0.66, abs=0.01)
    viewer.press("x")
    assert viewer.state()["compare"] == ["truth", "lr"]
    viewer.press("5")
    assert viewer.state()["compare"] == ["truth", "s4"]
    assert border() == pytest.approx(0.66, abs=0.01)


@browser_test
def test_the_loupe_shows_the_same_place_of_every_picture(viewer):
    viewer.focus()
    viewer.page.mouse.move(*viewer.centre(5))
    viewer.settle()
    plain = [viewer.pixels(index) for index in range(NUM_SAMPLES)]
    viewer.press("l")
    row, column = plain[0].shape[0] // 2, plain[0].shape[1] // 2
    for index in range(NUM_SAMPLES):
        lens = viewer.pixels(index)[row - 20 : row + 21, column - 20 : column + 21]
        below = plain[index][row - 20 : row + 21, column - 20 : column + 21]
        assert np.abs(np.subtract(place_of(lens[20, 20]), place_of(below[20, 20]))).max() <= 1
        assert np.ptp(lens[..., 1]) < np.ptp(below[..., 1]), "magnified"
        assert (lens[..., 0] == REDS[f"s{index}"]).all()
    viewer.press("1")
    viewer.page.mouse.move(*viewer.at(0.4, 0.5))
    viewer.settle()
    assert lens_reds(viewer) == set(REDS.values()) | {255}  # the checker has black and white
    viewer.press("w")
    viewer.page.mouse.move(*viewer.at(0.4, 0.5))
    viewer.settle()
    assert lens_reds(viewer) == {REDS[id_] for id_ in viewer.state()["compare"]}


def lens_reds(viewer: Driver) -> set[int]:
    """Which pictures the floating lens shows, all at one place."""
    assert viewer.page.locator("#viewer .lv-lens").is_visible()
    lens = viewer.read("viewer.lens.canvas").reshape(-1, 4)
    reds = {red for red in np.unique(lens[:, 0]).tolist() if (lens[:, 0] == red).sum() > 1000}
    full_size = [red for red in reds if red in REDS.values() and red not in (REDS["lr"], REDS["checker"])]
    spans = {red: lens[lens[:, 0] == red] for red in full_size}
    places = [np.median(pixels[:, 1:3], axis=0) for pixels in spans.values() if (pixels[:, 1] > 40).mean() > 0.5]
    assert np.ptp(np.array(places), axis=0).max() <= 2
    return reds & {*REDS.values(), 255}


@browser_test
def test_clicking_a_place_shows_its_crops_and_tells_python(viewer):
    viewer.wheel(4)
    x, y = viewer.at(0.62, 0.37, 3)
    pixels = viewer.pixels(3)
    expected = place_of(pixels[int(0.37 * pixels.shape[0]), int(0.62 * pixels.shape[1])])
    viewer.page.mouse.click(x, y)
    viewer.page.get_by_role("button", name="8×").click()
    viewer.settle()
    place = viewer.state()["place"]
    assert np.abs(np.subtract((place["x"], place["y"]), expected)).max() <= 1
    for name in ("s0", "s10", "truth"):
        crop = viewer.read("viewer.crops.get(argument).canvas", name)
        middle = crop[crop.shape[0] // 2, crop.shape[1] // 2]
        assert middle[:3].tolist() == [REDS[name], place["x"], place["y"]]
        assert crop[crop.shape[0] // 2, crop.shape[1] // 2 + 8][1] == place["x"] + 1, "8 times enlarged"
    assert viewer.page.locator(".lv-crop-title").text_content() == (f"x {place['x']}, y {place['y']}")
    assert viewer.wait_for_text("place", r"\d.*") == f"{place['x']} {place['y']} s3"
    viewer.page.get_by_role("button", name="Ground truth").last.click()
    viewer.settle()
    pixels = viewer.pixels()
    middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2 + 1].tolist()
    assert viewer.state()["current"] == "truth"
    assert middle[0] == REDS["truth"]


@browser_test
def test_the_read_out_names_place_colour_and_value(viewer):
    viewer.show("values")
    viewer.wheel(6)
    viewer.page.mouse.move(*viewer.at(0.5, 0.5, 1))
    viewer.settle()
    text = viewer.page.locator(".lv-position").text_content()
    x, y, red, green, blue, value = re.fullmatch(
        r"x (\d+), y (\d+) · RGB (\d+) (\d+) (\d+) · σ ([\d.]+)", text
    ).groups()
    assert [int(red), int(green), int(blue)] == [REDS["s1"], int(x), int(y)]
    assert float(value) == pytest.approx(int(x) / 10)


@browser_test
def test_double_click_fits(viewer):
    viewer.wheel(4, x=0.2, y=0.2)
    assert viewer.state()["view"]["fitted"] is False
    viewer.page.mouse.dblclick(*viewer.centre(2))
    viewer.settle()
    assert viewer.state()["view"]["fitted"] is True
    assert np.ptp(viewer.pixels(0)[..., 1]) >= WIDTH - 2


@browser_test
def test_the_overlay_lies_over_all_pictures_with_its_opacity(viewer):
    viewer.focus()
    viewer.press("o")

    def shown(opacity: int) -> list[list[int]]:
        viewer.page.get_by_label("Opacity of the overlay").fill(str(opacity))
        viewer.settle()
        return [viewer.pixels(index)[100, 100, :3].tolist() for index in (0, NUM_SAMPLES - 1)]

    pictures = shown(0)
    assert [picture[0] for picture in pictures] == [REDS["s0"], REDS["s10"]]
    assert shown(100) == [list(OVERLAY_COLOR)] * 2
    half = np.add(pictures, OVERLAY_COLOR) / 2
    assert np.abs(np.subtract(shown(50), half)).max() <= 2
    legend = viewer.page.locator(".lv-legend").inner_text()
    assert legend.split("\n") == ["Diversity (levels)", "alike 0", "25.5 differ"]
    viewer.press("o")
    assert viewer.pixels(0)[100, 100, 0] == REDS["s0"]
    viewer.press("v")
    assert viewer.page.locator(".lv-legend").is_hidden(), "no map on the screen, no legend"
    viewer.press("o")
    assert viewer.page.locator(".lv-legend").is_visible()


@browser_test
def test_new_pictures_keep_the_view_without_a_flash(viewer):
    viewer.wheel(5, x=0.3, y=0.3)
    viewer.focus()
    viewer.press("4")
    before = viewer.state()
    where = viewer.pixels()[100, 100, 1:3].tolist()
    viewer.evaluate(
        """(() => { window.reds = new Set(); const look = () => {
             const [red, , , alpha] = viewer.panes[0].context.getImageData(100, 100, 1, 1).data;
             window.reds.add(`${red} ${alpha}`); window.looking = requestAnimationFrame(look); }; look(); })()"""
    )
    viewer.show("other")
    after = viewer.state()
    for name in ("mode", "current", "view", "place", "compare"):
        assert after[name] == before[name], name
    assert viewer.pixels()[100, 100, :3].tolist() == [REDS["s3"] + OTHER_RED, *where]
    seen = viewer.page.evaluate("() => { cancelAnimationFrame(window.looking); return [...window.reds]; }")
    assert set(seen) == {f"{REDS['s3']} 255", f"{REDS['s3'] + OTHER_RED} 255"}, "the old one, then the new one"


@browser_test
def test_pictures_arrive_one_by_one_in_places_kept_for_them(viewer, scenes):
    def boxes() -> list[dict]:
        return [viewer.canvas(index).bounding_box() for index in range(NUM_SAMPLES)]

    before = boxes()
    captions = viewer.page.locator("#viewer .lv-caption:visible")
    viewer.page.get_by_role("button", name="stream", exact=True).click()
    scenes.next_one.release()
    viewer.page.evaluate("scrollTo(0, 0)")
    viewer.wait_until("[...viewer.pictures.values()].filter(p => p.state === 'waiting').length === 11")
    viewer.settle()
    assert boxes() == before
    assert captions.nth(1).inner_text().split() == ["Sample", "2", "waiting"]
    faded = viewer.pixels(1)[100, 100]
    assert 0 < faded[3] < 255, "the old picture, dimmed"
    scenes.next_one.release()
    viewer.wait_until("viewer.pictures.get('s0').state === 'ready' && viewer.pictures.get('s1').state === 'waiting'")
    scenes.next_one.release()
    viewer.wait_until("[...viewer.pictures.values()].every(p => p.state === 'ready')")
    viewer.settle()
    assert boxes() == before
    assert viewer.pixels(1)[100, 100, 0] == REDS["s1"] + OTHER_RED
    assert captions.nth(1).inner_text().split() == ["Sample", "2"]


@browser_test
def test_rows_appear_as_they_arrive_over_what_stands_in_for_the_rest(viewer):
    def press(name: str, condition: str) -> None:
        viewer.page.get_by_role("button", name=name, exact=True).click()
        viewer.wait_until(condition)
        viewer.page.evaluate("scrollTo(0, 0)")
        viewer.settle()

    def column(index: int = 0) -> np.ndarray:
        """One column of a pane, from the picture's first row to its last."""
        pixels = viewer.pixels(index)
        origin = viewer.state()["panes"][index]["drawn"]
        zoom = origin["zoom"]
        middle = pixels[:, pixels.shape[1] // 2]
        return middle[origin["y"] : origin["y"] + int(HEIGHT * zoom)]

    captions = viewer.page.locator("#viewer .lv-caption:visible")
    hint = viewer.page.locator("#viewer .lv-hint")
    press("start", "viewer.scene.note && viewer.pictures.get('lr').state === 'ready'")
    assert hint.inner_text() == "Press a button"
    assert captions.nth(1).inner_text().split() == ["Sample", "2"], "nobody waits yet"
    dimmed = column()
    assert (dimmed[:, 0] > 150).all(), "more of the input's red than of the grey below it"
    assert (dimmed[:, 3] < 160).all(), "the input, dimmed"

    press("one band", "[...viewer.pictures.get('s0').parts.values()].some(part => part.levels.length)")
    assert hint.is_hidden()
    rows = column()
    border = len(rows) * 20 // HEIGHT
    assert (rows[: border - 1, 0] == REDS["s0"]).all()
    assert (rows[: border - 1, 3] == 255).all()
    np.testing.assert_array_equal(rows[border + 1 :], dimmed[border + 1 :])
    assert captions.nth(0).inner_text().split() == ["Sample", "1", "25", "%"]
    assert captions.nth(1).inner_text().split() == ["Sample", "2", "waiting"]
    first = viewer.state()["pictures"][0]["parts"]

    press("two bands", "[...viewer.pictures.get('s0').parts.values()].filter(part => part.levels.length).length === 2")
    assert viewer.state()["pictures"][0]["parts"] == [*first, [20, 10]]
    rows = column()
    border = len(rows) * 30 // HEIGHT
    assert (rows[: border - 1, 0] == REDS["s0"]).all(), "no seam"
    assert (rows[: border - 1, 3] == 255).all(), "no seam"

    press("whole", "viewer.pictures.get('s0').state === 'ready'")
    assert (column()[:, 3] == 255).all()
    assert viewer.state()["pictures"][0]["parts"] == []
    assert captions.nth(0).inner_text().split() == ["Sample", "1"]


@browser_test
def test_crops_show_where_samples_differ_most_until_a_place_is_chosen(viewer):
    def middle() -> list[int]:
        crop = viewer.read("viewer.crops.get('truth').canvas")
        return crop[crop.shape[0] // 2, crop.shape[1] // 2, :3].tolist()

    def press(name: str, condition: str) -> None:
        viewer.page.get_by_role("button", name=name, exact=True).click()
        viewer.wait_until(f"({condition}) && viewer.pictures.get('truth').state === 'ready'")

    viewer.show("values")
    title = viewer.page.locator(".lv-crop-title")
    hint = viewer.page.locator(".lv-crop-hint")
    height = viewer.page.locator(".lv-crops").bounding_box()["height"]
    red, x, _ = middle()
    assert red == REDS["truth"]
    assert x > WIDTH - 30, "the map grows to the right"
    assert title.inner_text().endswith("· where samples differ most; click to choose another position")
    assert hint.is_hidden()
    press("start", "viewer.scene.note")
    viewer.settle()
    assert viewer.read("viewer.crops.get('truth').canvas").max() == 0, "no map, no place, no squares"
    assert hint.inner_text() == "Click a picture to compare that position here, close up."
    assert title.inner_text() == ""
    assert viewer.page.locator(".lv-crops").bounding_box()["height"] == height, "nothing jumps"
    assert not viewer.page.get_by_role("group", name="Close-ups").get_by_role("button").count(), "nothing to tab to"
    press("one band", "viewer.scene.suggested_place")
    viewer.page.evaluate("scrollTo(0, 0)")
    viewer.settle()
    assert middle() == [REDS["truth"], 30, 10]
    viewer.page.mouse.click(*viewer.centre())
    viewer.settle()
    place = viewer.state()["place"]
    assert middle() == [REDS["truth"], place["x"], place["y"]]
    assert abs(place["x"] - WIDTH / 2) <= 1
    assert title.inner_text() == f"x {place['x']}, y {place['y']}"


@browser_test
def test_another_subject_starts_afresh(viewer):
    viewer.wheel(5)
    viewer.page.mouse.click(*viewer.centre())
    viewer.show("subject")
    assert viewer.state()["view"]["fitted"] is True
    assert viewer.state()["place"] is None


@browser_test
def test_settings_from_python_apply_once(viewer):
    viewer.show("settings")
    state = viewer.state()
    assert (state["mode"], state["compare"], state["place"]) == ("wipe", ["truth", "s4"], {"x": 7, "y": 9})
    viewer.focus()
    viewer.press("a")
    viewer.show("settings again")
    assert viewer.state()["mode"] == "grid", "a repeated setting does not undo the visitor's choice"


@browser_test
def test_choices_survive_fewer_pictures_and_none(viewer):
    viewer.focus()
    viewer.press("w", "Shift+Digit1", "9")
    viewer.show("fewer")
    state = viewer.state()
    assert set(state["compare"]) <= {"s0", "s1"}
    viewer.focus()
    viewer.press("a")
    assert [pane["ids"] for pane in viewer.state()["panes"]] == [["s0"], ["s1"]]
    viewer.page.get_by_role("button", name="nothing", exact=True).click()
    viewer.wait_until("viewer.panes.length === 0")
    assert viewer.page.get_by_text("Samples will appear here.").is_visible()
    viewer.show("first")
    assert len(viewer.state()["panes"]) == NUM_SAMPLES + 1


@browser_test
def test_hostile_events_reach_python_only_as_refusals(viewer):
    for data, reason in (
        ({"x": -1, "y": 0, "id": "s0"}, "x must be in"),
        ({"x": 3, "y": "<script>", "id": "s0"}, "y must be a whole number"),
        ({"x": 3, "y": 4, "id": "../../etc/passwd", "subject": "one"}, "not in the scene"),
        ({"x": 3, "y": 4, "id": "s0", "subject": "two"}, "no longer shown"),
        ({}, "x must be a whole number"),
    ):
        viewer.evaluate("viewer.trigger('place', argument)", data)
        viewer.wait_for_text("place", f"refused: .*{reason}.*")
    viewer.evaluate("viewer.trigger('place', {x: 3, y: 4, id: 's0', subject: 'one'})")
    viewer.wait_for_text("place", "3 4 s0")


@browser_test
def test_labels_are_text(viewer):
    viewer.focus()
    viewer.press("k")
    assert viewer.page.locator("#viewer .lv-caption .lv-label").first.text_content() == HOSTILE_LABEL
    assert viewer.page.locator("#viewer img").count() == 0
    assert viewer.page.title() != "owned"


@browser_test
def test_a_picture_that_cannot_be_loaded_says_so_and_is_tried_again(viewer):
    viewer.page.route("**/s5_5.png", lambda route: route.abort())
    viewer.page.get_by_role("button", name="other", exact=True).click()
    viewer.wait_until("viewer.pictures.get('s5').state === 'failed' && viewer.pictures.get('s6').state === 'ready'")
    assert viewer.page.get_by_text("cannot be loaded").is_visible()
    viewer.page.unroute("**/s5_5.png")
    viewer.show("settings again")
    viewer.focus()
    viewer.press("a")
    assert viewer.page.get_by_text("cannot be loaded").is_hidden()
    assert viewer.pixels(5)[100, 100, 0] == REDS["s5"] + OTHER_RED


@browser_test
def test_a_picture_whose_file_is_gone_is_left_out_with_a_word(viewer):
    viewer.evaluate(
        "viewer.setScene({...viewer.scene, pictures: viewer.scene.pictures.map("
        "p => p.id === 's5' ? {...p, image: null, problem: 'the file no longer exists'} : p)})"
    )
    assert viewer.page.get_by_text("the file no longer exists").is_visible()
    assert viewer.state()["pictures"][5]["state"] == "failed"
    assert viewer.evaluate("viewer.pictures.get('s5').levels.length") == 0, "the former one would be taken for it"
    viewer.show("other")
    assert viewer.page.get_by_text("the file no longer exists").is_hidden()


@browser_test
def test_the_page_can_ask_for_a_picture(viewer):
    ask = (
        "viewer.root.dispatchEvent(new CustomEvent('lv-show', { detail: argument, cancelable: true }))"
        " ? 'not shown' : viewer.current"
    )
    assert viewer.evaluate(ask, "s3") == "s3"
    assert viewer.state()["mode"] == "single"
    assert viewer.evaluate(ask, "nothing") == "not shown"
    assert viewer.evaluate("viewer.current") == "s3"


@browser_test
def test_nothing_is_said_of_pictures_that_are_gone(viewer):
    viewer.page.mouse.click(*viewer.centre())
    for part in (".lv-position", ".lv-crop-title"):
        viewer.wait_until("document.querySelector(argument).textContent", part)
    viewer.page.get_by_role("button", name="nothing", exact=True).click()
    viewer.wait_until("!viewer.pictures.size")
    viewer.settle()
    for part in (".lv-position", ".lv-crop-title"):
        assert viewer.page.locator(part).text_content() == ""
    for part in (".lv-toolbar", ".lv-crops"):
        assert viewer.page.locator(part).is_hidden()


@browser_test
def test_the_toolbar_fits_beside_the_controls_of_a_laptop(opened):
    viewer = opened()
    viewer.page.add_style_tag(content="#viewer .lv { width: 892px }")  # as it is on the page in a window of 1280 pixels
    viewer.settle()
    assert viewer.evaluate("viewer.root.clientWidth") == 892
    tops = viewer.evaluate(
        "[...viewer.toolbar.node.querySelectorAll('.lv-button')].filter(b => b.offsetParent).map(b => b.offsetTop)"
    )
    assert len(set(tops)) == 1


@browser_test
def test_files_are_served_byte_for_byte_from_where_they_lie(viewer, served, scenes):
    url = viewer.evaluate("viewer.pictures.get('s0').loadedUrl")
    assert url.startswith(served[0])
    response = viewer.page.request.get(url)
    assert response.body() == (scenes.folder / "s0_0.png").read_bytes()
    assert response.headers["content-type"] == "image/png"
    assert not served[1].temp_files, "copies of pictures"


@browser_test
def test_everything_can_be_done_by_keyboard(viewer):
    page = viewer.page
    viewer.focus()
    viewer.press("+", "+", "+")
    zoomed = viewer.state()["view"]
    assert zoomed["fitted"] is False
    viewer.press("ArrowRight", "ArrowDown")
    moved = viewer.state()["view"]
    assert moved["x"] > zoomed["x"]
    assert moved["y"] > zoomed["y"]
    viewer.press("Shift+ArrowLeft")
    assert viewer.state()["view"]["x"] == pytest.approx(moved["x"] - 1)
    viewer.press("Enter")
    place = viewer.state()["place"]
    viewer.wait_for_text("place", f"{place['x']} {place['y']} s0")
    viewer.press("?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Close"
    viewer.press("Escape")
    assert page.get_by_role("dialog", name="Keys").is_hidden()
    assert page.evaluate("document.activeElement.className") == "lv-stage", "back to where the key was pressed"
    page.get_by_role("button", name="Help").click()
    viewer.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Help"
    viewer.press("0")
    assert viewer.state()["view"]["fitted"] is True


@browser_test
def test_controls_have_names_and_the_focus_is_visible(viewer):
    nameless = viewer.page.evaluate(
        """() => [...document.querySelectorAll('#viewer button, #viewer input, #viewer select, #viewer [role=slider]')]
             .filter(node => !node.hidden && !(node.getAttribute('aria-label') || node.textContent).trim()).length"""
    )
    assert nameless == 0
    assert viewer.canvas(2).get_attribute("aria-label") == "Sample 3, flagged"
    grid = viewer.page.get_by_role("button", name="Grid", exact=True)
    viewer.page.keyboard.press("Tab")
    grid.focus()
    assert grid.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"


def contrast(driver: Driver, selector: str) -> float:
    """WCAG contrast of an element's text against the page."""
    text, page = driver.page.evaluate(
        """selector => {
             const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
             const fill = color => { context.fillStyle = color; context.fillRect(0, 0, 1, 1); };
             const paint = colors => { colors.forEach(fill);
               return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3); };
             const back = node => getComputedStyle(node).backgroundColor;
             let node = document.querySelector(selector);
             while (back(node) === 'rgba(0, 0, 0, 0)') node = node.parentElement;
             const page = back(node);
             return [paint([page, getComputedStyle(document.querySelector(selector)).color]), paint([page])]; }""",
        selector,
    )

    def luminance(color: list[int]) -> float:
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    bright, dark = sorted([luminance(text), luminance(page)], reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@browser_test
def test_text_is_legible_in_light_and_dark(opened):
    pages = {theme: opened(theme=theme) for theme in ("light", "dark")}
    colors = set()
    for theme, viewer in pages.items():
        for selector in (".lv-caption", ".lv-position", ".lv-legend", ".lv-crop-label", ".lv-zoom"):
            assert contrast(viewer, f"#viewer {selector}") >= 4.5, (theme, selector)
        colors.add(viewer.page.locator(".lv-caption").first.evaluate("node => getComputedStyle(node).color"))
    assert len(colors) == 2, "the theme is followed"


@browser_test
def test_touch_pinches_drags_and_taps(opened):
    viewer = opened(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
    viewer.canvas().scroll_into_view_if_needed()
    client = viewer.page.context.new_cdp_session(viewer.page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(points)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    x, y = viewer.centre()
    touch("touchStart", (x - 10, y), (x + 10, y))
    for spread in (20, 30, 40):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    viewer.settle()
    view = viewer.state()["view"]
    fit = viewer.evaluate("viewer.fitZoom()")
    assert view["zoom"] == pytest.approx(4 * fit, rel=0.15)
    touch("touchStart", (x, y))
    for step in (10, 20, 30):
        touch("touchMove", (x - step, y))
    touch("touchEnd")
    viewer.settle()
    assert viewer.state()["view"]["x"] > view["x"] + 3
    assert viewer.state()["place"] is None
    touch("touchStart", (x, y))
    touch("touchEnd")
    viewer.settle()
    place = viewer.state()["place"]
    viewer.wait_for_text("place", f"{place['x']} {place['y']} s0")
    overflow = viewer.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "nothing is wider than the phone"

"""The linked viewer: its checks in Python, and its behaviour in a real browser.

The pictures are made so that a pixel tells where it comes from: red names the picture, green is x and blue is y. What a
canvas shows can then be read off it and compared with what it should show, without trusting the viewer's own account.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from app.viewer import LinkedViewer, Overlay, Part, Picture, Scene, parse_picture_id, parse_place
from app.viewer.component import VIEWER_KEYS
from srflow.contract import ImageError, InputError

VIEWER_FOLDER = Path(LinkedViewer.__module__.replace(".", "/")).parent
SCRIPT = (Path(__file__).resolve().parents[1] / VIEWER_FOLDER / "viewer.js").read_text(encoding="utf-8")
STYLE = (Path(__file__).resolve().parents[1] / VIEWER_FOLDER / "viewer.css").read_text(encoding="utf-8")

WIDTH, HEIGHT = 120, 80
NUM_SAMPLES = 11
REDS = {f"s{i}": 15 + 10 * i for i in range(NUM_SAMPLES)} | {"lr": 200, "checker": 0, "small": 0, "truth": 220}
OTHER_RED = 5  # what the second temperature adds to a sample's red
OVERLAY_COLOR = (255, 0, 255)
HOSTILE_LABEL = "<img src=x onerror=\"document.title='owned'\">"


# ---------------------------------------------------------------- without a browser


@pytest.mark.parametrize("value", [{"x": 0, "y": 0}, {"x": 119, "y": 79, "id": "s1"}])
def test_places_inside_the_frame_are_read(value):
    assert parse_place(value, WIDTH, HEIGHT) == (value["x"], value["y"])


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "3,4",
        {},
        {"x": 1},
        {"x": -1, "y": 0},
        {"x": WIDTH, "y": 0},
        {"x": 0, "y": HEIGHT},
        {"x": 1.0, "y": 2},
        {"x": True, "y": 2},
        {"x": "1", "y": 2},
        {"x": float("nan"), "y": 2},
        {"x": 10**5000, "y": 2},
        {"x": {"x": 1}, "y": 2},
    ],
    ids=lambda value: repr(type(value)) if isinstance(value, dict) and value.get("x") == 10**5000 else repr(value),
)
def test_hostile_places_are_refused(value):
    with pytest.raises(InputError) as error:
        parse_place(value, WIDTH, HEIGHT)
    assert len(str(error.value)) < 200


def test_picture_ids_are_read_only_if_known():
    assert parse_picture_id({"id": "s1"}, {"s0", "s1"}) == "s1"
    for value in (None, {}, {"id": "s2"}, {"id": ["s1"]}, {"id": 1}, "s1", {"id": "s" * 10_000}):
        with pytest.raises(InputError) as error:
            parse_picture_id(value, {"s0", "s1"})
        assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    "make",
    [
        lambda: Picture("", "Sample 1"),
        lambda: Picture("s1", ""),
        lambda: Picture("s1", "Sample 1", kind="other"),
        lambda: Picture("r", "Reference", kind="reference", key="w"),
        lambda: Picture("r", "Reference", kind="reference", key="B"),
        lambda: Scene(0, 4),
        lambda: Scene(4, 4, [Picture("a", "A"), Picture("a", "B")]),
        lambda: Scene(4, 4, [Picture("a", "A")], selected="b"),
        lambda: Scene(4, 4, [Picture("a", "A")], compare=("a", "b")),
        lambda: Scene(4, 4, mode="other"),
        lambda: Scene(4, 4, place=(4, 0)),
        lambda: Scene(4, 4, suggested_place=(0, -1)),
        lambda: Scene(4, 4, [Picture("a", "A")], placeholder="b"),
        lambda: Scene(4, 4, [Picture("a", "A", parts=[Part(2, 3, "rows.png")])]),
        lambda: Picture("a", "A", "whole.png", parts=[Part(0, 1, "rows.png")]),
        lambda: Part(-1, 2, "rows.png"),
        lambda: Part(0, 0, "rows.png"),
        lambda: Overlay("map.png", "Diversity", 2.0, 1.0, ["#000000", "#ffffff"]),
        lambda: Overlay("map.png", "Diversity", float("nan"), 1.0, ["#000000", "#ffffff"]),
        lambda: Overlay("map.png", "Diversity", 0.0, 1.0, ["#000000"]),
        lambda: Overlay("map.png", "Diversity", 0.0, 1.0, ["#000000", "url(https://example.org)"]),
    ],
)
def test_scenes_that_make_no_sense_are_refused(make):
    with pytest.raises(InputError):
        make()


def test_only_png_files_get_in(tmp_path):
    viewer = LinkedViewer(render=False)
    Image.new("RGB", (8, 8)).save(tmp_path / "lossy.png", format="JPEG")  # named as one, but none
    (tmp_path / "short.png").write_bytes(b"\x89PNG")
    for name in ("lossy.png", "short.png", "missing.png"):
        with pytest.raises(ImageError, match=name):
            viewer.postprocess(Scene(8, 8, [Picture("a", "A", tmp_path / name)]))
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    data = viewer.postprocess(Scene(8, 8, [Picture("a", "A", tmp_path / "good.png"), Picture("b", "B")]))
    assert [picture.image and Path(picture.image.path).name for picture in data.pictures] == ["good.png", None]


def test_nothing_from_the_browser_comes_in_as_a_value():
    viewer = LinkedViewer(render=False)
    assert viewer.preprocess({"pictures": [{"image": {"path": "/etc/passwd"}}]}) is None
    assert viewer.postprocess(None) is None


def test_reserved_keys_are_those_of_the_script():
    actions = SCRIPT[SCRIPT.index("keyActions() {") : SCRIPT.rindex("panByKey(")]
    assert sorted(re.findall(r"^ +([a-z]): ", actions, flags=re.MULTILINE)) == sorted(VIEWER_KEYS)


def test_files_are_safe_in_gradio_templates_and_load_nothing_from_elsewhere():
    # Gradio reads the style sheet as a Handlebars template and as a JavaScript template string.
    for special in ("`", "${", "\\", "{{", "@import", "url("):
        assert special not in STYLE
    for text in (SCRIPT.replace("http://www.w3.org/2000/svg", ""), STYLE):
        assert "//" not in re.sub(r"^.*?(?://|/\*).*$|^ \*.*$", "", text, flags=re.MULTILINE)
    for way_in in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval("):
        assert way_in not in SCRIPT


# ---------------------------------------------------------------- a page with the viewer


def marked(red: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture whose pixels say which picture they are of (red) and where they lie (green x, blue y)."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = red
    picture[..., 1] = np.arange(width)
    picture[..., 2] = np.arange(height)[:, None]
    return picture


class Scenes:
    """Writes the test's PNG files and names them in scenes."""

    def __init__(self, folder: Path):
        self.folder = folder
        checker = np.indices((HEIGHT, WIDTH)).sum(0) % 2 * 255
        checker = np.repeat(checker[..., None], 3, axis=2).astype(np.uint8)
        self.paths = {
            "lr": self.save("lr", marked(200, WIDTH // 4, HEIGHT // 4)),
            "checker": self.save("checker", checker),
            "small": self.save("small", checker[: HEIGHT // 2, : WIDTH // 2]),
            "truth": self.save("truth", marked(220)),
            "overlay": self.save("overlay", np.full((HEIGHT, WIDTH, 3), OVERLAY_COLOR, np.uint8)),
            "values": self.save("values", np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))),
        }

    def save(self, name: str, array: np.ndarray) -> Path:
        path = self.folder / f"{name}.png"
        Image.fromarray(array).save(path)
        return path

    def build(self, *, add: int = 0, ready: int = NUM_SAMPLES, subject: str = "one", **settings) -> Scene:
        samples = []
        for i in range(NUM_SAMPLES):
            path = self.save(f"s{i}_{add}", marked(REDS[f"s{i}"] + add)) if i < ready else None
            samples.append(Picture(f"s{i}", f"Sample {i + 1}", path, badge="flagged" if i == 2 else ""))
        references = [
            Picture("lr", "Input", self.paths["lr"], "reference", key="i"),
            Picture("checker", HOSTILE_LABEL, self.paths["checker"], "reference", key="c"),
            Picture("small", "Small", self.paths["small"], "reference", key="s"),
            Picture("truth", "Ground truth", self.paths["truth"], "reference", key="g"),
        ]
        overlay = Overlay(
            self.paths["overlay"], "Diversity", 0.0, 25.5, ["#000000", "#ff00ff"], "levels", self.paths["values"]
        )
        return Scene(WIDTH, HEIGHT, samples + references, overlay, subject=subject, **settings)


def build_page(scenes: Scenes) -> tuple[gr.Blocks, LinkedViewer]:
    def streaming() -> Iterator[Scene]:
        for ready in (0, 1, NUM_SAMPLES):
            yield scenes.build(add=OTHER_RED, ready=ready)
            time.sleep(0.6)

    def place(event: gr.EventData) -> str:
        try:
            x, y = parse_place(event._data, WIDTH, HEIGHT)
            return f"{x} {y} {parse_picture_id(event._data, REDS)}"
        except InputError as error:
            return f"refused: {error}"

    def pick(event: gr.EventData) -> str:
        return parse_picture_id(event._data, REDS)

    def start() -> Scene:
        pictures = scenes.build(ready=0).pictures
        return Scene(WIDTH, HEIGHT, pictures, subject="rows", placeholder="lr", note="Press a button")

    def parts(*tops: int) -> Scene:
        """Two bands of 20 and 10 rows, of the first sample only."""
        first, *others = scenes.build(ready=0).pictures
        rows = {0: 20, 20: 10}
        files = [scenes.save(f"rows{top}", marked(REDS["s0"])[top : top + rows[top]]) for top in tops]
        bands = [Part(top, rows[top], file) for top, file in zip(tops, files, strict=True)]
        pictures = [Picture("s0", first.label, parts=bands), *others]
        return Scene(WIDTH, HEIGHT, pictures, subject="rows", placeholder="lr", suggested_place=(30, 10))

    def whole() -> Scene:
        return Scene(WIDTH, HEIGHT, scenes.build(ready=1).pictures, subject="rows", placeholder="lr")

    settings = {"mode": "wipe", "compare": ("truth", "s4"), "place": (7, 9)}
    outcomes = {
        "first": lambda: scenes.build(),
        "other": lambda: scenes.build(add=OTHER_RED),
        "stream": streaming,
        "fewer": lambda: Scene(WIDTH, HEIGHT, scenes.build().pictures[:2], subject="one"),
        "subject": lambda: scenes.build(subject="two"),
        "settings": lambda: scenes.build(**settings),
        "settings again": lambda: scenes.build(add=OTHER_RED, **settings),
        "nothing": lambda: None,
        "start": start,
        "one band": lambda: parts(0),
        "two bands": lambda: parts(0, 20),
        "whole": whole,
    }
    with gr.Blocks() as page:
        viewer = LinkedViewer(elem_id="viewer")
        with gr.Row():
            for name, outcome in outcomes.items():
                gr.Button(name, min_width=60).click(outcome, outputs=viewer, show_progress="hidden")
        gr.Textbox(label="note")
        viewer.place(place, outputs=gr.Textbox(label="place"), show_progress="hidden")
        viewer.pick(pick, outputs=gr.Textbox(label="pick"), show_progress="hidden")
    return page, viewer


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
    """A Chromium: one on the path, or Playwright's own. A machine without one must not pass these tests unseen."""
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


class Driver:
    """What a visitor does and sees, for one open page."""

    def __init__(self, page: Page):
        self.page = page

    def evaluate(self, expression: str, argument=None):
        return self.page.evaluate(
            f"argument => {{ const viewer = document.querySelector('#viewer .lv').parentElement.linkedViewer;"
            f" return {expression}; }}",
            argument,
        )

    def wait_until(self, expression: str, argument=None) -> None:
        self.page.wait_for_function(
            f"argument => {{ const viewer = document.querySelector('#viewer .lv')?.parentElement.linkedViewer;"
            f" return viewer && ({expression}); }}",
            arg=argument,
            timeout=20_000,
        )

    def show(self, name: str) -> None:
        """Press a button of the page and wait until all that it brings is drawn."""
        self.evaluate("(window.former = viewer.scene)")
        self.page.get_by_role("button", name=name, exact=True).click()
        self.wait_until("viewer.scene !== window.former")
        red = {"other": OTHER_RED, "settings again": OTHER_RED}.get(name, 0)
        self.wait_until(
            "[...viewer.pictures.values()].every(p => p.state === 'ready')"
            " && (!viewer.overlay || (viewer.overlay.levels.length && viewer.overlay.grey))"
            " && viewer.pictures.get('s0').url.includes(`s0_${argument}.png`)",
            red,
        )
        self.page.evaluate("scrollTo(0, 0)")  # the buttons are below the viewer
        self.settle()

    def settle(self) -> None:
        """Let pending frames be drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def state(self) -> dict:
        return self.evaluate("viewer.describe()")

    def canvas(self, index: int = 0):
        return self.page.locator("#viewer .lv-canvas").nth(index)

    def centre(self, index: int = 0) -> tuple[float, float]:
        return self.at(0.5, 0.5, index)

    def at(self, x: float, y: float, index: int = 0) -> tuple[float, float]:
        """A position on the page, from fractions of a pane's canvas."""
        box = self.canvas(index).bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def focus(self) -> None:
        self.page.locator("#viewer .lv-stage").focus()

    def pixels(self, index: int = 0) -> np.ndarray:
        """All of a pane's canvas, (height, width, 4)."""
        return self.read("viewer.panes[argument].canvas", index)

    def read(self, canvas: str, argument=None) -> np.ndarray:
        url = self.evaluate(f"({canvas}).toDataURL('image/png')", argument)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))

    def wheel(self, notches: int, x: float = 0.5, y: float = 0.5, index: int = 0) -> None:
        self.page.mouse.move(*self.at(x, y, index))
        before = self.state()["view"]["zoom"]
        for _ in range(abs(notches)):
            self.page.mouse.wheel(0, -300 if notches > 0 else 300)
        # Playwright does not wait for wheel events; each changes the zoom by a factor of exp(0.6).
        self.wait_until(
            "Math.abs(Math.log(viewer.view.zoom / argument)) < 0.01", min(before * np.exp(0.6 * notches), 64)
        )
        self.settle()

    def drag(self, dx: float, dy: float, index: int = 0) -> None:
        x, y = self.centre(index)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + dx / 2, y + dy / 2)
        self.page.mouse.move(x + dx, y + dy)
        self.page.mouse.up()
        self.settle()

    def textbox(self, label: str) -> str:
        return self.page.get_by_label(label, exact=True).input_value()

    def wait_for_text(self, label: str, pattern: str) -> str:
        deadline = time.monotonic() + 15
        while not re.fullmatch(pattern, self.textbox(label)):
            assert time.monotonic() < deadline, f"{label!r} stayed {self.textbox(label)!r}"
            self.page.wait_for_timeout(50)
        return self.textbox(label)


@pytest.fixture
def opened(browser, served):
    """Opens pages: `opened(theme="dark", device_scale_factor=2, …)` gives a Driver with the first scene on it."""
    contexts = []

    def open_page(theme: str = "light", width: int = 1280, height: int = 900, **options) -> Driver:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
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


browser_test = pytest.mark.browser


def place_of(pixel: np.ndarray) -> tuple[int, int]:
    return int(pixel[1]), int(pixel[2])


# ---------------------------------------------------------------- in the browser


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
def test_dragging_moves_all_by_the_same_and_reports_no_place(viewer):
    viewer.wheel(5)
    before = place_of(viewer.pixels(1)[60, 60])
    viewer.drag(-64, -32, index=1)
    zoom = viewer.state()["view"]["zoom"]
    for index in (0, 1, NUM_SAMPLES - 1):
        moved = np.subtract(place_of(viewer.pixels(index)[60, 60]), before)
        assert np.abs(moved - np.array([64, 32]) / zoom).max() <= 1.01
    viewer.page.wait_for_timeout(500)
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
    viewer.press("c")  # black and white pixels in turn: anything grey is interpolated

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
    for keys, shown in ((["7"], "s6"), (["Shift+2"], "s10"), (["g"], "truth"), ([" "], "s10"), ([" "], "truth")):
        viewer.press(*keys)
        assert red() == REDS[shown], keys
    viewer.press("1", "n")
    assert red() == REDS["s1"]
    viewer.press("p", "p")
    assert red() == REDS["truth"], "the step before the first is the last"
    viewer.wait_for_text("pick", "truth")
    viewer.press("Escape")
    assert viewer.state()["mode"] == "grid"
    assert len(viewer.state()["panes"]) == NUM_SAMPLES


@browser_test
def test_keys_work_under_the_pointer_without_a_click_but_not_elsewhere(viewer):
    viewer.page.mouse.move(*viewer.centre())
    viewer.press("4")  # the focus is on the button that brought the pictures, outside the viewer
    assert viewer.state()["current"] == "s3"
    viewer.page.evaluate("document.activeElement.blur()")
    viewer.press("6")
    assert viewer.state()["current"] == "s5"
    viewer.page.get_by_label("note", exact=True).evaluate("node => node.focus({preventScroll: true})")
    viewer.press("7")
    assert viewer.state()["current"] == "s5", "digits typed into a text box are text"
    viewer.page.get_by_role("button", name="first", exact=True).evaluate("node => node.focus({preventScroll: true})")
    viewer.page.mouse.move(0, 0)
    viewer.press("8")
    assert viewer.state()["current"] == "s5"


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
    lens = viewer.read("viewer.sharedLens").reshape(-1, 4)
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
    viewer.settle()
    place = viewer.state()["place"]
    assert np.abs(np.subtract((place["x"], place["y"]), expected)).max() <= 1
    for name in ("s0", "s10", "truth"):
        crop = viewer.read("viewer.crops.get(argument).canvas", name)
        middle = crop[crop.shape[0] // 2, crop.shape[1] // 2]
        assert middle[:3].tolist() == [REDS[name], place["x"], place["y"]]
        assert crop[crop.shape[0] // 2, crop.shape[1] // 2 + 8][1] == place["x"] + 1, "8 times enlarged"
    assert viewer.page.locator(".lv-crop-title").text_content() == (
        f"Around x {place['x']}, y {place['y']} · σ {place['x'] / 10:.1f}"
    )
    assert viewer.wait_for_text("place", r"\d.*") == f"{place['x']} {place['y']} s3"
    viewer.page.get_by_role("button", name="Show Ground truth alone, here").click()
    viewer.settle()
    pixels = viewer.pixels()
    middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2 + 1].tolist()
    assert viewer.state()["current"] == "truth"
    assert middle[0] == REDS["truth"]


@browser_test
def test_the_read_out_names_place_colour_and_value(viewer):
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
    assert viewer.page.locator(".lv-legend").inner_text().split("\n") == ["Diversity (levels)", "0", "25.5"]
    viewer.press("o")
    assert viewer.pixels(0)[100, 100, 0] == REDS["s0"]


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
def test_pictures_arrive_one_by_one_in_places_kept_for_them(viewer):
    def boxes() -> list[dict]:
        return [viewer.canvas(index).bounding_box() for index in range(NUM_SAMPLES)]

    before = boxes()
    captions = viewer.page.locator("#viewer .lv-caption:visible")
    viewer.page.get_by_role("button", name="stream", exact=True).click()
    viewer.page.evaluate("scrollTo(0, 0)")
    viewer.wait_until("[...viewer.pictures.values()].filter(p => p.state === 'waiting').length === 11")
    viewer.settle()
    assert boxes() == before
    assert captions.nth(1).inner_text().split() == ["Sample", "2", "waiting"]
    faded = viewer.pixels(1)[100, 100]
    assert 0 < faded[3] < 255, "the old picture, dimmed"
    viewer.wait_until("viewer.pictures.get('s0').state === 'ready' && viewer.pictures.get('s1').state === 'waiting'")
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
def test_crops_show_the_centre_or_the_suggested_place_until_one_is_chosen(viewer):
    def middle() -> list[int]:
        crop = viewer.read("viewer.crops.get('truth').canvas")
        return crop[crop.shape[0] // 2, crop.shape[1] // 2, :3].tolist()

    title = viewer.page.locator(".lv-crop-title")
    assert middle() == [REDS["truth"], WIDTH // 2, HEIGHT // 2]
    assert title.inner_text() == "Around x 60, y 40 · σ 6.0 · click a place to see it in all pictures"
    for name in ("start", "one band"):
        viewer.page.get_by_role("button", name=name, exact=True).click()
    viewer.wait_until("viewer.scene.suggested_place && viewer.pictures.get('truth').state === 'ready'")
    viewer.page.evaluate("scrollTo(0, 0)")
    viewer.settle()
    assert middle() == [REDS["truth"], 30, 10]
    viewer.page.mouse.click(*viewer.centre())
    viewer.settle()
    place = viewer.state()["place"]
    assert middle() == [REDS["truth"], place["x"], place["y"]]
    assert abs(place["x"] - WIDTH / 2) <= 1
    assert title.inner_text() == f"Around x {place['x']}, y {place['y']}"


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
    viewer.press("w", "Shift+1", "9")
    viewer.show("fewer")
    state = viewer.state()
    assert set(state["compare"]) <= {"s0", "s1"}
    viewer.focus()
    viewer.press("a")
    assert len(viewer.state()["panes"]) == 2
    viewer.page.get_by_role("button", name="nothing", exact=True).click()
    viewer.wait_until("viewer.panes.length === 0")
    assert viewer.page.get_by_text("Samples will appear here.").is_visible()
    viewer.show("first")
    assert len(viewer.state()["panes"]) == NUM_SAMPLES


@browser_test
def test_hostile_events_reach_python_only_as_refusals(viewer):
    for data, reason in (
        ({"x": -1, "y": 0, "id": "s0"}, "x lies in"),
        ({"x": 3, "y": "<script>", "id": "s0"}, "y is a whole number"),
        ({"x": 3, "y": 4, "id": "../../etc/passwd"}, "none of the scene's"),
        ({}, "x is a whole number"),
    ):
        viewer.evaluate("viewer.trigger('place', argument)", data)
        viewer.wait_for_text("place", f"refused: .*{reason}.*")
    viewer.evaluate("viewer.trigger('place', {x: 3, y: 4, id: 's0'})")
    viewer.wait_for_text("place", "3 4 s0")


@browser_test
def test_labels_are_text(viewer):
    viewer.focus()
    viewer.press("c")
    assert viewer.page.locator("#viewer .lv-caption .lv-label").first.text_content() == HOSTILE_LABEL
    assert viewer.page.locator("#viewer img").count() == 0
    assert viewer.page.title() != "owned"


@browser_test
def test_a_picture_that_cannot_be_loaded_says_so(viewer):
    viewer.page.route("**/s5_5.png", lambda route: route.abort())
    viewer.page.get_by_role("button", name="other", exact=True).click()
    viewer.wait_until("viewer.pictures.get('s5').state === 'failed' && viewer.pictures.get('s6').state === 'ready'")
    assert viewer.page.get_by_text("cannot be loaded").is_visible()


@browser_test
def test_files_are_served_byte_for_byte_and_can_be_cleaned_up(viewer, served, scenes):
    url = viewer.evaluate("viewer.pictures.get('s0').loadedUrl")
    response = viewer.page.request.get(url)
    assert response.body() == (scenes.folder / "s0_0.png").read_bytes()
    assert response.headers["content-type"] == "image/png"
    cached = {Path(path).name for path in served[1].temp_files}
    assert {"s0_0.png", "overlay.png", "values.png", "lr.png"} <= cached, "what `delete_cache` goes by"


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
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Close (Esc)"
    viewer.press("Escape")
    assert page.get_by_role("dialog", name="Keys").is_hidden()
    viewer.press("0")
    assert viewer.state()["view"]["fitted"] is True


@browser_test
def test_controls_have_names_and_the_focus_is_visible(viewer):
    nameless = viewer.page.evaluate(
        """() => [...document.querySelectorAll('#viewer button, #viewer input, #viewer select, #viewer [role=slider]')]
             .filter(node => !(node.getAttribute('aria-label') || node.textContent).trim()).length"""
    )
    assert nameless == 0
    assert viewer.canvas(2).get_attribute("aria-label") == "Sample 3, flagged"
    grid = viewer.page.get_by_role("button", name="All samples side by side (A)").first
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

"""A page with the viewer alone, and what a visitor does and sees there.

The pictures are made so that a pixel tells where it comes from: red names the picture, green is x and blue is y. What a
canvas shows can then be read off it and compared with what it should show, without trusting the viewer's own account.
"""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
from jsonschema import Draft202012Validator
from PIL import Image
from playwright.sync_api import Page, expect
from traffic import TIMEOUT, Traffic

from app.viewer import (
    LinkedViewer,
    Overlay,
    Part,
    Picture,
    Scene,
    parse_mask,
    parse_picture_id,
    parse_place,
    parse_subject,
)
from app.viewer.script import SOURCE_FOLDER
from srflow.contract import InputError

SCHEMA = json.loads((SOURCE_FOLDER.parent / "messages.json").read_text(encoding="utf-8"))

WIDTH, HEIGHT = 120, 80
GRID = (WIDTH // 4, HEIGHT // 4)
NUM_SAMPLES = 11
REDS = {f"s{i}": 15 + 10 * i for i in range(NUM_SAMPLES)} | {"lr": 200, "checker": 0, "small": 0, "truth": 220}
OTHER_RED = 5  # what the second temperature adds to a sample's red
OVERLAY_COLOR = (255, 0, 255)
HOSTILE_LABEL = "<img src=x onerror=\"document.title='owned'\">"


def validator(name: str) -> Draft202012Validator:
    """Checks a message against the description that both sides share."""
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


def marked(red: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture whose pixels say which picture they are of (red) and where they lie (green x, blue y)."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = red
    picture[..., 1] = np.arange(width) % 256
    picture[..., 2] = np.arange(height)[:, None] % 256
    return picture


class Scenes:
    """Writes the test's PNG files and names them in scenes.

    Attributes: next_one: released by the test for each scene of the stream that shall come.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.next_one = threading.Semaphore(0)
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

    def build(
        self, *, add: int = 0, ready: int = NUM_SAMPLES, subject: str = "one", values: bool = False, **settings
    ) -> Scene:
        """`values`: with the map's numbers, so that the viewer finds where samples differ most, and outlines it."""
        samples = []
        for i in range(NUM_SAMPLES):
            path = self.save(f"s{i}_{add}", marked(REDS[f"s{i}"] + add)) if i < ready else None
            samples.append(Picture(f"s{i}", f"Sample {i + 1}", path, badge="flagged" if i == 2 else ""))
        references = [
            Picture("lr", "Input", self.paths["lr"], "reference", key="i"),
            Picture("checker", HOSTILE_LABEL, self.paths["checker"], "reference", key="k"),
            Picture("small", "Small", self.paths["small"], "reference", key="s"),
            Picture("truth", "Ground truth", self.paths["truth"], "reference", key="g"),
        ]
        numbers = self.paths["values"] if values else None
        overlay = Overlay(self.paths["overlay"], "Diversity", 0.0, 25.5, ["#000000", "#ff00ff"], "levels", numbers)
        return Scene(WIDTH, HEIGHT, samples + references, overlay, subject=subject, **({"grid": GRID} | settings))


LARGE = (2400, 1800)
NUM_LARGE = 8


def build_page(scenes: Scenes) -> tuple[gr.Blocks, LinkedViewer]:
    def streaming() -> Iterator[Scene]:
        for ready in (0, 1, NUM_SAMPLES):
            scenes.next_one.acquire()
            yield scenes.build(add=OTHER_RED, ready=ready)

    def place(event: gr.EventData) -> str:
        try:
            x, y = parse_place(event._data, WIDTH, HEIGHT)
            parse_subject(event._data, "one")
            return f"{x} {y} {parse_picture_id(event._data, REDS)}"
        except InputError as error:
            return f"refused: {error}"

    def pick(event: gr.EventData) -> str:
        return parse_picture_id(event._data, REDS)

    def mask(event: gr.EventData) -> str:
        try:
            parse_subject(event._data, "one")
            place = parse_mask(event._data, *GRID)
        except InputError as error:
            return f"refused: {error}"
        return "nothing" if place is None else json.dumps({"box": place.box, "sum": int(place.array().sum())})

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

    def large() -> Scene:
        """Pictures that are too large to be kept whole: 17 MB each when decoded."""
        width, height = LARGE
        names = [f"s{i}" for i in range(NUM_LARGE)] + ["truth"]
        files = {name: scenes.save(f"large_{name}", marked(REDS[name], width, height)) for name in names}
        samples = [Picture(f"s{i}", f"Sample {i + 1}", files[f"s{i}"]) for i in range(NUM_LARGE)]
        truth = Picture("truth", "Ground truth", files["truth"], "reference", key="g")
        return Scene(width, height, [*samples, truth], subject="large", grid=(width // 4, height // 4))

    settings = {"mode": "wipe", "compare": ("truth", "s4"), "place": (7, 9)}
    outcomes = {
        "first": lambda: scenes.build(),
        "values": lambda: scenes.build(values=True),
        "other": lambda: scenes.build(add=OTHER_RED),
        "stream": streaming,
        "fewer": lambda: Scene(WIDTH, HEIGHT, scenes.build().pictures[:2], subject="one", grid=GRID),
        "without tools": lambda: scenes.build(subject="two", grid=None),
        "subject": lambda: scenes.build(subject="two"),
        "settings": lambda: scenes.build(**settings),
        "settings again": lambda: scenes.build(add=OTHER_RED, **settings),
        "expected": lambda: replace(scenes.build(ready=0, subject="two"), overlay=None, overlay_expected=True),
        "arrived": lambda: replace(scenes.build(subject="two", values=True), overlay_expected=True, serial="last"),
        "large": large,
        "nothing": lambda: None,
        "start": start,
        "one band": lambda: parts(0),
        "two bands": lambda: parts(0, 20),
        "whole": whole,
    }
    gr.set_static_paths(scenes.folder)
    with gr.Blocks() as page:
        viewer = LinkedViewer(elem_id="viewer")
        with gr.Row():
            for name, outcome in outcomes.items():
                gr.Button(name, min_width=60).click(outcome, outputs=viewer, show_progress="hidden")
        gr.Textbox(label="note")
        viewer.place(place, outputs=gr.Textbox(label="place"), show_progress="hidden")
        viewer.mask(mask, outputs=gr.Textbox(label="mask"), show_progress="hidden", trigger_mode="multiple")
        viewer.pick(pick, outputs=gr.Textbox(label="pick"), show_progress="hidden")
    return page, viewer


class Driver:
    """What a visitor does and sees, for one open page."""

    def __init__(self, page: Page):
        self.page = page
        self.traffic = Traffic(page)

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
        )

    def show(self, name: str) -> None:
        """Press a button of the page and wait until all that it brings is drawn."""
        self.evaluate("(window.former = viewer.scene)")
        self.page.get_by_role("button", name=name, exact=True).click()
        self.wait_until("viewer.scene !== window.former")
        red = {"other": OTHER_RED, "settings again": OTHER_RED}.get(name, 0)
        self.wait_until(
            "[...viewer.pictures.values()].every(p => p.state === 'ready')"
            " && (!viewer.overlay || viewer.overlay.levels.length)"
            " && (!viewer.overlay?.valuesUrl || viewer.overlay.grey)"
            " && viewer.pictures.get('s0').url.includes(`s0_${argument}.png`)",
            red,
        )
        self.page.evaluate("scrollTo(0, 0)")  # the buttons are below the viewer
        self.settle()

    def show_large(self) -> None:
        self.page.get_by_role("button", name="large", exact=True).click()
        self.wait_until("viewer.scene.subject === 'large' && viewer.root.dataset.shown === ''")
        self.wait_until("[...viewer.pictures.values()].every(p => p.state === 'ready')")
        self.page.evaluate("scrollTo(0, 0)")
        self.settle()

    def settle(self) -> None:
        """Let pending frames be drawn."""
        self.traffic.wait_for_frames()

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
        self.page.locator("#viewer .lv-stage").evaluate("node => node.focus({preventScroll: true})")

    def pixels(self, index: int = 0) -> np.ndarray:
        """All of a pane's canvas, (height, width, 4)."""
        return self.read("viewer.panes[argument].canvas", index)

    def read(self, canvas: str, argument=None) -> np.ndarray:
        url = self.evaluate(f"({canvas}).toDataURL('image/png')", argument)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))

    def wheel(self, notches: int, x: float = 0.5, y: float = 0.5, index: int = 0) -> None:
        self.focus()  # without it, the wheel scrolls the page
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
        """What Python answered, as soon as that is of the pattern."""
        expect(self.page.get_by_label(label, exact=True)).to_have_value(re.compile(f"^(?:{pattern})$"), timeout=TIMEOUT)
        return self.textbox(label)


def place_of(pixel: np.ndarray) -> tuple[int, int]:
    return int(pixel[1]), int(pixel[2])

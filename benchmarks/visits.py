"""A visitor of the page in headless Chromium, with times measured by the browser's own clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page

__all__ = ["CLICK", "MOVE_TEMPERATURE", "Visitor", "median", "together"]

_LONG_MS = 600_000

_VIEWER = "document.querySelector('#viewer .lv')?.parentElement.linkedViewer"

# The actions, as JavaScript.
CLICK = "document.querySelector('#sample').click()"
# Use the browser's own setter, as a finger would: the page's script has overridden it, and is notified.
MOVE_TEMPERATURE = """
    const slider = document.querySelector('#temperature input[type=range]');
    const { set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
    set.call(slider, Number(slider.value) > 0.6 ? '0.5' : '0.8');
    for (const name of ['input', 'change', 'pointerup']) slider.dispatchEvent(new Event(name, { bubbles: true }));
"""
_STOP = "document.querySelector('#stop').click()"
_UNDO = "document.querySelector('#undo').click()"
_ROLL = "viewer.exploring.bar.askRoll()"
_KEEP = "viewer.exploring.walk.accept()"
_LEAVE = "viewer.exploring.walk.leave()"
_BOX = "{ x: 30, y: 20, width: 32, height: 32 }"  # in LR pixels of the first example
_CHOOSE = f"viewer.exploring.mask.state.putBox('chosen', {_BOX});"
# A box that can still be moved is sent after a delay; a stroke is sent at once, and so must this one be.
_PAINT = f"const {{ heat }} = viewer.exploring; heat.putBox({_BOX}); clearTimeout(heat.timer); heat.send();"

# Conditions for the end: on the viewer, and on its new pictures.
_FRESH_SAMPLES = "fresh.filter(({ kind }) => kind === 'sample').length"
_FRESH_WAYS = "fresh.filter(({ kind }) => kind === 'way').length"
_STOPPED = "/stopped|kept/i.test(document.querySelector('#status').innerText)"
_SAME = "viewer.scene.explored === null && [...viewer.pictures.values()].every(({ state }) => state === 'ready')"

# Perform an action, and wait for the frames in which conditions hold: ms to each.
_TIMED = """([act, conditions]) => new Promise((resolve) => {
    const viewer = VIEWER;
    const former = new Map([...viewer.pictures].map(([id, { loadedUrl }]) => [id, loadedUrl]));
    const tests = conditions.map((text) => new Function('viewer', 'fresh', `return ${text};`));
    const times = tests.map(() => null);
    const started = performance.now();
    const look = () => {
        const fresh = [...viewer.pictures.values()].filter(
            ({ id, loadedUrl, levels }) => loadedUrl && levels.length && loadedUrl !== former.get(id));
        tests.forEach((test, index) => {
            if (times[index] === null && test(viewer, fresh)) times[index] = performance.now() - started;
        });
        if (times.every((time) => time !== null)) resolve(times);
        else requestAnimationFrame(look);
    };
    new Function('viewer', act)(viewer);
    look();
})""".replace("VIEWER", _VIEWER)
_READY = f"""() => {{ const viewer = {_VIEWER};
    const pictures = [...(viewer?.pictures.values() ?? [])];
    return pictures.length > 8 && pictures.every(({{ state }}) => state === "ready"); }}"""
_IDLE = "() => !document.querySelector('#status .bar')"  # progress is shown while there is any


class Visitor:
    """A visitor who opens the page and waits for all of its first pictures: `seconds`."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.page: Page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        self.page.set_default_timeout(_LONG_MS)
        started = time.perf_counter()
        self.page.goto(url, wait_until="commit")
        self.page.wait_for_function(_READY)
        self.seconds = time.perf_counter() - started

    def timed(self, act: str, *conditions: str) -> list[float]:
        """Perform an action while nothing else is running; return the seconds until each condition holds."""
        self.page.wait_for_function(_IDLE)
        return [ms / 1000 for ms in self.page.evaluate(_TIMED, [act, list(conditions)])]

    def draw(self, act: str, count: int = 8) -> tuple[float, float]:
        """Perform an action that draws samples: return the seconds to the first, and to a number of them."""
        first, last = self.timed(act, f"{_FRESH_SAMPLES} >= 1", f"{_FRESH_SAMPLES} >= {count}")
        return first, last

    def stop(self) -> float:
        """Return the seconds from Stop, pressed after the first of sixteen samples, to its confirmation."""
        self._set_samples(16)
        self.draw(CLICK, 1)
        [ms] = self.page.evaluate(_TIMED, [_STOP, [_STOPPED]])
        self._set_samples(8)
        self.draw(CLICK)  # a whole set again
        return ms / 1000

    def explore(self) -> dict[str, float]:
        """Return the seconds to a roll, to all eight, to the picture after a painted stroke, and back by Undo."""
        self.page.evaluate(f"() => {{ const viewer = {_VIEWER}; {_CHOOSE} }}")
        one, eight = self.timed(_ROLL, f"{_FRESH_WAYS} >= 1", f"{_FRESH_WAYS} >= 8")
        self.timed(_KEEP, "viewer.scene.explored !== null && !viewer.scene.walk")
        [undo] = self.timed(_UNDO, _SAME)
        [stroke] = self.timed(_PAINT, f"{_FRESH_WAYS} >= 1")
        self.timed(_LEAVE, "!viewer.scene.walk")
        return {"roll": one, "rolls": eight, "undo": undo, "stroke": stroke}

    def traffic(self) -> dict[str, int]:
        """Return the bytes of one run on the network: its messages, and its pictures."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("Network.enable")
        kinds: dict[str, str] = {}
        found = {"messages": 0, "pictures": 0}

        def begin(event: dict) -> None:
            kinds[event["requestId"]] = "pictures" if "/file=" in event["request"]["url"] else "messages"

        def add(event: dict) -> None:
            found[kinds.get(event["requestId"], "messages")] += event["encodedDataLength"]

        session.on("Network.requestWillBeSent", begin)
        session.on("Network.dataReceived", add)
        self.draw(CLICK)
        self.page.wait_for_function(_IDLE)
        self.page.wait_for_function(_READY)
        session.detach()
        return found

    def close(self) -> None:
        """Leave the page."""
        self.page.context.close()

    def _set_samples(self, count: int) -> None:
        field = self.page.locator("#num-samples input[type=number]")
        field.fill(str(count))
        field.press("Tab")
        self.page.wait_for_function(_IDLE)


def together(browser: Browser, url: str, count: int) -> tuple[float, float]:
    """Return the seconds until the first and the last of several visitors, who press at once, have all samples."""
    visitors = [Visitor(browser, url) for _ in range(count)]
    begin = f"(argument) => {{ window.answer = null; ({_TIMED})(argument).then((times) => (window.answer = times)); }}"
    for visitor in visitors:
        visitor.page.wait_for_function(_IDLE)
    for visitor in visitors:
        visitor.page.evaluate(begin, [CLICK, [f"{_FRESH_SAMPLES} >= 8"]])
    times = [visitor.page.wait_for_function("() => window.answer").json_value()[0] / 1000 for visitor in visitors]
    for visitor in visitors:
        visitor.close()
    return min(times), max(times)


def median(measure: Callable[[], tuple[float, ...]], repeats: int) -> list[float]:
    """Return the median of each of several times, after one round that does not count."""
    measure()
    rounds = [measure() for _ in range(repeats)]
    return [statistics.median(values) for values in zip(*rounds, strict=True)]

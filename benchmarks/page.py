"""Measures the page's waiting times for a visitor: `python -m benchmarks.page`; writes benchmarks/results/page.md.

It starts `app.py` with the shipped model, and opens it in headless Chromium. Times are measured in the browser, from
the event to the frame in which the pictures can be drawn; they are reliable only on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, sync_playwright

from benchmarks.report import machine, save, table
from benchmarks.visits import CLICK, MOVE_TEMPERATURE, Visitor, median, together

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]
_NUM_OPENINGS = 3

Row = tuple[str, str, str]
"""Name, time and goal of each measurement."""


def measure(
    browser: Browser, url: str, server: psutil.Process, *, repeats: int, runs: int, visitors: int
) -> Iterator[Row]:
    """Measure everything on a page that answers, after nobody else is waiting for its first samples."""
    first = Visitor(browser, url)
    first.close()
    yield "opening, while the first samples are drawn: all pictures", f"{first.seconds:.1f} s", ""
    openings = []
    for _ in range(_NUM_OPENINGS):
        visitor = Visitor(browser, url)
        openings.append(visitor.seconds)
        visitor.close()
    yield "opening later: all pictures", f"{statistics.median(openings):.2f} s", ""
    visitor = Visitor(browser, url)
    one, eight = median(lambda: visitor.draw(CLICK), repeats)
    yield "Sample pressed: first picture", f"{one:.2f} s", "0.5 s"
    yield "Sample pressed: eighth picture", f"{eight:.2f} s", "1.2 s"
    one, eight = median(lambda: visitor.draw(MOVE_TEMPERATURE), repeats)
    yield "temperature moved: first changed picture", f"{one:.2f} s", "0.35 s"
    yield "temperature moved: eighth", f"{eight:.2f} s", ""
    stops = [visitor.stop() for _ in range(repeats)]
    yield "Stop, while sixteen are drawn", f"{statistics.median(stops):.2f} s", "0.3 s"
    roll, rolls, undo, stroke = median(lambda: tuple(visitor.explore().values()), repeats)
    yield "Roll, a place of 32×32 LR: first variant", f"{roll * 1e3:.0f} ms", "250 ms"
    yield "Roll: all eight variants", f"{rolls * 1e3:.0f} ms", ""
    yield "Undo of a variant that was kept", f"{undo * 1e3:.0f} ms", "100 ms"
    yield "a stroke of calm, 32×32 LR: changed picture", f"{stroke * 1e3:.0f} ms", "250 ms"
    for name, count in visitor.traffic().items():
        yield f"sent in a run of eight samples: {name}", f"{count / 1e3:.0f} kB", "280 kB" * (name == "messages")
    resident = server.memory_info().rss
    times = [visitor.draw(CLICK)[1] for _ in range(runs)]
    part = max(1, runs // 10)
    yield f"{runs} runs: median of the first {part}", f"{statistics.median(times[:part]):.2f} s", ""
    yield f"{runs} runs: median of the last {part}", f"{statistics.median(times[-part:]):.2f} s", "as the first"
    grown = server.memory_info().rss - resident
    yield f"{runs} runs: memory of the server", f"{resident / 1e6:.0f} MB, then {grown / 1e6:+.0f} MB", ""
    visitor.close()
    quickest, slowest = together(browser, url, visitors)
    yield f"{visitors} visitors at once, eight samples each", f"{quickest:.1f} to {slowest:.1f} s", ""


@contextmanager
def served(threads: int) -> Iterator[tuple[str, psutil.Process, float]]:
    """Return the page's address, its server, and the seconds until it answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    command = [sys.executable, "app.py", "--port", str(port)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(url):
            if process.poll() is not None:
                raise SystemExit(f"app.py ended with {process.returncode}; start it by hand to see why.")
            time.sleep(0.02)
        yield url, psutil.Process(process.pid), time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return response.status == 200
    except OSError:
        return False


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description="The page as a visitor waits for it.")
    parser.add_argument("--browser", default=os.environ.get("SRFLOW_BROWSER"), help="Chromium; default: Playwright's")
    parser.add_argument("--repeats", type=int, default=7, help="of times; medians are taken (default: 7)")
    parser.add_argument("--runs", type=int, default=200, help="one after the other, to see what grows (default: 200)")
    parser.add_argument("--visitors", type=int, default=8, help="who press at once (default: 8)")
    parser.add_argument("--threads", type=int, default=2, help="of the server's torch (default: 2)")
    parser.add_argument("--quick", action="store_true", help="a few, to try it; saves nothing")
    given = parser.parse_args()
    if given.quick:
        given.repeats, given.runs, given.visitors = 1, 2, 2
    rows: list[Row] = []
    load = os.getloadavg()[0]
    with served(given.threads) as (url, server, seconds), sync_playwright() as playwright:
        rows.append(("page answers after", f"{seconds:.1f} s", ""))
        browser = playwright.chromium.launch(executable_path=given.browser, args=FLAGS)
        for row in measure(browser, url, server, repeats=given.repeats, runs=given.runs, visitors=given.visitors):
            sys.stderr.write(f"{row[0]}: {row[1]}\n")
            rows.append(row)
        browser.close()
    text = "\n".join(
        [
            "# The page\n",
            f"The first example, 96×75 LR, shipped ×4 model, {given.threads} threads of the server; browser and server "
            f"on one machine. {machine()}. Medians of {given.repeats}; load before it: {load:.1f}.\n",
            table(("", "median", "goal"), rows),
        ]
    )
    if given.quick:
        sys.stdout.write(text + "\n")
    else:
        save("page.md", text)


if __name__ == "__main__":
    main()

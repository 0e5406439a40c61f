"""Finds a Chromium that starts, or installs one, and prints its path.

The tests of the page run in it. It tries, in this order: the program that SRFLOW_BROWSER names, a Chromium or Chrome on
the PATH, an earlier download of Playwright, the system's package (as root, if there is apt-get), and Playwright's
download. Each is started once, because on some systems `chromium` only prints where to get one.

Exit code 1, with the reasons on stderr, if none of them starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

BROWSER_VARIABLE = "SRFLOW_BROWSER"
NAMES_ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT_INSTALL = Path(__file__).with_name("apt_install.sh")


def browsers_on_path() -> Iterator[str]:
    """Return every known browser on the PATH, in the order of `NAMES_ON_PATH`."""
    yield from filter(None, map(shutil.which, NAMES_ON_PATH))


def playwright_browser() -> Iterator[str]:
    """Return the browser that Playwright has downloaded, if there is one."""
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if Path(path).exists():
        yield path


def installed_by_apt() -> Iterator[str]:
    """Install the system's package and return the browser now on the PATH; nothing if that is impossible."""
    if subprocess.run([APT_INSTALL, "chromium"], check=False).returncode == 0:
        yield from browsers_on_path()


def installed_by_playwright() -> Iterator[str]:
    """Download Playwright's own build, with the system libraries it needs if they may be installed."""
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        command.append("--with-deps")
    # Its progress goes to stderr, because stdout is only for the path.
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode == 0:
        yield from playwright_browser()


def why_not_starting(path: str) -> str | None:
    """Start the browser and show a page; return the first line of the error, None if there was none."""
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, timeout=60_000)
            page = browser.new_page()
            page.set_content("<title>ready</title>")
            title = page.title()
            browser.close()
    except PlaywrightError as error:
        return error.message.strip().splitlines()[0]
    return None if title == "ready" else f"it showed a page with the title {title!r}"


def find_browser(sources: tuple[Callable[[], Iterator[str]], ...]) -> str | None:
    """Return the first browser that starts; later sources are not tried. Report why earlier ones failed."""
    refused: set[str] = set()
    for source in sources:
        for path in source():
            if path in refused:
                continue
            reason = why_not_starting(path)
            if reason is None:
                return path
            refused.add(path)
            sys.stderr.write(f"{path} does not start: {reason}\n")
    return None


def main() -> int:
    """Print the path of a browser that starts; 1 if there is none."""
    named = os.environ.get(BROWSER_VARIABLE)
    if named:
        # If a browser is named, no other one is tried instead.
        path = find_browser((lambda: iter([named]),))
    else:
        path = find_browser((browsers_on_path, playwright_browser, installed_by_apt, installed_by_playwright))
    if path is None:
        sys.stderr.write(
            "No Chromium that starts was found, and none could be installed. The tests of the page need one: install "
            f"chromium or google-chrome with your system's packages, or set {BROWSER_VARIABLE} to its path.\n"
        )
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

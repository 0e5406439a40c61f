"""Find a Chromium that starts, or install one, and print where it is.

The tests of the page run in it. In this order: the program that SRFLOW_BROWSER names, a Chromium or Chrome on the
PATH, the one that Playwright has installed before, the system's package (as root, where there is apt-get), Playwright's
download. What is found is started once, since some systems have a `chromium` that only says where to get one.

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
    """Give every known browser on the PATH, in the order of `NAMES_ON_PATH`."""
    yield from filter(None, map(shutil.which, NAMES_ON_PATH))


def playwright_browser() -> Iterator[str]:
    """Give the browser that Playwright has downloaded, if it has."""
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if Path(path).exists():
        yield path


def installed_by_apt() -> Iterator[str]:
    """Install the system's package and give what the PATH has then; nothing where that is not possible."""
    if subprocess.run([APT_INSTALL, "chromium"], check=False).returncode == 0:
        yield from browsers_on_path()


def installed_by_playwright() -> Iterator[str]:
    """Download Playwright's own build, with the system libraries it needs where they may be installed."""
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        command.append("--with-deps")
    # Its progress goes to stderr: stdout is for the path alone.
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode == 0:
        yield from playwright_browser()


def why_not_starting(path: str) -> str | None:
    """Start the browser and show a page; give the first line of what went wrong, None if nothing did."""
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
    """Give the first browser of the sources that starts; later sources are not asked. Says why others were passed."""
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
        # Who names one wants that one: no other is tried in its place.
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

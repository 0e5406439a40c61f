"""What a page in the browser asks its server for, so that a test can wait until all of it is answered."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, Request

TIMEOUT = 300_000
"""ms, many times what a busy machine needs: it ends what would never end, and nothing else."""


class Traffic:
    """Counts the requests of a page. Must be made before the page is opened.

    Args:
        page: it gets `TIMEOUT`.
        on_request: told the address of each.
    """

    def __init__(self, page: Page, on_request: Callable[[str], None] | None = None) -> None:
        self._page = page
        self._on_request = on_request
        self._num_requests = 0
        self._unanswered: set[Request] = set()
        page.set_default_timeout(TIMEOUT)
        page.on("request", self._note)
        page.on("requestfinished", self._strike)
        page.on("requestfailed", self._strike)

    def _note(self, request: Request) -> None:
        if self._on_request is not None:
            self._on_request(request.url)
        if request.url.startswith("http") and "/heartbeat/" not in request.url:  # that one ends with the page
            self._num_requests += 1
            self._unanswered.add(request)

    def _strike(self, request: Request) -> None:
        self._unanswered.discard(request)

    def wait_for_frames(self) -> None:
        """Until what has been done so far is drawn."""
        self._page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def settle(self) -> None:
        """Until all that was done is answered and shown: nothing is under way, and nothing more was asked for."""
        num_requests = None
        while self._unanswered or self._num_requests != num_requests:
            num_requests = self._num_requests
            # An event is sent, and an answer is shown, within a frame; what that sets off, in the next.
            self.wait_for_frames()
            self._page.wait_for_timeout(10)

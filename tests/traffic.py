"""The events that a page in the browser sends to its server, so that a test can wait until all are answered."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, Request, Response

TIMEOUT = 300_000
"""Milliseconds, far more than a busy machine needs: it only ends what would never end."""

_STREAM = "/queue/data"


class Traffic:
    """Counts a page's events: requests, and the stream of answers, which Gradio ends after the last one.

    Pictures do not count: a browser may abort them silently. Must be created before the page is opened.

    Args:
        page: its timeout is set to `TIMEOUT`.
        on_request: called with the address of each request, including pictures.
    """

    def __init__(self, page: Page, on_request: Callable[[str], None] | None = None) -> None:
        self._page = page
        self._on_request = on_request
        self._num_sent = 0
        self._unanswered: set[Request] = set()
        page.set_default_timeout(TIMEOUT)
        page.on("request", self._note)
        page.on("response", self._note_response)
        page.on("requestfinished", self._strike)
        page.on("requestfailed", self._strike)

    def _note(self, request: Request) -> None:
        if self._on_request is not None:
            self._on_request(request.url)
        if request.method == "POST" or _STREAM in request.url:
            self._num_sent += 1
            self._unanswered.add(request)

    def _note_response(self, response: Response) -> None:
        if _STREAM not in response.url:
            self._strike(response.request)

    def _strike(self, request: Request) -> None:
        self._unanswered.discard(request)

    def leave(self) -> None:
        """Leave the page, and forget its requests."""
        self._page.goto("about:blank")
        self._unanswered.clear()

    def wait_for_frames(self) -> None:
        """Wait until everything done so far is drawn."""
        self._page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def settle(self) -> None:
        """Wait until everything is answered and shown, and no further requests are sent."""
        is_settled = False
        while not is_settled:
            was_quiet, num_sent = not self._unanswered, self._num_sent
            # An event is sent, and an answer is shown, within a frame; what that sets off, in the next. So it does not
            # do that the last answer came meanwhile: it is shown in the frames after it.
            self.wait_for_frames()
            self._page.wait_for_timeout(20)
            is_settled = was_quiet and not self._unanswered and self._num_sent == num_sent

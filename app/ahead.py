"""Work done before it is requested, so that the first sample appears soon after the click."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.pictures import AUTO_PIXELS
from app.records import OpenedPicture
from app.runs import make_request
from app.session import Session
from app.settings import Settings
from srflow.contract import (
    Engine,
    ExploreRequest,
    PartialSample,
    Progress,
    SampleRecipe,
    SampleRequest,
    SampleResult,
    SRFlowError,
)

__all__ = ["Ahead"]

_log = logging.getLogger(__name__)


class Ahead:
    """Makes the engine compute the conditioning of pictures in the background as soon as they are opened, one at a
    time.

    A later request for samples finds the conditioning in the engine's cache. A request that arrives during the
    computation waits for it, which takes no longer than computing the conditioning itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()

    def prepare(self, session: Session, picture: OpenedPicture, settings: Settings) -> threading.Thread | None:
        """Start to prepare a picture, and stop preparing the session's previous one. Large pictures are skipped."""
        cancel = session.begin_preparation()
        if picture.region.width * picture.region.height > AUTO_PIXELS:
            return None
        request = make_request(picture, settings)
        wanted = SampleRequest(lr=request.lr, model=request.model, precision=request.precision, tile=request.tile)
        thread = threading.Thread(target=self._condition, args=(wanted, cancel), name="prepare a picture", daemon=True)
        thread.start()
        return thread

    def draw_state(self, session: Session, picture: OpenedPicture, recipe: SampleRecipe) -> threading.Thread | None:
        """Start to draw the picture that the visitor paints on, so that the first roll of a region need not wait for
        it.
        """
        cancel = session.begin_preparation()
        if picture.region.width * picture.region.height > AUTO_PIXELS:
            return None
        wanted = ExploreRequest(lr=picture.lr(), recipe=recipe, variants=((),))
        thread = threading.Thread(target=self._explore, args=(wanted, cancel), name="prepare rolls", daemon=True)
        thread.start()
        return thread

    def _explore(self, request: ExploreRequest, cancel: threading.Event) -> None:
        with self._turn, _forgiving():
            for _ in self._engine.explore(request, cancel):
                pass

    def _condition(self, request: SampleRequest, cancel: threading.Event) -> None:
        with self._turn, _forgiving():
            if cancel.is_set() or self._engine.estimate(request).cached:
                return
            for event in self._engine.sample(request, cancel):
                is_sampling = isinstance(event, Progress) and event.stage == "sampling"
                if is_sampling or isinstance(event, (PartialSample, SampleResult)):
                    return  # the conditioning is cached now; leaving the iterator stops the rest


@contextmanager
def _forgiving() -> Iterator[None]:
    """Ignore named errors of this work: nobody waits for it, and a request for samples will report the problem."""
    try:
        yield
    except SRFlowError:
        pass
    except Exception:
        _log.exception("Work ahead failed.")

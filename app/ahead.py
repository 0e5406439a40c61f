"""Work that is done before it is asked for, so that the first sample comes soon after the click."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.examples import EXAMPLES
from app.pictures import AUTO_PIXELS
from app.runs import make_request
from app.settings import Settings
from app.state import Visitor
from srflow.contract import Engine, PartialSample, Progress, SampleRequest, SampleResult, SRFlowError

__all__ = ["Ahead", "warm_up"]

_log = logging.getLogger(__name__)


class Ahead:
    """Has the engine condition pictures as soon as they are opened, one at a time, in the background.

    Sampling finds the conditioning in the engine's cache then, or waits for it as it would have waited anyway.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()

    def prepare(self, visitor: Visitor, settings: Settings) -> threading.Thread | None:
        """Begin with the visitor's picture, instead of a former one; not with a large one, which takes its time."""
        cancel = visitor.begin_preparation()
        picture = visitor.picture
        if picture is None or picture.region.width * picture.region.height > AUTO_PIXELS:
            return None
        request = make_request(picture, settings)
        wanted = SampleRequest(lr=request.lr, model=request.model, precision=request.precision, tile=request.tile)
        thread = threading.Thread(target=self._condition, args=(wanted, cancel), name="prepare a picture", daemon=True)
        thread.start()
        return thread

    def _condition(self, request: SampleRequest, cancel: threading.Event) -> None:
        with self._turn, _forgiving():
            if cancel.is_set() or self._engine.estimate(request).cached:
                return
            for event in self._engine.sample(request, cancel):
                is_sampling = isinstance(event, Progress) and event.stage == "sampling"
                if is_sampling or isinstance(event, (PartialSample, SampleResult)):
                    return  # the conditioning is there; leaving the iterator stops the rest


def warm_up(engine: Engine) -> None:
    """Draw a sample of the picture that the page opens with: the first one of a process takes several times as long."""
    example = EXAMPLES[0]
    with _forgiving():
        lr, truth = engine.open_picture(example.path), None
        if example.kind == "hr":
            lr, truth = engine.scale_down(lr)
        for _ in engine.sample(SampleRequest(lr=lr, ground_truth=truth, num_samples=1)):
            pass


@contextmanager
def _forgiving() -> Iterator[None]:
    """Nobody waits for this work; what is wrong will be told to who asks for samples."""
    try:
        yield
    except SRFlowError:
        pass
    except Exception:
        _log.exception("Work ahead failed.")

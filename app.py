"""Start the page: `python app.py`, or on a Hugging Face Space."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from typing import TYPE_CHECKING, Any

try:  # on ZeroGPU, `spaces` must be imported before anything that uses CUDA; elsewhere it is not installed
    import spaces
except ImportError:
    spaces = None

if TYPE_CHECKING:
    from app.page import Page
    from srflow.contract import (
        Engine,
        ExploreEvent,
        ExploreRequest,
        Reference,
        SampleEvent,
        SampleRequest,
        SRFlowError,
    )

MAX_GPU_SECONDS = 120


class LazyEngine:
    """The real engine, created in the background: the page responds while torch and the weights are still being loaded.

    It has the methods of `srflow.contract.Engine`; each of them waits until the engine is ready. Call `start` once the
    page is up, because importing torch would delay the page.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._engine: Future[Engine] = Future()
        self._options = dict(options)

    def start(self, then: Callable[[], None] = lambda: None) -> None:
        """Load the engine in a thread, and call `then` there afterwards."""

        def run() -> None:
            self.load()
            then()

        threading.Thread(target=run, name="load the engine", daemon=True).start()

    def load(self) -> None:
        """Load the engine now. After a failure, every method raises the error."""
        try:
            from srflow.sampling.engine import SamplingEngine

            engine = SamplingEngine(**self._options)
            self._engine.set_result(_OnZeroGPU(engine) if _is_zero_gpu() else engine)
        except Exception as error:  # every later call raises the error
            self._engine.set_exception(error)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def wait_and_call(*arguments: Any, **options: Any) -> Any:
            return getattr(self._engine.result(), name)(*arguments, **options)

        return wait_and_call


def _is_zero_gpu() -> bool:
    return spaces is not None and bool(os.environ.get("SPACES_ZERO_GPU"))


class _OnZeroGPU:
    """An engine whose drawing methods run where ZeroGPU lends a GPU: in another process, for an estimated time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

        def duration(request: SampleRequest) -> int:
            return min(MAX_GPU_SECONDS, int(10 + 2 * engine.estimate(request).seconds))

        # These must be generator functions: `spaces` inspects the function itself to see whether it yields. It would
        # return the result of an ordinary function in one piece.
        @spaces.GPU(duration=duration)
        def lent_sample(request: SampleRequest) -> Iterator[SampleEvent | SRFlowError]:
            yield from _with_errors(engine.sample(request))

        @spaces.GPU(duration=duration)
        def lent_references(request: SampleRequest) -> Iterator[Reference | SRFlowError]:
            yield from _with_errors(engine.references(request))

        @spaces.GPU(duration=lambda request: min(MAX_GPU_SECONDS, 20 + 2 * len(request.variants)))
        def lent_explore(request: ExploreRequest) -> Iterator[ExploreEvent | SRFlowError]:
            yield from _with_errors(engine.explore(request))

        # A threading.Event cannot be passed to the other process. Closing the iterator early stops the work there as
        # well.
        self.sample = lambda request, cancel=None: _until(cancel, lent_sample(request))
        self.references = lambda request, cancel=None: _until(cancel, lent_references(request))
        self.explore = lambda request, cancel=None: _until(cancel, lent_explore(request))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def _with_errors(events: Iterator[Any]) -> Iterator[Any]:
    """Yield named errors as the last event: an exception raised in the other process changes its type on the way."""
    from srflow.contract import SRFlowError

    try:
        yield from events
    except SRFlowError as error:
        yield error


def _until(cancel: threading.Event | None, events: Iterator[Any]) -> Iterator[Any]:
    from srflow.contract import Cancelled, SRFlowError

    with closing(events):
        for event in events:
            if isinstance(event, SRFlowError):
                raise event
            if cancel is not None and cancel.is_set():
                raise Cancelled("Stopped.")
            yield event


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="SRFlow-DA Explorer: look into the space of super-resolutions.")
    parser.add_argument(
        "--host", default=None, help="address to listen on; 0.0.0.0: all addresses (default: this machine only)"
    )
    parser.add_argument("--port", type=int, default=None, help="port (default: 7860, or the next free one)")
    parser.add_argument("--share", action="store_true", help="make a public link through Gradio's servers")
    parser.add_argument("--checkpoint", action="append", default=None, metavar="NAME",
                        help="folder, shipped name or Hub id of a model; may be given several times")  # fmt: skip
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best available)")
    parser.add_argument("--precision", default=None, choices=("float32", "bfloat16", "float16"), help="of convolutions")
    parser.add_argument("--no-mcp", action="store_true", help="do not answer MCP clients")
    return parser.parse_args(arguments)


def build(arguments: argparse.Namespace) -> tuple[Page, LazyEngine, dict[str, Any]]:
    """Build the page and its engine (not started yet), and return them with the arguments of `launch`."""
    options: dict[str, Any] = {"device": arguments.device, "precision": arguments.precision}
    if arguments.checkpoint:
        options["checkpoints"] = arguments.checkpoint
    engine = LazyEngine(options)

    from app.layout import build_page, launch_options

    launch = launch_options() | {
        "server_name": arguments.host,
        "server_port": arguments.port,
        "share": arguments.share,
        # Without the extra, Gradio prints an error at each start.
        "mcp_server": not arguments.no_mcp and importlib.util.find_spec("mcp") is not None,
    }
    # On ZeroGPU, work runs in another process whose caches are lost, and the GPU seconds of each visitor are limited,
    # so nothing is computed ahead of time.
    return build_page(engine, ahead=not _is_zero_gpu()), engine, launch


def main() -> None:
    """Serve the page until it is interrupted."""
    page, engine, launch = build(parse_arguments())
    # When a service manager or a container stops the program, it cleans up as it does after Ctrl+C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if _is_zero_gpu():
            engine.load()  # the functions that use a GPU must be registered before the page starts
        page.blocks.launch(**launch, prevent_thread_lock=True)
        if _is_zero_gpu():
            threading.Thread(target=page.opening.draw, name="first samples", daemon=True).start()
        else:
            engine.start(then=page.opening.draw)
        page.blocks.block_thread()
    finally:
        page.sessions.close()


if __name__ == "__main__":
    main()

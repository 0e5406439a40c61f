"""Start the page: `python app.py`, or on a Hugging Face Space."""

from __future__ import annotations

import argparse
import importlib.util
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

try:  # on ZeroGPU it must be imported before anything that touches CUDA; elsewhere it is not there
    import spaces
except ImportError:
    spaces = None

if TYPE_CHECKING:
    import gradio as gr
    import numpy as np

    from srflow.contract import Engine, EngineInfo, Estimate, Reference, SampleEvent, SampleRequest, SRFlowError

MAX_GPU_SECONDS = 120


class LazyEngine:
    """The real engine, made in the background: the page answers while torch and the weights are still being loaded.

    Whoever needs the engine waits for it; `start` it once the page is up, since importing torch would slow that down.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._engine: Future[Engine] = Future()
        self._options = dict(options)

    def start(self) -> None:
        """Load in a thread, and draw a first sample there."""
        threading.Thread(target=self._load_and_warm_up, name="load the engine", daemon=True).start()

    def _load_and_warm_up(self) -> None:
        from app.ahead import warm_up

        self.load()
        warm_up(self)

    def load(self) -> None:
        """Load now. A failure is raised by every method from then on."""
        try:
            from srflow.sampling.engine import SamplingEngine

            engine = SamplingEngine(**self._options)
            self._engine.set_result(_on_zero_gpu(engine) if _is_zero_gpu() else engine)
        except Exception as error:  # whoever asks for the engine is told
            self._engine.set_exception(error)

    def info(self) -> EngineInfo:
        """See `srflow.contract.Engine`, as for all methods."""
        return self._engine.result().info()

    def estimate(self, request: SampleRequest) -> Estimate:
        """Time and memory."""
        return self._engine.result().estimate(request)

    def sample(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[SampleEvent]:
        """Draw."""
        return self._engine.result().sample(request, cancel)

    def references(self, request: SampleRequest, cancel: threading.Event | None = None) -> Iterator[Reference]:
        """Bicubic, encoder, τ = 0."""
        return self._engine.result().references(request, cancel)

    def open_picture(self, source: str | Path | bytes | BinaryIO, max_pixels: int | None = None) -> np.ndarray:
        """Read a picture file."""
        return self._engine.result().open_picture(source, max_pixels)

    def scale_down(self, hr: np.ndarray, model: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """HR → LR and ground truth."""
        return self._engine.result().scale_down(hr, model)

    def save_png(self, path: str | Path, picture: np.ndarray, text: Mapping[str, str] | None = None) -> None:
        """Write a PNG."""
        self._engine.result().save_png(path, picture, text)

    def read_png_text(self, source: str | Path | bytes | BinaryIO) -> dict[str, str]:
        """The text in a PNG."""
        return self._engine.result().read_png_text(source)


def _is_zero_gpu() -> bool:
    return spaces is not None and bool(os.environ.get("SPACES_ZERO_GPU"))


def _on_zero_gpu(engine: Engine) -> Engine:
    """Have the drawing methods run where ZeroGPU lends a GPU: in another process, for an estimated time."""

    def duration(request: SampleRequest) -> int:
        return min(MAX_GPU_SECONDS, int(10 + 2 * engine.estimate(request).seconds))

    sample, references = engine.sample, engine.references

    # Generator functions, by which `spaces` knows that they yield: of others it sends back what they return.
    @spaces.GPU(duration=duration)
    def lent_sample(request: SampleRequest) -> Iterator[SampleEvent | SRFlowError]:
        yield from _with_errors(sample(request))

    @spaces.GPU(duration=duration)
    def lent_references(request: SampleRequest) -> Iterator[Reference | SRFlowError]:
        yield from _with_errors(references(request))

    # An event cannot cross to the other process; leaving the iterator early stops the work there as well.
    engine.sample = lambda request, cancel=None: _until(cancel, lent_sample(request))
    engine.references = lambda request, cancel=None: _until(cancel, lent_references(request))
    return engine


def _with_errors(events: Iterator[Any]) -> Iterator[Any]:
    """Named errors as the last event: what is raised in the other process arrives as something else."""
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
    parser.add_argument("--host", default=None, help="address to listen on; 0.0.0.0: all (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="port (default: 7860, or the next free one)")
    parser.add_argument("--share", action="store_true", help="make a public link through Gradio's servers")
    parser.add_argument("--checkpoint", action="append", default=None, metavar="NAME",
                        help="folder, shipped name or Hub id of a model; may be given several times")  # fmt: skip
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    parser.add_argument("--precision", default=None, choices=("float32", "bfloat16", "float16"), help="of convolutions")
    parser.add_argument("--no-mcp", action="store_true", help="do not answer MCP clients")
    return parser.parse_args(arguments)


def build(arguments: argparse.Namespace) -> tuple[gr.Blocks, LazyEngine, dict[str, Any]]:
    """The page, its engine (yet to be started), and what `launch` is to be told."""
    options: dict[str, Any] = {"device": arguments.device, "precision": arguments.precision}
    if arguments.checkpoint:
        options["checkpoints"] = arguments.checkpoint
    engine = LazyEngine(options)

    from app.layout import build_app, launch_options

    launch = launch_options() | {
        "server_name": arguments.host,
        "server_port": arguments.port,
        "share": arguments.share,
        # Without the extra, Gradio prints an error at each start.
        "mcp_server": not arguments.no_mcp and importlib.util.find_spec("mcp") is not None,
    }
    # On ZeroGPU work is done in another process, of which nothing is kept, and each visitor's seconds are counted.
    return build_app(engine, ahead=not _is_zero_gpu()), engine, launch


def main() -> None:
    """Serve the page until interrupted."""
    demo, engine, launch = build(parse_arguments())
    if _is_zero_gpu():
        engine.load()  # the functions that use a GPU must be known before the page starts
    demo.launch(**launch, prevent_thread_lock=True)
    if not _is_zero_gpu():
        engine.start()
    demo.block_thread()


if __name__ == "__main__":
    main()

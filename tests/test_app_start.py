"""The script app.py: arguments, and the engine that is loaded behind the page."""

from __future__ import annotations

import importlib.util
import inspect
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from fake_engine import FakeEngine

from srflow.contract import (
    Cancelled,
    CheckpointError,
    ExploreRequest,
    MemoryBudgetError,
    SampleRequest,
    SampleResult,
    Variant,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def start() -> ModuleType:
    """The script, which has the same name as the package."""
    spec = importlib.util.spec_from_file_location("start_script", Path(__file__).resolve().parents[1] / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install(monkeypatch, make) -> None:
    module = ModuleType("srflow.sampling.engine")
    module.SamplingEngine = make
    monkeypatch.setitem(sys.modules, "srflow.sampling.engine", module)


def test_the_engine_is_made_with_the_arguments_and_only_when_started(start, monkeypatch):
    made = []
    install(monkeypatch, lambda **options: made.append(options) or FakeEngine())
    arguments = start.parse_arguments(
        ["--port", "7999", "--checkpoint", "one", "--checkpoint", "two", "--device", "cpu", "--no-mcp"]
    )
    page, engine, launch = start.build(arguments)
    page.sessions.close()
    assert not made
    assert (launch["server_port"], launch["share"], launch["mcp_server"]) == (7999, False, False)
    engine.start()
    assert engine.info().default_model == "fake-x4"
    assert made == [{"device": "cpu", "precision": None, "checkpoints": ["one", "two"]}]


def test_whoever_asks_early_waits(start, monkeypatch):
    gate = threading.Event()
    install(monkeypatch, lambda **_: gate.wait() and FakeEngine())
    engine = start.LazyEngine({})
    engine.start()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(engine.info()))
    thread.start()
    assert not answers
    gate.set()
    thread.join()
    assert len(answers) == 1
    request = SampleRequest(lr=np.zeros((16, 16, 3), np.uint8), num_samples=2)
    assert sum(isinstance(event, SampleResult) for event in engine.sample(request)) == 2
    assert next(reference.kind for reference in engine.references(request)) == "bicubic"


def test_a_model_that_cannot_be_loaded_is_told_to_everybody(start, monkeypatch):
    def fail(**_):
        raise CheckpointError("There is no such checkpoint.")

    install(monkeypatch, fail)
    engine = start.LazyEngine({})
    engine.start()
    for _ in range(2):
        with pytest.raises(CheckpointError, match="no such checkpoint"):
            engine.info()


class Spaces:
    """Imitates `spaces` on ZeroGPU, as seen from outside: everything that is exchanged is pickled, only the results of
    generator functions arrive one by one, and errors arrive as another class.
    """

    def __init__(self) -> None:
        self.asked: list[int] = []

    def GPU(self, duration):  # noqa: N802
        def wrap(function):
            if not inspect.isgeneratorfunction(function):
                return lambda request: pickle.loads(pickle.dumps(function(request)))

            def lent(request):
                self.asked.append(duration(request))
                try:
                    for event in function(pickle.loads(pickle.dumps(request))):
                        yield pickle.loads(pickle.dumps(event))
                except Exception as error:
                    raise RuntimeError("ZeroGPU worker error") from error

            return lent

        return wrap


def test_on_zero_gpu_drawing_asks_for_a_gpu_for_as_long_as_it_takes(start, monkeypatch):
    spaces = Spaces()
    monkeypatch.setattr(start, "spaces", spaces)
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    fake = FakeEngine(delay=0.01)
    install(monkeypatch, lambda **_: fake)
    engine = start.LazyEngine({})
    engine.load()
    request = SampleRequest(lr=np.zeros((16, 16, 3), np.uint8), num_samples=2)
    assert sum(isinstance(event, SampleResult) for event in engine.sample(request)) == 2
    assert spaces.asked == [10]
    assert next(reference.kind for reference in engine.references(request)) == "bicubic"
    [sample, *_] = [event for event in engine.sample(request) if isinstance(event, SampleResult)]
    wish = ExploreRequest(lr=request.lr, recipe=sample.recipe, variants=((),))
    [variant] = [event for event in engine.explore(wish) if isinstance(event, Variant)]
    assert np.array_equal(variant.patch, sample.picture)
    assert spaces.asked[-1] == 22
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        list(engine.sample(request, cancel))
    fake.error = MemoryBudgetError("Too large for this machine.")
    with pytest.raises(MemoryBudgetError, match="Too large"):
        list(engine.sample(request))


def test_told_to_end_it_leaves_no_files(tmp_path):
    """As a container does."""
    code = (
        "import sys, runpy; sys.path[:0] = ['tests', '.']; sys.argv = ['app.py', '--no-mcp']\n"
        "from types import ModuleType; from fake_engine import FakeEngine\n"
        "engine = ModuleType('srflow.sampling.engine'); engine.SamplingEngine = lambda **_: FakeEngine()\n"
        "sys.modules['srflow.sampling.engine'] = engine\n"
        "runpy.run_path('app.py', run_name='__main__')"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path), "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("srflow-explorer/srflow-*/*/run-*/sample-08.png")):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        process.wait()
    finally:
        process.kill()
    assert not list(tmp_path.glob("srflow-explorer/*"))

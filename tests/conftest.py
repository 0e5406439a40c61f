"""Fixtures shared by several test modules: toy models with redrawn weights, and the path of the reference data."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from fake_engine import FakeEngine
from training_helpers import write_pictures

from srflow.flow.affine import AffineInjector, ConditionalAffineCoupling
from srflow.flow.conv_blocks import ZeroConv2d
from srflow.flow.split import Split
from srflow.model import SRFlow
from srflow.presets import PRESETS, ModelConfig

if TYPE_CHECKING:
    from app.session import Session
    from app.visitors import Sessions

SHARED = Path(__file__).resolve().parents[1].parent / "shared"

TOY_NAMES = tuple(PRESETS)


def toy_config(name: str) -> ModelConfig:
    """Return the preset with few and narrow layers; levels, splits and the kinds of blocks stay the same."""
    config = PRESETS[name]
    encoder = {"num_features": 4, "growth_channels": 2, "num_blocks": 3, "stacked_blocks": (0, 2)}
    steps = min(config.flow.steps_per_level, 2)
    splits = tuple(tuple(min(step, steps) for step in level[:1]) for level in config.flow.splits)
    flow = {
        "hidden_channels": 4,
        "steps_per_level": steps,
        "splits": splits,
        "projection_channels": 4 if config.flow.projection_channels else 0,
    }
    return config.resized(encoder=encoder, flow=flow)


@torch.no_grad()
def redraw_zero_convs(module: torch.nn.Module, run: Callable[[], object]) -> None:
    """Redraw weights that are initialised with zeros: with zeros every layer inverts trivially, whatever is wrong with
    it.

    `run` sends data through the module, during which each zero conv gets weights that fit its own input: shifts and
    log-scales then vary by about 0.1, whatever the width and depth before them.
    """
    targets: dict[torch.nn.Module, float] = {}
    for part in module.modules():
        if isinstance(part, Split):
            targets[part.prior] = 0.1
        elif isinstance(part, (AffineInjector, ConditionalAffineCoupling)):
            # d log sigmoid(s + 2) / ds is 0.12 at s = 0, so s must vary by more.
            targets[part.block.last] = 0.1 if part.log_scale_bound else 0.5

    def redraw(conv: ZeroConv2d, inputs: tuple[torch.Tensor]) -> None:
        conv.weight.normal_()
        conv.logs.normal_(std=0.1)
        response = torch.nn.functional.conv2d(inputs[0], conv.weight, padding=1)
        conv.weight /= response.square().mean().sqrt()
        conv.bias.normal_()
        # Half of the variance is over positions, half over channels: through 192 couplings in float32, the far tails of
        # a random network's response would multiply rounding errors beyond those of any trained network.
        half = conv.out_channels // 2
        for values in (conv.weight, conv.bias):
            values[:half] *= 0.1 / 2**0.5
            values[half:] *= targets[conv] / 2**0.5

    hooks = [conv.register_forward_pre_hook(redraw) for conv in targets]
    run()
    for hook in hooks:
        hook.remove()


def make_toy(name: str, dtype: torch.dtype = torch.float64, seed: int = 0, lr_size: tuple[int, int] = (4, 6)) -> SRFlow:
    """Return a toy model, zero convs redrawn, actnorms initialised from a batch of smooth noise, in eval mode."""
    torch.manual_seed(seed)
    model = SRFlow(toy_config(name)).to(dtype)
    initialise(model, lr_size)
    return model


def initialise(model: SRFlow, lr_size: tuple[int, int]) -> None:
    """Initialise actnorms from a batch and redraw zero convs for their inputs; leave the model in eval mode."""
    hr, lr = random_pair(model.scale_factor, lr_size, model.dtype)
    with torch.no_grad():
        redraw_zero_convs(model, lambda: model.train().log_prob(hr, lr))
    model.eval()


def random_pair(
    scale_factor: int, lr_size: tuple[int, int] = (4, 6), dtype: torch.dtype = torch.float64, batch: int = 2
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return hr and lr in [0, 1] of matching sizes."""
    height, width = lr_size
    hr = torch.rand(batch, 3, height * scale_factor, width * scale_factor, dtype=dtype)
    return hr, torch.nn.functional.avg_pool2d(hr, scale_factor)


def forget_accelerator() -> None:
    """Reset Accelerate's settings, which last as long as the process, so that a second run can have others."""
    if state := sys.modules.get("accelerate.state"):
        state.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module", autouse=True)
def _what_is_there_is_kept() -> None:
    """Freeze existing objects: Accelerate collects garbage at each end of a stage, which would scan all of torch."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _one_accelerator_a_test() -> Iterator[None]:
    yield
    forget_accelerator()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two training pictures, alone in its parent, which may also hold the cache. It must not change."""
    return write_pictures(tmp_path_factory.mktemp("data") / "pictures", [(80, 72), (64, 96)])


@pytest.fixture
def engine() -> FakeEngine:
    """The page's engine. Modules that test another one, or share one among their tests, define their own."""
    return FakeEngine()


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    """The page's sessions, with their files in a folder of the test."""
    from app.visitors import Sessions  # it imports Gradio, which most tests do not need

    sessions = Sessions(tmp_path / "roots")
    yield sessions
    sessions.close()


@pytest.fixture
def session(sessions: Sessions) -> Session:
    """A session of one visitor."""
    return sessions.open()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the repository; tests that need it are skipped if it is missing."""
    if not (SHARED / "golden" / "index.json").is_file():
        pytest.skip("the reference data is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def browser_path() -> str | None:
    """The browser for tests: the one that `scripts/ensure_browser.py` found; otherwise one on the PATH."""
    names = (os.environ.get("SRFLOW_BROWSER"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser(browser_path: str | None) -> Iterator[object]:
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """`torch.compile` without the C++ compiler, which takes minutes. It holds what was compiled.

    A graph that has to be split is an error here: in pieces it would run slower.
    """
    compiled, original = [], torch.compile

    def compile_without_inductor(function: object, **_: object) -> object:
        compiled.append(function)
        return original(function, backend="aot_eager", fullgraph=True)

    monkeypatch.setattr(torch, "compile", compile_without_inductor)
    yield compiled
    torch.compiler.reset()

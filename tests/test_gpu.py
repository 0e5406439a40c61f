"""Checks that need a GPU: `make test-gpu`. All other runs skip them.

SRFLOW_TEST_DEVICE names another device; on "cpu" those that need no CUDA show that the checks themselves work.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from conftest import make_toy
from training_helpers import TOY, stop_at, toy_recipe, write_pictures

from srflow.checkpoints.shipped import resolve_checkpoint
from srflow.contract import Notice, SampleRequest, SampleResult
from srflow.pictures import load_image
from srflow.sampling.engine import SamplingEngine
from srflow.training.trainer import Trainer

pytestmark = pytest.mark.gpu

DEVICE = os.environ.get("SRFLOW_TEST_DEVICE", "cuda")
ROOT = Path(__file__).resolve().parents[1]
SHIPPED = Path(resolve_checkpoint("srflow-da-r-x4-compact"))
LR = load_image(ROOT / "assets" / "examples" / "cat.png")[:48, :64]
PSNR = {"float32": 60.0, "bfloat16": 35.0, "float16": 45.0}  # dB between a picture and the CPU's in float32

needs_cuda = pytest.mark.skipif(DEVICE == "cpu", reason="is about CUDA")


@pytest.fixture(autouse=True)
def _one_accelerator_a_test():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def draw(device: str, dtype: str, lr: np.ndarray = LR, **options: object) -> tuple[list[np.ndarray], list[Notice]]:
    """Draw two samples of the shipped model; return them and the engine's notices."""
    events = list(SamplingEngine(device, dtype, [SHIPPED], **options).sample(SampleRequest(lr=lr, num_samples=2)))
    notices = [event for event in events if isinstance(event, Notice)]
    return [event.picture for event in events if isinstance(event, SampleResult)], notices


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


@pytest.mark.parametrize("dtype", list(PSNR))
def test_samples_are_those_of_the_cpu(dtype):
    if DEVICE == "cpu" and dtype == "float16":
        pytest.skip("float16 convolutions are for GPUs")
    ours, _ = draw(DEVICE, dtype)
    theirs, _ = draw("cpu", "float32")
    assert all(psnr(a, b) > PSNR[dtype] for a, b in zip(ours, theirs, strict=True))


def test_the_flow_inverts_there():
    model = make_toy("srflow-da-r-x4", torch.float32).to(DEVICE)
    lr, hr = torch.rand(1, 3, 16, 24, device=DEVICE), torch.rand(1, 3, 64, 96, device=DEVICE)
    with torch.inference_mode():
        conditioning = model.condition(lr)
        latents, _ = model.encode(hr, conditioning)
        assert (model.decode(latents, conditioning) - hr).abs().max() < 2e-3


@needs_cuda
def test_compiled_samples_are_those_of_the_plain_model():
    plain, _ = draw(DEVICE, "float32")
    compiled, _ = draw(DEVICE, "float32", compiled=True)
    assert all(psnr(a, b) > PSNR["float32"] for a, b in zip(compiled, plain, strict=True))


@needs_cuda
def test_a_picture_that_does_not_fit_is_drawn_in_tiles_with_the_same_pixels():
    lr = np.tile(LR, (8, 8, 1))
    whole, _ = draw(DEVICE, "float32", lr)
    needed = torch.cuda.max_memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.5 * needed / total)
    try:
        tiled, _ = draw(DEVICE, "float32", lr)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert all(np.abs(a.astype(int) - b).max() <= 2 for a, b in zip(tiled, whole, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize("low_memory", [False, True])
def test_every_stage_trains_and_goes_on(precision, low_memory, tmp_path):
    if DEVICE == "cpu" and precision == "fp16":
        pytest.skip("fp16 training needs a GPU")
    pytest.importorskip("timm")
    data = write_pictures(tmp_path / "pictures", [(80, 72), (64, 96)])
    recipe = toy_recipe(
        f"runtime.precision={precision}",
        f"runtime.low_memory={str(low_memory).lower()}",
        "finetuning={steps=4, batch_size=2, patch_size=48, warmup_steps=0, adversarial_weight=0.05}",
    )
    first = Trainer(recipe, data, tmp_path / "run", validation=data, cache=tmp_path)
    assert stop_at(first, 10).run() == "stopped"
    AcceleratorState._reset_state(reset_partial_state=True)
    again = Trainer(recipe, data, tmp_path / "run", validation=data, cache=tmp_path)
    assert again.run() == "finished"
    assert again.progress.step == 12
    assert all(torch.isfinite(parameter).all() for parameter in again.average.module.parameters())


@needs_cuda
def test_processes_share_a_batch_by_nccl(tmp_path):
    """Two where there are two GPUs; one joins a group of its own."""
    data = write_pictures(tmp_path / "pictures", [(80, 72), (64, 96)])
    count = min(torch.cuda.device_count(), 2)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command += ["-m", "srflow", "train", "srflow-da-r-x4-compact", *TOY, "--data", str(data)]
    command += ["--cache", str(tmp_path), "--output", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "run" / "last" / "model.safetensors").exists()

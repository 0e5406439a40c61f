"""Runs one request in a separate process: `python -m benchmarks.memory plain|engine CHECKPOINT HEIGHT WIDTH SAMPLES`.

It prints the peak memory (including the interpreter and PyTorch) before and after, in bytes, and the seconds.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from benchmarks.report import peak_bytes
from srflow.contract import SampleRequest, SampleResult
from srflow.images import to_tensor


def main(way: str, checkpoint: str, height: int, width: int, num_samples: int) -> None:
    """Draw samples of an artificial picture, with the plain method or with ours."""
    lr = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if way == "plain":
        from benchmarks.plain import PlainSampler
        from srflow.model import SRFlow

        model = SRFlow.from_pretrained(checkpoint)
        sampler = PlainSampler(model)
        before, started = peak_bytes(), time.perf_counter()
        for index in range(num_samples):
            latents = model.draw_latents(height, width, first_sample=index)
            sampler.sample(to_tensor(lr), list(latents * 0.0))
    else:
        from srflow.sampling.engine import SamplingEngine

        engine = SamplingEngine("cpu", checkpoints=[checkpoint])
        request = SampleRequest(lr=lr, num_samples=num_samples, temperature=0.0, summaries=False)
        before, started = peak_bytes(), time.perf_counter()
        results = [event for event in engine.sample(request) if isinstance(event, SampleResult)]
        assert len(results) == num_samples
    print(json.dumps({"before": before, "peak": peak_bytes(), "seconds": time.perf_counter() - started}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))

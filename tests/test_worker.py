"""Work in a thread of its own, and a device whose memory runs out."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from srflow.contract import Cancelled
from srflow.sampling.background import Channel, in_background
from srflow.sampling.inference import PreparedPicture
from srflow.sampling.worker import OutOfMemory, Worker


def nothing() -> None:
    pass


def test_events_come_in_order_and_then_the_error() -> None:
    def work(channel: Channel[int]) -> None:
        for number in range(20):
            channel.send(number)
        raise ValueError("at the end")

    events = in_background(work, "test")
    received = []
    with pytest.raises(ValueError, match="at the end"):
        received.extend(events)
    assert received == list(range(20))


def test_leaving_early_stops_the_work_and_waits_for_its_end() -> None:
    ended = threading.Event()

    def work(channel: Channel[int]) -> None:
        try:
            while True:
                channel.send(0)
        finally:
            time.sleep(0.05)
            ended.set()

    events = in_background(work, "test")
    assert next(events) == 0
    events.close()
    assert ended.is_set()


def test_an_offer_never_waits_and_a_worker_that_is_far_ahead_does() -> None:
    ahead = []
    offered = threading.Event()

    def work(channel: Channel[int]) -> None:
        for number in range(100):
            channel.offer(number)
        offered.set()
        for number in range(100, 200):
            channel.send(number)
            ahead.append(number)

    events = in_background(work, "test")
    first = next(events)
    assert offered.wait(600)  # although nobody takes the others
    time.sleep(0.2)
    assert first == 0
    assert len(ahead) < 50
    received = list(events)
    assert received[-100:] == list(range(100, 200))  # what was sent is all there; of what was offered, some


def test_nobody_listening_is_noticed_between_two_events() -> None:
    stopped = threading.Event()

    def work(channel: Channel[int]) -> None:
        channel.send(1)
        try:
            while True:
                channel.check()
                time.sleep(0.01)
        except Cancelled:
            stopped.set()
            raise

    events = in_background(work, "test")
    next(events)
    events.close()
    assert stopped.is_set()


class FullModel:
    """Runs out of memory the first times, by any of the errors that PyTorch has for it."""

    def __init__(self, times: int, error: RuntimeError) -> None:
        self.times, self.error, self.calls = times, error, 0

    def super_resolve(self, lr: torch.Tensor, _: object) -> torch.Tensor:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return lr


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_once_more_with_an_empty_cache_then_a_named_error(error: RuntimeError) -> None:
    lr = torch.rand(1, 3, 2, 2)

    worker = Worker(torch.device("cpu"), 10)
    worker.cache.put("picture", PreparedPicture([], 2, 2, None))
    assert torch.equal(worker.super_resolve(FullModel(1, error), lr, nothing), lr[0])
    assert "picture" not in worker.cache
    with pytest.raises(OutOfMemory):
        worker.super_resolve(FullModel(2, error), lr, nothing)
    # The device is free again.
    assert torch.equal(worker.super_resolve(FullModel(0, error), lr, nothing), lr[0])


def test_other_errors_are_not_taken_for_it() -> None:
    model = FullModel(1, RuntimeError("a defect"))
    with pytest.raises(RuntimeError, match="a defect"):
        Worker(torch.device("cpu"), 10).super_resolve(model, torch.rand(1, 3, 2, 2), nothing)
    assert model.calls == 1


def test_waiting_for_the_device_can_be_stopped() -> None:
    worker = Worker(torch.device("cpu"), 10)
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        def super_resolve(self, lr: torch.Tensor, _: object) -> torch.Tensor:
            entered.set()
            leave.wait()
            return lr

    thread = threading.Thread(target=lambda: worker.super_resolve(Slow(), torch.rand(1, 3, 2, 2), nothing))
    thread.start()
    entered.wait()

    def stop() -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        worker.super_resolve(Slow(), torch.rand(1, 3, 2, 2), stop)
    leave.set()
    thread.join()

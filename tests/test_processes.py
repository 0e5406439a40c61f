"""Joining processes; what two of them do together is tested with the commands."""

from datetime import timedelta
from types import SimpleNamespace

import accelerate
import pytest
import torch

from srflow.contract import InputError
from srflow.processes import join_processes, processes_started

COUNTS = ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"]


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    for name in COUNTS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", COUNTS)
def test_the_launcher_says_how_many_there_are(monkeypatch, name):
    assert processes_started() == 1
    monkeypatch.setenv(name, "")
    assert processes_started() == 1
    monkeypatch.setenv(name, "3")
    assert processes_started() == 3


def test_processes_that_would_each_run_alone_are_refused(monkeypatch):
    """They would all do the same, in the same folder."""
    alone = SimpleNamespace(num_processes=1, device=torch.device("mps"))
    monkeypatch.setattr(accelerate, "PartialState", lambda **_options: alone)
    assert join_processes() is alone
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(InputError, match=r"4 processes.*joins 1 .*mps.*torchrun"):
        join_processes()


def test_processes_wait_for_each_other_as_long_as_decoding_a_data_set_may_take(monkeypatch):
    """One decodes the pictures, and the others are at a barrier; the default ends them after minutes."""
    given = []

    def joined(**options):
        given.append(options.get("timeout"))
        return SimpleNamespace(num_processes=processes_started(), device=torch.device("cpu"))

    monkeypatch.setattr(accelerate, "PartialState", joined)
    join_processes()
    monkeypatch.setenv("WORLD_SIZE", "2")
    join_processes()
    assert given[0] is None  # one process joins no group
    assert given[1] > timedelta(hours=1)


@pytest.mark.parametrize(
    ("has_gpu", "asked", "environment", "expected"),
    [
        (True, False, "", False),
        (True, True, "", True),
        (True, False, "true", True),
        (False, False, "", True),
    ],
)
def test_a_gpu_is_used_where_there_is_one_unless_refused(monkeypatch, has_gpu, asked, environment, expected):
    chosen = []
    monkeypatch.setattr(accelerate, "PartialState", lambda cpu: chosen.append(cpu) or SimpleNamespace(num_processes=1))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_gpu)
    monkeypatch.setenv("ACCELERATE_USE_CPU", environment or "false")
    join_processes(cpu=asked)
    assert chosen == [expected]

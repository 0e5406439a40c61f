"""How requests are planned: no tiles if it fits, tiles otherwise, files if results do not fit, or a named error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from srflow.contract import MemoryBudgetError
from srflow.model import SRFlow
from srflow.sampling import hardware
from srflow.sampling.planning import _SLACK, Footprint, Plan, make_plan

FOOTPRINT = Footprint(kept=1000, conditioning=500, decoding=400)


def plan(height: int = 64, width: int = 64, **changes: Any) -> Plan:
    settings: dict[str, Any] = {
        "scale": 4,
        "multiple": 1,
        "num_samples": 4,
        "rounds": 5,
        "summaries": False,
        "tile": None,
        "limit": 10**9,
        "piece_limit": 10**8,
        "is_cpu": False,
    }
    return make_plan(FOOTPRINT, (height, width), **(settings | changes))


def test_a_picture_that_fits_is_made_in_one_piece_and_all_samples_together() -> None:
    made = plan()
    assert len(made.grid) == 1
    assert made.grid.tile == 0
    assert made.batch == 4
    assert not made.on_disk


def test_a_larger_one_is_cut_into_the_largest_tiles_that_fit() -> None:
    made = plan(1000, 1000)
    rows, columns = made.grid.largest
    assert 1500 * rows * columns <= 10**8
    larger = plan(1000, 1000, piece_limit=4 * 10**8)
    assert len(larger.grid) < len(made.grid)
    assert larger.kept_bytes < made.kept_bytes  # fewer margins


def test_a_strip_of_pixels_need_not_be_cut_into_small_tiles() -> None:
    assert plan(1, 50_000).grid.tile == 0
    assert plan(1, 10**6, limit=10**10).grid.tile == 4096


def test_batches_are_as_large_as_memory_allows() -> None:
    pixels = 64 * 64
    assert plan(piece_limit=pixels * 1000 + pixels * 400 * 2 + 1).batch == 2
    assert plan(num_samples=100).batch == 16
    # On a CPU, samples of this size keep all cores busy one by one; small ones do not.
    assert plan(is_cpu=True).batch == 1
    assert plan(8, 8, is_cpu=True).batch == 4


def test_results_that_do_not_fit_go_to_files() -> None:
    size = 2000
    samples = 3 * 4 * (size * 4) ** 2
    made = plan(size, size, limit=samples)
    assert made.on_disk
    assert made.result_bytes == samples
    assert made.num_bytes <= samples
    assert not plan(size, size, limit=5 * samples).on_disk


def test_of_many_samples_as_many_are_begun_as_have_room() -> None:
    roomy, tight = plan(2000, 2000, limit=10**10), plan(2000, 2000, limit=15 * 10**8)
    assert roomy.group == 4
    assert 1 <= tight.group < 4
    assert tight.batch <= tight.group
    assert tight.num_bytes <= 15 * 10**8


def test_what_does_not_fit_in_the_smallest_tiles_is_refused_with_numbers() -> None:
    with pytest.raises(MemoryBudgetError, match=r"2000x2000 at x4.*free.*smaller region.*fewer samples"):
        plan(2000, 2000, limit=10**6)
    with pytest.raises(MemoryBudgetError, match="tile 512"):
        plan(2000, 2000, tile=512, limit=10**8)


def test_tiles_that_were_asked_for_may_take_all_there_is() -> None:
    made = plan(2000, 2000, tile=512, piece_limit=1, limit=10**10)
    assert made.grid.tile == 512


def test_smaller_tiles_after_memory_ran_out() -> None:
    sides = [max(plan(200, 200).grid.largest)]
    while True:
        try:
            sides.append(max(plan(200, 200, smaller_than=sides[-1]).grid.largest))
        except MemoryBudgetError:
            break
    assert sides == sorted(set(sides), reverse=True)
    assert len(sides) > 2


@pytest.mark.parametrize("name", ["srflow-da-r-x4-compact", "srflow-da-x4", "srflow-x4", "srflow-da-s-x8"])
def test_footprint_counts_what_conditioning_keeps(name: str) -> None:
    from srflow.sampling.inference import InferenceModel

    model = SRFlow.from_preset(name)
    for dtype in (torch.float32, torch.bfloat16):
        expected = Footprint.of(model, dtype).kept
        # Measured without the slack that is added for allocators.
        if dtype is torch.bfloat16:
            prepared = InferenceModel(model, dtype).condition(torch.rand(1, 3, 8, 8), lambda: None)
            assert prepared.num_bytes() / 64 == pytest.approx(expected / _SLACK, rel=0.02)
        else:
            assert expected > Footprint.of(model, torch.bfloat16).kept


@pytest.fixture
def cgroup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(hardware, "_CGROUPS", tmp_path)
    monkeypatch.setattr(hardware, "_OWN_CGROUP", tmp_path / "self")
    (tmp_path / "self").write_text("0::/outer/inner\n")
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    return tmp_path


def limit_group(folder: Path, limit: str, usage: int, cached: int = 0) -> None:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def test_what_torch_keeps_on_a_gpu_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("mem_get_info", (10**9, 8 * 10**9)),
        ("memory_reserved", 5 * 10**9),
        ("memory_allocated", 2 * 10**9),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    assert hardware.memory_limit(torch.device("cuda")) == int(0.7 * 4 * 10**9)


def test_the_memory_limit_is_that_of_the_tightest_control_group(cgroup: Path) -> None:
    cpu = torch.device("cpu")
    free = hardware.memory_limit(cpu)
    assert free > 10**7
    limit_group(cgroup / "outer" / "inner", "max", 0)
    assert hardware.memory_limit(cpu) > 10**7
    limit_group(cgroup / "outer", "3000000", 1500000, cached=500000)
    assert hardware.memory_limit(cpu) == int(0.7 * 2000000)
    limit_group(cgroup / "outer" / "inner", "1000000", 900000)
    assert hardware.memory_limit(cpu) == int(0.7 * 100000)


def test_control_groups_of_version_1_and_paths_of_the_host(cgroup: Path) -> None:
    (cgroup / "self").write_text("5:cpu,memory:/of/the/host\n1:name=systemd:/\n")
    folder = cgroup / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("1000000")
    (folder / "memory.usage_in_bytes").write_text("600000")
    (folder / "memory.stat").write_text("total_inactive_file 100000\n")
    assert hardware.memory_limit(torch.device("cpu")) == int(0.7 * 500000)

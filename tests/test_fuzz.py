"""A fixed sample of the fuzz run: see benchmarks/fuzz.py, which makes thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fuzz

_TRIALS = [("pictures", 240), ("checkpoints", 60), ("configs", 120), ("headers", 120)]


@pytest.mark.filterwarnings("ignore")  # Pillow and torch speak of damages that they can read past
@pytest.mark.parametrize(("kind", "count"), _TRIALS)
def test_mutated_files_are_read_or_refused(kind: str, count: int, tmp_path: Path) -> None:
    outcomes = [fuzz.TRIALS[kind](number, tmp_path) for number in range(count)]
    assert {"read", "refused"} == set(outcomes)
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def test_the_good_files_are_good(tmp_path: Path) -> None:
    for content in fuzz.picture_seeds():
        assert fuzz.read_picture(content).pixels.shape in ((24, 40, 3), (40, 24, 3))
    for content in fuzz.checkpoint_seeds():
        (tmp_path / "a.pth").write_bytes(content)
        fuzz.convert(fuzz.read_released(tmp_path / "a.pth"), "a.pth")

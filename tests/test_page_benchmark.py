"""The page's benchmark, once with the fake engine: it finds what it clicks, and knows when that has come."""

from __future__ import annotations

import psutil
import pytest
import test_app_explore as explore

from benchmarks.page import measure

pytestmark = [pytest.mark.browser, pytest.mark.slow]

engine, url = explore.engine, explore.url


def test_every_row_is_measured(browser, url, engine):
    engine.delay = 0.05  # so that there is something to stop
    rows = list(measure(browser, url, psutil.Process(), repeats=1, runs=2, visitors=2))
    engine.delay = 0.0
    assert len({what for what, *_ in rows}) == len(rows) == 17
    assert all(any(digit in value for digit in "0123456789") for _, value, _ in rows)
    assert any(request.num_samples == 16 for request in engine.requests)
    assert {request.temperature for request in engine.requests} >= {0.5, 0.8}
    kinds = {type(variant[0]).__name__ for asked in engine.explored for variant in asked.variants if variant}
    assert kinds == {"Reroll", "Heat"}

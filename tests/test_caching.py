"""A cache of bounded size: what is kept, what goes first, and what is too large for it."""

from __future__ import annotations

import threading

import pytest

from srflow.caching import LRUCache


def test_the_least_recently_used_goes_first() -> None:
    cache: LRUCache[str] = LRUCache(3)
    for key in "abc":
        cache.put(key, key)
    assert cache.get("a") == "a"
    cache.put("d", "d")
    assert [key in cache for key in "abcd"] == [True, False, True, True]
    assert cache.get("b") is None
    assert cache.total == 3


def test_sizes_are_added_up_and_room_is_made_for_large_values() -> None:
    cache: LRUCache[bytes] = LRUCache(10, len)
    for key in range(5):
        cache.put(key, bytes(2))
    assert cache.total == 10
    cache.put("large", bytes(5))
    assert cache.total == 9
    assert [key in cache for key in range(5)] == [False, False, False, True, True]


@pytest.mark.parametrize(("max_share", "largest"), [(1.0, 10), (0.2, 2)])
def test_a_value_that_is_too_large_pushes_nothing_out(max_share: float, largest: int) -> None:
    cache: LRUCache[bytes] = LRUCache(10, len, max_share)
    cache.put("small", b"1")
    cache.put("large", bytes(largest + 1))
    assert "small" in cache
    assert "large" not in cache
    cache.put("fits", bytes(largest))
    assert "fits" in cache


def test_what_is_there_stays_as_it_is() -> None:
    """Two threads may compute the same; whoever has taken the first one keeps seeing that."""
    cache: LRUCache[str] = LRUCache(2)
    cache.put("a", "first")
    cache.put("b", "b")
    cache.put("a", "second")
    assert cache.get("a") == "first"
    assert cache.total == 2


def test_values_can_be_forgotten() -> None:
    cache: LRUCache[bytes] = LRUCache(10, len)
    for key in range(1, 4):
        cache.put(key, bytes(key))
    cache.discard(lambda value: len(value) == 2)
    assert (2 in cache, cache.total) == (False, 4)
    cache.clear()
    assert (1 in cache, cache.total) == (False, 0)


def test_many_threads_leave_the_sum_right() -> None:
    cache: LRUCache[bytes] = LRUCache(100, len)

    def work(seed: int) -> None:
        for number in range(2000):
            cache.put((seed * number) % 37, bytes(number % 23))
            cache.get(number % 37)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.total == sum(len(cache.get(key) or b"") for key in range(37)) <= 100

"""The cache of what was read: bounded by bytes, the newest is kept, one thread reads for all."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgcls_lab.memory_cache import Cache


def test_what_was_used_last_stays_and_the_newest_in_any_case() -> None:
    cache, made = Cache(10), list[str]()

    def get(key: str, size: int) -> str:
        return cache.get(("kind", key), lambda: made.append(key) or key, lambda _: size)  # type: ignore[func-returns-value]

    get("a", 4), get("b", 4), get("a", 4)
    assert made == ["a", "b"]
    get("c", 4)
    assert (get("a", 4), cache.nbytes) == ("a", 8)
    assert made == ["a", "b", "c"]
    get("huge", 99)
    assert (get("huge", 99), cache.nbytes) == ("huge", 99)
    assert made[-1] == "huge"
    get("b", 4)
    assert cache.nbytes == 4


def test_the_newest_of_each_kind_stays() -> None:
    cache, made = Cache(10), list[str]()

    def get(kind: str, key: str) -> str:
        return cache.get((kind, key), lambda: made.append(key) or key, lambda _: 8)  # type: ignore[func-returns-value]

    get("table", "a"), get("images", "b"), get("table", "a"), get("images", "b")
    assert made == ["a", "b"]
    get("table", "c"), get("images", "b")
    assert (made, cache.nbytes) == (["a", "b", "c"], 16)


def test_one_thread_reads_for_all_that_ask_and_a_failure_is_tried_again() -> None:
    cache, calls = Cache(10), list[int]()

    def make() -> str:
        calls.append(1)
        time.sleep(0.05)
        if len(calls) == 1:
            raise OSError("no")
        return "value"

    with pytest.raises(OSError, match="no"):
        cache.get(("key",), make, lambda _: 1)
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(cache.get, ("key",), make, lambda _: 1) for _ in range(4)]
        assert [each.result() for each in found] == ["value"] * 4
    assert len(calls) == 2

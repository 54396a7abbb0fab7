"""What is cached can be listed and cleared."""

from __future__ import annotations

import json

import numpy as np

from cli.conftest import Command
from imgcls_lab.engine.data.image_cache import CacheKey, DiskCache
from imgcls_lab.settings import Settings


def test_cache_is_listed_and_cleared(imgcls: Command, idle: Settings) -> None:
    assert "Nothing is cached" in imgcls("cache", "list").out
    found = DiskCache(idle.cache_path, CacheKey("/data/birds", (8, 8), "plainly"), 2)
    for number in range(2):
        found.put(number, np.full(4, number, np.uint64), np.zeros((8, 8, 3), np.uint8))
    found.flush()
    assert "/data/birds" in imgcls("cache", "list").out
    (entry,) = json.loads(imgcls("cache", "list", "--json").out)
    assert (entry["kind"], entry["images"], entry["shape"]) == ("pixels", 2, [8, 8])
    assert json.loads(imgcls("cache", "clear", "--json").out) == {"freed_bytes": entry["size"]}
    assert json.loads(imgcls("cache", "list", "--json").out) == []

"""The processes that decode pictures: one that dies or hangs is replaced, and only its image gets no picture."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import DataError
from imgcls_lab.thumbnails import cache
from imgcls_lab.thumbnails.cache import ThumbnailCache
from imgcls_lab.thumbnails.pool import GivenUpError, ThumbnailPool


@pytest.fixture
def pool() -> Iterator[ThumbnailPool]:
    pool = ThumbnailPool(1, timeout=5)
    yield pool
    pool.close()


@pytest.fixture
def found(tmp_path: Path) -> FoundImage:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    return FoundImage(str(tmp_path), "a.png", hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest())


def worker() -> psutil.Process:
    (process,) = [child for child in psutil.Process().children() if "imgcls_lab.thumbnails.worker" in child.cmdline()]
    return process


@pytest.mark.parametrize(("sent", "reason"), [(signal.SIGKILL, None), (signal.SIGSTOP, "too_slow")])
def test_a_process_that_ended_or_hangs_is_replaced(
    pool: ThumbnailPool, found: FoundImage, sent: signal.Signals, reason: str | None
) -> None:
    first = pool.picture(found, 64)
    process = worker()
    os.kill(process.pid, sent)
    if sent is signal.SIGKILL:
        process.wait(5)
        assert pool.picture(found, 64) == first
    else:
        with pytest.raises(DataError) as refused:
            pool.picture(found, 64)
        assert refused.value.reason == reason
        assert pool.picture(found, 64) == first
    assert worker().pid != process.pid


def test_a_picture_that_nobody_wants_any_more_is_not_made(pool: ThumbnailPool, found: FoundImage) -> None:
    with pytest.raises(GivenUpError):
        pool.picture(found, 64, lambda: True)
    assert not psutil.Process().children()


def test_pictures_are_kept_up_to_a_limit_the_newest_last(tmp_path: Path) -> None:
    pictures = ThumbnailCache(tmp_path, 1000)
    names = [hashlib.sha256(bytes([number])).hexdigest() for number in range(12)]
    for number, name in enumerate(names):
        pictures.put(name, 64, b"x" * 100)
        os.utime(tmp_path / cache.FOLDER / name[:2] / f"{name}-64.webp", (number, number))
    assert cache.usage(tmp_path).size <= 1000
    assert pictures.get(names[-1], 64) == b"x" * 100
    assert pictures.get(names[0], 64) is None
    assert cache.clear(tmp_path) > 0
    assert cache.usage(tmp_path).pictures == 0

"""The processes that decode pictures: one that dies or hangs is replaced, and only its image gets no picture."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from imgcls_lab import images, patience
from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import BusyError, DataError, ImgclsError
from imgcls_lab.thumbnails import cache, worker
from imgcls_lab.thumbnails.cache import ThumbnailCache
from imgcls_lab.thumbnails.pool import GivenUpError, ThumbnailPool


@pytest.fixture
def pool() -> Iterator[ThumbnailPool]:
    pool = ThumbnailPool(1, cpu_seconds=5, clock_seconds=5)
    yield pool
    pool.close()


@pytest.fixture
def found(tmp_path: Path) -> FoundImage:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    return FoundImage(str(tmp_path), "a.png", hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest())


def worker_process() -> psutil.Process:
    (process,) = worker_processes()
    return process


def worker_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "imgcls_lab.thumbnails.worker" in child.cmdline()]


@contextlib.contextmanager
def each_process_gets(number: signal.Signals) -> Iterator[set[int]]:
    """Every process that decodes gets this signal as soon as it is there; their pids."""
    hit: set[int] = set()
    over = threading.Event()

    def hunt() -> None:
        while not over.wait(0.005):
            with contextlib.suppress(psutil.Error):  # it ended meanwhile
                for process in worker_processes():
                    if process.pid not in hit:
                        process.send_signal(number)
                        hit.add(process.pid)

    thread = threading.Thread(target=hunt)
    thread.start()
    try:
        yield hit
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_an_image_whose_process_is_killed_or_hangs_is_tried_once_more(
    pool: ThumbnailPool, found: FoundImage, sent: signal.Signals
) -> None:
    first = pool.picture(found, 64)
    process = worker_process()
    os.kill(process.pid, signal.SIGSTOP)  # so that it has not answered when it is killed
    late = threading.Timer(0.5, os.kill, (process.pid, sent))
    late.start()
    assert pool.picture(found, 64) == first
    late.join()
    assert worker_process().pid != process.pid


@pytest.mark.parametrize(
    ("sent", "kind", "reason"), [(signal.SIGKILL, DataError, "crashed"), (signal.SIGSTOP, BusyError, "hangs")]
)
def test_an_image_that_ends_two_processes_gets_a_sentence_and_the_next_one_a_picture(
    found: FoundImage, sent: signal.Signals, kind: type[ImgclsError], reason: str
) -> None:
    pool = ThumbnailPool(1, clock_seconds=1.5)
    try:
        with each_process_gets(sent) as hit, pytest.raises(kind) as refused:
            pool.picture(found, 64)
        assert (refused.value.reason, len(hit)) == (reason, 2)
        assert pool.picture(found, 64)
    finally:
        pool.close()


def test_time_that_a_loaded_machine_does_not_give_is_not_counted(found: FoundImage) -> None:
    pool = ThumbnailPool(1, cpu_seconds=0.5, clock_seconds=60)
    try:
        first = pool.picture(found, 64)
        process = worker_process()
        process.suspend()
        late = threading.Timer(2.5, process.resume)
        late.start()
        assert pool.picture(found, 64) == first
        assert worker_process().pid == process.pid, "the process that waited has answered"
    finally:
        late.join()
        pool.close()


def test_an_image_that_takes_too_much_computing_is_not_tried_again(
    found: FoundImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_LOOK", 0.01)
    pool = ThumbnailPool(1, cpu_seconds=0.02)  # less than the imports take
    try:
        with pytest.raises(DataError) as refused:
            pool.picture(found, 64)
        assert refused.value.reason == "too_slow"
        assert worker_processes() == []
    finally:
        pool.close()


SIZE = (300, 200)
UPRIGHT = Image.Exif()
UPRIGHT[0x0112] = 6  # turned by 90 degrees


@pytest.mark.parametrize(
    ("name", "image", "options", "shape"),
    [
        ("cmyk.jpg", Image.new("CMYK", SIZE, (10, 200, 150, 20)), {}, (256, 171)),
        ("turned.jpg", Image.new("RGB", SIZE, "green"), {"exif": UPRIGHT}, (171, 256)),
        ("deep.png", Image.new("I;16", SIZE, 40_000), {}, (256, 171)),
        ("clear.png", Image.new("RGBA", SIZE, (255, 0, 0, 100)), {}, (256, 171)),
        ("palette.gif", Image.new("RGB", SIZE, "blue").quantize(8), {}, (256, 171)),
        ("small.png", Image.new("RGB", (20, 10), "red"), {}, (20, 10)),
    ],
)
def test_a_picture_has_the_colours_that_training_sees(
    tmp_path: Path, name: str, image: Image.Image, options: dict[str, Any], shape: tuple[int, int]
) -> None:
    image.save(tmp_path / name, **options)
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    with Image.open(io.BytesIO(worker.picture(str(tmp_path), name, digest, 256))) as shown:
        assert shown.size == shape
        pixel = np.asarray(shown.convert("RGB"))[5, 5].astype(int)
    assert np.abs(pixel - images.decode(str(tmp_path / name))[5, 5]).max() <= 4


def test_a_picture_that_nobody_wants_any_more_is_not_made(pool: ThumbnailPool, found: FoundImage) -> None:
    before = psutil.Process().children()
    with pytest.raises(GivenUpError):
        pool.picture(found, 64, lambda: True)
    assert psutil.Process().children() == before, "no process was started for it"


def test_pictures_are_kept_up_to_a_limit_the_newest_last(tmp_path: Path) -> None:
    pictures, content = ThumbnailCache(tmp_path, 1000), b"RIFF\x5c\0\0\0" + b"x" * 92
    names = [hashlib.sha256(bytes([number])).hexdigest() for number in range(12)]
    for number, name in enumerate(names):
        pictures.put(name, 64, content)
        os.utime(tmp_path / cache.FOLDER / name[:2] / f"{name}-64.webp", (number, number))
    assert cache.usage(tmp_path).size <= 1000
    assert pictures.get(names[-1], 64) == content
    assert pictures.get(names[0], 64) is None
    assert cache.clear(tmp_path) > 0
    assert cache.usage(tmp_path).pictures == 0


def test_a_picture_of_which_a_part_is_lost_counts_as_none(tmp_path: Path) -> None:
    pictures, name = ThumbnailCache(tmp_path, 10**6), "ab" * 32
    content = worker.encode(np.zeros((30, 40, 3), np.uint8), 64)
    pictures.put(name, 64, content)
    (path,) = (tmp_path / cache.FOLDER / "ab").iterdir()
    assert (path.stat().st_mode & 0o777, pictures.get(name, 64)) == (0o600, content)
    for part in (b"", content[:-10], bytes(len(content))):
        path.write_bytes(part)
        assert pictures.get(name, 64) is None


def test_the_cache_neither_reads_nor_writes_nor_clears_behind_a_link(tmp_path: Path) -> None:
    own, name = tmp_path / "photos", hashlib.sha256(b"a").hexdigest()
    own.mkdir()
    (own / "holiday.webp").write_bytes(b"mine")
    (tmp_path / cache.FOLDER).mkdir()
    (tmp_path / cache.FOLDER / name[:2]).symlink_to(own)
    pictures = ThumbnailCache(tmp_path, 10)
    pictures.put(name, 64, b"x" * 100)
    pictures.put(hashlib.sha256(b"b").hexdigest(), 64, b"x" * 100)  # makes room
    assert cache.usage(tmp_path).pictures <= 1
    cache.clear(tmp_path)
    assert [path.name for path in own.iterdir()] == ["holiday.webp"]


@pytest.mark.parametrize("what", ["cache", "pictures", "a link"])
def test_no_picture_is_taken_from_a_place_where_others_can_put_one(tmp_path: Path, what: str) -> None:
    """Another user puts a picture of his own under the name of an image, or a link under that of a folder."""
    name, content = hashlib.sha256(b"a").hexdigest(), worker.encode(np.zeros((30, 40, 3), np.uint8), 64)
    place = tmp_path / "cache"
    place.mkdir()
    ThumbnailCache(place, 10**6).put(name, 64, content)
    given = place
    if what == "a link":
        (tmp_path / "open").mkdir(mode=0o777)
        (tmp_path / "open").chmod(0o777)
        (tmp_path / "open" / "cache").symlink_to(place)
        given = tmp_path / "open" / "cache"
    else:
        (place if what == "cache" else place / cache.FOLDER).chmod(0o777)
    pictures = ThumbnailCache(given, 10**6)
    assert pictures.get(name, 64) is None
    pictures.put("cd" * 32, 64, content)
    assert cache.usage(place).pictures == 1


def test_a_picture_that_is_too_large_is_made_anew(tmp_path: Path) -> None:
    pictures, name = ThumbnailCache(tmp_path, 1000), hashlib.sha256(b"a").hexdigest()
    pictures.put(name, 64, b"x")
    os.truncate(tmp_path / cache.FOLDER / name[:2] / f"{name}-64.webp", 2**33)  # sparse
    assert pictures.get(name, 64) is None

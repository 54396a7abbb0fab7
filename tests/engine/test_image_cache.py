"""Decoded images on disk: shared by runs, safe with several that fill it, bounded, without effect on results."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgcls_lab import cache_eviction, row_file
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.data import file_inspection, image_set
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.data.image_cache import CacheKey, DiskCache
from imgcls_lab.errors import DiskFullError, UnsafeFolderError

from .conftest import curve, of_type, same_files

Make = Callable[..., TrainConfig]
FACTS = CacheKey("/data", (4, 4), "plainly")


def shared_in(folder: Path, limit: int = 10**9) -> CacheLocations:
    return CacheLocations(folder / "scans", folder / "cache", folder / "compiled", limit)


def digest(number: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.array([number * 7919, 1, 2, 3], np.uint64)


def image(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((4, 4, 3), number, np.uint8)


def fill(folder: Path, numbers: range) -> DiskCache:
    """A cache of images that are their own number, looked up before they are put."""
    found = DiskCache(folder, FACTS, len(numbers))
    for place, number in enumerate(numbers):
        found.rows[place] = found.row(digest(number))
        if found.rows[place] < 0:
            found.put(place, digest(number), image(number))
    found.flush()
    return found


def holds(found: DiskCache, numbers: range) -> bool:
    return bool((found.pixels()[found.rows] == np.arange(numbers.start, numbers.stop)[:, None, None, None]).all())


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("augmentation", ["light", "standard"])
def test_results_are_bit_equal_wherever_images_are_kept(make_config: Make, tmp_path: Path, augmentation: str) -> None:
    for where in ("off", "ram", "disk", "auto"):
        train(
            make_config(cache=where, augmentation=augmentation), tmp_path / where, cache_locations=shared_in(tmp_path)
        )
        assert curve(tmp_path / where) == curve(tmp_path / "off")
        for name in ("model.safetensors", "training_state.safetensors"):
            assert same_files(tmp_path / where / "checkpoints/last", tmp_path / "off/checkpoints/last", name)


def test_the_next_run_decodes_nothing(make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = file_inspection.decode_sized
    monkeypatch.setattr(
        file_inspection, "decode_sized", lambda *a, name, **k: decoded.append(name) or decode(*a, name=name, **k)
    )
    monkeypatch.setattr(image_set, "decode_sized", lambda *_a, **_k: pytest.fail("an image was decoded in an epoch"))
    train(make_config(cache="auto"), tmp_path / "one", cache_locations=shared_in(tmp_path))
    assert len(decoded) == 160
    train(make_config(cache="auto"), tmp_path / "two", cache_locations=shared_in(tmp_path))
    assert len(decoded) == 160
    assert curve(tmp_path / "one") == curve(tmp_path / "two")
    assert sum(entry.images for entry in cache_eviction.entries(tmp_path / "cache")) == 160


def test_a_changed_file_is_decoded_anew(make_config: Make, digits: Path, tmp_path: Path) -> None:
    config = make_config(root=str(digits), cache="disk")
    train(config, tmp_path / "before", cache_locations=shared_in(tmp_path))
    for file in (digits / "train/digit-1").iterdir():
        Image.new("RGB", (16, 16), (int(file.stem), 0, 200)).save(file)
    train(config, tmp_path / "after", cache_locations=shared_in(tmp_path))
    train(config.with_changes(cache="off"), tmp_path / "plain")
    assert curve(tmp_path / "after") == curve(tmp_path / "plain") != curve(tmp_path / "before")


def test_images_of_other_size_or_reading_are_apart(make_config: Make, tmp_path: Path) -> None:
    for name, changes in (("a", {"image_size": 24}), ("b", {"augmentation": "standard"}), ("c", {"image_size": 16})):
        train(make_config(cache="disk", epochs=1, **changes), tmp_path / name, cache_locations=shared_in(tmp_path))
    edges = sorted(max(entry.shape) for entry in cache_eviction.entries(tmp_path / "cache"))
    assert edges == [16, 16, 16, 24, 24]  # train as it is, train to crop from, val; train and val in 24 px


def test_a_run_goes_on_where_the_disk_is_full(make_config: Make, tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_file, "_write", full)
    train(make_config(cache="disk"), tmp_path / "run", cache_locations=shared_in(tmp_path))
    assert any("No space left" in notice.text for notice in of_type(tmp_path / "run", "notice"))
    train(make_config(cache="off"), tmp_path / "plain")
    assert curve(tmp_path / "run") == curve(tmp_path / "plain")


def test_a_cache_that_does_not_fit_is_refused_or_done_without(make_config: Make, tmp_path: Path) -> None:
    tight = shared_in(tmp_path, limit=1000)
    with pytest.raises(DiskFullError, match="IMGCLS_CACHE_GB"):
        train(make_config(cache="disk"), tmp_path / "refused", cache_locations=tight)
    outcome: Outcome = train(make_config(cache="auto", epochs=1), tmp_path / "auto", cache_locations=tight)
    assert outcome.step > 0
    assert cache_eviction.entries(tmp_path / "cache") == []


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_rows_are_found_again_and_added_once(tmp_path: Path) -> None:
    first, second = fill(tmp_path, range(50)), fill(tmp_path, range(20, 80))
    assert holds(first, range(50))
    assert holds(second, range(20, 80))
    assert [entry.images for entry in cache_eviction.entries(tmp_path)] == [80]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


def test_two_that_fill_at_once_share_what_they_write(tmp_path: Path) -> None:
    one, other = DiskCache(tmp_path, FACTS, 40), DiskCache(tmp_path, FACTS, 40)
    for start in range(0, 40, 10):
        for found in (one, other):
            for number in range(start, start + 10):
                found.put(number, digest(number), image(number))
            found.flush()
    assert holds(one, range(40))
    assert holds(other, range(40))
    assert [entry.images for entry in cache_eviction.entries(tmp_path)] == [40]


def test_many_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    def work(start: int) -> None:
        for _ in range(20):
            assert holds(fill(tmp_path, range(start, start + 100)), range(start, start + 100))

    started = [multiprocessing.get_context("fork").Process(target=work, args=(start,)) for start in (0, 30, 60, 90)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 4
    assert holds(fill(tmp_path, range(190)), range(190))
    assert [entry.images for entry in cache_eviction.entries(tmp_path)] == [190]


def test_what_a_crash_left_half_written_is_not_believed(tmp_path: Path) -> None:
    fill(tmp_path, range(10))
    (facts,) = tmp_path.glob("*.json")
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "boot": "another"}))
    assert len(cache_eviction.entries(tmp_path)) == 1
    assert fill(tmp_path, range(10)).rows.tolist() == list(range(10))  # all checksums hold: kept
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "boot": "another"}))
    with facts.with_suffix(".rows").open("r+b") as rows:
        rows.seek(5 * FACTS.row_bytes)
        rows.write(b"\0" * FACTS.row_bytes)
    assert holds(fill(tmp_path, range(3, 12)), range(3, 12))
    assert [entry.images for entry in cache_eviction.entries(tmp_path)] == [9]  # begun anew


@pytest.mark.parametrize("cut", [".rows", ".index"])
def test_a_file_that_was_cut_off_is_begun_anew_or_ends_earlier(tmp_path: Path, cut: str) -> None:
    fill(tmp_path, range(10))
    (facts,) = tmp_path.glob("*.json")
    os.truncate(facts.with_suffix(cut), facts.with_suffix(cut).stat().st_size - 7)
    assert holds(fill(tmp_path, range(12)), range(12))
    assert holds(fill(tmp_path, range(12)), range(12))


def test_cleared_while_a_run_reads_it_stays_for_that_run(tmp_path: Path) -> None:
    found = fill(tmp_path, range(30))
    pixels = found.pixels()
    assert cache_eviction.clear(tmp_path) == 30 * (FACTS.row_bytes + row_file.RECORD.itemsize)
    assert cache_eviction.entries(tmp_path) == []
    assert (pixels[found.rows[29]] == 29).all()
    found.put(0, digest(99), image(99))
    found.flush()
    assert holds(fill(tmp_path, range(5)), range(5))


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    names = []
    for number, root in enumerate(("/old", "/older", "/new")):
        facts = CacheKey(root, (4, 4), "plainly")
        found = DiskCache(tmp_path, facts, 10)
        for place in range(10):
            found.put(place, digest(place), image(place))
        found.flush()
        names.append(facts.name)
        os.utime(tmp_path / f"{facts.name}.json", (0, [2000, 1000, 3000][number]))
    size = cache_eviction.entries(tmp_path)[0].size
    wanted = [(CacheKey("/wanted", (4, 4), "plainly"), 10)]
    cache_eviction.evict_for(tmp_path, wanted, 3 * size, min_free=0)
    assert [entry.source for entry in cache_eviction.entries(tmp_path)] == ["/old", "/new"]
    cache_eviction.evict_for(tmp_path, wanted, 4 * size, min_free=0)
    assert len(cache_eviction.entries(tmp_path)) == 2


def test_a_description_that_is_none_breaks_no_other_and_is_begun_anew(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    (tmp_path / f"{FACTS.name}.json").write_text("[]")
    assert cache_eviction.entries(tmp_path) == []
    assert holds(fill(tmp_path, range(3)), range(3))
    assert len(cache_eviction.entries(tmp_path)) == 1


def test_a_link_in_place_of_the_pixels_is_not_written_through(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    other = tmp_path / "other"
    other.write_bytes(b"mine" * 100)
    for suffix in (".rows", ".index"):
        (tmp_path / f"{FACTS.name}{suffix}").unlink()
        (tmp_path / f"{FACTS.name}{suffix}").symlink_to(other)
    assert holds(fill(tmp_path, range(3)), range(3))
    assert other.read_bytes() == b"mine" * 100


def test_clear_takes_pixels_whose_description_was_lost(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    (tmp_path / f"{FACTS.name}.json").unlink()
    assert cache_eviction.clear(tmp_path) > 0
    assert not list(tmp_path.glob("*.rows"))


def test_clear_removes_no_file_of_another_name(tmp_path: Path) -> None:
    """IMGCLS_CACHE_DIR may name a folder with a user's own work by mistake."""
    fill(tmp_path, range(3))
    own = ["results.json", "data.rows", "notes.index", "features-of-mine.json"]
    for name in own:
        (tmp_path / name).write_text("{}")
    assert cache_eviction.clear(tmp_path) > 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == sorted(own)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(UnsafeFolderError):
        cache_eviction.clear(tmp_path / "open")

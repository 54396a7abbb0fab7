"""The scan opens a file once, keeps what it learned, and says what is wrong with the data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from imgcls_lab import cpu
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.data import file_inspection as looks
from imgcls_lab.engine.data import scan, scan_index
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.data.image_set import ImageSet, Reader
from imgcls_lab.engine.data.phash import near_pairs, phashes_of, shrink, shrink_each
from imgcls_lab.engine.data.scan import OnDuplicates, ScanOptions, ScanResult
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import DataError, OutOfMemoryError
from imgcls_lab.events import RunState

from .conftest import of_type
from .test_resume import start

Make = Callable[..., TrainConfig]
Run = Callable[..., Outcome]
PHOTO = 96


def photo(seed: int) -> Image.Image:
    """A smooth picture of its own: the same seed gives the same one."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((PHOTO, PHOTO), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes; 12 of each to train, 4 to validate, 4 to test; all different."""
    root = tmp_path / "photos"
    seed = 0
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        for name in ("cat", "dog"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                photo(seed).save(folder / f"{number:02d}.png")
                seed += 1
    return root


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that a scan opens, as they come."""
    names: list[str] = []
    whole = looks.read_bytes

    def read(path: str) -> bytes:
        names.append(path)
        return whole(path)

    monkeypatch.setattr(looks, "read_bytes", read)
    return names


def sets_of(root: Path, size: int = 16) -> list[ImageSet]:
    sets = []
    for split in ("train", "val", "test"):
        paths = sorted(p for p in (root / split).rglob("*.*"))
        names = np.array([os.fsencode(p.relative_to(root)) for p in paths], np.bytes_)
        labels = np.array([int(p.parent.name == "dog") for p in paths], np.int64)
        sets.append(ImageSet(root, split, Reader(EvalSpec.default(size)), names, labels))
    return sets


def look(
    root: Path,
    index_at: Path,
    *,
    cache: str = "off",
    size: int = 16,
    on_duplicates: OnDuplicates = "report",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[ImageSet], ScanResult]:
    sets = sets_of(root, size)
    found = scan.scan(
        sets,
        ["cat", "dog"],
        caches=scan.open_caches(sets, cache, CacheLocations.private(index_at)),
        index=scan_index.index_path(index_at, root),
        options=ScanOptions(on_duplicates, progress, lambda: False),
    )
    assert found is not None
    return found.sets, found


def shared_in(folder: Path) -> CacheLocations:
    return CacheLocations(folder / "scans", folder / "cache", folder / "compiled", 10**9)


def manifest_of(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["data"]
    return data


# ── the index ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_unchanged_files_are_opened_once_whatever_the_image_size(
    photos: Path, tmp_path: Path, opened: list[str]
) -> None:
    first_sets, first = look(photos, tmp_path / "scans")
    assert len(opened) == 40
    second_sets, second = look(photos, tmp_path / "scans", size=24)
    assert len(opened) == 40
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first_sets[0].aspects, second_sets[0].aspects)


def test_changed_and_new_files_are_opened_again(photos: Path, tmp_path: Path, opened: list[str]) -> None:
    _, before = look(photos, tmp_path / "scans")
    opened.clear()
    photo(99).resize((50, 100)).save(photos / "train/cat/03.png")
    photo(98).save(photos / "train/dog/new.png")
    sets, after = look(photos, tmp_path / "scans")
    assert sorted(Path(name).name for name in opened) == ["03.png", "new.png"]
    assert before.fingerprint != after.fingerprint
    assert sets[0].aspects[3] == 0.5


def test_pixels_and_sizes_do_not_depend_on_the_index_or_the_cache(photos: Path, tmp_path: Path) -> None:
    fresh, _ = look(photos, tmp_path / "a", cache="ram")
    known, _ = look(photos, tmp_path / "a", cache="ram")
    assert fresh[0].pixels is not None
    assert known[0].pixels is not None
    assert np.array_equal(fresh[0].pixels.numpy(), known[0].pixels.numpy())
    uncached, _ = look(photos, tmp_path / "b")
    assert np.array_equal(uncached[0].aspects, fresh[0].aspects)
    batch = next(uncached[0].batches([np.arange(24)], 0))
    assert np.array_equal(batch.numpy(), fresh[0].pixels.numpy())


@pytest.mark.parametrize("content", [b"", b"no numbers", b"\x93NUMPY\x01\x00v\x00{'descr': '<i8'"])
def test_damaged_index_is_made_anew(photos: Path, tmp_path: Path, opened: list[str], content: bytes) -> None:
    place = scan_index.index_path(tmp_path, photos)
    place.write_bytes(content)
    look(photos, tmp_path)
    assert len(opened) == 40
    look(photos, tmp_path)
    assert len(opened) == 40


def test_index_is_for_the_user_alone_and_shared_between_runs(
    make_config: Make, photos: Path, tmp_path: Path, opened: list[str]
) -> None:
    config = make_config(root=str(photos), epochs=1, cache="off")
    train(config, tmp_path / "one", cache_locations=shared_in(tmp_path))
    (place,) = (tmp_path / "scans").glob("*.npy")
    assert place.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "scans").stat().st_mode & 0o777 == 0o700
    train(
        config.with_changes(image_size=24),
        tmp_path / "two",
        cache_locations=shared_in(tmp_path),
    )
    assert len(opened) == 40


def test_run_goes_on_where_no_index_can_be_kept(make_config: Make, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").write_text("in the way")
    outcome = train(
        make_config(root=str(photos), epochs=1),
        tmp_path / "run",
        cache_locations=shared_in(tmp_path),
    )
    assert outcome.state is RunState.SUCCEEDED
    assert any("cannot be kept" in notice.text for notice in of_type(outcome.folder, "notice"))


def test_index_takes_less_than_two_hundred_bytes_an_image(tmp_path: Path) -> None:
    count, root = 4000, tmp_path / "many"
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
    photo(0).save(tmp_path / "one.png")
    for number in range(count):
        os.link(tmp_path / "one.png", root / "train" / ("cat", "dog")[number % 2] / f"{number:05d}.png")
    look(root, tmp_path / "scans", cache="disk")
    sets = sets_of(root)
    tracemalloc.start()
    try:
        entries = np.zeros(count, scan_index.ENTRY)
        known = scan_index.read(scan_index.index_path(tmp_path / "scans", root))
        caches = scan.open_caches(sets, "disk", CacheLocations.private(tmp_path / "scans"))
        options = ScanOptions("report", lambda done, total: None, lambda: False)
        inspected = scan._inspect_all(sets, caches, entries, known, options)
        assert inspected is not None
        assert (inspected.errors, inspected.notes) == ({}, [])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(known) == count
    assert (held - 100_000) / count < 200


def test_process_keeps_its_index_in_the_home(make_config: Make, photos: Path, tmp_path: Path, home: Path) -> None:
    process = start(tmp_path / "run", make_config(root=str(photos), epochs=1), 1)
    assert process.wait(120) == 0
    assert len(list((home / "scans").glob("*.npy"))) == 1
    assert not (tmp_path / "run/.scans").exists()


@pytest.mark.parametrize("split", [0, 2])
def test_one_split_alone_can_be_scanned(photos: Path, tmp_path: Path, split: int) -> None:
    images = sets_of(photos)[split]
    bad = photos / images.path(0)
    bad.write_bytes(b"no image")
    count = len(images)
    found = scan.scan(
        [images],
        ["cat", "dog"],
        caches=scan.open_caches([images], "ram", CacheLocations.private(tmp_path)),
        index=tmp_path / "one.npy",
        options=ScanOptions("report", lambda done, total: None, lambda: False),
    )
    assert found is not None
    (images,) = found.sets
    assert found.quarantined.keys() == {os.path.relpath(bad, photos)}
    assert images.pixels is not None
    assert len(images) == len(images.rows) == count - 1
    expected = [images.reader.read(str(photos / images.path(n)))[0] for n in range(len(images))]
    assert torch.equal(next(images.batches([np.arange(len(images))], 0)), torch.stack(expected))


# ── progress and stop ───────────────────────────────────────────────────────────────────────────────────────────
def test_scan_tells_how_far_it_is_and_hears_a_stop(make_config: Make, photos: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    look(photos, tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(24, 40), (32, 40), (40, 40)]
    stop = threading.Event()

    def on_event(event: Any) -> None:
        if event.type == "phase" and event.name == "scanning images" and event.done:
            stop.set()

    outcome = train(make_config(root=str(photos)), tmp_path / "run", stop=stop, on_event=on_event)
    assert (outcome.state, outcome.step) == (RunState.STOPPED, 0)
    assert train(make_config(root=str(photos), epochs=1), tmp_path / "run").state is RunState.SUCCEEDED


# ── copies ──────────────────────────────────────────────────────────────────────────────────────────────────────
def spoil(root: Path) -> None:
    """An exact copy of a training image in val/ and a look-alike of another in test/, a copy under both classes."""
    shutil.copy(root / "train/cat/05.png", root / "val/cat/copy.png")
    photo(12).resize((64, 64)).save(root / "test/dog/alike.jpg", quality=80)  # 12 is train/dog/00.png
    shutil.copy(root / "train/cat/07.png", root / "train/dog/other.png")
    shutil.copy(root / "train/cat/08.png", root / "train/cat/again.png")


def test_copies_are_told_counted_and_listed(run: Run, photos: Path) -> None:
    clean = run("clean", root=str(photos), epochs=1).folder
    assert manifest_of(clean)["duplicates"] == dict.fromkeys(
        ("exact", "near", "across_classes", "repeated", "dropped"), 0
    )
    assert not (clean / "duplicates.json").exists()
    spoil(photos)
    folder = run("spoiled", root=str(photos), epochs=1).folder
    assert manifest_of(folder)["duplicates"] == {
        "exact": 1,
        "near": 1,
        "across_classes": 1,
        "repeated": 2,
        "dropped": 0,
    }
    listed = json.loads((folder / "duplicates.json").read_text())
    assert listed["across_splits"] == [
        {"train": "train/cat/05.png", "other": "val/cat/copy.png", "exact": True},
        {"train": "train/dog/00.png", "other": "test/dog/alike.jpg", "exact": False},
    ]
    assert listed["across_classes"] == [["train/cat/07.png", "train/dog/other.png"]]
    said = [(notice.level, notice.text) for notice in of_type(folder, "notice")]
    for words in (
        "“val/cat/copy.png” is a copy of “train/cat/05.png”",
        "“test/dog/alike.jpg” looks like",
        "two classes",
    ):
        assert [level for level, text in said if words in text] == ["warning"]


@pytest.mark.parametrize(
    ("wanted", "left", "dropped"), [("report", 26, 0), ("drop_exact", 25, 1), ("drop_near", 24, 2)]
)
def test_copies_are_left_out_of_training_if_that_is_wanted(
    run: Run, photos: Path, wanted: str, left: int, dropped: int
) -> None:
    spoil(photos)
    folder = run(root=str(photos), epochs=1, on_duplicates=wanted).folder
    assert of_type(folder, "started")[0].train_images == left
    data = manifest_of(folder)
    assert (data["train_images"], data["duplicates"]["dropped"]) == (left, dropped)
    assert sum(data["counts"]["train"].values()) == left


def test_look_alikes_that_are_left_out_depend_on_no_cache_and_no_earlier_scan(tmp_path: Path) -> None:
    """A print of a JPEG that was decoded to another size has other bits, and decides what is trained on."""
    root = tmp_path / "large"
    for number in range(40):
        folder = root / ("train", "val")[number % 2] / ("cat", "dog")[number // 2 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (300, 300, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number:02d}.jpg")

    def prints(scans: str, **options: Any) -> list[int]:
        look(root, tmp_path / scans, size=224, **options)
        found: list[int] = scan_index.read(scan_index.index_path(tmp_path / scans, root))["print"].tolist()
        return found

    expected = prints("plain", on_duplicates="drop_near")
    assert prints("earlier", cache="ram") != expected
    assert prints("earlier", cache="ram", on_duplicates="drop_near") == expected
    assert prints("new", cache="disk", on_duplicates="drop_near") == expected
    assert prints("new", cache="disk", on_duplicates="drop_near") == expected


def test_class_whose_images_are_all_copies_is_said(photos: Path, tmp_path: Path) -> None:
    for path in (photos / "train/cat").iterdir():
        shutil.copy(path, photos / "val/cat" / f"copy-{path.name}")
    with pytest.raises(DataError, match=r"“cat”.*on_duplicates"):
        look(photos, tmp_path, on_duplicates="drop_exact")


def test_copies_are_found_in_what_is_held_out(run: Run, photos: Path) -> None:
    shutil.rmtree(photos / "val")
    for number in range(12):
        shutil.copy(photos / f"train/cat/{number:02d}.png", photos / f"train/cat/{number:02d}-copy.png")
    assert manifest_of(run(root=str(photos), epochs=1).folder)["duplicates"]["exact"] > 0


@pytest.mark.parametrize("shape", [(28, 28), (64, 48), (8, 9), (127, 127)])
def test_small_images_are_shrunk_together_as_each_alone(shape: tuple[int, int]) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (5, shape[0] // 4 + 1, shape[1] // 4 + 1, 3), np.uint8)
    pixels = np.ascontiguousarray(coarse.repeat(4, 1).repeat(4, 2)[:, : shape[0], : shape[1]])
    alone = np.stack([shrink(image) for image in pixels])
    assert np.abs(alone.astype(int) - shrink_each(pixels)).max() <= 1


def test_prints_of_many_are_those_of_each_by_pillow() -> None:
    small = np.stack([shrink(np.asarray(photo(seed))) for seed in range(20)])
    prints, tiny = phashes_of(small)
    for number, pixels in enumerate(small):
        image = Image.fromarray(pixels)
        assert np.array_equal(tiny[number], image.resize((4, 4), Image.Resampling.BOX))
        lines = np.arange(32) + 0.5
        cosines = np.cos(np.pi / 32 * np.arange(1, 9)[:, None] * lines)
        waves = cosines @ np.asarray(image.convert("L"), float) @ cosines.T
        assert [bool(prints[number] >> np.uint64(bit) & np.uint64(1)) for bit in range(64)] == list(waves.ravel() > 0)


def test_prints_of_symmetric_pictures_are_the_same_however_many_are_asked_at_once() -> None:
    half = np.random.default_rng(0).integers(0, 256, (24, 32, 16, 3), np.uint8)
    half[::2] = half[::2, :1, :1]  # every other one of a single colour
    pictures = np.concatenate([half, half[:, :, ::-1]], 2)
    at_once = phashes_of(pictures)[0].tolist()
    for count in (1, 2, 5, 7):
        assert [p for i in range(0, 24, count) for p in phashes_of(pictures[i : i + count])[0].tolist()] == at_once


def test_touched_up_photographs_look_the_same_and_others_do_not() -> None:
    def pair(one: Image.Image, other: Image.Image) -> int:
        small = np.stack([shrink(np.asarray(image.convert("RGB"))) for image in (one, other)])
        return len(near_pairs(*phashes_of(small), np.array([0, 1])))

    def encoded(image: Image.Image, quality: int) -> Image.Image:
        import io

        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer)

    same = different = 0
    for seed in range(50):
        image = photo(seed)
        same += pair(image, encoded(image, 50))
        same += pair(image, image.resize((PHOTO // 2, PHOTO // 2), Image.Resampling.BICUBIC))
        same += pair(image, ImageEnhance.Brightness(image).enhance(1.02))
        different += pair(image, photo(seed + 1000))
        different += pair(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert (same, different) == (150, 0)


def test_search_for_look_alikes_is_not_quadratic_and_finds_what_was_planted() -> None:
    random = np.random.default_rng(0)
    count = 100_000
    prints = random.integers(0, 2**64, count, dtype=np.uint64)
    prints[: count // 4] = 7  # blank pages
    planted = np.arange(count // 2, count // 2 + 500)
    for place in planted:
        flips = random.choice(64, 6, replace=False)
        prints[place + 1000] = prints[place] ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64))
    tiny = np.zeros((count, 4, 4, 3), np.uint8)
    sides = np.zeros(count, np.int64)
    sides[planted + 1000] = 1
    began = time.process_time()
    found = near_pairs(prints, tiny, sides)
    seconds = time.process_time() - began
    assert {(place, place + 1000) for place in planted.tolist()} == set(map(tuple, found.tolist()))
    assert seconds < 20  # all with all: 5,000,000,000 comparisons
    print(f"100,000 hashes searched in {seconds:.1f} s")


def test_manifest_counts_images_and_spread_of_sizes(run: Run, photos: Path) -> None:
    photo(77).resize((200, 40)).save(photos / "train/cat/wide.png")
    data = manifest_of(run(root=str(photos), epochs=1).folder)
    assert data["counts"] == {
        "train": {"cat": 13, "dog": 12},
        "val": {"cat": 4, "dog": 4},
        "test": {"cat": 4, "dog": 4},
    }
    assert data["sizes"]["width"] == {
        "least": 96, "quarter": 96, "median": 96, "three_quarters": 96, "most": 200
    }  # fmt: skip
    assert data["sizes"]["height"]["least"] == 40
    assert (data["train_images"], data["val_images"], data["test_images"]) == (25, 8, 8)


def test_bad_test_image_is_named_and_stops_nothing(run: Run, photos: Path) -> None:
    (photos / "test/cat/00.png").write_bytes(b"no image")
    assert "test/cat/00.png" in manifest_of(run(root=str(photos), epochs=1).folder)["quarantined"]


def test_a_broken_file_whose_name_is_no_utf8_is_left_out_and_named(
    make_config: Make, photos: Path, tmp_path: Path
) -> None:
    folder = next((photos / "train").iterdir())
    with open(os.fsencode(folder) + b"/\xff\xfebroken.png", "wb") as file:
        file.write(b"no image")
    outcome = train(make_config(root=str(photos), epochs=1), tmp_path / "run")
    assert outcome.state is RunState.SUCCEEDED
    assert [path.endswith("\\xff\\xfebroken.png") for path in manifest_of(tmp_path / "run")["quarantined"]] == [True]


def test_a_class_whose_name_is_no_utf8_is_refused(make_config: Make, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(next((photos / "train").iterdir()), photos / "train" / os.fsdecode(b"\xff\xfebad"))
    with pytest.raises(DataError, match=r"“\\xff\\xfebad”"):
        train(make_config(root=str(photos), epochs=1), tmp_path / "run")


def many(folder: Path, count: int) -> Path:
    """Small pictures of two sizes, more than one process looks at."""
    root = folder / "many"
    for split, images in (("train", count), ("val", 20)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(images // 2):
                edge = 20 + 4 * (number % 2)
                photo(number).resize((edge, edge)).save(root / split / name / f"{number:04d}.png")
    return root


@pytest.mark.parametrize("cache", ["ram", "off"])
def test_several_processes_find_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    root = many(tmp_path, 400)
    (root / "train/cat/0007.png").write_bytes(b"no image")
    monkeypatch.setattr(cpu, "cores", lambda: 3)
    sets, found = look(root, tmp_path / "several", cache=cache)
    monkeypatch.setattr(cpu, "cores", lambda: 1)
    alone, other = look(root, tmp_path / "alone", cache=cache)
    assert (found.fingerprint, found.quarantined) == (other.fingerprint, other.quarantined)
    assert list(found.quarantined) == ["train/cat/0007.png"]
    known = [scan_index.read(scan_index.index_path(tmp_path / name, root)) for name in ("several", "alone")]
    assert known[0].tobytes() == known[1].tobytes()
    for one, another in zip(sets[:2], alone[:2], strict=True):
        assert (one.pixels is None) == (cache == "off")
        if one.pixels is not None and another.pixels is not None:
            assert torch.equal(one.pixels[one.rows], another.pixels[another.rows])
            first = torch.from_numpy(one.reader.read(str(root / one.path(0)))[0].numpy())
            assert torch.equal(one.pixels[one.rows[0]], first)


def test_a_process_that_is_killed_while_it_reads_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = many(tmp_path, 400)
    whole = looks.read_bytes

    def read(path: str) -> bytes:
        if path.endswith("train/dog/0150.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(path)

    monkeypatch.setattr(looks, "read_bytes", read)
    monkeypatch.setattr(cpu, "cores", lambda: 2)
    with pytest.raises(OutOfMemoryError, match="was killed"):
        look(root, tmp_path / "scans", cache="ram")

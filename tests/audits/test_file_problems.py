"""The audit's look at files: planted faults are all found, clean data give few alarms, cleanvision agrees."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import photos
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from imgcls_lab.audits.results import Problem
from imgcls_lab.engine.audit import files as listing
from imgcls_lab.engine.audit.file_problems import find_problems
from imgcls_lab.engine.data.cache_locations import CacheLocations


def look(root: Path, scans: Path) -> list[Problem]:
    found = listing.list_files(root)
    assert listing.inspect(found, CacheLocations.private(scans), lambda *_: None, lambda: False)
    return list(find_problems(found))


def names(problems: list[Problem]) -> dict[str, set[frozenset[str]]]:
    """Kind -> the files of each problem."""
    found: dict[str, set[frozenset[str]]] = defaultdict(set)
    for problem in problems:
        found[problem.kind].add(frozenset(image.name for image in problem.images))
    return found


def plant(root: Path) -> dict[str, set[frozenset[str]]]:
    """Put faults into a clean data set; what an audit must find, and nothing else."""
    cat, dog, val = root / "train/cat", root / "train/dog", root / "val/cat"
    pictures = iter(photos.crops(9, seed=3))
    image = Image.open(cat / "0000.jpg")
    shutil.copy(cat / "0000.jpg", val / "same.jpg")
    image.save(val / "encoded.jpg", quality=60)
    shutil.copy(cat / "0001.jpg", dog / "both.jpg")
    Image.open(cat / "0002.jpg").resize((84, 84)).save(cat / "small.png")
    ImageOps.mirror(Image.open(dog / "0003.jpg")).save(val / "mirror.jpg", quality=90)
    Image.open(cat / "0004.jpg").filter(ImageFilter.GaussianBlur(7)).save(dog / "blurred.jpg")
    ImageEnhance.Brightness(Image.open(cat / "0005.jpg")).enhance(0.15).save(dog / "dark.jpg")
    Image.eval(Image.open(cat / "0006.jpg"), lambda v: 246 + v // 32).save(dog / "bright.png")
    Image.new("RGB", (112, 112), (90, 120, 60)).save(dog / "plain.png")
    next(pictures).resize((900, 70)).save(dog / "strip.jpg")
    Image.open(cat / "0007.jpg").convert("L").filter(ImageFilter.UnsharpMask(2)).save(dog / "grey.jpg")
    Image.open(dog / "0005.jpg").resize((1600, 1600)).crop((300, 300, 1500, 1500)).save(dog / "huge.jpg")
    content = (cat / "0001.jpg").read_bytes()
    (cat / "cut.jpg").write_bytes(content[: len(content) // 2])
    (cat / "page.jpg").write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")
    (cat / "notes.txt").write_text("hello")
    return {
        "unreadable": {frozenset({"train/cat/cut.jpg"}), frozenset({"train/cat/page.jpg"})},
        "not_taken": {frozenset({"train/cat/notes.txt"})},
        "copy": {
            frozenset({"train/cat/0000.jpg", "val/cat/same.jpg"}),
            frozenset({"train/cat/0001.jpg", "train/dog/both.jpg"}),
        },
        "dark": {frozenset({"train/dog/dark.jpg"})},
        "bright": {frozenset({"train/dog/bright.png"})},
        "blurred": {frozenset({"train/dog/blurred.jpg"})},
        "low_information": {frozenset({"train/dog/plain.png"})},
        "odd_size": {frozenset({"train/dog/huge.jpg"})},
        "odd_shape": {frozenset({"train/dog/strip.jpg"})},
        "greyscale": {frozenset({"train/dog/grey.jpg"})},
    }


def test_every_planted_fault_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = photos.data_set(tmp_path / "pets", {"train": 24, "val": 8})
    clean = look(root, tmp_path / "clean")
    planted = plant(root)
    found = look(root, tmp_path / "scans")
    with capsys.disabled():
        print(f"\nclean photographs: {len(clean)} alarms on 64 images; planted: {sum(map(len, planted.values()))}")
        for problem in clean:
            print("  false alarm:", problem.kind, problem.reason, [image.name for image in problem.images])
    assert len(clean) <= 2
    by_kind = names(found)
    for kind, expected in planted.items():
        assert expected <= by_kind[kind], kind
        assert len(by_kind[kind]) <= len(expected) + 2, (kind, by_kind[kind])
    alike = {
        problem.reason: {image.name for image in problem.images} for problem in found if problem.kind == "look_alike"
    }
    assert {"train/cat/0000.jpg", "val/cat/same.jpg", "val/cat/encoded.jpg"} == alike["re-encoded"]
    assert {"train/dog/0003.jpg", "val/cat/mirror.jpg"} == alike["mirrored"]
    assert {"train/cat/0002.jpg", "train/cat/small.png"} == alike["scaled"]
    assert all(str(tmp_path) not in problem.reason for problem in found)

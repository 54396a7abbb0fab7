"""10,000 classes: the pages of data set and run answer on a real server."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks import labs
from imgcls_lab import image_table
from imgcls_lab.schemas import DatasetEdit, SubmitRequest
from imgcls_lab.store import Store
from tests.analysis.made import MadeRun

pytestmark = [pytest.mark.slow]


def png(number: int, side: int) -> bytes:
    """A grey picture that no other number has."""
    pixels = bytearray(number.to_bytes(4, "big").ljust(side * side, bytes([number % 251])))
    rows = b"".join(b"\0" + pixels[start : start + side] for start in range(0, side * side, side))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows, 1))]
    parts.append((b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_the_pages_of_10_000_classes_answer(tmp_path: Path) -> None:
    settings, root, classes, images = labs.settings(tmp_path), tmp_path / "data/wide", 10_000, 20_000
    names = [f"class-{label:05d}" for label in range(classes)]
    rows = np.zeros(images, image_table.ROW)
    rows["digest"], rows["label"] = np.random.default_rng(0).integers(1, 256, (images, 32)), np.arange(images) % classes
    rows["width"] = rows["height"] = rows["size"] = 8
    paths = [f"train/{names[place % classes]}/{place}.png" for place in range(images)]
    for place, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png(place, 8))
    image_table.write(
        image_table.table_path(settings.scans_dir, root), root, names, rows, np.array(paths, np.bytes_), problems={}
    )
    with Store.open(settings, migrate=True) as store:
        number = store.datasets.add(DatasetEdit(name="wide", root=str(root))).id
        run = store.runs.submit(SubmitRequest(config={**labs.CONFIG, "root": str(root)})).id
    folder = settings.run_dir(run)
    folder.mkdir(mode=0o700, exist_ok=True)
    labels = rows["label"].astype(np.int32)
    top = ((labels[:, None] + np.arange(5)) % classes).astype(np.int32)
    probs = np.tile(np.array([0.5, 0.2, 0.1, 0.05, 0.02], np.float16), (images, 1))
    made = MadeRun(folder, names, best=1)
    made.write_columns(labels, top, probs, probs[:, 0], names=paths, epochs=[1], digests=rows["digest"])
    with labs.serving(tmp_path / "server", settings.home_path) as (_, asker):
        asker.get(f"datasets/{number}/detail")
        page = json.loads(asker.get(f"datasets/{number}/images", label="class-09999")[1])
        took, evaluation = asker.get(f"runs/{run}/evaluation")
        evaluated = json.loads(asker.get(f"runs/{run}/images", label="class-09999")[1])
    print(f"10,000 classes: the evaluation opens in {1000 * took:.0f} ms, {len(evaluation) / 1e6:.1f} MB")
    assert page["total"] == evaluated["total"] == 2
    assert len(json.loads(evaluation)["classes"]) == classes

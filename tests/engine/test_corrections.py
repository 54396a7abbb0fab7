"""Training under corrections: labels, exclusions, order, resume; and that an exported folder trains the same."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from imgcls_lab.data_revision import Change, Overlay, content_digest
from imgcls_lab.dataset_export import export_folder
from imgcls_lab.engine import Outcome
from imgcls_lab.engine.data.corrections import correct, correct_listing
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.training import finders
from imgcls_lab.errors import ConflictError, DataError

from .conftest import of_type

Train = Callable[..., Outcome]


def image(root: Path, name: str) -> str:
    return hashlib.sha256((root / name).read_bytes()).hexdigest()


def overlay(root: Path, wanted: Mapping[str, str | None]) -> Overlay:
    changes = [Change(image=image(root, name), label=to, excluded=to is None, name=name) for name, to in wanted.items()]
    return Overlay.of(1, content_digest(changes), {change.key: change for change in changes})


WANTED = {
    "train/digit-0/003.png": "digit-2",  # where a 003.png is already
    "train/digit-3/001.png": "digit-1",
    "train/digit-1/000.png": None,
    "val/digit-2/031.png": "digit-0",
    "val/digit-3/030.png": None,
}


def images_of(root: Path, split: str) -> ImageSet:
    found = sorted(path.relative_to(root) for path in (root / split).glob("*/*.png"))
    labels = np.array([int(path.parts[1].partition("-")[2]) for path in found])
    return ImageSet(root, split, None, np.array([bytes(path) for path in found], np.bytes_), labels)  # type: ignore[arg-type]


def test_a_corrected_split_is_in_the_order_of_the_exported_folder(digits: Path, tmp_path: Path) -> None:
    classes = [f"digit-{number}" for number in range(4)]
    changes = overlay(digits, WANTED)
    done = export_folder(digits, changes, tmp_path / "out")
    assert (done.images, done.relabelled, done.excluded) == ({"train": 119, "val": 39}, 3, 2)
    for split in ("train", "val"):
        corrected = correct_listing(images_of(digits, split), changes, classes, tmp_path / "no-index")
        exported = images_of(tmp_path / "out", split)
        assert corrected.labels.tolist() == exported.labels.tolist()
        contents = [image(digits, corrected.path(number)) for number in range(len(corrected))]
        assert contents == [image(tmp_path / "out", exported.path(number)) for number in range(len(exported))]


def test_a_correction_of_one_split_leaves_the_others_alone(digits: Path, tmp_path: Path) -> None:
    (digits / "val/digit-1/000-copy.png").write_bytes((digits / "train/digit-1/000.png").read_bytes())
    change = Change(image=image(digits, "train/digit-1/000.png"), excluded=True, only="train")
    changes, classes = Overlay(changes=(change,)), [f"digit-{number}" for number in range(4)]
    left = {}
    for split in ("train", "val"):
        images = images_of(digits, split)
        left[split] = len(images) - len(correct_listing(images, changes, classes, tmp_path / "no-index"))
    assert left == {"train": 1, "val": 0}


def test_a_label_that_is_no_class_is_refused(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        correct_listing(
            images_of(digits, "train"), overlay(digits, {"train/digit-0/000.png": "cow"}), ["digit-0"], tmp_path / "no"
        )
    assert refused.value.reason == "unknown_class"


def manifest_of(outcome: Outcome) -> Any:
    return json.loads((outcome.folder / "manifest.json").read_text())


def weights(outcome: Outcome) -> dict[str, Any]:
    return load_file(outcome.folder / "checkpoints/last/model.safetensors")


def test_a_run_trains_under_its_corrections_and_the_exported_folder_gives_the_same_bits(
    digits: Path, run: Train, tmp_path: Path
) -> None:
    (digits / "train/digit-2/torn.png").write_bytes(b"\x89PNG\r\n\x1a\ntorn")
    changes = overlay(digits, {**WANTED, "train/digit-0/000.png": "digit-1", "train/digit-2/torn.png": None})
    (digits / "train/digit-0/000.png").unlink()  # this correction finds no image
    file = tmp_path / "corrections.json"
    file.write_text(changes.to_json())
    corrected = run("corrected", root=str(digits), data_revision=str(file), balance="sampler")
    kept = Overlay.read(corrected.folder / "data_revision.json")
    manifest = manifest_of(corrected)
    assert kept == changes
    assert manifest["data_revision"] == {"number": 1, "digest": changes.digest, "content": changes.content}
    assert manifest["data"]["corrected"] == {"relabelled": 3, "excluded": 3, "gone": 1}
    assert manifest["data"]["quarantined"] == {}  # nobody misses the torn one
    assert manifest["data"]["counts"]["val"] == {"digit-0": 11, "digit-1": 10, "digit-2": 9, "digit-3": 9}
    assert any(notice.text.startswith("3 labels") for notice in of_type(corrected.folder, "notice"))
    export_folder(digits, changes, tmp_path / "out")
    plain = run("plain", root=str(digits), balance="sampler")
    exported = run("exported", root=str(tmp_path / "out"), balance="sampler")
    same, other = weights(exported), weights(plain)
    for name, value in weights(corrected).items():
        assert np.array_equal(value, same[name]), name
    assert any(not np.array_equal(value, other[name]) for name, value in weights(corrected).items())
    assert manifest["data"]["fingerprint"] != manifest_of(plain)["data"]["fingerprint"]

    # a resume needs the same corrections
    fewer = overlay(digits, {"train/digit-1/000.png": None})
    (corrected.folder / "data_revision.json").write_text(fewer.to_json())
    with pytest.raises(DataError) as refused:
        run("corrected", root=str(digits), data_revision=str(file), balance="sampler")
    assert refused.value.reason == "corrections_changed"


def test_corrections_that_empty_a_class_are_refused_with_its_name(digits: Path, run: Train, tmp_path: Path) -> None:
    changes = overlay(digits, {f"train/digit-1/{number:03d}.png": None for number in range(30)})
    (tmp_path / "corrections.json").write_text(changes.to_json())
    with pytest.raises(DataError, match="digit-1"):
        run(root=str(digits), data_revision=str(tmp_path / "corrections.json"))


def test_an_export_writes_over_nothing_and_leaves_nothing_after_a_failure(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = overlay(digits, WANTED)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    for out in (tmp_path / "full", tmp_path / "full/mine.txt"):
        with pytest.raises(ConflictError):
            export_folder(digits, changes, out)
    with pytest.raises(DataError.__base__):  # InputError
        export_folder(digits, changes, digits / "train/out")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", fails)
    with pytest.raises(Exception) as refused:
        export_folder(digits, changes, tmp_path / "out")
    assert getattr(refused.value, "reason", "") == "disk_full"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits", "full"]


def test_an_export_copies_where_it_cannot_link(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", fails)
    done = export_folder(digits, overlay(digits, {}), tmp_path / "out")
    assert (done.linked, done.copied) == (0, 160)
    one = tmp_path / "out/train/digit-0/000.png"
    assert one.read_bytes() == (digits / "train/digit-0/000.png").read_bytes()
    assert not one.samefile(digits / "train/digit-0/000.png")


def test_many_corrections_of_many_images_take_a_moment() -> None:
    """2,000 of 20,000 images; names that collide are found without a look at all others."""
    count, classes = 20_000, [f"c{number}" for number in range(20)]
    labels = np.repeat(np.arange(20), count // 20)
    paths = np.array([f"train/{classes[label]}/{number % 1000}.png".encode() for number, label in enumerate(labels)])
    digests = np.random.default_rng(0).integers(0, 256, (count, 32), dtype=np.uint8)
    changes = {}
    for number in range(0, count, 10):
        image_id = digests[number].tobytes().hex()
        changes[image_id] = Change(image=image_id, label=classes[(labels[number] + 1) % 20])
    images = ImageSet(Path("/nowhere"), "train", None, paths, labels)  # type: ignore[arg-type]
    began = time.process_time()
    corrected, kept, done = correct(images, digests, Overlay.of(1, "", changes), classes)
    assert time.process_time() - began < 5
    assert done.relabelled == 2000
    assert np.array_equal(np.sort(kept), np.arange(count))
    assert np.array_equal(corrected.paths, paths[kept])
    assert (np.diff(corrected.labels) >= 0).all()


def test_finders_train_on_the_corrected_labels(digits: Path, make_config: Callable[..., Any], tmp_path: Path) -> None:
    config, changes = make_config(root=str(digits), batch_size=8), overlay(digits, WANTED)
    with finders.open_trial(config) as (trial, summary):
        images = finders._training_images(trial, summary, changes)
    by_path = dict(zip(map(images.path, range(len(images))), images.labels.tolist(), strict=True))
    assert "train/digit-1/000.png" not in by_path
    assert (by_path["train/digit-0/003.png"], by_path["train/digit-0/004.png"]) == (2, 0)


def test_a_file_that_is_exchanged_for_a_link_while_it_is_exported_gives_nothing_away(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    link, before = os.link, {}

    def exchanged(source: str, target: Path) -> None:
        before[target] = Path(source).read_bytes()
        os.unlink(source)
        os.symlink(secret, source)
        link(source, target)

    monkeypatch.setattr("imgcls_lab.dataset_export.os.link", exchanged)
    done = export_folder(digits, overlay(digits, {}), tmp_path / "out")
    written = [path for path in (tmp_path / "out").rglob("*") if not path.is_dir()]
    assert not any(path.is_symlink() for path in written)
    assert sorted(path.read_bytes() for path in written) == sorted(before.values())
    assert (done.linked, done.copied) == (0, len(written))

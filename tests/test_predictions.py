"""The kept predictions of a run are read, whoever wrote them, and no file of them takes more memory than it should."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from imgcls_lab import bounded_arrays, predictions
from imgcls_lab.errors import DataError, ImgclsError, NotFoundError

PATHS = np.asarray([b"val/a/1.png", b"val/a/2.png", b"val/b/3.png"])
CLASSES = ["a", "b"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder as an earlier version wrote it: without digests and losses, the probabilities called `shares`."""
    (tmp_path / "predictions").mkdir()
    names = np.asarray([name.encode() for name in CLASSES])
    np.savez_compressed(tmp_path / "predictions/val-images.npz", root=np.asarray(b"/data"), paths=PATHS, classes=names)
    write(tmp_path)
    return tmp_path


def write(folder: Path, **changes: npt.NDArray[np.generic]) -> None:
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "images": np.asarray(predictions.fingerprint(PATHS, CLASSES)),
        "labels": np.asarray([0, 0, 1], np.int32),
        "classes": np.asarray([[0, 1], [1, 0], [1, 0]], np.int32),
        "shares": np.asarray([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]], np.float16),
    }
    np.savez_compressed(folder / "predictions/epoch-0001.npz", **{**arrays, **changes})  # type: ignore[arg-type]


def test_an_older_run_is_read(folder: Path) -> None:
    held = predictions.read(folder, 1)
    assert held.probs[1, 0] == np.float16(0.6)
    assert (held.label_probs, held.losses, held.images.digests) == (None, None, None)
    assert held.images.image_id(0) == ""
    assert not len(held.images.find("ab" * 32))
    assert predictions.read_probs(folder, held, "val") is None
    table = predictions.load_predictions(folder, 1)
    assert list(table) == ["path", "label", "correct", "class_1", "prob_1", "class_2", "prob_2"]
    assert predictions.epochs(folder) == [1]
    assert predictions.train_epochs(folder) == []
    with pytest.raises(NotFoundError):
        predictions.read_train(folder, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.asarray([0, 0, 2], np.int32)},
        {"labels": np.asarray([0, -1, 1], np.int32)},
        {"labels": np.zeros(4, np.int32)},
        {"classes": np.full((3, 2), 7, np.int32)},
        {"shares": np.zeros((3, 1), np.float16)},
        {"shares": np.asarray([["x", "y"]] * 3)},
        {"losses": np.zeros(2, np.float32)},
        {"images": np.asarray("0" * 64)},
        {"images": np.zeros((0, 3))},
    ],
)
def test_arrays_that_do_not_fit_are_refused(folder: Path, changes: dict[str, npt.NDArray[np.generic]]) -> None:
    write(folder, **changes)
    with pytest.raises(DataError):
        predictions.read(folder, 1)


def header(shape: str, descr: str = "'<f2'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def packed(*members: tuple[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


BOMB = bytes(2**20)
BAD = {
    "a shape of terabytes": packed(("labels.npy", header("(10**12,)".replace("10**12", str(10**12))))),
    "a shape that overflows": packed(("labels.npy", header(f"({2**40}, {2**40})"))),
    "a negative shape": packed(("labels.npy", header("(-1,)"))),
    "objects": packed(("labels.npy", header("(1,)", "'|O'") + b"x" * 8)),
    "a pickle": packed(("labels.npy", b"\x80\x04N.")),
    "fields": packed(("labels.npy", header("(1,)", "[('a', '<f2')]") + b"xx")),
    "many arrays": packed(*((f"{number}.npy", b"") for number in range(3000))),
    "another packing": packed(("labels.npy", header("(1,)") + b"xx"), kind=zipfile.ZIP_BZIP2),
    "no zip": b"PK" + bytes(100),
    "nothing": b"",
    "a cut file": packed(("labels.npy", header("(1,)") + b"xx"))[:-30],
    "a wrong checksum": packed(("labels.npy", header("(4,)") + b"abcdefgh"), kind=zipfile.ZIP_STORED).replace(
        b"abcdefgh", b"abcdefgX"
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_prediction_is_a_sentence(folder: Path, kind: str) -> None:
    (folder / "predictions/epoch-0001.npz").write_bytes(BAD[kind])
    with pytest.raises(DataError):
        predictions.read(folder, 1)


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_arrays, "MAX_BYTES", 2**20)
    shape = f"({len(BOMB) // 2},)"
    (folder / "predictions/epoch-0001.npz").write_bytes(packed(("labels.npy", header(shape) + BOMB)))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(DataError):
        predictions.read(folder, 1)


def test_a_small_file_that_lists_many_classes_is_refused_before_they_are_made(folder: Path) -> None:
    names = np.full(predictions.MAX_CLASSES + 1, b"a")
    np.savez_compressed(folder / "predictions/val-images.npz", root=np.asarray(b"/data"), paths=PATHS, classes=names)
    with pytest.raises(DataError):
        predictions.read_images(folder, "val")


@pytest.mark.parametrize(
    "changes",
    [
        {"root": np.asarray("/data")},
        {"root": np.asarray([b"/data"])},
        {"root": np.asarray(7)},
        {"digests": np.zeros((3, 32), np.uint16)},
        {"digests": np.zeros((3, 32), np.uint64)},
    ],
)
def test_a_list_of_images_of_other_types_is_refused(folder: Path, changes: dict[str, npt.NDArray[np.generic]]) -> None:
    listed = {"root": np.asarray(b"/data"), "paths": PATHS, "classes": np.asarray([b"a", b"b"]), **changes}
    np.savez_compressed(folder / "predictions/val-images.npz", **listed)
    with pytest.raises(DataError):
        predictions.read_images(folder, "val")


def test_the_fingerprint_does_not_depend_on_how_many_paths_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hashlib.sha256(b"\0".join([*PATHS.tolist(), b"", b"a", b"b"])).hexdigest()
    for at_once in (1, 2, 3, 100):
        monkeypatch.setattr(predictions, "_PATHS", at_once)
        assert predictions.fingerprint(PATHS, CLASSES) == whole


@pytest.mark.parametrize("evaluation", ["../../epoch-0001", "/etc/passwd", "a\0b", "test"])
def test_no_name_leads_out_of_the_folder(folder: Path, evaluation: str) -> None:
    with pytest.raises(ImgclsError):
        predictions.read(folder, evaluation)


def test_a_link_in_the_place_of_predictions_is_not_followed_out(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "epoch-0001.npz"
    path = folder / "predictions/epoch-0001.npz"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(DataError):
        predictions.read(folder, 1)


def test_probabilities_of_another_shape_or_evaluation_are_not_taken(folder: Path) -> None:
    held, path = predictions.read(folder, 1), folder / "predictions/val-probs.npy"
    right = np.asarray([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], np.float16)
    np.save(path, right)
    found = predictions.read_probs(folder, held, "val")
    assert found is not None
    assert np.array_equal(found.row(1), right[1])
    np.save(path, right[:, ::-1].copy())
    assert predictions.read_probs(folder, held, "val") is None
    for damaged in (right[:2], right.astype(np.float32), np.asfortranarray(right)):
        np.save(path, damaged)
        with pytest.raises(DataError):
            predictions.read_probs(folder, held, "val")
    np.save(path, right)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError):
        predictions.read_probs(folder, held, "val")

"""The fingerprint of a data set: bit-equal to earlier manifests, and the same for a run and a sweep."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcls_lab.planning.fingerprint import UNREADABLE, content_digest, data_fingerprint, file_digest

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name)


def fingerprint_of(files: dict[bytes, bytes]) -> str:
    digests = b"".join(map(content_digest, files.values()))
    return data_fingerprint(np.array(list(files), np.bytes_), np.frombuffer(digests, np.uint64).reshape(-1, 4))


def test_the_fingerprint_is_the_one_of_earlier_manifests() -> None:
    """A run that was stopped before an update is not refused after it."""
    files = {b"train/b/1.png": b"two", b"train/a/\xff.png": b"three", b"train/a/1.png": b"one"}
    assert fingerprint_of(files) == ("effbf4f91af8bd387cc680f0fa7412c778d7d781082355873b3a0c3c71b5e8c3")


@settings(deadline=None)
@given(files=st.dictionaries(NAMES, st.binary(max_size=8), max_size=8), seed=st.integers(0, 99))
def test_the_fingerprint_depends_on_names_and_contents_and_on_no_order(files: dict[bytes, bytes], seed: int) -> None:
    expected = hashlib.sha256()
    for name in sorted(files):
        expected.update(name + b"\0" + hashlib.sha256(files[name]).digest())
    shuffled = np.random.default_rng(seed).permutation(len(files))
    items = list(files.items())
    assert fingerprint_of({items[n][0]: items[n][1] for n in shuffled}) == expected.hexdigest()


@pytest.mark.parametrize("kind", ["empty", "missing", "fifo", "folder"])
def test_a_file_that_no_run_can_read_has_no_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    if kind == "empty":
        path.touch()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    assert file_digest(path) == UNREADABLE


def test_a_file_has_the_digest_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    assert file_digest(tmp_path / "a.png") == content_digest(b"one")

"""The fingerprint of a data set: it says whether two runs saw the same files with the same contents.

The engine's scan writes it into a run's manifest and refuses a resume on other data; sweeps make it a part of a trial's
identity. It depends on no cache, no order and no split of the files.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
import numpy.typing as npt

from imgcls_lab.errors import DataError
from imgcls_lab.images import read_bytes

UNREADABLE = bytes(hashlib.sha256().digest_size)  # stands for the content of a file that cannot be read


def content_digest(content: bytes) -> bytes:
    """The SHA-256 of the content of a file."""
    return hashlib.sha256(content).digest()


def file_digest(path: str | os.PathLike[str]) -> bytes:
    """The digest of an image file; `UNREADABLE` for a file that a run would leave out without decoding it."""
    try:
        return content_digest(read_bytes(path))
    except DataError:
        return UNREADABLE


def data_fingerprint(paths: npt.NDArray[np.bytes_], digests: npt.NDArray[np.uint64]) -> str:
    """SHA-256 (hex) over paths and contents, in the order of the paths' bytes.

    paths: shape (files,), relative to the data set's root; digests: shape (files, 4), the contents' SHA-256 as eight
    bytes a number.
    """
    fingerprint = hashlib.sha256()
    for number in np.argsort(paths, kind="stable"):
        fingerprint.update(bytes(paths[number]) + b"\0" + digests[number].tobytes())
    return fingerprint.hexdigest()


def revised_fingerprint(fingerprint: str, content: str) -> str:
    """The fingerprint of the same files under corrections. content: `Overlay.content`."""
    return hashlib.sha256(f"{fingerprint} {content}".encode()).hexdigest()

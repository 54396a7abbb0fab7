"""The map of an audit as the JSON text of a `MapView`, made from its arrays block by block.

Called by `store.dataset_pages`. It makes no object of Python for each image: those of 100,000 images would stay with
the server as tens of megabytes of its heap.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK = 4096  # images
_MARK = "mark_"
_ID = 32  # bytes of a digest


def map_json(found: Mapping[str, npt.NDArray[Any]], **header: Any) -> bytes:
    """The text. found: by `results.read_map`; header: the fields of `MapView` that the arrays do not give."""
    text = io.BytesIO()  # it grows in place, and gives its bytes without a copy
    text.write(json.dumps({"method": str(found["method"]), **header}).encode()[:-1] + b",")
    for name in ("x", "y", "label", "split"):
        _write(text, name, _numbers(found[name]))
        text.write(b",")
    _write(text, "image", _ids(found["digest"]))
    text.write(b',"marked":{')
    for number, name in enumerate(name for name in found if name.startswith(_MARK)):
        text.write(b"," if number else b"")
        _write(text, name.removeprefix(_MARK), _numbers(found[name]))
    text.write(b"}}")
    return text.getvalue()


def _write(text: io.BytesIO, name: str, blocks: Iterator[bytes]) -> None:
    """A field that is a list."""
    text.write(json.dumps(name).encode() + b":[")
    for number, block in enumerate(blocks):
        text.write(b"," if number else b"")
        text.write(block)
    text.write(b"]")


def _numbers(values: npt.NDArray[Any]) -> Iterator[bytes]:
    for start in range(0, len(values), _BLOCK):
        yield json.dumps(values[start : start + _BLOCK].tolist(), separators=(",", ":"))[1:-1].encode()


def _ids(digests: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    """Each as 64 hex digits in quotes."""
    for start in range(0, len(digests), _BLOCK):
        block = np.ascontiguousarray(digests[start : start + _BLOCK])
        text = np.full((len(block), 2 * _ID + 3), ord('"'), np.uint8)
        text[:, 1 : 2 * _ID + 1] = np.frombuffer(block.tobytes().hex().encode(), np.uint8).reshape(len(block), 2 * _ID)
        text[:, -1] = ord(",")
        yield text.tobytes()[:-1]

"""Reads numpy's files that may come from elsewhere: no object, no array larger than allowed, nothing past the file.

Called by `predictions.py`. A compressed file of some kilobytes may claim gigabytes; what each array claims is checked
before memory is taken for it.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from io import BufferedReader
from typing import IO, Any

import numpy as np
import numpy.typing as npt

MAX_BYTES = 256 * 2**20  # of the arrays in one file, as they are in memory
MAX_ARRAYS = 16
_HEADER = 16_384  # characters of an array's header
_DIRECTORY = 65_536  # bytes of the list of the arrays
_WRITTEN = re.compile(  # what numpy writes into a header
    rb"\{'descr': (?P<dtype>'[^'\n]*'|\[[^\]\n]*\]), 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>[\d, ]{0,200})\), \} *\n"
)
_DTYPE = re.compile(r"'[<>|=][iufSU]\d{1,9}'")
_END = struct.Struct("<4s4H2LH")  # of a zip file without a comment; its list of files is in front of it

Arrays = dict[str, npt.NDArray[Any]]


def load(file: BufferedReader) -> Arrays:
    """The arrays of an npz file by name. Raises ValueError for what is none, OSError."""
    try:
        return _load(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # the last: encrypted
        raise ValueError(str(error)) from error


def _load(file: BufferedReader) -> Arrays:
    _check_directory(file)
    with zipfile.ZipFile(file) as packed:
        members = packed.infolist()
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise ValueError("it is packed in an unknown way")
        if len(members) > MAX_ARRAYS or sum(member.file_size for member in members) > MAX_BYTES:
            raise ValueError(f"it claims to hold more than {MAX_BYTES // 2**20} MiB")
        arrays = {}
        for member in members:
            with packed.open(member) as stream:
                arrays[member.filename.removesuffix(".npy")] = _array(stream, member.file_size)
    return arrays


def begin(file: BufferedReader, dtype: str, shape: tuple[int, ...]) -> int:
    """The byte at which the values of an npy file begin, if it is of that dtype and shape and whole. Raises ValueError.

    dtype: as numpy's, such as float16.
    """
    found, kind, start = _header(file)
    if (found, kind) != (shape, np.dtype(dtype)) or os.fstat(file.fileno()).st_size != start + _bytes(found, kind):
        raise ValueError(f"it holds {kind} {found}, not {dtype} {shape}")
    return start


def records(file: BufferedReader, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """The rows of an npy file of this dtype with fields, (n,). Raises ValueError, OSError."""
    text, shape, start = _header_text(file)
    size = os.fstat(file.fileno()).st_size
    if text != repr(dtype.descr) or len(shape) != 1 or size > MAX_BYTES or size != start + _bytes(shape, dtype):
        raise ValueError(f"it holds {text[:60]} {shape} in {size} bytes")
    return np.frombuffer(file.read(size - start), dtype)


def check(array: npt.NDArray[Any], kinds: str, shape: tuple[int, ...]) -> None:
    """Raises ValueError if an array has another shape, or a dtype of none of these kinds (numpy's letters)."""
    if array.dtype.kind not in kinds or array.shape != shape:
        raise ValueError(f"it holds {array.dtype} {array.shape}, where {shape} is expected")


def _check_directory(file: BufferedReader) -> None:
    """Raises ValueError for a list of files that would itself take much memory. `zipfile` reads the list whole."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _END.size - 20))
    tail = file.read()
    if len(tail) < _END.size:
        raise ValueError("it is no npz file")
    signature, _, _, _, count, length, _, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\5\6" or comment or tail.startswith(b"PK\6\7"):  # the last: of a list of another form
        raise ValueError("it is no npz file")
    if count > MAX_ARRAYS or length > _DIRECTORY:
        raise ValueError(f"it claims to hold {count} arrays")


def _array(stream: IO[bytes], size: int) -> npt.NDArray[Any]:
    shape, dtype, start = _header(stream)
    length = _bytes(shape, dtype)
    if size != start + length:
        raise ValueError(f"it claims {dtype} {shape} in {size} bytes")
    values = np.empty(shape, dtype)
    if length:
        view = memoryview(values.reshape(-1).view(np.uint8).data)
        done = 0
        while done < length and (count := stream.readinto(view[done : done + 2**20])):  # type: ignore[attr-defined]
            done += count
        if done < length:
            raise ValueError("it ends early")
    stream.read(1)  # behind the last byte the checksum is compared
    return values


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, dtype and length of the header. Raises ValueError for objects and for what is not in C order."""
    text, shape, start = _header_text(stream)
    if not _DTYPE.fullmatch(text):
        raise ValueError(f"it holds {text[:60]}")
    try:
        return shape, np.dtype(text.strip("'")), start
    except TypeError:  # such as a float of 3 bytes
        raise ValueError(f"it holds {text}") from None


def _header_text(stream: IO[bytes]) -> tuple[str, tuple[int, ...], int]:
    """How the header writes the dtype, the shape, and the header's length. Raises ValueError.

    numpy's own reader evaluates the header as Python, of which a nested one takes any amount of memory.
    """
    version = np.lib.format.read_magic(stream)
    size = {(1, 0): 2, (2, 0): 4}.get(version)
    if size is None:
        raise ValueError(f"it has an unknown version {version}")
    length = int.from_bytes(stream.read(size), "little")
    if length > _HEADER:
        raise ValueError(f"its header takes {length} bytes")
    found = _WRITTEN.fullmatch(stream.read(length))
    if found is None:
        raise ValueError("its header is not one that numpy writes")
    shape = tuple(int(edge) for edge in found["shape"].split(b",") if edge.strip())
    if found["fortran"] == b"True" and len(shape) > 1:
        raise ValueError("its values are not in C order")
    return found["dtype"].decode("ascii", "replace"), shape, stream.tell()


def _bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    length = dtype.itemsize
    for edge in shape:
        length *= edge
    return length

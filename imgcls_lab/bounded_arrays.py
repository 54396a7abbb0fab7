"""Reads numpy's files that may come from elsewhere: no object, no array larger than allowed, nothing past the file.

Called by `predictions.py`. A compressed file of some kilobytes may claim gigabytes; what each array claims is checked
before memory is taken for it.
"""

from __future__ import annotations

import os
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
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"it has an unknown version {version}")
    shape, fortran, dtype = read(stream, max_header_size=_HEADER)
    if fortran and len(shape) > 1:
        raise ValueError("its values are not in C order")
    if dtype.hasobject or dtype.fields or dtype.kind not in "iufSU":
        raise ValueError(f"it holds {dtype}")
    return shape, dtype, stream.tell()


def _bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    length = dtype.itemsize
    for edge in shape:
        if edge < 0:
            raise ValueError(f"it claims the shape {shape}")
        length *= edge
    return length

"""A file that a user names on the command line, read whole: a config, a sweep, a notebook. Standard library only.

Called by whoever takes such a name. It may be a pipe (`--config <(jq ...)`), and it may be something endless.
"""

from __future__ import annotations

from pathlib import Path

from imgcls_lab.errors import InputError


def read_given(path: Path, largest: int, remedy: str = "Name a smaller file.") -> bytes:
    """All bytes of a file or pipe, of which no more than `largest` + 1 are read.

    Raises InputError where there are more than `largest` bytes, and OSError as open and read do.
    """
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise InputError(f"“{path}” is larger than {largest // 10**6} MB. {remedy}")
    return data

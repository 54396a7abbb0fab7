"""Looks for a text in the whole log of a run, within bounds of bytes and time. Called by `run_contents`."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from io import BufferedReader
from pathlib import Path

from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.run_layout import node_log_name
from imgcls_lab.run_paths import open_plain
from imgcls_lab.schemas import LogMatch, LogMatches
from imgcls_lab.schemas.limits import MAX_NAME

MAX_SEARCHED = 2**28  # bytes, from the end of the log back
MAX_SECONDS = 5.0
MAX_MATCHES = 500  # that are named; the others are counted
MAX_LINE = 400  # characters of a line that are shown
_LONGEST = 2**20  # bytes of a line that are looked at together
_LOOK = 1000  # lines between two looks at the clock
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def search(folder: Path, text: str, node: int = 0) -> LogMatches:
    """Lines that hold a text, whatever its case. Raises InputError for an empty or long text, NotFoundError."""
    wanted = text.strip().lower()
    if not wanted or len(wanted) > MAX_NAME:
        raise InputError(f"Search for 1 to {MAX_NAME} characters.")
    try:
        with open_plain(folder, node_log_name(node)) as file:
            return _search(file, wanted)
    except FileNotFoundError:
        return LogMatches(matches=[], total=0, searched=0, size=0)
    except OSError as error:
        raise NotFoundError(f"The log of this run cannot be searched: {error.strerror or error}.") from None


def _search(file: BufferedReader, wanted: str) -> LogMatches:
    size = os.fstat(file.fileno()).st_size
    start = max(0, size - MAX_SEARCHED)
    file.seek(start)
    if start:
        start += len(file.readline(_LONGEST))  # its beginning is cut off
    found: deque[LogMatch] = deque(maxlen=MAX_MATCHES)
    offset, number, total, until = start, 0, 0, time.monotonic() + MAX_SECONDS
    while offset < size and (line := file.readline(_LONGEST)):
        number += 1
        shown = _shown(line)
        if wanted in shown.lower():
            total += 1
            found.append(LogMatch(line=number, offset=offset, text=shown[:MAX_LINE]))
        offset += len(line)
        if number % _LOOK == 0 and time.monotonic() > until:
            break
    return LogMatches(matches=[*found], total=total, searched=offset - start, size=size)


def _shown(line: bytes) -> str:
    """What a terminal shows of a line: no colours; of a line that was written over its last form."""
    text = _COLOUR.sub("", line.decode(errors="replace")).rstrip("\r\n")
    return text.rpartition("\r")[2]

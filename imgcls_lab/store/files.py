"""What is read from a run's folder rather than from the database: log and reports. Called through `Store`."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from imgcls_lab.errors import NotFoundError
from imgcls_lab.layout import OUTPUT_LOG, REPORTS, report_name
from imgcls_lab.wire import EpochReport, LogChunk

MAX_REPORT = 32 * 2**20


def read_log(folder: Path, offset: int, limit: int) -> LogChunk:
    """Text of output.log from a byte on (negative: so many bytes before its end), at most `limit` bytes.

    No character is cut in two: its beginning is left to the next call. A log that was cut since is read from its
    beginning.
    """
    try:
        with (folder / OUTPUT_LOG).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size + offset) if offset < 0 else offset
            if start > size:
                start = 0
            file.seek(start)
            data = file.read(max(0, limit))
    except FileNotFoundError:
        return LogChunk(text="", offset=0, end=0, size=0)
    if start > 0 and offset < 0:  # begin at a whole character
        skip = next((i for i, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), len(data[:4]))
        data, start = data[skip:], start + skip
    data = data[: len(data) - _torn(data)]
    return LogChunk(text=data.decode(errors="replace"), offset=start, end=start + len(data), size=size)


def _torn(data: bytes) -> int:
    """Bytes of a last character that is not whole yet."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        need = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return back if need > back else 0
    return 0


def read_report(folder: Path, epoch: int | None) -> EpochReport:
    """The evaluation of an epoch, or the last one. Raises NotFoundError."""
    if epoch is None:
        names = sorted(path.name for path in (folder / REPORTS).glob("epoch-*.json"))
        if not names:
            raise NotFoundError("This run has no evaluation yet; the first comes at the end of the first epoch.")
        path = folder / REPORTS / names[-1]
    else:
        path = folder / report_name(epoch)
    try:
        if path.stat().st_size > MAX_REPORT:
            raise NotFoundError(f"The report {path.name} is too large to be shown.")
        return EpochReport.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"This run has no evaluation of epoch {epoch}.") from None
    except ValidationError:
        raise NotFoundError(f"The report {path.name} is damaged and cannot be shown.") from None

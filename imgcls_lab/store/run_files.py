"""What is read from a run's folder rather than from the database: log and reports; and the end of a folder.

Called by `store.runs` and by `rebuilding`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imgcls_lab import output_folders
from imgcls_lab.errors import NotFoundError
from imgcls_lab.run_layout import REPORTS, TEST_REPORT, node_log_name, report_name
from imgcls_lab.run_paths import names_in, open_plain, remove
from imgcls_lab.schemas import EpochReport, LogChunk
from imgcls_lab.settings import Settings
from imgcls_lab.store import deleted_objects

MAX_REPORT = 32 * 2**20
_EPOCH_REPORT = re.compile(r"epoch-\d+\.json")


def read_log(folder: Path, offset: int, limit: int, node: int = 0) -> LogChunk:
    """Text of a log from a byte on (negative: so many bytes before its end), at most `limit` bytes.

    node: 0 the run's own, further ones of a run on several nodes have each its own.

    No character is cut in two: its beginning is left to the next call. A log that was cut since is read from its
    beginning.
    """
    try:
        with open_plain(folder, node_log_name(node)) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size + offset) if offset < 0 else offset
            if start > size:
                start = 0
            file.seek(start)
            data = file.read(max(0, limit))
    except FileNotFoundError:
        return LogChunk(text="", offset=0, end=0, size=0)
    except OSError as error:
        raise NotFoundError(f"The log of this run cannot be shown: {_reason(error)}.") from None
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


def _reason(error: OSError) -> str:
    """A link is refused with ELOOP and so is a pipe; some systems say EMLINK."""
    return "it is not a plain file" if error.errno in (errno.ELOOP, errno.EMLINK) else error.strerror or str(error)


def _epoch_of(name: str) -> int:
    """The epoch of a report's name."""
    return int("".join(filter(str.isdigit, name)))


def read_report(folder: Path, epoch: int | None, split: str = "val") -> EpochReport:
    """The evaluation of an epoch, or the last one; that of the best model on test/. Raises NotFoundError."""
    if split == "test":
        name = TEST_REPORT
    elif epoch is None:
        names = [name for name in names_in(folder, REPORTS) if _EPOCH_REPORT.fullmatch(name)]
        if not names:
            raise NotFoundError("This run has no evaluation yet; the first comes at the end of the first epoch.")
        name = f"{REPORTS}/{names[-1]}"
    else:
        name = report_name(epoch)
    try:
        with open_plain(folder, name) as file:
            data = file.read(MAX_REPORT + 1)
        if len(data) > MAX_REPORT:
            raise NotFoundError(f"The report {name} is too large to be shown.")
        return EpochReport.model_validate_json(data)
    except FileNotFoundError:
        what = "on test/; it comes at the end of a run whose data has test/."
        if split != "test":
            names = [name for name in names_in(folder, REPORTS) if _EPOCH_REPORT.fullmatch(name)]
            known = f"epochs {_epoch_of(names[0])} to {_epoch_of(names[-1])}" if names else "none yet"
            what = f"of epoch {epoch}; there are {known}."
        raise NotFoundError(f"This run has no evaluation {what}") from None
    except OSError as error:
        raise NotFoundError(f"The report {name} of this run cannot be shown: {_reason(error)}.") from None
    except ValidationError:
        raise NotFoundError(f"The report {name} is damaged and cannot be shown.") from None


def remove_folder(settings: Settings, run_id: str, config: Mapping[str, Any]) -> None:
    """Remove a run's folder, and what it has claimed of the folders outside that its config names.

    Its objects in an object store are noted for the daemon. No link is followed: of a link in the folder, or in its
    place, only the link itself is removed.
    """
    objects = deleted_objects.of_folder(settings, run_id)
    noted = objects is None or _note(settings, objects)
    folder, trash = settings.run_dir(run_id), settings.runs_dir / f".deleted-{run_id}"
    outside = output_folders.claimed(folder, config)
    remove(trash)  # of a deletion that was cut off
    with contextlib.suppress(FileNotFoundError):
        folder.rename(trash)
    output_folders.remove(outside)
    remove(trash)
    if objects is not None and not noted:
        deleted_objects.note(settings, objects)  # there is some space now


def _note(settings: Settings, objects: deleted_objects.Left) -> bool:
    """Whether it could be noted: runs are deleted to make space on a full disk."""
    try:
        deleted_objects.note(settings, objects)
    except OSError:
        return False
    return True

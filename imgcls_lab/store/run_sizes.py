"""How many bytes a run takes on the disk, and how many its deletion would free. Called where a run's files change.

Children of a run may share files with it (hard links): such a file is freed with the last folder that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from imgcls_lab import output_folders, run_paths
from imgcls_lab.settings import Settings
from imgcls_lab.store import deleted_objects


class Freed(NamedTuple):
    """Bytes. shared: of files that other folders have, too, so that they stay."""

    freed: int
    shared: int


def of_folder(folder: Path, config: Mapping[str, Any]) -> int:
    """Bytes of a run: its folder, and its checkpoints and event files elsewhere."""
    return sum(run_paths.size(place.parent, place.name) for place in _places(folder, config))


def freed_by(settings: Settings, runs: Iterable[tuple[str, Mapping[str, Any]]]) -> Freed:
    """What the deletion of these runs together frees, and what stays. runs: ids and configs.

    Objects in an object store count as far as this machine knows of them.
    """
    freed = shared = 0
    linked: dict[tuple[int, int], list[int]] = {}  # file -> names that are seen, all its names, bytes
    for run_id, config in runs:
        objects = deleted_objects.of_folder(settings, run_id)
        freed += 0 if objects is None else objects.size
        for place in _places(settings.run_dir(run_id), config):
            for file in run_paths.files(place.parent, place.name):
                if file.st_nlink == 1:
                    freed += file.st_size
                    continue
                linked.setdefault((file.st_dev, file.st_ino), [0, file.st_nlink, file.st_size])[0] += 1
    for seen, names, size in linked.values():
        if seen >= names:
            freed += size
        else:
            shared += size
    return Freed(freed, shared)


def _places(folder: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    yield folder
    yield from output_folders.claimed(folder, config)

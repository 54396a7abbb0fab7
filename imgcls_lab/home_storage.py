"""What a home takes on its disks, part by part, and what of it can be freed. Called by server, command line and Python.

It measures with bounds, and may still take seconds: never on an event loop. Nothing outside of the home, its cache
folder and the hub's cache is looked at. Nothing is removed that could not be made or downloaded again, but older copies
of the database.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from imgcls_lab import cache_eviction, model_facts, run_paths
from imgcls_lab.errors import ConflictError, InputError, StoreError
from imgcls_lab.events import LIVE
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import DiskView, FreedSpace, StorageKind, StoragePart, StorageView
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, deleted_objects
from imgcls_lab.thumbnails import cache as thumbnails

_BACKUP = re.compile(r"imgcls-[\w.-]*\d{8}-\d{6}\.(db|dump)")  # as `backups.default_name` makes them
Progress = Callable[[int, int], None]
TITLES: dict[StorageKind, str] = {
    "runs": "Runs",
    "models": "Models",
    "hub": "Models from the hub",
    "objects": "Deleted runs in the object store",
    "images": "Decoded images and features",
    "pictures": "Thumbnails",
    "compiled": "Compiled models",
    "scans": "Lists of the data sets' images",
    "exports": "Files of projects",
    "backups": "Copies of the database",
}


# what helps with a part that cannot be freed as a whole
REMEDIES: dict[StorageKind, str] = {
    "runs": "Delete runs that nobody needs.",
    "models": "Nothing of it is removed by itself.",
    "scans": "Nothing of it is removed by itself.",
    "objects": "The executor removes them by itself.",
}


class Backup(NamedTuple):
    path: Path
    size: int
    made: float


def measure(store: Store) -> StorageView:
    """The parts of a home with their sizes, and the disks that they lie on."""
    settings, began = store.settings, time.monotonic()
    parts = [_runs(store), _folder("models", settings), _hub(), *_caches(settings), _folder("scans", settings)]
    parts += [*_objects(settings), _exports(store), _backups(settings)]
    return StorageView(
        parts=parts, disks=_disks(settings), measured_at=time.time(), took=round(time.monotonic() - began, 3)
    )


def free(store: Store, kind: StorageKind, progress: Progress | None = None) -> FreedSpace:
    """Free what can be freed of a part; how many bytes that were. progress: gets the bytes that are free, and all.

    Raises InputError for a part that cannot be freed as a whole, ConflictError for one that live runs use,
    UnsafeFolderError for a cache folder that is not this user's alone.
    """
    settings, tell = store.settings, progress or _silent
    if kind == "images":
        return FreedSpace(freed=cache_eviction.clear(settings.cache_path, tell))
    if kind == "pictures":
        return FreedSpace(freed=thumbnails.clear(settings.cache_path, tell))
    if kind == "compiled":
        return FreedSpace(freed=_clear_compiled(store, tell))
    if kind == "hub":
        return FreedSpace(freed=_clear_hub(store, tell))
    if kind == "exports":
        return FreedSpace(freed=_remove_exports(store, tell))
    if kind == "backups":
        return FreedSpace(freed=_remove_older_backups(settings, tell))
    check_free(kind)
    raise AssertionError(kind)


def check_free(kind: StorageKind) -> None:
    """Raises InputError for a part that cannot be freed as a whole."""
    remedy = REMEDIES.get(kind)
    if remedy is None:
        return
    raise InputError(f"“{TITLES[kind]}” cannot be freed as a whole. {remedy}", reason="not_freed")


def _silent(_done: int, _total: int) -> None:
    """Nobody watches."""


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────────────
def _runs(store: Store) -> StoragePart:
    runs, size, uncounted = store.run_lists.sizes()
    note = f"{counted(uncounted, 'run has', 'runs have')} not been counted yet." if uncounted else ""
    return _part("runs", size, runs, note=note, at_least=uncounted > 0)


def _caches(settings: Settings) -> Iterator[StoragePart]:
    entries, pictures = cache_eviction.entries(settings.cache_path), thumbnails.usage(settings.cache_path)
    rows = sum(entry.size for entry in entries)
    yield _part("images", rows, sum(entry.images for entry in entries), frees=rows)
    yield _part("pictures", pictures.size, pictures.pictures, frees=pictures.size)
    compiled = _folder("compiled", settings)
    yield compiled.model_copy(update={"frees": compiled.size})


def _hub() -> StoragePart:
    """The models for images in the hub's cache. What other programs keep there is neither counted nor freed."""
    found = [_size_of(folder) for folder in model_facts.cached_repositories()]
    return _part("hub", sum(found), len(found), frees=sum(found))


def _objects(settings: Settings) -> Iterator[StoragePart]:
    """What deleted runs left in the object store: a part only while something is there."""
    if waits := deleted_objects.left(settings):
        note = deleted_objects.status_sentence(settings) or ""
        yield _part("objects", sum(item.size for item in waits), len(waits), note=note)


def _exports(store: Store) -> StoragePart:
    found = store.archives.list()
    size = sum(file.size for file in found)
    return _part("exports", size, len(found), frees=size)


def _backups(settings: Settings) -> StoragePart:
    found = _copies(settings)
    older = sum(copy.size for copy in found[:-1])
    return _part("backups", sum(copy.size for copy in found), len(found), frees=older)


def _folder(kind: StorageKind, settings: Settings) -> StoragePart:
    """A folder of the home, looked through within the bounds of `run_paths.files`."""
    folder, began, size, files = _FOLDERS[kind](settings), time.monotonic(), 0, 0
    for found in run_paths.files(folder.parent, folder.name):
        size, files = size + found.st_size, files + 1
    cut = files >= run_paths.MAX_FILES or time.monotonic() - began > run_paths.MAX_SECONDS
    return _part(kind, size, files, at_least=cut)


_FOLDERS = {
    "models": lambda settings: settings.models_dir,
    "compiled": lambda settings: settings.compiled_dir,
    "scans": lambda settings: settings.scans_dir,
}


def _part(
    kind: StorageKind, size: int, items: int, *, frees: int | None = None, note: str = "", at_least: bool = False
) -> StoragePart:
    return StoragePart(kind=kind, title=TITLES[kind], size=size, items=items, frees=frees, note=note, at_least=at_least)


def _disks(settings: Settings) -> list[DiskView]:
    """The disk of the home, and that of the cache where it is another one."""
    disks: dict[int, DiskView] = {}
    places: list[tuple[Literal["home", "cache", "hub cache"], Path]] = [
        ("home", settings.home_path), ("cache", settings.cache_path), ("hub cache", model_facts.hub_cache()),
    ]  # fmt: skip
    for holds, folder in places:
        place = next(place for place in (folder, *folder.parents) if place.exists())
        usage = shutil.disk_usage(place)
        disks.setdefault(os.stat(place).st_dev, DiskView(holds=holds, free=usage.free, total=usage.total))
    return list(disks.values())


# ── what is freed ───────────────────────────────────────────────────────────────────────────────────────────────
def _copies(settings: Settings) -> list[Backup]:
    """The copies of the database that this program made by itself, oldest first; links and other files are passed."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(settings.backups_dir) as entries:
        for entry in entries:
            if _BACKUP.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                facts = entry.stat(follow_symlinks=False)
                found.append(Backup(Path(entry.path), facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda copy: (copy.made, copy.path))


def _remove_older_backups(settings: Settings, tell: Progress) -> int:
    freed, older = 0, _copies(settings)[:-1]
    for copy in older:
        tell(freed, sum(other.size for other in older))
        try:
            copy.path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{copy.path} cannot be removed: {error.strerror}. Check its folder.") from error
        freed += copy.size
    return freed


def _refuse_while_live(store: Store, what: str) -> None:
    live = store.runs.list(states=LIVE, limit=1).total
    if live:
        raise ConflictError(
            f"{counted(live, 'run is', 'runs are')} live and may use {what}. Free them when nothing runs.",
            reason="live",
        )


def _clear_compiled(store: Store, tell: Progress) -> int:
    _refuse_while_live(store, "compiled models")
    folder = store.settings.compiled_dir
    return _remove_folders(sorted(folder.iterdir()) if folder.is_dir() else [], folder, tell)


def _clear_hub(store: Store, tell: Progress) -> int:
    """Remove the models for images from the hub's cache, each whole or not at all: runs download them again."""
    _refuse_while_live(store, "models from the hub")
    return _remove_folders(model_facts.cached_repositories(), None, tell)


def _remove_folders(folders: Sequence[Path], parent: Path | None, tell: Progress) -> int:
    """Remove folders one by one, and their parent in the end, if it is named; how many bytes that freed."""
    sizes, freed = [_size_of(folder) for folder in folders], 0
    for folder, size in zip(folders, sizes, strict=True):
        tell(freed, sum(sizes))
        run_paths.remove(folder)
        freed += size
    if parent is not None:
        run_paths.remove(parent)
    return freed


def _remove_exports(store: Store, tell: Progress) -> int:
    freed, found = 0, store.archives.list()
    for file in found:
        tell(freed, sum(other.size for other in found))
        store.archives.delete(file.name)
        freed += file.size
    return freed


def _size_of(path: Path) -> int:
    return run_paths.size(path.parent.resolve(), path.name)

"""The folders that a data set may be chosen from: the allowed roots, and what lies below them.

A folder is named by an id that this server gave: root and path, signed by a key of the process, so that no request
names a path. Links that lead out of the roots are not shown. A large or slow disk gives a partial answer in time.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import queue
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from imgcls_lab.errors import DataError, NotFoundError
from imgcls_lab.image_files import printable
from imgcls_lab.imagefolder import FolderSummary, inspect_folder
from imgcls_lab.images import is_image_name
from imgcls_lab.schemas import DatasetView, FolderEntry, FolderPage
from imgcls_lab.schemas.images import RegisteredAs
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler
from imgcls_lab.server.paths import allowed_folder
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.settings import Settings

MOST = 500  # folders that are listed
MOST_READ = 20_000  # entries of a folder that are looked at to list it
MOST_COUNTED = 2_000  # entries of a folder that are looked at to count it
SECONDS = 1.5  # for all counts of one page, and again for the look at the folder that is open
_TAG = 16  # bytes of a signature
Known = Mapping[str, RegisteredAs]  # by the real path of the folder


class FolderBrowser:
    """Pages of folders. Its ids are good for as long as the server lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = secrets.token_bytes(32)
        self._looking = threading.BoundedSemaphore(2)  # looks that take too long go on by themselves

    def page(self, folder_id: str, datasets: Sequence[DatasetView] = (), *, models: bool = False) -> FolderPage:
        """A folder and its folders; of an empty id the roots. datasets: those that are registered.

        models: among the roots is the home's folder of models, too.

        Raises NotFoundError, DataError.
        """
        known = {os.path.realpath(view.root): RegisteredAs(id=view.id, name=view.name) for view in datasets}
        if not folder_id:
            there = [root for root in (self._roots() if models else self._named()) if root.is_dir()]
            roots = [self._entry(root, root, str(root), time.monotonic() + SECONDS, known) for root in there]
            return FolderPage(id="", title="Folders of this server", trail=[], folders=roots, root="")
        root, folder = self._open(folder_id)
        try:
            folders, more = self._folders(root, folder, known)
        except OSError as error:
            raise DataError(f"“{printable(folder)}” cannot be read: {error.strerror or error}.") from None
        problem, notes = self._look(folder)
        page = FolderPage(
            id=folder_id,
            title=printable(folder.name or folder),
            trail=self._trail(root, folder),
            folders=folders,
            more=more,
            root=printable(folder),
            problem=problem,
            notes=notes,
        )
        page.registered = known.get(str(folder))
        return page

    def at(self, path: Path, datasets: Sequence[DatasetView] = ()) -> FolderPage:
        """The page of a folder by its path. Raises NotFoundError where it is below no root, or hidden there."""
        folder = path.resolve()
        root = next((root for root in self._named() if folder.is_relative_to(root)), None)
        if root is None or not folder.is_dir() or any(part[0] == "." for part in folder.relative_to(root).parts):
            raise NotFoundError(f"There is no folder “{printable(path.name)}” that may be chosen.", reason="no_folder")
        return self.page(self._id(root, folder), datasets)

    def _look(self, folder: Path) -> tuple[str | None, list[str]]:
        """What is wrong with a folder as a data set, and what is worth knowing. Nobody waits long for it."""
        found: queue.SimpleQueue[FolderSummary] = queue.SimpleQueue()

        def look() -> None:
            try:
                found.put(inspect_folder(folder))
            finally:
                self._looking.release()

        if self._looking.acquire(blocking=False):  # else two that take too long still go on
            threading.Thread(target=look, name="imgcls-look", daemon=True).start()
            with contextlib.suppress(queue.Empty):
                summary = found.get(timeout=SECONDS)
                return summary.problem, summary.notes
        return None, ["This folder is large or its disk slow. Whether it is a data set is checked at registering."]

    def _named(self) -> list[Path]:
        """Where data sets are expected: the folders of runs and models hold none, unless they were named."""
        names = [self._settings.datasets_dir, *self._settings.allowed_roots]
        return list(dict.fromkeys(Path(name).expanduser().resolve() for name in names))

    def _roots(self) -> list[Path]:
        """These, and the home's folder of models."""
        return list(dict.fromkeys([*self._named(), self._settings.models_dir.resolve()]))

    def _folders(self, root: Path, folder: Path, known: Known) -> tuple[list[FolderEntry], int]:
        until = time.monotonic() + SECONDS
        with os.scandir(folder) as found:
            seen = islice(found, MOST_READ)
            names = sorted((e.name for e in seen if not e.name.startswith(".") and e.is_dir()), key=_natural)
        shown = [Path(folder, name).resolve() for name in names[:MOST]]
        inside = [path for path in shown if any(path.is_relative_to(top) for top in self._roots())]
        entries = [
            self._entry(_root_of(path, root, self._roots()), path, name, until, known)
            for path, name in zip(shown, names, strict=False)
            if path in inside and printable(path) == str(path)
        ]
        return entries, max(0, len(names) - MOST)

    def _entry(self, root: Path, folder: Path, name: str, until: float, known: Known) -> FolderEntry:
        images = folders = None
        usable = False
        if time.monotonic() < until:
            images, folders, usable = _counted(folder)
        return FolderEntry(
            name=printable(name),
            id=self._id(root, folder),
            images=images,
            folders=folders,
            usable=usable,
            registered=known.get(str(folder)),
        )

    def _trail(self, root: Path, folder: Path) -> list[FolderEntry]:
        steps = [root, *(root / Path(*parts) for parts in _beginnings(folder.relative_to(root).parts))]
        return [FolderEntry(name=printable(step.name or step), id=self._id(root, step)) for step in steps]

    # ── ids ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _id(self, root: Path, folder: Path) -> str:
        content = json.dumps([self._roots().index(root), str(folder.relative_to(root))]).encode()
        return base64.urlsafe_b64encode(self._tag(content) + content).decode()

    def _open(self, folder_id: str) -> tuple[Path, Path]:
        """Root and folder of an id. Raises NotFoundError for one that is not ours, or leads out by now."""
        gone = NotFoundError("There is no such folder. Begin at the list of folders again.", reason="no_folder")
        try:
            data = base64.urlsafe_b64decode(folder_id.encode("ascii"))
        except ValueError:
            raise gone from None
        tag, content = data[:_TAG], data[_TAG:]
        if not hmac.compare_digest(tag, self._tag(content)) or base64.urlsafe_b64encode(data).decode() != folder_id:
            raise gone
        number, relative = json.loads(content)
        roots = self._roots()
        if number >= len(roots):
            raise gone
        folder = roots[number] / relative
        if folder.resolve() != folder or not folder.is_dir():
            raise gone
        return roots[number], folder

    def _tag(self, content: bytes) -> bytes:
        return hmac.new(self._key, content, hashlib.sha256).digest()[:_TAG]


class FoldersHandler(ApiHandler):
    """A folder that a data set may be chosen from."""

    def initialize(self, backend: Backend, browser: FolderBrowser) -> None:  # type: ignore[override]
        super().initialize(backend)
        self._browser = browser

    @permitted
    async def get(self) -> None:
        folder_id = self.get_query_argument("id", "")
        models = self.choice("of", ("data", "models"), "data") == "models"
        await self.answer(
            lambda store: self._browser.page(folder_id, store.datasets.list(), models=models), work="slow"
        )


class FolderAtHandler(FoldersHandler):
    """A folder that is named by its path in Jupyter's file browser."""

    @permitted
    async def get(self) -> None:
        path = self.get_query_argument("path", "").strip("/")
        top = os.path.realpath(os.path.expanduser(self.settings["server_root_dir"]))
        folder = allowed_folder(self.backend.settings, os.path.join(top, path), "path")
        await self.answer(lambda store: self._browser.at(Path(folder), store.datasets.list()), work="slow")


def _counted(folder: Path) -> tuple[int | None, int | None, bool]:
    """Images and folders that lie in a folder, up to a bound, and whether it looks like a data set."""
    images = folders = 0
    first: list[str] = []
    names = set()
    try:
        with os.scandir(folder) as found:
            for number, entry in enumerate(found):
                if number >= MOST_COUNTED:
                    break
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders += 1
                    names.add(entry.name)
                    if len(first) < 2:
                        first.append(entry.path)
                else:
                    images += is_image_name(entry.name)
        usable = "train" in names or (len(first) > 1 and all(map(_begins_with_image, first)))
    except OSError:
        return None, None, False
    return images, folders, usable


def _begins_with_image(folder: str) -> bool:
    """Whether one of the first files of a folder has the name of an image."""
    with os.scandir(folder) as found:
        return any(is_image_name(entry.name) for _, entry in zip(range(50), found, strict=False))


def _root_of(path: Path, root: Path, roots: list[Path]) -> Path:
    return root if path.is_relative_to(root) else next(top for top in roots if path.is_relative_to(top))


def _beginnings(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [parts[: number + 1] for number in range(len(parts))]


def _natural(name: str) -> tuple[str, str]:
    return name.casefold(), name


def routes(backend: Backend) -> list[Route]:
    browser = FolderBrowser(backend.settings)
    return [
        route("api/folders", FoldersHandler, backend=backend, browser=browser),
        route("api/folders/at", FolderAtHandler, backend=backend, browser=browser),
    ]

"""Routes of pictures: an image of a data set or of a run, by its id, as WebP. No request and no answer holds a path."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

from tornado import web

from imgcls_lab import image_lookup
from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import ForbiddenPathError, NotFoundError
from imgcls_lab.schemas import ThumbnailSize
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, image_id_of, number_of, run_id_of
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.server.pools import Together
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.thumbnails.cache import ThumbnailCache
from imgcls_lab.thumbnails.pool import GivenUpError, ThumbnailPool

SIZES = tuple(map(str, get_args(ThumbnailSize)))
REMEMBERED = 1.0  # seconds for which the folders of a data set or run are not asked of the database again
Find = Callable[[Store], FoundImage]
Place = tuple[Path, str]  # folder of a run, which a data set has not, and root of the images, links resolved
Identity = tuple[int, int] | None  # device and inode of a folder; None: it is not there


class Thumbnails:
    """The pictures of one server: what was made before, else one of its processes makes it."""

    def __init__(self, backend: Backend) -> None:
        settings = backend.settings
        self._backend = backend
        self._pool = ThumbnailPool()
        self._places: dict[str, tuple[float, Identity, Place]] = {}
        self._cache = ThumbnailCache(settings.cache_path, int(settings.thumbnails_mb * 1e6))
        self._looks = Together[tuple[FoundImage, bytes | None]](partial(backend.run, work="kept"))

    async def picture(self, key: str, find: Find, size: int, *, known: bool, unwanted: Callable[[], bool]) -> bytes:
        """The picture of the image that `find` finds; b"" for one that the client has already (`known`).

        key: of the data set or run; who asks for the same waits for the same disk. Raises DataError and other errors
        with a sentence, and GivenUpError once it is unwanted.
        """

        def look() -> tuple[FoundImage, bytes | None]:
            if unwanted():
                raise GivenUpError
            found = find(self._backend.store())
            return found, b"" if known else self._cache.get(found.image, size)

        found, content = await self._looks.call(key, look)
        if content is not None:
            return content
        return await self._backend.run(lambda: self._make(found, size, unwanted), "picture")

    def _make(self, found: FoundImage, size: int, unwanted: Callable[[], bool]) -> bytes:
        content = self._cache.get(found.image, size)  # another request may have had it made meanwhile
        if content is None:
            content = self._pool.picture(found, size, unwanted)
            self._cache.put(found.image, size, content)
        return content

    def place(self, key: str, ask: Callable[[], Place]) -> Place:
        """What `ask` returns, the checked root in it, or returned a moment ago: a grid asks for hundreds of pictures.

        A root that is another folder meanwhile, or a link to one, is asked for and checked again.
        """
        now = time.monotonic()
        until, identity, place = self._places.get(key, (0.0, None, (Path(), "")))
        if now < until and identity is not None and _identity(place[1]) == identity:
            return place
        place = ask()
        identity = _identity(place[1])
        self._places = {old: held for old, held in list(self._places.items()) if now < held[0]}
        if os.path.realpath(place[1]) == place[1]:  # looked at after its identity, which may be that of a link's target
            self._places[key] = now + REMEMBERED, identity, place
        return place

    def close(self) -> None:
        self._pool.close()


class PictureHandler(ApiHandler):
    """Base of the two routes: finds the image in a thread, and sends its picture unless the client has it."""

    def initialize(self, backend: Backend, thumbnails: Thumbnails) -> None:  # type: ignore[override]
        super().initialize(backend)
        self._thumbnails = thumbnails
        self._gone = False

    def on_connection_close(self) -> None:
        self._gone = True  # the picture left the screen: it need not be made
        super().on_connection_close()

    async def send(self, key: str, image: str, find: Find) -> None:
        size = int(self.choice("size", SIZES, "256"))
        tag = f'"{image}-{size}"'
        known = tag in self.request.headers.get("If-None-Match", "")
        try:
            content = await self._thumbnails.picture(key, find, size, known=known, unwanted=lambda: self._gone)
        except GivenUpError:
            raise web.HTTPError(499) from None
        self.set_header("ETag", tag)
        self.set_header("Cache-Control", "private, max-age=31536000, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
        if known:
            self.set_status(304)
        # by its argument: Jupyter's `finish` writes the type of JSON over any header
        self.finish(None if known else content, set_content_type="image/webp")


class DatasetThumbnailHandler(PictureHandler):
    @permitted
    async def get(self, text: str, image: str) -> None:
        number, image = number_of(text, "data set"), image_id_of(image)
        key = f"data set {number}"

        def find(store: Store) -> FoundImage:
            _, root = self._thumbnails.place(
                key, lambda: (Path(), check_shown(store.settings, store.datasets.root_of(number)))
            )
            return image_lookup.in_dataset(store.settings, root, image)

        await self.send(key, image, find)


class RunThumbnailHandler(PictureHandler):
    @permitted
    async def get(self, text: str, image: str) -> None:
        run_id, image = run_id_of(text), image_id_of(image)
        key = f"run {run_id}"

        def find(store: Store) -> FoundImage:
            folder, root = self._thumbnails.place(key, lambda: _place_of_run(store, run_id))
            return image_lookup.in_run(store.settings, folder, root, image)

        await self.send(key, image, find)


def _identity(root: str) -> Identity:
    try:
        found = os.stat(root, follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def find_in_run(store: Store, run_id: str, image: str) -> FoundImage:
    """The file of an image of a run. Raises NotFoundError, ConflictError, ForbiddenPathError."""
    folder, root = _place_of_run(store, run_id)
    return image_lookup.in_run(store.settings, folder, root, image)


def _place_of_run(store: Store, run_id: str) -> Place:
    folder, root = store.evaluations.folder_and_root(run_id)
    return folder, check_shown(store.settings, root)


def check_shown(settings: Settings, root: str) -> str:
    """The root of a data set with links resolved.

    Raises ForbiddenPathError, which names no path, for a data set outside the folders that this server may read.
    """
    if not root:
        raise NotFoundError("This run names no data set.", reason="no_dataset")
    try:
        return os.fspath(settings.allowed(root))
    except ForbiddenPathError:
        raise ForbiddenPathError(
            "These images lie outside the folders that this server may read. Start it with their folder in "
            "IMGCLS_ALLOWED_ROOTS.",
            reason="outside",
        ) from None


def routes(backend: Backend, thumbnails: Thumbnails) -> list[Route]:
    given: dict[str, Any] = {"backend": backend, "thumbnails": thumbnails}
    return [
        route("api/datasets/ID/images/ID/thumbnail", DatasetThumbnailHandler, **given),
        route("api/runs/ID/images/ID/thumbnail", RunThumbnailHandler, **given),
    ]

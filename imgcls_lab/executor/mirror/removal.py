"""Removes the objects of deleted runs from the object store, in a thread of the daemon, until none is left.

Called by the daemon now and then, whatever its backend is. A store that is away is asked again later, and it is said
why. A run is looked at once more after its last object went: a node that was cut off may still have sent one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from imgcls_lab.errors import ObjectStoreError
from imgcls_lab.executor.mirror.index import prefix_of
from imgcls_lab.executor.mirror.object_store import ObjectStore
from imgcls_lab.plurals import counted
from imgcls_lab.settings import Settings
from imgcls_lab.store import deleted_objects
from imgcls_lab.store.deleted_objects import Left

log = logging.getLogger(__name__)

AT_ONCE = 1000  # objects that are listed and deleted before the next look: what S3 takes in one request
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0  # seconds between two tries while the store cannot be used
ONCE_MORE = 30.0  # seconds until a run is looked at again whose objects went


class ObjectRemoval:
    """The removals of one home. `update` is called by one thread, and does not wait for the store."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._due = self._pause = 0.0
        self._later: dict[str, float] = {}  # run -> when it is looked at once more
        self._removed: dict[str, list[int]] = {}  # run -> objects and bytes that went
        self._problem: str | None = ""  # as it was said last; at the start, an earlier daemon may have said one
        self.closing = threading.Event()

    def update(self) -> None:
        """Have what is noted removed, if it is time."""
        if (self._thread is not None and self._thread.is_alive()) or self._clock() < self._due:
            return
        if any(self._later.get(item.run_id, 0.0) <= self._clock() for item in self._left()):
            self._thread = threading.Thread(target=self._remove_all, name="imgcls-objects", daemon=True)
            self._thread.start()

    def _left(self) -> list[Left]:
        """What may be removed: not of a run whose folder is still there, or again."""
        found = deleted_objects.left(self._settings)
        return [item for item in found if not self._settings.run_dir(item.run_id).exists()]

    def _remove_all(self) -> None:
        failed = True
        try:
            problem = self._try_all()
            failed = False
        except ObjectStoreError as error:
            problem = str(error)
        except OSError as error:
            problem = f"The notes of deleted runs in {self._settings.executor_dir} cannot be written: {error}."
        except Exception as error:
            log.exception("Objects of deleted runs could not be removed.")
            problem = f"Objects of deleted runs could not be removed: {error!r}"
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or FIRST_PAUSE) if failed else 0.0
        self._due = self._clock() + self._pause
        if problem != self._problem:
            if problem or self._problem:
                log.warning("%s", problem or "Objects of deleted runs can be removed again.")
            self._problem = problem
            self._say(problem)

    def _try_all(self) -> str | None:
        """Remove until nothing is left or this process ends; what must be mended first. Raises ObjectStoreError."""
        found = self._left()
        here = [item for item in found if item.store == self._settings.store_url.rstrip("/")]
        store = ObjectStore(self._settings.store_url) if here else None
        for item in here:
            if store is not None and self._later.get(item.run_id, 0.0) <= self._clock():
                self._remove(store, item)
        elsewhere = [item for item in found if item not in here]
        self._later |= {item.run_id: self._clock() + LONGEST_PAUSE for item in elsewhere}
        return _of_another_store(elsewhere[0], len(elsewhere)) if elsewhere else None

    def _remove(self, store: ObjectStore, item: Left) -> None:
        prefix = prefix_of(item.run_id)
        removed = self._removed.setdefault(item.run_id, [0, 0])
        before = removed[0]
        while not self.closing.is_set():
            count, size = store.delete_below(prefix, AT_ONCE)
            removed[0], removed[1] = removed[0] + count, removed[1] + size
            if count < AT_ONCE:
                break
        if self.closing.is_set():
            return
        if removed[0] > before:
            self._later[item.run_id] = self._clock() + ONCE_MORE
            return
        deleted_objects.forget(self._settings, item.run_id)
        self._later.pop(item.run_id, None)
        count, size = self._removed.pop(item.run_id)
        log.info("%s of the deleted run %s are removed, %.1f MB.", counted(count, "object"), item.run_id, size / 1e6)

    def _say(self, problem: str | None) -> None:
        try:
            deleted_objects.say_problem(self._settings, problem)
        except OSError as error:
            log.warning("It could not be written down: %s", error)


def _of_another_store(item: Left, count: int) -> str:
    return (
        f"The objects of {counted(count, 'deleted run')} lie in {item.store}, and IMGCLS_STORE_URL does not name that "
        f"store now. Set it again for a while, or delete runs/{item.run_id} and the like there by hand."
    )

"""The head's side of the mirror: hands attempts over to the store, and brings what nodes send into the local home.

Called by the daemon's backend. The home's folder is then ingested with the same code as that of a local run. A store
that cannot be reached ends no run: it is said, and all is brought once the store answers.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from imgcls_lab import locks, run_changes, run_layout, run_paths, signing
from imgcls_lab.errors import ConfigError, ObjectStoreError, Problem
from imgcls_lab.executor.mirror import index
from imgcls_lab.executor.mirror.download import Folder
from imgcls_lab.executor.mirror.index import Inputs, Manifest, Part, RunObjects, State, Tail, Wish
from imgcls_lab.executor.mirror.object_store import MissingObjectError, ObjectStore
from imgcls_lab.executor.mirror.upload import Uploader
from imgcls_lab.run_changes import Change
from imgcls_lab.settings import Settings

log = logging.getLogger(__name__)

LOCK = ".mirror.lock"  # in a run's folder: one process at a time brings what its node sends
THREADS = 8  # that read the store, for all live runs
LAST_WORD = 5.0  # seconds that a node's last state may follow the end of its job
GIVE_UP = 600.0  # seconds for which objects that are gone or damaged are waited for after the end of a job
_BROKEN = frozenset({"missing", "damaged", "too_large"})
LONGEST_PAUSE = 15.0  # seconds between two tries while the store cannot be used


class Pull:
    """One attempt as the head sees it in the store. Its methods are called by one thread at a time.

    number: of the newest state that the folder holds; is_last: whether nothing follows it.
    """

    def __init__(self, objects: RunObjects, folder: Path, attempt: int) -> None:
        self._objects = objects
        self._attempt = attempt
        self._folder = Folder(objects, folder)
        self._swept = False
        self._named: Part | None = None  # the object that holds the manifest which the folder has
        self._told: Wish | None = None  # what the store has
        self.number = 0
        self.is_last = False

    def hand_over(self) -> None:
        """Send what the attempt starts with. Raises ObjectStoreError, OSError."""
        self._folder.save_known()  # before the first object is there: whoever deletes the run must know of them
        uploader = Uploader(
            self._objects, self._folder.path, self._attempt,
            manifest=self._still_there(), stamps=self._folder.stamps, wanted=lambda _: True,
        )  # fmt: skip
        manifest = uploader.round(everything=True)
        part = self._objects.write_content(self._attempt, index.pack(manifest))
        inputs = Inputs(attempt=self._attempt, manifest=part)
        self._objects.write(inputs, self._attempt, "inputs")
        self._folder.manifest, self._folder.stamps = manifest, uploader.stamps
        self._folder.save_known()
        self.tell("run")

    def _still_there(self) -> Manifest:
        """What the folder holds of the store, as far as the store has it yet: the rest is sent again."""
        known = self._folder.manifest
        if not known.files:
            return known
        sizes = {name: size for name, size, _ in self._objects.store.listing(self._objects.content("").rstrip("/"))}
        files = {
            name: parts
            for name, parts in known.files.items()
            if all(sizes.get(part.key) == part.size for part in parts)
        }
        return known.model_copy(update={"files": files})

    def tell(self, desired: str, *, again: bool = False) -> None:
        """Say what the attempt should do, and change; also that an earlier attempt is over. Raises ObjectStoreError.

        again: also where the store has it already, which shows whether the store still takes something.
        """
        wish = Wish.model_validate({"attempt": self._attempt, "desired": desired, "changes": self._changes()})
        if again or wish != self._told:
            self._objects.write(wish, None, "desired")
            self._told = wish

    def _changes(self) -> list[Change]:
        """What the run is asked to change, as its folder says."""
        with contextlib.suppress(OSError, ValueError):
            return run_changes.parse(run_paths.read_plain(self._folder.path, run_layout.CHANGES))
        return []

    def tell_as_folder(self, *, again: bool = False) -> None:
        """Say what stands in the folder's `desired`, and what it is to change. Raises ObjectStoreError."""
        text = "run" if self._changes() else ""
        with contextlib.suppress(OSError, ValueError):
            text = run_paths.read_plain(self._folder.path, run_layout.DESIRED).decode().strip()
        if text in ("run", "stop", "kill"):
            self.tell(text, again=again)

    def alone(self) -> bool:
        """`pull`, unless another process does so just now: a daemon that ends may still be at it. False then."""
        lock = locks.try_lock(self._folder.path / LOCK)
        if lock is None:
            return False
        try:
            self.pull()
        finally:
            os.close(lock)
        return True

    def pull(self) -> None:
        """Bring the folder up to the newest state. Raises ObjectStoreError, OSError."""
        try:
            state = self._objects.read(State, self._attempt, "state")
        except MissingObjectError:  # no node has the attempt yet
            return
        # a store may answer with an earlier state: what it names may be deleted, and what it does not name is newer
        stale = (self._attempt, state.number) < self._folder.seen
        if state.attempt != self._attempt or state.number == self.number or stale:
            return
        self._folder.seen = self._attempt, state.number
        try:
            unnamed = self._bring(state)
        except MissingObjectError:
            if self._objects.read(State, self._attempt, "state").number == state.number:
                raise
            return  # a newer one has taken its place meanwhile
        self.number, self.is_last = state.number, state.last
        if self._named is not None and self._named != state.manifest:
            unnamed.add(self._named.key)
        self._named = state.manifest
        for key in unnamed:
            with contextlib.suppress(ObjectStoreError):  # what is left is removed with the run
                self._objects.store.delete(self._objects.content(key))

    def _bring(self, state: State) -> set[str]:
        """Files and checkpoints first, then events and log, then the exit; keys that nothing names any more."""
        here, path = self._folder, self._folder.path
        if not self._swept:
            here.sweep()
            self._swept = True
        end = run_layout.exit_name(self._attempt)
        live = (run_layout.events_name(self._attempt), run_layout.OUTPUT_LOG)
        unnamed: set[str] = set()
        manifest = here.manifest
        if state.manifest is not None:
            manifest = self._read_manifest(state)
            unnamed = here.apply(manifest, except_for=frozenset({*live, end}), wanted=index.is_of_node)
        for name in live:
            parts = manifest.files.get(name, ())
            tail = state.tails.get(name, Tail(offset=sum(part.size for part in parts)))
            if parts or tail.text:
                here.extend(name, parts, tail, may_shrink=name == run_layout.OUTPUT_LOG)
        if state.heartbeat:
            run_layout.write_atomic(path / run_layout.HEARTBEAT, f"{state.heartbeat}\n", settle=False)
        if end in manifest.files and not (path / end).exists():
            run_layout.write_atomic(path / end, here.read(manifest.files[end]))
        return unnamed

    def _read_manifest(self, state: State) -> Manifest:
        """The node's manifest, with the head's own files as the folder holds them."""
        assert state.manifest is not None  # noqa: S101
        named = self._objects.read_manifest(state.manifest)
        own = {name: parts for name, parts in self._folder.manifest.files.items() if not index.is_of_node(name)}
        theirs = {name: parts for name, parts in named.files.items() if index.is_of_node(name)}
        return named.model_copy(update={"files": {**own, **theirs}})


class HeadMirror:
    """All live runs of a home, read in the background. Called by one thread."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ObjectStoreError for a store that cannot be opened."""
        self._settings = settings
        self._clock = clock
        self._store = ObjectStore(settings.store_url)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="mirror")
        self._watched: dict[tuple[str, int], _Watched] = {}

    def hand_over(self, run_id: str, attempt: int, then: Callable[[], None]) -> None:
        """Send what an attempt starts with, in the background and as long as it takes; call `then` once it is there."""
        self._watched[run_id, attempt] = _Watched(self._pull(run_id, attempt), then, self._clock)
        self.sync(run_id, attempt)

    def sync(self, run_id: str, attempt: int, *, silent: bool = False) -> str | None:
        """Have an attempt's folder sent or brought in the background, if it is time.

        silent: nothing comes from its node. Then it is also tried whether the store, which can be read, takes
        something: a full one does not. Returns why the last time did not work, as a sentence.
        """
        watched = self._watched.get((run_id, attempt))
        if watched is None:
            watched = self._watched[run_id, attempt] = _Watched(self._pull(run_id, attempt), None, self._clock)
        watched.silent = silent
        now = self._clock()
        if watched.running is not None and watched.running.done():
            watched.running = None
            interval = self._settings.store_interval
            pause = min(LONGEST_PAUSE, 2 * max(watched.pause, interval)) if watched.problem else interval
            watched.pause, watched.due = pause, now + pause
        if watched.running is None and now >= watched.due:
            watched.running = self._pool.submit(watched.once)
        return watched.problem

    def is_handed_over(self, run_id: str, attempt: int) -> bool:
        """Whether the store has what an attempt starts with, as far as this process handed it over."""
        watched = self._watched.get((run_id, attempt))
        return watched is None or watched.then is None

    def has_all(self, run_id: str, attempt: int, since: float) -> bool:
        """Whether the folder holds all that the node of an ended attempt has sent. since: when it had ended, monotonic.

        A node's last state follows its end after a moment, unless the node itself is gone. Objects that were deleted
        or damaged come no more: for them it waits GIVE_UP seconds, then the run is over with what the folder has.
        """
        watched = self._watched.get((run_id, attempt))
        if watched is None:
            return False
        if self._clock() - max(watched.broken_since, since) > GIVE_UP:
            log.warning("%s attempt %d: %s It is given up.", run_id, attempt, watched.problem)
            return True
        return watched.pull.is_last or watched.good_since >= since + LAST_WORD + self._settings.store_interval

    def forget(self, run_id: str, attempt: int) -> None:
        """An attempt has ended, and its folder is read; one that was not handed over yet is not any more."""
        watched = self._watched.pop((run_id, attempt), None)
        if watched is not None:
            watched.then = None

    def close(self) -> None:
        """What is under way ends by itself; the next daemon begins again."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pull(self, run_id: str, attempt: int) -> Pull:
        objects = RunObjects(self._store, run_id, self.key(run_id))
        return Pull(objects, self._settings.run_dir(run_id), attempt)

    def key(self, run_id: str) -> str:
        """The key with which a run's nodes and this home know each other's objects. Raises StoreError."""
        return signing.store_key(self._settings.home_path, run_id)


class _Watched:
    """An attempt that is handed over, then read again and again.

    then: what to do once it is handed over; None: it is. problem: why the last time did not work. good_since: when the
    last reading that worked began; broken_since: when objects of it were first found deleted or damaged.
    """

    def __init__(self, pull: Pull, then: Callable[[], None] | None, clock: Callable[[], float]) -> None:
        self.pull = pull
        self.then = then
        self.running: Future[None] | None = None
        self.due = self.pause = 0.0
        self.silent = False
        self.is_full = False
        self._probed = -math.inf
        self.good_since = -math.inf
        self.broken_since = math.inf
        self.problem: str | None = None
        self._clock = clock

    def once(self) -> None:
        began = self._clock()
        try:
            if self.then is not None:
                self.pull.hand_over()
                if (then := self.then) is not None:
                    then()
                self.then = None
            else:
                self._tell_and_bring(began)
            self.problem, self.broken_since = None, math.inf
        except ObjectStoreError as error:
            self.problem = str(error)
            if error.reason in _BROKEN:
                self.broken_since = min(self.broken_since, began)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.problem = "The disk of this home is full. Free some space: what the run's node sends comes then."
            else:
                self.problem = f"The run's folder cannot be mirrored: {error}. Check the disk of this home."
        except Exception as error:
            log.exception("A run's folder could not be mirrored.")
            self.problem = f"The run's folder cannot be mirrored: {error!r}"

    def _tell_and_bring(self, began: float) -> None:
        """Either is done where the other does not work: a full store can be read. Raises ObjectStoreError, OSError."""
        probe = self.silent and began - self._probed > LONGEST_PAUSE
        if probe:
            self._probed = began
        try:
            self.pull.tell_as_folder(again=probe or self.is_full)
            self.is_full = False
        except ObjectStoreError as error:
            self.is_full = error.reason == "full"
            raise
        finally:
            if self.pull.alone():
                self.good_since = began


def check_inside(config: Mapping[str, Any]) -> None:
    """Raises ConfigError for a run whose checkpoints or event files would lie on one machine's disk."""
    fields = [field for field in run_layout.OUTPUT_FOLDERS if str(config.get(field) or "").strip()]
    if fields:
        text = "is a folder of one machine. Leave it empty: with an object store all files of a run come to its folder."
        raise ConfigError(f"{fields[0]} {text}", [Problem(field, text) for field in fields], reason="output_folder")

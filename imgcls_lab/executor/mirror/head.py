"""The head's side of the mirror: hands attempts over to the store, and brings what nodes send into the local home.

Called by the daemon's backend. The home's folder is then ingested with the same code as that of a local run. A store
that cannot be reached ends no run: it is said, and all is brought once the store answers.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from imgcls_lab import run_layout, run_paths
from imgcls_lab.errors import ConfigError, ObjectStoreError, Problem
from imgcls_lab.executor.mirror import index
from imgcls_lab.executor.mirror.download import Folder
from imgcls_lab.executor.mirror.index import Inputs, Manifest, Part, RunObjects, State, Tail, Wish
from imgcls_lab.executor.mirror.object_store import MissingObjectError, ObjectStore
from imgcls_lab.executor.mirror.upload import Uploader
from imgcls_lab.settings import Settings

log = logging.getLogger(__name__)

THREADS = 8  # that read the store, for all live runs
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
        self._told: str | None = None  # the desired state that the store has
        self.number = 0
        self.is_last = False

    def hand_over(self) -> None:
        """Send what the attempt starts with. Raises ObjectStoreError, OSError; ConfigError for outside folders."""
        _check_inside(self._folder.path)
        uploader = Uploader(
            self._objects, self._folder.path, self._attempt,
            manifest=self._folder.manifest, stamps=self._folder.stamps, wanted=lambda _: True,
        )  # fmt: skip
        manifest = uploader.round(everything=True)
        part = self._objects.write_content(self._attempt, index.pack(manifest))
        inputs = Inputs(attempt=self._attempt, manifest=part)
        self._objects.store.put(self._objects.small(self._attempt, "inputs"), index.pack(inputs))
        self._folder.manifest, self._folder.stamps = manifest, uploader.stamps
        self._folder.save_known()
        self.tell("run")

    def tell(self, desired: str) -> None:
        """Say what the attempt should do; also that an earlier attempt is over. Raises ObjectStoreError."""
        if desired != self._told:
            wish = Wish.model_validate({"attempt": self._attempt, "desired": desired})
            self._objects.store.put(self._objects.small(None, "desired"), index.pack(wish))
            self._told = desired

    def tell_as_folder(self) -> None:
        """Say what stands in the folder's `desired`. Raises ObjectStoreError."""
        with contextlib.suppress(OSError, ValueError):
            text = run_paths.read_plain(self._folder.path, run_layout.DESIRED).decode().strip()
            if text in ("run", "stop", "kill"):
                self.tell(text)

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
    """All live runs of a home, read in the background."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ObjectStoreError for a store that cannot be opened."""
        self._settings = settings
        self._clock = clock
        self._store = ObjectStore(settings.store_url)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="mirror")
        self._watched: dict[tuple[str, int], _Watched] = {}

    def hand_over(self, run_id: str, attempt: int) -> None:
        """Send what an attempt starts with. Raises ObjectStoreError, OSError, ConfigError."""
        self._pull(run_id, attempt).hand_over()

    def sync(self, run_id: str, attempt: int) -> str | None:
        """Have a live attempt read in the background, if it is time; why that does not work now, as a sentence."""
        watched = self._watched.get((run_id, attempt))
        if watched is None:
            watched = self._watched[run_id, attempt] = _Watched(self._pull(run_id, attempt))
        now = self._clock()
        if watched.running is not None and watched.running.done():
            watched.running = None
            pause = self._settings.store_interval
            watched.pause = min(LONGEST_PAUSE, 2 * max(watched.pause, pause)) if watched.problem else pause
            watched.due = now + watched.pause
        if watched.running is None and now >= watched.due:
            watched.running = self._pool.submit(watched.once)
        return watched.problem

    def collect(self, run_id: str, attempt: int) -> str | None:
        """Bring all that an attempt's node has sent, now; why that does not work, as a sentence.

        For an attempt of which nothing lives any more: its verdict is read from the folder.
        """
        watched = self._watched.get((run_id, attempt)) or _Watched(self._pull(run_id, attempt))
        watched.once()
        return watched.problem

    def forget(self, run_id: str, attempt: int) -> None:
        """An attempt has ended, and its folder is read."""
        self._watched.pop((run_id, attempt), None)

    def remove(self, run_id: str) -> None:
        """Delete all that the store holds of a run. Raises ObjectStoreError."""
        objects = RunObjects(self._store, run_id)
        for name in self._store.names_below(objects.prefix):
            self._store.delete(name)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pull(self, run_id: str, attempt: int) -> Pull:
        return Pull(RunObjects(self._store, run_id), self._settings.run_dir(run_id), attempt)


class _Watched:
    """An attempt that is read again and again. problem: why the last reading did not work."""

    def __init__(self, pull: Pull) -> None:
        self.pull = pull
        self.running: Future[None] | None = None
        self.due = 0.0
        self.pause = 0.0
        self.problem: str | None = None
        self._lock = threading.Lock()

    def once(self) -> None:
        with self._lock:
            try:
                self.pull.tell_as_folder()
                self.pull.pull()
                self.problem = None
            except ObjectStoreError as error:
                self.problem = str(error)
            except OSError as error:
                self.problem = f"What its node sends cannot be written: {error}. Check the disk of this home."
            except Exception as error:
                log.exception("A run's objects could not be read.")
                self.problem = f"What its node sends cannot be read: {error}"


def _check_inside(folder: Path) -> None:
    """Raises ConfigError for a run whose checkpoints or event files lie on one machine's disk."""
    config = run_paths.read_json(folder, run_layout.CONFIG)
    fields = [f for f in run_layout.OUTPUT_FOLDERS if isinstance(config, dict) and str(config.get(f) or "").strip()]
    if fields:
        text = "is a folder of one machine. Leave it empty: with an object store all files of a run come to its folder."
        raise ConfigError(f"{fields[0]} {text}", [Problem(field, text) for field in fields], reason="output_folder")

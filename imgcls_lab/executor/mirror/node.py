"""A node's side of the mirror: `restore` before an attempt starts, `Push` beside its supervisor until the last word.

Run by the node agent as `python -m imgcls_lab.executor.mirror` (see `__main__.py`). A node works in a local folder, and
this process alone talks to the store. It signals nothing: a request to stop reaches the supervisor by the folder.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from imgcls_lab import locks, run_changes, run_layout, run_paths, signing
from imgcls_lab.errors import ConflictError, ObjectStoreError
from imgcls_lab.executor.mirror import index
from imgcls_lab.executor.mirror.download import Folder
from imgcls_lab.executor.mirror.index import Manifest, Owner, Part, RunObjects, State, Tail, Wish
from imgcls_lab.executor.mirror.object_store import ExistingObjectError, MissingObjectError
from imgcls_lab.executor.mirror.upload import Uploader, whole_lines
from imgcls_lab.executor.supervisor import LOCK
from imgcls_lab.identity import host_name

log = logging.getLogger(__name__)

OWNED = ".mirror-owned-{attempt:03d}"  # in the folder: proves that this folder has the attempt
LONGEST_PAUSE = 15.0  # seconds between two tries while the store cannot be used
PATIENCE = 3600.0  # seconds that the end of a run waits for the store
SLOW_ROUND = 1.0  # seconds that a beat waits for an upload


_FULL = (errno.ENOSPC, errno.EDQUOT)


class FencedError(ObjectStoreError):
    """A newer attempt of the run has started, or the run was deleted, so this one must end."""


def restore(objects: RunObjects, folder: Path, attempt: int, *, take: bool = True) -> None:
    """Take an attempt for this folder, and bring the folder to what it starts with.

    take: False on further nodes of an attempt, which send nothing. Whatever else lies in the folder is removed. Raises
    ObjectStoreError, ConflictError (`taken`, `began`, `lives`), OSError.
    """
    run_paths.make_folder(folder)
    lock = locks.try_lock(folder / LOCK)
    if lock is None:
        raise ConflictError(f"An earlier attempt still lives in {folder} on {host_name()}.", reason="lives")
    try:
        _wish(objects, attempt)
        if take:
            _check_new(objects, attempt)
            _take(objects, folder, attempt)
        inputs = objects.read(index.Inputs, attempt, "inputs")
        manifest = objects.read_manifest(inputs.manifest)
        here = Folder(objects, folder)
        here.sweep()
        _clear(folder, manifest)
        here.apply(manifest, except_for=frozenset(), wanted=lambda _: True)
        signing.sign_brought(folder.parent.parent, folder)  # this node's home has a key of its own
        run_layout.write_atomic(folder / run_layout.DESIRED, "run")
        (folder / run_layout.HEARTBEAT).unlink(missing_ok=True)
    finally:
        os.close(lock)


def _check_new(objects: RunObjects, attempt: int) -> None:
    """An attempt begins once: what it has sent would no longer follow from what the folder holds then."""
    try:
        objects.read(State, attempt, "state")
    except MissingObjectError:
        return
    raise ConflictError(f"Attempt {attempt} has begun already, so it does not start again.", reason="began")


def _clear(folder: Path, manifest: Manifest) -> None:
    """Remove what an earlier attempt has left here: files, links, and the folders that are empty then."""
    for name in _names(folder):
        if name not in manifest.files:
            (folder / name).unlink()
    for path, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            inner = os.path.join(path, name)
            if os.path.islink(inner):
                os.unlink(inner)
            elif name in folders:
                with contextlib.suppress(OSError):  # it is not empty
                    os.rmdir(inner)


def _names(folder: Path) -> list[str]:
    """The files in a folder that the mirror brings or sends."""
    found = []
    for path, _, files in os.walk(folder):
        for file in files:
            name = os.path.relpath(os.path.join(path, file), folder)
            if index.travels(name) and not os.path.islink(os.path.join(path, file)):
                found.append(name)
    return found


def _take(objects: RunObjects, folder: Path, attempt: int) -> None:
    """Create the attempt's owner, or find that it is this folder already. Raises ConflictError."""
    path = folder / OWNED.format(attempt=attempt)
    try:
        token = run_paths.read_plain(folder, path.name).decode()
    except OSError:
        token = secrets.token_hex(16)
        run_layout.write_atomic(path, token)
    with contextlib.suppress(ExistingObjectError):
        objects.create(Owner(token=token, host=host_name()), attempt, "owner")
    owner = objects.read(Owner, attempt, "owner")  # of two writers at once only one is there, whatever the store can
    if owner.token != token:
        raise ConflictError(
            f"Attempt {attempt} runs on {owner.host} already, so {host_name()} does not start it.", reason="taken"
        )


def _wish(objects: RunObjects, attempt: int) -> Wish:
    """What the head wants. Raises FencedError where that is no longer this attempt; ObjectStoreError."""
    try:
        wish = objects.read(Wish, None, "desired")
    except MissingObjectError:
        _check_not_deleted(objects, attempt)
        raise
    if wish.attempt > attempt:
        text = f"Attempt {wish.attempt} has taken the place of attempt {attempt}, which ends on {host_name()}."
        raise FencedError(text, reason="fenced")
    return wish


def _check_not_deleted(objects: RunObjects, attempt: int) -> None:
    """A store that has nothing of the attempt any more has removed the run. A disk may only have been unmounted."""
    if objects.store.is_local:
        return
    try:
        objects.read(index.Inputs, attempt, "inputs")
    except MissingObjectError:
        text = f"The run was deleted, so its attempt {attempt} ends on {host_name()}."
        raise FencedError(text, reason="fenced") from None


def write_desired(folder: Path, desired: str) -> None:
    """Tell the supervisor. On a full disk into the file that is there, which needs no space. Raises OSError."""
    try:
        run_layout.write_atomic(folder / run_layout.DESIRED, desired)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        with os.fdopen(run_paths.open_to_write(folder, run_layout.DESIRED, os.O_WRONLY), "wb", buffering=0) as file:
            file.write(desired.encode())
            file.truncate()


class _Sent(NamedTuple):
    """What is in the store and may be named: a manifest, the object that holds it, and the bytes behind it."""

    manifest: Manifest
    part: Part
    tails: dict[str, Tail]


class Push:
    """Sends what an attempt writes, and passes on what the head wants, until the attempt is over.

    interval: seconds between two states; beat_every: while nothing is new. over: whoever supervises the attempt has
    gone; hurry: the machine shuts down, so that the last word is tried once more, not for an hour.
    """

    def __init__(
        self,
        objects: RunObjects,
        folder: Path,
        attempt: int,
        *,
        interval: float,
        beat_every: float,
        over: threading.Event,
        hurry: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._folder = folder
        self._attempt = attempt
        self._interval = interval
        self._beat_every = beat_every
        self._clock = clock
        self._events = run_layout.events_name(attempt)
        self._exit = run_layout.exit_name(attempt)
        self._known = Folder(objects, folder)
        self._number, manifest = self._resume()
        self._uploader = Uploader(
            objects, folder, attempt,
            manifest=manifest, stamps=self._known.stamps,
            wanted=lambda name: index.is_of_node(name) and name != self._exit,
            live=(self._events, run_layout.OUTPUT_LOG),
        )  # fmt: skip
        self._sent: _Sent | None = None
        self._published: State | None = None
        self._published_at = -beat_every
        self._round: threading.Thread | None = None
        self._error: Exception | None = None  # of the last round
        self._over = over
        self._hurry = hurry

    def run(self) -> None:
        """Until the attempt is over and its last state is in the store.

        Raises FencedError where a newer attempt has started, and ObjectStoreError where the last state could not be
        sent for PATIENCE seconds.
        """
        pause = self._interval
        while not self._is_over():
            try:
                self.tick()
                pause = self._interval
            except FencedError:
                write_desired(self._folder, "kill")
                raise
            except (ObjectStoreError, OSError) as error:
                if pause <= self._interval:  # once, not at each try
                    log.warning("%s The run goes on; what it writes is sent later.", error)
                pause = min(LONGEST_PAUSE, 2 * pause)
            self._wait(pause)
        self._finish()

    def tick(self) -> None:
        """One beat: read what is wanted, send what is new, publish. Raises ObjectStoreError, OSError."""
        self.obey()
        goals = self._goals()
        if self._round is None:
            self._round = threading.Thread(target=self._upload, args=(goals,), daemon=True)
            self._round.start()
        self._round.join(SLOW_ROUND)
        if not self._round.is_alive():
            self._round = None
            if self._error is not None:
                error, self._error = self._error, None
                raise error
        self._publish(last=False)

    def obey(self) -> None:
        """Write what the head wants into the folder, where the supervisor reads it. Raises FencedError."""
        wish = _wish(self._objects, self._attempt)
        if wish.attempt == self._attempt and wish.desired != "run" and self._text(run_layout.DESIRED) != wish.desired:
            write_desired(self._folder, wish.desired)
        if wish.changes and self._text(run_layout.CHANGES) != (changes := run_changes.to_json(wish.changes)):
            run_layout.write_atomic(self._folder / run_layout.CHANGES, changes)

    # ── send ────────────────────────────────────────────────────────────────────────────────────────────────
    def _goals(self) -> dict[str, int]:
        """How far the live files are, read before the others: what an event names is on the disk by then."""
        size = run_paths.size(self._folder, run_layout.OUTPUT_LOG)
        return {self._events: whole_lines(self._folder, self._events), run_layout.OUTPUT_LOG: size}

    def _upload(self, goals: dict[str, int], *, everything: bool = False) -> None:
        """One round of the uploader, in a thread of its own: a beat does not wait for a large checkpoint."""
        try:
            self._send(goals, everything=everything)
        except Exception as error:
            self._error = error

    def _send(self, goals: dict[str, int], *, everything: bool) -> None:
        manifest = self._uploader.round(everything=everything)
        tails = self._uploader.tails(goals)
        if self._sent is not None and self._sent.manifest == manifest:
            self._sent = self._sent._replace(tails=tails)
            return
        part = self._objects.write_content(self._attempt, index.pack(manifest))
        # noted before it is published: who goes on after a kill trusts the stamps of what the store names alone
        self._known.manifest, self._known.stamps = manifest, self._uploader.stamps
        self._save_known()
        self._sent = _Sent(manifest, part, tails)

    def _save_known(self) -> None:
        """On a full disk it is left out: that the disk is full must be sent. A later process sends more again then."""
        try:
            self._known.save_known()
        except OSError as error:
            if error.errno not in _FULL:
                raise

    def _publish(self, *, last: bool) -> None:
        """Write the state, if there is something to say. Raises ObjectStoreError."""
        heartbeat = self._text(run_layout.HEARTBEAT)
        sent = self._sent
        content: dict[str, Any] = {} if sent is None else {"manifest": sent.part, "tails": sent.tails}
        state = State(attempt=self._attempt, number=self._number + 1, heartbeat=heartbeat, last=last, **content)
        before = self._published
        if before is not None:
            before = before.model_copy(update={"number": state.number, "heartbeat": heartbeat})
        if before == state and self._clock() - self._published_at < self._beat_every:
            return
        self._objects.write(state, self._attempt, "state")
        self._number, self._published, self._published_at = state.number, state, self._clock()

    def _resume(self) -> tuple[int, Manifest]:
        """The number of the last state and its manifest, if an earlier process of this attempt has written one."""
        try:
            state = self._objects.read(State, self._attempt, "state")
        except MissingObjectError:
            return 0, Manifest(files={n: p for n, p in self._known.manifest.files.items() if index.is_of_node(n)})
        named = self._objects.read_manifest(state.manifest) if state.manifest else Manifest()
        kept = {n: s for n, s in self._known.stamps.items() if self._known.manifest.files.get(n) == named.files.get(n)}
        self._known.stamps = kept
        return state.number, named

    # ── its end ─────────────────────────────────────────────────────────────────────────────────────────────
    def _is_over(self) -> bool:
        """Whether the supervisor has written its exit, or is gone without one."""
        return (self._folder / self._exit).exists() or self._over.is_set()

    def _finish(self) -> None:
        """Send all that is left, then the exit, then the last state."""
        until = self._clock() + PATIENCE
        pause = self._interval
        while True:
            try:
                _wish(self._objects, self._attempt)
                if self._round is not None:
                    self._round.join()
                    self._round = None
                self._send(self._goals(), everything=True)
                if (self._folder / self._exit).exists():
                    self._send_exit()
                self._publish(last=True)
                return
            except FencedError:
                raise
            except (ObjectStoreError, OSError) as error:
                given_up = self._hurry.is_set() or self._clock() > until
                if given_up or (isinstance(error, ObjectStoreError) and error.reason == "no_library"):
                    raise
                log.warning("%s The end of the run is sent as soon as the store takes it.", error)
            pause = min(LONGEST_PAUSE, 2 * pause)
            time.sleep(pause)  # `_wait` returns at once now

    def _send_exit(self) -> None:
        """Add the exit to the manifest."""
        assert self._sent is not None  # noqa: S101
        part = self._objects.write_content(self._attempt, run_paths.read_plain(self._folder, self._exit))
        files = {**self._sent.manifest.files, self._exit: (part,)}
        manifest = self._sent.manifest.model_copy(update={"files": files})
        named = self._objects.write_content(self._attempt, index.pack(manifest))
        self._sent = _Sent(manifest, named, self._sent.tails)

    def _text(self, name: str) -> str:
        try:
            return run_paths.read_plain(self._folder, name).decode("ascii").strip()
        except (OSError, ValueError):
            return ""

    def _wait(self, seconds: float) -> None:
        """Sleep, but not through the end of the run."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0 and not self._is_over():
            time.sleep(min(0.2, left))


def follow(objects: RunObjects, folder: Path, attempt: int, *, interval: float, over: threading.Event) -> None:
    """On a further node of an attempt: write its exit into the folder once the first node has sent its last word.

    Raises FencedError where a newer attempt has started.
    """
    path = folder / run_layout.exit_name(attempt)
    while not over.wait(interval):
        try:
            _wish(objects, attempt)
            if objects.read(State, attempt, "state").last:
                break
        except FencedError:
            run_layout.write_atomic(path, "{}")
            raise
        except ObjectStoreError as error:
            log.info("%s", error)
    run_layout.write_atomic(path, "{}")

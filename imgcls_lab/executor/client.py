"""Starts, stops and queries the executor of this host. Called by server, notebook API and command line.

It finds the daemon by its lock and its info file, whose paths the settings name; it does not import the daemon.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from imgcls_lab import locks, run_layout
from imgcls_lab._version import __version__
from imgcls_lab.child_environment import child_environment
from imgcls_lab.entry_points import DAEMON
from imgcls_lab.errors import ConflictError, ExecutorError, ForbiddenError, NotFoundError, StoreError
from imgcls_lab.events import DesiredState
from imgcls_lab.executor import processes
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.schemas import DevicesReply
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch, is_older

log = logging.getLogger(__name__)

START_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0
LOG_CAP = 2 * 2**20
SECRETS_OPTION = "--secrets-from-stdin"
_children: dict[str, subprocess.Popen[bytes]] = {}  # by home: daemons this process started


def ensure(settings: Settings) -> None:
    """Start the executor if none lives here. An older version is replaced by this one, and its runs go on.

    Does not wait until the executor works, and does nothing if autostart is off. Raises ExecutorError.
    """
    if not settings.autostart:
        return
    if locks.is_locked(settings.executor_lock):
        info = _info(settings)
        if info is None or not is_older(str(info.get("version")), __version__):
            return
        log.info("The executor is imgcls-lab %s; %s takes over.", info.get("version"), __version__)
        stop(settings)
    if _starting(settings) is None:
        _spawn(settings)


def start(settings: Settings) -> None:
    """Start the executor and wait until it works. Raises ExecutorError.

    One that lives is left alone, unless it starts runs elsewhere than these settings say: then this one takes over, and
    its runs go on.
    """
    if locks.is_locked(settings.executor_lock) and _ready(settings):
        if (_info(settings) or {}).get("backend", settings.backend) == settings.backend:
            return
        stop(settings)
    child = _starting(settings) or _spawn(settings)
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until:
        if _ready(settings):
            return
        code = child.poll()
        if code is not None and not locks.is_locked(settings.executor_lock):
            if code == 0:  # it left the place to another daemon, which has ended since
                child = _spawn(settings)
                continue
            raise ExecutorError(
                f"The executor did not start: {_last_error(settings)} Its log is {settings.executor_log}."
            )
        time.sleep(0.05)
    raise ExecutorError(f"The executor did not come up within {START_TIMEOUT:g} s. Look at {settings.executor_log}.")


def stop(settings: Settings, *, stop_runs: bool = False) -> None:
    """End the executor of this host; its runs go on unless `stop_runs`. Raises ExecutorError when it stays."""
    if not stop_runs or not locks.is_locked(settings.executor_lock):
        _stop_daemon(settings)
        return
    with _held(settings):  # or a waiting run would start in the place of each that stops
        _stop_runs(settings)
        _stop_daemon(settings)


def _stop_daemon(settings: Settings) -> None:
    signalled: ProcessIdentity | None = None
    until = time.monotonic() + STOP_TIMEOUT
    while lives(settings) or (signalled is not None and signalled.alive()):
        identity = _identity(settings)  # read again: a daemon that was starting may have replaced another
        if identity is not None and identity != signalled and _signal_daemon(settings, identity):
            signalled = identity
        if time.monotonic() > until:
            raise ExecutorError(_stays(settings, signalled))
        time.sleep(0.05)
    _children.pop(settings.home, None)


def _signal_daemon(settings: Settings, identity: ProcessIdentity) -> bool:
    """Have the daemon end. False, and nothing is signalled, if the process of its info file does not hold its lock."""
    return processes.send(identity.pid, signal.SIGTERM, lambda _: _is_daemon(settings, identity))


def _is_daemon(settings: Settings, identity: ProcessIdentity) -> bool:
    """Whether a process is the daemon, and not only named so by a file: it lives and has the daemon's lock open."""
    if not identity.alive():
        return False
    if not sys.platform.startswith("linux"):  # elsewhere nobody sees who holds a lock
        return locks.is_locked(settings.executor_lock)
    return processes.has_open(identity.pid, settings.executor_lock)


def _stays(settings: Settings, signalled: ProcessIdentity | None) -> str:
    if signalled is not None:
        return f"The executor (pid {signalled.pid}) did not end within {STOP_TIMEOUT:g} s; try again."
    named = _identity(settings)
    if named is not None and named.alive():
        return (
            f"{settings.executor_info} names process {named.pid}, which does not hold the executor's lock "
            f"{settings.executor_lock}, so nothing was signalled. End the process that holds the lock."
        )
    return f"The executor did not end within {STOP_TIMEOUT:g} s; try again."


def lives(settings: Settings) -> bool:
    """Whether an executor of this home lives on this machine, or is starting."""
    return locks.is_locked(settings.executor_lock) or _ready(settings) or _starting(settings) is not None


def status(settings: Settings) -> DevicesReply:
    """Executors and devices. Never raises for a database that is not there yet: it says so in `message`."""
    try:
        with Store.open(settings, migrate=False) as store:
            return store.executors.status()
    except StoreError as error:
        return DevicesReply(executors=[], devices=[], message=str(error))


def forget(settings: Settings, host: str) -> int:
    """Declare a silent host gone for good: this home's runs there are queued again and free their devices; how many.

    Runs of other homes on that host are left to their users. The caller guarantees that nothing runs there any more.
    Raises NotFoundError, and ConflictError for a live host.
    """
    with Store.open(settings, migrate=False, way="cli") as store:
        of_host = _store_of(store, host)
        beats, live = of_host.beats(), of_host.live_runs()
        if not beats and not live:
            raise NotFoundError(f"There is no executor of a host “{host}”. `imgcls-lab executor status` lists them.")
        if host == settings.run_host:
            raise ConflictError("This host knows its own runs; start its executor, and it sorts them out.")
        time.sleep(min(settings.lease, 10))
        if of_host.beats() != beats:
            raise ConflictError(f"The executor of “{host}” is alive; stop it there.")
        of_host.forget_host(live)
    return len(live)


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _spawn(settings: Settings) -> subprocess.Popen[bytes]:
    path = settings.executor_log
    try:
        settings.make_home()
        if path.exists() and path.stat().st_size > LOG_CAP:
            path.replace(path.with_suffix(".log.1"))
        output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            child = start_process(settings, DAEMON.argv(sys.executable), output)
        finally:
            os.close(output)
    except OSError as error:
        raise ExecutorError(f"The executor could not be started: {error}.") from error
    _children[settings.home] = child
    return child


def start_process(settings: Settings, argv: list[str], output: int) -> subprocess.Popen[bytes]:
    """A daemon's process in a session of its own. Its secrets come by standard input, and never by its environment.

    argv: its command, to which the option is added that reads them; output: the file descriptor of its log.
    """
    child = subprocess.Popen(
        [*argv, SECRETS_OPTION],
        cwd=settings.home_path,
        env=child_environment(settings, {"PYTHONSAFEPATH": "1"}, base=_environment()),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    assert child.stdin is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError):  # it has ended, and its log says why
        child.stdin.write(json.dumps(settings.secrets()).encode())
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    return child


def _environment() -> dict[str, str]:
    """This process's environment; inside a run that starts the executor, what it was before the run.

    With the run's tag it would be ended with the run, and with the run's devices it would see no others.
    """
    environment = dict(os.environ)
    environment.pop(run_layout.RUN_TAG, None)
    for name, value in json.loads(environment.pop(run_layout.BEFORE, "{}")).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment


def _starting(settings: Settings) -> subprocess.Popen[bytes] | None:
    """The daemon that this process started, if it has not ended: perhaps it holds no lock yet."""
    child = _children.get(settings.home)
    return child if child is not None and child.poll() is None else None


@contextlib.contextmanager
def _held(settings: Settings) -> Iterator[None]:
    """The daemon starts no run meanwhile, nor when this process dies in it. Raises ExecutorError."""
    until = time.monotonic() + STOP_TIMEOUT
    try:
        while (lock := locks.try_lock(settings.executor_hold)) is None:  # the daemon has it while it starts runs
            if time.monotonic() > until:
                raise ExecutorError(
                    "The executor is still starting runs, or being stopped by another process; try again."
                )
            time.sleep(0.05)
    except OSError as error:
        raise ExecutorError(f"The executor cannot be kept from starting runs: {error}") from error
    try:
        yield
    finally:
        os.close(lock)


def _stop_runs(settings: Settings) -> None:
    """Stop the live runs and wait until all have ended. The caller holds `executor_hold`."""
    with Store.open(settings, migrate=False, way="cli") as store:
        until = time.monotonic() + settings.stop_grace + 30
        asked: set[str] = set()
        while live := set(_live_runs(store)):
            for run_id in live - asked:
                with contextlib.suppress(ConflictError, ForbiddenError):  # another user's go on
                    store.runs.set_desired_state(run_id, DesiredState.STOP)
            asked |= live
            if time.monotonic() > until:
                raise ExecutorError("Some runs did not stop in time; kill them with `imgcls-lab kill`.")
            time.sleep(0.2)


def _live_runs(store: Store) -> list[str]:
    """Ids of this home's live runs on this host that an executor started."""
    live = _store_of(store, store.settings.run_host).live_runs()
    return [run.id for run, _ in live if not run.external]


def _store_of(store: Store, host: str) -> ExecutorStore:
    """The queries about a host, for a process that is no daemon."""
    return ExecutorStore(store.database, store.settings, host, "", HeartbeatWatch(store.settings.lease))


def _info(settings: Settings) -> dict[str, Any] | None:
    try:
        found = json.loads(settings.executor_info.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _identity(settings: Settings) -> ProcessIdentity | None:
    try:
        return ProcessIdentity.from_json(settings.executor_info.read_bytes())
    except (OSError, ValueError):
        return None


def _ready(settings: Settings) -> bool:
    identity = _identity(settings)
    return identity is not None and _is_daemon(settings, identity)


def _last_error(settings: Settings) -> str:
    if shutil.disk_usage(settings.home_path).free < 1 << 20:  # then the log lacks its end, too
        return f"the disk of {settings.home_path} is full."
    try:
        lines = settings.executor_log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    whole = [line for line in lines if line and not line[0].isspace()]  # a traceback's last line says what it is
    return whole[-1][-500:] if whole else "it said nothing."

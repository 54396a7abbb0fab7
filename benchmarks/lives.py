"""What the life of a run costs a daemon and its database: its start, its first event and its end, counted apart.

All slots of a cluster become free at once, all runs report at once, and all end at once; each time the daemon goes
round until it has written it all. The daemon is the product's; a run is no process, but its folder gets what a node
writes. Statements depend on nothing that a busy machine does; CPU times do, so the ratio of two of them counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import event, text

from benchmarks import cluster
from benchmarks.frame import Line, reported
from benchmarks.labs import started
from benchmarks.lists import new_database
from imgcls_lab.events import EventWriter, Finished
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.run_layout import HEARTBEAT, OWNER, exit_name, write_atomic
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.store import postgres_server

SLOTS, QUICK_SLOTS = 256, 64
PARTS = ("start", "first event", "end")
RATE = 50  # runs a second that start and end: what a daemon is to keep up with


@dataclass(frozen=True)
class Part:
    """Of one run: statements, and seconds of CPU of the daemon and of the database's processes."""

    statements: float
    daemon: float
    database: float


class Folders:
    """The folders of the runs, as nodes leave them: for `simulated_nodes.Nodes`, and it computes where it is told."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runs: list[tuple[str, int]] = []

    def begin(self, host: str, run_id: str, attempt: int, devices: Sequence[str]) -> None:  # noqa: ARG002
        self._runs.append((run_id, attempt))

    def report(self) -> None:
        me = json.loads(ProcessIdentity.current().to_json())
        for run_id, attempt in self._runs:
            folder = self._settings.run_dir(run_id)
            node = {"attempt": attempt, "node": f"node-{attempt}", "devices": [0], "trainer": {"pid": 1}}
            (folder / OWNER).write_text(json.dumps({**me, **node}))
            (folder / HEARTBEAT).write_text(f"{attempt} 1\n")
            with EventWriter(folder, attempt) as events:
                events.write(started(1000))

    def end(self) -> None:
        for run_id, attempt in self._runs:
            folder = self._settings.run_dir(run_id)
            with EventWriter(folder, attempt) as events:
                events.write(Finished(step=1000, best_epoch=1, values={}))
            write_atomic(folder / exit_name(attempt), json.dumps({"attempt": attempt, "t": time.time(), "code": 0}))


def measure(folder: Path, quick: bool) -> list[Line]:
    slots = QUICK_SLOTS if quick else SLOTS
    with open_store(folder / "sqlite", slots, None) as store:
        lines = _lines("SQLite", lives(store, slots))
    with postgres_server.running() as server:
        if server is None:
            return [*lines, Line("runs a second", RATE, None, "", note="no PostgreSQL here; `make system`")]
        with open_store(folder / "postgresql", slots, new_database(server.port, "lives")) as store:
            return lines + _lines("PostgreSQL", lives(store, slots))


def _lines(database: str, parts: dict[str, Part]) -> list[Line]:
    lines = []
    for name, part in parts.items():
        lines += [
            reported(f"{database}, {name}: statements a run", part.statements, ""),
            reported(f"{database}, {name}: CPU of the daemon a run", part.daemon * 1e3, "ms"),
        ]
        if part.database:
            lines.append(reported(f"{database}, {name}: CPU of the database a run", part.database * 1e3, "ms"))
    whole = sum(part.daemon for part in parts.values())
    return [*lines, Line(f"{database}: runs a second that one daemon keeps up with", RATE, 1 / whole, "/s", "at least")]


@contextmanager
def open_store(folder: Path, slots: int, url: str | None) -> Iterator[Store]:
    size = cluster.Size(nodes=slots // cluster.GPUS, queued=3 * slots, rate=1.0, seconds=0.0, hosts=0)
    folder.mkdir(parents=True, exist_ok=True)
    with cluster.waiting_runs(folder, size, url) as store:
        yield store


def lives(store: Store, slots: int) -> dict[str, Part]:
    """So many runs start, report and end."""
    folders = Folders(store.settings)
    host = cluster.Host(store, "the cluster", slots, folders)
    found = {"start": _part(store, host, slots, lambda: host.backend.started >= slots)}
    folders.report()
    found["first event"] = _part(store, host, slots, lambda: _in_state(store, "starting") == 0)
    host.start_no_more()
    folders.end()
    found["end"] = _part(store, host, slots, lambda: _in_state(store, "running") == 0)
    return found


def _in_state(store: Store, state: str) -> int:
    with store.database.engine.connect() as connection:
        query = text("SELECT count(*) FROM runs WHERE state = :state")
        return int(connection.execute(query, {"state": state}).scalar_one())


def _part(store: Store, host: cluster.Host, runs: int, is_done: Callable[[], bool]) -> Part:
    """Rounds of the daemon until it has written it all."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    database, own = _database_cpu(store), time.thread_time()
    event.listen(store.database.engine, "before_cursor_execute", note)
    try:
        while not is_done():
            host.round(cluster.Figures())
    finally:
        event.remove(store.database.engine, "before_cursor_execute", note)
    own = time.thread_time() - own
    return Part(len(statements) / runs, own / runs, (_database_cpu(store) - database) / runs)


def _database_cpu(store: Store) -> float:
    if store.database.is_sqlite:
        return 0.0
    with store.database.engine.connect() as connection:
        pids = connection.execute(text("SELECT pid FROM pg_stat_activity")).scalars().all()
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)

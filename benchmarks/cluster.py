"""1,000 nodes and 100,000 waiting runs on a real PostgreSQL: how soon a device that becomes free has its next run.

Two shapes: one daemon that gives 4,000 slots of a cluster to runs, as with Ray and Slurm; and a daemon on each of many
hosts. The daemons are the product's, with all that they do in a round. Simulated are the nodes: a run is no process. It
writes what a run's folder needs, beats, and ends after a time that was drawn; between its first event and its last it
reports nothing. All of it runs on this machine, so daemons, database and nodes share its cores.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, event, text

from benchmarks.frame import Line, reported
from benchmarks.lists import filled, new_database
from benchmarks.simulated_nodes import Beginning, Nodes, SimulatedBackend, nodes
from benchmarks.timing import percentile
from imgcls_lab import signing
from imgcls_lab.events import RunState
from imgcls_lab.executor.daemon import Daemon, collect_seldom
from imgcls_lab.executor.other_backends import OtherBackends
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.run_layout import RUN_INFO
from imgcls_lab.store import Store, executors
from imgcls_lab.store.folder_rows import records_of, to_info
from tests.store import postgres_server

USERS = 20
GPUS = 4  # of a node
POLL = 0.3  # seconds between two rounds of a daemon, as the setting has it
SETTLED = 5.0  # seconds of the steady state that are not counted
FIRST_EVENTS = 120.0  # the same, at most, until the first events of the runs that filled the slots are taken in
_TCP_BYTES = struct.Struct("120xQQ")  # bytes_acked and bytes_received in Linux's struct tcp_info


@dataclass(frozen=True)
class Size:
    """What is simulated. rate: runs that end in a second, and so devices that become free; seconds: how long.

    hosts: with a daemon each, in the second shape.
    """

    nodes: int
    queued: int
    rate: float
    seconds: float
    hosts: int


FULL = Size(nodes=1_000, queued=100_000, rate=50.0, seconds=40.0, hosts=100)
QUICK = Size(nodes=25, queued=4_000, rate=20.0, seconds=3.0, hosts=5)


@dataclass
class Usage:
    """What a part of the simulation took: queries, bytes on the wire and in the database's log, seconds of CPU."""

    queries: float = 0
    wire: float = 0
    log: float = 0
    database_cpu: float = 0
    daemons_cpu: float = 0
    seconds: float = 0

    def __sub__(self, before: Usage) -> Usage:
        return Usage(*(getattr(self, each.name) - getattr(before, each.name) for each in fields(self)))


@dataclass
class Figures:
    """claimed: how many runs; waits: seconds from the end of a run to the claim of its device; usage meanwhile."""

    claimed: int = 0
    rounds: int = 0
    waits: list[float] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    @property
    def rate(self) -> float:
        return self.claimed / self.usage.seconds


class Meter:
    """Counts what the connections of a store ask of the database, and what its processes compute."""

    def __init__(self, store: Store, nodes: Nodes) -> None:
        self._nodes = nodes
        self._engine = store.database.engine
        self._queries = itertools.count()
        self._sockets: list[int] = []
        event.listen(self._engine, "before_cursor_execute", self._count)
        event.listen(self._engine, "connect", lambda connection, _: self._sockets.append(connection.fileno()))
        self._engine.dispose()  # those of before are not counted

    def _count(self, *_: Any) -> None:
        next(self._queries)

    def read(self) -> Usage:
        own = psutil.Process().cpu_times()
        with self._engine.connect() as connection:
            log = int(connection.execute(text("SELECT pg_current_wal_lsn() - '0/0'")).scalar_one())
            pids = connection.execute(text("SELECT pid FROM pg_stat_activity")).scalars().all()
        cpu = sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)
        return Usage(
            queries=next(self._queries), wire=sum(map(_bytes, self._sockets)), log=log, database_cpu=cpu,
            daemons_cpu=own.user + own.system, seconds=time.perf_counter(),
        )  # fmt: skip

    @contextmanager
    def on(self, figures: Figures) -> Iterator[None]:
        self._nodes.waits()  # of before
        before = self.read()
        yield
        figures.usage = self.read() - before
        figures.waits = self._nodes.waits()


def _bytes(descriptor: int) -> int:
    """Bytes that a connection has carried, both ways."""
    with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as connection:
        return sum(_TCP_BYTES.unpack_from(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)))


class Host:
    """The product's daemon, in this process, with simulated nodes."""

    def __init__(self, store: Store, name: str, devices: int, nodes: Beginning) -> None:
        settings = store.settings
        self.backend = SimulatedBackend(settings, name, devices, nodes)
        self._daemon = Daemon(settings, backend=self.backend)
        self._daemon._others = OtherBackends(settings, host_name())  # nothing trains beside it on this machine
        # nobody may conclude from this process that all of the hosts live
        identity = replace(ProcessIdentity.current(), machine_id=name)
        self._own = self._daemon.store_of(store)
        with store.database.write() as session:
            executors.register(session, self._daemon.id, name, identity)

    def round(self, figures: Figures, *, turn: bool = False) -> None:
        """One round. turn: with what a daemon does until the next one is due."""
        claimed = self.backend.started
        (self._daemon.turn if turn else self._daemon.round)(self._own)
        figures.claimed += self.backend.started - claimed
        figures.rounds += 1

    def start_no_more(self) -> None:
        self._daemon._claim = lambda store: False  # type: ignore[method-assign] # noqa: ARG005

    def knows(self, known: set[str]) -> None:
        """Give it the ids of all runs: a hundred daemons of one process need not have them a hundred times."""
        self._daemon._known = known


def measure(folder: Path, quick: bool) -> list[Line]:
    size = QUICK if quick else FULL
    with postgres_server.running() as server:
        if server is None:
            return [Line("claims a second", None, None, "", note="no PostgreSQL here; `make system`")]
        with waiting_runs(folder / "one", size, new_database(server.port, "one")) as store:
            fill, steady = one_daemon(store, size)
        with waiting_runs(folder / "many", size, new_database(server.port, "many")) as store:
            many = many_daemons(store, size)
    return [
        Line("one daemon, all slots free: claims", 50, fill.rate, "/s", "at least"),
        *_lines("one daemon", steady, target=1.0),
        *_lines(f"{size.hosts} daemons", many, target=None),
        reported("a daemon's round without a claim: CPU of the database", _per_round(many), "ms"),
    ]


def _per_round(many: Figures) -> float:
    return many.usage.database_cpu / max(1, many.rounds) * 1e3


def _lines(shape: str, figures: Figures, target: float | None) -> list[Line]:
    usage, claimed = figures.usage, max(1, figures.claimed)
    return [
        reported(f"{shape}, steady: claims", figures.rate, "/s"),
        Line(f"{shape}, steady: from a free device to its claim, p99", target, percentile(figures.waits, 0.99), "s",
             note=f"p50 {percentile(figures.waits, 0.5):.2f} s"),
        reported(f"{shape}, steady: CPU of the database", usage.database_cpu / usage.seconds, "cores"),
        reported(f"{shape}, steady: CPU of the daemons", usage.daemons_cpu / usage.seconds, "cores"),
        reported(f"{shape}, steady: queries a claim", usage.queries / claimed, ""),
        reported(f"{shape}, steady: bytes between daemon and database a claim", usage.wire / claimed / 1e3, "kB"),
        reported(f"{shape}, steady: log that the database writes a claim", usage.log / claimed / 1e3, "kB"),
    ]  # fmt: skip


@contextmanager
def waiting_runs(folder: Path, size: Size, url: str | None) -> Iterator[Store]:
    """An open store in which so many runs of several users wait. The folders of those that begin are there."""
    with filled(folder, size.queued, url, states=((RunState.QUEUED, 1.0),)) as store:
        with store.database.engine.begin() as connection:
            _spread(connection)
            first = text("SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY owner "
                         "ORDER BY priority DESC, queued_at, number) AS place FROM runs) AS queue "
                         "WHERE place <= :most ORDER BY place")  # fmt: skip
            slots = size.nodes * GPUS
            begun = slots + size.rate * (size.seconds + SETTLED + (FIRST_EVENTS if size.seconds else 0.0))
            most = 1.2 * begun / USERS + 20
            ids = connection.execute(first, {"most": int(most)}).scalars().all()
        _write_folders(store, ids)
        if not store.database.is_sqlite:  # that keeps no statistics
            with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
        yield store


def _spread(connection: Connection) -> None:
    """The runs are of several users, want what there is, and have reported nothing yet."""
    columns = "requested_device = 'auto', owner = 'user ' || (number % :users), latest = '{}'"
    connection.execute(text(f"UPDATE runs SET {columns}"), {"users": USERS})


def _write_folders(store: Store, ids: Sequence[str]) -> None:
    """The records of these runs, signed as by the home that submitted them."""
    for start in range(0, len(ids), 500):
        with store.database.read() as session:
            found = records_of(session, ids[start : start + 500])
        for run_id, record in found.items():
            folder = store.settings.run_dir(run_id)
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / RUN_INFO).write_text(signing.signed_text(store.settings.home_path, to_info(record)))


def one_daemon(store: Store, size: Size, settled: float = SETTLED) -> tuple[Figures, Figures]:
    """All slots are filled; then runs end at the rate, and their slots are given again."""
    slots = size.nodes * GPUS
    fill, steady = Figures(), Figures()
    collect_seldom()
    with nodes(store, slots / size.rate) as simulated:
        meter = Meter(store, simulated)
        host = Host(store, "the cluster", slots, simulated)
        with meter.on(fill):
            while host.backend.started < slots:
                host.round(fill)
        assert fill.claimed >= slots, (fill.claimed, slots)
        _rounds([host], Figures(), settled)
        until = time.perf_counter() + FIRST_EVENTS
        while settled and _starting(store) > 2 * size.rate and time.perf_counter() < until:
            _rounds([host], Figures(), 1.0)
        with meter.on(steady):
            _rounds([host], steady, size.seconds)
    return fill, steady


def _starting(store: Store) -> int:
    with store.database.read() as session:
        return int(session.execute(text("SELECT count(*) FROM runs WHERE state = 'starting'")).scalar_one())


def many_daemons(store: Store, size: Size) -> Figures:
    """A daemon on each host; each looks at the queue in its own rounds, and all of them get what the rate gives."""
    slots = size.hosts * GPUS
    steady = Figures()
    with nodes(store, slots / (size.rate * size.hosts / size.nodes)) as simulated:
        meter = Meter(store, simulated)
        hosts = [Host(store, f"host-{n:04d}", GPUS, simulated) for n in range(size.hosts)]
        with store.database.read() as session:
            known = set(session.execute(text("SELECT id FROM runs")).scalars())
        for host in hosts:
            host.knows(known)
        _rounds(hosts, Figures(), SETTLED)
        with meter.on(steady):
            _rounds(hosts, steady, size.seconds)
    return steady


def _rounds(hosts: Sequence[Host], figures: Figures, seconds: float, threads: int = 4) -> None:
    """The rounds of all daemons for a time; each begins its next one after a pause."""
    begin = time.perf_counter()
    if len(hosts) == 1:
        while time.perf_counter() < begin + seconds:
            hosts[0].round(figures, turn=True)
        return
    due = [(begin + POLL * place / len(hosts), place) for place in range(len(hosts))]
    lock, errors = threading.Lock(), []

    def work() -> None:
        try:
            while time.perf_counter() < begin + seconds:
                with lock:
                    at, place = heapq.heappop(due) if due else (time.perf_counter() + POLL, -1)
                time.sleep(max(0.0, at - time.perf_counter()))
                if place >= 0:
                    hosts[place].round(figures)
                    with lock:
                        heapq.heappush(due, (time.perf_counter() + POLL, place))
        except BaseException as error:
            errors.append(error)
            raise

    workers = [threading.Thread(target=work) for _ in range(min(threads, len(hosts)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]

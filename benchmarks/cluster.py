"""1,000 nodes and 100,000 waiting runs on a real PostgreSQL: how soon a device that becomes free has its next run.

Two shapes: one daemon that gives 4,000 slots of a cluster to runs, as with Ray and Slurm; and a daemon on each of many
hosts. The daemons are the product's, with all that they do in a round. Simulated are the nodes: a run is no process. It
writes what a run's folder needs, beats, and ends after a time that was drawn; between its first event and its last it
reports nothing. All of it runs on this machine, so the daemons and the database share its cores.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

import psutil
from sqlalchemy import Connection, event, text

from benchmarks.frame import Line, reported
from benchmarks.labs import started
from benchmarks.lists import filled, new_database
from benchmarks.timing import percentile
from imgcls_lab import signing
from imgcls_lab.events import EventWriter, Finished, RunKind, RunState
from imgcls_lab.executor.backends.base import OwnerState, OwnerStatus
from imgcls_lab.executor.backends.job_scheduler import job_id
from imgcls_lab.executor.backends.launch import launch_of, module_argv, prepare_folder
from imgcls_lab.executor.daemon import BEAT_EVERY, Daemon
from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.other_backends import OtherBackends
from imgcls_lab.identity import JobIdentity, Owner, ProcessIdentity, host_name
from imgcls_lab.run_layout import HEARTBEAT, RUN_INFO, exit_name
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, executors
from imgcls_lab.store.folder_rows import records_of, to_info
from imgcls_lab.store.tables import Run
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
            daemons_cpu=own.user + own.system - self._nodes.cpu, seconds=time.perf_counter(),
        )  # fmt: skip

    @contextmanager
    def on(self, figures: Figures) -> Iterator[None]:
        before = self.read()
        yield
        figures.usage = self.read() - before


def _bytes(descriptor: int) -> int:
    """Bytes that a connection has carried, both ways."""
    with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as connection:
        return sum(_TCP_BYTES.unpack_from(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)))


class Beginning(Protocol):
    """What a simulated backend hands its runs to."""

    def begin(self, host: str, run_id: str, attempt: int, devices: Sequence[str]) -> list[float]: ...


class Nodes(threading.Thread):
    """The simulated nodes, of one home: each run beats, reports its start, and ends after a time that is drawn.

    They write into the folders what a supervisor and a training write there. They compute in this process, so a part of
    the daemons' CPU is theirs: `cpu`.
    """

    def __init__(self, store: Store, mean: float) -> None:
        super().__init__(name="nodes", daemon=True)
        self.cpu = 0.0
        self.late = 0.0  # seconds by which the last run has ended after its time: what the nodes themselves wait
        self._settings = store.settings
        self._mean = mean  # seconds that a run takes
        self._rng = random.Random(19)
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, str, int]] = []  # when, what (0: it ends, 1: it beats), run, attempt
        self._places: dict[str, list[tuple[str, str]]] = {}
        self._free_since: dict[tuple[str, str], float] = {}
        self._stopping = threading.Event()

    def begin(self, host: str, run_id: str, attempt: int, devices: Sequence[str]) -> list[float]:
        """Begin a claimed run; how long each of its devices has been free since the run before."""
        now = time.perf_counter()
        places = [(host, name) for name in devices]
        folder = self._settings.run_dir(run_id)
        (folder / HEARTBEAT).write_text(f"{attempt} 1\n")
        with EventWriter(folder, attempt) as events:
            events.write(started(1000))
        with self._lock:
            self._places[run_id] = places
            heapq.heappush(self._due, (now + self._rng.expovariate(1 / self._mean), 0, run_id, attempt))
            heapq.heappush(self._due, (now + BEAT_EVERY, 1, run_id, attempt))
            return [now - self._free_since.pop(place) for place in places if place in self._free_since]

    def run(self) -> None:
        beats = 1
        while not self._stopping.wait(0.02):
            while (due := self._next()) is not None:
                at, what, run_id, attempt = due
                beats += 1
                if what == 1:
                    self._beat(run_id, attempt, beats)
                else:
                    self._end(at, run_id, attempt)
            self.cpu = time.thread_time()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def _next(self) -> tuple[float, int, str, int] | None:
        with self._lock:
            return heapq.heappop(self._due) if self._due and self._due[0][0] <= time.perf_counter() else None

    def _beat(self, run_id: str, attempt: int, number: int) -> None:
        with self._lock:
            if run_id not in self._places:
                return
            heapq.heappush(self._due, (time.perf_counter() + BEAT_EVERY, 1, run_id, attempt))
        (self._settings.run_dir(run_id) / HEARTBEAT).write_text(f"{attempt} {number}\n")

    def _end(self, at: float, run_id: str, attempt: int) -> None:
        folder = self._settings.run_dir(run_id)
        with EventWriter(folder, attempt) as events:
            events.write(Finished(step=1000, best_epoch=1, values={}))
        with self._lock:
            self._free_since.update(dict.fromkeys(self._places.pop(run_id), at))
        # whole or not at all, and without a sync: a thousand nodes do not wait for each other's disks
        temporary = folder / f".{exit_name(attempt)}"
        temporary.write_text(json.dumps({"attempt": attempt, "t": time.time(), "code": 0}))
        temporary.replace(folder / exit_name(attempt))
        self.late = time.perf_counter() - at


class SimulatedBackend:
    """Jobs of a scheduler that starts each of them at once."""

    release_seconds = 0.0

    def __init__(self, settings: Settings, host: str, devices: int, nodes: Beginning) -> None:
        self.host, self._settings, self._devices, self._nodes = host, settings, devices, nodes
        self.waits: list[float] = []
        self.started = 0
        self._lock = threading.Lock()

    def devices(self, claimed: Set[str]) -> list[Device]:  # noqa: ARG002
        return [Device(f"gpu:{n}", n, f"GPU {n}", "cuda", f"{self.host}-{n}") for n in range(self._devices)]

    def holder(self, device: Device) -> str | None:
        return device.held_by

    def problem(self) -> str | None:
        return None

    def start(self, run: Run, attempt: int, devices: Sequence[Device]) -> Owner:
        argv = module_argv(RunKind(run.kind), sys.executable, self._settings.run_dir(run.id), attempt)
        prepare_folder(self._settings, run, launch_of(self._settings, run, attempt, argv, {}))
        waits = self._nodes.begin(self.host, run.id, attempt, [device.name for device in devices])
        with self._lock:
            self.waits += waits
            self.started += 1
        return self.find(run.id, attempt)

    def find(self, run_id: str, attempt: int) -> Owner:
        return JobIdentity(self.host, job_id(run_id, attempt))

    def status(self, owner: Owner, silent: float) -> OwnerStatus:  # noqa: ARG002
        return OwnerStatus(OwnerState.RUNNING)

    def ask_to_stop(self, owner: Owner, tag: str) -> str | None:
        raise NotImplementedError

    def clear(self, run_id: str, attempt: int) -> list[str]:  # noqa: ARG002
        return []

    def reap(self) -> None: ...
    def close(self) -> None: ...


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

    def round(self, figures: Figures, pause: float = 0.0) -> None:
        """One round, and what a daemon does between two. pause: for how long."""
        begin, claimed = len(self.backend.waits), self.backend.started
        self._daemon.round(self._own)
        figures.waits += self.backend.waits[begin:]
        figures.claimed += self.backend.started - claimed
        figures.rounds += 1
        if pause:
            self._daemon.ingest(self._own, until=time.monotonic() + pause)

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
    with _nodes(store, slots / size.rate) as nodes:
        meter = Meter(store, nodes)
        host = Host(store, "the cluster", slots, nodes)
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


@contextmanager
def _nodes(store: Store, mean: float) -> Iterator[Nodes]:
    nodes = Nodes(store, mean)
    nodes.start()
    try:
        yield nodes
    finally:
        nodes.stop()


def _starting(store: Store) -> int:
    with store.database.read() as session:
        return int(session.execute(text("SELECT count(*) FROM runs WHERE state = 'starting'")).scalar_one())


def many_daemons(store: Store, size: Size) -> Figures:
    """A daemon on each host; each looks at the queue in its own rounds, and all of them get what the rate gives."""
    slots = size.hosts * GPUS
    steady = Figures()
    with _nodes(store, slots / (size.rate * size.hosts / size.nodes)) as nodes:
        meter = Meter(store, nodes)
        hosts = [Host(store, f"host-{n:04d}", GPUS, nodes) for n in range(size.hosts)]
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
            hosts[0].round(figures, POLL)
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

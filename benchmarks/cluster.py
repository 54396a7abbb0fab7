"""1,000 nodes and 100,000 waiting runs on a real PostgreSQL: how soon a device that becomes free has its next run.

Two shapes: one daemon that gives 4,000 slots of a cluster to runs, as with Ray and Slurm; and a daemon on each of many
hosts. Store, queue and scheduler are the product's. Simulated are the nodes: a run is no process, it ends after a time
that was drawn. All of it runs on this machine, so the daemons and the database share its cores.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
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
from benchmarks.timing import percentile
from imgcls_lab import signing
from imgcls_lab.events import RunState
from imgcls_lab.executor.daemon import BEAT_EVERY
from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.scheduler import Scheduler
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.run_layout import RUN_INFO
from imgcls_lab.store import Store, attempts, executors
from imgcls_lab.store.cluster import Cluster
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.folder_rows import records_of, to_info
from imgcls_lab.store.verdict import Verdict
from tests.store import postgres_server

USERS = 20
GPUS = 4  # of a node
POLL = 0.3  # seconds between two rounds of a daemon, as the setting has it
SETTLED = 5.0  # seconds of the steady state that are not counted
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

    def __init__(self, store: Store) -> None:
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
        before = self.read()
        yield
        figures.usage = self.read() - before


def _bytes(descriptor: int) -> int:
    """Bytes that a connection has carried, both ways."""
    with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as connection:
        return sum(_TCP_BYTES.unpack_from(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)))


class Nodes:
    """The simulated nodes: which runs live and when each ends, and since when each device has been free."""

    def __init__(self, mean: float) -> None:
        self._mean = mean  # seconds that a run takes
        self._rng = random.Random(19)
        self._ends: dict[str, list[tuple[float, str, int, list[str]]]] = {}
        self._free_since: dict[tuple[str, str], float] = {}

    def start(self, host: str, claim: attempts.Claim) -> list[float]:
        """Begin a claimed run; how long each of its devices has been free since the run before."""
        now = time.perf_counter()
        end = now + self._rng.expovariate(1 / self._mean)
        heapq.heappush(self._ends.setdefault(host, []), (end, claim.run.id, claim.attempt, claim.devices))
        places = [(host, name) for name in claim.devices]
        return [now - self._free_since.pop(place) for place in places if place in self._free_since]

    def ended(self, host: str) -> Iterator[tuple[str, int]]:
        """The runs that have ended on a host since it was asked last."""
        ends = self._ends.get(host, [])
        while ends and ends[0][0] <= time.perf_counter():
            end, run_id, attempt, devices = heapq.heappop(ends)
            self._free_since.update({(host, name): end for name in devices})
            yield run_id, attempt


class Host:
    """A daemon without processes: it does to the database in each round what `executor/daemon.py` does."""

    def __init__(self, store: Store, name: str, devices: int, nodes: Nodes) -> None:
        self.name, self._nodes, self._beat_due = name, nodes, 0.0
        self._devices = [Device(f"gpu:{n}", n, f"GPU {n}", "cuda", f"{name}-{n}") for n in range(devices)]
        self._own = ExecutorStore(store.database, store.settings, name, f"{name}-1", HeartbeatWatch(30))
        identity = replace(ProcessIdentity.current(), machine_id=name)  # nobody can ask whether it lives
        with store.database.write() as session:
            executors.register(session, f"{name}-1", name, identity)
        self._own.save_devices([device.row() for device in self._devices])

    def round(self, figures: Figures) -> None:
        self._beat()
        self._own.live_runs()
        for run_id, attempt in self._nodes.ended(self.name):
            self._own.finish(run_id, attempt, Verdict(RunState.SUCCEEDED))
        self._own.settle()
        while self.claim(figures):
            pass
        figures.rounds += 1

    def _beat(self) -> None:
        now = time.perf_counter()
        if now >= self._beat_due:
            self._beat_due = now + BEAT_EVERY
            assert self._own.beat()

    def claim(self, figures: Figures) -> int:
        """One look at the queue; how many runs it took."""
        self._beat()
        claims = self._own.claim(self._scheduler)
        for claim in claims:
            figures.waits += self._nodes.start(self.name, claim)
        if claims:
            self._own.set_owners([(claim.run.id, claim.attempt, ProcessIdentity.current(), None) for claim in claims])
        figures.claimed += len(claims)
        return len(claims)

    def _scheduler(self, cluster: Cluster, drivers: int) -> Scheduler:
        held = {name for host, name in cluster.claims if host == self.name}
        return Scheduler(cluster, self._devices, held, drivers, host=self.name)


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
def waiting_runs(folder: Path, size: Size, url: str) -> Iterator[Store]:
    """An open store in which so many runs of several users wait. The folders of the first ones are there."""
    with filled(folder, size.queued, url, states=((RunState.QUEUED, 1.0),)) as store:
        with store.database.engine.begin() as connection:
            _spread(connection)
            first = text("SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY owner "
                         "ORDER BY priority DESC, queued_at, number) AS place FROM runs) AS queue "
                         "WHERE place <= :most ORDER BY place")  # fmt: skip
            slots = size.nodes * GPUS
            most = 1.5 * (slots + size.rate * (size.seconds + SETTLED)) / USERS + 20
            ids = connection.execute(first, {"most": int(most)}).scalars().all()
        _write_folders(store, ids)
        with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield store


def _spread(connection: Connection) -> None:
    """The runs are of several users and want what there is."""
    connection.execute(
        text("UPDATE runs SET requested_device = 'auto', owner = 'user ' || (number % :users)"), {"users": USERS}
    )


def _write_folders(store: Store, ids: Sequence[str]) -> None:
    """The records of these runs, signed as by the home that submitted them."""
    for start in range(0, len(ids), 500):
        with store.database.read() as session:
            found = records_of(session, ids[start : start + 500])
        for run_id, record in found.items():
            folder = store.settings.run_dir(run_id)
            folder.mkdir(mode=0o700, exist_ok=True)
            info = signing.signed_info(store.settings.home_path, to_info(record))
            (folder / RUN_INFO).write_text(json.dumps(info))


def one_daemon(store: Store, size: Size, settled: float = SETTLED) -> tuple[Figures, Figures]:
    """All slots are filled; then runs end at the rate, and their slots are given again."""
    slots = size.nodes * GPUS
    meter, nodes = Meter(store), Nodes(slots / size.rate)
    host = Host(store, "ray", slots, nodes)
    fill, before, steady = Figures(), Figures(), Figures()
    with meter.on(fill):
        while host.claim(fill):
            pass
    assert fill.claimed == slots, (fill.claimed, slots)
    _rounds([host], before, settled)
    with meter.on(steady):
        _rounds([host], steady, size.seconds)
    return fill, steady


def many_daemons(store: Store, size: Size) -> Figures:
    """A daemon on each host; each looks at the queue in its own rounds, and all of them get what the rate gives."""
    slots = size.hosts * GPUS
    meter, nodes = Meter(store), Nodes(slots / (size.rate * size.hosts / size.nodes))
    hosts = [Host(store, f"host-{n:04d}", GPUS, nodes) for n in range(size.hosts)]
    _rounds(hosts, Figures(), SETTLED)
    steady = Figures()
    with meter.on(steady):
        _rounds(hosts, steady, size.seconds)
    return steady


def _rounds(hosts: Sequence[Host], figures: Figures, seconds: float, threads: int = 4) -> None:
    """The rounds of all daemons for a time; each begins its next one after a pause."""
    begin = time.perf_counter()
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

"""Executors and their devices: the rows that daemons write and lists show.

Called as `store.executors`, and by daemons.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from sqlalchemy import ColumnElement, delete, tuple_, update
from sqlmodel import Session, col, select

from imgcls_lab._version import __version__
from imgcls_lab.events import LIVE
from imgcls_lab.identity import ProcessIdentity, user_name
from imgcls_lab.schemas import DevicesReply, DeviceView, ExecutorView, HolderView, RunView
from imgcls_lab.schemas.limits import SHOWN_DEVICES
from imgcls_lab.settings import LOCAL, Settings
from imgcls_lab.store import cluster_view
from imgcls_lab.store.cluster_view import HOLDING
from imgcls_lab.store.database import Database
from imgcls_lab.store.tables import Attempt, Device, DeviceClaim, Executor, Run

State = Literal["alive", "silent", "suspended", "stopped"]
Place = tuple[str, str]  # host and home
V = TypeVar("V", bound=RunView)


class PlacedDevice(NamedTuple):
    """A device of some host, as the database shows it: what is needed to choose among many."""

    host: str
    home: str
    name: str
    kind: str
    title: str
    held_by: str | None


def _of_machine(name: Any) -> ColumnElement[bool]:
    """Whether a device is one of a machine; that of a cluster is a token of its capacity, `NODE/gpu:0`."""
    return ~col(name).contains("/")


class HeartbeatWatch:
    """Says whether a daemon lives: its beat must grow within the lease, by this process's monotonic clock.

    Wall clocks are never compared. Safe for threads.
    """

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}  # executor -> its beat, and when it was seen first
        self._lock = threading.Lock()

    def state(self, row: Executor) -> State:
        """silent: it does not beat any more and is not known to have ended; suspended: somebody stopped its process."""
        if row.state == "stopped":
            return "stopped"
        identity = ProcessIdentity.from_json(json.dumps(row.identity))
        if identity.status() == "dead":
            return "stopped"
        if identity.suspended():
            return "suspended"
        return "silent" if self._unchanged_for(row.id, row.heartbeat) > self._lease else "alive"

    def places(self, session: Session, *states: State) -> set[Place]:
        """Host and home of the daemons that are in one of these states."""
        return {(row.host, row.home) for row in session.exec(select(Executor)).all() if self.state(row) in states}

    def _unchanged_for(self, executor_id: str, beat: int) -> float:
        """Seconds since this beat was seen first."""
        now = self._clock()
        with self._lock:
            if executor_id not in self._seen or self._seen[executor_id][0] != beat:
                self._seen[executor_id] = (beat, now)
            return now - self._seen[executor_id][1]


class Executors:
    """`store.executors`: what the daemons are and hold, for whoever shows it."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._watch = HeartbeatWatch(settings.lease)

    def status(self) -> DevicesReply:
        """Executors, their devices and who holds them; a message where something is wrong."""
        with self._database.read() as session:
            reply = _devices_reply(session, self._watch, self._settings)
            alive = {item.host for item in reply.executors if item.here and item.state == "alive"}
            cluster = cluster_view.of_home(session, self._settings, alive)
        reply = reply.model_copy(update={"cluster": cluster})
        full = self._database.full()
        return reply.model_copy(update={"message": full}) if full else reply

    def usable_devices(self) -> list[PlacedDevice]:
        """The devices that are for runs: those that are free, and those that runs hold."""
        with self._database.read() as session:
            seen = _devices_once(session, self._watch.places(session, "alive"))
        return [device for device in seen if not device.held_by]

    def unattended_places(self) -> set[Place]:
        """Where an executor ended, is suspended or does not beat any more, as far as this store has watched."""
        with self._database.read() as session:
            return self._unattended(session)

    def holder_parents(self, host: str) -> dict[int, list[int]]:
        """Pid -> its ancestors, nearest first, of the processes that hold memory of a host's GPUs."""
        with self._database.read() as session:
            mine = select(Device.gpu_processes).where(Device.host == host, Device.home == session.info["home"])
            rows = session.exec(mine).all()
        return {holder["pid"]: holder["parents"] for holders in rows for holder in holders}

    def mark_silent(self, session: Session, views: list[V]) -> list[V]:
        """The views, with a message where a run's host is silent, and no estimate where no daemon watches the run."""
        if not any(view.state in LIVE for view in views):
            return views
        unattended = self._unattended(session)
        silent = self._watch.places(session, "silent") if unattended else set()

        def marked(view: V) -> V:
            place = (view.host or "", view.home)
            if view.state not in LIVE or place not in unattended:
                return view
            if place in silent:
                return view.model_copy(update={"unreachable": True, "message": unreachable(place[0])})
            return view.model_copy(update={"seconds_left": None})

        return [marked(view) for view in views]

    def _unattended(self, session: Session) -> set[Place]:
        """Places that had an executor and have none that works: what their runs do is not seen."""
        return self._watch.places(session, *get_args(State)) - self._watch.places(session, "alive")


def register(
    session: Session, executor_id: str, host: str, identity: ProcessIdentity, version: str = __version__
) -> None:
    """Add a daemon's row; earlier ones of this home on this host, which have ended, go."""
    home = session.info["home"]
    session.execute(delete(Executor).where(col(Executor.host) == host, col(Executor.home) == home))
    now = time.time()
    whose: dict[str, Any] = {
        "home": home,
        "user": user_name(),
        "identity": json.loads(identity.to_json()),
        "version": version,
    }
    beats: dict[str, Any] = {"started_at": now, "heartbeat": 1, "heartbeat_at": now}
    session.add(Executor(id=executor_id, host=host, state="alive", **whose, **beats))


def beat(session: Session, executor_id: str) -> bool:
    """False: the row is gone; another daemon took this host over."""
    statement = update(Executor).where(col(Executor.id) == executor_id)
    changed = session.execute(statement.values(heartbeat=col(Executor.heartbeat) + 1, heartbeat_at=time.time()))
    return bool(changed.rowcount == 1)  # type: ignore[attr-defined]


def sign_off(session: Session, executor_id: str) -> None:
    session.execute(update(Executor).where(col(Executor.id) == executor_id).values(state="stopped"))


def save_devices(session: Session, host: str, devices: Sequence[dict[str, Any]], only: Set[str] | None = None) -> None:
    """Replace the devices of a host, as this home's daemon sees them, by what it sees now.

    only: names, where the others stay as they are.
    """
    home = session.info["home"]
    replaced = delete(Device).where(col(Device.host) == host, col(Device.home) == home)
    session.execute(replaced if only is None else replaced.where(col(Device.name).in_(only)))
    session.add_all(Device(host=host, home=home, **device) for device in devices)


def _devices_reply(session: Session, watch: HeartbeatWatch, settings: Settings) -> DevicesReply:
    mine = session.info["home"]
    executors = [
        ExecutorView(
            **row.model_dump(include={"id", "host", "home", "user", "version", "started_at", "heartbeat_at"}),
            here=row.home == mine,
            local=row.home == mine and _is_local(row),
            pid=int(row.identity["pid"]),
            state=watch.state(row),
        )
        for row in session.exec(select(Executor).order_by(Executor.host, Executor.user))
    ]
    columns: Any = (DeviceClaim.host, DeviceClaim.device, Run.id, Run.name, Run.owner)
    held_here = select(*columns).join(Run).where(_of_machine(DeviceClaim.device))
    held = {(host, device): run for host, device, *run in session.exec(held_here)}
    seen = _devices_once(session, watch.places(session, "alive"), _of_machine(Device.name))
    names = _holding_runs(session) if seen else {}
    views = [
        DeviceView(
            **row.model_dump(exclude={"home", "position", "uuid", "gpu_processes"}),
            gpu_processes=[_holder(row.host, holder, names) for holder in row.gpu_processes],
            **dict(zip(HOLDING, held.get((row.host, row.name), (None, None, None)), strict=True)),
        )
        for row in _rows(session, seen[:SHOWN_DEVICES])
    ]
    more, message = len(seen) - len(views), _message(executors, __version__, settings)
    return DevicesReply(executors=executors, devices=views, message=message, more_devices=more)


def _is_local(row: Executor) -> bool:
    """Whether a daemon is, or was, a process of this machine."""
    return ProcessIdentity.from_json(json.dumps(row.identity)).status() != "unknown"


def _devices_once(session: Session, alive: set[Place], *which: ColumnElement[bool]) -> list[PlacedDevice]:
    """Each device once: as this home's daemon sees it, else as another that lives does, else as it was seen last."""
    mine = session.info["home"]
    columns: Any = [getattr(Device, name) for name in PlacedDevice._fields]
    order = (Device.host, col(Device.kind).desc(), col(Device.position))
    rows = [PlacedDevice(*row) for row in session.exec(select(*columns).where(*which).order_by(*order))]
    best: dict[tuple[str, str], PlacedDevice] = {}
    for row in sorted(rows, key=lambda row: ((row.host, row.home) not in alive, row.home != mine, row.home)):
        best.setdefault((row.host, row.name), row)
    return [row for row in rows if best[row.host, row.name] is row]


def _rows(session: Session, seen: Sequence[PlacedDevice]) -> list[Device]:
    """Their whole rows, in this order."""
    keys = [(device.host, device.home, device.name) for device in seen]
    wanted = tuple_(col(Device.host), col(Device.home), col(Device.name)).in_(keys)
    rows = {(row.host, row.home, row.name): row for row in session.exec(select(Device).where(wanted))}
    return [rows[key] for key in keys if key in rows]


def _holding_runs(session: Session) -> dict[tuple[str, int | str], tuple[str, str]]:
    """Runs that may hold memory: by (host, id), and by (host, pid) where they train in a kernel or shell."""
    columns: Any = (Run.id, Run.name, Run.host, Run.external, Attempt.pid)
    present = (col(Attempt.run_id) == col(Run.id)) & (col(Attempt.number) == col(Run.attempt))
    live: Any = select(*columns).join(Attempt, present)
    names: dict[tuple[str, int | str], tuple[str, str]] = {}
    for run_id, name, host, external, pid in session.exec(
        live.where(col(Run.state).in_([state.value for state in LIVE]))
    ):
        names[host or "", run_id] = run_id, name
        if external and pid is not None:
            names[host or "", pid] = run_id, name
    return names


def _holder(host: str, row: dict[str, Any], names: Mapping[tuple[str, int | str], tuple[str, str]]) -> HolderView:
    keys = [row["run_id"], row["pid"], *row["parents"]]
    run_id, name = next((names[host, key] for key in keys if (host, key) in names), (row["run_id"], None))
    shown = {key: row[key] for key in ("pid", "name", "user", "memory", "since", "idle_since")}
    return HolderView(**shown, run_id=run_id, run_name=name, notebook=None)


def unreachable(host: str) -> str:
    """The message of a run that lives on a silent host."""
    return (
        f"Unreachable: the host {host} does not answer, and keeps its devices until it is back. If it never will be: "
        f"`imgcls-lab executor forget {host}`."
    )


def suspended(host: str, pid: int) -> str:
    """The message of an executor whose process somebody stopped."""
    return (
        f"The executor of {host} (process {pid}) is suspended: it takes nothing in and starts nothing, and what its "
        f"runs do meanwhile is not seen. Wake it: kill -CONT {pid}"
    )


def _message(executors: list[ExecutorView], version: str, settings: Settings) -> str | None:
    """What is wrong with the executors of this home; those of others are their users' matter."""
    executors = [executor for executor in executors if executor.here]
    alive = [executor for executor in executors if executor.state == "alive"]
    asleep = next((executor for executor in executors if executor.state == "suspended"), None)
    if asleep is not None:
        return suspended(asleep.host, asleep.pid)
    if not alive:
        return (
            "No executor of this home is running, so its queued runs wait. Start it with `imgcls-lab executor start`."
        )
    if settings.backend != LOCAL and settings.run_host not in {executor.host for executor in alive}:
        return (
            f"IMGCLS_BACKEND is {settings.backend}, and the executor of this home starts its runs on {alive[0].host}: "
            "it began with other settings. `imgcls-lab executor start` where it runs, with these settings, replaces "
            "it. Runs go on meanwhile."
        )
    other = next((executor for executor in alive if executor.version != version), None)
    if other:
        sentence = f"The executor of {other.host} is imgcls-lab {other.version}, this program is {version}. "
        if is_older(version, other.version):
            return sentence + "Restart Jupyter, or this program, with the newer version; runs go on meanwhile."
        return sentence + (
            "The newer one takes over when it next queues or starts something there; to do it now: `imgcls-lab "
            "executor stop` and `imgcls-lab executor start`. Runs go on meanwhile."
        )
    return None


def is_older(version: str, than: str) -> bool:
    """Whether a version of this program is older than another."""
    return [int(n) for n in re.findall(r"\d+", version)[:3]] < [int(n) for n in re.findall(r"\d+", than)[:3]]

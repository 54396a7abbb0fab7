"""Executors and their devices: the rows that daemons write and lists show. Called through `Store` and by daemons."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from imgcls_lab.events import LIVE
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.schemas import DevicesReply, DeviceView, ExecutorView, HolderView
from imgcls_lab.store.tables import Attempt, Device, DeviceClaim, Executor, Run

State = Literal["alive", "silent", "suspended", "stopped"]


class Observer:
    """Says by this process's monotonic clock whether a number still grows; wall clocks are never compared."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def quiet_for(self, key: str, number: int) -> float:
        """Seconds since this number was first seen under this key."""
        now = self._clock()
        with self._lock:
            if key not in self._seen or self._seen[key][0] != number:
                self._seen[key] = (number, now)
            return now - self._seen[key][1]


def register(session: Session, executor_id: str, host: str, identity: ProcessIdentity, version: str) -> None:
    """Add a daemon's row; earlier ones of this host, which have ended, go."""
    session.execute(delete(Executor).where(col(Executor.host) == host))
    now = time.time()
    session.add(
        Executor(
            id=executor_id, host=host, identity=json.loads(identity.to_json()), version=version, state="alive",
            started_at=now, beat=1, beat_at=now,
        )
    )  # fmt: skip


def beat(session: Session, executor_id: str) -> bool:
    """False: the row is gone; another daemon took this host over."""
    statement = update(Executor).where(col(Executor.id) == executor_id)
    changed = session.execute(statement.values(beat=col(Executor.beat) + 1, beat_at=time.time()))
    return bool(changed.rowcount == 1)  # type: ignore[attr-defined]


def sign_off(session: Session, executor_id: str) -> None:
    session.execute(update(Executor).where(col(Executor.id) == executor_id).values(state="stopped"))


def save_devices(session: Session, host: str, devices: list[dict[str, Any]]) -> None:
    """Replace the devices of a host by what its daemon sees now."""
    session.execute(delete(Device).where(col(Device.host) == host))
    session.add_all(Device(host=host, **device) for device in devices)


def devices(session: Session, observer: Observer, lease: float, version: str) -> DevicesReply:
    """All executors and devices, and who holds which."""
    executors = [
        ExecutorView(
            id=row.id, host=row.host, pid=int(row.identity["pid"]), version=row.version,
            state=executor_state(row, observer, lease), started_at=row.started_at, beat_at=row.beat_at,
        )
        for row in session.exec(select(Executor).order_by(Executor.host))
    ]  # fmt: skip
    claims = select(DeviceClaim.host, DeviceClaim.device, Run.id, Run.name).join(Run)
    held = {(host, device): (run_id, name) for host, device, run_id, name in session.exec(claims)}
    names = _holding_runs(session)
    views = [
        DeviceView(
            **row.model_dump(exclude={"position", "uuid", "holders"}),
            holders=[_holder(row.host, holder, names) for holder in row.holders],
            run_id=held.get((row.host, row.name), (None, None))[0],
            run_name=held.get((row.host, row.name), (None, None))[1],
        )
        for row in session.exec(select(Device).order_by(Device.host, col(Device.kind).desc(), col(Device.position)))
    ]
    return DevicesReply(executors=executors, devices=views, message=_message(executors, version))


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


def parents(session: Session, host: str) -> dict[int, list[int]]:
    """Pid -> its ancestors, nearest first, of the processes that hold memory of a host's GPUs."""
    rows = session.exec(select(Device.holders).where(Device.host == host)).all()
    return {holder["pid"]: holder["parents"] for holders in rows for holder in holders}


def alive_hosts(session: Session, observer: Observer, lease: float) -> set[str]:
    """Hosts whose daemon lives."""
    rows = session.exec(select(Executor)).all()
    return {row.host for row in rows if executor_state(row, observer, lease) == "alive"}


def silent_hosts(session: Session, observer: Observer, lease: float) -> set[str]:
    """Hosts whose daemon does not beat any more and is not known to have ended."""
    rows = session.exec(select(Executor)).all()
    return {row.host for row in rows if executor_state(row, observer, lease) == "silent"}


def unattended_hosts(session: Session, observer: Observer, lease: float) -> set[str]:
    """Hosts that had an executor and have none that works: what their runs do is not seen."""
    rows = session.exec(select(Executor)).all()
    return {row.host for row in rows} - {row.host for row in rows if executor_state(row, observer, lease) == "alive"}


def unreachable(host: str) -> str:
    """What is said of a run that lives on a silent host."""
    return (
        f"Unreachable: the host {host} does not answer, and keeps its devices until it is back. If it never will be: "
        f"`imgcls-lab executor forget {host}`."
    )


def suspended(host: str, pid: int) -> str:
    """What is said of an executor that somebody stopped."""
    return (
        f"The executor of {host} (process {pid}) is suspended: it takes nothing in and starts nothing, and what its "
        f"runs do meanwhile is not seen. Wake it: kill -CONT {pid}"
    )


def executor_state(row: Executor, observer: Observer, lease: float) -> State:
    if row.state == "stopped":
        return "stopped"
    identity = ProcessIdentity.from_json(json.dumps(row.identity))
    if identity.status() == "dead":
        return "stopped"
    if identity.suspended():
        return "suspended"
    return "silent" if observer.quiet_for(row.id, row.beat) > lease else "alive"


def _message(executors: list[ExecutorView], version: str) -> str | None:
    alive = [executor for executor in executors if executor.state == "alive"]
    asleep = next((executor for executor in executors if executor.state == "suspended"), None)
    if asleep is not None:
        return suspended(asleep.host, asleep.pid)
    if not alive:
        return "No executor is running, so queued runs wait. Start it with `imgcls-lab executor start`."
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

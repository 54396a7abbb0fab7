"""Who a process is: machine, boot and pid namespace, pid, start time; and whose. Standard library only.

A bare pid says nothing: the kernel gives it to the next process. Daemon, supervisor, store and whatever trains
outside the executor write and check these; nothing here signals a process. On a cluster, an attempt is a job of an
outer scheduler instead: `Owner` is one or the other.
"""

from __future__ import annotations

import json
import os
import platform
import pwd
import socket
import subprocess
import uuid
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

_PIDS = 2**31  # no system gives so many


@dataclass(frozen=True)
class ProcessIdentity:
    """One process for ever.

    machine_id: the machine with its host name; boot_id: its boot and pid namespace; start_time: clock ticks after
    the boot (a text elsewhere), immune to a moved clock.
    """

    machine_id: str
    boot_id: str
    pid: int
    start_time: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The identity of a process of this machine; None if there is no such process (or a zombie)."""
        start = _start_time(pid)
        return None if start is None else cls(machine_id(), boot_id(), pid, start)

    @classmethod
    def current(cls) -> Self:
        """This process. Raises RuntimeError if the system does not report its start time."""
        identity = cls.of(os.getpid())
        if identity is None:
            raise RuntimeError("This system does not report when a process started.")
        return identity

    def status(self) -> Literal["alive", "dead", "unknown"]:
        """`unknown`: the process belongs to another machine or pid namespace, where this process cannot look."""
        if self.machine_id != machine_id():
            return "unknown"
        if self.boot_id != boot_id():
            # the machine was booted again: dead. The same boot, another pid namespace: a container we cannot see into.
            same_boot = self.boot_id.partition(":")[0] == boot_id().partition(":")[0]
            return "unknown" if same_boot else "dead"
        return "alive" if _start_time(self.pid) == self.start_time else "dead"

    def alive(self) -> bool:
        """Whether exactly this process is known to live; also False if this machine cannot know."""
        return self.status() == "alive"

    def suspended(self) -> bool:
        """Whether it lives but is suspended (SIGSTOP, Ctrl-Z)."""
        return self.alive() and _state(self.pid) in {"T", "t"}

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads what `to_json` wrote; further keys are ignored. Raises ValueError."""
        try:
            data = json.loads(text)
            pid = int(data["pid"])
            if not 0 < pid < _PIDS:
                raise ValueError(f"{pid} is no pid.")
            return cls(str(data["machine_id"]), str(data["boot_id"]), pid, str(data["start_time"]))
        except (KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"This is no process identity: {error}") from None


@dataclass(frozen=True)
class JobIdentity:
    """A job of an outer scheduler. job: its id there."""

    scheduler: str
    job: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))


Owner = ProcessIdentity | JobIdentity  # of an attempt


def owner_of(saved: dict[str, Any]) -> Owner:
    """The owner that `to_json` wrote. Raises ValueError."""
    if "job" not in saved:
        return ProcessIdentity.from_json(json.dumps(saved))
    try:
        return JobIdentity(str(saved["scheduler"]), str(saved["job"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"This is no job: {error}") from None


def user_name() -> str:
    """Who owns what this process makes: the user of the hub that started its server, else of the operating system.

    The user of the system is read from the process itself: `$USER` is what somebody wrote there.
    """
    of_hub = os.environ.get("JUPYTERHUB_USER", "").strip()
    if of_hub:
        return of_hub
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container with a uid of its own
        return str(os.geteuid())


def host_name() -> str:
    """The name under which this machine shows up in lists and holds devices."""
    return socket.gethostname()


@lru_cache(maxsize=1)
def machine_id() -> str:
    """This machine, with its host name, since images that are copied carry the same id."""
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text:
            return f"{text}:{host_name()}"
    return f"{uuid.getnode():012x}:{host_name()}"


@lru_cache(maxsize=1)
def boot_id() -> str:
    """This boot and pid namespace, as `boot:namespace`."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = _ask("sysctl", "-n", "kern.boottime") or "boot"
    try:
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        namespace = "0"
    return f"{boot}:{namespace}"


def _start_time(pid: int) -> str | None:
    if platform.system() != "Linux":
        state = _ask("ps", "-o", "state=", "-p", str(pid))
        return None if not state or state.startswith("Z") else _ask("ps", "-o", "lstart=", "-p", str(pid))
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name may hold spaces and brackets
    return None if fields[0] in "ZXx" else fields[19]


def _state(pid: int) -> str:
    """`R`, `S`, `T` ... as ps has it; empty where there is no such process."""
    if platform.system() != "Linux":
        return (_ask("ps", "-o", "state=", "-p", str(pid)) or "")[:1]
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat[stat.rindex(")") + 2 :][:1]


def _ask(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None

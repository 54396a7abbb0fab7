"""Load and memory of a machine and its GPUs over the last hour: a bounded file beside the executor, which pages show.

The daemon adds what it reads anyhow, and writes a point every few seconds into `load-HOST.json`; whoever shows the page
reads the files of all machines of the home. No database row is made of it. A later daemon goes on with the file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

import psutil
from pydantic import ValidationError

from imgcls_lab import run_paths
from imgcls_lab.cpu import cores
from imgcls_lab.executor.devices import Device
from imgcls_lab.identity import host_name
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.schemas import HostLoad, LoadReply, LoadSeries
from imgcls_lab.schemas.limits import LOAD_POINTS, SHOWN_HOSTS
from imgcls_lab.settings import LOCAL, Settings

log = logging.getLogger(__name__)

POINT_EVERY = 15.0  # seconds that a point stands for
KEPT = LOAD_POINTS * POINT_EVERY  # seconds: an hour
MOST_GPUS = 32  # of a machine


class Reading(NamedTuple):
    """Of a machine or a device at one moment. load: 0..1; memory, memory_total: bytes. None: it is not reported."""

    load: float | None
    memory: int | None
    memory_total: int | None


def of_machine() -> Reading:
    """Of this machine's processor and memory; the load since the last call."""
    memory = psutil.virtual_memory()
    return Reading(psutil.cpu_percent(None) / 100, int(memory.total - memory.available), int(memory.total))


class LoadHistory:
    """Writes the history of this host. machine and clock are seams for tests."""

    def __init__(
        self,
        settings: Settings,
        machine: Callable[[], Reading] = of_machine,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._clock = clock
        self._is_here = settings.backend == LOCAL  # a cluster's devices are parts of its capacity, and report nothing
        self._known: HostLoad | None = None
        self._readings: dict[str, list[Reading]] = {}  # since the last point, by device; "": the machine
        self._due = clock() + POINT_EVERY

    def update(self, devices: Sequence[Device]) -> None:
        """Take in what the devices report now. A point that cannot be written is left out: runs do not wait for it."""
        if not self._is_here:
            return
        self._add("", self._machine())
        for device in islice((device for device in devices if device.gpu), MOST_GPUS):
            row = device.row()
            self._add(device.name, Reading(row["utilisation"], row["memory_used"], row["memory_total"]))
        now = self._clock()
        if now < self._due:
            return
        self._due = now + POINT_EVERY
        point, self._readings = {name: _mean(found) for name, found in self._readings.items()}, {}
        name = _name(host_name())
        known = self._known or _read_file(self._settings, name) or _empty()
        self._known = _with_point(known, now, point)
        try:
            write_atomic(self._settings.executor_dir / name, self._known.model_dump_json(), settle=False)
        except OSError as error:
            log.warning("The load of the last hour could not be written: %s", error)

    def _add(self, name: str, reading: Reading) -> None:
        self._readings.setdefault(name, []).append(reading)


def read(settings: Settings, now: float | None = None) -> LoadReply:
    """The last hour of each machine of this home that an executor ran on."""
    begin = (time.time() if now is None else now) - KEPT
    names = [name for name in run_paths.names_in(settings.home_path, settings.executor_dir.name) if _is_history(name)]
    found = [_since(history, begin) for name in names[:SHOWN_HOSTS] if (history := _read_file(settings, name))]
    return LoadReply(every=POINT_EVERY, hosts=[history for history in found if history.times])


def _name(host: str) -> str:
    return f"load-{host}.json"


def _is_history(name: str) -> bool:
    return name.startswith("load-") and name.endswith(".json")


def _read_file(settings: Settings, name: str) -> HostLoad | None:
    """A history; None where there is none, or none that can be read: it is begun anew."""
    try:
        found = HostLoad.model_validate(run_paths.read_json(settings.executor_dir, name))
    except (OSError, ValueError, ValidationError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("The history of load %s cannot be read, and is begun anew: %s", name, error)
        return None
    of = [found.machine, *found.devices]
    return found if all(len(one.load) == len(one.memory) == len(found.times) for one in of) else None


def _empty() -> HostLoad:
    return HostLoad(host=host_name(), cores=cores(), times=[], machine=_series("", 0), devices=[])


def _series(name: str, points: int) -> LoadSeries:
    return LoadSeries(name=name, load=[None] * points, memory=[None] * points, memory_total=None)


def _mean(readings: Sequence[Reading]) -> Reading:
    """The mean load, and the memory at the end."""
    loads = [reading.load for reading in readings if reading.load is not None]
    last = readings[-1]
    return Reading(round(sum(loads) / len(loads), 3) if loads else None, last.memory, last.memory_total)


def _with_point(history: HostLoad, now: float, point: dict[str, Reading]) -> HostLoad:
    """The history with one more point, and without what is older than an hour or of a device that is gone for long."""
    points = len(history.times)
    devices = {one.name: one for one in history.devices}
    new = [_series(name, points) for name in point if name and name not in devices]
    longer = [_longer(one, point.get(one.name)) for one in (history.machine, *devices.values(), *new)]
    whole = history.model_copy(
        update={"times": [*history.times, round(now, 1)], "machine": longer[0], "devices": longer[1:]}
    )
    cut = _since(whole, max(now - KEPT, 0.0))
    seen = [one for one in cut.devices if any(value is not None for value in (*one.load, *one.memory))]
    return cut.model_copy(update={"cores": cores(), "devices": seen[:MOST_GPUS]})


def _longer(series: LoadSeries, reading: Reading | None) -> LoadSeries:
    load, memory, total = reading or Reading(None, None, None)
    more = {"load": [*series.load, load], "memory": [*series.memory, memory]}
    return series.model_copy(update={**more, "memory_total": total or series.memory_total})


def _since(history: HostLoad, begin: float) -> HostLoad:
    """Of the points after a time the last `LOAD_POINTS`; a clock that was set back leaves no older point behind it."""
    kept = sum(time >= begin for time in history.times)
    first = len(history.times) - min(kept, LOAD_POINTS)

    def cut(series: LoadSeries) -> LoadSeries:
        return series.model_copy(update={"load": series.load[first:], "memory": series.memory[first:]})

    return history.model_copy(
        update={
            "times": history.times[first:],
            "machine": cut(history.machine),
            "devices": [cut(one) for one in history.devices],
        }
    )

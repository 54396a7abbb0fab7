"""The load of the last hour: a bounded file, which a later daemon goes on with and a damaged one does not stop."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from imgcls_lab.executor import load_history
from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.load_history import KEPT, POINT_EVERY, LoadHistory, Reading
from imgcls_lab.executor.nvml import Gpu
from imgcls_lab.identity import host_name
from imgcls_lab.schemas import HostLoad
from imgcls_lab.schemas.limits import LOAD_POINTS
from imgcls_lab.settings import Settings

CPU = Device("cpu:0", 0, "CPU", "cpu", "cpu-0")


def gpu(load: float | None, memory: int, name: str = "cuda:0") -> Device:
    return Device(name, 0, "GPU", "cuda", name, Gpu(0, name, "H100", 80, memory, load))


class Machine:
    """A machine whose clock and load a test sets."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.now, self.load = settings, 1000.0, 0.5
        settings.make_home()
        self.history = self.daemon()

    def daemon(self) -> LoadHistory:
        return LoadHistory(self.settings, lambda: Reading(self.load, 4, 16), lambda: self.now)

    def goes_on(self, seconds: float, *devices: Device, every: float = 3.0) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += every
            self.history.update(devices)

    @property
    def file(self) -> Path:
        return self.settings.executor_dir / f"load-{host_name()}.json"

    def read(self) -> HostLoad:
        (host,) = load_history.read(self.settings, self.now).hosts
        return host


@pytest.fixture
def machine(home: Path) -> Machine:
    return Machine(Settings(home=str(home)))


def test_a_point_is_the_mean_load_and_the_last_memory_of_its_seconds(machine: Machine) -> None:
    machine.goes_on(9, gpu(0.0, 10), CPU)
    assert load_history.read(machine.settings, machine.now).hosts == []
    machine.goes_on(6, gpu(1.0, 30), CPU)
    host = machine.read()
    assert (host.host, host.times, host.machine.load, host.machine.memory) == (host_name(), [1015.0], [0.5], [4])
    (device,) = host.devices  # a slot of the processor has no load of its own
    assert (device.name, device.load, device.memory, device.memory_total) == ("cuda:0", [0.4], [30], 80)
    assert machine.file.stat().st_mode & 0o777 == 0o600


def test_it_holds_an_hour_and_no_more(machine: Machine) -> None:
    machine.goes_on(2 * KEPT, gpu(0.5, 10), every=POINT_EVERY)
    host = machine.read()
    assert len(host.times) == len(host.machine.load) == len(host.devices[0].load) == LOAD_POINTS
    assert machine.now - host.times[0] <= KEPT
    size = machine.file.stat().st_size
    machine.goes_on(KEPT, gpu(0.5, 10), every=POINT_EVERY)
    assert abs(machine.file.stat().st_size - size) < 500  # times have a digit more


def test_a_later_daemon_goes_on_and_leaves_a_gap_in_time(machine: Machine) -> None:
    machine.goes_on(30, gpu(0.5, 10))
    machine.now += 600
    machine.history = machine.daemon()
    machine.goes_on(15, gpu(None, 20), gpu(0.1, 5, "cuda:1"))
    host = machine.read()
    assert host.times == [1015.0, 1030.0, 1645.0]
    by_name = {one.name: (one.load, one.memory) for one in host.devices}
    assert by_name == {
        "cuda:0": ([0.5, 0.5, None], [10, 10, 20]),
        "cuda:1": ([None, None, 0.1], [None, None, 5]),
    }


def test_a_device_that_is_gone_for_an_hour_is_forgotten(machine: Machine) -> None:
    machine.goes_on(60, gpu(0.5, 10))
    machine.goes_on(KEPT + 60, every=POINT_EVERY)
    assert machine.read().devices == []


def test_after_a_clock_that_was_set_back_it_stays_bounded(machine: Machine) -> None:
    machine.goes_on(KEPT, gpu(0.5, 10), every=POINT_EVERY)
    machine.now -= 100_000
    machine.history = machine.daemon()
    machine.goes_on(KEPT, gpu(0.5, 10), every=POINT_EVERY)
    assert len(json.loads(machine.file.read_text())["times"]) <= LOAD_POINTS


@pytest.mark.parametrize("text", ["", "{", '{"host": "x"}', "[1]", '{"times": [1, 2]}'])
def test_a_damaged_file_is_begun_anew(machine: Machine, text: str) -> None:
    machine.file.write_text(text)
    assert load_history.read(machine.settings, machine.now).hosts == []
    machine.goes_on(15, gpu(0.5, 10))
    assert machine.read().times == [1015.0]


def test_a_link_in_its_place_is_neither_read_nor_written_through(machine: Machine, tmp_path: Path) -> None:
    machine.goes_on(15)
    other = tmp_path / "other.json"
    machine.file.rename(other)
    before = other.read_text()
    os.symlink(other, machine.file)
    assert load_history.read(machine.settings, machine.now).hosts == []
    machine.goes_on(15)
    assert other.read_text() == before
    assert not machine.file.is_symlink()


def test_on_a_full_disk_the_daemon_goes_on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(load_history, "write_atomic", full)
        machine.goes_on(30, gpu(0.5, 10))
    assert not machine.file.exists()
    machine.goes_on(15, gpu(0.5, 10))
    assert machine.read().times == [1015.0, 1030.0, 1045.0], "what could not be written then is there now"


def test_a_cluster_has_no_history(home: Path) -> None:
    settings = Settings(home=str(home), backend="ray")
    machine = Machine(settings)
    machine.goes_on(60, gpu(0.5, 10))
    assert not machine.file.exists()


def test_the_machine_itself_is_read() -> None:
    reading = load_history.of_machine()
    assert reading.load is not None
    assert 0 <= reading.load <= 1
    assert reading.memory is not None
    assert reading.memory_total is not None
    assert 0 < reading.memory < reading.memory_total

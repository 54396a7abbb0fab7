"""Which devices a waiting run gets on this host, and what it is told when it gets none."""

from __future__ import annotations

import pytest

from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.scheduler import MAX_DRIVERS, Scheduler
from imgcls_lab.store import tables
from imgcls_lab.store.queue import Cluster
from imgcls_lab.store.tables import Run

HERE = "host-a"
GPUS = [Device(f"cuda:{n}", n, f"GPU {n} · H100", "cuda", f"GPU-{n}") for n in range(2)]
CPU = Device("cpu:0", 0, "CPU", "cpu", "cpu-0")


def wish(device: str = "auto", gpus: int = 1, host: str | None = None, project_id: int = 1) -> Run:
    return Run(requested_device=device, requested_gpus=gpus, requested_host=host, project_id=project_id)


def cluster(claims: dict[str, str], here=(*GPUS, CPU), elsewhere=()) -> Cluster:
    rows = [tables.Device(host=HERE, **device.row()) for device in here]
    rows += [tables.Device(host="host-b", **device.row()) for device in elsewhere]
    return Cluster({row.host for row in rows} | {HERE}, rows, {(HERE, name): by for name, by in claims.items()})


def placing(claims: dict[str, str], here=(*GPUS, CPU), drivers: int = 0, elsewhere=()) -> Scheduler:
    return Scheduler(cluster(claims, here, elsewhere), list(here), set(claims), drivers)


@pytest.mark.parametrize(
    ("run", "taken", "gets"),
    [
        (wish(), {}, ["cuda:0"]),
        (wish("cuda"), {"cuda:0": "“a”"}, ["cuda:1"]),
        (wish("cpu"), {"cuda:0": "“a”"}, ["cpu:0"]),
        (wish("h100"), {}, ["cuda:0"]),
        (wish("cuda", gpus=2), {}, ["cuda:0", "cuda:1"]),
        (wish("cpu", gpus=2), {}, ["cpu:0"]),
        (wish(), {"cuda:0": "“a”", "cuda:1": "“b”"}, "Waits for a GPU: “a” and 1 more are running."),
        (wish("cpu"), {"cpu:0": "“a”"}, "Waits for a CPU slot: “a” is running."),
        (wish(gpus=2), {"cuda:1": "“a”"}, "Waits for 2 GPUs of one host: 1 free, but “a” is running."),
        (wish(gpus=3), {}, "Waits for 3 GPUs of one host: this machine has only 2."),
        (wish("A100"), {}, "Waits for a GPU named “A100”: this machine has none. Set device to auto or cpu, or start "
                           "an executor on another machine."),
    ],
)  # fmt: skip
def test_a_run_gets_free_devices_or_a_reason(run: Run, taken: dict[str, str], gets: object):
    assert placing(taken)(run) == gets


def test_without_a_gpu_anywhere_auto_means_a_cpu_slot():
    assert placing({}, here=[CPU])(wish()) == ["cpu:0"]
    assert "this machine has none" in placing({}, here=[CPU])(wish("cuda"))


def test_auto_leaves_a_run_to_the_host_that_has_a_gpu():
    assert placing({}, here=[CPU], elsewhere=GPUS)(wish()) is None


def test_a_run_of_two_gpus_is_not_starved_by_runs_of_one():
    place = placing({"cuda:1": "“a”"})
    assert isinstance(place(wish(gpus=2)), str)
    assert not isinstance(place(wish("cuda")), list), "the GPU that is free is kept for the one before it"
    assert place(wish("cpu")) == ["cpu:0"]


def test_a_run_without_a_device_needs_none_but_they_are_not_endless():
    assert placing({"cpu:0": "“a”"}, here=[CPU])(wish("none")) == []
    assert "start other runs" in placing({}, drivers=MAX_DRIVERS)(wish("none"))


def test_a_project_at_its_limit_waits_and_its_drivers_do_not():
    full = cluster({})
    full.full[1] = "Waits: the project “p” runs 1 run at once."
    place = Scheduler(full, [*GPUS, CPU], set(), 0)
    assert place(wish()) == full.full[1]
    assert place(wish(project_id=2)) == ["cuda:0"]
    assert place(wish("none")) == []

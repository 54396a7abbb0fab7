"""Which devices a waiting run gets on this host, and what it is told when it gets none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.scheduler import MAX_DRIVERS, Scheduler
from imgcls_lab.store import tables
from imgcls_lab.store.cluster import Cluster, ProjectLimit
from imgcls_lab.store.tables import Run

HERE = "host-a"
GPUS = [Device(f"cuda:{n}", n, f"GPU {n} · H100", "cuda", f"GPU-{n}") for n in range(2)]
CPU = Device("cpu:0", 0, "CPU", "cpu", "cpu-0")


def waiting(device: str = "auto", gpus: int = 1, host: str | None = None, project_id: int = 1, **fewer: int) -> Run:
    return Run(requested_device=device, requested_gpus=gpus, requested_host=host, project_id=project_id, **fewer)


def cluster(claims: dict[str, str], here=(*GPUS, CPU), elsewhere=()) -> Cluster:
    rows = [tables.Device(host=HERE, **device.row()) for device in here]
    rows += [tables.Device(host="host-b", **device.row()) for device in elsewhere]
    return Cluster({row.host for row in rows} | {HERE}, rows, {(HERE, name): by for name, by in claims.items()})


def scheduler(claims: dict[str, str], here=(*GPUS, CPU), drivers: int = 0, elsewhere=()) -> Scheduler:
    return Scheduler(cluster(claims, here, elsewhere), list(here), set(claims), drivers, host=HERE)


@pytest.mark.parametrize(
    ("run", "taken", "gets"),
    [
        (waiting(), {}, ["cuda:0"]),
        (waiting("cuda"), {"cuda:0": "“a”"}, ["cuda:1"]),
        (waiting("cpu"), {"cuda:0": "“a”"}, ["cpu:0"]),
        (waiting("h100"), {}, ["cuda:0"]),
        (waiting("cuda", gpus=2), {}, ["cuda:0", "cuda:1"]),
        (waiting("cpu", gpus=2), {}, ["cpu:0"]),
        (waiting("cuda", gpus=4, min_gpus=1), {}, ["cuda:0", "cuda:1"]),
        (waiting("cuda", gpus=4, min_gpus=1), {"cuda:0": "“a”"}, ["cuda:1"]),
        (waiting("cuda", gpus=4, min_gpus=1, requested_nodes=2), {"cuda:0": "“a”"},
         "Waits for 2 GPUs of one host: 1 free, but “a” is running."),
        (waiting(), {"cuda:0": "“a”", "cuda:1": "“b”"}, "Waits for a GPU: “a” and 1 more are running."),
        (waiting("cpu"), {"cpu:0": "“a”"}, "Waits for a CPU slot: “a” is running."),
        (waiting(gpus=2), {"cuda:1": "“a”"}, "Waits for 2 GPUs of one host: 1 free, but “a” is running."),
        (waiting(gpus=3), {}, "Waits for 3 GPUs of one host: this machine has only 2."),
        (waiting("A100"), {}, "Waits for a GPU named “A100”: this machine has none. Set device to auto or cpu, or "
                              "start an executor on another machine."),
    ],
)  # fmt: skip
def test_a_run_gets_free_devices_or_a_reason(run: Run, taken: dict[str, str], gets: object):
    assert scheduler(taken)(run) == gets


NODES = [Device(f"{node}/gpu:{n}", n, f"{node} · GPU {n}", "cuda", "") for node in ("a", "b") for n in range(4)]
CPU_NODES = [Device(f"{node}/cpu:0", 0, f"{node} · CPU slot 0", "cpu", "") for node in ("a", "b")]
FEWER = " To go on with fewer, stop it and resume it with min_processes."


@pytest.mark.parametrize(
    ("run", "nodes", "gets"),
    [
        (waiting(gpus=4, requested_nodes=2), NODES, ["a/gpu:0", "a/gpu:1", "a/gpu:2", "a/gpu:3"]),  # tokens
        (waiting(gpus=4, requested_nodes=2), NODES[:4],
         f"Waits for 2 nodes with 2 GPUs each: the cluster has 1 now.{FEWER}"),
        (waiting(gpus=4, min_gpus=2, requested_nodes=2), NODES[:4], ["a/gpu:0", "a/gpu:1"]),
        (waiting(gpus=8), NODES, "Waits for 8 GPUs of one node: no node has more than 4. Spread it over nodes by "
                                 "num_nodes, or lower num_processes."),
        (waiting(gpus=8, min_gpus=3), NODES, ["a/gpu:0", "a/gpu:1", "a/gpu:2", "a/gpu:3"]),
        (waiting(requested_nodes=2), CPU_NODES, ["a/cpu:0"]),
        (waiting(requested_nodes=2), CPU_NODES[:1], "Waits for 2 nodes: the cluster has 1 now."),
    ],
)  # fmt: skip
def test_a_run_of_a_cluster_gets_no_place_that_its_nodes_do_not_have(run: Run, nodes: list[Device], gets: object):
    """The cluster's own scheduler would keep such a job for ever, and the devices with it."""
    assert scheduler({}, here=nodes)(run) == gets


@pytest.mark.parametrize("here", [(*GPUS, CPU), NODES])
@pytest.mark.parametrize(
    ("gpus", "least", "nodes"), [(2**31 - 1, 1, 1), (2**31 - 1, -5, 2**31 - 1), (0, 0, 1), (-7, -9, -1), (2, -5, 0)]
)
def test_numbers_that_no_config_allows_cost_nothing_and_take_a_gpu(
    here: list[Device], gpus: int, least: int, nodes: int
):
    """Rows that another user of the database wrote: they neither fill the memory nor start without a device."""
    got = scheduler({}, here)(waiting("cuda", gpus=gpus, min_gpus=least, requested_nodes=nodes))
    assert isinstance(got, str) or 1 <= len(got) <= 8


def test_without_a_gpu_anywhere_auto_means_a_cpu_slot():
    assert scheduler({}, here=[CPU])(waiting()) == ["cpu:0"]
    assert "this machine has none" in scheduler({}, here=[CPU])(waiting("cuda"))


def test_auto_leaves_a_run_to_the_host_that_has_a_gpu():
    assert scheduler({}, here=[CPU], elsewhere=GPUS)(waiting()) is None


def test_a_run_of_two_gpus_is_not_starved_by_runs_of_one():
    schedule = scheduler({"cuda:1": "“a”"})
    assert isinstance(schedule(waiting(gpus=2)), str)
    assert not isinstance(schedule(waiting("cuda")), list), "the GPU that is free is kept for the one before it"
    assert schedule(waiting("cpu")) == ["cpu:0"]


def test_nothing_is_kept_for_a_run_that_lacks_what_another_program_holds():
    here = cluster({}, [GPUS[0], replace(GPUS[1], held_by="a notebook"), CPU])
    schedule = Scheduler(here, [*GPUS, CPU], {"cuda:1"}, 0, host=HERE)
    assert "1 free, but a notebook" in schedule(waiting("cuda", gpus=2))
    assert schedule(waiting("cuda")) == ["cuda:0"]


def test_a_run_without_a_device_needs_none_but_they_are_not_endless():
    assert scheduler({"cpu:0": "“a”"}, here=[CPU])(waiting("none")) == []
    assert "start other runs" in scheduler({}, drivers=MAX_DRIVERS)(waiting("none"))


def test_a_project_at_its_limit_waits_and_its_drivers_do_not():
    full = cluster({})
    full.limits[1] = ProjectLimit("p", limit=1, running=1)
    schedule = Scheduler(full, [*GPUS, CPU], set(), 0, host=HERE)
    assert schedule(waiting()) == "Waits: the project “p” runs 1 run at once."
    assert schedule(waiting(project_id=2)) == ["cuda:0"]
    assert schedule(waiting("none")) == []


def test_a_pass_counts_what_it_gives():
    limited = cluster({})
    limited.limits[1] = ProjectLimit("p", limit=1, running=0)
    schedule = Scheduler(limited, [*GPUS, CPU], set(), MAX_DRIVERS - 1, host=HERE)
    assert schedule(waiting()) == ["cuda:0"]
    assert "runs 1 run at once" in str(schedule(waiting()))
    assert schedule(waiting(project_id=2)) == ["cuda:1"]
    assert schedule(waiting("none")) == []
    assert "start other runs" in str(schedule(waiting("none")))
    assert schedule.has_free(), "the CPU"
    assert schedule(waiting("cpu", project_id=2)) == ["cpu:0"]
    assert not schedule.has_free()
    assert limited.limits[1].running == 0, "what the database says is not changed"


def test_many_holders_are_counted_and_not_named():
    many = [Device(f"cuda:{n}", n, "H100", "cuda", f"GPU-{n}") for n in range(20)]
    claims = {device.name: f"“{device.name}”" for device in many}
    assert scheduler(claims, here=many)(waiting()) == "Waits for a GPU: all 20 are in use."
    assert scheduler(dict([*claims.items()][:15]), here=many)(waiting(gpus=8)) == (
        "Waits for 8 GPUs of one host: 5 free, but the others of 20 are in use."
    )

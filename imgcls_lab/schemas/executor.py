"""Devices, who holds them, executors, and what a person should hear of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import LOAD_POINTS, MAX_ALERTS, AlertId


class HolderView(Wire):
    """A process that holds memory of a GPU. What cannot be seen from its host's executor is null."""

    pid: int
    name: str | None  # the program, or the module or script that a Python runs
    user: str | None
    memory: int | None
    since: float  # when it was first seen to hold it
    idle_since: float | None  # null: it computes
    run_id: str | None
    run_name: str | None
    notebook: str | None  # path, where it is a kernel of this Jupyter server


class DeviceView(Wire):
    name: str  # cuda:0, cpu:0
    title: str  # GPU 0 · H100
    kind: Literal["cuda", "cpu"]
    host: str
    memory_total: int | None
    memory_used: int | None
    utilisation: float | None  # 0..1
    run_id: str | None
    run_name: str | None
    run_owner: str | None  # user whose run it is
    held_by: str | None  # part of a sentence, where something else holds it, so that no run starts
    gpu_processes: list[HolderView]


class ExecutorView(Wire):
    id: str
    host: str
    home: str  # whose runs it starts, as RunView has it
    user: str  # whose home that is
    here: bool  # of the same home as who asks
    local: bool = False  # and on the same machine, so that it can be started and ended from there
    pid: int
    version: str
    state: Literal["alive", "silent", "suspended", "stopped"]  # suspended: SIGSTOP, it does nothing until SIGCONT
    started_at: float
    heartbeat_at: float


class NodeRun(Wire):
    """A run on a node of a cluster."""

    run_id: str
    run_name: str | None  # null: the run has been deleted
    run_owner: str | None


class NodeView(Wire):
    """A node of a cluster, as its scheduler describes it."""

    name: str
    gpus: int
    free_gpus: int  # that no job of anybody holds
    cpus: int
    kind: str  # of its GPUs; empty without
    alive: bool
    reason: str  # why it takes no jobs, where it does not
    runs: list[NodeRun]  # at most SHOWN_NODE_RUNS
    more_runs: int


class ClusterTotals(Wire):
    """All nodes of a cluster. GPUs and CPUs are those of the nodes that live."""

    alive: int
    down: int
    gpus: int
    free_gpus: int
    cpus: int


class ClusterView(Wire):
    """The cluster that runs of this home go to."""

    title: str  # Ray, Slurm
    host: str  # under which its devices and runs stand
    waiting: int  # jobs of anybody in the scheduler's own queue
    away: str | None  # a sentence, while the scheduler does not answer
    nodes: list[NodeView]  # at most SHOWN_NODES: those that are down first, then those with runs
    totals: ClusterTotals


class DevicesReply(Wire):
    executors: list[ExecutorView]
    devices: list[DeviceView]  # of machines, at most SHOWN_DEVICES; those of a cluster are counted at its nodes
    message: str | None  # a sentence, where no executor lives
    more_devices: int = 0
    cluster: ClusterView | None = None
    warm_start: bool = True  # runs are forked from a process with the imports done, by the server's settings
    warm_memory: int | None = None  # of that process on the server's host, if there is one


class LoadSeries(Wire):
    """Of a device, or of a machine: its processors and memory. null: not reported, or the executor did not run."""

    name: str  # of the device; empty for the machine
    load: list[float | None] = Field(max_length=LOAD_POINTS)  # 0..1, the mean until each time
    memory: list[int | None] = Field(max_length=LOAD_POINTS)
    memory_total: int | None


class HostLoad(Wire):
    """A machine over the last hour."""

    host: str
    cores: int
    times: list[float] = Field(max_length=LOAD_POINTS)
    machine: LoadSeries
    devices: list[LoadSeries]  # its GPUs


class LoadReply(Wire):
    every: float  # seconds between two points
    hosts: list[HostLoad]


AlertKind = Literal["finished", "failed", "lost", "stalled", "disk"]


class AlertView(Wire):
    """Something that a person should hear of once. The webhook gets this, too."""

    id: str
    kind: AlertKind
    text: str  # a sentence
    run_id: str | None
    host: str | None
    created_at: float
    sweep_id: str | None = None  # the sweep whose trial the run is
    sweep_name: str | None = None
    dismissed: bool = False  # the user who asks has put it away


class AlertIds(Wire):
    """Alerts that a user puts away, or takes back."""

    ids: list[AlertId] = Field(min_length=1, max_length=MAX_ALERTS)

"""How a process finds the others of its run. Called by `run.train` in each of them.

The processes were started by the launcher, which names the store where they meet, or by `torchrun`. Several nodes meet
in a store that the launcher of node 0 serves; the processes of one node meet in a file.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed
from torch._C._distributed_c10d import FileStore, Store

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.distributed.nodes import Rendezvous
from imgcls_lab.engine.distributed.process_group import ProcessGroup
from imgcls_lab.planning.processes import check_started

FOLDER = "IMGCLS_RANKS_FOLDER"  # of the launcher, for its processes
STORE = "store"  # in it: the file where the processes of one node meet
RENDEZVOUS = "IMGCLS_RANKS_RENDEZVOUS"  # where those of several nodes meet
ATTEMPT = "IMGCLS_RANKS_ATTEMPT"  # keeps those of an earlier attempt out
FAILURE_FILE = "failed-"  # in the folder, with its rank: the `failed` event of a process that writes none into the run
_TIMEOUT = timedelta(days=1)  # one process may scan a large data set while the others wait; the launcher sees the dead


def is_distributed() -> bool:
    """Whether this process was started as one of several, by the launcher or by `torchrun`."""
    return started_by_launcher() or (int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ)


def started_by_launcher() -> bool:
    """Whether the launcher started this process; it watches the process and reports how it ended."""
    return FOLDER in os.environ


def failure_file(rank: int) -> Path | None:
    """Where a process that writes no events leaves its `failed` event; None if the launcher did not start it."""
    return Path(os.environ[FOLDER]) / f"{FAILURE_FILE}{rank}" if started_by_launcher() else None


def place_of_process() -> ProcessGroup:
    """What the environment says of this process."""
    names = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
    rank, world_size, local_rank, local_world_size = (os.environ.get(name) for name in names)
    assert rank is not None and world_size is not None  # noqa: S101, PT018 - as `is_distributed` says
    return ProcessGroup(int(rank), int(world_size), int(local_rank or rank), int(local_world_size or world_size))


@contextlib.contextmanager
def join_group(config: TrainConfig, stop: threading.Event) -> Iterator[ProcessGroup]:
    """Meet the other processes. stop: set when the launcher says so.

    Raises ConfigError if `torchrun` started another number than the config allows.
    """
    if not is_distributed():
        yield ProcessGroup()
        return
    group = place_of_process()
    if config.num_processes > 1:
        check_started(config, group.world_size, config.num_processes)
    if started_by_launcher():
        threading.Thread(target=_listen_to_launcher, args=(stop,), daemon=True).start()
    store = _store(os.environ, group.world_size)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=store,
        rank=group.rank if store else -1,
        world_size=group.world_size if store else -1,
        timeout=_TIMEOUT,
    )
    try:
        yield group
    finally:
        distributed.destroy_process_group()


def _store(environment: Mapping[str, str], world_size: int) -> Store | None:
    """Where the processes meet; None: where `torchrun` says."""
    if FOLDER not in environment:
        return None
    if RENDEZVOUS in environment:
        meeting = Rendezvous.parse(environment[RENDEZVOUS])
        return meeting.connect(environment[ATTEMPT])
    return FileStore(os.path.join(environment[FOLDER], STORE), world_size)


def _listen_to_launcher(stop: threading.Event) -> None:
    """Standard input is a pipe from the launcher: a byte means stop, its end means that the launcher died."""
    while os.read(0, 1):
        stop.set()
    os._exit(1)

"""The processes of one run: the rank of this one, its part of each batch, and what the processes exchange.

A run of one process has `ProcessGroup()`, whose methods do nothing. Several processes are started by the launcher or
by `torchrun`, each with a GPU (NCCL) or some of the cores (gloo); each one calls `train` and makes the same steps.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from imgcls_lab.engine.checkpointing.state_tree import flatten, unflatten
from imgcls_lab.engine.evaluation.metrics import MetricAccumulator
from imgcls_lab.errors import ConfigError, Problem

STORE = "IMGCLS_RANKS_STORE"  # the file by which processes started by the launcher find each other
FAILURE_FILE = "failed-"  # beside it, with its rank: the `failed` event of a process that writes none into the run
_TIMEOUT = timedelta(days=1)  # one process may scan a large data set while the others wait; a dead one is noticed

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those of its run. rank: 0 is the main process; world_size: how many processes there are."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes events, checkpoints and reports."""
        return self.rank == 0

    def shard(self, batch: Indices) -> Indices:
        """This process's images of a batch: consecutive ones, as many as the others have or one more."""
        return np.array_split(batch, self.world_size)[self.rank]

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in any process. All processes call it at the same place; no device waits."""
        if self.world_size == 1:
            return list(flags)
        flags_of_all = torch.tensor(flags or (False,), dtype=torch.uint8)
        distributed.all_reduce(flags_of_all, distributed.ReduceOp.MAX)
        return [bool(flag) for flag in flags_of_all]

    def shard_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """This process's rows of a batch, as `shard` chooses them."""
        return rows if self.world_size == 1 else rows[torch.from_numpy(self.shard(np.arange(len(rows))))]

    def gather_rows(self, own: torch.Tensor, total: int) -> torch.Tensor:
        """The rows of all processes, `total` in all, in their order; only the own ones carry a gradient."""
        if self.world_size == 1:
            return own
        lengths = [len(part) for part in np.array_split(np.arange(total), self.world_size)]
        padded = own.new_zeros(max(lengths), *own.shape[1:])
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(parts, padded)
        rows = [part[:length] for part, length in zip(parts, lengths, strict=True)]
        rows[self.rank] = own
        return torch.cat(rows)

    def gather_to_main(self, own: torch.Tensor, total: int) -> torch.Tensor | None:
        """The rows of all processes, on the CPU and `total` in all, in their order; None in all but the main one."""
        if self.world_size == 1:
            return own
        lengths = [len(part) for part in np.array_split(np.arange(total), self.world_size)]
        padded = own.new_zeros(max(lengths), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in lengths] if self.is_main else None
        distributed.gather(padded, parts, 0)
        if parts is None:
            return None
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def all_gather(self, tree: dict[str, Any]) -> list[dict[str, Any]]:
        """What every process passes, by rank: nested dicts and lists of numbers, texts and CPU tensors. No pickle."""
        if self.world_size == 1:
            return [tree]
        shape, tensors = flatten(tree)
        data = safetensors.torch.save({**tensors, "_": torch.zeros(1)}, {"tree": json.dumps(shape)})
        own = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world_size)]
        distributed.all_gather(sizes, torch.tensor([len(own)]))
        padded = torch.zeros(int(max(sizes)), dtype=torch.uint8)
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return [_parse(part[: int(size)].numpy().tobytes()) for part, size in zip(parts, sizes, strict=True)]

    def merge_metrics(self, metrics: MetricAccumulator, *, complete: bool) -> MetricAccumulator | None:
        """The metrics over the parts of a split of all processes; None if one of them did not complete its part."""
        if self.any(not complete)[0]:
            return None
        if self.world_size == 1:
            return metrics
        first, *others = map(MetricAccumulator.from_state, self.all_gather(metrics.state_dict()))
        for other in others:
            first.merge(other)
        return first

    def sync_gradients(self, wrapped_model: nn.Module, *, now: bool) -> AbstractContextManager[Any]:
        """Around a backward pass: whether the processes add up their gradients now, or at a later batch of the step."""
        if self.world_size == 1 or now:
            return contextlib.nullcontext()
        context: AbstractContextManager[Any] = wrapped_model.no_sync()  # type: ignore[operator]
        return context

    def main_first(self) -> Iterator[None]:
        """The body of a `for` runs once in each process: first in the main one alone, then in the others."""
        for main in (True, False):
            if main == self.is_main:
                yield
            self.any()

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the values of the main one, in place."""
        if self.world_size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def device(self, device: torch.device) -> torch.device:
        """This process's own GPU, where GPUs are used. Raises ConfigError if there are too few."""
        if device.type != "cuda" or self.world_size == 1:
            return device
        local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        if local_rank >= torch.cuda.device_count():
            found = torch.cuda.device_count()
            text = f"{self.world_size} processes need as many GPUs, and {found} can be used here. Lower num_processes."
            raise ConfigError(text, [Problem("num_processes", text)])
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)

    def wrap(self, compiled: nn.Module, model: nn.Module, shape: tuple[int, int], device: torch.device) -> nn.Module:
        """The model, its gradients averaged over the processes at each backward pass.

        compiled: the model or its compiled form; shape: height and width of images. Two passes run first: one finds the
        weights that take no part, which must not be waited for; after the other the buckets of gradients are final, so
        that a resumed run adds up in the same order.
        """
        if self.world_size == 1:
            return compiled
        self._try(model, shape, device)
        for weight in model.parameters():
            weight.requires_grad_(weight.requires_grad and weight.grad is not None)
            weight.grad = None
        wrapped = DistributedDataParallel(compiled, device_ids=[device] if device.type == "cuda" else None)
        self._try(wrapped, shape, device)
        wrapped.zero_grad(set_to_none=True)
        return wrapped

    def _try(self, model: nn.Module, shape: tuple[int, int], device: torch.device) -> None:
        model.eval()  # no statistics, no dropout
        model(pixel_values=torch.zeros(2, 3, *shape, device=device)).logits.sum().backward()


def _parse(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    shape = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["tree"])
    tree: dict[str, Any] = unflatten(shape, safetensors.torch.load(data))
    return tree


def is_distributed() -> bool:
    """Whether this process was started as one of several, by the launcher or by `torchrun`."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def started_by_launcher() -> bool:
    """Whether the launcher started this process; it watches the process and reports how it ended."""
    return is_distributed() and STORE in os.environ


def failure_file(rank: int) -> Path | None:
    """Where a process that writes no events leaves its `failed` event; None if the launcher did not start it."""
    return Path(os.environ[STORE]).with_name(f"{FAILURE_FILE}{rank}") if started_by_launcher() else None


@contextlib.contextmanager
def join_group(processes: int, stop: threading.Event) -> Iterator[ProcessGroup]:
    """Meet the other processes. stop: set when the launcher says so.

    Raises ConfigError if `torchrun` started another number than the config's.
    """
    if not is_distributed():
        yield ProcessGroup()
        return
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if processes not in (1, world_size):
        text = (
            f"This config has {processes} processes and {world_size} were started. Set num_processes to {world_size}."
        )
        raise ConfigError(text, [Problem("num_processes", text)])
    store = os.environ.get(STORE)
    if store:
        threading.Thread(target=_listen_to_launcher, args=(stop,), daemon=True).start()
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if Path("/sys/class/net/lo").exists() else "lo0")
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=distributed.FileStore(store, world_size) if store else None,  # type: ignore[attr-defined]
        rank=rank if store else -1,
        world_size=world_size if store else -1,
        timeout=_TIMEOUT,
    )
    try:
        yield ProcessGroup(rank, world_size)
    finally:
        distributed.destroy_process_group()


def _listen_to_launcher(stop: threading.Event) -> None:
    """Standard input is a pipe from the launcher: a byte means stop, its end means that the launcher died."""
    while os.read(0, 1):
        stop.set()
    os._exit(1)

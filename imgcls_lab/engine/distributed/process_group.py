"""The processes of one run: who this one is, what part of the work is its own, and what they tell each other.

A run of one process has `Ranks()`, for which everything here does nothing. Several are started by `launch` or by
`torchrun`, a GPU (NCCL) or a share of the cores (gloo) each; each one is in `train` and makes the same steps.
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
from imgcls_lab.engine.evaluation.metrics import Counts
from imgcls_lab.errors import ConfigError, Problem

STORE = "IMGCLS_RANKS_STORE"  # the file by which processes started by `launch` find each other
LAST_WORDS = "failed-"  # beside it, with its rank: the `failed` event of one that writes none into the run
_PATIENCE = timedelta(days=1)  # one process may scan a large data set while the others wait; a dead one is noticed

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ranks:
    """This process among those of its run. rank: 0 writes; count: how many there are."""

    rank: int = 0
    count: int = 1

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes events, checkpoints and records."""
        return self.rank == 0

    def share(self, batch: Indices) -> Indices:
        """This process's images of a batch: a run of them, as long as the others' or one longer."""
        return np.array_split(batch, self.count)[self.rank]

    def any(self, *flags: bool) -> list[bool]:
        """Each flag: whether it is set in any process. All must ask at the same place; no device is waited for."""
        if self.count == 1:
            return list(flags)
        asked = torch.tensor(flags or (False,), dtype=torch.uint8)
        distributed.all_reduce(asked, distributed.ReduceOp.MAX)
        return [bool(flag) for flag in asked]

    def cut(self, rows: torch.Tensor) -> torch.Tensor:
        """This process's share of a batch's rows."""
        return rows if self.count == 1 else rows[torch.from_numpy(self.share(np.arange(len(rows))))]

    def joined(self, own: torch.Tensor, total: int) -> torch.Tensor:
        """The rows of all shares of `total` rows in their order; only the own ones carry a gradient."""
        if self.count == 1:
            return own
        lengths = [len(part) for part in np.array_split(np.arange(total), self.count)]
        padded = own.new_zeros(max(lengths), *own.shape[1:])
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(parts, padded)
        rows = [part[:length] for part, length in zip(parts, lengths, strict=True)]
        rows[self.rank] = own
        return torch.cat(rows)

    def exchange(self, tree: dict[str, Any]) -> list[dict[str, Any]]:
        """What every process gives, by rank: nested dicts and lists of numbers, texts and CPU tensors. No pickle."""
        if self.count == 1:
            return [tree]
        shape, tensors = flatten(tree)
        data = safetensors.torch.save({**tensors, "_": torch.zeros(1)}, {"tree": json.dumps(shape)})
        own = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        distributed.all_gather(sizes, torch.tensor([len(own)]))
        padded = torch.zeros(int(max(sizes)), dtype=torch.uint8)
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return [_parse(part[: int(size)].numpy().tobytes()) for part, size in zip(parts, sizes, strict=True)]

    def merged(self, counts: Counts | None) -> Counts | None:
        """What all processes counted of their parts of a split; None if one of them was stopped."""
        if self.any(counts is None)[0] or counts is None:
            return None
        if self.count == 1:
            return counts
        first, *others = map(Counts.from_tree, self.exchange(counts.to_tree()))
        for other in others:
            first.merge(other)
        return first

    def exchanging(self, net: nn.Module, *, now: bool) -> AbstractContextManager[Any]:
        """Around a backward pass: whether the processes add up their gradients now, or at a later batch of the step."""
        return contextlib.nullcontext() if self.count == 1 or now else net.no_sync()  # type: ignore[operator]

    def turns(self) -> Iterator[None]:
        """Once round for each process: the writing one first, alone, then the others."""
        for first in (True, False):
            if first == self.writes:
                yield
            self.any()

    def spread(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the writing one's values, in place."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def device(self, device: torch.device) -> torch.device:
        """This process's own GPU, where GPUs are used. Raises ConfigError if there are too few."""
        if device.type != "cuda" or self.count == 1:
            return device
        here = int(os.environ.get("LOCAL_RANK", self.rank))
        if here >= torch.cuda.device_count():
            found = torch.cuda.device_count()
            text = f"{self.count} processes need as many GPUs, and {found} can be used here. Lower num_processes."
            raise ConfigError(text, [Problem("num_processes", text)])
        torch.cuda.set_device(here)
        return torch.device("cuda", here)

    def wrap(self, net: nn.Module, model: nn.Module, shape: tuple[int, int], device: torch.device) -> nn.Module:
        """The net, its gradients averaged over the processes at each backward pass. shape: height and width of images.

        Two passes are tried first: one finds the weights that take no part, which must not be waited for; after the
        other the buckets of gradients are final, so that a resumed run adds up in the same order.
        """
        if self.count == 1:
            return net
        self._try(model, shape, device)
        for weight in model.parameters():
            weight.requires_grad_(weight.requires_grad and weight.grad is not None)
            weight.grad = None
        wrapped = DistributedDataParallel(net, device_ids=[device] if device.type == "cuda" else None)
        self._try(wrapped, shape, device)
        wrapped.zero_grad(set_to_none=True)
        return wrapped

    def _try(self, net: nn.Module, shape: tuple[int, int], device: torch.device) -> None:
        net.eval()  # no statistics, no dropout
        net(pixel_values=torch.zeros(2, 3, *shape, device=device)).logits.sum().backward()


def _parse(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    shape = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["tree"])
    tree: dict[str, Any] = unflatten(shape, safetensors.torch.load(data))
    return tree


def started_as_one() -> bool:
    """Whether this process was started as one of several, by `launch` or `torchrun`."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def launched() -> bool:
    """Whether `launch` started it, and so watches it and says how it ended."""
    return started_as_one() and STORE in os.environ


def last_words(rank: int) -> Path | None:
    """Where a process that writes no events leaves the one by which it failed; None if `launch` did not start it."""
    return Path(os.environ[STORE]).with_name(f"{LAST_WORDS}{rank}") if launched() else None


@contextlib.contextmanager
def joining(processes: int, stop: threading.Event) -> Iterator[Ranks]:
    """Meet the other processes. stop: set when `launch` says so.

    Raises ConfigError if `torchrun` started another number than the config's.
    """
    if not started_as_one():
        yield Ranks()
        return
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if processes not in (1, count):
        text = f"The config says {processes} processes and {count} were started. Set processes to {count}, or to 1."
        raise ConfigError(text, [Problem("num_processes", text)])
    store = os.environ.get(STORE)
    if store:
        threading.Thread(target=_hear_launcher, args=(stop,), daemon=True).start()
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if Path("/sys/class/net/lo").exists() else "lo0")
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=distributed.FileStore(store, count) if store else None,  # type: ignore[attr-defined]
        rank=rank if store else -1,
        world_size=count if store else -1,
        timeout=_PATIENCE,
    )
    try:
        yield Ranks(rank, count)
    finally:
        distributed.destroy_process_group()


def _hear_launcher(stop: threading.Event) -> None:
    """Standard input is a pipe from the launcher: a byte means stop, its end that the launcher died, however it did."""
    while os.read(0, 1):
        stop.set()
    os._exit(1)

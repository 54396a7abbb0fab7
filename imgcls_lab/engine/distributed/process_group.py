"""The processes of one run: the rank of this one, its part of each batch, and what the processes exchange.

Made by `join`. A run of one process has `ProcessGroup()`, whose methods do nothing. Several processes have a GPU each
(NCCL) or some of the cores (gloo); each one calls `train` and makes the same steps.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
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

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those of its run. rank: 0 is the main process; world_size: how many processes there are.

    local_rank, local_world_size: the same among the processes of this node.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes events, checkpoints and reports."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        """On how many machines the processes run, as many on each."""
        return self.world_size // self.local_world_size

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
        """The body of a `for` runs once in each process: in the main one alone, then in the first of each other node.

        Then it runs in all others, which find on their node's disk what the first has left there.
        """
        own_turn = 0 if self.is_main else 1 if self.local_rank == 0 else 2
        for turn in (0, 1, 2) if self.nodes > 1 else (0, 2):
            if turn == own_turn:
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
        if self.local_rank >= torch.cuda.device_count():
            found = torch.cuda.device_count()
            text = (
                f"{self.local_world_size} processes need as many GPUs, and {found} can be used here. "
                "Lower num_processes."
            )
            raise ConfigError(text, [Problem("num_processes", text)])
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

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

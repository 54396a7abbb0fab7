"""Batches on their way to a GPU while the step before is computed. Called by the pixel feed and by evaluation.

A batch is put into pinned memory and copied on a stream of its own; the computing stream waits for that copy alone and
the program for nothing. On a CPU there is no way to go, and batches pass as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import torch

DEPTH = 2  # batches that are on their way; each holds its bytes on the device


class Lane(Protocol):
    """The way to a device."""

    def send(self, batch: torch.Tensor, /) -> Any:
        """Begin to copy a batch, and return without waiting. What it returns holds all that the copy needs."""

    def receive(self, sent: Any, /) -> torch.Tensor:
        """The batch on the device, safe to use by what is computed from now on."""


class CudaLane:
    """A stream of copies beside the stream that computes. Not run on a GPU yet."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.cuda.Event]:
        pinned = batch.pin_memory()
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream):
            there = pinned.to(self._device, non_blocking=True)
            copied.record(self._stream)
        return pinned, there, copied  # the pinned bytes stay until the copy is over

    def receive(self, sent: tuple[torch.Tensor, torch.Tensor, torch.cuda.Event]) -> torch.Tensor:
        _, there, copied = sent
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(copied)
        # it was allocated on the copies' stream: without this its memory would be taken for the next batch while the
        # step still reads it
        there.record_stream(computing)
        return there


def sent_ahead(
    batches: Iterator[torch.Tensor], device: torch.device, lane: Lane | None = None
) -> Iterator[torch.Tensor]:
    """The batches in their order, on the device.

    batches: on the CPU, or on the device already, as those of a cache that lies there; those pass as they are.
    lane: how they get there; by default what suits the device.
    """
    if lane is None:
        if device.type != "cuda":
            return batches
        lane = CudaLane(device)
    return _through(batches, device, lane)


def _through(batches: Iterator[torch.Tensor], device: torch.device, lane: Lane) -> Iterator[torch.Tensor]:
    waiting: deque[Any] = deque()
    for batch in batches:
        if batch.device.type == device.type != "cpu":
            yield batch
            continue
        waiting.append(lane.send(batch))
        if len(waiting) == DEPTH:
            yield lane.receive(waiting.popleft())
    while waiting:
        yield lane.receive(waiting.popleft())

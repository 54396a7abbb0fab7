"""Batches are copied to a GPU while the step before is computed. Used by the inputs of training and by evaluation.

A batch is put into pinned memory and copied on a stream of its own; the computing stream waits for that copy
alone, and the program waits for nothing. On a CPU batches pass as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import torch

DEPTH = 2  # batches that are being copied; each holds its bytes on the device


class Copier(Protocol):
    """Copies batches to a device."""

    def start(self, batch: torch.Tensor, /) -> Any:
        """Begin to copy a batch, and return without waiting. What it returns holds all that the copy needs."""

    def finish(self, started: Any, /) -> torch.Tensor:
        """The batch on the device, safe to use by what is computed from now on."""


class CudaCopier:
    """A stream of copies beside the stream that computes. Not run on a GPU yet."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def start(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.cuda.Event]:
        pinned = batch.pin_memory()
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream):
            copy = pinned.to(self._device, non_blocking=True)
            copied.record(self._stream)
        return pinned, copy, copied  # the pinned bytes stay until the copy is over

    def finish(self, started: tuple[torch.Tensor, torch.Tensor, torch.cuda.Event]) -> torch.Tensor:
        _, copy, copied = started
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(copied)
        # it was allocated on the copies' stream: without this its memory would be taken for the next batch while the
        # step still reads it
        copy.record_stream(computing)
        return copy


def prefetch(
    batches: Iterator[torch.Tensor], device: torch.device, copier: Copier | None = None
) -> Iterator[torch.Tensor]:
    """The batches in their order, on the device.

    batches: on the CPU, or on the device already, as those of a cache that lies there; those pass as they are.
    copier: how they are copied; by default what suits the device.
    """
    if copier is None:
        if device.type != "cuda":
            return batches
        copier = CudaCopier(device)
    return _copied(batches, device, copier)


def _copied(batches: Iterator[torch.Tensor], device: torch.device, copier: Copier) -> Iterator[torch.Tensor]:
    waiting: deque[Any] = deque()
    for batch in batches:
        if batch.device.type == device.type != "cpu":
            yield batch
            continue
        waiting.append(copier.start(batch))
        if len(waiting) == DEPTH:
            yield copier.finish(waiting.popleft())
    while waiting:
        yield copier.finish(waiting.popleft())

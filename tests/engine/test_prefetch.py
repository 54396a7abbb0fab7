"""Batches on their way to a device. No GPU here: a copier whose copies are only done when they are waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from imgcls_lab.engine.data.prefetch import DEPTH, CudaCopier, prefetch

DEVICE = torch.device("meta")  # any that is not the CPU


class SlowCopier:
    """Copies nothing before it is asked for the batch, as a GPU's stream may."""

    def __init__(self) -> None:
        self.in_flight: list[torch.Tensor] = []
        self.most = 0

    def start(self, batch: torch.Tensor) -> torch.Tensor:
        self.in_flight.append(batch)
        self.most = max(self.most, len(self.in_flight))
        return batch

    def finish(self, started: Any) -> torch.Tensor:
        (first, *self.in_flight) = self.in_flight
        assert first is started
        return first.clone()


def loaded(count: int, log: list[int]) -> Iterator[torch.Tensor]:
    for number in range(count):
        log.append(number)
        yield torch.full((2, 3), number, dtype=torch.uint8)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_every_batch_arrives_once_and_in_order(count: int) -> None:
    arrived = [int(batch[0, 0]) for batch in prefetch(loaded(count, []), DEVICE, SlowCopier())]
    assert arrived == list(range(count))


def test_the_next_batch_is_on_its_way_when_one_is_handed_out_and_no_more_than_that() -> None:
    log: list[int] = []
    copier = SlowCopier()
    batches = prefetch(loaded(6, log), DEVICE, copier)
    next(batches)
    assert log == list(range(DEPTH))
    assert len(copier.in_flight) == DEPTH - 1
    list(batches)
    assert copier.most == DEPTH


def test_what_lies_on_the_device_goes_no_way() -> None:
    there = [torch.empty(2, device=DEVICE) for _ in range(3)]
    copier = SlowCopier()
    assert all(a is b for a, b in zip(prefetch(iter(there), DEVICE, copier), there, strict=True))
    assert copier.most == 0


def test_on_a_cpu_batches_pass_as_they_are() -> None:
    batches = iter([torch.zeros(1)])
    assert prefetch(batches, torch.device("cpu")) is batches


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_sees_the_bytes_that_were_sent() -> None:
    device = torch.device("cuda")
    sent = [torch.randint(0, 256, (64, 64, 64, 3), dtype=torch.uint8) for _ in range(20)]
    sums = [batch.sum() for batch in prefetch(iter(sent), device, CudaCopier(device))]
    assert [int(value) for value in sums] == [int(batch.sum()) for batch in sent]

"""A hash of the weights that a run trains, which it writes into its events: two runs that agree in it are equal.

Called by the loop after each step; `proofs` compares. It is computed where the weights are, and reads them twice: as a
table of 64 bit words, 1,024 in a row, whose columns and rows are summed up modulo 2**64. The sums are hashed. Whatever
changes in at most three words is found for certain; a larger change escapes only if its parts cancel each other in
every row and every column, which rounding does not do. It protects from no one who wants to deceive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import nn

from imgcls_lab.engine.training.state import TrainState
from imgcls_lab.events import WeightsHashed

HASH_EVERY = 20  # steps; an optimizer reads the weights several times in each
_FIRST = frozenset({1, 2, 5, 10})  # steps that are hashed besides: most differences begin with a run
_ROW = 1024  # words
_WORD = 8  # bytes
_SMALL = 64 * 1024  # bytes; smaller tensors are hashed as they are, all at once


class HashedSteps:
    """Writes the hash of the weights now and then. every: steps; last: a step that is hashed besides."""

    def __init__(self, every: int = HASH_EVERY, last: int = 0) -> None:
        self._every = every
        self._last = last

    def before_step(self, run: TrainState, /) -> None:
        """Of all weights before the first step, the frozen ones included."""
        if run.progress.step == 0 and run.group.is_main:
            run.recorder.emit(WeightsHashed(step=0, hash=tensors_hash(run.models.model.state_dict())))

    def after_step(self, run: TrainState, /) -> None:
        step = run.progress.step
        if (is_hashed(step, self._every) or step == self._last) and run.group.is_main:
            run.recorder.emit(WeightsHashed(step=step, hash=weights_hash(run.models.model)))


def is_hashed(step: int, every: int = HASH_EVERY) -> bool:
    """Whether a run hashes its weights behind a step."""
    return step % every == 0 or step in _FIRST


def weights_hash(model: nn.Module) -> str:
    """Of the weights that are trained, and of the buffers beside them; the same in each memory format."""
    return tensors_hash(dict(_trained(model)))


@torch.no_grad()
def tensors_hash(tensors: dict[str, torch.Tensor]) -> str:
    """Of names, forms and bits."""
    small: list[torch.Tensor] = []
    sums: list[torch.Tensor] = []
    names = []
    for name, tensor in tensors.items():
        names.append(f"{name} {tuple(tensor.shape)} {tensor.dtype}")
        _sum(tensor.detach().contiguous().reshape(-1).view(torch.uint8), small, sums)
    digest = hashlib.blake2b("\n".join(names).encode(), digest_size=16)
    for parts in (small, sums):
        if parts:
            digest.update(torch.cat(parts).cpu().numpy().tobytes())
    return digest.hexdigest()


def _trained(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for prefix, module in model.named_modules():
        own = [(name, weight) for name, weight in module.named_parameters(recurse=False) if weight.requires_grad]
        kept = module.named_buffers(recurse=False) if own else ()
        for name, tensor in (*own, *kept):
            yield f"{prefix}.{name}", tensor


def _sum(content: torch.Tensor, small: list[torch.Tensor], sums: list[torch.Tensor]) -> None:
    """Add the sums of some bytes, shape (n,), and those bytes that fill no row."""
    rows = 0 if len(content) < _SMALL else len(content) // (_ROW * _WORD)
    whole = content[: rows * _ROW * _WORD]
    if rows:
        if whole.storage_offset() % _WORD:
            whole = whole.clone()
        table = whole.view(torch.int64).view(rows, _ROW)
        sums += [table.sum(0), table.sum(1)]
    small.append(content[len(whole) :])

"""What of a process changes the bits of a training besides its config: as torch has it itself, while a run trains.

Called by `guard`. In a process of the queue nobody has touched it; the kernel of a notebook may have been set to other
arithmetic for other work, and `lab.train` there is to give the same run.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.backends import cuda, cudnn, mkldnn


class _Switch(NamedTuple):
    """One setting of this process. own: what is as torch ships it; the first of these is set where it is not."""

    read: Callable[[], Any]
    write: Callable[[Any], object]
    own: tuple[Any, ...]


def _of(holder: Any, name: str, *own: Any) -> _Switch:
    return _Switch(lambda: getattr(holder, name), lambda value: setattr(holder, name, value), own)


def _flushes_denormals() -> bool:
    """Whether this thread takes numbers near zero for zero, as some libraries make it do when they are loaded."""
    return not float(torch.tensor(1e-40) * 0.5)


_EXACT = ("none", "ieee")  # float32 products from float32, not from bf16 or tf32
_SWITCHES = [
    _Switch(torch.get_default_dtype, torch.set_default_dtype, (torch.float32,)),
    _Switch(_flushes_denormals, torch.set_flush_denormal, (False,)),
    _of(mkldnn, "enabled", True),
    _of(getattr(mkldnn, "matmul"), "fp32_precision", *_EXACT),  # noqa: B009 - torch does not declare them
    _of(getattr(mkldnn, "conv"), "fp32_precision", *_EXACT),  # noqa: B009
    _of(cuda.matmul, "fp32_precision", *_EXACT),
    _of(cudnn, "benchmark", False),  # picks kernels by a clock
    *(
        # not by a `torch.autocast(enabled=False)` around: autocast keeps the weights it has cast until the outermost
        # one ends, and a training inside would compute with those of its first step for ever
        _Switch(
            partial(torch.is_autocast_enabled, kind),
            partial(torch.set_autocast_enabled, kind),
            (False,),
        )
        for kind in ("cpu", "cuda")
    ),
    _Switch(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, (True,)),
]


@contextlib.contextmanager
def as_torch_ships() -> Iterator[None]:
    """Inside, this thread computes as that of a new process does; afterwards as before."""
    changed: list[tuple[_Switch, Any]] = []
    try:
        for switch in [*_SWITCHES, *_of_openmp()]:
            before = switch.read()
            if before not in switch.own:
                switch.write(switch.own[0])
                changed.append((switch, before))
        with torch.enable_grad():
            yield
    finally:
        for switch, before in reversed(changed):
            switch.write(before)


def _of_openmp() -> list[_Switch]:
    """OMP_DYNAMIC lets the library take fewer threads than it is told to while the machine is busy."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "omp_get_dynamic"):
        return []
    return [
        _Switch(lambda: bool(library.omp_get_dynamic()), lambda value: library.omp_set_dynamic(int(value)), (False,))
    ]

"""Settings of a process that change the bits of a training besides its config: torch's defaults, while a run trains.

Used by `attempt_context`. A process of the queue has the defaults; the kernel of a notebook may have been set to other
arithmetic for other work, and `lab.train` there must give the same run.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.backends import cuda, cudnn, mkldnn


class _Setting(NamedTuple):
    """One setting of this process. defaults: torch's own values; the first of these is set where another is found."""

    read: Callable[[], Any]
    write: Callable[[Any], object]
    defaults: tuple[Any, ...]


def _attribute(holder: Any, name: str, *defaults: Any) -> _Setting:
    return _Setting(lambda: getattr(holder, name), lambda value: setattr(holder, name, value), defaults)


def _flushes_denormals() -> bool:
    """Whether this thread takes numbers near zero for zero, as some libraries make it do when they are loaded."""
    return not float(torch.tensor(1e-40) * 0.5)


_EXACT = ("none", "ieee")  # float32 products from float32, not from bf16 or tf32
_SETTINGS = [
    _Setting(torch.get_default_dtype, torch.set_default_dtype, (torch.float32,)),
    _Setting(_flushes_denormals, torch.set_flush_denormal, (False,)),
    _attribute(mkldnn, "enabled", True),
    _attribute(getattr(mkldnn, "matmul"), "fp32_precision", *_EXACT),  # noqa: B009 - torch does not declare them
    _attribute(getattr(mkldnn, "conv"), "fp32_precision", *_EXACT),  # noqa: B009
    _attribute(cuda.matmul, "fp32_precision", *_EXACT),
    _attribute(cudnn, "benchmark", False),  # picks kernels by a clock
    *(
        # not by a `torch.autocast(enabled=False)` around: autocast keeps the weights it has cast until the outermost
        # one ends, and a training inside would compute with those of its first step for ever
        _Setting(
            partial(torch.is_autocast_enabled, kind),
            partial(torch.set_autocast_enabled, kind),
            (False,),
        )
        for kind in ("cpu", "cuda")
    ),
    _Setting(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, (True,)),
]


@contextlib.contextmanager
def torch_defaults() -> Iterator[None]:
    """Inside, this thread computes as in a new process; afterwards as before."""
    changed: list[tuple[_Setting, Any]] = []
    try:
        for setting in [*_SETTINGS, *_openmp_settings()]:
            before = setting.read()
            if before not in setting.defaults:
                setting.write(setting.defaults[0])
                changed.append((setting, before))
        with torch.enable_grad():
            yield
    finally:
        for setting, before in reversed(changed):
            setting.write(before)


def _openmp_settings() -> list[_Setting]:
    """OMP_DYNAMIC lets the library use fewer threads than requested while the machine is busy."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "omp_get_dynamic"):
        return []
    return [
        _Setting(lambda: bool(library.omp_get_dynamic()), lambda value: library.omp_set_dynamic(int(value)), (False,))
    ]

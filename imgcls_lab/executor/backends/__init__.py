"""Where attempts run: processes of this host, or jobs of an outer scheduler. `of` makes that of the settings."""

from __future__ import annotations

from imgcls_lab.errors import ExecutorError
from imgcls_lab.executor.backends.base import Backend
from imgcls_lab.executor.backends.cluster import ClusterBackend
from imgcls_lab.executor.backends.launch import Argv, module_argv
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.backends.ray import RAY, RayScheduler
from imgcls_lab.executor.backends.slurm import SLURM, SlurmScheduler
from imgcls_lab.settings import LOCAL, Settings


def of(settings: Settings, argv: Argv = module_argv) -> Backend:
    """The backend of `IMGCLS_BACKEND`; argv: what it starts. Raises ExecutorError for an unknown one."""
    if settings.backend == LOCAL:
        return LocalBackend(settings, argv)
    if settings.backend == RAY:
        return ClusterBackend(settings, RayScheduler(settings), argv)
    if settings.backend == SLURM:
        return ClusterBackend(settings, SlurmScheduler(settings), argv)
    raise ExecutorError(f"IMGCLS_BACKEND is “{settings.backend}”. Set it to {LOCAL}, {RAY} or {SLURM}.")

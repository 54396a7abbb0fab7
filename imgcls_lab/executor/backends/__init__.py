"""Where attempts run: processes of this host, or jobs of an outer scheduler. `of` makes that of the settings."""

from __future__ import annotations

from collections.abc import Callable

from imgcls_lab.executor.backends.base import Backend
from imgcls_lab.executor.backends.cluster import ClusterBackend
from imgcls_lab.executor.backends.drivers import WithDriversHere
from imgcls_lab.executor.backends.job_scheduler import JobScheduler
from imgcls_lab.executor.backends.launch import Argv, module_argv
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.backends.mirrored import MirroredBackend
from imgcls_lab.executor.backends.ray import RAY, RayScheduler
from imgcls_lab.executor.backends.slurm import SLURM, SlurmScheduler
from imgcls_lab.settings import LOCAL, Settings

SCHEDULERS: dict[str, Callable[[Settings], JobScheduler]] = {RAY: RayScheduler, SLURM: SlurmScheduler}


def of(settings: Settings, argv: Argv = module_argv) -> Backend:
    """The backend of `IMGCLS_BACKEND`; argv: what it starts."""
    scheduler = scheduler_of(settings)
    if scheduler is None:
        return LocalBackend(settings, argv)
    cluster = (MirroredBackend if settings.store_url else ClusterBackend)(settings, scheduler, argv)
    return WithDriversHere(settings, cluster, argv)


def scheduler_of(settings: Settings) -> JobScheduler | None:
    """The outer scheduler of `IMGCLS_BACKEND`; None: runs are processes of this host."""
    return None if settings.backend == LOCAL else SCHEDULERS[settings.backend](settings)

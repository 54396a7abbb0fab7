"""Where attempts run: processes of this host, or jobs of an outer scheduler. `of` makes that of the settings."""

from __future__ import annotations

from imgcls_lab.errors import ExecutorError
from imgcls_lab.executor.backends.base import Backend
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.settings import LOCAL, Settings


def of(settings: Settings) -> Backend:
    """The backend of `IMGCLS_BACKEND`. Raises ExecutorError for an unknown one."""
    if settings.backend == LOCAL:
        return LocalBackend(settings)
    raise ExecutorError(f"IMGCLS_BACKEND is “{settings.backend}”. Set it to {LOCAL}, ray or slurm.")

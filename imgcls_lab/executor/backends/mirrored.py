"""Jobs of an outer scheduler whose nodes share no disk with the head: runs' folders travel by an object store.

All else is `ClusterBackend`. Silence of a node ends nothing here for a long time: its network may be away while its run
goes on. A verdict is read from the folder once all is there that the node has sent.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from imgcls_lab import run_layout, run_paths
from imgcls_lab.errors import ConfigError, ExecutorError, ObjectStoreError
from imgcls_lab.events import DesiredState, RunKind
from imgcls_lab.executor.backends.base import OwnerState, OwnerStatus
from imgcls_lab.executor.backends.cluster import ClusterBackend
from imgcls_lab.executor.backends.job_scheduler import Job, JobScheduler, JobState, job_id, run_of
from imgcls_lab.executor.backends.job_watch import EVERY
from imgcls_lab.executor.backends.launch import QUEUES_RUNS, Argv, module_argv
from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.mirror.head import HeadMirror, check_inside
from imgcls_lab.executor.node_folder import STORE_KEY
from imgcls_lab.identity import JobIdentity, Owner
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run

SILENCE = 3600.0  # seconds without news of a running job after which it is given up: nobody knows what it does


class MirroredBackend(ClusterBackend):
    def __init__(
        self, settings: Settings, scheduler: JobScheduler, argv: Argv = module_argv, *, every: float = EVERY
    ) -> None:
        """Raises ExecutorError for a store that cannot be opened."""
        try:
            self._mirror = HeadMirror(settings)
        except ObjectStoreError as error:
            raise ExecutorError(str(error), reason=error.reason) from error
        self._killed: set[str] = set()  # jobs that were ended by the scheduler since the store was away
        super().__init__(settings, scheduler, argv, every=every)

    def start(self, run: Run, attempt: int, devices: Sequence[Device]) -> JobIdentity:
        """As the other; a run that needs the head's disk is refused. Raises OSError and ExecutorError."""
        try:
            check_inside(run.config)
        except ConfigError as error:
            raise ExecutorError(str(error), reason=error.reason) from error
        if RunKind(run.kind) in QUEUES_RUNS and "db_url" in self._settings.secrets():
            raise ExecutorError(
                "A notebook or a sweep gets the password of the database by a file of the home, which the nodes do not "
                "share. Write it into ~/.pgpass on the nodes and on this machine, and leave it out of IMGCLS_DB_URL.",
                reason="secret",
            )
        return super().start(run, attempt, devices)

    def _submit(self, run_id: str, attempt: int, job: Job) -> None:
        keyed = replace(job, environment={**job.environment, STORE_KEY: self._mirror.key(run_id)})
        self._mirror.hand_over(run_id, attempt, lambda: self._watch.submit(keyed))

    def status(self, owner: Owner, silent: float) -> OwnerStatus:
        """By the scheduler's answer and what the store has of the run."""
        found = run_of(owner.job) if isinstance(owner, JobIdentity) else None
        if found is None:
            return super().status(owner, silent)
        run_id, attempt = found
        if self._store_url(run_id, attempt) != self._settings.store_url:  # it began before the setting was changed
            return super().status(owner, silent)
        problem = self._mirror.sync(run_id, attempt, silent=silent >= self._settings.lease)
        if not self._mirror.is_handed_over(run_id, attempt):
            return OwnerStatus(OwnerState.WAITING, problem or "Its folder is sent to the object store.")
        job = job_id(run_id, attempt)
        if problem is not None and job not in self._killed and self._is_to_be_killed(run_id):
            self._killed.add(job)  # the node may never hear of it by the store
            self._watch.cancel(job, 0)
        if self._watch.status(job).state in (JobState.ENDED, JobState.MISSING):
            ended_at = time.monotonic() - self._seconds(job, "ended")
            if not self._mirror.has_all(run_id, attempt, ended_at):
                return OwnerStatus(OwnerState.UNKNOWN, problem)
        status = super().status(owner, silent)
        if status.state is not OwnerState.RUNNING or silent < self._settings.lease:
            return status if problem is None or status.reason else OwnerStatus(status.state, problem)
        if silent > SILENCE:
            return status
        text = f"Its node has sent nothing for {silent / 60:.0f} minutes; its job runs, and what it writes comes later."
        return OwnerStatus(OwnerState.UNKNOWN, problem or text)

    def _is_to_be_killed(self, run_id: str) -> bool:
        try:
            text = run_paths.read_plain(self._settings.run_dir(run_id), run_layout.DESIRED)
        except OSError:
            return False
        return text.strip() == DesiredState.KILL.value.encode()

    def clear(self, run_id: str, attempt: int) -> list[str]:
        left = super().clear(run_id, attempt)
        if not left or not self._mirror.is_handed_over(run_id, attempt):
            self._mirror.forget(run_id, attempt)
            self._killed.discard(job_id(run_id, attempt))
        return left

    def close(self) -> None:
        self._mirror.close()
        super().close()

"""Long work of one server process: it goes on when the page that started it is closed, tells how far it is, and can be
cancelled. What a server that is killed had not finished leaves nothing behind: each kind of work sees to that.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from logging import Logger, LoggerAdapter
from typing import Any, Protocol

from imgcls_lab.errors import BusyError, ConflictError, ImgclsError, JobCancelledError, NotFoundError
from imgcls_lab.schemas import FreedSpace, JobKind, JobState, JobView, ProjectExport, ProjectImport
from imgcls_lab.server.pools import Work
from imgcls_lab.store import Store

MOST = 8  # that run and wait
KEPT = 20  # that have ended
Progress = Callable[[int, int], None]  # what is done, and all; raises JobCancelledError
Outcome = ProjectExport | ProjectImport | FreedSpace
Task = Callable[[Store, Progress], Outcome]


class Ask(Protocol):
    def __call__(self, query: Callable[[Store], Outcome], work: Work) -> Awaitable[Outcome]: ...


@dataclass
class _Job:
    id: str
    kind: JobKind
    subject: str
    started_at: float
    state: JobState = "waiting"
    done: int = 0
    total: int = 0
    message: str = ""
    ended_at: float | None = None
    outcome: Outcome | None = None
    cancelled: bool = False

    @property
    def lives(self) -> bool:
        return self.state in ("waiting", "running")

    def advance(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self.cancelled:
            raise JobCancelledError("It was cancelled. Nothing of it is left.")

    def view(self) -> JobView:
        found = self.outcome
        same = JobView.model_fields.keys() - {"exported", "imported", "freed"}
        return JobView(
            exported=found if isinstance(found, ProjectExport) else None,
            imported=found if isinstance(found, ProjectImport) else None,
            freed=found if isinstance(found, FreedSpace) else None,
            **{name: getattr(self, name) for name in same},
        )


class Jobs:
    """The work of one server. For its event loop."""

    def __init__(self, ask: Ask, scrub: Callable[[str], str], log: Logger | LoggerAdapter[Any]) -> None:
        """ask: as `Backend.ask`; scrub: a text without secrets."""
        self._ask = ask
        self._scrub = scrub
        self._log = log
        self._jobs: dict[str, _Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, kind: JobKind, subject: str, task: Task) -> JobView:
        """Begin it, in a thread. Raises BusyError."""
        if sum(job.lives for job in self._jobs.values()) >= MOST:
            raise BusyError(f"{MOST} such tasks run and wait already. Try again when one has ended.", reason="busy")
        job = _Job(secrets.token_hex(8), kind, subject, time.time())
        self._jobs[job.id] = job
        running = asyncio.create_task(self._work(job, task), name=f"imgcls-{kind}")
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        return job.view()

    def list(self) -> Sequence[JobView]:
        """The newest first."""
        return [job.view() for job in reversed(self._jobs.values())]

    def get(self, job_id: str) -> JobView:
        """Raises NotFoundError."""
        return self._find(job_id).view()

    def cancel(self, job_id: str) -> JobView:
        """Have it end at its next step. Raises NotFoundError, ConflictError for one that has ended."""
        job = self._find(job_id)
        if not job.lives:
            raise ConflictError("It has ended already.")
        job.cancelled = True
        return job.view()

    def close(self) -> None:
        """Have all end at their next step: the server stops."""
        for job in self._jobs.values():
            job.cancelled = True

    def _find(self, job_id: str) -> _Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFoundError("There is no such task any more: the server was started again, or it ended long ago.")
        return job

    async def _work(self, job: _Job, task: Task) -> None:
        def run(store: Store) -> Outcome:
            job.state = "running"
            job.advance(0, 0)  # it may have been cancelled while it waited
            return task(store, job.advance)

        try:
            job.outcome = await self._ask(run, "job")
            job.state = "succeeded"
        except JobCancelledError as error:
            job.state, job.message = "cancelled", str(error)
        except ImgclsError as error:
            job.state, job.message = "failed", self._scrub(str(error))
        except Exception:
            job.state, job.message = "failed", "It failed; the reason is in the Jupyter server's log."
            self._log.exception("A task of the kind %s failed.", job.kind)
        finally:
            job.ended_at = time.time()
            ended = [other.id for other in self._jobs.values() if not other.lives]
            for old in ended[:-KEPT]:
                del self._jobs[old]

"""`run.fork()`, `run.extend()`, `run.lineage()`: the part of `Run` that makes runs of its checkpoints."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Self

from imgcls_lab.api.evaluations import RunEvaluations
from imgcls_lab.api.validation import request
from imgcls_lab.config import takes_fields
from imgcls_lab.executor import client
from imgcls_lab.forks import LrSchedule
from imgcls_lab.schemas import ForkRequest

if TYPE_CHECKING:
    from imgcls_lab.store import Store


class RunForks(RunEvaluations):
    """A run, as far as other runs begin with its checkpoints."""

    @takes_fields(of_config=True)
    def fork(
        self,
        at: str | int = "last",
        *,
        on_schedule: LrSchedule = "continue",
        name: str | None = None,
        **changes: object,
    ) -> Self:
        """Queue a run that goes on from one of its checkpoints, with some settings changed; exactly, without any.

        at: an epoch, "best", "last", "step 340" or a checkpoint's name. on_schedule: "continue" goes on along the curve
        that the learning rate of a run with these settings has; "restart" begins it anew, with its warm-up. The same
        fork twice is the same run. It needs this run no more, which may go on or be deleted. Raises ConfigError for
        what a fork cannot change, NotFoundError for a checkpoint that is not kept.

        >>> run.fork("last", epochs=4, name="longer").config.epochs
        4
        """
        store = self._indexed("fork")
        wanted = request(ForkRequest, at=str(at), fields=changes, on_schedule=on_schedule, name=name)
        child = store.runs.fork(self.id, wanted)
        client.ensure(store.settings)
        return self._of(child.id, store)

    def extend(self, epochs: int, *, on_schedule: LrSchedule = "continue", name: str | None = None) -> Self:
        """Queue a run that goes on from its last checkpoint until so many epochs are done in all; else as `fork`.

        >>> run.extend(3).config.epochs
        3
        """
        return self.fork("last", on_schedule=on_schedule, name=name, epochs=epochs)

    def lineage(self) -> list[Self]:
        """The tree of forks that it belongs to, the first run first; alone where there is none.

        `view.parent_id` and `view.fork_step` of each say where it left its parent.

        >>> run.lineage()[0].name
        'first digits'
        """
        store = self._indexed("show the forks")
        return [self._of(view.id, store) for view in store.runs.lineage(self.id)]

    @abstractmethod
    def _indexed(self, verb: str) -> Store: ...

    @abstractmethod
    def _of(self, run_id: str, store: Store) -> Self: ...

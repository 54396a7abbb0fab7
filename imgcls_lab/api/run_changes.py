"""`run.set()`, `run.changes`: the part of `Run` that changes settings while it trains."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Self

from imgcls_lab.api.forks import RunForks
from imgcls_lab.api.validation import request
from imgcls_lab.config import takes_keywords
from imgcls_lab.executor import client
from imgcls_lab.run_changes import FIELDS
from imgcls_lab.schemas import ChangeRequest, RunChange, RunDetail

if TYPE_CHECKING:
    from collections.abc import Sequence


class RunChanges(RunForks):
    """A run, as far as its settings can be changed while it trains."""

    @takes_keywords(FIELDS, "float | None")
    def set(self, *, lr_factor: float | None = None, **changes: float | None) -> Self:
        """Change settings while it waits or trains; it obeys at its next step, and a kill loses none.

        lr_factor: on its learning rate. changes: `lr`, `epochs`, `early_stopping_patience`, `save_every_epochs`,
        `log_every`. `run.changes` says from which step on each counts. Raises ConfigError for other fields and values
        out of bounds, ConflictError for a run that has ended.

        >>> waiting = lab.launch(config, device="H100")
        >>> [(change.field, change.new) for change in waiting.set(lr_factor=0.5, epochs=4).changes]
        [('lr', 0.0005), ('epochs', 4)]
        >>> waiting.kill().state
        <RunState.CANCELLED: 'cancelled'>
        """
        store = self._indexed("change")
        store.runs.change(self.id, request(ChangeRequest, lr_factor=lr_factor, fields=changes))
        client.ensure(store.settings)  # which passes it on to the run
        return self.refresh()

    @property
    def changes(self) -> Sequence[RunChange]:
        """What was changed while it trained, in the order in which it was asked for; a `step` of None waits.

        >>> run.changes
        []
        """
        return self.view.changes

    @property
    @abstractmethod
    def view(self) -> RunDetail: ...

    @abstractmethod
    def refresh(self) -> Self: ...

"""`Run`: the handle of one run, whether it waits, trains under the executor, or trained in a kernel.

Made by `launch`, `train`, `run` and `runs`. The state comes from the store. Curves, evaluations, log and checkpoints
come from the run's folder if this machine has it, so that they can be read before they are indexed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from imgcls_lab import run_layout
from imgcls_lab.api import context
from imgcls_lab.api.executor_status import ExecutorWatch
from imgcls_lab.api.proofs import RunProofs
from imgcls_lab.api.run_cells import RunCells
from imgcls_lab.api.run_changes import RunChanges
from imgcls_lab.api.run_folder import RunFolder, parsed
from imgcls_lab.api.run_models import RunModels
from imgcls_lab.api.run_source import StoreRunSource
from imgcls_lab.api.validation import project_id, request
from imgcls_lab.config import ConfigFields, TrainConfig, takes_fields
from imgcls_lab.errors import ConflictError, ImgclsError, InputError, NotFoundError, unknown
from imgcls_lab.events import ENDED, LIVE, DesiredState, RunState
from imgcls_lab.executor import client
from imgcls_lab.run_sentence import line
from imgcls_lab.schemas import (
    ClaimView,
    Deletion,
    EpochReport,
    LogChunk,
    RetrainRequest,
    RunDetail,
    RunEdit,
    Series,
    SeriesReply,
)
from imgcls_lab.store.claims import submitted_config
from imgcls_lab.terminal import inert

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.api.display import LiveCell
    from imgcls_lab.api.progress import ProgressLine
    from imgcls_lab.api.sweep_cells import SweepCell
    from imgcls_lab.store import Store

OVER = ENDED | {RunState.LOST}
POLL_AT_FIRST = 0.2  # seconds between two reads of `wait` at the beginning of a run


class Run(RunProofs, RunChanges, RunModels, RunCells):
    """One run. Attributes are as of the last read; `state` and `refresh` read again."""

    def __init__(self, run_id: str, *, store: Store | None = None, folder: Path | None = None) -> None:
        """A run of the store, or of a folder that no store knows. Raises NotFoundError."""
        self._store = store
        self._folder = RunFolder(folder) if folder is not None else None
        self._id = run_id
        self._view = self._look()
        self._id = self._view.id
        self._cells: list[LiveCell] = []
        self._tables: list[SweepCell] = []
        self._waited: ProgressLine | None = None
        self._watched: StoreRunSource | RunFolder | None = None
        self._deleted = False

    # ── what it is ──────────────────────────────────────────────────────────────────────────────────────────
    @property
    def id(self) -> str:
        return self._view.id

    @property
    def name(self) -> str:
        return self._view.name

    @property
    def tags(self) -> list[str]:
        """The tags that people gave it, as of the last read."""
        return list(self._view.tags)

    @property
    def view(self) -> RunDetail:
        """All that is known of it, as of the last read."""
        return self._view

    @property
    def config(self) -> TrainConfig:
        """Its settings, as submitted: `run.changes` tells what was changed while it trained.

        Those of a view-only run and of another user's are without plugins: somebody else's code.
        """
        return parsed(submitted_config(self._view))

    @property
    def folder(self) -> Path:
        """Where the run writes; it may not be there yet while the run waits.

        Raises NotFoundError where the folder lies in another home.
        """
        if self._view.elsewhere is not None:
            raise NotFoundError(self._view.elsewhere, reason="another_home")
        return Path(self._view.folder)

    @property
    def state(self) -> RunState:
        """Its state now."""
        return self.refresh()._view.state

    @property
    def notebook(self) -> Path:
        """The executed notebook of a notebook run, saved as it goes. Raises NotFoundError before its first cell."""
        file = self.folder / run_layout.NOTEBOOK
        if file.is_symlink() or not file.is_file():
            raise NotFoundError(f"The run “{self.name}” has executed no notebook (yet).")
        return file

    def refresh(self) -> Self:
        """Read again. Raises NotFoundError if it was deleted.

        >>> run.refresh().view.epochs
        2
        """
        self._view = self._look()
        return self

    # ── what it made ────────────────────────────────────────────────────────────────────────────────────────
    def metrics(self, tags: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Its curves: index `step`, a column a tag and `epoch`. Metrics of a validation stand at the end of its epoch.

        tags: one or several, by default all. Before the first validation a tag may have no points yet; later,
        NotFoundError names the tags that exist.

        >>> run.metrics("loss/val").dropna().index.tolist()
        [5, 10]
        """
        wanted = [tags] if isinstance(tags, str) else None if tags is None else list(dict.fromkeys(tags))
        source = self._files() or self._source()
        series = source.series(wanted).series
        missing = set(wanted or ()) - {item.tag for item in series}
        if missing:
            view = source.run()
            if view.state in OVER or "loss/val" in view.series_names:
                raise NotFoundError(f"{unknown('curve', min(missing), view.series_names)} The run is “{view.name}”.")
        return _frame(series, wanted or [])

    def report(self, epoch: int | None = None, split: str = "val") -> EpochReport:
        """Evaluation of an epoch, by default the last; with `split="test"` that of the best model on test/.

        It holds metrics of each class and the confusion matrix.

        >>> run.report().epoch
        2
        """
        _known("split of a report", split, ("val", "test"))
        return (self._files() or self._source()).report(epoch, split)

    def predictions(self, epoch: int | str | None = None) -> pd.DataFrame:
        """Its prediction for each validation image at an epoch, by default the best; "test": for each test image.

        Columns: path, label, correct, class_1, prob_1 ..., label_prob, loss, image. Raises NotFoundError.

        >>> len(run.predictions())
        60
        """
        from imgcls_lab.predictions import load_predictions

        best = self._view.best
        wanted = epoch if epoch is not None else best.epoch if best else 0
        return load_predictions(self.folder, wanted)

    def log(self, tail: int = 50, node: int = 0) -> str:
        """The last lines of what it printed. node: 1, 2 ... are the further ones of a run on several nodes.

        >>> "finished" in run.log(tail=3)
        True
        """
        text = self.output(node=node).text
        return "\n".join(text.splitlines()[-tail:])

    def output(self, offset: int = -65_536, node: int = 0) -> LogChunk:
        """What it printed, from a byte on; a negative offset counts from the end. node: as in `log`.

        >>> run.output(0).offset
        0
        """
        return (self._files() or self._source()).log(offset, node=node)

    # ── watching ────────────────────────────────────────────────────────────────────────────────────────────
    def wait(
        self, timeout: float | None = None, poll: float = 0.5, *, epoch: float | None = None, check: bool = True
    ) -> Self:
        """Wait until it has ended, with a line of progress; looks every `poll` seconds.

        epoch: only until so many epochs are done; 0: until it trains. check: whether a failed run is an error.
        Starts the executor if none lives. If that is turned off, it prints that no executor runs. Raises ImgclsError
        with the run's own sentence if it failed, and TimeoutError after `timeout` seconds; the run goes on. An
        interrupt ends the wait and leaves the run alone, too.

        >>> run.wait(timeout=60).state
        <RunState.SUCCEEDED: 'succeeded'>
        """
        progress, executor = self._line_of_wait(), ExecutorWatch(self._store)
        start = time.monotonic()
        try:
            while True:
                view = self.refresh()._view
                progress.show(view, self._watched_series)
                if view.state not in OVER or self._comes_back(view):
                    progress.note(executor.check(view))
                if view.state in OVER and not self._comes_back(view):
                    break
                if epoch is not None and view.state in (RunState.RUNNING, RunState.STOPPING) and view.epoch >= epoch:
                    break
                if timeout is not None and time.monotonic() - start > timeout:
                    raise TimeoutError(f"After {timeout:g} s: {line(view)}. The run goes on.")
                time.sleep(min(poll, POLL_AT_FIRST) if time.monotonic() - start < 5 else poll)
        finally:
            progress.close()
            self._update_cells()
        if check and view.state in (RunState.FAILED, RunState.LOST):
            raise ImgclsError(f"The run “{view.name}” failed: {view.message or 'see run.log()'}")
        return self

    def _watched_series(self, tags: list[str]) -> SeriesReply:
        """Points of some series; a folder is read on from the last call."""
        if not isinstance(self._watched, RunFolder):
            self._watched = self._files() or self._source()
        return self._watched.series(tags)

    def _comes_back(self, view: RunDetail) -> bool:
        """A lost run of the executor is queued again by the daemon."""
        return view.state is RunState.LOST and self._folder is None

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────
    def stop(self) -> Self:
        """Ask it to end after a checkpoint; `wait` waits for that.

        >>> waiting = lab.launch(config, device="H100")
        >>> waiting.stop().state
        <RunState.CANCELLED: 'cancelled'>
        """
        return self._request(DesiredState.STOP)

    def kill(self) -> Self:
        """End it now, without a checkpoint; `resume` goes on from the last one.

        >>> waiting = lab.launch(config, device="H100")
        >>> waiting.kill().state
        <RunState.CANCELLED: 'cancelled'>
        """
        return self._request(DesiredState.KILL)

    @takes_fields(of_config=True)
    def resume(self, **changes: Unpack[ConfigFields]) -> Self:
        """Queue it again after a stop, a kill or a failure; it goes on exactly where its last checkpoint is.

        Without a checkpoint (`view.resumable` is false) it starts again from the beginning. changes: settings that
        change no result, such as `num_workers=0` or `cache="off"`. Raises ConfigError for others.

        >>> waiting = lab.launch(config, device="H100").kill()
        >>> waiting.resume(num_workers=0).state
        <RunState.QUEUED: 'queued'>
        """
        store = self._indexed("resume")
        store.runs.resume(self.id, changes)
        client.ensure(store.settings)
        return self.refresh()

    @takes_fields(of_config=True)
    def retrain(self, revision: int | None = None, *, name: str | None = None, **changes: Any) -> Self:
        """Queue a run that goes on from its best model, on a revision of its data set, by default the newest.

        It has a third of the epochs and three tenths of the learning rate; `changes` are settings that it has instead.
        The same call while such a run waits or trains gives that run. Raises ConflictError before the first
        checkpoint, NotFoundError for a revision that there is not, ConfigError.

        >>> run.retrain(epochs=1).config.epochs
        1
        """
        store = self._indexed("retrain")
        child = store.runs.retrain(self.id, request(RetrainRequest, revision=revision, name=name, fields=changes))
        client.ensure(store.settings)
        return self._of(child.id, store)

    def claim_view(self) -> ClaimView:
        """What it would execute if it were yours: for a run whose folder came from elsewhere (`view.view_only`).

        >>> run.claim_view()
        Traceback (most recent call last):
            ...
        imgcls_lab.errors.ConflictError: ...
        """
        return self._indexed("claim").runs.claim_view(self.id)

    def claim(self) -> Self:
        """Say that a run whose folder came from elsewhere is yours: from now on it can be resumed. Starts nothing.

        `claim_view` shows what it would execute. Raises ConflictError with what is in the way.

        >>> run.claim()
        Traceback (most recent call last):
            ...
        imgcls_lab.errors.ConflictError: ...
        """
        self._indexed("claim").runs.claim(self.id)
        return self.refresh()

    def edit(
        self,
        *,
        name: str | None = None,
        notes: str | None = None,
        priority: int | None = None,
        project: str | None = None,
        tags: Sequence[str] | None = None,
        archived: bool | None = None,
    ) -> Self:
        """Change what is given. A run with a higher priority starts before others; a new `project` is made.

        An archived run is left out of lists; only one that has ended can be archived.

        >>> run.edit(notes="the first one").view.notes
        'the first one'
        """
        store = self._indexed("edit")
        moved = project_id(store, project, make=True) if project else None
        fields = {"name": name, "notes": notes, "priority": priority, "project_id": moved, "archived": archived}
        store.runs.edit(self.id, request(RunEdit, **fields, tags=tags if tags is None else [*tags]))
        return self.refresh()

    def tag(self, *tags: str) -> Self:
        """Give it tags, beside those that it has: words of letters, digits and _ . + / -.

        >>> "baseline" in run.tag("baseline").tags
        True
        """
        self._indexed("tag").runs.edit(self.id, request(RunEdit, add_tags=[*tags]))
        return self.refresh()

    def untag(self, *tags: str) -> Self:
        """Take tags away; those that it does not have are no error.

        >>> "slow" in run.untag("slow").tags
        False
        """
        self._indexed("untag").runs.edit(self.id, request(RunEdit, remove_tags=[*tags]))
        return self.refresh()

    def delete(self) -> Deletion:
        """Delete it with its metrics and its folder, for good; what that freed. Raises ConflictError while it lives.

        >>> waiting = lab.launch(config, device="H100").kill()
        >>> waiting.delete().deleted == [waiting.id]
        True
        """
        gone = self._indexed("delete").runs.delete(self.id)
        self._deleted = True
        return gone

    def _request(self, desired: DesiredState) -> Self:
        store = self._indexed(desired.value)
        if store.runs.set_desired_state(self.id, desired).state in LIVE:
            client.ensure(store.settings)  # which passes it on to the run
        return self.refresh()

    # ── where it is read ────────────────────────────────────────────────────────────────────────────────────
    def _look(self) -> RunDetail:
        if self._folder is not None and not self._folder.folder.is_dir():
            self._deleted = True
            raise NotFoundError(f"The run “{self._id}” was deleted: its folder {self._folder.folder} is gone.")
        known = None
        if self._store is not None:
            try:
                known = self._store.runs.get(self._id)
            except NotFoundError:
                if self._folder is None:
                    self._deleted = True
                    raise
        if known is not None and (self._folder is None or not known.external):
            return known
        assert self._folder is not None  # noqa: S101  (one of the two is there)
        return self._folder.run()

    def _files(self) -> RunFolder | None:
        """The run's folder, if this machine has it and it holds anything."""
        if self._view.elsewhere is not None:
            return None
        folder = self._folder or RunFolder(self.folder, self.id)
        return folder if folder.has_events() else None

    def _source(self) -> StoreRunSource | RunFolder:
        if self._folder is not None:
            return self._folder
        return StoreRunSource(self._store or context.store(), self.id)

    @property
    def _served(self) -> bool:
        return self._store is not None and self._folder is None

    def _indexed(self, verb: str) -> Store:
        """The store, if it knows this run. Raises ConflictError."""
        store = self._store or context.store()
        with contextlib.suppress(NotFoundError):
            store.runs.get(self.id)
            return store
        raise ConflictError(
            f"The run “{self.name}” is in no database yet, so there is nothing to {verb} it by. Start the executor, "
            f"which finds the folders of runs, and try again; its folder is {self._view.folder}."
        )

    def _of(self, run_id: str, store: Store) -> Self:
        return type(self)(run_id, store=store)

    # ── showing ─────────────────────────────────────────────────────────────────────────────────────────────
    def __repr__(self) -> str:
        return f"<Run {self.id}: {self._line()}>"

    def _line(self) -> str:
        return inert(f"{self.name} was deleted") if self._deleted else line(self._view)


def _known(kind: str, name: str, known: Sequence[str]) -> None:
    """Raises InputError for a name that is none of those."""
    if name not in known:
        raise InputError(unknown(kind, name, known))


def _frame(series: Iterable[Series], wanted: Sequence[str]) -> pd.DataFrame:
    """A column a series, and an empty one for what is wanted and has no points yet."""
    import pandas as pd

    columns: dict[str, pd.Series[float]] = {}
    epochs: dict[int, float] = {}
    for item in series:
        columns[item.tag] = pd.Series(item.value, index=item.step, dtype="float64")
        epochs.update(zip(item.step, item.epoch, strict=True))
    frame = pd.DataFrame(columns, columns=list(wanted) or None, dtype="float64")
    frame.index.name = "step"
    frame.insert(0, "epoch", pd.Series(epochs, dtype="float64"))
    return frame.sort_index()

"""`store.runs`: submit, stop, resume, edit, delete and read runs. Called through `Store`; writes no attempt.

A run that waits is moved here. Of a run that lives only `desired` is set, and a daemon does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from imgcls_lab import pausing
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConflictError
from imgcls_lab.events import ENDED, RESUMABLE, DesiredState, RunKind, RunState
from imgcls_lab.run_layout import new_run_id
from imgcls_lab.schemas import (
    ActionReply,
    ActionRequest,
    ChangeRequest,
    ClaimView,
    ComparisonView,
    Deletion,
    EditedRun,
    EditedRuns,
    EpochReport,
    ForkPreview,
    ForkRequest,
    LogChunk,
    Queued,
    ReplicatesRequest,
    RetrainRequest,
    RunDetail,
    RunEdit,
    RunEdits,
    RunPage,
    RunsBatch,
    RunView,
    SubmitRequest,
)
from imgcls_lab.settings import Settings
from imgcls_lab.store import (
    audit,
    claims,
    comparison,
    fork_preview,
    forking,
    homes,
    live_changes,
    new_folders,
    queries,
    retraining,
    rights,
    run_deletion,
    run_edits,
    run_files,
    states,
    stopping,
    submitted,
    submitting,
)
from imgcls_lab.store.database import Database
from imgcls_lab.store.executors import Executors, Place
from imgcls_lab.store.run_rows import config_columns, find_run, new_run, process_columns
from imgcls_lab.store.submitting import Asked, add_run, digest_of
from imgcls_lab.store.tables import Run


class Runs:
    """All runs of a database. A run is named by its id, or by the beginning of one that no other run has."""

    def __init__(self, database: Database, settings: Settings, executors: Executors) -> None:
        self._database = database
        self._settings = settings
        self._executors = executors

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────
    def submit(self, request: SubmitRequest, *, run_id: str | None = None) -> Queued:
        """Queue a run. The same key and body give the same run, however many ask at once.

        Its owner is the user of this process. Raises ConfigError; NotFoundError for a project, data set, model or run
        that is not there; ForbiddenError for a project or a parent of somebody else; ConflictError when the key was
        used with another body.
        """
        return self._queued(*submitting.submit(self._database, self._settings, [request], run_id=run_id))[0]

    def submit_replicates(self, request: ReplicatesRequest) -> Sequence[Queued]:
        """As `submit`, of runs that differ by their seed: all of them or none, whatever is killed meanwhile.

        They come in the order of their seeds. Raises InputError where there are not so many seeds.
        """
        return self._queued(*submitting.submit(self._database, self._settings, submitting.of_seeds(request)))

    def retrain(self, text: str, request: RetrainRequest) -> Queued:
        """Queue a run that goes on from the best model of another one, on a revision of its data set.

        The same request while such a run waits or trains gives that run. Raises ConfigError, NotFoundError,
        ForbiddenError; ConflictError for a run without a checkpoint, or one that is no training.
        """
        run_id = new_run_id()
        with self._database.write() as session:
            parent = self._parent(session, text)
            _, submit = retraining.request_for(session, self._settings, parent, request, run_id)
            known = retraining.under_way(session, submit.idempotency_key or "")
        if known is not None:
            return self._queued(Asked(known.id, made=False))[0]
        with new_folders.making(self._settings, run_id) as folder:
            retraining.take_model(self._settings, parent, folder.path)
            with self._database.write() as session:
                parent = self._parent(session, parent.id)
                config, submit = retraining.request_for(session, self._settings, parent, request, run_id)
                key = submit.idempotency_key or ""
                known = retraining.under_way(session, key)
                if known is None:
                    submit = submit.model_copy(update={"idempotency_key": retraining.next_key(session, key)})
                    add_run(session, new_run(session, run_id, config, submit, digest_of(submit)), submit)
                    folder.settle()
        return self._queued(Asked(run_id if known is None else known.id, made=known is None))[0]

    def fork(self, text: str, request: ForkRequest) -> Queued:
        """Queue a run that goes on from a checkpoint of another one, with some settings changed.

        The same fork twice is the same run, whatever it has come to. Of a run that lives, `last` is its newest
        checkpoint. Raises ConfigError for what a fork cannot change, NotFoundError for a checkpoint that is not kept,
        ForbiddenError; ConflictError for a run that is no training or has no checkpoint.
        """
        with self._database.write() as session:  # nothing is written but what is refused
            planned = forking.plan(session, self._settings, self._parent(session, text), request)
            known = forking.made_before(session, planned)
        if known is not None:
            return self._queued(Asked(known, made=False))[0]
        run_id = new_run_id()
        with new_folders.making(self._settings, run_id) as folder:
            fork = forking.fill(self._settings, planned, folder.path)
            with self._database.write() as session:
                parent = self._parent(session, planned.parent.id)
                known = forking.made_before(session, planned)
                if known is None:
                    submit = forking.request_of(session, planned, request.name)
                    run = new_run(session, run_id, planned.configs[1], submit, digest_of(submit))
                    forking.complete(session, run, fork, parent)
                    add_run(session, run, submit)
                    folder.settle()
        return self._queued(Asked(known or run_id, made=known is None))[0]

    def fork_preview(self, text: str, request: ForkRequest) -> ForkPreview:
        """The learning rate that a fork would have. Raises as `fork`, for what that would refuse; makes nothing."""
        with self._database.read() as session:
            planned = forking.plan(session, self._settings, find_run(session, text), request)
        return fork_preview.preview(self._settings, planned)

    def lineage(self, text: str) -> Sequence[RunView]:
        """The tree of forks that a run belongs to, the oldest run first; the run alone where there is none."""
        with self._database.read() as session:
            run = find_run(session, text)
            return self._executors.mark_silent(session, queries.lineage(session, run))

    def set_desired_state(self, text: str, desired: DesiredState) -> RunView:
        """Ask a run to stop (checkpoint first) or to end now. Asking twice is asking once. Raises ConflictError.

        A run that waits is called back: cancelled, or again what its last attempt came to, with the reason of that.
        """
        if desired is DesiredState.RUN:
            raise ConflictError("A stop cannot be taken back; wait until the run has stopped, then resume it.")
        return self._change(lambda session: stopping.set_desired_state(session, text, desired))

    def resume(self, text: str, changes: Mapping[str, Any] | None = None, *, until: int | None = None) -> RunView:
        """Queue a run that was stopped, failed or cancelled again; it goes on from its last checkpoint.

        changes: settings of a training that its next attempts have instead, if they change no result. until: the epoch
        after which a training pauses. A sweep that has finished can be queued again, too: it then runs what is missing.
        Raises ConflictError, ConfigError.
        """
        return self._change(lambda session: _resume(session, text, changes or {}, self._settings, until))

    def change(self, text: str, request: ChangeRequest) -> RunView:
        """Change settings of a training that is queued or trains; it obeys at its next step, wherever that is.

        The same key is the same request. Raises ConfigError for a field that cannot be changed then, or a value out of
        bounds; ConflictError for a run that has ended or is no training.
        """
        return self._change(lambda session: live_changes.change(session, text, request))

    def view_only(self) -> Sequence[str]:
        """Ids of the runs whose folders came from elsewhere, newest first."""
        with self._database.read() as session:
            return session.exec(select(Run.id).where(col(Run.view_only)).order_by(col(Run.number).desc())).all()

    def claim_view(self, text: str) -> ClaimView:
        """What a run from elsewhere would execute if its user claimed it. Raises ConflictError for one that is own."""
        with self._database.read() as session:
            run = find_run(session, text)
            homes.check_here(session, run)
            return claims.view_of(self._settings, run)

    def claim(self, text: str, digest: str | None = None) -> RunView:
        """The user says that a run from elsewhere is his own: from now on it can be resumed.

        digest: of what the user was shown. Raises ConflictError if that has changed since, for a run that is own, and
        for a folder that cannot be one's own, with the reason.
        """
        return self._change(lambda session: claims.claim(session, self._settings, text, digest))

    def edit(self, text: str, edit: RunEdit) -> EditedRun:
        """Change name, notes, tags, priority or project, archive. The answer says what undoes it.

        Raises NotFoundError, ForbiddenError; ConflictError where a run that has not ended is to be archived.
        """
        with self._database.write() as session:
            run_id, undo = run_edits.edit_run(session, text, edit)
        return EditedRun(**self._view(run_id).model_dump(), undo=undo)

    def edit_many(self, edits: RunEdits) -> EditedRuns:
        """As `edit`, of many runs. Those that cannot be changed are named with the reason; the others are changed.

        With `dry_run` they are named, too, and stay as they are.
        """
        changed, refused, undo = run_edits.edit_many(self._database, edits)
        views = [*self.by_id(changed).values()]
        return EditedRuns(changed=views, refused=refused, undo=[] if edits.dry_run else undo)

    def explain_stop(self, run_id: str, message: str) -> None:
        """Say why a run was stopped; does nothing where it was not. Raises NotFoundError, ForbiddenError."""
        stopped = col(Run.state).in_([RunState.STOPPED.value, RunState.CANCELLED.value])
        with self._database.write() as session:
            rights.check(session, "explained", find_run(session, run_id))
            states.change_run(session, run_id, stopped, message=message)

    def delete(self, text: str) -> Deletion:
        """Delete row, metrics and folder of a run for good; what it freed. Raises ConflictError unless it has ended."""
        with self._database.write() as session:
            gone = run_deletion.delete_row(session, text)
        return run_deletion.remove(self._settings, [gone])

    def delete_many(self, runs: Sequence[str], *, dry_run: bool = False) -> Deletion:
        """As `delete`, of many runs; those that stay are named with the reason. dry_run: only say what would be."""
        return run_deletion.delete_many(self._database, self._settings, runs, dry_run=dry_run)

    def act_many(self, request: ActionRequest) -> ActionReply:
        """Stop, kill or resume many runs, or only say which; those that cannot be are named with the reason."""
        if request.action == "resume":
            change = partial(_resume, changes={}, settings=self._settings, until=None)
        else:
            change = partial(stopping.set_desired_state, desired=DesiredState(request.action))
        many = run_edits.ManyRuns(self._database, dry_run=request.dry_run)
        done = [run_id for _, run_id in many.apply(list(dict.fromkeys(request.runs)), change)]
        return ActionReply(changed=[*self.by_id(done).values()], refused=many.refused)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────
    def get(self, text: str) -> RunDetail:
        """One run with all that its page shows. Raises NotFoundError, InputError."""
        with self._database.read() as session:
            return self._executors.mark_silent(session, [queries.detail(session, self._settings, text)])[0]

    def compare(self, texts: Sequence[str], *, strict: bool = True) -> ComparisonView:
        """In what runs differ, at most 100 of them.

        strict: a run that is not there raises NotFoundError; else the answer names it. Raises InputError for more runs,
        or for a beginning of several ids.
        """
        with self._database.read() as session:
            found = comparison.compare(session, self._settings, texts, strict=strict)
            return found.model_copy(update={"runs": self._executors.mark_silent(session, found.runs)})

    def as_submitted(self, text: str) -> RunDetail:
        """One run, as this home's user has submitted it. Raises NotFoundError; ConflictError if its row was changed."""
        with self._database.read() as session:
            submitted.check(session, self._settings, find_run(session, text))
            return queries.detail(session, self._settings, text)

    def list(
        self,
        *,
        project_id: int | None = None,
        parent_id: str | None = None,
        states: Iterable[RunState] | None = None,
        owner: str | None = None,
        where: str = "",
        sort: str = "created_at",
        descending: bool = True,
        limit: int = 200,
        offset: int = 0,
        columns: Sequence[str] = (),
        curves: bool = False,
    ) -> RunPage:
        """A page of runs, and how many there are in each state.

        sort, columns: a column as a query names it; those of configs and metrics come in each run's `values`. curves:
        each run has a few points of the metric that it watches.

        where: a query (`run_query`); parent_id: of a sweep. Archived runs are left out unless the query asks for them
        or a parent is given. Raises InputError.
        """
        wanted = queries.filter_of(where, project_id=project_id, parent_id=parent_id, states=states, owner=owner)
        order = queries.RunOrder(sort, descending, limit, offset, columns, curves)
        with self._database.read() as session:
            page = queries.page(session, wanted, order)
            page.items = self._executors.mark_silent(session, page.items)
            return page

    def by_id(self, run_ids: Iterable[str]) -> dict[str, RunView]:
        """Runs by their whole ids, in this order; those that are not there (any more) are left out."""
        with self._database.read() as session:
            return queries.by_id(session, [*run_ids])

    def by_key(self, key: str) -> Sequence[RunView]:
        """Runs submitted under an idempotency key, or under one that goes on with a colon, oldest first."""
        with self._database.read() as session:
            return queries.by_key(session, key)

    def changed_since(self, since: float, known: Mapping[str, int]) -> tuple[RunsBatch, float]:
        """What changed after `since` (0 at first, then what the last call returned), less what the reader knows."""
        with self._database.read() as session:
            batch, now = queries.changed_since(session, since, known)
            batch.changed = self._executors.mark_silent(session, batch.changed)
            return batch, now

    def live_at(self, places: Iterable[Place]) -> Sequence[RunView]:
        """Runs that live at some places, or lived there when these went silent."""
        with self._database.read() as session:
            return self._executors.mark_silent(session, queries.live_at(session, places))

    def lost_attempts(self, text: str) -> int:
        """How often a run was lost in a row: 0 where a user asked for its present attempt."""
        with self._database.read() as session:
            return find_run(session, text).lost_attempts

    def last_scan(self, root: str) -> queries.Scan | None:
        """What the newest run that has scanned a data set's folder found; None while none has."""
        with self._database.read() as session:
            return queries.last_scan(session, self._settings, root)

    def log(self, text: str, offset: int = -65536, limit: int = 262_144, node: int = 0) -> LogChunk:
        """A piece of the run's log, or of that of a further node; a negative offset counts from its end.

        Raises NotFoundError for another home's.
        """
        return run_files.read_log(self._folder(text), offset, limit, node)

    def report(self, text: str, epoch: int | None = None, split: str = "val") -> EpochReport:
        """The evaluation of an epoch, by default the last; that of the best model on test/. Raises NotFoundError."""
        return run_files.read_report(self._folder(text), epoch, split)

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _parent(self, session: Session, text: str) -> Run:
        """A run that another one is to go on from, held until the transaction ends. Raises ForbiddenError."""
        parent = session.exec(select(Run).where(Run.id == find_run(session, text).id).with_for_update()).one()
        rights.check(session, "launched", parent)
        return parent

    def _change(self, change: Callable[[Session], str]) -> RunView:
        with self._database.write() as session:
            run_id = change(session)
        return self._view(run_id)

    def _queued(self, *asked: Asked) -> Sequence[Queued]:
        with self._database.read() as session:
            return [Queued(**dict(queries.run_view(session, each.id)), made=each.made) for each in asked]

    def _view(self, run_id: str) -> RunView:
        with self._database.read() as session:
            return queries.run_view(session, run_id)

    def _folder(self, text: str) -> Path:
        """The folder of a run. Raises NotFoundError where it lies in another home."""
        with self._database.read() as session:
            run = find_run(session, text)
            homes.check_here(session, run)
            return self._settings.run_dir(run.id)


def _resume(session: Session, text: str, changes: Mapping[str, Any], settings: Settings, until: int | None) -> str:
    run = find_run(session, text)
    rights.check(session, "resumed", run)
    claims.refuse_view_only(run)
    if changes and run.kind != RunKind.TRAIN.value:
        raise ConflictError(f"Only a training can go on with other settings; “{run.name}” is a {run.kind}.")
    pauses = run.kind == RunKind.TRAIN.value and pausing.until_epoch(run.payload) != until
    if changes or pauses:  # what its owner did not submit must not run as its owner
        homes.check_here(session, run)
        submitted.check(session, settings, run)
        submitted.note(session, run.id)
    config = TrainConfig.parse(run.config).resumed_with(changes, settings.run_dir(run.id)) if changes else None
    values: dict[str, Any] = {
        "desired_state": DesiredState.RUN.value, "queued_at": time.time(), "ended_at": None, "message": None,
        "failure": None, "phase": None, "lost_attempts": 0, "lost_at_step": -1, "external": False, "archived": False,
        "payload": pausing.with_until_epoch(run.payload, until),
        **(config_columns(config) | process_columns(config) | {"repetition": run.repetition} if config else {}),
        "changes": live_changes.at_resume(session, run, changes),
    }  # fmt: skip
    filled = {RunState.SUCCEEDED} if run.kind == RunKind.SWEEP.value else set()
    resumable = col(Run.state).in_(states.texts(RESUMABLE | filled))
    if states.move(session, run.id, RunState.QUEUED, resumable, **values):
        changed: dict[str, Any] = {"changed": audit.changes(run.config, changes)} if changes else {}
        audit.record(session, "resumed", run, **changed)
        return run.id
    state = RunState(run.state)
    if state in ENDED:
        text = f"The run “{run.name}” {state.value}; there is nothing of it to resume."
        raise ConflictError(text, reason="nothing_to_resume", state=state.value)
    raise ConflictError(f"The run “{run.name}” is {state.value}; it can be resumed after it has stopped.")

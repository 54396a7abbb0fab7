"""The tables of the run database, as SQLModel classes. Columns only: what moves a run is in `states.py`.

A state, a kind and a failure are texts, so that a new one needs no migration on PostgreSQL. Times are Unix seconds
for people to read; nothing is decided by comparing them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, UniqueConstraint, text
from sqlmodel import Field

from imgcls_lab.store.table_base import Table, json_column
from imgcls_lab.store.user_tables import AlertDismissal, Home, SavedView, User

__all__ = ["AlertDismissal", "Home", "SavedView", "User"]  # beside those below


class Project(Table, table=True):
    __tablename__ = "projects"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    owner: str = ""  # who made it, as of all rows that have one; "": nobody
    description: str = ""
    created_at: float
    max_running: int | None = None  # runs on devices at once, on all hosts together; None: no limit


class ProjectMember(Table, table=True):
    """A user who may change the runs and configs of a project, beside its owner."""

    __tablename__ = "project_members"

    project_id: int = Field(sa_column=Column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True))
    user: str = Field(primary_key=True)


class Config(Table, table=True):
    __tablename__ = "configs"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    project_id: int = Field(foreign_key="projects.id", index=True)
    owner: str = ""
    config: dict[str, Any] = json_column()
    description: str = ""
    created_at: float
    updated_at: float


class ConfigVersion(Table, table=True):
    """A config as it was saved once. The row of the config holds what its newest version holds."""

    __tablename__ = "config_versions"

    config_id: int = Field(sa_column=Column(ForeignKey("configs.id", ondelete="CASCADE"), primary_key=True))
    number: int = Field(primary_key=True)
    author: str = ""
    created_at: float
    config: dict[str, Any] = json_column()


class Dataset(Table, table=True):
    """A folder of images, and what its last inspection found."""

    __tablename__ = "datasets"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    root: str = Field(index=True)
    owner: str = ""
    description: str = ""
    created_at: float
    classes: list[str] = json_column()
    images: dict[str, int] = json_column()  # by split
    smallest_class: int | None = None
    largest_class: int | None = None
    problem: str | None = None
    notes: list[str] = json_column()
    skipped_files: dict[str, int] = json_column()  # files that are no images, by suffix
    audit_run_id: str | None = None  # the newest run that looked at its files; it may be deleted
    scanned_at: float | None = None  # when a scan last read all files; None: never


class DatasetRevision(Table, table=True):
    """Corrections of a data set on top of its revision before. Number 0, the folders as they are, has no row."""

    __tablename__ = "dataset_revisions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    dataset_id: int = Field(sa_column=Column(ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False))
    number: int
    parent: int
    digest: str  # SHA-256 over the parent's digest and the changes
    author: str
    created_at: float
    message: str = ""
    files: int  # that the changes concern: more than images where there are copies
    relabelled: int  # images, by this revision
    excluded: int
    restored: int
    total: int  # images that differ from their folders, after it
    changes: list[dict[str, Any]] = json_column()  # `data_revision.Change`


class Model(Table, table=True):
    __tablename__ = "models"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    flavour: str = Field(index=True)
    owner: str = ""
    revision: str | None = None
    load_pretrained: bool = True
    description: str = ""
    created_at: float


_LISTED = "created_at number archived project_id state owner kind id parent_id repetition lineage"


class Run(Table, table=True):
    """A run. `number` is its short key inside the database; `id` is its name everywhere else."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_state_host", "state", "host"),
        Index("ix_runs_queue", "state", "home", "owner", text("priority DESC"), "queued_at", "number"),
        Index(
            "ix_runs_record_behind",
            "home",
            sqlite_where=text("record_behind"),
            postgresql_where=text("record_behind"),
        ),
        Index("ix_runs_state_requested_host", "state", "requested_host"),
        Index("ix_runs_external_state", "external", "state"),
        Index("ix_runs_project_id_created_at", "project_id", "created_at"),
        # The table of runs in its first order: which groups they are in, and what they are found by most.
        Index("ix_runs_listed", *_LISTED.split(), "name", "lr", "batch_size", "best_value"),
        # Read for a list by one of its columns, instead of the rows with their configs. None of them is long
        # (PostgreSQL takes 2,700 bytes) or changes with every step.
        Index(
            "ix_runs_sorted",
            *("project_id", "state", "number", "name", "lr", "batch_size", "kind", "started_at", "ended_at", "owner"),
            *("archived", "size"),
        ),
        Index("ix_runs_owner_state_project_id", "owner", "state", "project_id"),
        Index("ix_runs_model_flavour_archived", "model_flavour", "archived"),
        # a list by it, filtered on the way
        Index("ix_runs_best", "best_value", "number", "state", "project_id", "archived"),
        {"sqlite_autoincrement": True},
    )

    number: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    kind: str
    name: str
    owner: str = ""
    project_id: int = Field(foreign_key="projects.id")
    dataset_id: int | None = Field(default=None, foreign_key="datasets.id", index=True)
    model_id: int | None = Field(default=None, foreign_key="models.id", index=True)
    parent_id: str | None = Field(default=None, foreign_key="runs.id", index=True, ondelete="SET NULL")
    state: str
    desired_state: str = "run"
    attempt: int = 0
    priority: int = 0
    external: bool = False
    home: str = ""  # that holds its folder, and whose daemons alone may start it; "": not known yet
    record_behind: bool = False  # another home changed it, and its own has not written that into the folder
    data_revision: int | None = None  # of its data set; None: none, or an overlay that was given as a file
    data_revision_digest: str = ""  # of the revision or overlay that it trains on; empty: the folders as they are
    view_only: bool = False  # its folder came from elsewhere: nothing in it is executed
    python: str = ""
    message: str | None = None
    failure: str | None = None
    phase: str | None = None
    created_at: float
    queued_at: float
    started_at: float | None = None
    ended_at: float | None = None
    updated_at: float
    revision: int = 1
    change: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, index=True))  # see `database.write`
    host: str | None = None
    devices: list[str] = json_column()
    step: int = 0
    total_steps: int | None = None
    epoch: float = 0.0
    epochs: int | None = None
    resumed_at_step: int | None = None
    seconds_left: float | None = None
    best_metric: str | None = None
    best_value: float | None = None
    best_epoch: int | None = None
    best_step: int | None = None
    latest: dict[str, float | None] = json_column()
    best_values: dict[str, float] = json_column(made=dict)  # of each metric of a validation, by its tag
    config: dict[str, Any] = json_column()
    model_flavour: str = ""
    root: str = ""
    batch_size: int | None = None
    lr: float | None = None
    notes: str = ""
    tags: list[str] = json_column(made=list)  # words of people; those of metrics stand in the table `tags`
    archived: bool = False  # left out of lists unless it is asked for
    size: int | None = Field(default=None, sa_type=BigInteger)  # bytes of its folder; None: not counted yet
    changes: list[dict[str, Any]] = json_column(made=list)  # of its settings while it trains: see `RunChange`
    repetition: str = Field(default="", index=True)  # the same for runs that differ in their seed alone; "": no config
    lineage: str = Field(default="", index=True)  # the first run of a tree of forks; "": neither a fork nor forked
    fork_step: int | None = None  # of a fork: the step at which it left its parent, whose id is in its payload
    fork_epoch: float | None = None
    payload: dict[str, Any] = json_column(made=dict)  # what a kind needs beside its config; most runs need nothing
    requested_device: str = "auto"  # auto, cuda, cpu, none or part of a GPU's name
    requested_gpus: int = 1
    min_gpus: int | None = None  # with how many it may start; None: with all that it requests
    requested_nodes: int = 1
    requested_host: str | None = None
    lost_attempts: int = 0  # attempts lost in a row without a newer checkpoint
    saved_step: int = 0  # of the newest checkpoint
    lost_at_step: int = -1  # saved_step when the last attempt was lost
    idempotency_key: str | None = Field(default=None, unique=True)
    body_digest: str | None = None


class RunCount(Table, table=True):
    """How many runs of a project are in a state, archived or not. Triggers on `runs` keep it: see `run_counts.py`."""

    __tablename__ = "run_counts"

    project_id: int = Field(sa_column=Column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True))
    state: str = Field(primary_key=True)
    archived: bool = Field(primary_key=True)
    count: int


class Dependency(Table, table=True):
    """A run waits until another has succeeded. `after_id` is no foreign key: the deletion of that run must be seen."""

    __tablename__ = "dependencies"

    run_id: str = Field(sa_column=Column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True))
    after_id: str = Field(primary_key=True, index=True)


class Attempt(Table, table=True):
    """One start of a run. `events_offset` and `seq` say how far its events are in the database."""

    __tablename__ = "attempts"

    run_id: str = Field(sa_column=Column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True))
    number: int = Field(primary_key=True)
    state: str
    host: str | None = None
    executor_id: str | None = None
    owner: dict[str, Any] | None = json_column(nullable=True)  # identity of the supervisor, a cluster's job, a kernel
    pid: int | None = None  # of the process that trains
    devices: list[str] = json_column()
    started_at: float
    ended_at: float | None = None
    trains_since: float | None = None  # stamp of its `started` event
    resume_step: int | None = None
    exit_code: int | None = None
    failure: str | None = None
    message: str | None = None
    events_offset: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    seq: int = 0


class DeviceClaim(Table, table=True):
    """Who holds a device. The primary key makes two runs on one device impossible."""

    __tablename__ = "device_claims"

    host: str = Field(primary_key=True)
    device: str = Field(primary_key=True)
    run_id: str = Field(sa_column=Column(ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True))
    attempt: int
    claimed_at: float


class Tag(Table, table=True):
    """Names of series, so that a point is a row of numbers."""

    __tablename__ = "tags"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)


class Metric(Table, table=True):
    """One point. In the order a series is read; NaN and infinities are NULL."""

    __tablename__ = "metrics"
    __table_args__ = (Index("ix_metrics_cursor", "run_number", "attempt", "seq"), {"sqlite_with_rowid": False})

    run_number: int = Field(sa_column=Column(ForeignKey("runs.number", ondelete="CASCADE"), primary_key=True))
    tag_id: int = Field(sa_column=Column(ForeignKey("tags.id"), primary_key=True))
    step: int = Field(primary_key=True, sa_type=BigInteger)
    attempt: int = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    epoch: float
    time: float
    value: float | None = None


class ThinnedMetric(Table, table=True):
    """A point that is the smallest or largest of `factor` points in a row, up to the step `until`: see `pyramid.py`."""

    __tablename__ = "thinned_metrics"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_number: int = Field(sa_column=Column(ForeignKey("runs.number", ondelete="CASCADE"), primary_key=True))
    tag_id: int = Field(sa_column=Column(ForeignKey("tags.id"), primary_key=True))
    factor: int = Field(primary_key=True)
    step: int = Field(primary_key=True, sa_type=BigInteger)
    until: int = Field(sa_type=BigInteger)
    epoch: float
    time: float
    value: float | None = None


class InheritedMetric(Table, table=True):
    """A point of a fork's past: its ancestors', up to the fork. Written when the parent is deleted, not before."""

    __tablename__ = "inherited_metrics"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_number: int = Field(sa_column=Column(ForeignKey("runs.number", ondelete="CASCADE"), primary_key=True))
    tag_id: int = Field(sa_column=Column(ForeignKey("tags.id"), primary_key=True))
    step: int = Field(primary_key=True, sa_type=BigInteger)
    epoch: float
    time: float
    value: float | None = None


class Artifact(Table, table=True):
    """A file or folder that a run made; `path` is relative to the run's folder."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("run_id", "kind", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(sa_column=Column(ForeignKey("runs.id", ondelete="CASCADE"), nullable=False))
    attempt: int
    kind: str  # checkpoint, report
    name: str
    path: str
    step: int
    epoch: int
    links: list[str] = json_column()
    size: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    created_at: float


class Executor(Table, table=True):
    """A daemon. `heartbeat` grows. An observer decides by its own clock whether the daemon lives."""

    __tablename__ = "executors"

    id: str = Field(primary_key=True)
    host: str = Field(index=True)
    home: str = ""
    user: str = ""
    identity: dict[str, Any] = json_column()
    version: str
    state: str  # alive, stopped
    started_at: float
    heartbeat: int = 0
    heartbeat_at: float


class Device(Table, table=True):
    """A device as the daemon of one home sees it: several homes may share it."""

    __tablename__ = "devices"

    host: str = Field(primary_key=True)
    home: str = Field(default="", primary_key=True)
    name: str = Field(primary_key=True)  # cuda:0, cpu:0
    position: int
    title: str
    kind: str
    uuid: str
    memory_total: int | None = Field(default=None, sa_type=BigInteger)
    memory_used: int | None = Field(default=None, sa_type=BigInteger)
    utilisation: float | None = None
    held_by: str | None = None
    gpu_processes: list[dict[str, Any]] = json_column()  # that hold its memory, as `executor/gpu_processes.py` saw them


class Alert(Table, table=True):
    """Something that a person should be told once. `id` names the cause, so that each cause gives one alert."""

    __tablename__ = "alerts"

    id: str = Field(primary_key=True)
    kind: str
    run_id: str | None = Field(default=None, sa_column=Column(ForeignKey("runs.id", ondelete="CASCADE"), index=True))
    host: str | None = None
    home: str = ""  # whose daemon added it, and posts it to the webhook
    text: str
    created_at: float
    webhook_state: str | None = Field(default=None, index=True)  # pending, sent, failed; None: there was no webhook
    change: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, index=True))  # see `database.write`


class AuditEvent(Table, table=True):
    """Who did what, or was refused it. No foreign keys: it outlives what it is about."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_kind_subject_id", "kind", "subject_id"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    time: float = Field(index=True)
    user: str = Field(index=True)
    host: str
    way: str  # by which it came: panel, cli, python, sweep, executor
    action: str
    refused: bool = False
    kind: str  # of the subject: run, project, config, dataset, model
    subject_id: str
    subject_name: str
    project_id: int | None = None
    details: dict[str, Any] = json_column()


class Counter(Table, table=True):
    """Numbers that only grow: `changes` counts what happened to runs, in the order of commits."""

    __tablename__ = "counters"

    name: str = Field(primary_key=True)
    value: int = Field(sa_column=Column(BigInteger, nullable=False))


class DeletedRun(Table, table=True):
    """What a reader has to forget, and what a scan of the folders must not bring back."""

    __tablename__ = "deleted_runs"

    id: str = Field(primary_key=True)
    home: str = ""
    folder_left: bool = False  # another home deleted it, and its own has not removed the folder
    change: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, index=True))


metadata = Table.metadata

"""Runs: as lists and pages show them, and what queues or edits one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from imgcls_lab.events import DesiredState, FailureKind, RunKind, RunState
from imgcls_lab.forks import LrSchedule
from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import (
    MAX_AFTER,
    MAX_CHANGED,
    MAX_NAME,
    MAX_REPLICATES,
    Device,
    Finite,
    Host,
    Id,
    Key,
    Name,
    Note,
    Tags,
    Values,
    Whole,
)
from imgcls_lab.schemas.revisions import RevisionView


class BestMetric(Wire):
    """The best value of the monitored metric so far."""

    metric: str  # as TrainConfig.monitor_metric: accuracy, macro_f1, loss ...
    value: float
    epoch: int


class RunChange(Wire):
    """A setting that was changed while the run trains.

    number: from 1, in the order in which they were asked for; key: of the request; step: optimizer steps after which
    it was obeyed, None: it was not yet.
    """

    number: int
    field: str
    old: int | float | None
    new: int | float | None
    asked_at: float | None = None
    asked_by: str = ""
    key: str = ""
    step: int | None = None
    epoch: float | None = None  # the same in epochs
    obeyed_at: float | None = None


class RunView(Wire):
    """A run as lists and pages show it."""

    id: str
    kind: RunKind
    name: str
    owner: str  # who submitted it; empty: nobody knows, so that everybody may change it
    project_id: int
    project: str
    dataset_id: int | None
    model_id: int | None
    parent_id: str | None
    may_change: bool  # the user of this server: stop, resume, edit, delete it
    state: RunState
    desired_state: DesiredState
    attempt: int  # 0 before the first
    priority: int
    resumable: bool  # queued again, it goes on from what it has; a training without a checkpoint starts anew
    external: bool  # runs in a kernel or shell, not under the executor
    view_only: bool = False  # its folder came from elsewhere: nothing of it is executed until its user claims it
    home: str = ""  # id of the home that holds its folder
    unreachable: bool = False  # its host went silent; whether it lives nobody can say from here
    message: str | None  # why it waits or failed, a sentence
    failure: FailureKind | None
    phase: str | None  # scanning, loading ... while there is one
    created_at: float
    queued_at: float | None = None  # when it began to wait for its next attempt
    started_at: float | None
    ended_at: float | None
    ran: float  # seconds that its ended attempts ran, without the pauses between them
    running_since: float | None  # start of the attempt that lives
    updated_at: float
    revision: int  # grows with each change
    host: str | None
    devices: list[str]  # cuda:0, cpu:0
    step: int
    total_steps: int | None
    epoch: float
    epochs: int | None
    resumed_at_step: int | None
    seconds_left: float | None
    best: BestMetric | None
    latest: dict[str, float | None]  # last value by tag
    model_flavour: str
    lineage: str = ""  # the first run of the tree of forks that it belongs to; empty: it has no parent and no fork
    fork_step: int | None = None  # of a fork: the step at which it left its parent
    fork_epoch: float | None = None  # the same in epochs
    from_best: bool = False  # it began with the best model of its parent, which its own folder holds
    root: str
    batch_size: int | None
    lr: float | None
    notes: str
    tags: list[str] = []  # words that people gave it
    repetition: str = ""  # runs that differ in their seeds alone have the same; empty: it is no training
    archived: bool = False  # left out of lists unless it is asked for
    size: int | None = None  # bytes of its folder, as counted when it last changed; None: not counted yet
    values: dict[str, Any] = {}  # of the columns that a list was asked for: fields of its config, metrics
    changes: list[RunChange] = []  # of its settings, while it trains
    curve: list[float] = []  # of the metric that it watches, where a list was asked for it: at most MAX_CURVE points

    def seconds(self, now: float) -> float | None:
        """How long it has run by now, all attempts together; None: it has not begun yet."""
        if self.running_since is None:
            return self.ran if self.started_at is not None else None
        return self.ran + max(0.0, (self.updated_at if self.unreachable else now) - self.running_since)


class Queued(RunView):
    """A run that was asked for, and what is worth knowing of how.

    made: whether this request has put it into the queue; else the same one had before, whatever it has come to since.
    """

    made: bool
    warnings: list[str] = []


class AttemptView(Wire):
    number: int
    state: RunState
    host: str | None
    pid: int | None
    devices: list[str]
    started_at: float
    ended_at: float | None
    resume_step: int | None
    exit_code: int | None
    failure: FailureKind | None
    message: str | None


class CheckpointView(Wire):
    name: str  # a001-s00001234
    step: int
    epoch: int
    attempt: int
    links: list[str]  # last, best, epoch-0003
    size: int
    created_at: float


class DeviceRequest(Wire):
    """What a run needs. `device`: auto, cuda, cpu, none (it computes nothing), or part of a GPU's name (H100)."""

    device: str
    gpus: int  # where the device is a GPU
    host: str | None  # None: any


class RunDetail(RunView):
    """One run with all that its page shows."""

    config: dict[str, Any]  # empty where the run is no training and has none
    payload: dict[str, Any]  # what a kind other than train was asked to do
    device_request: DeviceRequest
    after: list[str]  # runs that must succeed first
    attempts: list[AttemptView]
    checkpoints: list[CheckpointView]
    series_names: list[str]  # tags of the metrics that it has
    manifest: dict[str, Any] | None  # without what is long: `GET runs/ID/manifest` has all
    folder: str
    data_revision: int | None = None  # of its data set; None: the folders as they are, or corrections from a file
    data_revision_digest: str = ""  # of its corrections; empty: it has none
    later_revisions: list[RevisionView] = []  # of its data set, that came after its own; the newest first, not all
    elsewhere: str | None = None  # a sentence, where the folder lies in another user's home and is not read from here


class RunPage(Wire):
    items: list[RunView]
    total: int  # of the filter, without limit and offset
    counts: dict[RunState, int]  # of the project and the owner, without the filter by state
    owners: list[str]  # all who own a run, of this page or not


class SubmitRequest(Wire):
    """A run to queue. The same `idempotency_key` with the same body gives the same run; with another body 409.

    `config` is needed by a training alone. `device` and `gpus`: as in DeviceRequest, by default what the config says.
    """

    kind: RunKind = RunKind.TRAIN
    config: Values = {}
    payload: Values = {}
    after: list[Id] = Field([], max_length=MAX_AFTER)
    device: Device | None = None
    gpus: int | None = Field(None, ge=1, le=64)
    host: Host | None = None
    name: str | None = Field(None, max_length=MAX_NAME)
    project_id: Whole | None = None
    dataset_id: Whole | None = None
    model_id: Whole | None = None
    parent_id: Id | None = None
    priority: int = Field(0, ge=-1000, le=1000)
    notes: Note = ""
    tags: Tags = []
    idempotency_key: Key | None = None


class ReplicatesRequest(SubmitRequest):
    """Runs of one config that differ by their seed alone: that of the config, and the numbers behind it.

    Name and `idempotency_key` are those of each, with its seed: asked for again, they are the same runs.
    """

    replicates: int = Field(ge=1, le=MAX_REPLICATES, strict=True)  # true and "3" are no numbers of runs


class ClaimedFile(Wire):
    """A file that a run executes. sha256: empty where it cannot be read."""

    path: str
    sha256: str


class ClaimView(Wire):
    """What a run from elsewhere would execute if its user claimed it."""

    run_id: str
    name: str
    kind: RunKind
    folder: str
    python: str  # the interpreter that it would get; the folder's own choice is never taken
    plugins: list[ClaimedFile]
    notebook: ClaimedFile | None
    notebook_folder: str  # where its kernel works, and imports from
    parameters: dict[str, Any]  # of the notebook; of a sweep of notebooks its request
    root: str  # what it reads
    model_flavour: str
    digest: str  # of all this


class ClaimRequest(Wire):
    """The user's word that a run is his own. digest: of the ClaimView that he was shown."""

    digest: str = Field(max_length=64)


class RetrainRequest(Wire):
    """A run from another one's best model.

    revision: of the data set, by default the newest; 0: the folders as they are; fields: settings that it has instead
    of those that are chosen.
    """

    revision: Whole | None = None
    fields: Values = {}
    name: str | None = Field(None, min_length=1, max_length=MAX_NAME)


class ForkRequest(Wire):
    """A run that goes on from a checkpoint of another one.

    at: `last`, `best`, `epoch 12`, `step 340`, or a checkpoint's name; fields: settings that it has otherwise;
    on_schedule: whether the learning rate goes on along the same curve, or begins it anew.
    """

    at: str = Field("last", min_length=1, max_length=MAX_NAME)
    fields: Values = {}
    on_schedule: LrSchedule = "continue"
    name: str | None = Field(None, min_length=1, max_length=MAX_NAME)


class ChangeRequest(Wire):
    """Settings that a run which trains has from its next step on. lr_factor: on its learning rate.

    The same `key` is the same request, which counts once.
    """

    lr_factor: Finite | None = Field(None, gt=0)
    fields: Values = {}
    key: Key | None = None


class ResumeRequest(Wire):
    """How a run goes on: settings that change no result, instead of those that it had."""

    config: Values = {}


class RunEdit(Wire):
    """What is to be changed of a run; None: it stays. tags: all that it has then, before some are added and removed."""

    name: Name | None = None
    notes: Note | None = None
    priority: int | None = Field(None, ge=-1000, le=1000)
    project_id: Whole | None = None
    archived: bool | None = None  # only a run that has ended
    tags: Tags | None = None
    add_tags: Tags = []
    remove_tags: Tags = []


class EditedRun(RunView):
    """A run that was just edited. undo: the edit that gives back what it had."""

    undo: RunEdit


class RunsEdit(Wire):
    """The same edit of several runs."""

    runs: list[Id] = Field(min_length=1, max_length=MAX_CHANGED)
    edit: RunEdit


class RunEdits(Wire):
    """Edits of many runs: at most MAX_CHANGED runs, all edits together. dry_run: only say which would be changed."""

    edits: list[RunsEdit] = Field(min_length=1, max_length=MAX_CHANGED)
    dry_run: bool = False


class RefusedRun(Wire):
    """A run that stays as it is. run: as the request named it; reason: a word for programs, where there is one."""

    run: str
    message: str
    reason: str = ""


class RunsRequest(Wire):
    """Runs by their ids."""

    runs: list[Id] = Field(min_length=1, max_length=MAX_CHANGED)


class ActionRequest(RunsRequest):
    """What many runs are asked to do. dry_run: only say which would be."""

    action: Literal["stop", "kill", "resume"]
    dry_run: bool = False


class ActionReply(Wire):
    """The runs that were asked, or would be, and those that were not, with the reason."""

    changed: list[RunView]
    refused: list[RefusedRun]


class DeleteRequest(RunsRequest):
    """Runs that are to be deleted for good. dry_run: only say what would be."""

    dry_run: bool = False


class Deletion(Wire):
    """What was deleted of some runs, or would be. It cannot be undone.

    freed: bytes; shared: bytes of their files that stay, since other runs have the same files (a run that was continued
    from a deleted one has its model); elsewhere: those of the deleted whose folders another home removes, not counted.
    """

    deleted: list[str]
    refused: list[RefusedRun]
    freed: int
    shared: int
    elsewhere: list[str]
    dry_run: bool


class EditedRuns(Wire):
    """What was changed of many runs, or would be, and what not. undo: what to send to the same route to undo it."""

    changed: list[RunView]
    refused: list[RefusedRun]
    undo: list[RunsEdit]

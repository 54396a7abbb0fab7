"""What travels between store, server, command line (`--json`) and views. The TypeScript types are generated from here.

`python -m imgcls_lab.wire` prints the JSON Schema of all of it, from which `npm run wire` makes
`labextension/src/views/wire.ts`; a test holds the two together. Times are Unix seconds, sizes bytes, shares 0..1.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imgcls_lab.config.evaluation import MonitorMetric
from imgcls_lab.protocol import Desired, FailureKind, RunKind, RunState


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null", protected_namespaces=())


# ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────────
class BestFigure(Wire):
    """The best value of the monitored metric so far."""

    metric: str  # as TrainConfig.monitor_metric: accuracy, macro_f1, loss ...
    value: float
    epoch: int


class RunView(Wire):
    """A run as lists and pages show it."""

    id: str
    kind: RunKind
    name: str
    project_id: int
    project: str
    dataset_id: int | None
    model_id: int | None
    parent_id: str | None
    state: RunState
    desired: Desired
    attempt: int  # 0 before the first
    priority: int
    resumable: bool
    external: bool  # runs in a kernel or shell, not under the executor
    unreachable: bool = False  # its host went silent; whether it lives nobody can say from here
    message: str | None  # why it waits or failed, a sentence
    failure: FailureKind | None
    phase: str | None  # scanning, loading ... while there is one
    created_at: float
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
    best: BestFigure | None
    latest: dict[str, float | None]  # last value by tag
    model_flavour: str
    root: str
    batch_size: int | None
    lr: float | None
    notes: str

    def seconds(self, now: float) -> float | None:
        """How long it has run by now, all attempts together; None: it has not begun yet."""
        if self.running_since is None:
            return self.ran if self.started_at is not None else None
        return self.ran + max(0.0, (self.updated_at if self.unreachable else now) - self.running_since)


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


class DeviceWish(Wire):
    """What a run needs. `device`: auto, cuda, cpu, none (it computes nothing), or part of a GPU's name (H100)."""

    device: str
    gpus: int  # where the device is a GPU
    host: str | None  # None: any


class RunDetail(RunView):
    """One run with all that its page shows."""

    config: dict[str, Any]  # empty where the run is no training and has none
    payload: dict[str, Any]  # what a kind other than train was asked to do
    wish: DeviceWish
    after: list[str]  # runs that must succeed first
    attempts: list[AttemptView]
    checkpoints: list[CheckpointView]
    tags: list[str]  # names of the series it has
    manifest: dict[str, Any] | None
    folder: str


class RunPage(Wire):
    items: list[RunView]
    total: int  # of the filter, without limit and offset
    counts: dict[RunState, int]  # of the project, without the filter by state


class SubmitRequest(Wire):
    """A run to queue. The same `idempotency_key` with the same body gives the same run; with another body 409.

    `config` is needed by a training alone. `device` and `gpus`: as in DeviceWish, by default what the config says.
    """

    kind: RunKind = RunKind.TRAIN
    config: dict[str, Any] = {}
    payload: dict[str, Any] = {}
    after: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field([], max_length=100)
    device: str | None = Field(None, min_length=1, max_length=100)
    gpus: int | None = Field(None, ge=1, le=64)
    host: str | None = Field(None, min_length=1, max_length=255)
    name: str | None = Field(None, max_length=200)
    project_id: int | None = None
    dataset_id: int | None = None
    model_id: int | None = None
    parent_id: str | None = None
    priority: int = Field(0, ge=-1000, le=1000)
    notes: str = Field("", max_length=20_000)
    idempotency_key: str | None = Field(None, min_length=8, max_length=200)


class RunEdit(Wire):
    name: str | None = Field(None, min_length=1, max_length=200)
    notes: str | None = Field(None, max_length=20_000)
    priority: int | None = Field(None, ge=-1000, le=1000)
    project_id: int | None = None


# ── metrics, logs, reports ──────────────────────────────────────────────────────────────────────────────────────
class Series(Wire):
    """Points of one tag of one run, sorted by step. `value` null: not finite. Thinned to min and max where too many."""

    run_id: str
    tag: str
    step: list[int]
    epoch: list[float]
    time: list[float]
    value: list[float | None]
    thinned: bool


class Cursor(Wire):
    """How far a reader of a run has come."""

    attempt: int = 0
    seq: int = 0


class SeriesReply(Wire):
    series: list[Series]
    cursors: dict[str, Cursor]  # by run


class LogChunk(Wire):
    text: str
    offset: int  # byte at which text begins
    end: int  # byte behind it; ask again from here
    size: int  # of the whole log


class ClassFigures(Wire):
    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


class EpochReport(Wire):
    """One evaluation, as the engine writes it to reports/: epoch-0003.json of val/, test.json of the best on test/."""

    epoch: int
    step: int
    split: str
    images: int
    values: dict[str, float | None]
    classes: list[ClassFigures]
    confusion: list[list[int]] | None  # row: true class, column: predicted; null above 200 classes
    left_out: dict[str, str] = {}  # unreadable images of the split: path -> reason


class ClassShare(Wire):
    name: str
    share: float  # probability


class ImagePrediction(Wire):
    """What a model says of one image: its likeliest classes, or why it cannot be read."""

    path: str
    classes: list[ClassShare]
    error: str | None = None


# ── the registries ──────────────────────────────────────────────────────────────────────────────────────────────
Name = Annotated[str, Field(min_length=1, max_length=200)]
Note = Annotated[str, Field(max_length=20_000)]


class ProjectView(Wire):
    id: int
    name: str
    description: str
    created_at: float
    runs: int
    max_running: int | None


class ProjectEdit(Wire):
    """`max_running`: runs on devices at once, on all hosts together; null: no limit; 0: on hold."""

    name: Name
    description: Note = ""
    max_running: int | None = Field(None, ge=0, le=10_000)


class ConfigView(Wire):
    id: int
    name: str
    project_id: int
    project: str
    config: dict[str, Any]
    description: str
    created_at: float
    updated_at: float


class ConfigEdit(Wire):
    name: Name
    config: dict[str, Any]
    project_id: int | None = None
    description: Note = ""


class DatasetView(Wire):
    """A registered folder of images, with what a quick look found (by file names; unreadable files: see the run)."""

    id: int
    name: str
    root: str
    description: str
    created_at: float
    classes: list[str]
    images: dict[str, int]  # by split
    smallest_class: int | None
    largest_class: int | None
    problem: str | None  # a sentence, if it cannot be trained on now


class DatasetEdit(Wire):
    name: Name
    root: str = Field(min_length=1, max_length=4096)
    description: Note = ""


class ModelView(Wire):
    """A registered model: a hub id, a local folder, or a run's best checkpoint."""

    id: int
    name: str
    flavour: str
    revision: str | None
    load_pretrained: bool
    description: str
    created_at: float
    problem: str | None


class ModelEdit(Wire):
    name: Name
    flavour: str = Field(min_length=1, max_length=4096)
    revision: str | None = Field(None, max_length=200)
    load_pretrained: bool = True
    description: Note = ""


# ── notebooks and sweeps ────────────────────────────────────────────────────────────────────────────────────────
Scalar = bool | int | float | str | None
ParameterKind = Literal["int", "float", "str", "bool", "list", "dict", "any"]


class ParameterView(Wire):
    """A parameter that a notebook declares."""

    name: str
    kind: ParameterKind
    optional: bool  # None is a value of it
    default: Any  # null too where `source` is an expression
    source: str  # the default as it stands in the cell
    help: str


class NotebookView(Wire):
    """A notebook as the form of a batch needs it."""

    path: str
    parameters: list[ParameterView]


class NotebookRequest(Wire):
    """A notebook to queue. `path`: as Jupyter's file browser has it, relative to the server's root."""

    path: str = Field(min_length=1, max_length=4096)
    parameters: dict[str, Any] = {}
    name: str | None = Field(None, max_length=200)
    project_id: int | None = None
    device: str | None = Field(None, min_length=1, max_length=100)
    notes: str = Field("", max_length=20_000)
    priority: int = Field(0, ge=-1000, le=1000)
    idempotency_key: str | None = Field(None, min_length=8, max_length=200)


class Choices(Wire):
    """Values that a parameter of a sweep takes."""

    values: list[Scalar]


class Range(Wire):
    """Numbers from `low` to `high`, both included. `log`: evenly over the orders of magnitude; `whole`: integers."""

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = Field(None, gt=0)


Strategy = Literal["grid", "random", "tpe", "asha"]
Pruner = Literal["none", "median", "asha"]


class SweepRequest(Wire):
    """A sweep to queue.

    `base` holds the values that all trials share: of TrainConfig, or with `notebook` of the notebook's parameters.
    The budget is `trials`, `epochs` (of all trials together), or both; a grid needs none.
    """

    base: dict[str, Any]
    space: dict[str, Choices | Range] = Field(min_length=1, max_length=50)
    notebook: str | None = Field(None, max_length=4096)
    strategy: Strategy = "grid"
    pruner: Pruner | None = None  # None: asha for the strategy of that name, else none
    metric: MonitorMetric = "accuracy"
    direction: Literal["auto", "max", "min"] = "auto"
    trials: int | None = Field(None, ge=1, le=10_000)
    epochs: int | None = Field(None, ge=1)
    parallel: int | None = Field(None, ge=1, le=1000)  # trials at once; None: as many as devices allow
    seed: int = Field(0, ge=0, lt=2**32)
    device: str | None = Field(None, min_length=1, max_length=100)
    name: str | None = Field(None, max_length=200)
    project_id: int | None = None
    notes: str = Field("", max_length=20_000)
    priority: int = Field(0, ge=-1000, le=1000)
    idempotency_key: str | None = Field(None, min_length=8, max_length=200)


class CurvePoint(Wire):
    """The metric of a sweep at the end of an epoch."""

    epoch: int
    value: float


class TrialView(Wire):
    """A cell of the matrix. A trial whose run failed, was stopped, was deleted or never began is a hole."""

    number: int
    params: dict[str, Scalar]
    identity: str | None  # hash of config, data and code
    run_id: str | None
    run_name: str | None
    state: Literal["waiting", "queued", "running", "succeeded", "pruned", "failed", "stopped", "missing"]
    hole: bool
    value: float | None  # of the metric, at its best epoch
    curve: list[CurvePoint]
    message: str | None
    device: str | None
    started_at: float | None
    ended_at: float | None
    ran: float | None  # seconds, as RunView's


class SweepView(Wire):
    """A sweep as its page shows it."""

    run_id: str
    name: str
    strategy: Strategy
    pruner: Pruner
    metric: str
    higher_is_better: bool
    notebook: str | None
    space: dict[str, Choices | Range]
    planned: int | None  # trials; None where the budget is in epochs
    epochs_budget: int | None
    epochs_done: float
    trials: list[TrialView]
    best: int | None  # number of the best trial
    importance: dict[str, float]  # share of each parameter; empty while there are too few results
    holes: int


# ── executor ────────────────────────────────────────────────────────────────────────────────────────────────────
class HolderView(Wire):
    """A process that holds memory of a GPU. What cannot be seen from its host's executor is null."""

    pid: int
    name: str | None  # the program, or the module or script that a Python runs
    user: str | None
    memory: int | None
    since: float  # when it was first seen to hold it
    idle_since: float | None  # null: it computes
    run_id: str | None
    run_name: str | None
    notebook: str | None  # path, where it is a kernel of this Jupyter server


class DeviceView(Wire):
    name: str  # cuda:0, cpu:0
    title: str  # GPU 0 · H100
    kind: Literal["cuda", "cpu"]
    host: str
    memory_total: int | None
    memory_used: int | None
    utilisation: float | None  # 0..1
    run_id: str | None
    run_name: str | None
    held_by: str | None  # part of a sentence, where something else holds it, so that no run starts
    holders: list[HolderView]


class ExecutorView(Wire):
    id: str
    host: str
    pid: int
    version: str
    state: Literal["alive", "silent", "stopped"]
    started_at: float
    beat_at: float


class DevicesReply(Wire):
    executors: list[ExecutorView]
    devices: list[DeviceView]
    message: str | None  # a sentence, where no executor lives
    warm_memory: int | None = None  # of the process on the server's host that runs are forked from, if there is one


# ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────────────
AlertKind = Literal["finished", "failed", "lost", "stalled", "disk"]


class AlertView(Wire):
    """Something that a person should hear of once. The webhook gets this, too."""

    id: str
    kind: AlertKind
    text: str  # a sentence
    run_id: str | None
    host: str | None
    created_at: float


# ── TensorBoard ─────────────────────────────────────────────────────────────────────────────────────────────────
MOST_BOARD_RUNS = 200  # that are chosen one by one


class BoardRequest(Wire):
    """A TensorBoard of some runs, of a sweep (its run's id) or of a project."""

    run_ids: list[str] = Field([], max_length=MOST_BOARD_RUNS)
    sweep_id: str | None = None
    project_id: int | None = None


class BoardView(Wire):
    """A TensorBoard and its process: `asleep` frees its memory and starts again when it is opened."""

    id: str
    title: str
    project_id: int | None
    sweep_id: str | None
    run_ids: list[str]
    state: Literal["running", "asleep", "failed"]
    message: str | None
    memory: int | None
    started_at: float | None


# ── the form ────────────────────────────────────────────────────────────────────────────────────────────────────
class SchemaReply(Wire):
    """TrainConfig's JSON Schema, its groups in order, and what a new form starts with."""

    json_schema: dict[str, Any]
    groups: dict[str, str]
    start: dict[str, Any]  # values of the last training, or the demo's, or the defaults
    start_from: str | None  # whose values these are; null: nobody's
    defaults: dict[str, Any]  # what any other data set starts with: TrainConfig's own, no data, a registered model


class FieldProblem(Wire):
    field: str
    message: str


class CheckReply(Wire):
    """What would happen if this config were launched."""

    problems: list[FieldProblem]  # empty: it can be launched
    facts: dict[str, str]  # steps, classes, disk ...: label -> sentence


class ErrorReply(Wire):
    message: str
    problems: list[FieldProblem] = []


class ServerInfo(Wire):
    version: str
    datasets_dir: str
    roots: list[str]
    home: str
    demo_ready: bool


# ── the stream ──────────────────────────────────────────────────────────────────────────────────────────────────
class RunsTopic(Wire):
    """Changed and deleted runs of all projects."""

    kind: Literal["runs"] = "runs"


class MetricsTopic(Wire):
    """New points of some runs."""

    kind: Literal["metrics"] = "metrics"
    run_ids: list[str] = Field(max_length=200)
    since: dict[str, Cursor] = {}


class LogTopic(Wire):
    """New text of one run's log."""

    kind: Literal["log"] = "log"
    run_id: str
    offset: int = Field(0, ge=0)


class DevicesTopic(Wire):
    kind: Literal["devices"] = "devices"


class AlertsTopic(Wire):
    """Alerts from now on; those before are asked for by REST."""

    kind: Literal["alerts"] = "alerts"


Topic = Annotated[RunsTopic | MetricsTopic | LogTopic | DevicesTopic | AlertsTopic, Field(discriminator="kind")]


class Subscribe(Wire):
    op: Literal["subscribe"] = "subscribe"
    id: int  # chosen by the client
    topic: Topic


class Unsubscribe(Wire):
    op: Literal["unsubscribe"] = "unsubscribe"
    id: int


class RunsBatch(Wire):
    kind: Literal["runs"] = "runs"
    changed: list[RunView]
    deleted: list[str]


class MetricsBatch(Wire):
    """New points. `superseded`: drop points of the run with step > this before adding (a resume went back)."""

    kind: Literal["metrics"] = "metrics"
    series: list[Series]
    cursors: dict[str, Cursor]
    superseded: dict[str, int] = {}


class LogBatch(Wire):
    kind: Literal["log"] = "log"
    run_id: str
    chunk: LogChunk


class DevicesBatch(Wire):
    kind: Literal["devices"] = "devices"
    devices: DevicesReply


class AlertsBatch(Wire):
    kind: Literal["alerts"] = "alerts"
    alerts: list[AlertView]


Batch = Annotated[RunsBatch | MetricsBatch | LogBatch | DevicesBatch | AlertsBatch, Field(discriminator="kind")]


class StreamMessage(Wire):
    """Server to client: a batch for a subscription, or why there is none."""

    id: int
    batch: Batch | None = None
    error: str | None = None


class WireTypes(Wire):
    """All of the above, so that one schema names each."""

    run: RunDetail
    page: RunPage
    submit: SubmitRequest
    run_edit: RunEdit
    series: SeriesReply
    log: LogChunk
    report: EpochReport
    project: ProjectView
    project_edit: ProjectEdit
    config: ConfigView
    config_edit: ConfigEdit
    dataset: DatasetView
    dataset_edit: DatasetEdit
    model: ModelView
    model_edit: ModelEdit
    notebook: NotebookView
    notebook_request: NotebookRequest
    sweep_request: SweepRequest
    sweep: SweepView
    devices: DevicesReply
    alert: AlertView
    board: BoardView
    board_request: BoardRequest
    form: SchemaReply
    check: CheckReply
    error: ErrorReply
    info: ServerInfo
    subscribe: Subscribe
    unsubscribe: Unsubscribe
    message: StreamMessage


if __name__ == "__main__":
    print(json.dumps(WireTypes.model_json_schema(mode="serialization"), indent=1))

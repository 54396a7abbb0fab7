"""`python -m imgcls_lab.schemas`: the JSON Schema of all wire types and the shared constants, for `npm run schemas`."""

from __future__ import annotations

import json

from imgcls_lab.schemas.audit import AuditEventView
from imgcls_lab.schemas.audits import AuditRequest, AuditView, MapView, ProblemPage
from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.batches import NotebookRequest, NotebookView, SweepRequest, SweepView
from imgcls_lab.schemas.comparison import ComparisonView, ImageChanges
from imgcls_lab.schemas.constants import CONSTANTS
from imgcls_lab.schemas.evaluations import (
    ClassCurves,
    EvaluatedPage,
    EvaluatedQuery,
    EvaluationView,
    FlipsView,
    ImageDetail,
    InferenceView,
    TriedImage,
)
from imgcls_lab.schemas.executor import AlertIds, AlertView, DevicesReply, LoadReply
from imgcls_lab.schemas.forms import CheckReply, ErrorReply, ForkPreview, SchemaReply, ServerInfo, SweepCheck
from imgcls_lab.schemas.images import DatasetDetail, FolderPage, ImagePage
from imgcls_lab.schemas.jobs import ArchiveView, JobView, ProjectArchiveRequest, ProjectImportRequest
from imgcls_lab.schemas.models import CachedModel, CheckpointModel, ExportRequest, ModelEdit, ModelView
from imgcls_lab.schemas.projects import ProjectDeleteRequest, ProjectDeletion, ProjectDetail
from imgcls_lab.schemas.proofs import BisectionReply, BisectRequest, ProofView, VerifyRequest
from imgcls_lab.schemas.recording import CodeRequest, PythonCode
from imgcls_lab.schemas.registry import (
    ConfigEdit,
    ConfigVersionView,
    ConfigView,
    DatasetEdit,
    DatasetView,
    MemberRequest,
    ProjectEdit,
    ProjectView,
)
from imgcls_lab.schemas.revisions import RevisionDiff, RevisionEdit, RevisionView
from imgcls_lab.schemas.run_contents import CodeChanges, FreedSpace, LogMatches, RunFiles, RunManifest, StartPhase
from imgcls_lab.schemas.run_lists import (
    RunColumns,
    RunGroups,
    RunIdList,
    SavedViewCount,
    SavedViewEdit,
    SavedViewView,
)
from imgcls_lab.schemas.runs import (
    ActionReply,
    ActionRequest,
    ChangeRequest,
    ClaimRequest,
    ClaimView,
    DeleteRequest,
    Deletion,
    EditedRun,
    EditedRuns,
    ForkRequest,
    Queued,
    ReplicatesRequest,
    ResumeRequest,
    RunDetail,
    RunEdits,
    RunPage,
    SubmitRequest,
)
from imgcls_lab.schemas.series import EpochReport, LogChunk, SeriesReply, StaticCell
from imgcls_lab.schemas.storage import FreeRequest, StorageView
from imgcls_lab.schemas.stream import StreamMessage, Subscribe, Unsubscribe
from imgcls_lab.schemas.tensorboards import BoardRequest, BoardView
from imgcls_lab.schemas.users import UserEdit, UserView


class WireTypes(Wire):
    """All wire types, so that one schema names each."""

    run: RunDetail
    page: RunPage
    comparison: ComparisonView
    image_changes: ImageChanges
    submit: SubmitRequest
    replicates: ReplicatesRequest
    resume: ResumeRequest
    fork: ForkRequest
    fork_preview: ForkPreview
    verify: VerifyRequest
    proof: ProofView
    bisect: BisectRequest
    bisection: BisectionReply
    change: ChangeRequest
    claim: ClaimView
    claim_request: ClaimRequest
    columns: RunColumns
    action: ActionRequest
    action_reply: ActionReply
    delete: DeleteRequest
    deletion: Deletion
    ids: RunIdList
    groups: RunGroups
    saved_view: SavedViewView
    saved_view_count: SavedViewCount
    saved_view_edit: SavedViewEdit
    edited: EditedRun
    edits: RunEdits
    edited_runs: EditedRuns
    series: SeriesReply
    log: LogChunk
    report: EpochReport
    static_cell: StaticCell
    log_matches: LogMatches
    run_files: RunFiles
    run_manifest: RunManifest
    code_changes: CodeChanges
    start_phase: StartPhase
    freed: FreedSpace
    project: ProjectView
    project_edit: ProjectEdit
    project_detail: ProjectDetail
    project_delete: ProjectDeleteRequest
    project_deletion: ProjectDeletion
    archive: ArchiveView
    project_archive: ProjectArchiveRequest
    project_import: ProjectImportRequest
    job: JobView
    member: MemberRequest
    config: ConfigView
    config_edit: ConfigEdit
    config_version: ConfigVersionView
    dataset: DatasetView
    dataset_edit: DatasetEdit
    model: ModelView
    cached_model: CachedModel
    checkpoint_model: CheckpointModel
    export: ExportRequest
    model_edit: ModelEdit
    notebook: NotebookView
    notebook_request: NotebookRequest
    queued: Queued
    sweep_request: SweepRequest
    sweep: SweepView
    devices: DevicesReply
    alert: AlertView
    alert_ids: AlertIds
    load: LoadReply
    storage: StorageView
    free: FreeRequest
    event: AuditEventView
    board: BoardView
    board_request: BoardRequest
    form: SchemaReply
    check: CheckReply
    error: ErrorReply
    info: ServerInfo
    user: UserView
    user_edit: UserEdit
    subscribe: Subscribe
    unsubscribe: Unsubscribe
    message: StreamMessage
    image_page: ImagePage
    dataset_detail: DatasetDetail
    folders: FolderPage
    evaluated: EvaluatedPage
    evaluated_query: EvaluatedQuery
    evaluation: EvaluationView
    class_curves: ClassCurves
    image: ImageDetail
    flips: FlipsView
    tried: TriedImage
    inference: InferenceView
    audit_request: AuditRequest
    audit: AuditView
    problems: ProblemPage
    map: MapView
    revision_edit: RevisionEdit
    revision: RevisionView
    revision_diff: RevisionDiff
    sweep_check: SweepCheck
    code_request: CodeRequest
    code: PythonCode


if __name__ == "__main__":
    types = WireTypes.model_json_schema(mode="serialization")
    print(json.dumps({"types": types, "constants": CONSTANTS}, indent=1))

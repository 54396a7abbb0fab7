"""What travels between store, server, command line (`--json`) and views; each module here is one subject of it.

`python -m imgcls_lab.schemas` prints the JSON Schema of all of it, from which `npm run schemas` makes
`labextension/src/views/data/schemas.ts`; a test holds the two together.
Times are Unix seconds, sizes bytes, fractions 0..1.
"""

from imgcls_lab.schemas.audit import AuditEventView, Way
from imgcls_lab.schemas.audits import (
    AuditRequest,
    AuditView,
    MapView,
    ProblemKind,
    ProblemPage,
    ProblemView,
)
from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.batches import (
    BracketView,
    Choices,
    CurvePoint,
    DerivedView,
    NotebookRequest,
    NotebookView,
    ParameterKind,
    ParameterView,
    Pruner,
    Range,
    ReplicateView,
    RungView,
    Scalar,
    Strategy,
    SweepRequest,
    SweepView,
    TrialView,
)
from imgcls_lab.schemas.calibration import Abstention, Answered, Calibration, ReliabilityBin, ThresholdCurve
from imgcls_lab.schemas.comparison import (
    ChangedImage,
    ComparedField,
    ComparedPart,
    ComparisonView,
    ImageChanges,
)
from imgcls_lab.schemas.evaluations import (
    ClassCurves,
    ClassRow,
    ConfusionCell,
    EpochOfImage,
    EvaluatedImage,
    EvaluatedPage,
    EvaluatedQuery,
    EvaluationView,
    Flip,
    FlipsView,
    ImageDetail,
    InferencePhase,
    InferenceView,
    LearningGroup,
    Neighbour,
    OtherRun,
    TriedImage,
)
from imgcls_lab.schemas.executor import (
    AlertIds,
    AlertKind,
    AlertView,
    ClusterTotals,
    ClusterView,
    DevicesReply,
    DeviceView,
    ExecutorView,
    HolderView,
    HostLoad,
    LoadReply,
    LoadSeries,
    NodeRun,
    NodeView,
)
from imgcls_lab.schemas.forms import (
    CheckReply,
    CheckRequest,
    ErrorReply,
    FieldProblem,
    ForkPreview,
    LaunchEstimate,
    LrCurve,
    RateCurve,
    SchemaReply,
    ServerInfo,
    StepCounts,
    SweepCheck,
    VersionsRequest,
)
from imgcls_lab.schemas.images import (
    ClassCounts,
    DatasetDetail,
    FolderEntry,
    FolderPage,
    ImagePage,
    ImageView,
    SizeBin,
    SplitName,
    ThumbnailSize,
)
from imgcls_lab.schemas.jobs import (
    ArchiveView,
    JobKind,
    JobState,
    JobView,
    KeptCheckpoints,
    ProjectArchiveRequest,
    ProjectImportRequest,
)
from imgcls_lab.schemas.limits import Name, Note
from imgcls_lab.schemas.models import (
    CachedModel,
    CheckpointModel,
    ExportForm,
    ExportRequest,
    MadeBy,
    ModelEdit,
    ModelFacts,
    ModelPlace,
    ModelView,
)
from imgcls_lab.schemas.projects import (
    DayCount,
    ProjectDeleteRequest,
    ProjectDeletion,
    ProjectDetail,
    ProjectExport,
    ProjectImport,
)
from imgcls_lab.schemas.proofs import (
    Bisection,
    BisectionReply,
    BisectRequest,
    Certificate,
    Difference,
    ProofView,
    VerifyRequest,
)
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
from imgcls_lab.schemas.revisions import (
    ChangeEdit,
    ChangeView,
    RevisionDiff,
    RevisionEdit,
    RevisionView,
)
from imgcls_lab.schemas.run_contents import (
    FileKind,
    FreedSpace,
    LogMatch,
    LogMatches,
    RunFile,
    RunFiles,
    RunManifest,
    StartPhase,
)
from imgcls_lab.schemas.run_lists import (
    ColumnKind,
    ColumnView,
    GroupKind,
    ListView,
    RunColumns,
    RunGroup,
    RunGroups,
    RunIdList,
    RunRow,
    SavedViewCount,
    SavedViewEdit,
    SavedViewView,
    TagCount,
)
from imgcls_lab.schemas.runs import (
    ActionReply,
    ActionRequest,
    AttemptView,
    BestMetric,
    ChangeRequest,
    CheckpointView,
    ClaimedFile,
    ClaimRequest,
    ClaimView,
    DeleteRequest,
    Deletion,
    DeviceRequest,
    EditedRun,
    EditedRuns,
    ForkRequest,
    Queued,
    RefusedRun,
    ReplicatesRequest,
    ResumeRequest,
    RetrainRequest,
    RunChange,
    RunDetail,
    RunEdit,
    RunEdits,
    RunPage,
    RunsEdit,
    RunView,
    SubmitRequest,
)
from imgcls_lab.schemas.series import (
    ClassFigures,
    ClassProb,
    Cursor,
    EpochReport,
    ImagePrediction,
    LogChunk,
    Series,
    SeriesReply,
    StaticCell,
)
from imgcls_lab.schemas.storage import DiskView, FreeRequest, StorageKind, StoragePart, StorageView
from imgcls_lab.schemas.stream import (
    AlertsBatch,
    AlertsTopic,
    Batch,
    DevicesBatch,
    DevicesTopic,
    LogBatch,
    LogTopic,
    MetricsBatch,
    MetricsTopic,
    RunsBatch,
    RunsTopic,
    StreamMessage,
    Subscribe,
    Topic,
    Unsubscribe,
)
from imgcls_lab.schemas.tensorboards import BoardRequest, BoardView, RunIds
from imgcls_lab.schemas.users import UserEdit, UserView

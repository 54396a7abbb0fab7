// What a source can be asked for and told to do: each query and command with its arguments and its answer.
import type {
  TrainConfig,
  RunsQuery,
  SeriesQuery,
  DatasetImagesQuery,
  ProblemsQuery,
  EvaluationQuery,
  RunImagesQuery,
  Registries,
  RegistryName,
} from './asked';
import type {
  ActionReply,
  ActionRequest,
  AlertIds,
  Alert,
  Archive,
  AuditEvent,
  AuditRequest,
  Audit,
  BisectionReply,
  BisectRequest,
  BoardRequest,
  Board,
  CachedModel,
  ChangeRequest,
  CheckpointModel,
  CheckReply,
  Claim,
  CodeRequest,
  Comparison,
  ClassCurves,
  CodeChanges,
  ConfigVersion,
  Config,
  DatasetDetail,
  DeleteRequest,
  Deletion,
  Dataset,
  DevicesReply,
  EditedRun,
  EditedRuns,
  EpochReport,
  EvaluatedPage,
  Evaluation,
  ExportRequest,
  Flips,
  FolderPage,
  ForkPreview,
  ForkRequest,
  FreedSpace,
  FreeRequest,
  ImageDetail,
  ImageChanges,
  ImagePage,
  Inference,
  Job,
  LoadReply,
  LogChunk,
  LogMatches,
  Map as FeatureMap,
  Model,
  NotebookRequest,
  Notebook,
  ProblemPage,
  PythonCode,
  ProjectDeletion,
  ProjectArchiveRequest,
  ProjectDetail,
  ProjectImportRequest,
  Project,
  Proof,
  Queued,
  ReplicatesRequest,
  RevisionDiff,
  RevisionEdit,
  Revision,
  RunColumns,
  RunGroups,
  RunDetail,
  RunEdit,
  RunFiles,
  RunManifest,
  RunEdits,
  RunPage,
  Run,
  SchemaReply,
  SeriesReply,
  ServerInfo,
  StartPhase,
  StaticCell,
  Storage,
  SubmitRequest,
  SweepCheck,
  SweepRequest,
  SavedView,
  SavedViewCount,
  SavedViewEdit,
  Sweep,
  TriedImage,
  VerifyRequest,
} from './types';

export type Params = {
  info: Record<string, never>;
  schema: Record<string, never>;
  check: { config: TrainConfig };
  /** A request that is about to be sent, in Python. */
  code: CodeRequest;
  /** What a sweep would try, as it is typed. */
  sweepCheck: SweepRequest;
  runs: RunsQuery;
  /** The list folded; `group`: kinds of groups, with commas. */
  runGroups: RunsQuery & { group: string };
  /** Which columns a list of runs can have, and the tags that runs have. */
  runColumns: Record<string, never>;
  /** The lists of runs that the user has saved. */
  views: Record<string, never>;
  /** How many runs each of them finds. */
  viewCounts: Record<string, never>;
  run: { id: string };
  claim: { id: string };
  series: SeriesQuery;
  /** In what runs differ; those that are gone are named in the answer. */
  comparison: { run_ids: string[] };
  log: { id: string; offset?: number; limit?: number; node?: number };
  /** Lines of a run's whole log that hold a text; of a further node's where one is given. */
  logSearch: { id: string; q: string; node?: number };
  /** What the starts of a run's attempts took. */
  startPhases: { id: string };
  runFiles: { id: string };
  /** All that a run recorded before its first step; its details have the short part of it. */
  manifest: { id: string };
  /** What the code of a run has otherwise than that of another. */
  codeChanges: { id: string; against: string };
  report: { id: string; epoch?: number; split?: 'val' | 'test' };
  /** What a notebook keeps of a run's cell. */
  staticCell: { id: string };
  evaluation: EvaluationQuery;
  evaluated: RunImagesQuery;
  curves: EvaluationQuery & { label: string };
  image: { id: string; image: string; split?: string; epoch?: number };
  /** `against`: another run; without it the parent. */
  flips: { id: string; against?: string; split?: string };
  /** Which images a run has otherwise than another. */
  imageChanges: { id: string; against: string };
  devices: Record<string, never>;
  /** Load and memory of machines and devices over the last hour. */
  load: Record<string, never>;
  /** What the home takes on its disks. */
  storage: Record<string, never>;
  /** What the server works at, and what has ended lately. */
  jobs: Record<string, never>;
  job: { id: string };
  /** Files of projects on the server. */
  archives: Record<string, never>;
  alerts: { limit?: number };
  events: { run?: string; user?: string; since?: number; limit?: number };
  tensorboards: Record<string, never>;
  notebook: { path: string };
  sweep: { id: string };
  /** All versions of a saved config, the newest first. */
  configVersions: { id: number };
  project: { id: number };
  /** What the deletion of a project with all that is in it would be. */
  projectDeletion: { id: number };
  dataset: { id: number; revision?: number };
  datasetImages: DatasetImagesQuery;
  audit: { id: number };
  problems: ProblemsQuery;
  map: { id: number };
  revisions: { id: number };
  revision: { id: number; number: number; against?: number };
  /** What the newest revision changes against what a run trained with. */
  correctionsSince: { id: string };
  /** The tree of forks that a run belongs to. */
  lineage: { id: string };
  /** The learning rate that a fork would have. */
  forkPreview: { id: string } & ForkRequest;
  /** The certificate of a run, and the task that computes it again. */
  verification: { id: string };
  /** Where two runs part, and the task that searches for it. */
  bisection: { id: string } & BisectRequest;
  /** What the process that applies models to single images does. */
  inference: Record<string, never>;
  /** `id`: what a `FolderEntry` has; without it the allowed roots, `of` data sets or of models, too. */
  folders: { id?: string; of?: 'models' };
  /** A folder by its path in the host's file browser. */
  folderAt: { path: string };
  /** The models for images in the hub's cache on the server's machine. */
  cachedModels: Record<string, never>;
} & { [S in RegistryName]: Record<string, never> };

export type Result = {
  info: ServerInfo;
  schema: SchemaReply;
  check: CheckReply;
  code: PythonCode;
  sweepCheck: SweepCheck;
  runs: RunPage;
  runGroups: RunGroups;
  runColumns: RunColumns;
  views: SavedView[];
  viewCounts: SavedViewCount[];
  run: RunDetail;
  claim: Claim;
  series: SeriesReply;
  comparison: Comparison;
  log: LogChunk;
  logSearch: LogMatches;
  startPhases: StartPhase[];
  runFiles: RunFiles;
  manifest: RunManifest;
  codeChanges: CodeChanges;
  report: EpochReport;
  staticCell: StaticCell;
  evaluation: Evaluation;
  evaluated: EvaluatedPage;
  curves: ClassCurves;
  image: ImageDetail;
  flips: Flips;
  imageChanges: ImageChanges;
  devices: DevicesReply;
  load: LoadReply;
  storage: Storage;
  jobs: Job[];
  job: Job;
  archives: Archive[];
  alerts: Alert[];
  events: AuditEvent[];
  tensorboards: Board[];
  notebook: Notebook;
  sweep: Sweep;
  configVersions: ConfigVersion[];
  project: ProjectDetail;
  projectDeletion: ProjectDeletion;
  dataset: DatasetDetail;
  datasetImages: ImagePage;
  audit: Audit;
  problems: ProblemPage;
  map: FeatureMap;
  revisions: Revision[];
  revision: RevisionDiff;
  correctionsSince: RevisionDiff;
  lineage: Run[];
  forkPreview: ForkPreview;
  verification: Proof;
  bisection: BisectionReply;
  inference: Inference;
  folders: FolderPage;
  folderAt: FolderPage;
  cachedModels: CachedModel[];
} & { [S in RegistryName]: Registries[S]['item'][] };

export type Args = {
  submit: SubmitRequest;
  /** Runs that differ by their seed: all of them or none. */
  submitReplicates: ReplicatesRequest;
  runNotebook: NotebookRequest;
  sweep: SweepRequest;
  /** Try how fast a config trains. */
  trial: { config: TrainConfig };
  stop: { id: string };
  kill: { id: string };
  resume: { id: string; config?: TrainConfig };
  claim: { id: string; digest: string };
  /** Train again from the run's best checkpoint, on a revision of its data set. */
  retrain: { id: string; revision: number };
  /** Go on from one of its checkpoints, with some settings changed. */
  fork: { id: string } & ForkRequest;
  /** Compute steps of a run again, by a task that is queued. */
  verify: { id: string } & VerifyRequest;
  bisect: { id: string } & BisectRequest;
  /** Change settings while it waits or trains. */
  change: { id: string } & ChangeRequest;
  /** What the run's best model says of a file that the page has. */
  predict: { id: string; name: string; file: Blob };
  'runs.edit': { id: string; edit: RunEdit };
  /** At most MAX_CHANGED runs; the answer says what stays as it is, and how the rest is undone. */
  'runs.editMany': RunEdits;
  'runs.delete': { id: string };
  /** Delete a checkpoint of a run that has ended, by its name. */
  'checkpoints.delete': { id: string; name: string };
  /** `dry_run`: only say what would be. */
  'runs.deleteMany': DeleteRequest;
  'runs.act': ActionRequest;
  'views.add': { edit: SavedViewEdit };
  'views.edit': { id: number; edit: SavedViewEdit };
  'views.delete': { id: number };
  demo: Record<string, never>;
  'executor.start': Record<string, never>;
  /** End the executor of the server's machine; its runs go on. */
  'executor.stop': Record<string, never>;
  'storage.free': FreeRequest;
  'jobs.cancel': { id: string };
  'alerts.dismiss': AlertIds;
  'alerts.restore': AlertIds;
  'tensorboards.open': Partial<BoardRequest>;
  'tensorboards.choose': { id: string; run_ids: string[] };
  'tensorboards.stop': { id: string };
  'tensorboards.restart': { id: string };
  'tensorboards.delete': { id: string };
  /** Register a checkpoint of a run. */
  'models.register': CheckpointModel;
  /** Write a model for other programs, by a run that is queued. */
  export: ExportRequest;
  'datasets.rescan': { id: number };
  'audits.start': { id: number; request: AuditRequest };
  'audits.cancel': { id: number };
  'revisions.add': { id: number; edit: RevisionEdit };
  /** A new revision that takes back what revision `number` changed. */
  'revisions.undo': { id: number; number: number };
  /** Make an older version of a config the newest. */
  'configs.restore': { id: number; number: number };
  'projects.join': { id: number; user: string };
  'projects.leave': { id: number; user: string };
  /** Write a project into a file on the server. */
  'projects.export': { id: number } & ProjectArchiveRequest;
  /** A file that the page has. */
  'archives.upload': { name: string; file: Blob };
  'archives.import': ProjectImportRequest;
  'archives.delete': { id: string };
  /** Delete a project with its runs and configs. */
  'projects.deleteAll': { id: number };
} & { [S in RegistryName as `${S}.add`]: { edit: Registries[S]['edit'] } } & {
  [S in RegistryName as `${S}.edit`]: { id: number; edit: Registries[S]['edit'] };
} & { [S in RegistryName as `${S}.delete`]: { id: number } };

export type Reply = {
  submit: Queued;
  /** In the order of their seeds. */
  submitReplicates: Queued[];
  runNotebook: Queued;
  sweep: Queued;
  trial: Run;
  stop: Run;
  kill: Run;
  resume: Run;
  claim: Run;
  retrain: Queued;
  fork: Queued;
  verify: Run;
  bisect: Run;
  change: Run;
  predict: TriedImage;
  'runs.edit': EditedRun;
  'runs.editMany': EditedRuns;
  'checkpoints.delete': FreedSpace;
  'runs.delete': Deletion;
  'runs.deleteMany': Deletion;
  'runs.act': ActionReply;
  'views.add': SavedView;
  'views.edit': SavedView;
  'views.delete': void;
  demo: unknown;
  'executor.start': DevicesReply;
  'executor.stop': DevicesReply;
  'storage.free': Job;
  'jobs.cancel': Job;
  /** Those that were not so before: what an undo takes back. */
  'alerts.dismiss': AlertIds;
  'alerts.restore': AlertIds;
  'tensorboards.open': Board;
  'tensorboards.choose': Board;
  'tensorboards.stop': Board;
  'tensorboards.restart': Board;
  'tensorboards.delete': void;
  'models.register': Model;
  export: Run;
  'datasets.rescan': Dataset;
  'audits.start': Audit;
  'audits.cancel': Audit;
  'revisions.add': Revision;
  'revisions.undo': Revision;
  'configs.restore': Config;
  'projects.join': Project;
  'projects.leave': Project;
  'projects.export': Job;
  'archives.upload': Archive;
  'archives.import': Job;
  'archives.delete': void;
  'projects.deleteAll': ProjectDeletion;
} & { [S in RegistryName as `${S}.add`]: Registries[S]['item'] } & {
  [S in RegistryName as `${S}.edit`]: Registries[S]['item'];
} & { [S in RegistryName as `${S}.delete`]: void };

export type Query = keyof Params;
export type Command = keyof Args;

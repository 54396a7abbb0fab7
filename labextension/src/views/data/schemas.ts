// Made by `npm run schemas` from imgcls_lab/schemas/; edit that.

export type RunKind = 'train' | 'notebook' | 'sweep' | 'task';
/**
 * The state of a run. `store/states.py` says who may change it.
 */
export type RunState =
  'queued' | 'starting' | 'running' | 'stopping' | 'stopped' | 'succeeded' | 'failed' | 'cancelled' | 'lost';
/**
 * What the user wants a run to do.
 */
export type DesiredState = 'run' | 'stop' | 'kill';
export type FailureKind = 'application' | 'out_of_memory' | 'disk_full' | 'diverged' | 'lost';
export type RunKind1 = 'train' | 'notebook' | 'sweep' | 'task';
export type RunKind2 = 'train' | 'notebook' | 'sweep' | 'task';

/**
 * All wire types, so that one schema names each.
 */
export interface WireTypes {
  run: RunDetail;
  page: RunPage;
  comparison: Comparison;
  image_changes: ImageChanges;
  submit: SubmitRequest;
  replicates: ReplicatesRequest;
  resume: ResumeRequest;
  fork: ForkRequest;
  fork_preview: ForkPreview;
  verify: VerifyRequest;
  proof: Proof;
  bisect: BisectRequest;
  bisection: BisectionReply;
  change: ChangeRequest;
  claim: Claim;
  claim_request: ClaimRequest;
  columns: RunColumns;
  action: ActionRequest;
  action_reply: ActionReply;
  delete: DeleteRequest;
  deletion: Deletion;
  ids: RunIdList;
  groups: RunGroups;
  saved_view: SavedView;
  saved_view_count: SavedViewCount;
  saved_view_edit: SavedViewEdit;
  edited: EditedRun;
  edits: RunEdits;
  edited_runs: EditedRuns;
  series: SeriesReply;
  log: LogChunk;
  report: EpochReport;
  static_cell: StaticCell;
  log_matches: LogMatches;
  run_files: RunFiles;
  run_manifest: RunManifest;
  code_changes: CodeChanges;
  start_phase: StartPhase;
  freed: FreedSpace;
  project: Project;
  project_edit: ProjectEdit;
  project_detail: ProjectDetail;
  project_delete: ProjectDeleteRequest;
  project_deletion: ProjectDeletion;
  archive: Archive;
  project_archive: ProjectArchiveRequest;
  project_import: ProjectImportRequest;
  job: Job;
  member: MemberRequest;
  config: Config;
  config_edit: ConfigEdit;
  config_version: ConfigVersion;
  dataset: Dataset;
  dataset_edit: DatasetEdit;
  model: Model;
  cached_model: CachedModel;
  checkpoint_model: CheckpointModel;
  export: ExportRequest;
  model_edit: ModelEdit;
  notebook: Notebook;
  notebook_request: NotebookRequest;
  queued: Queued;
  sweep_request: SweepRequest;
  sweep: Sweep;
  devices: DevicesReply;
  alert: Alert;
  alert_ids: AlertIds;
  load: LoadReply;
  storage: Storage;
  free: FreeRequest;
  event: AuditEvent;
  board: Board;
  board_request: BoardRequest;
  form: SchemaReply;
  check: CheckReply;
  error: ErrorReply;
  info: ServerInfo;
  user: User;
  user_edit: UserEdit;
  subscribe: Subscribe;
  unsubscribe: Unsubscribe;
  message: StreamMessage;
  image_page: ImagePage;
  dataset_detail: DatasetDetail;
  folders: FolderPage;
  evaluated: EvaluatedPage;
  evaluated_query: EvaluatedQuery;
  evaluation: Evaluation;
  class_curves: ClassCurves;
  image: ImageDetail;
  flips: Flips;
  tried: TriedImage;
  inference: Inference;
  audit_request: AuditRequest;
  audit: Audit;
  problems: ProblemPage;
  map: Map;
  revision_edit: RevisionEdit;
  revision: Revision;
  revision_diff: RevisionDiff;
  sweep_check: SweepCheck;
  code_request: CodeRequest;
  code: PythonCode;
}
/**
 * One run with all that its page shows.
 */
export interface RunDetail {
  id: string;
  kind: RunKind;
  name: string;
  owner: string;
  project_id: number;
  project: string;
  dataset_id: number | null;
  model_id: number | null;
  parent_id: string | null;
  may_change: boolean;
  state: RunState;
  desired_state: DesiredState;
  attempt: number;
  priority: number;
  resumable: boolean;
  external: boolean;
  view_only?: boolean;
  home?: string;
  unreachable?: boolean;
  message: string | null;
  failure: FailureKind | null;
  phase: string | null;
  created_at: number;
  queued_at?: number | null;
  started_at: number | null;
  ended_at: number | null;
  ran: number;
  running_since: number | null;
  updated_at: number;
  revision: number;
  host: string | null;
  devices: string[];
  step: number;
  total_steps: number | null;
  epoch: number;
  epochs: number | null;
  resumed_at_step: number | null;
  seconds_left: number | null;
  best: BestMetric | null;
  latest: {
    [k: string]: number | null;
  };
  model_flavour: string;
  lineage?: string;
  fork_step?: number | null;
  fork_epoch?: number | null;
  from_best?: boolean;
  root: string;
  batch_size: number | null;
  lr: number | null;
  notes: string;
  tags?: string[];
  repetition?: string;
  archived?: boolean;
  size?: number | null;
  values?: {
    [k: string]: unknown;
  };
  changes?: RunChange[];
  curve?: number[];
  config: {
    [k: string]: unknown;
  };
  payload: {
    [k: string]: unknown;
  };
  device_request: DeviceRequest;
  after: string[];
  attempts: Attempt[];
  checkpoints: Checkpoint[];
  series_names: string[];
  manifest: {
    [k: string]: unknown;
  } | null;
  folder: string;
  data_revision?: number | null;
  data_revision_digest?: string;
  later_revisions?: Revision[];
  elsewhere?: string | null;
}
/**
 * The best value of the monitored metric so far.
 */
export interface BestMetric {
  metric: string;
  value: number;
  epoch: number;
}
/**
 * A setting that was changed while the run trains.
 *
 * number: from 1, in the order in which they were asked for; key: of the request; step: optimizer steps after which
 * it was obeyed, None: it was not yet.
 */
export interface RunChange {
  number: number;
  field: string;
  old: number | null;
  new: number | null;
  asked_at?: number | null;
  asked_by?: string;
  key?: string;
  step?: number | null;
  epoch?: number | null;
  obeyed_at?: number | null;
}
/**
 * What a run needs. `device`: auto, cuda, cpu, none (it computes nothing), or part of a GPU's name (H100).
 */
export interface DeviceRequest {
  device: string;
  gpus: number;
  host: string | null;
}
export interface Attempt {
  number: number;
  state: RunState;
  host: string | null;
  pid: number | null;
  devices: string[];
  started_at: number;
  ended_at: number | null;
  resume_step: number | null;
  exit_code: number | null;
  failure: FailureKind | null;
  message: string | null;
}
export interface Checkpoint {
  name: string;
  step: number;
  epoch: number;
  attempt: number;
  links: string[];
  size: number;
  created_at: number;
}
/**
 * A revision. Number 0, the folders as they are, is never listed.
 *
 * files: that its changes concern, more than images where there are copies; notes: sentences about it, in the answer
 * to the request that made it.
 */
export interface Revision {
  relabelled: number;
  excluded: number;
  restored: number;
  number: number;
  parent: number;
  digest: string;
  author: string;
  created_at: number;
  message: string;
  files: number;
  total: number;
  runs: number;
  notes?: string[];
}
export interface RunPage {
  items: Run[];
  total: number;
  counts: {
    [k: string]: number;
  };
  owners: string[];
}
/**
 * A run as lists and pages show it.
 */
export interface Run {
  id: string;
  kind: RunKind;
  name: string;
  owner: string;
  project_id: number;
  project: string;
  dataset_id: number | null;
  model_id: number | null;
  parent_id: string | null;
  may_change: boolean;
  state: RunState;
  desired_state: DesiredState;
  attempt: number;
  priority: number;
  resumable: boolean;
  external: boolean;
  view_only?: boolean;
  home?: string;
  unreachable?: boolean;
  message: string | null;
  failure: FailureKind | null;
  phase: string | null;
  created_at: number;
  queued_at?: number | null;
  started_at: number | null;
  ended_at: number | null;
  ran: number;
  running_since: number | null;
  updated_at: number;
  revision: number;
  host: string | null;
  devices: string[];
  step: number;
  total_steps: number | null;
  epoch: number;
  epochs: number | null;
  resumed_at_step: number | null;
  seconds_left: number | null;
  best: BestMetric | null;
  latest: {
    [k: string]: number | null;
  };
  model_flavour: string;
  lineage?: string;
  fork_step?: number | null;
  fork_epoch?: number | null;
  from_best?: boolean;
  root: string;
  batch_size: number | null;
  lr: number | null;
  notes: string;
  tags?: string[];
  repetition?: string;
  archived?: boolean;
  size?: number | null;
  values?: {
    [k: string]: unknown;
  };
  changes?: RunChange[];
  curve?: number[];
}
/**
 * Runs beside each other, in the order in which they were named.
 *
 * missing: ids that no run has (any more). unrecorded: runs that have recorded no environment yet, or whose folder
 * cannot be read from here. other_images: not all of them are judged on the same validation images. Packages in which
 * they differ may be more than are listed: unlisted says how many.
 */
export interface Comparison {
  runs: Run[];
  missing: string[];
  unrecorded: string[];
  differs: ComparedField[];
  same: ComparedField[];
  same_settings: number;
  unlisted: number;
  other_images: boolean;
  sizes: (number | null)[];
  tags: string[];
}
/**
 * One fact about each run, in the order of the runs. Null: it is not known, or the run has none.
 *
 * name: the field of TrainConfig, the package, or what else the fact is called in the run's manifest; title: as the
 * form calls it; labels: what the form calls its values, by their text.
 */
export interface ComparedField {
  part: 'config' | 'data' | 'environment' | 'code' | 'hardware';
  name: string;
  title: string;
  unit?: string | null;
  labels?: {
    [k: string]: string;
  };
  values: (boolean | number | string | null)[];
}
/**
 * Which images `run_id` has otherwise than `against`, by their content; at most 100 of each kind are listed.
 *
 * moved: to another split, with the same label; shared: images of both.
 */
export interface ImageChanges {
  run_id: string;
  against: string;
  shared: number;
  added: ChangedImage[];
  removed: ChangedImage[];
  relabelled: ChangedImage[];
  moved: ChangedImage[];
  added_total: number;
  removed_total: number;
  relabelled_total: number;
  moved_total: number;
  sentence: string;
}
/**
 * An image that one of two runs has otherwise. Of one that only one has, both splits and labels are that one's.
 */
export interface ChangedImage {
  image: string;
  name: string;
  split: string;
  label: string;
  before_split: string;
  before_label: string;
}
/**
 * A run to queue. The same `idempotency_key` with the same body gives the same run; with another body 409.
 *
 * `config` is needed by a training alone. `device` and `gpus`: as in DeviceRequest, by default what the config says.
 */
export interface SubmitRequest {
  kind?: RunKind1;
  config?: {
    [k: string]: unknown;
  };
  payload?: {
    [k: string]: unknown;
  };
  /**
   * @maxItems 100
   */
  after?: string[];
  device?: string | null;
  gpus?: number | null;
  host?: string | null;
  name?: string | null;
  project_id?: number | null;
  dataset_id?: number | null;
  model_id?: number | null;
  parent_id?: string | null;
  priority?: number;
  notes?: string;
  /**
   * @maxItems 20
   */
  tags?: string[];
  idempotency_key?: string | null;
}
/**
 * Runs of one config that differ by their seed alone: that of the config, and the numbers behind it.
 *
 * Name and `idempotency_key` are those of each, with its seed: asked for again, they are the same runs.
 */
export interface ReplicatesRequest {
  kind?: RunKind2;
  config?: {
    [k: string]: unknown;
  };
  payload?: {
    [k: string]: unknown;
  };
  /**
   * @maxItems 100
   */
  after?: string[];
  device?: string | null;
  gpus?: number | null;
  host?: string | null;
  name?: string | null;
  project_id?: number | null;
  dataset_id?: number | null;
  model_id?: number | null;
  parent_id?: string | null;
  priority?: number;
  notes?: string;
  /**
   * @maxItems 20
   */
  tags?: string[];
  idempotency_key?: string | null;
  replicates: number;
}
/**
 * How a run goes on: settings that change no result, instead of those that it had.
 */
export interface ResumeRequest {
  config?: {
    [k: string]: unknown;
  };
}
/**
 * A run that goes on from a checkpoint of another one.
 *
 * at: `last`, `best`, `epoch 12`, `step 340`, or a checkpoint's name; fields: settings that it has otherwise;
 * on_schedule: whether the learning rate goes on along the same curve, or begins it anew.
 */
export interface ForkRequest {
  at?: string;
  fields?: {
    [k: string]: unknown;
  };
  on_schedule?: 'continue' | 'restart';
  name?: string | null;
}
/**
 * The learning rate that a fork would have, if it continues the schedule and if it restarts it.
 *
 * problems: why it cannot be made. null: the schedule is a plugin's, the parent has not said yet on how many images it
 * trains, or there are problems.
 */
export interface ForkPreview {
  problems?: FieldProblem[];
  epoch?: number | null;
  continued?: RateCurve | null;
  restarted?: RateCurve | null;
}
export interface FieldProblem {
  field: string;
  message: string;
}
/**
 * A learning rate over the epochs of a run.
 */
export interface RateCurve {
  epoch: number[];
  lr: number[];
}
/**
 * steps: how many are computed again; at: from a checkpoint on, as for a fork; empty: from the first step.
 */
export interface VerifyRequest {
  steps?: number;
  at?: string;
}
/**
 * The newest certificate of a run, null where there is none; and the newest task that computes it again.
 */
export interface Proof {
  certificate: Certificate | null;
  task: Run | null;
}
/**
 * What came of computing steps of a run again. `certificate.json` in its folder holds the newest.
 *
 * checkpoint: with which it began, empty: as the run began; from_step: steps done there; last_step: the last that was
 * computed again; steps: of how many something was compared; hashes: of the weights, of these. first_step: the first
 * that differs, null where none does. differences: what is otherwise than when the run trained.
 */
export interface Certificate {
  run: string;
  identical: boolean;
  checkpoint: string;
  from_step: number;
  last_step: number;
  steps: number;
  hashes: number;
  first_step: number | null;
  differences: Difference[];
  sentence: string;
  remedy: string;
  made_at: number;
}
/**
 * One thing that is otherwise than when a run trained. text: a phrase, "threads is 2 and was 1".
 */
export interface Difference {
  kind: 'config' | 'threads' | 'precision' | 'device' | 'hardware' | 'data' | 'package' | 'code' | 'model';
  text: string;
}
/**
 * against: the run that should be equal.
 */
export interface BisectRequest {
  against: string;
}
/**
 * The newest task that searches for where two runs part, and what it has found; null where it has not.
 */
export interface BisectionReply {
  found: Bisection | null;
  task: Run | null;
}
/**
 * Where two runs that should be equal part, and why. one, other: their ids.
 *
 * first_step: the first that differs, null where none does; after_step: of what is recorded, the last that is the
 * same; replays: how often steps were computed again for it; part: what differs first in that step.
 */
export interface Bisection {
  one: string;
  other: string;
  first_step: number | null;
  after_step: number;
  replays: number;
  part: '' | 'start' | 'batch' | 'image' | 'rate' | 'module' | 'gradient' | 'parameter' | 'unknown';
  name: string;
  differences: Difference[];
  sentence: string;
}
/**
 * Settings that a run which trains has from its next step on. lr_factor: on its learning rate.
 *
 * The same `key` is the same request, which counts once.
 */
export interface ChangeRequest {
  lr_factor?: number | null;
  fields?: {
    [k: string]: unknown;
  };
  key?: string | null;
}
/**
 * What a run from elsewhere would execute if its user claimed it.
 */
export interface Claim {
  run_id: string;
  name: string;
  kind: RunKind;
  folder: string;
  python: string;
  plugins: ClaimedFile[];
  notebook: ClaimedFile | null;
  notebook_folder: string;
  parameters: {
    [k: string]: unknown;
  };
  root: string;
  model_flavour: string;
  digest: string;
}
/**
 * A file that a run executes. sha256: empty where it cannot be read.
 */
export interface ClaimedFile {
  path: string;
  sha256: string;
}
/**
 * The user's word that a run is his own. digest: of the Claim that he was shown.
 */
export interface ClaimRequest {
  digest: string;
}
/**
 * All columns, groups in the order in which a chooser shows them, and the tags that runs have, the most used first.
 *
 * A list holds the values of the group `run` in the fields of each run, the others in its `values`.
 */
export interface RunColumns {
  columns: Column[];
  groups: {
    [k: string]: string;
  };
  tags: TagCount[];
}
/**
 * A column that a list of runs can have. key: its name in a query, in `columns=` and in `sort=`.
 *
 * kind: how it is shown; fraction: 0..1, shown in per cent; value: any JSON. group: a key of `RunColumns.groups`.
 */
export interface Column {
  key: string;
  label: string;
  description?: string;
  group: string;
  kind: 'text' | 'number' | 'fraction' | 'time' | 'seconds' | 'bytes' | 'state' | 'tags' | 'flag' | 'value';
}
/**
 * A tag that people gave, and to how many runs; archived ones are not counted.
 */
export interface TagCount {
  tag: string;
  runs: number;
}
/**
 * What many runs are asked to do. dry_run: only say which would be.
 */
export interface ActionRequest {
  /**
   * @minItems 1
   * @maxItems 1000
   */
  runs: string[];
  action: 'stop' | 'kill' | 'resume';
  dry_run?: boolean;
}
/**
 * The runs that were asked, or would be, and those that were not, with the reason.
 */
export interface ActionReply {
  changed: Run[];
  refused: RefusedRun[];
}
/**
 * A run that stays as it is. run: as the request named it; reason: a word for programs, where there is one.
 */
export interface RefusedRun {
  run: string;
  message: string;
  reason?: string;
}
/**
 * Runs that are to be deleted for good. dry_run: only say what would be.
 */
export interface DeleteRequest {
  /**
   * @minItems 1
   * @maxItems 1000
   */
  runs: string[];
  dry_run?: boolean;
}
/**
 * What was deleted of some runs, or would be. It cannot be undone.
 *
 * freed: bytes; shared: bytes of their files that stay, since other runs have the same files (a run that was continued
 * from a deleted one has its model); elsewhere: those of the deleted whose folders another home removes, not counted.
 */
export interface Deletion {
  deleted: string[];
  refused: RefusedRun[];
  freed: number;
  shared: number;
  elsewhere: string[];
  dry_run: boolean;
}
/**
 * The runs of a list by their ids, in its order.
 */
export interface RunIdList {
  ids: string[];
}
/**
 * A page of a folded list.
 */
export interface RunGroups {
  rows: RunRow[];
  total: number;
  runs: number;
  counts: {
    [k: string]: number;
  };
  owners: string[];
}
/**
 * A row of a folded list: a run, or a group with its head, if that is still there, as `run`.
 */
export interface RunRow {
  group: RunGroup | null;
  run: Run | null;
}
/**
 * Runs of a list under one row: the trials of a sweep, the same config with other seeds, what a run was parent of.
 *
 * head: the run whose row this is, a sweep or a parent, not counted among `runs`; where: a query that, beside that of
 * the list, gives the runs. best, mean and deviation (of a sample) are of the metric that most of them watch. Of a
 * sweep with replicates best is the best mean of a trial, best_deviation that of its runs, and best_run the best. The
 * figures of a parent's group are those of the parent, too.
 */
export interface RunGroup {
  key: string;
  kind: 'sweep' | 'seeds' | 'children';
  name: string;
  head: string | null;
  where: string;
  runs: number;
  states: {
    [k: string]: number;
  };
  metric?: string | null;
  best?: number | null;
  best_deviation?: number | null;
  best_run?: string | null;
  mean?: number | null;
  deviation?: number | null;
  lr: unknown[] | null;
  models: string[];
  size: number | null;
  created_at: number;
}
/**
 * A view that a user has saved; nobody else sees it.
 */
export interface SavedView {
  id: number;
  name: string;
  view: List;
  position: number;
  created_at: number;
  updated_at: number;
}
/**
 * How a list of runs is shown: what a saved view keeps.
 */
export interface List {
  where?: string;
  /**
   * @maxItems 40
   */
  columns?: string[];
  sort?: string;
  descending?: boolean;
  /**
   * @maxItems 3
   */
  group?: ('sweep' | 'seeds' | 'children')[];
}
/**
 * How many runs a saved view finds. None: its query cannot be read any more.
 */
export interface SavedViewCount {
  id: number;
  runs: number | null;
}
/**
 * A view of the list of runs under a name. position: among those of its user; None: it stays, or comes last.
 */
export interface SavedViewEdit {
  name: string;
  view: List;
  position?: number | null;
}
/**
 * A run that was just edited. undo: the edit that gives back what it had.
 */
export interface EditedRun {
  id: string;
  kind: RunKind;
  name: string;
  owner: string;
  project_id: number;
  project: string;
  dataset_id: number | null;
  model_id: number | null;
  parent_id: string | null;
  may_change: boolean;
  state: RunState;
  desired_state: DesiredState;
  attempt: number;
  priority: number;
  resumable: boolean;
  external: boolean;
  view_only?: boolean;
  home?: string;
  unreachable?: boolean;
  message: string | null;
  failure: FailureKind | null;
  phase: string | null;
  created_at: number;
  queued_at?: number | null;
  started_at: number | null;
  ended_at: number | null;
  ran: number;
  running_since: number | null;
  updated_at: number;
  revision: number;
  host: string | null;
  devices: string[];
  step: number;
  total_steps: number | null;
  epoch: number;
  epochs: number | null;
  resumed_at_step: number | null;
  seconds_left: number | null;
  best: BestMetric | null;
  latest: {
    [k: string]: number | null;
  };
  model_flavour: string;
  lineage?: string;
  fork_step?: number | null;
  fork_epoch?: number | null;
  from_best?: boolean;
  root: string;
  batch_size: number | null;
  lr: number | null;
  notes: string;
  tags?: string[];
  repetition?: string;
  archived?: boolean;
  size?: number | null;
  values?: {
    [k: string]: unknown;
  };
  changes?: RunChange[];
  curve?: number[];
  undo: RunEdit;
}
/**
 * What is to be changed of a run; None: it stays. tags: all that it has then, before some are added and removed.
 */
export interface RunEdit {
  name?: string | null;
  notes?: string | null;
  priority?: number | null;
  project_id?: number | null;
  archived?: boolean | null;
  tags?: string[] | null;
  /**
   * @maxItems 20
   */
  add_tags?: string[];
  /**
   * @maxItems 20
   */
  remove_tags?: string[];
}
/**
 * Edits of many runs: at most MAX_CHANGED runs, all edits together. dry_run: only say which would be changed.
 */
export interface RunEdits {
  /**
   * @minItems 1
   * @maxItems 1000
   */
  edits: RunsEdit[];
  dry_run?: boolean;
}
/**
 * The same edit of several runs.
 */
export interface RunsEdit {
  /**
   * @minItems 1
   * @maxItems 1000
   */
  runs: string[];
  edit: RunEdit;
}
/**
 * What was changed of many runs, or would be, and what not. undo: what to send to the same route to undo it.
 */
export interface EditedRuns {
  changed: Run[];
  refused: RefusedRun[];
  undo: RunsEdit[];
}
export interface SeriesReply {
  series: Series[];
  cursors: {
    [k: string]: Cursor;
  };
  inherited?: Series[];
}
/**
 * Points of one tag of one run, sorted by step. `value` null: not finite. Thinned to min and max where too many.
 *
 * time: seconds of training since the run began, pauses between its attempts left out.
 */
export interface Series {
  run_id: string;
  tag: string;
  step: number[];
  epoch: number[];
  time: number[];
  value: (number | null)[];
  thinned: boolean;
}
/**
 * How far a reader of a run has come.
 */
export interface Cursor {
  attempt?: number;
  seq?: number;
}
export interface LogChunk {
  text: string;
  offset: number;
  end: number;
  size: number;
}
/**
 * One evaluation, as the engine writes it to reports/: epoch-0003.json of val/, test.json of the best on test/.
 *
 * epoch, step: where the training of the model stood; null of a model that is no run's checkpoint. calibration: what
 * was fitted on these images, of val/ during a run; answered: how a model that has a threshold did at it.
 */
export interface EpochReport {
  epoch: number | null;
  step: number | null;
  split: string;
  images: number;
  values: {
    [k: string]: number | null;
  };
  classes: ClassFigures[];
  confusion: number[][] | null;
  left_out?: {
    [k: string]: string;
  };
  calibration?: Calibration | null;
  answered?: Answered | null;
}
export interface ClassFigures {
  name: string;
  images: number;
  precision: number | null;
  recall: number | null;
  f1: number | null;
}
/**
 * What was fitted on val/ and goes with the model. temperature: null where not all probabilities were at hand.
 *
 * abstention: null where too few images were validated for the error that was asked for.
 */
export interface Calibration {
  temperature?: number | null;
  abstention?: Abstention | null;
}
/**
 * A threshold that was chosen on val/. promised_error: the largest fraction of answered images that is wrong.
 */
export interface Abstention {
  threshold: number;
  promised_error: number;
  coverage: number;
  error: number;
  upper_error: number;
  images: number;
}
/**
 * How a model did at its threshold on a split. error: of the answered images; null where it answered none.
 */
export interface Answered {
  threshold: number;
  images: number;
  coverage: number;
  error: number | null;
}
/**
 * What a notebook keeps of a run: its output without anything live, by MIME type.
 */
export interface StaticCell {
  kept: string;
  ended: boolean;
  data: {
    [k: string]: string;
  };
  metadata: {
    [k: string]: {
      [k: string]: number;
    };
  };
}
/**
 * Lines of a log that hold a text, whatever its case, in their order; the last MAX_MATCHES of them.
 */
export interface LogMatches {
  matches: LogMatch[];
  total: number;
  searched: number;
  size: number;
}
export interface LogMatch {
  line: number;
  offset: number;
  text: string;
}
export interface RunFiles {
  files: RunFile[];
  more: number;
  size: number;
}
/**
 * A file of a run. `id` is what a download asks for; `name` is shown, and no request holds it.
 */
export interface RunFile {
  id: string;
  name: string;
  kind:
    | 'config'
    | 'log'
    | 'events'
    | 'checkpoint'
    | 'report'
    | 'predictions'
    | 'tensorboard'
    | 'export'
    | 'failure'
    | 'other';
  size: number;
  modified_at: number;
}
/**
 * What a run recorded before its first step. manifest: None where it has recorded nothing yet.
 */
export interface RunManifest {
  manifest: {
    [k: string]: unknown;
  } | null;
}
/**
 * What the code of a run has otherwise than that of another one, as both recorded it before their first step.
 *
 * before, after: commits, of the other run and of this one; None where it recorded none. diff: between the commits, as
 * git prints it; None where `sentence` says why there is none. changed, added, removed: its files and lines. files:
 * those of imgcls-lab that both loaded, and that differ; None where a run recorded none.
 */
export interface CodeChanges {
  before: string | null;
  after: string | null;
  diff: string | null;
  diff_cut: boolean;
  changed: number;
  added: number;
  removed: number;
  sentence: string;
  files: string[] | null;
}
/**
 * What an attempt did before its first step. seconds: null while it does it.
 */
export interface StartPhase {
  attempt: number;
  name: string;
  since: number;
  seconds: number | null;
}
/**
 * What a deletion freed.
 */
export interface FreedSpace {
  freed: number;
}
export interface Project {
  id: number;
  name: string;
  owner: string;
  description: string;
  created_at: number;
  runs: number;
  max_running: number | null;
  members: string[];
  may_change: boolean;
  may_manage: boolean;
}
/**
 * `max_running`: runs on devices at once, on all hosts together; null: no limit; 0: on hold.
 */
export interface ProjectEdit {
  name: string;
  description?: string;
  max_running?: number | null;
}
/**
 * A project with all that its page shows. Archived runs are counted apart and stand in no list of it.
 *
 * metric: that most of its runs decide by; best: the best of these, the best first; sweeps: the newest of them;
 * activity: the last weeks, a value a day, the days without a launch included.
 */
export interface ProjectDetail {
  project: Project;
  states: {
    [k: string]: number;
  };
  archived: number;
  size: number;
  uncounted: number;
  metric: string | null;
  best: Run[];
  activity: DayCount[];
  configs: Config[];
  sweeps: Run[];
  sweep_count: number;
}
/**
 * Runs that were launched on a day. day: 2026-01-31, as the server's clock has it.
 */
export interface DayCount {
  day: string;
  runs: number;
}
export interface Config {
  id: number;
  name: string;
  owner: string;
  project_id: number;
  project: string;
  config: {
    [k: string]: unknown;
  };
  description: string;
  created_at: number;
  updated_at: number;
  version: number;
  may_change: boolean;
}
/**
 * A project that is to be deleted with all that is in it. dry_run: only say what would be.
 */
export interface ProjectDeleteRequest {
  dry_run?: boolean;
}
/**
 * What was deleted of a project, or would be. It cannot be undone.
 *
 * refused: runs that stay, and why; then the project and its configs stay, too. freed: bytes of the runs' folders.
 */
export interface ProjectDeletion {
  deleted: boolean;
  runs: number;
  configs: number;
  refused: RefusedRun[];
  freed: number;
  dry_run: boolean;
}
/**
 * A file of a project in the home's folder of exports. name: by which it is downloaded and deleted.
 */
export interface Archive {
  name: string;
  size: number;
  made_at: number;
}
/**
 * Which checkpoints of each run go into the file.
 */
export interface ProjectArchiveRequest {
  checkpoints?: 'best' | 'all' | 'none';
}
/**
 * A file to import: `archive`, one that was uploaded or exported here, or `path`, below an allowed root.
 *
 * name: of the new project, by default its own; into: the name of a project that is there, instead.
 */
export interface ProjectImportRequest {
  archive?: string | null;
  path?: string | null;
  name?: string | null;
  into?: string | null;
}
/**
 * Work of the server. subject: the project, file or part of the storage that it is about.
 *
 * done, total: bytes; 0 of 0 until it is known. message: why it failed. The last
 * three: what it came to, by its kind. It is gone with the server: what it had not finished leaves nothing behind.
 */
export interface Job {
  id: string;
  kind: 'export' | 'import' | 'free';
  subject: string;
  state: 'waiting' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  done: number;
  total: number;
  message: string;
  started_at: number;
  ended_at: number | null;
  exported: ProjectExport | null;
  imported: ProjectImport | null;
  freed: FreedSpace | null;
}
/**
 * An archive that was written. size: bytes; left_out: a sentence for each run that it does not hold.
 */
export interface ProjectExport {
  path: string;
  project: string;
  runs: number;
  configs: number;
  views: number;
  size: number;
  left_out: string[];
}
/**
 * What came out of an archive. skipped, renamed: a sentence for each run, config or view.
 *
 * Its runs are view only: nothing of them is executed until their user claims them.
 */
export interface ProjectImport {
  project: string;
  project_id: number;
  runs: string[];
  configs: string[];
  views: string[];
  skipped: string[];
  renamed: string[];
}
/**
 * A user who becomes a member of a project.
 */
export interface MemberRequest {
  user: string;
}
export interface ConfigEdit {
  name: string;
  config: {
    [k: string]: unknown;
  };
  project_id?: number | null;
  description?: string;
}
/**
 * A saved config as it was saved once. changed: fields that differ from the version before.
 */
export interface ConfigVersion {
  config_id: number;
  number: number;
  author: string;
  created_at: number;
  config: {
    [k: string]: unknown;
  };
  changed: string[];
}
/**
 * A registered folder of images, with what a quick look found (by file names; unreadable files: see the run).
 */
export interface Dataset {
  id: number;
  name: string;
  owner: string;
  root: string;
  description: string;
  created_at: number;
  classes: string[];
  images: {
    [k: string]: number;
  };
  smallest_class: number | null;
  largest_class: number | null;
  problem: string | null;
  notes: string[];
  skipped_files: {
    [k: string]: number;
  };
  may_change: boolean;
}
export interface DatasetEdit {
  name: string;
  root: string;
  description?: string;
}
/**
 * A registered model: a hub id, a local folder, or a run's checkpoint.
 */
export interface Model {
  id: number;
  name: string;
  owner: string;
  flavour: string;
  revision: string | null;
  load_pretrained: boolean;
  description: string;
  created_at: number;
  problem: string | null;
  facts: ModelFacts;
  made_by: MadeBy | null;
  runs: number;
  may_change: boolean;
}
/**
 * What the files of a model on this machine say of it; no network is asked, and nothing of it is executed.
 */
export interface ModelFacts {
  place: 'folder' | 'cache' | 'hub';
  architecture?: string;
  parameters?: number | null;
  input_size?: number[] | null;
  classes?: number | null;
  licence?: string;
  licence_of?: string;
  size?: number | null;
  needs?: number | null;
}
/**
 * The checkpoint of a run that a model is.
 */
export interface MadeBy {
  run_id: string;
  run: string;
  checkpoint: string;
  step: number | null;
  epoch: number | null;
}
/**
 * A model for images that lies in the hub's cache on this machine.
 */
export interface CachedModel {
  flavour: string;
  facts: ModelFacts;
  registered: string | null;
}
/**
 * Register a checkpoint of a run as a model. An empty name is made from the run's.
 */
export interface CheckpointModel {
  run_id: string;
  checkpoint?: string;
  name?: string;
  description?: string;
}
/**
 * Write a model for other programs to a new folder: a checkpoint of a run, or a registered model.
 *
 * dataset_id: whose images it is checked on; by default some that the run validated.
 */
export interface ExportRequest {
  run_id?: string | null;
  checkpoint?: string;
  model_id?: number | null;
  form?: 'hf' | 'onnx' | 'torch-export';
  folder: string;
  name: string;
  dataset_id?: number | null;
}
export interface ModelEdit {
  name: string;
  flavour: string;
  revision?: string | null;
  load_pretrained?: boolean;
  description?: string;
}
/**
 * A notebook as the form of a batch needs it.
 */
export interface Notebook {
  path: string;
  parameters: Parameter[];
  derived: Derived[];
}
/**
 * A parameter that a notebook declares.
 */
export interface Parameter {
  name: string;
  kind: 'int' | 'float' | 'str' | 'bool' | 'list' | 'dict' | 'any';
  optional: boolean;
  default: unknown;
  source: string;
  help: string;
}
/**
 * What the parameters cell makes from its own parameters; given values of these do not reach it.
 */
export interface Derived {
  name: string;
  sources: string[];
  sentence: string;
}
/**
 * A notebook to queue. `path`: as Jupyter's file browser has it, relative to the server's root.
 */
export interface NotebookRequest {
  path: string;
  parameters?: {
    [k: string]: unknown;
  };
  name?: string | null;
  project_id?: number | null;
  device?: string | null;
  host?: string | null;
  /**
   * @maxItems 100
   */
  after?: string[];
  notes?: string;
  priority?: number;
  idempotency_key?: string | null;
}
/**
 * A run that was asked for, and what is worth knowing of how.
 *
 * made: whether this request has put it into the queue; else the same one had before, whatever it has come to since.
 */
export interface Queued {
  id: string;
  kind: RunKind;
  name: string;
  owner: string;
  project_id: number;
  project: string;
  dataset_id: number | null;
  model_id: number | null;
  parent_id: string | null;
  may_change: boolean;
  state: RunState;
  desired_state: DesiredState;
  attempt: number;
  priority: number;
  resumable: boolean;
  external: boolean;
  view_only?: boolean;
  home?: string;
  unreachable?: boolean;
  message: string | null;
  failure: FailureKind | null;
  phase: string | null;
  created_at: number;
  queued_at?: number | null;
  started_at: number | null;
  ended_at: number | null;
  ran: number;
  running_since: number | null;
  updated_at: number;
  revision: number;
  host: string | null;
  devices: string[];
  step: number;
  total_steps: number | null;
  epoch: number;
  epochs: number | null;
  resumed_at_step: number | null;
  seconds_left: number | null;
  best: BestMetric | null;
  latest: {
    [k: string]: number | null;
  };
  model_flavour: string;
  lineage?: string;
  fork_step?: number | null;
  fork_epoch?: number | null;
  from_best?: boolean;
  root: string;
  batch_size: number | null;
  lr: number | null;
  notes: string;
  tags?: string[];
  repetition?: string;
  archived?: boolean;
  size?: number | null;
  values?: {
    [k: string]: unknown;
  };
  changes?: RunChange[];
  curve?: number[];
  made: boolean;
  warnings?: string[];
}
/**
 * A sweep to queue.
 *
 * `base` holds the values that all trials share: of TrainConfig, or with `notebook` of the notebook's parameters.
 * The budget is `trials`, `epochs` (of all trials together), or both; a grid needs none. `halving` and `hyperband`
 * have the budget `trials`; `eta` and `min_epochs` are theirs. `replicates`: runs of each trial, which differ by
 * their seed; the value of a trial is their mean.
 */
export interface SweepRequest {
  base: {
    [k: string]: unknown;
  };
  space: {
    [k: string]: Choices | Range;
  };
  notebook?: string | null;
  strategy?: 'grid' | 'random' | 'tpe' | 'asha' | 'halving' | 'hyperband';
  pruner?: ('none' | 'median' | 'asha') | null;
  metric?:
    | 'accuracy'
    | 'top_k'
    | 'macro_f1'
    | 'weighted_f1'
    | 'balanced_accuracy'
    | 'auroc'
    | 'calibration_error'
    | 'loss';
  direction?: 'auto' | 'max' | 'min';
  trials?: number | null;
  epochs?: number | null;
  eta?: number | null;
  min_epochs?: number | null;
  replicates?: number;
  parallel?: number | null;
  seed?: number;
  device?: string | null;
  name?: string | null;
  project_id?: number | null;
  notes?: string;
  priority?: number;
  idempotency_key?: string | null;
}
/**
 * Values that a parameter of a sweep takes.
 */
export interface Choices {
  /**
   * @maxItems 2000
   */
  values: (boolean | number | string | null)[];
}
/**
 * Numbers from `low` to `high`, both included. `log`: evenly over the orders of magnitude; `whole`: integers.
 */
export interface Range {
  low: number;
  high: number;
  log?: boolean;
  whole?: boolean;
  step?: number | null;
}
/**
 * A sweep as its page shows it.
 */
export interface Sweep {
  run_id: string;
  name: string;
  strategy: 'grid' | 'random' | 'tpe' | 'asha' | 'halving' | 'hyperband';
  pruner: 'none' | 'median' | 'asha';
  metric: string;
  higher_is_better: boolean;
  notebook: string | null;
  space: {
    [k: string]: Choices | Range;
  };
  titles: {
    [k: string]: string;
  };
  replicates: number;
  planned: number | null;
  epochs_budget: number | null;
  epochs_done: number;
  eta: number | null;
  brackets: Bracket[];
  trials: Trial[];
  best: number | null;
  importance: {
    [k: string]: number;
  };
  holes: number;
}
/**
 * Trials that are compared with each other; the last rung is the end of the training.
 */
export interface Bracket {
  rungs: Rung[];
}
/**
 * A rung of a bracket: trials are compared by their best value until so many epochs.
 */
export interface Rung {
  epochs: number;
  trials: number;
}
/**
 * A cell of the matrix. A trial whose run failed, was stopped, was deleted or never began is a hole.
 *
 * With replicates the run is that with the best value so far, and a trial with a hole among them is a hole.
 */
export interface Trial {
  number: number;
  params: {
    [k: string]: boolean | number | string | null;
  };
  identity: string | null;
  run_id: string | null;
  run_name: string | null;
  state: 'waiting' | 'queued' | 'running' | 'succeeded' | 'pruned' | 'failed' | 'stopped' | 'missing';
  hole: boolean;
  value: number | null;
  deviation: number | null;
  curve: CurvePoint[];
  replicates: Replicate[];
  bracket: number | null;
  rung: number | null;
  message: string | null;
  device: string | null;
  started_at: number | null;
  ended_at: number | null;
  ran: number | null;
}
/**
 * The metric of a sweep at the end of an epoch.
 */
export interface CurvePoint {
  epoch: number;
  value: number;
}
/**
 * One of the runs of a trial with replicates.
 */
export interface Replicate {
  seed: number;
  run_id: string | null;
  run_name: string | null;
  state: 'waiting' | 'queued' | 'running' | 'succeeded' | 'pruned' | 'failed' | 'stopped' | 'missing';
  value: number | null;
  message: string | null;
  device: string | null;
  started_at: number | null;
  ended_at: number | null;
  ran: number | null;
}
export interface DevicesReply {
  executors: Executor[];
  devices: Device[];
  message: string | null;
  more_devices?: number;
  cluster?: Cluster | null;
  warm_start?: boolean;
  warm_memory?: number | null;
}
export interface Executor {
  id: string;
  host: string;
  home: string;
  user: string;
  here: boolean;
  local?: boolean;
  pid: number;
  version: string;
  state: 'alive' | 'silent' | 'suspended' | 'stopped';
  started_at: number;
  heartbeat_at: number;
}
export interface Device {
  name: string;
  title: string;
  kind: 'cuda' | 'cpu';
  host: string;
  memory_total: number | null;
  memory_used: number | null;
  utilisation: number | null;
  run_id: string | null;
  run_name: string | null;
  run_owner: string | null;
  held_by: string | null;
  gpu_processes: Holder[];
}
/**
 * A process that holds memory of a GPU. What cannot be seen from its host's executor is null.
 */
export interface Holder {
  pid: number;
  name: string | null;
  user: string | null;
  memory: number | null;
  since: number;
  idle_since: number | null;
  run_id: string | null;
  run_name: string | null;
  notebook: string | null;
}
/**
 * The cluster that runs of this home go to.
 */
export interface Cluster {
  title: string;
  host: string;
  waiting: number;
  away: string | null;
  nodes: Node[];
  totals: ClusterTotals;
}
/**
 * A node of a cluster, as its scheduler describes it.
 */
export interface Node {
  name: string;
  gpus: number;
  free_gpus: number;
  cpus: number;
  kind: string;
  alive: boolean;
  reason: string;
  runs: NodeRun[];
  more_runs: number;
}
/**
 * A run on a node of a cluster.
 */
export interface NodeRun {
  run_id: string;
  run_name: string | null;
  run_owner: string | null;
}
/**
 * All nodes of a cluster. GPUs and CPUs are those of the nodes that live.
 */
export interface ClusterTotals {
  alive: number;
  down: number;
  gpus: number;
  free_gpus: number;
  cpus: number;
}
/**
 * Something that a person should hear of once. The webhook gets this, too.
 */
export interface Alert {
  id: string;
  kind: 'finished' | 'failed' | 'lost' | 'stalled' | 'disk';
  text: string;
  run_id: string | null;
  host: string | null;
  created_at: number;
  sweep_id?: string | null;
  sweep_name?: string | null;
  dismissed?: boolean;
}
/**
 * Alerts that a user puts away, or takes back.
 */
export interface AlertIds {
  /**
   * @minItems 1
   * @maxItems 1000
   */
  ids: string[];
}
export interface LoadReply {
  every: number;
  hosts: HostLoad[];
}
/**
 * A machine over the last hour.
 */
export interface HostLoad {
  host: string;
  cores: number;
  /**
   * @maxItems 240
   */
  times: number[];
  machine: LoadSeries;
  devices: LoadSeries[];
}
/**
 * Of a device, or of a machine: its processors and memory. null: not reported, or the executor did not run.
 */
export interface LoadSeries {
  name: string;
  /**
   * @maxItems 240
   */
  load: (number | null)[];
  /**
   * @maxItems 240
   */
  memory: (number | null)[];
  memory_total: number | null;
}
/**
 * The parts of a home, and the disks that they lie on.
 */
export interface Storage {
  parts: StoragePart[];
  disks: Disk[];
  measured_at: number;
  took: number;
}
export interface StoragePart {
  kind:
    | 'runs'
    | 'models'
    | 'hub'
    | 'objects'
    | 'images'
    | 'pictures'
    | 'compiled'
    | 'scans'
    | 'exports'
    | 'backups';
  title: string;
  size: number;
  items: number;
  frees: number | null;
  note: string;
  at_least: boolean;
}
export interface Disk {
  holds: 'home' | 'cache' | 'hub cache';
  free: number;
  total: number;
}
export interface FreeRequest {
  kind:
    | 'runs'
    | 'models'
    | 'hub'
    | 'objects'
    | 'images'
    | 'pictures'
    | 'compiled'
    | 'scans'
    | 'exports'
    | 'backups';
}
/**
 * Who did what, or was refused it.
 */
export interface AuditEvent {
  id: number;
  time: number;
  user: string;
  host: string;
  way: string;
  action: string;
  refused: boolean;
  kind: string;
  subject_id: string;
  subject_name: string;
  project_id: number | null;
  details: {
    [k: string]: unknown;
  };
  text: string;
}
/**
 * A TensorBoard and its process: `asleep` frees its memory and starts again when it is opened.
 */
export interface Board {
  id: string;
  title: string;
  project_id: number | null;
  sweep_id: string | null;
  run_ids: string[];
  state: 'running' | 'asleep' | 'failed';
  message: string | null;
  memory: number | null;
  started_at: number | null;
}
/**
 * A TensorBoard of some runs, of a sweep (its run's id) or of a project.
 */
export interface BoardRequest {
  /**
   * @maxItems 200
   */
  run_ids?: string[];
  sweep_id?: string | null;
  project_id?: number | null;
}
/**
 * TrainConfig's JSON Schema, its groups in order, and what a new form starts with.
 */
export interface SchemaReply {
  json_schema: {
    [k: string]: unknown;
  };
  groups: {
    [k: string]: string;
  };
  start: {
    [k: string]: unknown;
  };
  start_from: string | null;
  start_project_id: number | null;
  recent_names?: string[];
  defaults: {
    [k: string]: unknown;
  };
}
/**
 * What would happen if this config were launched.
 */
export interface CheckReply {
  problems: FieldProblem[];
  facts: {
    [k: string]: string;
  };
  resolved?: {
    [k: string]: string;
  };
  estimate?: LaunchEstimate | null;
  root?: string | null;
  image_edge?: number | null;
  may_try?: boolean;
  may_draw?: boolean;
  steps: StepCounts | null;
  lr_curve: LrCurve | null;
}
/**
 * What a run would take, measured by runs like it. seconds and bytes; null: not known.
 */
export interface LaunchEstimate {
  like: string[];
  trial: boolean;
  seconds: number;
  memory: number | null;
  disk: number | null;
}
/**
 * Optimizer steps of a run that can read every image and is not stopped early.
 */
export interface StepCounts {
  batches_per_epoch: number;
  steps_per_epoch: number;
  total_steps: number;
}
/**
 * The learning rate over a run: at most 200 points, corners among them; a line between two points is close.
 */
export interface LrCurve {
  step: number[];
  lr: number[];
}
export interface ErrorReply {
  message: string;
  problems?: FieldProblem[];
}
export interface ServerInfo {
  version: string;
  datasets_dir: string;
  roots: string[];
  home: string;
  user: string;
  demo_ready: boolean;
}
/**
 * A user's part of the devices, and what the user has of them now.
 */
export interface User {
  name: string;
  weight: number;
  max_devices: number | null;
  max_disk_gb: number | null;
  admin: boolean;
  devices: number;
  queued: number;
  used: number;
  due: number | null;
  disk_gb: number | null;
}
/**
 * What is not given stays. A null takes a limit away.
 */
export interface UserEdit {
  weight?: number;
  max_devices?: number | null;
  max_disk_gb?: number | null;
  admin?: boolean;
}
export interface Subscribe {
  op: 'subscribe';
  id: number;
  topic: RunsTopic | MetricsTopic | LogTopic | DevicesTopic | AlertsTopic;
}
/**
 * Changed and deleted runs of all projects.
 */
export interface RunsTopic {
  kind: 'runs';
}
/**
 * New points of some runs.
 */
export interface MetricsTopic {
  kind: 'metrics';
  /**
   * @maxItems 200
   */
  run_ids: string[];
  since?: {
    [k: string]: Cursor;
  };
}
/**
 * New text of one run's log.
 */
export interface LogTopic {
  kind: 'log';
  run_id: string;
  offset?: number;
}
export interface DevicesTopic {
  kind: 'devices';
}
/**
 * Alerts from now on; those before are asked for by REST.
 */
export interface AlertsTopic {
  kind: 'alerts';
}
export interface Unsubscribe {
  op: 'unsubscribe';
  id: number;
}
/**
 * Server to client: a batch for a subscription, or why there is none.
 */
export interface StreamMessage {
  id: number;
  batch?: (RunsBatch | MetricsBatch | LogBatch | DevicesBatch | AlertsBatch) | null;
  error?: string | null;
}
export interface RunsBatch {
  kind: 'runs';
  changed: Run[];
  deleted: string[];
}
/**
 * New points. `superseded`: drop points of the run with step > this before adding (a resume went back).
 */
export interface MetricsBatch {
  kind: 'metrics';
  series: Series[];
  cursors: {
    [k: string]: Cursor;
  };
  superseded?: {
    [k: string]: number;
  };
}
export interface LogBatch {
  kind: 'log';
  run_id: string;
  chunk: LogChunk;
}
export interface DevicesBatch {
  kind: 'devices';
  devices: DevicesReply;
}
export interface AlertsBatch {
  kind: 'alerts';
  alerts: Alert[];
  dismissed?: string[];
  restored?: string[];
}
export interface ImagePage {
  items: Image[];
  offset: number;
  total: number;
}
/**
 * One file of a data set. Of an unreadable file `image` and the sizes are empty, and `problem` says why.
 */
export interface Image {
  image: string;
  name: string;
  split: string;
  label: string;
  folder_label: string;
  excluded?: boolean;
  width?: number;
  height?: number;
  size?: number;
  problem?: string | null;
}
/**
 * A data set with all that its page shows at first. Counts are those of `revision`, 0: the folders as they are.
 */
export interface DatasetDetail {
  dataset: Dataset;
  revision: number;
  newest_revision: number;
  classes: ClassCounts[];
  bytes: number | null;
  formats: {
    [k: string]: number;
  } | null;
  sizes: SizeBin[] | null;
  runs: number;
  fingerprint: string | null;
  stale: boolean;
}
/**
 * Images of a class by split, and some of them.
 */
export interface ClassCounts {
  name: string;
  images: {
    [k: string]: number;
  };
}
/**
 * How many images have their longer edge in [low, high) pixels.
 */
export interface SizeBin {
  low: number;
  high: number;
  images: number;
}
/**
 * A folder of the allowed roots, and what is in it. `id` empty: the roots themselves.
 */
export interface FolderPage {
  id: string;
  title: string;
  trail: FolderEntry[];
  folders: FolderEntry[];
  more?: number;
  root: string;
  registered?: RegisteredAs | null;
  problem?: string | null;
  notes?: string[];
}
/**
 * A folder that may be chosen.
 */
export interface FolderEntry {
  name: string;
  id: string;
  images?: number | null;
  folders?: number | null;
  usable?: boolean;
  registered?: RegisteredAs | null;
}
/**
 * The data set that a folder is registered as.
 */
export interface RegisteredAs {
  id: number;
  name: string;
}
/**
 * Images that a filter leaves, sorted.
 *
 * counts: of the whole evaluation, what each `show` has: all, mistakes, confident_mistakes (at a confidence of 0.5 or
 * more), unsure (below 0.5); of train: all, easy, ambiguous, suspicious.
 */
export interface EvaluatedPage {
  items: EvaluatedImage[];
  offset: number;
  total: number;
  counts: {
    [k: string]: number;
  };
}
/**
 * An image of an evaluation, or of the training set (then without `predicted`).
 *
 * mean, spread: of a training image, the mean and the standard deviation of `label_prob` over the epochs.
 */
export interface EvaluatedImage {
  image: string;
  name: string;
  split: string;
  label: string;
  predicted: string | null;
  confidence: number | null;
  label_prob: number | null;
  loss: number | null;
  correct: boolean | null;
  mean?: number | null;
  spread?: number | null;
  group?: ('easy' | 'ambiguous' | 'suspicious') | null;
}
/**
 * Which images of an evaluation a page shows, and in which order. Images without a value come last.
 *
 * epoch: by default the best; of train the last. label, predicted: names of classes. low, high: of the confidence,
 * both included; of train, which keeps no predictions, of the label's probability. mean, spread, group: of train.
 */
export interface EvaluatedQuery {
  split?: 'train' | 'val' | 'test';
  epoch?: number | null;
  label?: string | null;
  predicted?: string | null;
  show?: 'all' | 'mistakes' | 'right' | 'confident_mistakes' | 'unsure';
  group?: ('easy' | 'ambiguous' | 'suspicious') | null;
  low?: number | null;
  high?: number | null;
  sort?: 'loss' | 'confidence' | 'name' | 'mean' | 'spread';
  order?: 'asc' | 'desc';
  offset?: number;
  limit?: number;
}
/**
 * An evaluation with all that its page draws, beside the images.
 */
export interface Evaluation {
  run_id: string;
  epoch: number | null;
  split: string;
  images: number;
  epochs: number[];
  best_epoch: number | null;
  has_test: boolean;
  has_train: boolean;
  values: {
    [k: string]: number | null;
  };
  intervals: {
    /**
     * @minItems 2
     * @maxItems 2
     */
    [k: string]: unknown[];
  };
  class_names: string[];
  classes: ClassRow[];
  trend_epochs: number[];
  cells: ConfusionCell[];
  cells_left_out: number;
  thresholds: ThresholdCurve;
  reliability: ReliabilityBin[];
  temperature: number | null;
  calibrated: ReliabilityBin[];
  calibrated_error: number | null;
  abstention: Abstention | null;
  notes: string[];
}
/**
 * A class of an evaluation. f1_by_epoch: at `Evaluation.trend_epochs`; taken_for: most first, five or fewer.
 */
export interface ClassRow {
  name: string;
  images: number;
  predicted: number;
  precision: number | null;
  recall: number | null;
  f1: number | null;
  f1_by_epoch: (number | null)[];
  taken_for: ConfusionCell[];
}
export interface ConfusionCell {
  label: string;
  predicted: string;
  images: number;
}
/**
 * What happens if the model answers only at a confidence of at least `threshold`. All lists have one length.
 *
 * precision: correct fraction of the answered images; recall: correctly answered fraction of all images; coverage:
 * answered fraction; wrong_left_out, right_left_out: numbers of images that it abstains from.
 */
export interface ThresholdCurve {
  threshold: number[];
  precision: (number | null)[];
  recall: number[];
  coverage: number[];
  wrong_left_out: number[];
  right_left_out: number[];
}
export interface ReliabilityBin {
  low: number;
  high: number;
  images: number;
  confidence: number | null;
  accuracy: number | null;
}
/**
 * Precision over recall and ROC of one class against the rest, thinned so that no pixel of a chart changes.
 *
 * A point is what happens if the class is predicted from its threshold on. null: above every probability, so never.
 */
export interface ClassCurves {
  name: string;
  images: number;
  precision: number[];
  recall: number[];
  thresholds: number[];
  average_precision: number | null;
  false_positive_rate: number[];
  true_positive_rate: number[];
  roc_thresholds: (number | null)[];
  auroc: number | null;
}
/**
 * One image in depth. biography: oldest first. nearest: of train, by features, if an audit has kept them.
 */
export interface ImageDetail {
  image: EvaluatedImage;
  width: number;
  height: number;
  size: number;
  problem: string | null;
  top: ClassProb[];
  biography: EpochOfImage[];
  others: OtherRun[];
  nearest: Neighbour[];
  nearest_by: string;
  revision?: {
    [k: string]: unknown;
  } | null;
  notes: string[];
}
export interface ClassProb {
  name: string;
  prob: number;
}
/**
 * What one epoch said of an image. run_id: this run, or the one that it was continued from.
 */
export interface EpochOfImage {
  run_id: string;
  epoch: number;
  label_prob: number | null;
  loss: number | null;
  predicted: string | null;
  correct: boolean | null;
}
/**
 * The same image in another run of the data set.
 */
export interface OtherRun {
  run_id: string;
  name: string;
  relation: string;
  label: string;
  predicted: string;
  confidence: number | null;
  correct: boolean;
}
export interface Neighbour {
  image: string;
  name: string;
  split: string;
  label: string;
  similarity: number;
}
/**
 * What a run fixed and broke compared with another, on the images that both evaluated, by the run's labels.
 */
export interface Flips {
  run_id: string;
  against: string;
  against_name: string;
  split: string;
  images: number;
  relabelled: number;
  both_right: number;
  both_wrong: number;
  fixed: Flip[];
  broke: Flip[];
  fixed_total: number;
  broke_total: number;
  p_value: number | null;
  difference: number;
  difference_low: number;
  difference_high: number;
  bootstrap_low: number;
  bootstrap_high: number;
  sentence: string;
}
/**
 * An image on which two runs differ.
 */
export interface Flip {
  image: string;
  name: string;
  label: string;
  before: string;
  after: string;
  before_confidence: number | null;
  after_confidence: number | null;
}
/**
 * What a model says of an image that somebody dropped. abstains: no class reaches the threshold.
 */
export interface TriedImage {
  name: string;
  top: ClassProb[];
  abstains: boolean;
  threshold: number | null;
  width: number;
  height: number;
  seconds: number;
  error?: string | null;
  image?: string;
}
/**
 * What the process that applies models to single images does. seconds: since the phase began.
 */
export interface Inference {
  phase: 'idle' | 'starting' | 'loading' | 'answering';
  seconds: number;
}
/**
 * Start an audit. model: id of a registered model, or a run whose best checkpoint gives the features; without
 * either only files, copies and quality are looked at.
 */
export interface AuditRequest {
  model_id?: number | null;
  run_id?: string | null;
  revision?: number | null;
  device?: string | null;
}
/**
 * The newest audit of a data set, running or done. counts: problems by kind, of what is done so far.
 */
export interface Audit {
  run_id: string | null;
  state: RunState | null;
  phase: string;
  done: number;
  total: number;
  seconds_left: number | null;
  message: string | null;
  model: string;
  revision: number;
  fingerprint: string;
  ended_at: number | null;
  stale: boolean;
  counts: {
    [k: string]: number;
  };
  leaks: number;
  has_map: boolean;
  notes: string[];
}
export interface ProblemPage {
  items: Problem[];
  offset: number;
  total: number;
}
/**
 * One problem: one image, or the images of a group, those of train first.
 *
 * id: stable over audits of the same files; leak: the images lie in different splits; score: 0..1, 1 the worst or
 * the surest; suggested: the likelier class of a label error, with `confidence`.
 */
export interface Problem {
  id: string;
  kind:
    | 'unreadable'
    | 'not_taken'
    | 'copy'
    | 'look_alike'
    | 'near_duplicate'
    | 'dark'
    | 'bright'
    | 'blurred'
    | 'low_information'
    | 'odd_size'
    | 'odd_shape'
    | 'greyscale'
    | 'label_error'
    | 'outlier';
  images: Image[];
  leak?: boolean;
  across_classes?: boolean;
  score?: number | null;
  suggested?: string | null;
  confidence?: number | null;
  reason?: string;
  settled?: boolean;
}
/**
 * Features in two dimensions. All lists have one length; x and y: 0..65535; label: number in `classes`.
 */
export interface Map {
  method: string;
  model: string;
  classes: string[];
  x: number[];
  y: number[];
  label: number[];
  split: number[];
  splits: string[];
  image: string[];
  marked: {
    [k: string]: number[];
  };
}
/**
 * A new revision on top of `parent`, by default the newest. 409 where a newer one exists than the parent named.
 */
export interface RevisionEdit {
  /**
   * @minItems 1
   * @maxItems 5000
   */
  changes: ChangeEdit[];
  parent?: number | null;
  message?: string;
}
/**
 * A correction of an image: a new label, or excluded, or (both empty) as its folder says again.
 */
export interface ChangeEdit {
  image: string;
  split?: ('train' | 'val' | 'test') | null;
  label?: string | null;
  excluded?: boolean;
  why?: string;
}
/**
 * What differs between a revision and its parent, another revision, or the corrections that a run trained with.
 */
export interface RevisionDiff {
  relabelled: number;
  excluded: number;
  restored: number;
  revision: Revision | null;
  against: number | null;
  changes: Change[];
  total: number;
  more?: number;
}
/**
 * A correction as a revision holds it. before: what the parent said.
 */
export interface Change {
  image: string;
  name: string;
  split: string;
  before: string | null;
  label: string | null;
  why: string;
  found: boolean;
}
/**
 * What a sweep would try.
 */
export interface SweepCheck {
  problems: FieldProblem[];
  trials: number | null;
  epochs: number | null;
  rungs: number[];
}
/**
 * A request that the panel is about to send: its verb, its path below `api/`, its body.
 *
 * variables: the runs that the notebook has launched so far, with the variable that holds each; taken: variables of
 * launches that are under way; ended: the runs whose end it waits for already.
 */
export interface CodeRequest {
  verb: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  body?: {
    [k: string]: unknown;
  } | null;
  variables?: {
    [k: string]: string;
  };
  /**
   * @maxItems 10000
   */
  taken?: string[];
  /**
   * @maxItems 10000
   */
  ended?: string[];
}
/**
 * The code of a cell.
 *
 * variable: which holds the run, or the list of runs, that the request makes; ended: as in the request, by now.
 */
export interface PythonCode {
  code: string;
  variable: string;
  ended: string[];
}

export const RUN_STATES = [
  'queued',
  'starting',
  'running',
  'stopping',
  'stopped',
  'succeeded',
  'failed',
  'cancelled',
  'lost',
] as const;
export const ACTIVE_STATES = ['queued', 'starting', 'running', 'stopping', 'lost'] as const;
export const LIVE_STATES = ['starting', 'running', 'stopping'] as const;
export const ENDED_STATES = ['stopped', 'succeeded', 'failed', 'cancelled'] as const;
export const METRIC_TITLES = {
  accuracy: 'accuracy',
  top_k: 'top-k accuracy',
  macro_f1: 'macro F1',
  weighted_f1: 'weighted F1',
  balanced_accuracy: 'balanced accuracy',
  auroc: 'AUROC',
  calibration_error: 'calibration error',
  loss: 'loss',
} as const;
export const FRACTION_METRICS = [
  'accuracy',
  'top_k',
  'macro_f1',
  'weighted_f1',
  'balanced_accuracy',
  'auroc',
  'calibration_error',
] as const;
export const THUMBNAIL_SIZES = [64, 128, 256, 512, 1024, 2048] as const;
export const MAX_CHANGES = 5000 as const;
export const MAX_CHANGED = 1000 as const;
export const CELL_SMOOTHING = 0.6 as const;
export const SMOOTHED_FROM = 20 as const;
export const CHANGEABLE_FIELDS = {
  lr: { title: 'Learning rate', empty: 'none' },
  epochs: { title: 'Epochs', empty: 'none' },
  early_stopping_patience: { title: 'Early stopping', empty: 'never' },
  save_every_epochs: { title: 'Keep every', empty: 'none' },
  log_every: { title: 'Log every', empty: 'none' },
} as const;
export const MAX_TAG = 40 as const;
export const MAX_TAGS = 20 as const;
export const MAX_REPLICATES = 100 as const;
export const NEWEST_ALERTS = 50 as const;
export const CURVE = 'curve' as const;
export const QUERY_COLUMNS = {
  id: 'text',
  name: 'text',
  owner: 'text',
  project: 'text',
  kind: 'text',
  host: 'text',
  model: 'text',
  data: 'text',
  notes: 'text',
  message: 'text',
  parent: 'text',
  monitor: 'text',
  state: 'state',
  created: 'time',
  started: 'time',
  ended: 'time',
  ran: 'seconds',
  best: 'number',
  epoch: 'number',
  step: 'number',
  attempt: 'number',
  priority: 'number',
  lr: 'number',
  batch_size: 'number',
  tag: 'tags',
  archived: 'flag',
  size: 'bytes',
  repetition: 'text',
  sweep: 'text',
  lineage: 'text',
} as const;
export const STATE_GROUPS = ['live', 'ended', 'active'] as const;

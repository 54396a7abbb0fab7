// The one seam between the views and what holds the data. `ServerSource` (REST and one WebSocket) and the
// notebook's `CommSource` implement it; a view cannot tell which one it has.
import { createContext, useContext } from 'react';
import type {
  AlertsBatch,
  Alert,
  Batch,
  BoardRequest,
  Board,
  CheckReply,
  ConfigEdit,
  Config,
  DatasetEdit,
  Dataset,
  DevicesBatch,
  DevicesReply,
  DevicesTopic,
  EpochReport,
  FieldProblem,
  LogBatch,
  LogChunk,
  LogTopic,
  MetricsBatch,
  MetricsTopic,
  ModelEdit,
  Model,
  NotebookRequest,
  Notebook,
  ProjectEdit,
  Project,
  RunDetail,
  RunEdit,
  RunPage,
  RunsBatch,
  RunState,
  RunsTopic,
  Run,
  SchemaReply,
  SeriesReply,
  ServerInfo,
  SubmitRequest,
  SweepRequest,
  Sweep,
  Topic,
} from './types';

export type TrainConfig = Record<string, unknown>;
export type Axis = 'step' | 'epoch' | 'time';

export interface RunsQuery {
  project?: number;
  states?: RunState[];
  q?: string;
  /** What the list can be sorted by: created_at, ended_at, name, best ... */
  sort?: string;
  order?: 'asc' | 'desc';
  limit?: number;
  offset?: number;
}

export interface SeriesQuery {
  run_ids: string[];
  tags?: string[];
  axis?: Axis;
  low?: number;
  high?: number;
  max_points?: number;
}

/** The four registries: what a list shows of an item, and what one may set. */
export interface Registry {
  projects: { view: Project; edit: ProjectEdit };
  configs: { view: Config; edit: ConfigEdit };
  datasets: { view: Dataset; edit: DatasetEdit };
  models: { view: Model; edit: ModelEdit };
}
export type Shelf = keyof Registry;

export type Params = {
  info: Record<string, never>;
  schema: Record<string, never>;
  check: { config: TrainConfig };
  runs: RunsQuery;
  run: { id: string };
  series: SeriesQuery;
  log: { id: string; offset?: number; limit?: number };
  report: { id: string; epoch?: number; split?: 'val' | 'test' };
  devices: Record<string, never>;
  alerts: { limit?: number };
  boards: Record<string, never>;
  notebook: { path: string };
  sweep: { id: string };
} & { [S in Shelf]: Record<string, never> };

export type Result = {
  info: ServerInfo;
  schema: SchemaReply;
  check: CheckReply;
  runs: RunPage;
  run: RunDetail;
  series: SeriesReply;
  log: LogChunk;
  report: EpochReport;
  devices: DevicesReply;
  alerts: Alert[];
  boards: Board[];
  notebook: Notebook;
  sweep: Sweep;
} & { [S in Shelf]: Registry[S]['view'][] };

export type Args = {
  submit: SubmitRequest;
  runNotebook: NotebookRequest;
  sweep: SweepRequest;
  stop: { id: string };
  kill: { id: string };
  resume: { id: string; config?: TrainConfig };
  'runs.edit': { id: string; edit: RunEdit };
  'runs.delete': { id: string };
  demo: Record<string, never>;
  'executor.start': Record<string, never>;
  openBoard: Partial<BoardRequest>;
  chooseRuns: { id: string; run_ids: string[] };
  stopBoard: { id: string };
  restartBoard: { id: string };
  deleteBoard: { id: string };
  'datasets.rescan': { id: number };
} & { [S in Shelf as `${S}.add`]: { edit: Registry[S]['edit'] } } & {
  [S in Shelf as `${S}.edit`]: { id: number; edit: Registry[S]['edit'] };
} & { [S in Shelf as `${S}.delete`]: { id: number } };

export type Reply = {
  submit: Run;
  runNotebook: Run;
  sweep: Run;
  stop: Run;
  kill: Run;
  resume: Run;
  'runs.edit': Run;
  'runs.delete': void;
  demo: unknown;
  'executor.start': unknown;
  openBoard: Board;
  chooseRuns: Board;
  stopBoard: Board;
  restartBoard: Board;
  deleteBoard: void;
  'datasets.rescan': Dataset;
} & { [S in Shelf as `${S}.add`]: Registry[S]['view'] } & {
  [S in Shelf as `${S}.edit`]: Registry[S]['view'];
} & { [S in Shelf as `${S}.delete`]: void };

export type Query = keyof Params;
export type Command = keyof Args;

/** How a subscription stands. `gap`: batches were missed, so query anew; then batches follow as before. */
export type Link = 'connecting' | 'live' | 'reconnecting' | 'gap';

/** The batch that a topic brings. */
export interface BatchOf {
  runs: RunsBatch;
  metrics: MetricsBatch;
  log: LogBatch;
  devices: DevicesBatch;
  alerts: AlertsBatch;
}

export interface Source {
  query<K extends Query>(kind: K, params: Params[K], signal: AbortSignal): Promise<Result[K]>;
  /** Batches of a topic until `signal` aborts. The topic's cursor (`since`, `offset`) says from where on; after a
   * broken link the source goes on from the last batch by itself. */
  subscribe<T extends Topic>(
    topic: T,
    onBatch: (batch: BatchOf[T['kind']]) => void,
    onState: (link: Link) => void,
    signal: AbortSignal,
  ): void;
  command<K extends Command>(name: K, args: Args[K]): Promise<Reply[K]>;
}

/** What a source rejects with: a sentence for the user, field by field where there is more to say. */
export class SourceError extends Error {
  constructor(
    message: string,
    readonly status: number = 0,
    readonly problems: FieldProblem[] = [],
  ) {
    super(message);
    this.name = 'SourceError';
  }
}

const Context = createContext<Source | null>(null);
export const SourceProvider = Context.Provider;

/** The source of the surrounding page. */
export function useSource(): Source {
  const source = useContext(Context);
  if (!source) throw new Error('A view stands outside a SourceProvider.');
  return source;
}

export type { Batch, DevicesTopic, LogTopic, MetricsTopic, RunsTopic, Topic };

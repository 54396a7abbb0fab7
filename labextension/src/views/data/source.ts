// The one seam between the views and what holds the data. `ServerSource` (REST and one WebSocket) and the
// notebook's `CommSource` implement it; a view does not know which of them it has.
import { createContext, useContext } from 'react';
import type {
  AlertsBatch,
  Alert,
  AuditEvent,
  BoardRequest,
  Board,
  CheckReply,
  Claim,
  ConfigEdit,
  Config,
  DatasetEdit,
  Dataset,
  DevicesBatch,
  DevicesReply,
  EpochReport,
  FieldProblem,
  LogBatch,
  LogChunk,
  MetricsBatch,
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
  owner?: string;
  /** What the list can be sorted by: created_at, ended_at, name, best ... */
  sort?: string;
  order?: 'asc' | 'desc';
  limit?: number;
  offset?: number;
}

interface SeriesQuery {
  run_ids: string[];
  tags?: string[];
  axis?: Axis;
  low?: number;
  high?: number;
  max_points?: number;
}

/** The four registries: what a list shows of an item, and what one may set. */
export interface Registries {
  projects: { item: Project; edit: ProjectEdit };
  configs: { item: Config; edit: ConfigEdit };
  datasets: { item: Dataset; edit: DatasetEdit };
  models: { item: Model; edit: ModelEdit };
}
export type RegistryName = keyof Registries;

export type Params = {
  info: Record<string, never>;
  schema: Record<string, never>;
  check: { config: TrainConfig };
  runs: RunsQuery;
  run: { id: string };
  claim: { id: string };
  series: SeriesQuery;
  log: { id: string; offset?: number; limit?: number };
  report: { id: string; epoch?: number; split?: 'val' | 'test' };
  devices: Record<string, never>;
  alerts: { limit?: number };
  events: { run?: string; user?: string; since?: number; limit?: number };
  tensorboards: Record<string, never>;
  notebook: { path: string };
  sweep: { id: string };
} & { [S in RegistryName]: Record<string, never> };

export type Result = {
  info: ServerInfo;
  schema: SchemaReply;
  check: CheckReply;
  runs: RunPage;
  run: RunDetail;
  claim: Claim;
  series: SeriesReply;
  log: LogChunk;
  report: EpochReport;
  devices: DevicesReply;
  alerts: Alert[];
  events: AuditEvent[];
  tensorboards: Board[];
  notebook: Notebook;
  sweep: Sweep;
} & { [S in RegistryName]: Registries[S]['item'][] };

export type Args = {
  submit: SubmitRequest;
  runNotebook: NotebookRequest;
  sweep: SweepRequest;
  stop: { id: string };
  kill: { id: string };
  resume: { id: string; config?: TrainConfig };
  claim: { id: string; digest: string };
  'runs.edit': { id: string; edit: RunEdit };
  'runs.delete': { id: string };
  demo: Record<string, never>;
  'executor.start': Record<string, never>;
  'tensorboards.open': Partial<BoardRequest>;
  'tensorboards.choose': { id: string; run_ids: string[] };
  'tensorboards.stop': { id: string };
  'tensorboards.restart': { id: string };
  'tensorboards.delete': { id: string };
  'datasets.rescan': { id: number };
  'projects.join': { id: number; user: string };
  'projects.leave': { id: number; user: string };
} & { [S in RegistryName as `${S}.add`]: { edit: Registries[S]['edit'] } } & {
  [S in RegistryName as `${S}.edit`]: { id: number; edit: Registries[S]['edit'] };
} & { [S in RegistryName as `${S}.delete`]: { id: number } };

export type Reply = {
  submit: Run;
  runNotebook: Run;
  sweep: Run;
  stop: Run;
  kill: Run;
  resume: Run;
  claim: Run;
  'runs.edit': Run;
  'runs.delete': void;
  demo: unknown;
  'executor.start': unknown;
  'tensorboards.open': Board;
  'tensorboards.choose': Board;
  'tensorboards.stop': Board;
  'tensorboards.restart': Board;
  'tensorboards.delete': void;
  'datasets.rescan': Dataset;
  'projects.join': Project;
  'projects.leave': Project;
} & { [S in RegistryName as `${S}.add`]: Registries[S]['item'] } & {
  [S in RegistryName as `${S}.edit`]: Registries[S]['item'];
} & { [S in RegistryName as `${S}.delete`]: void };

export type Query = keyof Params;
export type Command = keyof Args;

/** How a subscription stands. `gap`: batches were missed, so query anew; then batches follow as before. */
export type ConnectionState = 'connecting' | 'live' | 'reconnecting' | 'gap';

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
   * broken connection the source goes on from the last batch by itself. */
  subscribe<T extends Topic>(
    topic: T,
    onBatch: (batch: BatchOf[T['kind']]) => void,
    onState: (connection: ConnectionState) => void,
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

/** An error as a sentence for the user. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const Context = createContext<Source | null>(null);
export const SourceProvider = Context.Provider;

/** The source of the surrounding page. */
export function useSource(): Source {
  const source = useContext(Context);
  if (!source) throw new Error('A view stands outside a SourceProvider.');
  return source;
}

// The one seam between the views and what holds the data. `ServerSource` (REST and one WebSocket) and the
// notebook's `CommSource` implement it; a view does not know which of them it has.
import { createContext, useContext } from 'react';
import type { PictureRequest } from './asked';
import type { Args, Command, Params, Query, Reply, Result } from './requests';
import type {
  AlertsBatch,
  DevicesBatch,
  FieldProblem,
  LogBatch,
  MetricsBatch,
  RunsBatch,
  Topic,
} from './types';

/** How a subscription stands. `gap`: batches were missed, so query anew; then batches follow as before. `still`: what
 * brought them is gone and does not come back by itself. */
export type ConnectionState = 'connecting' | 'live' | 'reconnecting' | 'gap' | 'still';

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
  /** The bytes of a picture, as the browser decodes them. */
  image(request: PictureRequest, signal: AbortSignal): Promise<Blob>;
  /** Where the browser downloads a file of a run from; absent in a host that cannot. */
  fileAddress?(id: string, file: string): string;
  /** The same of a file of a project. */
  archiveAddress?(name: string): string;
  /** Batches of a topic until `signal` aborts. The topic's cursor (`since`, `offset`) says from where on; after a
   * broken connection the source goes on from the last batch by itself. */
  subscribe<T extends Topic>(
    topic: T,
    onBatch: (batch: BatchOf[T['kind']]) => void,
    onState: (connection: ConnectionState) => void,
    signal: AbortSignal,
  ): void;
  /** `signal`: the caller gives the command up, if it has not begun. `onSent`: hears how many bytes of a file that is sent
   * are on their way, where the host can tell. */
  command<K extends Command>(
    name: K,
    args: Args[K],
    signal?: AbortSignal,
    onSent?: (bytes: number) => void,
  ): Promise<Reply[K]>;
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

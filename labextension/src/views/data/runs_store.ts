// The runs that matter now: all that run or wait, the last that ended, and how many there are. One store a source,
// shared by the sidebar, run pages, the status bar and notifications; it listens while anyone does.
import { messageOf, type ConnectionState, type Source } from './source';
import { ACTIVE_STATES, ENDED_STATES, type RunsBatch, type RunState, type Run } from './types';

const RECENT = 12;
const NO_TRIAL = 'sweep=""'; // a sweep's trials would push out all else
const AGAIN = 400; // ms between a change of state and the next query for the counts
const STEPS = 250; // ms at least between two drawings of steps alone: more often is more work than there is to see

export interface RunsSnapshot {
  runs: ReadonlyMap<string, Run>;
  /** Ids of runs that were deleted while somebody listened. */
  deleted: ReadonlySet<string>;
  counts: Partial<Record<RunState, number>>;
  /** All who own a run. */
  owners: readonly string[];
  connection: ConnectionState;
  loaded: boolean;
  error: string | null;
}

type Change = (before: Run | undefined, now: Run) => void;

export class RunsStore {
  readonly #source: Source;
  readonly #listeners = new Set<() => void>();
  readonly #changes = new Set<Change>();
  #snapshot: RunsSnapshot = {
    runs: new Map(),
    deleted: new Set(),
    counts: {},
    owners: [],
    connection: 'connecting',
    loaded: false,
    error: null,
  };
  #users = 0;
  #stop: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #telling: ReturnType<typeof setTimeout> | null = null;
  #told = -Infinity;

  constructor(source: Source) {
    this.#source = source;
  }

  readonly current = (): RunsSnapshot => this.#snapshot;

  /** Listen until the returned function is called. `onChange` sees each run before and after. */
  readonly listen = (listener: () => void, onChange?: Change): (() => void) => {
    this.#listeners.add(listener);
    if (onChange) this.#changes.add(onChange);
    if (this.#users++ === 0) this.#open();
    return () => {
      this.#listeners.delete(listener);
      if (onChange) this.#changes.delete(onChange);
      if (--this.#users === 0) this.#close();
    };
  };

  /** Query again: after a command of ours, without waiting for the stream. */
  readonly refresh = (): void => {
    if (this.#stop) void this.#load(this.#stop.signal);
  };

  #open(): void {
    const stop = (this.#stop = new AbortController());
    void this.#load(stop.signal);
    this.#source.subscribe(
      { kind: 'runs' },
      batch => this.#merge(batch),
      connection => {
        if (connection === 'gap' || (connection === 'live' && this.#snapshot.connection === 'reconnecting'))
          this.refresh();
        this.#set({ connection: connection === 'gap' ? 'live' : connection });
      },
      stop.signal,
    );
  }

  #close(): void {
    this.#stop?.abort();
    this.#stop = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#telling !== null) clearTimeout(this.#telling);
    this.#telling = null;
  }

  async #load(signal: AbortSignal): Promise<void> {
    try {
      const [active, recent] = await Promise.all([
        this.#source.query('runs', { states: [...ACTIVE_STATES], limit: 200, curves: 1 }, signal),
        this.#source.query(
          'runs',
          { states: [...ENDED_STATES], where: NO_TRIAL, sort: 'ended_at', order: 'desc', limit: RECENT },
          signal,
        ),
      ]);
      if (signal.aborted) return;
      const runs = new Map([...active.items, ...recent.items].map(run => [run.id, run]));
      for (const run of runs.values()) {
        const known = this.#snapshot.runs.get(run.id);
        if (known && known.revision > run.revision)
          runs.set(run.id, known); // the stream was faster
        else if (this.#snapshot.loaded) this.#report(known, run);
      }
      this.#set({ runs, counts: active.counts, owners: active.owners, loaded: true, error: null });
    } catch (error) {
      if (!signal.aborted) this.#set({ error: messageOf(error) });
    }
  }

  #merge(batch: RunsBatch): void {
    const runs = new Map(this.#snapshot.runs);
    let moved = batch.deleted.length > 0;
    for (const run of batch.changed) {
      const known = runs.get(run.id);
      if (known && known.revision > run.revision) continue;
      if (!known || known.state !== run.state) moved = true;
      runs.set(run.id, run);
      this.#report(known, run);
    }
    for (const id of batch.deleted) runs.delete(id);
    const deleted = new Set([...this.#snapshot.deleted, ...batch.deleted]);
    for (const run of batch.changed) deleted.delete(run.id); // its folder was indexed anew
    this.#set({ runs, deleted }, moved ? 0 : STEPS);
    if (moved && this.#timer === null) {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.refresh();
      }, AGAIN);
    }
  }

  #report(before: Run | undefined, now: Run): void {
    for (const change of this.#changes) change(before, now);
  }

  /** `every`: the listeners hear of it at most once in so many ms. */
  #set(part: Partial<RunsSnapshot>, every = 0): void {
    this.#snapshot = { ...this.#snapshot, ...part };
    const wait = this.#told + every - performance.now();
    if (every === 0 || wait <= 0) this.#tell();
    else this.#telling ??= setTimeout(() => this.#tell(), wait);
  }

  #tell(): void {
    if (this.#telling !== null) clearTimeout(this.#telling);
    this.#telling = null;
    this.#told = performance.now();
    for (const listener of this.#listeners) listener();
  }
}

const stores = new WeakMap<Source, RunsStore>();

/** The store of a source. */
export function runsStoreOf(source: Source): RunsStore {
  let store = stores.get(source);
  if (!store) stores.set(source, (store = new RunsStore(source)));
  return store;
}

// The runs that matter now: all that run or wait, the last that ended, and how many there are. One feed a source,
// shared by the sidebar, run pages, the status bar and notifications; it listens while anyone does.
import type { Link, Source } from './source';
import { ACTIVE_STATES, ENDED_STATES, type RunsBatch, type RunState, type Run } from './types';

const RECENT = 12;
const AGAIN = 400; // ms between a change of state and the next look at the counts

export interface Feed {
  runs: ReadonlyMap<string, Run>;
  /** Ids of runs that were deleted while somebody listened. */
  deleted: ReadonlySet<string>;
  counts: Partial<Record<RunState, number>>;
  link: Link;
  loaded: boolean;
  error: string | null;
}

type Change = (before: Run | undefined, now: Run) => void;

export class RunsFeed {
  readonly #source: Source;
  readonly #listeners = new Set<() => void>();
  readonly #changes = new Set<Change>();
  #feed: Feed = {
    runs: new Map(),
    deleted: new Set(),
    counts: {},
    link: 'connecting',
    loaded: false,
    error: null,
  };
  #users = 0;
  #stop: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(source: Source) {
    this.#source = source;
  }

  readonly current = (): Feed => this.#feed;

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

  /** Look again: after a command of ours, without waiting for the stream. */
  readonly refresh = (): void => {
    if (this.#stop) void this.#load(this.#stop.signal);
  };

  #open(): void {
    const stop = (this.#stop = new AbortController());
    void this.#load(stop.signal);
    this.#source.subscribe(
      { kind: 'runs' },
      batch => this.#merge(batch),
      link => {
        if (link === 'gap' || (link === 'live' && this.#feed.link === 'reconnecting')) this.refresh();
        this.#set({ link: link === 'gap' ? 'live' : link });
      },
      stop.signal,
    );
  }

  #close(): void {
    this.#stop?.abort();
    this.#stop = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #load(signal: AbortSignal): Promise<void> {
    try {
      const [active, recent] = await Promise.all([
        this.#source.query('runs', { states: [...ACTIVE_STATES], limit: 200 }, signal),
        this.#source.query(
          'runs',
          { states: [...ENDED_STATES], sort: 'ended_at', order: 'desc', limit: RECENT },
          signal,
        ),
      ]);
      if (signal.aborted) return;
      const runs = new Map([...active.items, ...recent.items].map(run => [run.id, run]));
      for (const run of runs.values()) {
        const known = this.#feed.runs.get(run.id);
        if (known && known.revision > run.revision)
          runs.set(run.id, known); // the stream was faster
        else if (this.#feed.loaded) this.#tell(known, run);
      }
      this.#set({ runs, counts: active.counts, loaded: true, error: null });
    } catch (error) {
      if (!signal.aborted) this.#set({ error: error instanceof Error ? error.message : String(error) });
    }
  }

  #merge(batch: RunsBatch): void {
    const runs = new Map(this.#feed.runs);
    let moved = batch.deleted.length > 0;
    for (const run of batch.changed) {
      const known = runs.get(run.id);
      if (known && known.revision > run.revision) continue;
      if (!known || known.state !== run.state) moved = true;
      runs.set(run.id, run);
      this.#tell(known, run);
    }
    for (const id of batch.deleted) runs.delete(id);
    const deleted = new Set([...this.#feed.deleted, ...batch.deleted]);
    for (const run of batch.changed) deleted.delete(run.id); // its folder was indexed anew
    this.#set({ runs, deleted });
    if (moved && this.#timer === null) {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.refresh();
      }, AGAIN);
    }
  }

  #tell(before: Run | undefined, now: Run): void {
    for (const change of this.#changes) change(before, now);
  }

  #set(part: Partial<Feed>): void {
    this.#feed = { ...this.#feed, ...part };
    for (const listener of this.#listeners) listener();
  }
}

const feeds = new WeakMap<Source, RunsFeed>();

/** The feed of a source. */
export function feedOf(source: Source): RunsFeed {
  let feed = feeds.get(source);
  if (!feed) feeds.set(source, (feed = new RunsFeed(source)));
  return feed;
}

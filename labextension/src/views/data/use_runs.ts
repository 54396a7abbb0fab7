// Runs for views: those that matter now, one with its details, the details of several.
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { runsStoreOf, type RunsSnapshot } from './runs_store';
import { messageOf, useSource, type ConnectionState } from './source';
import type { Run, RunDetail } from './types';
import { useQuery } from './use_query';

/** The runs that matter now, live. */
export function useRuns(): RunsSnapshot & { refresh: () => void } {
  const store = runsStoreOf(useSource());
  const snapshot = useSyncExternalStore(store.listen, store.current);
  return { ...snapshot, refresh: store.refresh };
}

/** Call `changed` when `mark` is another one than before; never for the first. None: it is not known, or no longer. */
export function useOnChange(mark: string | undefined, changed: () => void): void {
  const last = useRef(mark);
  useEffect(() => {
    if (mark === undefined || mark === last.current) return;
    const isFirst = last.current === undefined;
    last.current = mark;
    if (!isFirst) changed();
  }, [mark, changed]);
}

/** One run with its details, live. Its metrics come with the stream; its checkpoints and attempts are asked for again
 * when they can have changed. */
export function useRun(id: string): {
  run: RunDetail | undefined;
  error: string | null;
  /** It was deleted. */
  gone: boolean;
  connection: ConnectionState;
  reload: () => void;
} {
  const { runs, deleted, connection } = useRuns();
  const seen = runs.get(id);
  const { data, error, missing, reload } = useQuery('run', { id });
  const newer: Run | undefined = data && seen && seen.revision > data.revision ? seen : undefined;
  const latest: Run | undefined = newer ?? (data?.id === id ? data : undefined);
  const mark =
    latest && `${latest.state} ${latest.attempt} ${latest.best?.epoch} ${Math.floor(latest.epoch)}`;
  useOnChange(deleted.has(id) ? undefined : mark, reload); // of one that was deleted there is nothing to ask for
  const run = useMemo(() => (data && newer ? { ...data, ...newer } : data), [data, newer]);
  return {
    run: run?.id === id ? run : undefined,
    error,
    gone: deleted.has(id) || missing,
    connection,
    reload,
  };
}

/** The details of some runs, asked for once each: their configs do not change. */
export function useRunDetails(ids: string[]): { details: Map<string, RunDetail>; error: string | null } {
  const source = useSource();
  const [details, setDetails] = useState(() => new Map<string, RunDetail>());
  const [error, setError] = useState<string | null>(null);
  const key = ids.join();
  useEffect(() => {
    const stop = new AbortController();
    setError(null);
    for (const id of key ? key.split(',') : []) {
      source.query('run', { id }, stop.signal).then(
        run => stop.signal.aborted || setDetails(was => new Map(was).set(id, run)),
        problem => stop.signal.aborted || setError(messageOf(problem)),
      );
    }
    return () => stop.abort();
  }, [source, key]);
  return { details, error };
}

// How views read: a query, the feed of runs, one run, the points of some runs. Each stops with its view.
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { feedOf, type Feed } from './runs_store';
import { SeriesStore } from './series_store';
import { onShelf } from './registry_changes';
import { SourceError, useSource, type Axis, type Link, type Params, type Query, type Result } from './source';
import type { RunDetail, Run } from './types';

export const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export interface Answer<T> {
  data: T | undefined;
  error: string | null;
  /** What was asked for is not there (any more). */
  missing: boolean;
  loading: boolean;
  reload: () => void;
}

/** The answer to a query; asked anew when its parameters change. `params` null: not yet. The last answer stays
 * until the next is there, so that nothing flickers. */
export function useQuery<K extends Query>(kind: K, params: Params[K] | null): Answer<Result[K]> {
  const source = useSource();
  const [state, setState] = useState<{
    data?: Result[K];
    error: string | null;
    missing: boolean;
    loading: boolean;
  }>({
    error: null,
    missing: false,
    loading: params !== null,
  });
  const [round, setRound] = useState(0);
  const key = JSON.stringify(params);
  useEffect(() => {
    const asked = JSON.parse(key) as Params[K] | null;
    if (asked === null) return;
    const stop = new AbortController();
    setState(was => ({ ...was, loading: true }));
    source.query(kind, asked, stop.signal).then(
      data => stop.signal.aborted || setState({ data, error: null, missing: false, loading: false }),
      error =>
        stop.signal.aborted ||
        setState(was => ({
          ...was,
          error: sentence(error),
          missing: error instanceof SourceError && error.status === 404,
          loading: false,
        })),
    );
    return () => stop.abort();
  }, [source, kind, key, round]);
  const reload = useCallback(() => setRound(n => n + 1), []);
  useEffect(() => onShelf(source, kind, reload), [source, kind, reload]);
  return { ...state, data: state.data, reload };
}

/** The runs that matter now, live. */
export function useFeed(): Feed & { refresh: () => void } {
  const feed = feedOf(useSource());
  const now = useSyncExternalStore(feed.listen, feed.current);
  return { ...now, refresh: feed.refresh };
}

/** One run with its details, live. Its figures come with the stream; its checkpoints and attempts are asked for
 * again when they can have changed. */
export function useRun(id: string): {
  run: RunDetail | undefined;
  error: string | null;
  /** It was deleted. */
  gone: boolean;
  link: Link;
  reload: () => void;
} {
  const { runs, deleted, link } = useFeed();
  const seen = runs.get(id);
  const answer = useQuery('run', { id });
  const { data, reload } = answer;
  const newer: Run | undefined = data && seen && seen.revision > data.revision ? seen : undefined;
  const mark = seen && `${seen.state} ${seen.attempt} ${seen.best?.epoch} ${Math.floor(seen.epoch)}`;
  const last = useRef(mark);
  useEffect(() => {
    if (mark === last.current) return;
    last.current = mark;
    if (mark !== undefined) reload(); // gone from the feed: deleted, so there is nothing to ask for
  }, [mark, reload]);
  const run = useMemo(() => (data && newer ? { ...data, ...newer } : data), [data, newer]);
  const gone = deleted.has(id) || answer.missing;
  return { run: run?.id === id ? run : undefined, error: answer.error, gone, link, reload };
}

/** The points of some runs: queried, then live for those that are `active`. */
export function useSeries(runIds: string[], tags: string[], axis: Axis, active: boolean) {
  const source = useSource();
  const [store] = useState(() => new SeriesStore());
  const [version, setVersion] = useState(0);
  const [error, setError] = useState<string | null>(null);
  const [link, setLink] = useState<Link>('connecting');
  const [round, setRound] = useState(0);
  const key = JSON.stringify({ run_ids: runIds, tags, axis, max_points: 2000 });
  useEffect(() => {
    const params = JSON.parse(key) as Params['series'];
    const stop = new AbortController();
    if (params.run_ids.length === 0) {
      store.reset({ series: [], cursors: {} });
      setVersion(store.version);
      return;
    }
    source.query('series', params, stop.signal).then(
      reply => {
        if (stop.signal.aborted) return;
        store.reset(reply);
        setVersion(store.version);
        setError(null);
        if (!active) return;
        source.subscribe(
          { kind: 'metrics', run_ids: params.run_ids, since: reply.cursors },
          batch => {
            store.add(batch);
            setVersion(store.version);
          },
          now => (now === 'gap' ? setRound(n => n + 1) : setLink(now)),
          stop.signal,
        );
      },
      problem => stop.signal.aborted || setError(sentence(problem)),
    );
    return () => stop.abort();
  }, [source, store, key, active, round]);
  return { store, version, error, link };
}

/** The end of a run's log, growing while the run is active. */
export function useLog(id: string, active: boolean) {
  const source = useSource();
  const [log, setLog] = useState<{ text: string; offset: number; end: number; size: number } | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    source.query('log', { id, offset: -65_536 }, stop.signal).then(
      chunk => {
        if (stop.signal.aborted) return;
        setLog(chunk);
        setError(null);
        if (!active) return;
        source.subscribe(
          { kind: 'log', run_id: id, offset: chunk.end },
          batch =>
            setLog(was => {
              const from = was?.end ?? 0;
              if (batch.chunk.end <= from) return was;
              const text = (was?.text ?? '') + batch.chunk.text;
              return {
                text: text.slice(-400_000),
                offset: was?.offset ?? 0,
                end: batch.chunk.end,
                size: batch.chunk.size,
              };
            }),
          () => undefined,
          stop.signal,
        );
      },
      problem => stop.signal.aborted || setError(sentence(problem)),
    );
    return () => stop.abort();
  }, [source, id, active]);
  return { log, error };
}

/** A command with its waiting and its error, for a button. */
export function useAction(): {
  busy: string | null;
  error: string | null;
  act: (name: string, work: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
} {
  const [busy, setBusy] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const act = useCallback(async (name: string, work: () => Promise<unknown>) => {
    setBusy(name);
    setError(null);
    try {
      await work();
      return true;
    } catch (problem) {
      setError(sentence(problem));
      return false;
    } finally {
      setBusy(null);
    }
  }, []);
  const clear = useCallback(() => setError(null), []);
  return { busy, error, act, clear };
}

/** Seconds since the epoch, moving on once a `period` (seconds) while anything is `active`. */
export function useNow(active: boolean, period = 1): number {
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    if (!active) return;
    const timer = setInterval(() => document.hidden || setNow(Date.now() / 1000), period * 1000);
    return () => clearInterval(timer);
  }, [active, period]);
  return now;
}

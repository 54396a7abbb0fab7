// One answer of the source for a view, and one command for a button. Both end with their view.
import { useCallback, useEffect, useState } from 'react';
import { onMutation } from './mutate';
import type { Params, Query, Result } from './requests';
import { SourceError, messageOf, useSource } from './source';

export interface QueryResult<T> {
  data: T | undefined;
  error: string | null;
  /** The server has no such thing, or has it no longer. */
  missing: boolean;
  loading: boolean;
  reload: () => void;
}

/** The answer to a query. It is asked again when its parameters change; `params` null: not yet. The last answer stays
 * until the next one is there, so that nothing flickers. */
export function useQuery<K extends Query>(kind: K, params: Params[K] | null): QueryResult<Result[K]> {
  const source = useSource();
  const [state, setState] = useState<Omit<QueryResult<Result[K]>, 'reload'>>({
    data: undefined,
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
          error: messageOf(error),
          missing: error instanceof SourceError && error.status === 404,
          loading: false,
        })),
    );
    return () => stop.abort();
  }, [source, kind, key, round]);
  const reload = useCallback(() => setRound(n => n + 1), []);
  useEffect(() => onMutation(source, kind, reload), [source, kind, reload]);
  return { ...state, reload };
}

/** Something that is done for the user: by which name it goes on now, and what went wrong last. */
export interface Action {
  busy: string | null;
  error: string | null;
  act: (name: string, work: () => Promise<unknown>) => Promise<boolean>;
}

/** A command of a button: the name of the one that is under way, and the error of the last one. */
export function useAction(): Action {
  const [busy, setBusy] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const act = useCallback(async (name: string, work: () => Promise<unknown>) => {
    setBusy(name);
    setError(null);
    try {
      await work();
      return true;
    } catch (problem) {
      setError(messageOf(problem));
      return false;
    } finally {
      setBusy(null);
    }
  }, []);
  return { busy, error, act };
}

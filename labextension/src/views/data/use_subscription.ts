// What a query answers and a topic then keeps up to date, for as long as a view is there.
import { useEffect, useState } from 'react';
import type { Params, Query, Result } from './requests';
import { messageOf, useSource, type BatchOf, type ConnectionState } from './source';
import type { Topic } from './types';

/** How data are read and followed. An object of the module: a new one subscribes anew. */
export interface Subscription<K extends Query, T extends Topic, D> {
  query: K;
  /** The data after an answer. `data`: what batches have brought before it. */
  begin: (reply: Result[K], data: D | undefined) => D;
  /** The topic, or the one that continues an answer. */
  topic: T | ((reply: Result[K], params: Params[K]) => T);
  /** The data after a batch. */
  merge: (data: D | undefined, batch: BatchOf[T['kind']]) => D;
  /** Batches are shown at most once in so many ms, where what shows them is costly. */
  every?: number;
}

interface State<D> {
  data: D | undefined;
  error: string | null;
  connection: ConnectionState;
}

/** Data from a query and, while `follow`, from a topic. `params` null: nothing. After a gap the query is asked again;
 * the last data stay until its answer is there. */
export function useSubscription<K extends Query, T extends Topic, D>(
  { query, begin, topic, merge, every = 0 }: Subscription<K, T, D>,
  params: Params[K] | null,
  follow = true,
): State<D> {
  const source = useSource();
  const [state, setState] = useState<State<D>>({ data: undefined, error: null, connection: 'connecting' });
  const [round, setRound] = useState(0);
  const key = JSON.stringify(params);
  useEffect(() => {
    const asked = JSON.parse(key) as Params[K] | null;
    const stop = new AbortController();
    let data: D | undefined;
    const show = (part: Partial<State<D>>) => stop.signal.aborted || setState(was => ({ ...was, ...part }));
    let shown = -Infinity;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const showData = () => {
      clearTimeout(timer);
      timer = undefined;
      shown = performance.now();
      show({ data, error: null });
    };
    const take = (batch: BatchOf[T['kind']]) => {
      data = merge(data, batch);
      const wait = shown + every - performance.now();
      if (wait <= 0) showData();
      else timer ??= setTimeout(showData, wait);
    };
    const subscribe = (to: T) =>
      source.subscribe(
        to,
        take,
        connection => (connection === 'gap' ? setRound(n => n + 1) : show({ connection })),
        stop.signal,
      );
    if (asked === null) {
      show({ data: undefined });
      return;
    }
    if (follow && typeof topic !== 'function') subscribe(topic);
    source.query(query, asked, stop.signal).then(
      reply => {
        if (stop.signal.aborted) return;
        data = begin(reply, data);
        showData();
        if (follow && typeof topic === 'function') subscribe(topic(reply, asked));
      },
      problem => show({ error: messageOf(problem) }),
    );
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [source, query, begin, topic, merge, every, key, follow, round]);
  return state;
}

// The points of some runs for charts: queried, then live; and those of a stretch again, in more detail.
import { useEffect, useState } from 'react';
import { SeriesStore } from './series_store';
import type { Axis } from './asked';
import type { MetricsTopic, Series } from './types';
import { useQuery } from './use_query';
import { useSubscription, type Subscription } from './use_subscription';

/** The store grows in place; the object around it is a new one after each change. */
interface Points {
  store: SeriesStore;
}

const MAX_POINTS = 2000; // a series, in one answer
const MIN_POINTS = 150;
const ALL_POINTS = 120_000; // of all series together
const NONE: Points = { store: new SeriesStore() };
const REDRAWN = 250; // ms between two drawings of live curves: more often is more work than there is to see
const SETTLED = 150; // ms that a window stays before its detail is asked for

const SERIES: Subscription<'series', MetricsTopic, Points> = {
  query: 'series',
  begin: reply => ({ store: new SeriesStore(reply) }),
  topic: ({ cursors }, { run_ids }) => ({ kind: 'metrics', run_ids, since: cursors }),
  merge: (points, batch) => {
    const store = points?.store ?? new SeriesStore();
    store.add(batch);
    return { store };
  },
  every: REDRAWN,
};

/** So many points a series that an answer with all of them stays small. */
export const pointsFor = (series: number): number =>
  Math.max(MIN_POINTS, Math.min(MAX_POINTS, Math.floor(ALL_POINTS / Math.max(1, series))));

/** The points of these tags, and new ones while a run is `active`. `points` is another object after each change. */
export function useSeries(runIds: string[], tags: string[], axis: Axis, active: boolean) {
  const max_points = pointsFor(runIds.length * tags.length);
  const params = runIds.length > 0 && tags.length > 0 ? { run_ids: runIds, tags, axis, max_points } : null;
  const { data, error } = useSubscription(SERIES, params, active);
  const points = data ?? NONE;
  return { store: points.store, points, loading: params !== null && !data && !error, error };
}

/** A value that has stayed the same for a while. */
function useSettled<T>(value: T): T {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), SETTLED);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** The points of a window in more detail, where those of the whole are thinned; an empty store otherwise. It reaches
 * beyond both ends, so that a small step aside shows detail at once. */
export function useDetail(
  store: SeriesStore,
  runIds: string[],
  tags: string[],
  axis: Axis,
  window: readonly [number, number] | null,
): SeriesStore {
  const settled = useSettled(window);
  const thinned = runIds.some(id => tags.some(tag => store.get(id, tag)?.thinned));
  const [low, high] = settled ?? [0, 0];
  const [from, to] = [low - (high - low) / 2, high + (high - low) / 2];
  const max_points = pointsFor(runIds.length * tags.length);
  const { data } = useQuery(
    'series',
    settled && thinned ? { run_ids: runIds, tags, axis, low: from, high: to, max_points } : null,
  );
  const [detail, setDetail] = useState(NONE.store);
  useEffect(() => setDetail(data ? new SeriesStore(data) : NONE.store), [data]);
  return detail;
}

/** A series with a stretch of it in more detail. A resume that went back behind the stretch leaves no trace of it. */
export function refined(
  whole: Series,
  detail: Series | undefined,
  axis: Axis,
): Pick<Series, 'value'> & { x: number[] } {
  const [x, fine] = [whole[axis], detail?.[axis] ?? []];
  const last = fine[fine.length - 1];
  if (!detail || last === undefined || last > x[x.length - 1]!) return { x, value: whole.value };
  const before = x.findIndex(each => each >= fine[0]!);
  const behind = x.findIndex(each => each > last);
  const end = behind < 0 ? x.length : behind;
  return {
    x: [...x.slice(0, before), ...fine, ...x.slice(end)],
    value: [...whole.value.slice(0, before), ...detail.value, ...whole.value.slice(end)],
  };
}

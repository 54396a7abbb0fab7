// The points of some runs for charts: queried, then live.
import { SeriesStore } from './series_store';
import type { Axis } from './source';
import type { MetricsTopic } from './types';
import { useSubscription, type Subscription } from './use_subscription';

/** The store grows in place; the object around it is a new one after each change. */
interface Points {
  store: SeriesStore;
}

const MAX_POINTS = 2000; // a series, in one answer
const NONE = new SeriesStore();

const SERIES: Subscription<'series', MetricsTopic, Points> = {
  query: 'series',
  begin: reply => ({ store: new SeriesStore(reply) }),
  topic: ({ cursors }, { run_ids }) => ({ kind: 'metrics', run_ids, since: cursors }),
  merge: (points, batch) => {
    const store = points?.store ?? new SeriesStore();
    store.add(batch);
    return { store };
  },
};

/** The points of these tags, and new ones while a run is `active`. */
export function useSeries(runIds: string[], tags: string[], axis: Axis, active: boolean) {
  const params = runIds.length > 0 ? { run_ids: runIds, tags, axis, max_points: MAX_POINTS } : null;
  const { data, error } = useSubscription(SERIES, params, active);
  return { store: data?.store ?? NONE, error };
}

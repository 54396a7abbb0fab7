// One tag of one run as a line of a chart.
import type { SeriesStore } from '../data/series_store';
import type { Axis } from '../data/asked';
import { refined } from '../data/use_series';
import type { Line } from './plot';

export function lineOf(
  store: SeriesStore,
  runId: string,
  tag: string,
  axis: Axis,
  style: Pick<Line, 'label' | 'colour' | 'dim' | 'dash' | 'group'>,
  detail?: SeriesStore,
): Line {
  const series = store.get(runId, tag);
  const exact = /^(metric|loss\/val)/.test(tag); // few points, each a whole validation
  if (!series) return { ...style, exact, x: [], y: [] };
  const { x, value } = refined(series, detail?.get(runId, tag), axis);
  return { ...style, exact, x, y: value };
}

/** What a fork has of its ancestors, as a fainter line that ends where its own begins; none of a run that is no fork. */
export function pastLineOf(
  store: SeriesStore,
  runId: string,
  tag: string,
  axis: Axis,
  style: Pick<Line, 'label' | 'colour'>,
): Line[] {
  const past = axis === 'time' ? undefined : store.pastOf(runId, tag);
  if (!past) return [];
  const own = store.get(runId, tag);
  const x = [...past[axis], ...(own?.[axis].slice(0, 1) ?? [])];
  const y = [...past.value, ...(own?.value.slice(0, 1) ?? [])];
  return [
    { ...style, label: `${style.label}, before the fork`, group: style.label, dim: true, dash: true, x, y },
  ];
}

// One tag of one run as a line of a chart.
import type { SeriesStore } from '../data/series_store';
import type { Axis } from '../data/requests';
import { refined } from '../data/use_series';
import type { Line } from '../ui/plot';

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

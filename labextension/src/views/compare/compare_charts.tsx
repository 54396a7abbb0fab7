// The curves of all compared runs: a chart a metric, a line a run, or the mean of a group with the band of its runs.
import { useMemo } from 'react';
import type { SeriesStore } from '../data/series_store';
import type { Run } from '../data/types';
import { useDetail, useSeries } from '../data/use_series';
import { lineOf } from '../ui/series_line';
import type { ChartOptions } from '../ui/chart_tools';
import { Chart, type Line } from '../ui/chart';
import { isFraction, metricTitle } from '../ui/format';
import { Problem } from '../ui/messages';
import { useZoom } from '../ui/zoom';
import { useHighlight, useLit } from './highlight';
import { meanOf, type Group } from './groups';
import '../ui/chart.css';

interface CompareChartsProps {
  runs: readonly Run[];
  groups: readonly Group[];
  tags: readonly string[];
  /** Groups that are hidden, and runs that a brush leaves out. */
  hidden: ReadonlySet<string>;
  left: ReadonlySet<string>;
  options: ChartOptions;
  active: boolean;
}

/** The lines of a metric. A group of one run is that run's line. */
function linesOf(
  { runs, groups, left, options: { axis } }: CompareChartsProps,
  tag: string,
  store: SeriesStore,
  detail: SeriesStore,
): Line[] {
  return groups.flatMap(group => {
    const { colour, dash } = group.style;
    const style = { label: group.title, group: group.key, colour, dash };
    const curves = group.members
      .map(place => runs[place]!.id)
      .filter(id => !left.has(id))
      .map(id => lineOf(store, id, tag, axis, style, detail))
      .filter(line => line.x.length > 0);
    if (curves.length < 2) return curves;
    return [{ ...style, exact: curves[0]!.exact, ...meanOf(curves) }];
  });
}

export function CompareCharts(props: CompareChartsProps) {
  const { runs, groups, tags, left, hidden, options, active } = props;
  const { axis } = options;
  const key = runs.map(run => run.id).join();
  const ids = useMemo(() => key.split(','), [key]);
  const asked = [...tags];
  const { store, points, loading, error } = useSeries(ids, asked, axis, active);
  const zoom = useZoom(axis);
  const detail = useDetail(store, ids, asked, axis, zoom.window);
  const highlight = useHighlight();
  const lit = useLit();
  const lines = useMemo(
    () => new Map(tags.map(tag => [tag, linesOf(props, tag, points.store, detail)])),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the parts of `props` that lines are made of
    [groups, ids, tags, left, axis, points, detail],
  );
  const banded = groups.some(group => group.members.length > 1);
  return (
    <>
      <Problem>{error}</Problem>
      <div className="imgcls-charts" data-loading={loading || undefined}>
        {tags.map(tag => (
          <Chart
            key={tag}
            title={metricTitle(tag)}
            lines={lines.get(tag) ?? []}
            axis={axis}
            log={options.log && !isFraction(tag)}
            smoothing={options.smoothing}
            sync="compare"
            zoom={zoom}
            legend={false}
            hidden={hidden}
            lit={lit}
            onHover={highlight.set}
            {...(isFraction(tag) ? { unit: 'fraction' as const } : {})}
            note={banded ? 'mean, band: low to high' : undefined}
            empty={loading ? 'Reading the curves…' : undefined}
          />
        ))}
      </div>
    </>
  );
}

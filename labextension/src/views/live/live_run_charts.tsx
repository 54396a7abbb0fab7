// The charts of a run in a cell: its loss, and the validation metric that is chosen.
import { useId, useMemo, useState, type ReactNode } from 'react';
import { isActive, type RunDetail } from '../data/types';
import { useSeries } from '../data/use_series';
import { Chart } from '../ui/chart';
import { CurveTools, useChartOptions } from '../ui/chart_tools';
import { isFraction, metricTitle } from '../ui/format';
import { Problem } from '../ui/messages';
import { useMarks } from '../ui/run_changes';
import { PointsWait, validationWait } from '../ui/run_waits';
import { useZoom } from '../ui/zoom';
import { lineOf } from '../ui/series_line';

const HEIGHT = 200;
const ACCURACY = 'metric/accuracy';
const LOSS = ['loss/train', 'loss/val'];

/** The title of a validation metric as that of a chart. */
function chartTitle(tag: string): string {
  const title = metricTitle(tag).replace(/^validation /, '');
  return title.charAt(0).toUpperCase() + title.slice(1);
}

/** The validation metrics of a run; before the first validation, what it will have. */
function metricsOf(run: RunDetail): string[] {
  const known = run.series_names.filter(tag => tag.startsWith('metric/'));
  return known.includes(ACCURACY) ? known : [ACCURACY, ...known];
}

function MetricChoice({
  tags,
  value,
  onChange,
}: {
  tags: string[];
  value: string;
  onChange: (tag: string) => void;
}) {
  const id = useId();
  return (
    <>
      <label htmlFor={id}>metric</label>
      <select
        id={id}
        className="imgcls-small"
        value={value}
        disabled={tags.length < 2}
        title={tags.length < 2 ? 'The first validation brings the others' : undefined}
        onChange={event => onChange(event.target.value)}
      >
        {tags.map(tag => (
          <option key={tag} value={tag}>
            {chartTitle(tag)}
          </option>
        ))}
      </select>
    </>
  );
}

export function LiveCharts({ run }: { run: RunDetail }) {
  const [options, setOptions] = useChartOptions();
  const [chosen, setChosen] = useState(ACCURACY);
  const { axis, log, smoothing } = options;
  const ids = useMemo(() => [run.id], [run.id]);
  const tags = useMemo(() => [...LOSS, chosen], [chosen]);
  const { store, loading, error } = useSeries(ids, tags, axis, isActive(run.state));
  const zoom = useZoom(axis);
  const marks = useMarks(run, axis, step => store.placeAt(run.id, LOSS[0]!, 'time', step));
  const shared = { axis, zoom, marks, sync: `imgcls-live-${run.id}`, height: HEIGHT };
  const empty = (wait: ReactNode) => (loading ? 'Reading the curves…' : wait);
  const line = (tag: string, label: string, colour: number) =>
    lineOf(store, run.id, tag, axis, { label, colour });
  return (
    <>
      <CurveTools options={options} onChange={setOptions}>
        <MetricChoice tags={metricsOf(run)} value={chosen} onChange={setChosen} />
      </CurveTools>
      <Problem>{error}</Problem>
      <div className="imgcls-charts">
        <Chart
          {...shared}
          title="Loss"
          log={log}
          smoothing={smoothing}
          empty={empty(<PointsWait run={run} />)}
          lines={[line('loss/train', 'training', 0), line('loss/val', 'validation', 1)]}
        />
        <Chart
          {...shared}
          title={chartTitle(chosen)}
          unit={isFraction(chosen) ? 'fraction' : undefined}
          empty={empty(validationWait(run))}
          lines={[line(chosen, 'validation', 1)]}
        />
      </div>
    </>
  );
}

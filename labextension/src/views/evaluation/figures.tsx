// The metrics of an evaluation in a row, each with what helps to judge it.
import type { Evaluation } from '../data/types';
import { count, metric, metricTitle, percent } from '../ui/format';
import './figures.css';

const FIRST = ['accuracy', 'macro_f1', 'top', 'loss', 'calibration_error', 'auroc'];
const bare = (name: string): string => name.replace(/^(metric|test|loss)\//, '').replace(/^top\d+$/, 'top');
const keyOf = (name: string): string =>
  name.startsWith('loss/') || name === 'test/loss' ? 'loss' : bare(name);

/** Names of the metrics that the row shows, in its order. */
export function shownMetrics(view: Evaluation): string[] {
  const names = Object.keys(view.values).filter(name => view.values[name] != null);
  return FIRST.flatMap(key => names.filter(name => keyOf(name) === key).slice(0, 1));
}

/** What stands below a metric's value. */
function besides(view: Evaluation, name: string): string {
  const interval = view.intervals[name] as [number, number] | undefined; // the generator loses the items' type
  if (interval) {
    const [low, high] = interval.map(end => metric(name, end).replace(/ %$/, ''));
    return `${low} to ${high} at 95\u00a0%`;
  }
  const value = view.values[name];
  switch (keyOf(name)) {
    case 'macro_f1': {
      const worst = view.classes.filter(row => row.f1 != null).sort((a, b) => a.f1! - b.f1!)[0];
      return worst ? `worst: ${worst.name}, ${percent(worst.f1!)}` : '';
    }
    case 'top': {
      const missed = value == null ? 0 : Math.round((1 - value) * view.images);
      return missed === 0
        ? 'no image misses'
        : `${count(missed)} ${missed === 1 ? 'image misses' : 'images miss'}`;
    }
    case 'calibration_error':
      return view.calibrated_error == null ? leaning(view) : `${percent(view.calibrated_error)} calibrated`;
    case 'auroc':
      return 'one against the rest';
    case 'loss':
      return 'cross entropy';
    default:
      return '';
  }
}

/** Whether the confidences lie above or below what comes true. */
export function leaning(view: Evaluation): string {
  const sum = view.reliability.reduce(
    (all, bin) =>
      all +
      (bin.confidence == null || bin.accuracy == null ? 0 : bin.images * (bin.accuracy - bin.confidence)),
    0,
  );
  const mean = view.images ? sum / view.images : 0;
  return Math.abs(mean) < 0.005 ? 'as sure as it should be' : mean > 0 ? 'too unsure' : 'too sure';
}

export function Figures({ view }: { view: Evaluation }) {
  return (
    <dl className="imgcls-metric-tiles" aria-label="Metrics">
      {shownMetrics(view).map(name => (
        <div key={name}>
          <dt>{metricTitle(bare(name) === 'top' ? name : keyOf(name))}</dt>
          <dd>
            <b>{metric(name, view.values[name])}</b>
            <span>{besides(view, name)}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

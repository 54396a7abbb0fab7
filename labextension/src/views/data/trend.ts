// One metric of a run, a value an epoch, for its sparkline. Pure; no view.
import type { Run } from './types';

export interface Trend {
  /** Its name: accuracy, loss ... */
  metric: string;
  points: { epoch: number; value: number }[];
}

const MOST = 30; // epochs

/** The last validation's value of the metric that decides which epoch is the best. */
function valueOf(run: Run, metric: string): number | null | undefined {
  if (metric === 'loss') return run.latest['loss/val'];
  if (metric !== 'top_k') return run.latest[`metric/${metric}`];
  const tag = Object.keys(run.latest).find(name => /^metric\/top\d+$/.test(name));
  return tag === undefined ? undefined : run.latest[tag];
}

/** What the list of runs has of the metric up to now. */
const beginning = ({ curve = [] }: Run, epoch: number): Trend['points'] =>
  curve.map((value, i) => ({ epoch: epoch - curve.length + 1 + i, value }));

/** The trend with the value of now; the same object where nothing is new. The run's best says which metric it is. */
export function followed(trend: Trend | undefined, run: Run): Trend | undefined {
  const value = run.best ? valueOf(run, run.best.metric) : null;
  if (!run.best || value == null) return trend;
  const { metric } = run.best;
  const epoch = Math.floor(run.epoch + 1e-6);
  const points = trend?.metric === metric ? trend.points : beginning(run, epoch);
  const last = points[points.length - 1];
  if (trend?.points === points && last && last.epoch === epoch && last.value === value) return trend;
  const before = points.filter(point => point.epoch < epoch); // a resume may have gone back
  return { metric, points: [...before, { epoch, value }].slice(-MOST) };
}

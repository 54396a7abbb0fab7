// A metric of a run, epoch by epoch, as a small line.
import { metricTitle } from './format';
import type { Trend } from '../data/trend';
import './sparkline.css';

export function Sparkline({ trend }: { trend: Trend }) {
  const values = trend.points.map(point => point.value);
  if (values.length < 2) return null;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const points = values.map(
    (v, i) => `${(i / (values.length - 1)) * 58 + 1},${14 - ((v - low) / span) * 12}`,
  );
  return (
    <svg className="imgcls-spark" viewBox="0 0 60 16" width="60" height="16" aria-hidden="true">
      <title>{`validation ${metricTitle(trend.metric)} by epoch`}</title>
      <polyline points={points.join(' ')} />
    </svg>
  );
}

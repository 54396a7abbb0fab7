// Parallel coordinates of a sweep: how parameters and metric hang together over all trials.
import type { Sweep } from '../data/types';
import { metric, metricTitle } from '../ui/format';
import { Card, Svg } from './sweep_plot';
import { BOTTOM, HEIGHT, TOP, WIDTH, doneOf, scaleOf, titleOf, y, type Done } from './sweep_scale';
import './sweep_parallel.css';

/** Each trial as a line through its parameters to its value; the better, the stronger. */
export function Parallel({ sweep }: { sweep: Sweep }) {
  const done = doneOf(sweep);
  const names = Object.keys(sweep.space);
  if (done.length < 2) return null;
  const scales = names.map(name => scaleOf(done.map(trial => trial.params[name] ?? null)));
  const values = scaleOf(done.map(trial => trial.value));
  const column = (index: number) => 24 + (index * (WIDTH - 48)) / names.length;
  const good = (trial: Done) =>
    sweep.higher_is_better ? values.at(trial.value) : 1 - values.at(trial.value);
  const sorted = [...done].sort((a, b) => good(a) - good(b));
  return (
    <Card title="Parallel coordinates">
      <Svg label="Parallel coordinates">
        {sorted.map(trial => (
          <polyline
            key={trial.number}
            className={trial.number === sweep.best ? 'imgcls-bestline' : 'imgcls-parallel'}
            style={{ opacity: 0.15 + 0.7 * good(trial) }}
            points={[
              ...names.map((name, i) => `${column(i)},${y(scales[i]!.at(trial.params[name] ?? null))}`),
              `${column(names.length)},${y(values.at(trial.value))}`,
            ].join(' ')}
          >
            <title>{`trial ${trial.number}: ${metric(sweep.metric, trial.value)}`}</title>
          </polyline>
        ))}
        {[...names.map(name => titleOf(sweep, name)), metricTitle(sweep.metric)].map((title, i) => (
          <g key={i} className="imgcls-axes">
            <path d={`M${column(i)},${TOP + 4} V${HEIGHT - BOTTOM}`} />
            <text
              x={column(i)}
              y={HEIGHT - 8}
              textAnchor={i === 0 ? 'start' : i === names.length ? 'end' : 'middle'}
            >
              {title.length > 14 ? `${title.slice(0, 13)}…` : title}
            </text>
          </g>
        ))}
      </Svg>
    </Card>
  );
}

// Parallel coordinates of a sweep: how parameters and metric hang together over all trials.
import type { Sweep } from '../data/types';
import { metric, metricTitle } from '../ui/format';
import { Card, Drawing } from './sweep_plot';
import { BOTTOM, HEIGHT, TOP, doneOf, scaleOf, titleOf, y, type Done } from './sweep_scale';
import './sweep_parallel.css';

const SIDE = 24; // px beside the first and the last axis
const ANCHORS = { '-1': 'start', 0: 'middle', 1: 'end' } as const;

/** An axis with its title. `end`: -1 the first, 1 the last. */
const Axis = ({ title, x, end }: { title: string; x: number; end: -1 | 0 | 1 }) => (
  <g className="imgcls-axes">
    <path d={`M${x},${TOP + 4} V${HEIGHT - BOTTOM}`} />
    <text x={x} y={HEIGHT - 8} textAnchor={ANCHORS[end]}>
      {title.length > 14 ? `${title.slice(0, 13)}…` : title}
    </text>
  </g>
);

/** Each trial as a line through its parameters to its value; the better, the stronger. */
export function Parallel({ sweep }: { sweep: Sweep }) {
  const done = doneOf(sweep);
  const names = Object.keys(sweep.space);
  if (done.length < 2) return null;
  const scales = names.map(name => scaleOf(done.map(trial => trial.params[name] ?? null)));
  const values = scaleOf(done.map(trial => trial.value));
  const good = (trial: Done) =>
    sweep.higher_is_better ? values.at(trial.value) : 1 - values.at(trial.value);
  const sorted = [...done].sort((a, b) => good(a) - good(b));
  return (
    <Card title="Parallel coordinates">
      <Drawing label="Parallel coordinates">
        {width => {
          const column = (index: number) => SIDE + (index * (width - 2 * SIDE)) / names.length;
          return (
            <>
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
                <Axis key={i} {...{ title }} x={column(i)} end={i === 0 ? -1 : i === names.length ? 1 : 0} />
              ))}
            </>
          );
        }}
      </Drawing>
    </Card>
  );
}

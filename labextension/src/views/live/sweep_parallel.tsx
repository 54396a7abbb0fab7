// Parallel coordinates of a sweep: how parameters and metric hang together over all trials.
import type { Sweep } from '../data/types';
import { metric, metricTitle } from '../ui/format';
import { Card, Drawing, endText } from './sweep_plot';
import { BOTTOM, HEIGHT, TOP, doneOf, scaleOf, titleOf, y, type Done } from './sweep_scale';
import './sweep_parallel.css';

const SIDE = 24; // px beside the first and the last axis
const LETTER = 6.2; // px

interface AxisProps {
  title: string;
  x: number;
  anchor: 'start' | 'middle' | 'end';
  /** px to the next axis. */
  apart: number;
  /** Its title stands above it, since it would cover those of its neighbours. */
  above: boolean;
  /** What is lowest and highest on it. */
  ends: [string, string];
}

function Axis({ title, x, anchor, apart, above, ends }: AxisProps) {
  const most = Math.max(4, Math.floor((1.3 * apart) / LETTER)); // one from its end on, beside one around its axis
  return (
    <g className="imgcls-axes">
      <title>{title}</title>
      <path d={`M${x},${TOP + 4} V${HEIGHT - BOTTOM}`} />
      <text x={x} y={above ? TOP - 1 : HEIGHT - 8} textAnchor={anchor}>
        {title.length > most ? `${title.slice(0, most - 1)}…` : title}
      </text>
      {ends.map((end, high) => (
        <text
          key={high}
          className="imgcls-parallel-end"
          x={anchor === 'end' ? x - 5 : x + 5}
          y={y(high) + 4}
          textAnchor={anchor === 'end' ? 'end' : 'start'}
        >
          {end}
        </text>
      ))}
    </g>
  );
}

/** Each trial as a line through its parameters to its value; the better, the stronger. */
export function Parallel({ sweep }: { sweep: Sweep }) {
  const done = doneOf(sweep);
  const names = Object.keys(sweep.space);
  if (done.length < 2) return null;
  const scales = names.map(name => scaleOf(done.map(trial => trial.params[name] ?? null)));
  const values = scaleOf(done.map(trial => trial.value));
  const good = (trial: Done) =>
    sweep.higher_is_better ? values.at(trial.value) : 1 - values.at(trial.value);
  const titles = [...names.map(name => titleOf(sweep, name)), metricTitle(sweep.metric)];
  const ends: [string, string][] = [
    ...scales.map(scale => scale.ends.map(endText) as [string, string]),
    values.ends.map(end => metric(sweep.metric, end as number)) as [string, string],
  ];
  const sorted = [...done].sort((a, b) => good(a) - good(b));
  return (
    <Card wide title="Parallel coordinates">
      <Drawing label="Parallel coordinates">
        {width => {
          const apart = (width - 2 * SIDE) / names.length;
          const tight = titles.some(title => title.length * LETTER > 0.6 * apart);
          const column = (index: number) => SIDE + index * apart;
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
              {titles.map((title, i) => (
                <Axis
                  key={i}
                  {...{ title, apart }}
                  x={column(i)}
                  anchor={i === 0 ? 'start' : i === names.length ? 'end' : 'middle'}
                  above={tight && i % 2 === 1}
                  ends={ends[i]!}
                />
              ))}
            </>
          );
        }}
      </Drawing>
    </Card>
  );
}

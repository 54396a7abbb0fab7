// What the plots of a sweep are made of: a card, axes, and a point that opens its trial.
import type { ReactNode } from 'react';
import type { Sweep, Trial } from '../data/types';
import { metric, parameterText } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, x, y } from './sweep_scale';
import '../ui/layout.css';
import './sweep_plot.css';

/** A value at the end of an axis. */
export const endText = (value: unknown): string => (value == null ? '' : parameterText(value));

export function Card({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className="imgcls-card imgcls-sweep-plot">
      <h3>
        {title} {note && <span className="imgcls-muted">{note}</span>}
      </h3>
      {children}
    </section>
  );
}

export function Axes({
  sweep,
  ends,
  values,
}: {
  sweep: Sweep;
  ends: [unknown, unknown];
  values: [number, number];
}) {
  return (
    <g className="imgcls-axes">
      <path d={`M${LEFT},${TOP} V${HEIGHT - BOTTOM} H${WIDTH - RIGHT}`} />
      <text x={LEFT - 4} y={y(0) + 3} textAnchor="end">
        {metric(sweep.metric, values[0])}
      </text>
      <text x={LEFT - 4} y={y(1) + 3} textAnchor="end">
        {metric(sweep.metric, values[1])}
      </text>
      <text x={x(0)} y={HEIGHT - 8} textAnchor="start">
        {endText(ends[0])}
      </text>
      <text x={x(1)} y={HEIGHT - 8} textAnchor="end">
        {endText(ends[1])}
      </text>
    </g>
  );
}

export function TrialPoint({ trial, sweep, cx, cy }: { trial: Trial; sweep: Sweep; cx: number; cy: number }) {
  const navigate = useNavigate();
  const open = () => trial.run_id && navigate({ view: 'run', id: trial.run_id });
  return (
    <circle
      className={trial.number === sweep.best ? 'imgcls-point imgcls-point-best' : 'imgcls-point'}
      cx={cx}
      cy={cy}
      r={trial.number === sweep.best ? 4.5 : 3.5}
      onClick={open}
    >
      <title>{`trial ${trial.number}: ${metric(sweep.metric, trial.value)}`}</title>
    </circle>
  );
}

export const Svg = ({ label, children }: { label: string; children: ReactNode }) => (
  <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
    {children}
  </svg>
);

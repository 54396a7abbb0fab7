// What the plots of a sweep are made of: a card, axes, and a point that opens its trial.
import type { ReactNode } from 'react';
import type { Sweep } from '../data/types';
import { meanText, metric, parameterText } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { useWidth } from '../ui/use_width';
import { BOTTOM, HEIGHT, LEFT, RIGHT, TOP, spreadOf, x, y, type Done } from './sweep_scale';
import '../ui/layout.css';
import './sweep_plot.css';

/** A value at the end of an axis. */
export const endText = (value: unknown): string => (value == null ? '' : parameterText(value));

interface CardProps {
  title: string;
  note?: string;
  /** It takes all the room beside it. */
  wide?: boolean;
  children: ReactNode;
}

export function Card({ title, note, wide = false, children }: CardProps) {
  return (
    <section
      className={wide ? 'imgcls-card imgcls-sweep-plot imgcls-sweep-wide' : 'imgcls-card imgcls-sweep-plot'}
    >
      <h3>
        {title} {note && <span className="imgcls-muted">{note}</span>}
      </h3>
      {children}
    </section>
  );
}

interface AxesProps {
  sweep: Sweep;
  width: number;
  ends: [unknown, unknown];
  values: [number, number];
}

export function Axes({ sweep, width, ends, values }: AxesProps) {
  return (
    <g className="imgcls-axes">
      <path d={`M${LEFT},${TOP} V${HEIGHT - BOTTOM} H${width - RIGHT}`} />
      <text x={LEFT - 4} y={y(0) + 3} textAnchor="end">
        {metric(sweep.metric, values[0])}
      </text>
      <text x={LEFT - 4} y={y(1) + 3} textAnchor="end">
        {metric(sweep.metric, values[1])}
      </text>
      <text x={x(0, width)} y={HEIGHT - 8} textAnchor="start">
        {endText(ends[0])}
      </text>
      <text x={x(1, width)} y={HEIGHT - 8} textAnchor="end">
        {endText(ends[1])}
      </text>
    </g>
  );
}

export function TrialPoint({ trial, sweep, cx, cy }: { trial: Done; sweep: Sweep; cx: number; cy: number }) {
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
      <title>{`trial ${trial.number}: ${meanText(sweep.metric, trial.value, trial.deviation)}`}</title>
    </circle>
  );
}

interface SpreadProps {
  trial: Done;
  sweep: Sweep;
  cx: number;
  at: (value: number) => number;
}

/** A trial over an axis of the metric; of replicates with a line as long as two standard deviations. */
export function SpreadPoint({ trial, sweep, cx, at }: SpreadProps) {
  const [low, high] = spreadOf(sweep, trial).map(value => y(at(value)));
  return (
    <>
      {trial.deviation != null && <line className="imgcls-spread" x1={cx} x2={cx} y1={low} y2={high} />}
      <TrialPoint {...{ trial, sweep, cx }} cy={y(at(trial.value))} />
    </>
  );
}

/** A drawing as wide as its card, whose letters are as large as those around it. `children`: what it holds at a width. */
export function Drawing({ label, children }: { label: string; children: (width: number) => ReactNode }) {
  const [host, width] = useWidth<HTMLDivElement>();
  return (
    <div ref={host} className="imgcls-sweep-drawing" style={{ height: HEIGHT }}>
      {width > 0 && (
        <svg width={width} height={HEIGHT} role="img" aria-label={label}>
          {children(width)}
        </svg>
      )}
    </div>
  );
}

// Small things that every view shows: a state as a word and a colour, progress, sparkline, notices, buttons.
import type { ButtonHTMLAttributes, ReactNode } from 'react';
import { duration, metric, metricTitle } from './format';
import type { Link } from '../data/source';
import type { Trend } from '../data/trend';
import type { RunState, Run } from '../data/types';

const TONES: Record<RunState, string> = {
  queued: 'wait',
  starting: 'live',
  running: 'live',
  stopping: 'warn',
  stopped: 'wait',
  succeeded: 'ok',
  failed: 'error',
  cancelled: 'wait',
  lost: 'warn',
};

export const Dot = ({ state }: { state: RunState }) => (
  <i className={`imgcls-dot imgcls-dot-${TONES[state]}`} aria-hidden="true" />
);

/** `unreachable`: the run's host went silent; what it does there nobody can say. */
export const State = ({ state, unreachable }: { state: RunState; unreachable?: boolean }) => (
  <span className={`imgcls-state imgcls-tone-${unreachable ? 'warn' : TONES[state]}`} data-state={state}>
    <Dot state={unreachable ? 'lost' : state} />
    {unreachable ? 'unreachable' : state}
  </span>
);

/** A part of the panel at the left. */
export function Section({
  title,
  aside,
  children,
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section aria-label={title}>
      <h2 className="imgcls-side-title">
        {title}
        <span className="imgcls-num">{aside}</span>
      </h2>
      {children}
    </section>
  );
}

/** Share of the run's steps that are done. */
export const progressOf = (run: Run): number =>
  run.state === 'succeeded' ? 1 : run.total_steps ? Math.min(1, run.step / run.total_steps) : 0;

export function Progress({ run, label }: { run: Run; label?: string }) {
  const share = progressOf(run);
  return (
    <div
      className="imgcls-bar"
      role="progressbar"
      aria-label={label ?? `Progress of ${run.name}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(share * 100)}
    >
      <i className={`imgcls-fill-${TONES[run.state]}`} style={{ width: `${share * 100}%` }} />
    </div>
  );
}

/** "epoch 7 / 10 · 94.3 %" */
export function Standing({ run }: { run: Run }) {
  const parts = [];
  if (run.phase && (run.state !== 'running' || run.step === 0 || run.kind !== 'train')) parts.push(run.phase);
  if (run.epochs) parts.push(`epoch ${Math.min(run.epochs, Math.floor(run.epoch + 1e-6))} / ${run.epochs}`);
  if (run.best) parts.push(metric(run.best.metric, run.best.value));
  return <span className="imgcls-num">{parts.join(' · ') || run.phase || 'starting'}</span>;
}

export const bestText = (run: Run): string =>
  run.best ? `${metricTitle(run.best.metric)} ${metric(run.best.metric, run.best.value)}` : '';

export const left = (run: Run): string =>
  run.seconds_left == null ? '' : `${duration(run.seconds_left)} left`;

/** A drawn trend of a figure. */
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

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  primary?: boolean;
  danger?: boolean;
  busy?: boolean;
};

export function Button({ primary, danger, busy, className, disabled, children, ...rest }: ButtonProps) {
  const names = ['imgcls-button', primary && 'imgcls-primary', danger && 'imgcls-danger', className];
  return (
    <button
      type="button"
      className={names.filter(Boolean).join(' ')}
      disabled={disabled || busy}
      aria-busy={busy}
      {...rest}
    >
      {children}
    </button>
  );
}

export const Problem = ({ children }: { children: ReactNode }) =>
  children ? (
    <p className="imgcls-problem" role="alert">
      {children}
    </p>
  ) : null;

/** Says that the link is broken while it is; says nothing while all is well. */
export const LinkState = ({ link }: { link: Link }) =>
  link === 'reconnecting' ? (
    <span className="imgcls-link" role="status">
      reconnecting…
    </span>
  ) : null;

export const Chip = ({ children, title }: { children: ReactNode; title?: string }) => (
  <span className="imgcls-chip" title={title}>
    {children}
  </span>
);

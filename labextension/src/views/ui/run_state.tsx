// Where a run stands, wherever it is shown: its state as a word and a colour, its progress, a line of its metrics.
import { duration, metric } from './format';
import type { Run, RunState } from '../data/types';
import './run_state.css';

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
  <span className="imgcls-state" data-state={state}>
    <Dot state={unreachable ? 'lost' : state} />
    {unreachable ? 'unreachable' : state}
  </span>
);

/** How much of the run's steps is done, 0..1. */
export const progressOf = (run: Run): number =>
  run.state === 'succeeded' ? 1 : run.total_steps ? Math.min(1, run.step / run.total_steps) : 0;

export function Progress({ run, label }: { run: Run; label?: string }) {
  const done = progressOf(run);
  return (
    <div
      className="imgcls-bar"
      role="progressbar"
      aria-label={label ?? `Progress of ${run.name}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(done * 100)}
    >
      <i className={`imgcls-fill-${TONES[run.state]}`} style={{ width: `${done * 100}%` }} />
    </div>
  );
}

/** "epoch 7 / 10 · 94.3 %" */
export function StatusText({ run }: { run: Run }) {
  const parts = [];
  if (run.phase && (run.state !== 'running' || run.step === 0 || run.kind !== 'train')) parts.push(run.phase);
  if (run.epochs) parts.push(`epoch ${Math.min(run.epochs, Math.floor(run.epoch + 1e-6))} / ${run.epochs}`);
  if (run.best) parts.push(metric(run.best.metric, run.best.value));
  return <span className="imgcls-num">{parts.join(' · ') || run.phase || 'starting'}</span>;
}

export const timeLeft = (run: Run): string =>
  run.seconds_left == null ? '' : `${duration(run.seconds_left)} left`;

// A run in the panel: its name, where it stands, and the sparkline of its metric.
import { memo } from 'react';
import { isActive, isUnderWay, type Run } from '../data/types';
import type { Trend } from '../data/trend';
import { ago, metric } from '../ui/format';
import { MiddleText } from '../ui/middle_text';
import { useNavigate } from '../ui/navigation';
import { Dot, Progress, StatusText, timeLeft } from '../ui/run_state';
import { Sentence } from '../ui/sentence';
import { Sparkline } from '../ui/sparkline';
import { PhaseWait } from '../ui/run_waits';
import './sidebar_section.css';
import './run_row.css';

/** What stands at the right of a run's name. */
function aside(run: Run, now: number): string {
  if (run.state === 'queued') return run.priority > 0 ? 'next' : 'waiting';
  if (run.unreachable) return 'unreachable';
  if (run.state === 'starting') return ''; // its line says so
  if (isActive(run.state)) return run.state === 'running' ? timeLeft(run) : run.state;
  const age = ago(run.ended_at ?? run.updated_at, now);
  if (run.view_only) return ['view only', age].filter(Boolean).join(' · ');
  if (run.state === 'succeeded')
    return [run.best && metric(run.best.metric, run.best.value), age].filter(Boolean).join(' · ');
  return [run.state, run.resumable && 'resumable', age].filter(Boolean).join(' · ');
}

/** Whether it does something before its first step. */
const isBeginning = ({ kind, state, step, phase, unreachable }: Run): boolean =>
  !unreachable &&
  (state === 'starting' || (kind === 'train' && state === 'running' && step === 0 && !!phase));

interface RowProps {
  run: Run;
  now: number;
  trend: Trend | undefined;
  current: boolean;
  /** Whose it is, where there are several owners; else empty. */
  owner: string;
}

/** Drawn anew only where something of it changed: the others' steps come several times a second. */
export const RunRow = memo(function RunRow({ run, now, trend, current, owner }: RowProps) {
  const navigate = useNavigate();
  const underWay = isUnderWay(run.state);
  return (
    <button
      type="button"
      className="imgcls-row imgcls-run-row"
      data-run={run.id}
      aria-current={current}
      title={[run.name, owner && `of ${owner}`, run.state, run.failure?.replaceAll('_', ' '), run.message]
        .filter(Boolean)
        .join(' · ')}
      onClick={() => navigate({ view: 'run', id: run.id })}
    >
      <span className="imgcls-line">
        <span className="imgcls-name">
          <Dot state={run.state} />
          <b className="imgcls-clip">
            <MiddleText text={run.name} />
          </b>
          {owner && <span className="imgcls-muted imgcls-row-owner">{owner}</span>}
          <span className="imgcls-sr">{run.state}</span>
        </span>
        <span className="imgcls-muted imgcls-num">{aside(run, now)}</span>
      </span>
      {underWay && <Progress run={run} />}
      {underWay && (
        <span className="imgcls-line">
          <span className="imgcls-note imgcls-clip">
            {isBeginning(run) ? <PhaseWait run={run} /> : <StatusText run={run} />}
          </span>
          {trend && <Sparkline trend={trend} />}
        </span>
      )}
      {(run.state === 'queued' || run.state === 'starting') && run.message && (
        <span className="imgcls-note">
          <Sentence text={run.message} />
        </span>
      )}
    </button>
  );
});

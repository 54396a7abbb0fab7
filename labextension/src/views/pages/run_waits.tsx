// What a run waits for, and for how long by now: in the queue, at its start, at the stop that it was asked for.
import { isActive, type RunDetail } from '../data/types';
import { duration } from '../ui/format';
import { useNow } from '../ui/use_now';

/** " for 6 s". Whole seconds: tenths would flicker. */
const lasted = (since: number | null | undefined, now: number): string =>
  since == null ? '' : ` for ${duration(Math.max(1, Math.floor(now - since))).replace('.0 s', ' s')}`;

/** The sentence; empty where the run waits for nothing. */
export function waitText(run: RunDetail, now: number): string {
  switch (run.state) {
    case 'queued':
      return `waits${lasted(run.queued_at ?? run.created_at, now)}`;
    case 'starting':
      return `starting${lasted(run.running_since, now)}: ${run.phase ?? 'the process begins'}`;
    case 'running':
      return run.step === 0 && run.phase
        ? `${run.phase}, running${lasted(run.running_since, now)}`
        : (run.phase ?? '');
    case 'stopping':
      return run.phase ?? 'saving a checkpoint';
    default:
      return '';
  }
}

export function Waits({ run }: { run: RunDetail }) {
  const now = useNow(isActive(run.state));
  const text = run.unreachable ? '' : waitText(run, now);
  return text ? <span className="imgcls-muted imgcls-num">{text}</span> : null;
}

// What a run waits for, and for how long by now: in the queue, at its start, at the stop that it was asked for.
import { useState } from 'react';
import { isActive, type Run } from '../data/types';
import { duration } from './format';
import { useNow } from './use_now';

/** "6 s". Whole seconds: tenths would flicker. */
const seconds = (since: number, now: number): string =>
  duration(Math.max(1, Math.floor(now - since))).replace('.0 s', ' s');

/** " for 6 s" */
const lasted = (since: number | null | undefined, now: number): string =>
  since == null ? '' : ` for ${seconds(since, now)}`;

/** The sentence; empty where the run waits for nothing. */
export function waitText(run: Run, now: number): string {
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

export function Waits({ run }: { run: Run }) {
  const now = useNow(isActive(run.state));
  const text = run.unreachable ? '' : waitText(run, now);
  return text ? <span className="imgcls-muted imgcls-num">{text}</span> : null;
}

/** "starting: loading the model, 6 s": what a run does before its first step, and for how long by now. */
export function PhaseWait({ run }: { run: Run }) {
  const now = useNow(true);
  const phase = `${run.attempt} ${run.phase ?? ''}`;
  const [seen, setSeen] = useState({ phase, since: run.updated_at });
  if (seen.phase !== phase) setSeen({ phase, since: run.updated_at }); // the change that brought the phase
  const what = run.phase ?? 'the process begins';
  const text = run.state === 'starting' ? `starting: ${what}` : what;
  return (
    <span className="imgcls-num">
      {text}, {seconds(seen.since, now)}
    </span>
  );
}

/** What the curves of a run wait for, in the place of their drawing; of a run that has ended, why there are none. */
export function PointsWait({ run }: { run: Run }) {
  const { kind, state, step, unreachable } = run;
  const notebook = kind === 'notebook';
  if (!isActive(state))
    return <>{notebook ? 'No cell of the notebook trained in this run' : 'It ended before its first step'}</>;
  if (unreachable || step > 0) return <>No points yet</>;
  if (state === 'queued') return <>It waits in the queue</>;
  return (
    <>
      <PhaseWait run={run} />
      <span>The curve begins with {notebook ? 'the first training in a cell' : 'the first step'}.</span>
    </>
  );
}

/** The same for what each validation brings. */
export const validationWait = ({ state }: Run): string =>
  isActive(state) ? 'After the first validation' : 'It was not validated';

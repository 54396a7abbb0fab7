// How far a task of the server is, with the button that cancels it; and why it failed.
import type { ReactNode } from 'react';
import { isUnderway, type WatchedJob } from '../data/use_job';
import { Button } from '../ui/button';
import { bytes } from '../ui/format';
import { Problem } from '../ui/messages';
import '../ui/layout.css';
import '../ui/run_state.css';
import './job_progress.css';

/** `doing`: what it does, such as "Writing the file". */
export function JobProgress({ watched, doing }: { watched: WatchedJob; doing: string }) {
  const { job, error, cancel } = watched;
  if (!isUnderway(job))
    return (
      <>
        <Problem>{error ?? (job?.state === 'failed' ? job.message : null)}</Problem>
        {job?.state === 'cancelled' && (
          <p className="imgcls-note" role="status">
            {job.message}
          </p>
        )}
      </>
    );
  const { state, done, total } = job!;
  return (
    <Advance doing={doing} waits={state === 'waiting'} {...{ done, total }} onCancel={cancel}>
      <Problem>{error}</Problem>
    </Advance>
  );
}

interface AdvanceProps {
  doing: string;
  /** It has not begun: others are before it. */
  waits?: boolean;
  done: number;
  total: number;
  onCancel: () => void;
  children?: ReactNode;
}

/** A bar, how much is done, and the button that ends it. */
export function Advance({ doing, waits = false, done, total, onCancel, children }: AdvanceProps) {
  const part = total > 0 ? Math.min(1, done / total) : 0;
  const percent = Math.round(part * 100);
  return (
    <div className="imgcls-job">
      <div
        className="imgcls-bar"
        role="progressbar"
        aria-label={doing}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
      >
        <i style={{ width: `${part * 100}%` }} />
      </div>
      <span className="imgcls-note imgcls-num">
        {waits ? 'Waits for other tasks' : doing}
        {total > 0 ? `: ${bytes(done)} of ${bytes(total)}, ${percent} %` : '…'}
      </span>
      <Button onClick={onCancel}>Cancel</Button>
      {children}
    </div>
  );
}

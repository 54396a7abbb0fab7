// How far a task of the server is, with the button that cancels it; and why it failed.
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
  const part = total > 0 ? Math.min(1, done / total) : 0;
  return (
    <div className="imgcls-job">
      <div
        className="imgcls-bar"
        role="progressbar"
        aria-label={doing}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(part * 100)}
      >
        <i style={{ width: `${part * 100}%` }} />
      </div>
      <span className="imgcls-note imgcls-num">
        {state === 'waiting' ? 'Waits for other tasks' : doing}
        {total > 0 ? `: ${bytes(done)} of ${bytes(total)}` : '…'}
      </span>
      <Button onClick={cancel}>Cancel</Button>
      <Problem>{error}</Problem>
    </div>
  );
}

// A run, live, wherever it is shown: a notebook cell with or without a kernel, or the page of a run. Needs a source
// and a run id, and no host.
import { useState, type ReactNode } from 'react';
import { SourceProvider, type ConnectionState, type Source } from '../data/source';
import { isActive, type Run } from '../data/types';
import { useNodeLog } from '../data/use_log';
import { useAction } from '../data/use_query';
import { useRun } from '../data/use_runs';
import { CellEvaluation } from '../evaluation/cell_evaluation';
import { Button } from '../ui/button';
import { modelOf } from '../ui/format';
import { LogText } from '../ui/log_text';
import { ConnectionNotice, Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Progress, State, StatusText } from '../ui/run_state';
import { LiveCharts } from './live_run_charts';
import { RunMetrics } from './live_run_metrics';
import { StateButton } from './state_button';
import { MiddleText } from '../ui/middle_text';
import './live_run.css';

/** Why a run waits or what it failed of, beside where it stands. */
export const Message = ({ run }: { run: Run }) =>
  run.message ? (
    <p
      className={run.state === 'failed' ? 'imgcls-problem' : 'imgcls-note'}
      role={run.state === 'failed' ? 'alert' : 'status'}
    >
      {run.message}
    </p>
  ) : null;

/** Name and state of a run in a cell, a word of what it is, and at the right how the connection and the run stand. */
export function LiveHead({
  run,
  connection,
  what,
  children,
}: {
  run: Run;
  connection: ConnectionState;
  what: string;
  children?: ReactNode;
}) {
  return (
    <div className="imgcls-live-head">
      <b className="imgcls-clip" title={run.name}>
        <MiddleText text={run.name} />
      </b>
      <State state={run.state} unreachable={run.unreachable} />
      <span className="imgcls-muted imgcls-clip">{what}</span>
      <span className="imgcls-spacer" />
      <ConnectionNotice connection={connection} />
      {children}
    </div>
  );
}

/** The end of the log, read when somebody unfolds it. */
function LiveLog({ run }: { run: Run }) {
  const [open, setOpen] = useState(false);
  return (
    <details className="imgcls-live-log" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>Log</summary>
      {open && <Unfolded run={run} />}
    </details>
  );
}

function Unfolded({ run }: { run: Run }) {
  const { log, error } = useNodeLog(run.id, 0, isActive(run.state));
  const [follows, setFollows] = useState(true);
  if (!log) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the log…</p>;
  return <LogText log={log} active={isActive(run.state)} wraps follows={follows} onFollows={setFollows} />;
}

function Live({ runId, opens }: { runId: string; opens: boolean }) {
  const { run, error, connection } = useRun(runId);
  const action = useAction();
  const navigate = useNavigate();
  if (!run) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the run…</p>;
  return (
    <>
      <LiveHead run={run} connection={connection} what={modelOf(run)}>
        <span className="imgcls-muted">
          <StatusText run={run} />
        </span>
        {run.may_change && !run.view_only && connection !== 'still' && (
          <StateButton run={run} action={action} />
        )}
        {opens && (
          <Button title="Open the page of this run" onClick={() => navigate({ view: 'run', id: run.id })}>
            Open
          </Button>
        )}
      </LiveHead>
      {connection === 'still' && (
        <p className="imgcls-note" role="status">
          To see how it stands, run <code>lab.run("{run.id}")</code> in a new cell.
        </p>
      )}
      <Problem>{action.error}</Problem>
      <Progress run={run} />
      <Message run={run} />
      <RunMetrics run={run} />
      <LiveCharts run={run} />
      <LiveLog run={run} />
      {run.kind === 'train' && <CellEvaluation run={run} />}
    </>
  );
}

/** Title, state, progress, numbers, loss and a metric of a run, and what can be done with it. */
export function LiveRun({
  source,
  runId,
  opens = false,
}: {
  source: Source;
  runId: string;
  /** Whether the host has a page of the run. */
  opens?: boolean;
}) {
  return (
    <SourceProvider value={source}>
      <section className="imgcls imgcls-live" data-run={runId}>
        <Live runId={runId} opens={opens} />
      </section>
    </SourceProvider>
  );
}

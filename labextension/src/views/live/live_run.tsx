// A run, live, wherever it is shown: a notebook cell with or without a kernel, or the page of a run. Needs a source
// and a run id, and no host.
import { useMemo, type ReactNode } from 'react';
import { SourceProvider, type ConnectionState, type Source } from '../data/source';
import { CELL_SMOOTHING, isActive, type Run, type RunDetail } from '../data/types';
import { useRun } from '../data/use_runs';
import { useSeries } from '../data/use_series';
import { CellEvaluation } from '../evaluation/cell_evaluation';
import { Chart } from '../ui/chart';
import { modelOf } from '../ui/format';
import { ConnectionNotice, Problem } from '../ui/messages';
import { Progress, State, StatusText } from '../ui/run_state';
import { useZoom } from '../ui/zoom';
import { RunMetrics } from './live_run_metrics';
import { lineOf } from './series_line';
import './live_run.css';

const TAGS = ['loss/train', 'loss/val', 'metric/accuracy', 'metric/macro_f1'];

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

function LiveCharts({ run, compact }: { run: RunDetail; compact: boolean }) {
  const { store } = useSeries([run.id], TAGS, 'step', isActive(run.state));
  const sync = useMemo(() => `imgcls-live-${run.id}`, [run.id]);
  const zoom = useZoom('step');
  const height = compact ? 150 : 200;
  const style = (label: string, colour: number) => ({ label, colour });
  return (
    <div className="imgcls-charts">
      <Chart
        title="Loss"
        height={height}
        sync={sync}
        zoom={zoom}
        smoothing={CELL_SMOOTHING}
        lines={[
          lineOf(store, run.id, 'loss/train', 'step', style('training', 0)),
          lineOf(store, run.id, 'loss/val', 'step', style('validation', 1)),
        ]}
      />
      <Chart
        title="Accuracy"
        height={height}
        sync={sync}
        zoom={zoom}
        unit="fraction"
        lines={[lineOf(store, run.id, 'metric/accuracy', 'step', style('validation', 1))]}
      />
    </div>
  );
}

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
      <b className="imgcls-clip">{run.name}</b>
      <State state={run.state} unreachable={run.unreachable} />
      <span className="imgcls-muted imgcls-clip">{what}</span>
      <span className="imgcls-spacer" />
      <ConnectionNotice connection={connection} />
      {children}
    </div>
  );
}

function Live({ runId, compact }: { runId: string; compact: boolean }) {
  const { run, error, connection } = useRun(runId);
  if (!run) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the run…</p>;
  return (
    <>
      <LiveHead run={run} connection={connection} what={modelOf(run)}>
        <span className="imgcls-muted">
          <StatusText run={run} />
        </span>
      </LiveHead>
      <Progress run={run} />
      <Message run={run} />
      {!compact && <RunMetrics run={run} />}
      <LiveCharts run={run} compact={compact} />
      {run.kind === 'train' && !compact && <CellEvaluation run={run} />}
    </>
  );
}

/** Title, state, progress, numbers, loss and accuracy of a run. */
export function LiveRun({
  source,
  runId,
  compact = false,
}: {
  source: Source;
  runId: string;
  compact?: boolean;
}) {
  return (
    <SourceProvider value={source}>
      <section className="imgcls imgcls-live" data-run={runId}>
        <Live runId={runId} compact={compact} />
      </section>
    </SourceProvider>
  );
}

// A list of runs, live, in a notebook cell: those that a query finds by now, each with where it stands. A name leads to
// the run's page.
import { useMemo } from 'react';
import type { RunsQuery } from '../data/asked';
import type { Run } from '../data/types';
import { useQuery } from '../data/use_query';
import { useOnChange, useRuns } from '../data/use_runs';
import {
  ago,
  duration,
  formatNumber,
  isFraction,
  metric,
  metricTitle,
  modelOf,
  percent,
  plural,
  ranFor,
} from '../ui/format';
import { ConnectionNotice, Problem } from '../ui/messages';
import { NameLink } from '../ui/name_link';
import { State, progressOf } from '../ui/run_state';
import '../ui/table.css';
import './live_runs.css';

/** The value of a column that was asked for. */
function shown(column: string, value: unknown): string {
  if (typeof value !== 'number') return value == null ? '–' : String(value);
  return isFraction(column) ? metric(column, value) : formatNumber(value);
}

function Row({ run, columns }: { run: Run; columns: readonly string[] }) {
  return (
    <tr data-run={run.id}>
      <td>
        <NameLink name={run.name} to={{ view: 'run', id: run.id }} />
      </td>
      <td className="imgcls-left">
        <State state={run.state} unreachable={run.unreachable} />
      </td>
      <td>{percent(progressOf(run), 0)}</td>
      <td>{run.epochs ? `${Math.min(run.epochs, Math.floor(run.epoch + 1e-6))} / ${run.epochs}` : '–'}</td>
      <td>{run.best ? metric(run.best.metric, run.best.value) : '–'}</td>
      <td className="imgcls-left imgcls-muted">{run.best ? metricTitle(run.best.metric) : ''}</td>
      <td className="imgcls-left">{modelOf(run)}</td>
      {columns.map(column => (
        <td key={column}>{shown(column, run.values?.[column])}</td>
      ))}
      <td>{duration(ranFor(run))}</td>
      <td>{ago(run.created_at)}</td>
    </tr>
  );
}

export function LiveRuns({ query }: { query: RunsQuery }) {
  const { runs, deleted, connection } = useRuns();
  const { data, error, reload } = useQuery('runs', query);
  // a run that came, went on to another state or was deleted may belong to the list by now, or no longer
  const marks = [...runs.values()].map(run => `${run.id} ${run.state} ${run.best?.epoch ?? ''}`);
  useOnChange([...marks, ...deleted].join(), reload);
  const items = useMemo(
    () =>
      data?.items.map(run => {
        const newer = runs.get(run.id);
        return newer && newer.revision > run.revision ? { ...run, ...newer, values: run.values } : run;
      }),
    [data, runs],
  );
  if (!items) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the runs…</p>;
  if (items.length === 0) return <p className="imgcls-muted">No runs yet.</p>;
  const columns = query.columns ?? [];
  const total = data?.total ?? items.length;
  return (
    <section className="imgcls-live-runs">
      <table className="imgcls-table">
        <thead>
          <tr>
            <th>run</th>
            <th className="imgcls-left">state</th>
            <th>done</th>
            <th>epoch</th>
            <th>best</th>
            <th className="imgcls-left">of</th>
            <th className="imgcls-left">model</th>
            {columns.map(column => (
              <th key={column}>{metricTitle(column)}</th>
            ))}
            <th>ran</th>
            <th>created</th>
          </tr>
        </thead>
        <tbody>
          {items.map(run => (
            <Row key={run.id} run={run} columns={columns} />
          ))}
        </tbody>
      </table>
      <p className="imgcls-muted">
        {total > items.length ? `${items.length} of ${plural(total, 'run')}` : plural(total, 'run')}{' '}
        <ConnectionNotice connection={connection} />
      </p>
    </section>
  );
}

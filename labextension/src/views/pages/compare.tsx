// Several runs in one chart, and what sets them apart.
import { useMemo, useState } from 'react';
import { isActive, type Run, type RunDetail } from '../data/types';
import { useRunDetails, useRuns } from '../data/use_runs';
import { Button } from '../ui/button';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { CompareTable } from './compare_table';
import { Curves, CurveTools, useChartOptions, type ShownRun } from './curves';
import { RunsTable } from './runs_table';
import '../ui/layout.css';

/** Distinct names: runs of the same name get the end of their ids. */
export function distinct(runs: { id: string; name: string }[]): Map<string, string> {
  const seen = new Map<string, number>();
  for (const run of runs) seen.set(run.name, (seen.get(run.name) ?? 0) + 1);
  return new Map(
    runs.map(run => [run.id, (seen.get(run.name) ?? 0) > 1 ? `${run.name} (${run.id.slice(-6)})` : run.name]),
  );
}

export function ComparePage({ ids, onChange }: { ids: string[]; onChange: (ids: string[]) => void }) {
  const navigate = useNavigate();
  const { runs: known } = useRuns();
  const { details, error } = useRunDetails(ids);
  const [options, setOptions] = useChartOptions();
  const [choosing, setChoosing] = useState(ids.length < 2);
  const runs = ids.flatMap(id => {
    const detail = details.get(id);
    return detail ? [{ ...detail, ...known.get(id) } as RunDetail] : [];
  });
  const names = distinct(runs);
  const shown: ShownRun[] = runs.map((run, i) => ({ id: run.id, name: names.get(run.id)!, colour: i }));
  const chosen = useMemo(() => new Set(ids), [ids]);
  const choose = (run: Run, on: boolean) => onChange(on ? [...ids, run.id] : ids.filter(id => id !== run.id));
  const active = runs.some(run => isActive(run.state));
  return (
    <div className="imgcls-page">
      <header className="imgcls-page-head">
        <h1>Compare</h1>
        <span className="imgcls-muted">{plural(runs.length, 'run')}</span>
        <span className="imgcls-spacer" />
        <Button disabled={ids.length === 0} onClick={() => navigate({ view: 'tensorboard', run_ids: ids })}>
          TensorBoard
        </Button>
        <Button aria-expanded={choosing} onClick={() => setChoosing(!choosing)}>
          {choosing ? 'Done choosing' : 'Choose runs…'}
        </Button>
      </header>
      {choosing && (
        <section className="imgcls-card">
          <RunsTable chosen={chosen} onChoose={choose} />
        </section>
      )}
      <Problem>{error}</Problem>
      {runs.length > 0 && (
        <div className="imgcls-stack">
          <CurveTools options={options} onChange={setOptions} />
          <Curves runs={shown} active={active} options={options} sync="compare" />
          <CompareTable runs={runs} shown={shown} />
        </div>
      )}
      {runs.length === 0 && !choosing && <p className="imgcls-muted">Choose two runs or more.</p>}
    </div>
  );
}

// Several runs in one chart, and what sets their configs apart.
import { useMemo, useState } from 'react';
import { Curves, CurveTools, useChartOptions, type ShownRun } from './curves';
import { textOf } from '../forms/config_form';
import { duration, metric, plural, ranFor } from '../ui/format';
import { useRunDetails, useRuns } from '../data/use_runs';
import { useNow } from '../ui/use_now';
import { useNavigate } from '../ui/navigation';
import { RunsTable } from './runs_table';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { State } from '../ui/run_state';
import { isActive, type RunDetail, type Run } from '../data/types';

/** Distinct names: runs of the same name get the end of their ids. */
export function distinct(runs: { id: string; name: string }[]): Map<string, string> {
  const seen = new Map<string, number>();
  for (const run of runs) seen.set(run.name, (seen.get(run.name) ?? 0) + 1);
  return new Map(
    runs.map(run => [run.id, (seen.get(run.name) ?? 0) > 1 ? `${run.name} (${run.id.slice(-6)})` : run.name]),
  );
}

/** The fields in which the configs differ: [name, a value a run]. */
export function differences(configs: Record<string, unknown>[]): [string, string[]][] {
  const names = new Set(configs.flatMap(config => Object.keys(config)));
  return [...names]
    .map((name): [string, string[]] => [name, configs.map(config => textOf(config[name]))])
    .filter(([, values]) => new Set(values).size > 1);
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
  const rows = useMemo(
    () => differences(ids.flatMap(id => (details.has(id) ? [details.get(id)!.config] : []))),
    [ids, details],
  );
  const chosen = useMemo(() => new Set(ids), [ids]);
  const choose = (run: Run, on: boolean) => onChange(on ? [...ids, run.id] : ids.filter(id => id !== run.id));
  const active = runs.some(run => isActive(run.state));
  const now = useNow(active);
  const metrics: [string, (run: RunDetail) => string][] = [
    [
      'best',
      run => (run.best ? `${metric(run.best.metric, run.best.value)} (epoch ${run.best.epoch})` : '–'),
    ],
    ['validation loss, last', run => metric('loss/val', run.latest['loss/val'])],
    ['macro F1, last', run => metric('macro_f1', run.latest['metric/macro_f1'])],
    ['test accuracy, best', run => metric('test/accuracy', run.latest['test/accuracy'])],
    ['time', run => duration(ranFor(run, now))],
  ];
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
          <section className="imgcls-card imgcls-scroll">
            <h3>{runs.length > 1 && rows.length === 0 ? 'The configs are equal' : 'What differs'}</h3>
            <table className="imgcls-table imgcls-table-text">
              <thead>
                <tr>
                  <th />
                  {shown.map(run => (
                    <th key={run.id} scope="col">
                      <button
                        type="button"
                        className="imgcls-legend-item"
                        onClick={() => navigate({ view: 'run', id: run.id })}
                      >
                        <i
                          className="imgcls-key"
                          style={{ color: `var(--imgcls-series-${(run.colour % 8) + 1})` }}
                        />
                        <span className="imgcls-clip">{run.name}</span>
                      </button>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                <tr>
                  <th scope="row">state</th>
                  {runs.map(run => (
                    <td key={run.id}>
                      <State state={run.state} unreachable={run.unreachable} />
                    </td>
                  ))}
                </tr>
                {metrics.map(([title, show]) => (
                  <tr key={title}>
                    <th scope="row">{title}</th>
                    {runs.map(run => (
                      <td key={run.id} className="imgcls-num">
                        {show(run)}
                      </td>
                    ))}
                  </tr>
                ))}
                {rows.map(([name, values]) => (
                  <tr key={name}>
                    <th scope="row" className="imgcls-mono">
                      {name}
                    </th>
                    {values.map((value, i) => (
                      <td key={i} className="imgcls-num">
                        {value || '–'}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        </div>
      )}
      {runs.length === 0 && !choosing && <p className="imgcls-muted">Choose two runs or more.</p>}
    </div>
  );
}

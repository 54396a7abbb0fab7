// Several runs in one chart, and what sets their configs apart.
import { useEffect, useMemo, useState } from 'react';
import { Curves, CurveTools, useChoices, type Shown } from './curves';
import { textOf } from '../forms/config_form';
import { duration, metric, plural, ranFor } from '../ui/format';
import { sentence, useFeed, useNow } from '../data/hooks';
import { useGo } from '../ui/navigation';
import { RunsTable } from './runs';
import { useSource } from '../data/source';
import { Button, Problem, State } from '../ui/states';
import { isActive, type RunDetail, type Run } from '../data/types';

/** The details of some runs: their configs do not change, so each is asked for once. */
function useDetails(ids: string[]): { details: Map<string, RunDetail>; error: string | null } {
  const source = useSource();
  const [details, setDetails] = useState(() => new Map<string, RunDetail>());
  const [error, setError] = useState<string | null>(null);
  const key = ids.join();
  useEffect(() => {
    const stop = new AbortController();
    setError(null);
    for (const id of key ? key.split(',') : []) {
      source.query('run', { id }, stop.signal).then(
        run => stop.signal.aborted || setDetails(was => new Map(was).set(id, run)),
        problem => stop.signal.aborted || setError(sentence(problem)),
      );
    }
    return () => stop.abort();
  }, [source, key]);
  return { details, error };
}

/** Names that tell runs apart: two of the same name get the start of their ids. */
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
  const go = useGo();
  const feed = useFeed();
  const { details, error } = useDetails(ids);
  const [choices, setChoices] = useChoices();
  const [choosing, setChoosing] = useState(ids.length < 2);
  const runs = ids.flatMap(id => {
    const detail = details.get(id);
    return detail ? [{ ...detail, ...feed.runs.get(id) } as RunDetail] : [];
  });
  const names = distinct(runs);
  const shown: Shown[] = runs.map((run, i) => ({ id: run.id, name: names.get(run.id)!, colour: i }));
  const rows = useMemo(
    () => differences(ids.flatMap(id => (details.has(id) ? [details.get(id)!.config] : []))),
    [ids, details],
  );
  const chosen = useMemo(() => new Set(ids), [ids]);
  const choose = (run: Run, on: boolean) => onChange(on ? [...ids, run.id] : ids.filter(id => id !== run.id));
  const active = runs.some(run => isActive(run.state));
  const now = useNow(active);
  const figures: [string, (run: RunDetail) => string][] = [
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
    <div className="imgcls-page imgcls-compare">
      <header className="imgcls-page-head">
        <h1>Compare</h1>
        <span className="imgcls-muted">{plural(runs.length, 'run')}</span>
        <span className="imgcls-spacer" />
        <Button disabled={ids.length === 0} onClick={() => go({ view: 'board', run_ids: ids })}>
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
          <CurveTools choices={choices} onChange={setChoices} />
          <Curves runs={shown} active={active} choices={choices} sync="imgcls-compare" />
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
                        onClick={() => go({ view: 'run', id: run.id })}
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
                {figures.map(([title, show]) => (
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

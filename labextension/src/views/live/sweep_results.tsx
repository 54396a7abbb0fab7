// The trials of a sweep: a matrix where its holes show, the best so far, and what fills the holes.
import { useEffect, useMemo, useState } from 'react';
import { feedOf } from '../data/runs_store';
import { figure, metric, metricTitle, plural } from '../ui/format';
import { useAction, useFeed, useQuery } from '../data/hooks';
import { useGo } from '../ui/navigation';
import { useSource } from '../data/source';
import { Button, Problem } from '../ui/states';
import { Contour, History, Importance, Parallel, Slices, Timeline } from './sweep_plots';
import { isActive, type RunDetail, type Sweep, type Trial } from '../data/types';

const PACE = 1500; // ms between two looks while it runs

export const valueText = (value: unknown): string =>
  typeof value === 'number' ? String(Number(value.toPrecision(4))) : value === null ? 'None' : String(value);

/** The sweep of a run, asked for again while it runs and when one of its trials changes. */
function useSweep(run: RunDetail) {
  const { data, error, reload } = useQuery('sweep', { id: run.id });
  const feed = useFeed();
  const marks =
    data?.trials.map(trial => `${feed.runs.get(trial.run_id ?? '')?.revision ?? ''}`).join() ?? '';
  const active = isActive(run.state);
  useEffect(() => reload(), [reload, run.state, run.revision]);
  useEffect(() => {
    const timer = active ? setInterval(reload, PACE) : setTimeout(reload, 300);
    return () => clearInterval(timer);
  }, [active, marks, reload]);
  return { view: data?.run_id === run.id ? data : undefined, error, reload };
}

/** Share of the way from the worst to the best value, 0..1, for a cell's tint. */
export function ranks(view: Sweep): Map<number, number> {
  const done = view.trials.filter(trial => trial.value != null);
  const values = done.map(trial => trial.value!);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  return new Map(
    done.map(trial => {
      const share = (trial.value! - low) / span;
      return [trial.number, view.higher_is_better ? share : 1 - share];
    }),
  );
}

function Cell({ trial, view, rank }: { trial: Trial; view: Sweep; rank: number | undefined }) {
  const go = useGo();
  const last = trial.curve[trial.curve.length - 1];
  const shown =
    trial.state === 'succeeded'
      ? metric(view.metric, trial.value)
      : last && (trial.state === 'running' || trial.state === 'pruned')
        ? metric(view.metric, last.value)
        : trial.state;
  const names = Object.entries(trial.params).map(([name, value]) => `${name} ${valueText(value)}`);
  const title = [names.join(', '), trial.state, trial.message].filter(Boolean).join(' · ');
  const classes = ['imgcls-cell', `imgcls-cell-${trial.state}`, trial.hole && 'imgcls-hole'];
  if (trial.number === view.best) classes.push('imgcls-cell-best');
  return (
    <button
      type="button"
      className={classes.filter(Boolean).join(' ')}
      style={rank === undefined ? undefined : ({ '--rank': `${Math.round(rank * 55)}%` } as object)}
      title={title}
      aria-label={`Trial ${trial.number}: ${title}`}
      data-trial={trial.number}
      data-state={trial.state}
      disabled={!trial.run_id}
      onClick={() => trial.run_id && go({ view: 'run', id: trial.run_id })}
    >
      {shown}
      {trial.state === 'pruned' && <small> pruned</small>}
      {trial.state === 'running' && <small> …</small>}
    </button>
  );
}

/** Rows and columns: with a grid the last parameter goes across, else each trial has a row. */
export function Matrix({ view }: { view: Sweep }) {
  const shades = useMemo(() => ranks(view), [view]);
  const names = Object.keys(view.space);
  const across = names[names.length - 1]!;
  const down = names.slice(0, -1);
  const grid = view.strategy === 'grid' && names.length > 1;
  if (!grid) return <Trials view={view} shades={shades} />;
  const columns = [...new Set(view.trials.map(trial => JSON.stringify(trial.params[across] ?? null)))];
  const rows = new Map<string, Map<string, Trial>>();
  for (const trial of view.trials) {
    const key = JSON.stringify(down.map(name => trial.params[name] ?? null));
    if (!rows.has(key)) rows.set(key, new Map());
    rows.get(key)!.set(JSON.stringify(trial.params[across] ?? null), trial);
  }
  return (
    <div className="imgcls-scroll">
      <table className="imgcls-matrix">
        <thead>
          <tr>
            {down.map(name => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
            {columns.map(column => (
              <th key={column} scope="col">
                {across} {valueText(JSON.parse(column))}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {[...rows].map(([key, cells]) => (
            <tr key={key}>
              {(JSON.parse(key) as unknown[]).map((value, index) => (
                <th key={index} scope="row" className="imgcls-num">
                  {valueText(value)}
                </th>
              ))}
              {columns.map(column => {
                const trial = cells.get(column);
                return (
                  <td key={column}>
                    {trial && <Cell trial={trial} view={view} rank={shades.get(trial.number)} />}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Trials({ view, shades }: { view: Sweep; shades: Map<number, number> }) {
  const names = Object.keys(view.space);
  const order = (trial: Trial) => shades.get(trial.number) ?? -1;
  const [byValue, setByValue] = useState(true);
  const trials = byValue ? [...view.trials].sort((a, b) => order(b) - order(a)) : view.trials;
  return (
    <div className="imgcls-scroll">
      <div className="imgcls-tools">
        <label>
          <input type="checkbox" checked={byValue} onChange={e => setByValue(e.target.checked)} /> the best
          first
        </label>
      </div>
      <table className="imgcls-matrix">
        <thead>
          <tr>
            <th scope="col">trial</th>
            {names.map(name => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
            <th scope="col">{metricTitle(view.metric)}</th>
            <th scope="col">epochs</th>
          </tr>
        </thead>
        <tbody>
          {trials.map(trial => (
            <tr key={trial.number}>
              <th scope="row">{trial.number}</th>
              {names.map(name => (
                <td key={name} className="imgcls-num">
                  {valueText(trial.params[name] ?? null)}
                </td>
              ))}
              <td>
                <Cell trial={trial} view={view} rank={shades.get(trial.number)} />
              </td>
              <td className="imgcls-num">{trial.curve[trial.curve.length - 1]?.epoch ?? '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Standing({ view }: { view: Sweep }) {
  const go = useGo();
  const done = view.trials.filter(trial => trial.state === 'succeeded' || trial.state === 'pruned').length;
  const pruned = view.trials.filter(trial => trial.state === 'pruned').length;
  const best = view.trials.find(trial => trial.number === view.best);
  const total = view.planned ?? view.trials.length;
  return (
    <p className="imgcls-sweep-standing">
      <strong>
        {done} of {plural(Math.max(total, view.trials.length), 'trial')}
      </strong>
      {pruned > 0 && <span> · {pruned} pruned</span>}
      {view.epochs_budget != null && (
        <span>
          {' '}
          · {figure(Math.floor(view.epochs_done))} of {plural(view.epochs_budget, 'epoch')}
        </span>
      )}
      {best?.run_id && (
        <span>
          {' · best '}
          {metricTitle(view.metric)}{' '}
          <button
            type="button"
            className="imgcls-plain"
            onClick={() => go({ view: 'run', id: best.run_id! })}
          >
            {metric(view.metric, best.value)}
          </button>{' '}
          with{' '}
          {Object.entries(best.params)
            .map(([name, value]) => `${name} ${valueText(value)}`)
            .join(', ')}
        </span>
      )}
    </p>
  );
}

/** What stands under a sweep's head: its matrix, and the plots made of its results. */
export function SweepTab({ run, plots }: { run: RunDetail; plots: boolean }) {
  const source = useSource();
  const { view, error, reload } = useSweep(run);
  const { busy, error: refused, act } = useAction();
  if (!view) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the trials…</p>;
  const fill = () =>
    void act('fill', async () => {
      await source.command('resume', { id: run.id });
      feedOf(source).refresh();
      reload();
    });
  return (
    <div className="imgcls-stack" data-sweep={view.run_id} data-holes={view.holes}>
      <Standing view={view} />
      {view.holes > 0 && !isActive(run.state) && (
        <div className="imgcls-buttons">
          <Button primary busy={busy !== null} onClick={fill}>
            Fill {plural(view.holes, 'hole')}
          </Button>
          <span className="imgcls-note">
            Trials that failed, were stopped or deleted, or never ran; the others stay as they are.
          </span>
        </div>
      )}
      <Problem>{refused}</Problem>
      {plots ? (
        <div className="imgcls-plots">
          <History view={view} />
          <Importance view={view} />
          <Parallel view={view} />
          <Slices view={view} />
          <Contour view={view} />
          <Timeline view={view} />
        </div>
      ) : (
        <Matrix view={view} />
      )}
    </div>
  );
}

// The trials of a sweep as a matrix where its holes show: with a grid the last parameter goes across, else each trial has
// a row.
import { Fragment, useMemo, useState, type ReactNode } from 'react';
import type { Sweep, Trial } from '../data/types';
import { meanText, metric, metricTitle, parameterText } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { ratedOf, ReplicateRuns } from './sweep_replicates';
import { titleOf } from './sweep_scale';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './sweep_matrix.css';

/** How far each value is from the worst (0) to the best (1), for a cell's tint: trial number -> rank. */
export function ranks(sweep: Sweep): Map<number, number> {
  const done = sweep.trials.filter(trial => trial.value != null);
  const values = done.map(trial => trial.value!);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  return new Map(
    done.map(trial => {
      const high = (trial.value! - low) / span;
      return [trial.number, sweep.higher_is_better ? high : 1 - high];
    }),
  );
}

/** The best first. Behind those that have a value stand the others: those of the highest rung, there the best so far. */
export function bestFirst(sweep: Sweep, shades: ReadonlyMap<number, number>): Trial[] {
  const keys = (trial: Trial): number[] => {
    const last = trial.curve.at(-1)?.value;
    const soFar = last == null ? -Infinity : sweep.higher_is_better ? last : -last;
    return [shades.get(trial.number) ?? -1, trial.rung ?? 0, soFar];
  };
  const ordered = sweep.trials.map(trial => ({ trial, keys: keys(trial) }));
  ordered.sort((a, b) => {
    const place = a.keys.findIndex((key, i) => key !== b.keys[i]);
    return place < 0 ? 0 : b.keys[place]! > a.keys[place]! ? 1 : -1;
  });
  return ordered.map(({ trial }) => trial);
}

const SO_FAR = new Set<Trial['state']>(['running', 'pruned']); // they show the last value of their curves

interface CellProps {
  trial: Trial;
  sweep: Sweep;
  rank: number | undefined;
  /** Of replicates: the cell unfolds to them, and whether it has. */
  open: boolean;
  onOpen: () => void;
}

function Cell({ trial, sweep, rank, open, onOpen }: CellProps) {
  const navigate = useNavigate();
  const several = trial.replicates.length > 0;
  const last = trial.curve[trial.curve.length - 1];
  const shown =
    trial.state === 'succeeded'
      ? meanText(sweep.metric, trial.value!, trial.deviation)
      : last && (SO_FAR.has(trial.state) || (trial.state === 'waiting' && trial.run_id))
        ? metric(sweep.metric, last.value)
        : trial.state;
  const names = Object.entries(trial.params).map(
    ([name, value]) => `${titleOf(sweep, name)} ${parameterText(value)}`,
  );
  const title = [names.join(', '), trial.state, trial.message].filter(Boolean).join(' · ');
  const classes = ['imgcls-cell', `imgcls-cell-${trial.state}`, trial.hole && 'imgcls-hole'];
  if (trial.number === sweep.best) classes.push('imgcls-cell-best');
  return (
    <button
      type="button"
      className={classes.filter(Boolean).join(' ')}
      style={rank === undefined ? undefined : ({ '--rank': `${Math.round(rank * 55)}%` } as object)}
      title={title}
      aria-label={`Trial ${trial.number}: ${title}`}
      data-trial={trial.number}
      data-state={trial.state}
      aria-expanded={several ? open : undefined}
      disabled={!several && !trial.run_id}
      onClick={() => (several ? onOpen() : trial.run_id && navigate({ view: 'run', id: trial.run_id }))}
    >
      {shown}
      {several && trial.state !== 'succeeded' && (
        <small>
          {' '}
          {ratedOf(trial).length} of {sweep.replicates}
        </small>
      )}
      {trial.state === 'pruned' && (
        <small>{trial.rung == null ? ' pruned' : ` left at rung ${trial.rung}`}</small>
      )}
      {trial.state === 'waiting' && trial.run_id && <small> waits at rung {trial.rung}</small>}
      {trial.state === 'running' && <small> …</small>}
    </button>
  );
}

/** The cells of a sweep, and the runs of the one that is unfolded. */
function useCells(sweep: Sweep) {
  const shades = useMemo(() => ranks(sweep), [sweep]);
  const [open, setOpen] = useState<number | null>(null);
  return {
    shades,
    cell: (trial: Trial): ReactNode => (
      <Cell
        {...{ trial, sweep }}
        rank={shades.get(trial.number)}
        open={open === trial.number}
        onOpen={() => setOpen(was => (was === trial.number ? null : trial.number))}
      />
    ),
    /** The row under one that holds these trials. */
    unfolded: (trials: Iterable<Trial>, columns: number): ReactNode => {
      const trial = [...trials].find(each => each.number === open);
      return trial && trial.replicates.length > 0 ? (
        <tr>
          <td colSpan={columns}>
            <ReplicateRuns {...{ trial, sweep }} />
          </td>
        </tr>
      ) : null;
    },
  };
}

export function Matrix({ sweep }: { sweep: Sweep }) {
  const cells = useCells(sweep);
  const names = Object.keys(sweep.space);
  const across = names[names.length - 1]!;
  const down = names.slice(0, -1);
  const grid = sweep.strategy === 'grid' && names.length > 1;
  if (!grid) return <Trials {...{ sweep, cells }} />;
  const columns = [...new Set(sweep.trials.map(trial => JSON.stringify(trial.params[across] ?? null)))];
  const rows = new Map<string, Map<string, Trial>>();
  for (const trial of sweep.trials) {
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
                {titleOf(sweep, name)}
              </th>
            ))}
            {columns.map(column => (
              <th key={column} scope="col">
                {titleOf(sweep, across)} {parameterText(JSON.parse(column))}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {[...rows].map(([key, row]) => (
            <Fragment key={key}>
              <tr>
                {(JSON.parse(key) as unknown[]).map((value, index) => (
                  <th key={index} scope="row" className="imgcls-num">
                    {parameterText(value)}
                  </th>
                ))}
                {columns.map(column => {
                  const trial = row.get(column);
                  return <td key={column}>{trial && cells.cell(trial)}</td>;
                })}
              </tr>
              {cells.unfolded(row.values(), down.length + columns.length)}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Trials({ sweep, cells }: { sweep: Sweep; cells: ReturnType<typeof useCells> }) {
  const { shades } = cells;
  const names = Object.keys(sweep.space);
  const [byValue, setByValue] = useState(true);
  const trials = byValue ? bestFirst(sweep, shades) : sweep.trials;
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
                {titleOf(sweep, name)}
              </th>
            ))}
            <th scope="col">{metricTitle(sweep.metric)}</th>
            <th scope="col">epochs</th>
          </tr>
        </thead>
        <tbody>
          {trials.map(trial => (
            <Fragment key={trial.number}>
              <tr>
                <th scope="row">{trial.number}</th>
                {names.map(name => (
                  <td key={name} className="imgcls-num">
                    {parameterText(trial.params[name] ?? null)}
                  </td>
                ))}
                <td>{cells.cell(trial)}</td>
                <td className="imgcls-num">{trial.curve[trial.curve.length - 1]?.epoch ?? '–'}</td>
              </tr>
              {cells.unfolded([trial], names.length + 3)}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

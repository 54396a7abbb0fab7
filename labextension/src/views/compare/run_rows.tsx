// Many runs: a row a run, a column for each fact that sets them apart and for what they came to. Sorted by any of them.
import { useMemo, useState } from 'react';
import { useNavigate } from '../ui/navigation';
import { State } from '../ui/run_state';
import { varies, type Fact } from './facts';
import type { Column } from './differences';
import { useIsLit, useLights } from './highlight';
import { Key } from './legend';
import { MiddleText } from '../ui/middle_text';
import '../ui/layout.css';
import '../ui/table.css';
import './run_rows.css';

interface RunRowsProps {
  columns: readonly Column[];
  facts: readonly Fact[];
  /** Ids of runs that are not drawn: they stay in the table, in grey. */
  left: ReadonlySet<string>;
  note: string;
}

interface Sorting {
  key: string;
  descending: boolean;
}

/** Places of the runs by a fact, those without it last. */
export function sorted(fact: Fact | undefined, count: number, descending: boolean): number[] {
  const places = Array.from({ length: count }, (_, place) => place);
  if (!fact) return descending ? places.reverse() : places;
  const compare = (a: Fact['values'][number], b: Fact['values'][number]) =>
    typeof a === 'number' && typeof b === 'number'
      ? a - b
      : String(a).localeCompare(String(b), undefined, { numeric: true });
  return places.sort((a, b) => {
    const [x, y] = [fact.values[a] ?? null, fact.values[b] ?? null];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return descending ? compare(y, x) : compare(x, y);
  });
}

function Row({ column, place, facts, left }: RowProps) {
  const navigate = useNavigate();
  const lit = useIsLit(column.group);
  const lights = useLights(column.group);
  return (
    <tr data-run={column.run.id} data-lit={lit || undefined} data-left={left || undefined} {...lights}>
      <th scope="row">
        <button
          type="button"
          className="imgcls-plain imgcls-run-name"
          title={`Open the run ${column.name}`}
          onClick={() => navigate({ view: 'run', id: column.run.id })}
        >
          <Key style={column.style} />
          <MiddleText text={column.name} />
        </button>
      </th>
      <td className="imgcls-left">
        <State state={column.run.state} unreachable={column.run.unreachable} />
      </td>
      {facts.map(fact => (
        <td key={fact.key}>{fact.show(fact.values[place] ?? null)}</td>
      ))}
    </tr>
  );
}

interface RowProps {
  column: Column;
  place: number;
  facts: readonly Fact[];
  left: boolean;
}

const nextSorting = (was: Sorting | null, key: string): Sorting | null =>
  was?.key !== key ? { key, descending: false } : was.descending ? null : { key, descending: true };

export function RunRows({ columns, facts, left, note }: RunRowsProps) {
  const [sorting, setSorting] = useState<Sorting | null>(null);
  const shown = useMemo(
    () =>
      facts.filter(fact =>
        fact.part
          ? true
          : fact.values.some(value => value !== null) && (varies(fact) || /^best/.test(fact.key)),
      ),
    [facts],
  );
  const by = shown.find(fact => fact.key === sorting?.key);
  const places = useMemo(
    () => sorted(by, columns.length, sorting?.descending ?? false),
    [by, columns.length, sorting?.descending],
  );
  const arrow = (key: string) => (sorting?.key !== key ? '' : sorting.descending ? ' ↓' : ' ↑');
  return (
    <section className="imgcls-card" aria-label="Runs and what sets them apart">
      <div
        className="imgcls-scroll imgcls-run-rows"
        tabIndex={0}
        role="region"
        aria-label="Table of the runs"
      >
        <table className="imgcls-table">
          <thead>
            <tr>
              <th scope="col">run</th>
              <th scope="col" className="imgcls-left">
                state
              </th>
              {shown.map(fact => (
                <th
                  key={fact.key}
                  scope="col"
                  data-part={fact.part}
                  aria-sort={
                    sorting?.key !== fact.key ? 'none' : sorting.descending ? 'descending' : 'ascending'
                  }
                >
                  <button
                    type="button"
                    className="imgcls-sort"
                    onClick={() => setSorting(was => nextSorting(was, fact.key))}
                  >
                    {fact.title}
                    {arrow(fact.key)}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {places.map(place => {
              const column = columns[place]!;
              return (
                <Row
                  key={column.run.id}
                  {...{ column, place }}
                  facts={shown}
                  left={left.has(column.run.id)}
                />
              );
            })}
          </tbody>
        </table>
      </div>
      <p className="imgcls-muted">{note}</p>
    </section>
  );
}

// Which runs of a table are chosen: one by a click on its box or Space, a stretch with Shift, all that match.
import { useCallback, useMemo, useRef, useState } from 'react';
import { messageOf, useSource } from '../data/source';
import type { RowPlace, RowsQuery, RunRow, RunRows } from '../data/run_rows';
import type { Run } from '../data/types';

const PAGE = 1000; // of the server
export const MOST_CHOSEN = 10_000;

/** What a table needs of a selection. */
export interface GridSelection {
  chosen: Pick<ReadonlySet<string>, 'has' | 'size'>;
  /** How many runs are chosen of a group, by its key. */
  groups?: ReadonlyMap<string, number>;
  toggle: (index: number) => void;
  /** From the row that was chosen last on its own to this one. */
  extend?: (index: number) => void;
  all?: () => void;
  clear?: () => void;
}

export interface RunSelection extends Required<GridSelection> {
  chosen: ReadonlyMap<string, Run>;
  /** All that match are being asked for. */
  busy: boolean;
  error: string | null;
  /** Choose no longer those of these ids. */
  drop: (ids: readonly string[]) => void;
}

/** How many of some runs are in each group that they can be in, by the group's key; a head is not counted. */
export function chosenOfGroups(runs: Iterable<Run>): Map<string, number> {
  const found = new Map<string, number>();
  for (const { id, parent_id: parent, lineage, repetition } of runs)
    for (const key of [
      parent && `sweep:${parent}`,
      lineage ? lineage !== id && `children:${lineage}` : parent && `children:${parent}`,
      repetition && `seeds:${repetition}`,
    ])
      if (key) found.set(key, (found.get(key) ?? 0) + 1);
  return found;
}

export type Mark = 'all' | 'some' | 'none';

/** Whether a row is chosen: of a group its runs and its head, all of them or some. */
export function markOf({ group, run }: RunRow, { chosen, groups }: GridSelection): Mark {
  const own = run !== null && chosen.has(run.id);
  if (!group) return own ? 'all' : 'none';
  const number = groups?.get(group.key) ?? 0;
  if (number >= group.runs && (own || run === null)) return 'all';
  return number > 0 || own ? 'some' : 'none';
}

export function useRunSelection(rows: RunRows, query: RowsQuery): RunSelection {
  const source = useSource();
  const [chosen, setChosen] = useState<ReadonlyMap<string, Run>>(() => new Map());
  const groups = useMemo(() => chosenOfGroups(chosen.values()), [chosen]);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const anchor = useRef<RowPlace>({ index: 0, key: null });
  const latest = useRef(query);
  latest.current = query;

  const drop = useCallback((ids: readonly string[]) => {
    setChosen(was => {
      const next = new Map(was);
      for (const id of ids) next.delete(id);
      return next;
    });
  }, []);
  /** Choose these, or no longer where all of them are chosen. */
  const flip = useCallback((runs: readonly Run[]) => {
    setChosen(was => {
      const next = new Map(was);
      const have = runs.every(run => was.has(run.id));
      for (const run of runs) {
        if (have) next.delete(run.id);
        else next.set(run.id, run);
      }
      return next;
    });
  }, []);
  const all = useCallback(async () => {
    setBusy(true);
    setError(null);
    try {
      const found: Run[] = [];
      for (let offset = 0; offset < MOST_CHOSEN; offset += PAGE) {
        const page = await source.query(
          'runs',
          {
            where: latest.current.where,
            sort: latest.current.sort,
            order: latest.current.order,
            offset,
            limit: PAGE,
          },
          new AbortController().signal,
        );
        found.push(...page.items);
        if (found.length >= page.total) break;
      }
      setChosen(new Map(found.map(run => [run.id, run])));
    } catch (problem) {
      setError(messageOf(problem));
    } finally {
      setBusy(false);
    }
  }, [source]);
  const actions = useMemo(
    () => ({
      toggle: (index: number) => {
        anchor.current = rows.place(index);
        const row = rows.at(index);
        if (!row?.group) {
          if (row?.run) flip([row.run]);
          return;
        }
        rows.runsOf(row).then(
          runs => flip(runs),
          problem => setError(messageOf(problem)),
        );
      },
      extend: (index: number) => {
        const from = rows.find(anchor.current);
        const [first, last] = [Math.min(from, index), Math.max(from, index)];
        rows.range(first, last + 1).then(
          runs => setChosen(new Map(runs.map(run => [run.id, run]))),
          problem => setError(messageOf(problem)),
        );
      },
      all: () => void all(),
      clear: () => {
        setError(null);
        setChosen(was => (was.size ? new Map() : was));
      },
      drop,
    }),
    [rows, all, drop, flip],
  );
  return { chosen, groups, busy, error, ...actions };
}

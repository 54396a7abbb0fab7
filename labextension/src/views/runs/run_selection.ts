// Which runs of a table are chosen: one by a click on its box or Space, a stretch with Shift, all that match.
import { useCallback, useMemo, useRef, useState } from 'react';
import { messageOf, useSource } from '../data/source';
import type { RowsQuery, RunRows } from '../data/run_rows';
import type { Run } from '../data/types';

const PAGE = 1000; // of the server
export const MOST_CHOSEN = 10_000;

/** What a table needs of a selection. */
export interface GridSelection {
  chosen: Pick<ReadonlySet<string>, 'has' | 'size'>;
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

export function useRunSelection(rows: RunRows, query: RowsQuery): RunSelection {
  const source = useSource();
  const [chosen, setChosen] = useState<ReadonlyMap<string, Run>>(() => new Map());
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const anchor = useRef(0);
  const latest = useRef(query);
  latest.current = query;

  const drop = useCallback((ids: readonly string[]) => {
    setChosen(was => {
      const next = new Map(was);
      for (const id of ids) next.delete(id);
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
          { ...latest.current, offset, limit: PAGE },
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
        anchor.current = index;
        const run = rows.at(index)?.run;
        if (run)
          setChosen(was => {
            const next = new Map(was);
            if (!next.delete(run.id)) next.set(run.id, run);
            return next;
          });
      },
      extend: (index: number) => {
        const [first, last] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
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
    [rows, all, drop],
  );
  return { chosen, busy, error, ...actions };
}

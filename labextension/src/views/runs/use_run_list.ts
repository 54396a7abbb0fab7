// A list of runs in a view: its rows, live, what matches it, and which columns it has.
import { useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { onMutation } from '../data/mutate';
import { RunRows, type ListView, type RowsQuery, type RowsSnapshot } from '../data/run_rows';
import { useSource } from '../data/source';
import type { Run } from '../data/types';
import { useOnChange, useRuns } from '../data/use_runs';
import { useNow } from '../ui/use_now';
import { FIRST_COLUMNS, allColumns, chosenColumns, type Column } from './columns';
import { useVocabulary, type Words } from './use_vocabulary';

export const FIRST_VIEW: ListView = {
  where: '',
  sorting: { sort: 'created_at', order: 'desc' },
  columns: null,
};

export interface RunList {
  rows: RunRows;
  snapshot: RowsSnapshot;
  query: RowsQuery;
  words: Words;
  /** All that can be chosen, and those that are, in their order. */
  all: readonly Column[];
  columns: readonly Column[];
  keys: readonly string[];
  /** Runs as the stream has brought them. */
  live: ReadonlyMap<string, Run>;
  now: number;
}

const NONE: readonly never[] = [];

export function useRunList(view: ListView): RunList {
  const source = useSource();
  const { runs: live, counts } = useRuns();
  const { where, sorting } = view;
  const query = useMemo<RowsQuery>(() => ({ ...(where && { where }), ...sorting }), [where, sorting]);
  const [rows] = useState(() => new RunRows(source, query));
  const snapshot = useSyncExternalStore(rows.listen, rows.current);
  useEffect(() => rows.ask(query), [rows, query]);
  useEffect(() => rows.close, [rows]);
  useEffect(() => onMutation(source, 'runs', rows.reload), [source, rows]);
  useOnChange(Object.entries(counts).join(), rows.reload); // a run came, went or changed its state

  const shown: readonly Run[] = snapshot.reply?.items ?? NONE;
  const owners: readonly string[] = snapshot.reply?.owners ?? NONE;
  const words = useVocabulary(shown, owners);
  const all = useMemo(() => allColumns(words.metrics.keys()), [words.metrics]);
  const several = owners.length > 1;
  const keys = useMemo(
    () => view.columns ?? (several ? ['state', 'owner', ...FIRST_COLUMNS.slice(1)] : FIRST_COLUMNS),
    [view.columns, several],
  );
  const columns = useMemo(() => chosenColumns(all, keys, shown), [all, keys, shown]);
  const now = useNow(shown.some(run => run.running_since != null));
  return { rows, snapshot, query, words, all, columns, keys, live, now };
}

// A list of runs in a view: its rows, live, what matches it, and which columns it has.
import { useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { onMutation } from '../data/mutate';
import { RunRows, type ListView, type RowsQuery, type RowsSnapshot } from '../data/run_rows';
import { useSource, type Source } from '../data/source';
import { CURVE, type Run, type RunColumns } from '../data/types';
import { useQuery } from '../data/use_query';
import { useOnChange, useRuns } from '../data/use_runs';
import { usePreferences } from '../ui/preferences';
import { useNow } from '../ui/use_now';
import { FIRST_COLUMNS, allColumns, chosenColumns, isOwn, oneMetricOf, type Column } from './columns';
import type { Vocabulary } from './query_text';
import { useVocabulary } from './use_vocabulary';

export const FIRST_VIEW: ListView = {
  where: '',
  sorting: { sort: 'created', order: 'desc' },
  columns: null,
  group: ['sweep', 'seeds'],
};

export interface RunList {
  rows: RunRows;
  snapshot: RowsSnapshot;
  query: RowsQuery;
  words: Vocabulary;
  /** All that can be chosen, and those that are, in their order. */
  all: readonly Column[];
  columns: readonly Column[];
  keys: readonly string[];
  /** Nobody has chosen them. */
  flexible: boolean;
  /** Runs as the stream has brought them. */
  live: ReadonlyMap<string, Run>;
  /** Another text when a run came, went or changed its state. */
  changes: string;
  now: number;
}

const NONE: readonly never[] = [];

/** Runs that there are, whatever the list shows. */
export const everythingOf = ({ snapshot: { reply } }: RunList): number | undefined =>
  reply && Object.values(reply.counts).reduce((sum, n) => sum + (n ?? 0), 0);

const lastColumns = new WeakMap<Source, RunColumns>();

/** The columns that there are. Those of the last table at first: then the rows come before they are asked for again. */
function useRunColumns(isShown: boolean): RunColumns | undefined {
  const source = useSource();
  const last = lastColumns.get(source);
  const [waits] = useState(last !== undefined);
  const { data } = useQuery('runColumns', waits && !isShown ? null : {});
  useEffect(() => {
    if (data) lastColumns.set(source, data);
  }, [source, data]);
  return data ?? last;
}

export function useRunList(view: ListView): RunList {
  const source = useSource();
  const { runs: live, counts } = useRuns();
  const [isShown, setShown] = useState(false);
  const known = useRunColumns(isShown);
  const [several, setSeveral] = useState(false); // owners
  const { where, sorting, group, columns: wanted } = view;
  const { columns: preferred } = usePreferences();
  const chosen = useMemo(() => {
    if (wanted) return wanted;
    const exist = known ? new Set([CURVE, ...known.columns.map(({ key }) => key)]) : null;
    const own = exist ? preferred.filter(key => exist.has(key)) : preferred; // a setting may name what is none
    return own.length > 0 ? own : null;
  }, [wanted, preferred, known]);
  const keys = useMemo(
    () => chosen ?? (several ? ['state', 'owner', ...FIRST_COLUMNS.slice(1)] : FIRST_COLUMNS),
    [chosen, several],
  );
  const query = useMemo<RowsQuery>(
    () => ({
      ...(where && { where }),
      ...sorting,
      columns: keys.filter(key => !isOwn(key)),
      curves: keys.includes(CURVE) ? 1 : 0,
      group,
    }),
    [where, sorting, group, keys],
  );
  const [rows] = useState(() => new RunRows(source, query));
  const snapshot = useSyncExternalStore(rows.listen, rows.current);
  useEffect(() => rows.ask(query), [rows, query]);
  useEffect(() => rows.close, [rows]);
  useEffect(() => onMutation(source, 'runs', rows.reload), [source, rows]);
  const changes = Object.entries(counts).join();
  useOnChange(changes, rows.reload);

  const { reply } = snapshot;
  const isAnswered = reply !== undefined || snapshot.error !== null;
  useEffect(() => setShown(was => was || isAnswered), [isAnswered]);
  const shown = useMemo(() => reply?.rows.flatMap(row => row.run ?? []) ?? NONE, [reply]);
  const owners: readonly string[] = reply?.owners ?? NONE;
  useEffect(() => setSeveral(owners.length > 1), [owners]);
  const words = useVocabulary(known, owners, reply !== undefined); // the rows come first
  const all = useMemo(() => allColumns(known), [known]);
  const only = oneMetricOf(shown);
  const columns = useMemo(() => chosenColumns(all, keys, only), [all, keys, only]); // the same for each window of rows
  const now = useNow(shown.some(run => run.running_since != null));
  const flexible = chosen === null;
  return { rows, snapshot, query, words, all, columns, keys, flexible, live, changes, now };
}

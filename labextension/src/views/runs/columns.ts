// The columns that a table of runs can have: what each shows of a run, and what the server sorts by. Pure; no view.
import { FRACTION_METRICS, type Run } from '../data/types';
import {
  ago,
  bytes,
  count,
  duration,
  formatNumber,
  leaf,
  metric,
  metricTitle,
  modelOf,
  moment,
  ranFor,
} from '../ui/format';

export interface Column {
  /** As it is saved: a name, config.FIELD, or the tag of a metric. */
  key: string;
  title: string;
  /** What the server sorts by. */
  sort?: string;
  width: number; // CSS pixels
  /** Text, which stands at the left; numbers stand at the right. */
  left?: boolean;
  /** A path or a name whose end tells it apart from others. */
  path?: boolean;
  show: (run: Run, now: number) => string;
  /** The whole of it, where `show` is short. */
  whole?: (run: Run) => string;
}

const COLUMNS: Column[] = [
  { key: 'state', title: 'state', sort: 'state', width: 104, left: true, show: run => run.state },
  { key: 'owner', title: 'owner', sort: 'owner', width: 84, left: true, show: run => run.owner || '–' },
  { key: 'project', title: 'project', sort: 'project', width: 96, left: true, show: run => run.project },
  {
    key: 'model',
    title: 'model',
    sort: 'model_flavour',
    width: 116,
    left: true,
    path: true,
    show: modelOf,
    whole: run => run.model_flavour,
  },
  {
    key: 'data',
    title: 'data',
    sort: 'root',
    width: 96,
    left: true,
    path: true,
    show: run => leaf(run.root) || '–',
    whole: run => run.root,
  },
  { key: 'lr', title: 'lr', sort: 'lr', width: 64, show: run => formatNumber(run.lr) },
  {
    key: 'batch_size',
    title: 'batch',
    sort: 'batch_size',
    width: 58,
    show: run => formatNumber(run.batch_size),
  },
  {
    key: 'best',
    title: 'best',
    sort: 'best',
    width: 92,
    show: run => (run.best ? metric(run.best.metric, run.best.value) : '–'),
  },
  {
    key: 'epoch',
    title: 'epoch',
    sort: 'epoch',
    width: 76,
    show: run => (run.epochs ? `${Math.floor(run.epoch + 1e-6)} / ${run.epochs}` : '–'),
  },
  { key: 'ran', title: 'time', sort: 'ran', width: 88, show: (run, now) => duration(ranFor(run, now)) },
  {
    key: 'created',
    title: 'made',
    sort: 'created_at',
    width: 56,
    show: (run, now) => ago(run.created_at, now),
    whole: run => moment(run.created_at),
  },
  {
    key: 'ended',
    title: 'ended',
    sort: 'ended_at',
    width: 60,
    show: (run, now) => (run.ended_at ? ago(run.ended_at, now) : '–'),
    whole: run => moment(run.ended_at),
  },
  {
    key: 'started',
    title: 'started',
    sort: 'started_at',
    width: 64,
    show: (run, now) => (run.started_at ? ago(run.started_at, now) : '–'),
    whole: run => moment(run.started_at),
  },
  { key: 'kind', title: 'kind', sort: 'kind', width: 72, left: true, show: run => run.kind },
  { key: 'host', title: 'host', sort: 'host', width: 96, left: true, show: run => run.host ?? '–' },
  { key: 'devices', title: 'device', width: 84, left: true, show: run => run.devices.join(', ') || '–' },
  { key: 'priority', title: 'priority', sort: 'priority', width: 64, show: run => count(run.priority) },
  { key: 'attempt', title: 'attempts', width: 68, show: run => count(run.attempt) },
  {
    key: 'notes',
    title: 'notes',
    width: 160,
    left: true,
    show: run => run.notes.split('\n')[0] || '–',
    whole: run => run.notes,
  },
  { key: 'tag', title: 'tags', width: 140, left: true, show: run => run.tags?.join(', ') || '–' },
  { key: 'size', title: 'size', width: 72, show: run => bytes(run.size) },
  { key: 'id', title: 'id', width: 120, left: true, path: true, show: run => run.id },
];

/** The columns of somebody who has chosen none. */
export const FIRST_COLUMNS: readonly string[] = [
  'state',
  'model',
  'data',
  'lr',
  'batch_size',
  'best',
  'epoch',
  'ran',
  'created',
];

/** A column of a metric: its last value. */
const metricColumn = (tag: string): Column => ({
  key: tag,
  title: metricTitle(tag),
  sort: tag,
  width: 108,
  show: run => metric(tag, run.latest[tag]),
});

/** All columns that there are: those of runs, and the metrics that runs report. */
export function allColumns(tags: Iterable<string>): Column[] {
  return [...COLUMNS, ...[...new Set(tags)].sort().map(metricColumn)];
}

const FRACTIONS = new Set<string>(FRACTION_METRICS);

/** The columns of these keys, in this order. The best value names its metric where all runs in view have the same. */
export function chosenColumns(
  all: readonly Column[],
  keys: readonly string[],
  shown: readonly Run[],
): Column[] {
  const known = new Map(all.map(column => [column.key, column]));
  const metrics = new Set(shown.flatMap(run => (run.best ? [run.best.metric] : [])));
  const [only] = metrics;
  return keys.flatMap(key => {
    const column = known.get(key);
    if (!column) return [];
    if (key !== 'best' || metrics.size !== 1 || only === undefined) return [column];
    const fraction = FRACTIONS.has(only);
    return [
      {
        ...column,
        title: `best ${metricTitle(only)}${fraction ? ', %' : ''}`,
        width: 124,
        show: (run: Run) =>
          !run.best
            ? '–'
            : fraction
              ? (run.best.value * 100).toFixed(1)
              : metric(run.best.metric, run.best.value),
      },
    ];
  });
}

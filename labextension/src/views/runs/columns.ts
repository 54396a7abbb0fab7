// The columns of a table of runs: the server says which there are, here stands how each is shown. Pure; no view.
import {
  CURVE,
  FRACTION_METRICS,
  type Column as ListedColumn,
  type Run,
  type RunColumns,
} from '../data/types';
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
  parameterText,
  percent,
  ranFor,
} from '../ui/format';

export interface Column {
  /** As the query language names it; it is sorted by that, too. */
  key: string;
  title: string;
  /** The title where there is no room for the whole of it. */
  short?: string;
  /** What it is, where the title is short. */
  about: string;
  group: string;
  width: number; // CSS pixels
  /** Least width in which its values are read whole, where that is less. */
  least?: number;
  /** The same where groups are among the rows, of which it shows a range. */
  ofGroups?: number;
  sortable: boolean;
  /** Text, which stands at the left; numbers stand at the right. */
  left: boolean;
  /** A path or a name whose end tells it apart from others. */
  path: boolean;
  show: (run: Run, now: number) => string;
  /** The whole of it, where `show` is short. */
  whole?: (run: Run) => string;
}

/** The columns of somebody who has chosen none. */
export const FIRST_COLUMNS: readonly string[] = [
  'state',
  'model',
  'lr',
  'best',
  CURVE,
  'epoch',
  'ran',
  'size',
  'created',
];

type Shown = Partial<
  Pick<Column, 'width' | 'least' | 'ofGroups' | 'left' | 'path' | 'show' | 'whole' | 'title'>
>;
const when =
  (time: (run: Run) => number | null): Column['show'] =>
  (run, now) => {
    const at = time(run);
    return at == null ? '–' : ago(at, now);
  };

/** How the columns of a run's own fields are shown. */
const OF_RUNS: Record<string, Shown> = {
  state: { width: 112, left: true, show: run => run.state },
  owner: { width: 84, left: true, show: run => run.owner || '–' },
  project: { width: 96, left: true, show: run => run.project },
  model: { width: 170, least: 66, left: true, show: modelOf, whole: run => run.model_flavour },
  data: { width: 92, left: true, path: true, show: run => leaf(run.root) || '–', whole: run => run.root },
  lr: { title: 'lr', width: 112, least: 62, ofGroups: 94, show: run => settingText(run.lr) },
  batch_size: { title: 'batch', width: 60, show: run => formatNumber(run.batch_size) },
  best: { width: 92, least: 86, show: run => (run.best ? metric(run.best.metric, run.best.value) : '–') },
  monitor: { width: 92, left: true, show: run => (run.best ? metricTitle(run.best.metric) : '–') },
  epoch: {
    width: 68,
    show: run => (run.epochs ? `${Math.floor(run.epoch + 1e-6)} / ${run.epochs}` : '–'),
  },
  step: { width: 72, show: run => count(run.step) },
  ran: { width: 90, show: (run, now) => duration(ranFor(run, now)) },
  created: { width: 74, least: 52, show: when(run => run.created_at), whole: run => moment(run.created_at) },
  ended: { width: 64, show: when(run => run.ended_at), whole: run => moment(run.ended_at) },
  started: { width: 68, show: when(run => run.started_at), whole: run => moment(run.started_at) },
  kind: { width: 76, left: true, show: run => run.kind },
  host: { width: 96, left: true, show: run => run.host ?? '–' },
  priority: { width: 68, show: run => count(run.priority) },
  attempt: { width: 72, show: run => count(run.attempt) },
  size: { width: 72, show: run => bytes(run.size) },
  tag: { width: 140, left: true, show: run => run.tags?.join(', ') || '–' },
  archived: { width: 76, left: true, show: run => (run.archived ? 'yes' : 'no') },
  notes: { width: 170, left: true, show: run => run.notes.split('\n')[0] || '–', whole: run => run.notes },
  message: { width: 190, left: true, show: run => run.message ?? '–', whole: run => run.message ?? '' },
  parent: { width: 110, left: true, path: true, show: run => run.parent_id ?? '–' },
  id: { width: 120, left: true, path: true, show: run => run.id },
};

/** Whether each run of a list has it, whatever columns are asked for. */
export const isOwn = (key: string): boolean => key === CURVE || key in OF_RUNS;

/** A number of a config, as it was given: 0.001. */
export const settingText = (value: number | null | undefined): string =>
  value == null ? '–' : parameterText(value);

/** A value of a config, or of a metric. */
function valueText({ kind, group }: ListedColumn, value: unknown): string {
  if (value == null || value === '') return '–';
  if (typeof value === 'number') {
    if (kind === 'fraction') return percent(value);
    return group === 'latest' || group === 'best' ? formatNumber(value) : settingText(value);
  }
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'object' ? JSON.stringify(value) : parameterText(value);
}

/** About as wide as the title, and an arrow beside it, so that it is not cut. */
export const widthOf = (title: string, sorted = true): number => title.length * 6.3 + (sorted ? 42 : 18);
const wide = (title: string, least: number): number => Math.min(170, Math.max(least, widthOf(title)));

function columnOf(listed: ListedColumn): Column[] {
  const { key, label, description, group, kind } = listed;
  const own = group === 'run' ? OF_RUNS[key] : undefined;
  if (group === 'run' && !own) return []; // the name stands first, always
  const title =
    own?.title ?? (group === 'latest' ? `last ${label}` : group === 'best' ? `best ${label}` : label);
  return [
    {
      key,
      title,
      about: description || label,
      group,
      sortable: true,
      left: kind === 'text',
      path: false,
      ...(kind !== 'text' && !own && { least: 64 }),
      show: run => valueText(listed, run.values?.[key]),
      ...own,
      width: wide(title, own?.width ?? 92),
    },
  ];
}

const CURVES: Column = {
  key: CURVE,
  title: 'curve',
  about: 'validation by epoch of the metric that decides',
  group: 'run',
  width: 76,
  sortable: false,
  left: false,
  path: false,
  show: () => '',
};

/** All columns that there are, in the order of the chooser. */
export const allColumns = (reply: RunColumns | undefined): Column[] => [
  ...(reply?.columns ?? []).flatMap(columnOf),
  CURVES,
];

const FRACTIONS = new Set<string>(FRACTION_METRICS);

/** The metric of the best values of some runs, where all have the same. */
export function oneMetricOf(runs: readonly Run[]): string | null {
  const metrics = new Set(runs.flatMap(run => (run.best ? [run.best.metric] : [])));
  const [only] = metrics;
  return metrics.size === 1 ? only! : null;
}

/** The columns of these keys, in this order. The best value names its metric where all have the same, `only`. */
export function chosenColumns(
  all: readonly Column[],
  keys: readonly string[],
  only: string | null,
): Column[] {
  const known = new Map(all.map(column => [column.key, column]));
  return keys.flatMap(key => {
    const column = known.get(key);
    if (!column) return [];
    if (key !== 'best' || only === null) return [column];
    const fraction = FRACTIONS.has(only);
    const value = (run: Run) =>
      fraction ? percent(run.best!.value).replace(/\s*%$/, '') : formatNumber(run.best!.value);
    const title = `best ${metricTitle(only)}${fraction ? ', %' : ''}`;
    const shown = { title, short: fraction ? 'best, %' : 'best', width: wide(title, 120) };
    return [{ ...column, ...shown, show: (run: Run) => (run.best ? value(run) : '–') }];
  });
}

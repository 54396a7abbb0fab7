// What is known of each compared run: in words for tables, in numbers for plots. Pure; no view.
import { textOf } from '../forms/config_form';
import type { ComparedField, Comparison, Run } from '../data/types';
import { bytes, count, duration, formatNumber, lower, metric, metricTitle, ranFor } from '../ui/format';

/** One fact of all runs, in their order. */
export interface Fact {
  key: string;
  title: string;
  /** null: not known, or none. */
  values: (string | number | boolean | null)[];
  show: (value: string | number | boolean | null) => string;
  /** Whether a larger or a smaller value is better, where one is. */
  better?: 'high' | 'low';
  /** It sets the runs apart; the others are results of theirs. */
  part?: ComparedField['part'];
}

export const NONE = '–';

/** Distinct names: runs of the same name get the end of their ids. */
export function distinct(runs: { id: string; name: string }[]): Map<string, string> {
  const seen = new Map<string, number>();
  for (const run of runs) seen.set(run.name, (seen.get(run.name) ?? 0) + 1);
  return new Map(
    runs.map(run => [run.id, (seen.get(run.name) ?? 0) > 1 ? `${run.name} (${run.id.slice(-6)})` : run.name]),
  );
}

const COUNTS = /_images$|^classes$/;

/** A value as a table shows it; a setting as the form shows it, with its unit. */
export function valueText(field: ComparedField, value: Fact['values'][number]): string {
  if (value === null) return NONE; // not known, or left empty
  const label = field.labels?.[textOf(value)];
  if (label !== undefined) return label;
  if (value === '') return NONE;
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'number' && COUNTS.test(field.name)) return count(value);
  if (field.name === 'revision' && typeof value === 'number') return `v${value}`;
  const text = textOf(typeof value === 'number' ? Number(value.toPrecision(6)) : value);
  return field.unit ? `${text} ${field.unit}` : text;
}

export const fieldFact = (field: ComparedField): Fact => ({
  key: `${field.part}/${field.name}`,
  title: field.part === 'environment' ? field.title : lower(field.title),
  values: field.values,
  show: value => valueText(field, value),
  part: field.part,
});

const LOWER = /loss|calibration_error/;

/** What the runs came to: the best of each metric that one of them watches, last values of all tags, time, size. */
export function resultFacts(
  comparison: Pick<Comparison, 'sizes'>,
  runs: readonly Run[],
  now: number,
): Fact[] {
  const watched = [...new Set(runs.flatMap(run => (run.best ? [run.best.metric] : [])))];
  const tags = [...new Set(runs.flatMap(run => Object.keys(run.latest)))].sort();
  const better = (name: string) => (LOWER.test(name) ? 'low' : 'high');
  return [
    ...watched.map((name): Fact => ({
      key: `best/${name}`,
      title: `best ${metricTitle(name)}`,
      values: runs.map(run => (run.best?.metric === name ? run.best.value : null)),
      show: value => metric(name, value as number | null),
      better: better(name),
    })),
    ...tags.map((tag): Fact => ({
      key: `last/${tag}`,
      title: `${metricTitle(tag)}, last`,
      values: runs.map(run => run.latest[tag] ?? null),
      show: value => metric(tag, value as number | null),
      ...(/^(lr|grad_norm|throughput|gpu|system|memory)/.test(tag) ? {} : { better: better(tag) }),
    })),
    {
      key: 'time',
      title: 'time',
      values: runs.map(run => ranFor(run, now)),
      show: value => duration(value as number | null),
      better: 'low',
    },
    {
      key: 'epochs',
      title: 'epochs trained',
      values: runs.map(run => (run.epoch > 0 ? run.epoch : null)),
      show: value => formatNumber(value as number | null),
    },
    {
      key: 'size',
      title: 'size of the checkpoint',
      values: [...comparison.sizes],
      show: value => bytes(value as number | null),
      better: 'low',
    },
  ];
}

/** Whether a plot can place the runs by it: a number that at least two of them have. */
export const isNumeric = (fact: Fact): boolean =>
  fact.values.every(value => value === null || typeof value === 'number') &&
  fact.values.filter(value => value !== null).length > 1;

/** Whether the runs have more than one value of it. */
export const varies = (fact: Fact): boolean => new Set(fact.values.filter(value => value !== null)).size > 1;

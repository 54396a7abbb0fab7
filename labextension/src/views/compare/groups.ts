// Runs in groups: one each, replicates that differ in their seed alone, or those with the same value of a setting; and the
// mean of a group's curves with the band from its lowest to its highest. Pure; no view.
import type { Series, Comparison, Run } from '../data/types';
import type { Axis } from '../data/asked';
import type { Points } from '../ui/decimate';
import { lower } from '../ui/format';
import { fieldFact, valueText } from './facts';
import { styleAt, type LineStyle } from './line_styles';

export interface Group {
  key: string;
  title: string;
  /** Places of its runs in the comparison. */
  members: number[];
  style: LineStyle;
}

export const EACH = '';
export const REPLICATES = 'replicates';

interface Grouping {
  key: string;
  title: string;
}

/** By what these runs can be grouped. */
export function groupings({ differs, runs }: Comparison): Grouping[] {
  const seeds = differs.some(field => field.part === 'config' && field.name === 'seed');
  const fields = differs
    .filter(field => field.part !== 'environment' && new Set(field.values).size < runs.length)
    .map(field => ({ key: `${field.part}/${field.name}`, title: lower(field.title) }));
  const projects = new Set(runs.map(run => run.project)).size;
  return [
    { key: EACH, title: 'each run' },
    ...(seeds ? [{ key: REPLICATES, title: 'replicates (all but the seed)' }] : []),
    ...fields,
    ...(projects > 1 && projects < runs.length ? [{ key: 'project', title: 'project' }] : []),
  ];
}

/** The title of the group of a run at a place. */
function titleOf(comparison: Comparison, by: string, names: readonly string[], place: number): string {
  if (by === 'project') return comparison.runs[place]!.project;
  const of = (fields: Comparison['differs'], titled: boolean) =>
    fields
      .map(field => {
        const value = valueText(field, field.values[place] ?? null);
        return titled ? `${fieldFact(field).title} ${value}` : value;
      })
      .join(', ');
  if (by !== REPLICATES) {
    const field = comparison.differs.find(each => `${each.part}/${each.name}` === by);
    return field ? `${fieldFact(field).title} ${of([field], false)}` : names[place]!;
  }
  const rest = comparison.differs.filter(field => field.part === 'config' && field.name !== 'seed');
  return of(rest, true) || 'all runs';
}

/** The runs in groups, in the order in which they come. */
export function groupsOf(comparison: Comparison, by: string, names: readonly string[]): Group[] {
  const places = comparison.runs.map((_, place) => place);
  if (by === EACH)
    return places.map(place => ({
      key: comparison.runs[place]!.id,
      title: names[place]!,
      members: [place],
      style: styleAt(place),
    }));
  const found = new Map<string, number[]>();
  for (const place of places) {
    const title = titleOf(comparison, by, names, place);
    found.set(title, [...(found.get(title) ?? []), place]);
  }
  return [...found].map(([title, members], i) => ({ key: title, title, members, style: styleAt(i) }));
}

const MOST = 400; // points of a mean

/** A run's y at an x, on the line between its points; null beyond its ends, and in a gap. */
function at({ x, y }: Points, where: number, from: number): [value: number | null, next: number] {
  let i = from;
  while (i + 1 < x.length && x[i + 1]! <= where) i++;
  if (x.length === 0 || where < x[0]! || where > x[x.length - 1]!) return [null, i];
  const [left, right] = [y[i] ?? null, y[i + 1] ?? null];
  if (x[i] === where || i + 1 >= x.length) return [left, i];
  if (left === null || right === null) return [null, i];
  return [left + ((right - left) * (where - x[i]!)) / (x[i + 1]! - x[i]!), i];
}

export interface Mean extends Points {
  band: { low: (number | null)[]; high: (number | null)[] };
}

/** The mean of some curves, and the lowest and highest of them, at each x that one of them has. Where some have ended, it
 * is the mean of the others. */
export function meanOf(curves: readonly Points[]): Mean {
  const all = [...new Set(curves.flatMap(curve => curve.x))].sort((a, b) => a - b);
  const every = Math.max(1, Math.ceil(all.length / MOST));
  const x = all.filter((_, i) => i % every === 0 || i === all.length - 1);
  const places = curves.map(() => 0);
  const mean: Mean = { x, y: [], band: { low: [], high: [] } };
  for (const where of x) {
    const values: number[] = [];
    curves.forEach((curve, i) => {
      const [value, next] = at(curve, where, places[i]!);
      places[i] = next;
      if (value !== null) values.push(value);
    });
    const some = values.length > 0;
    mean.y.push(some ? values.reduce((sum, value) => sum + value, 0) / values.length : null);
    mean.band.low.push(some ? Math.min(...values) : null);
    mean.band.high.push(some ? Math.max(...values) : null);
  }
  return mean;
}

export const pointsOf = (series: Series | undefined, axis: Axis): Points =>
  series ? { x: series[axis], y: series.value } : { x: [], y: [] };

/** The groups of which at least one run is shown. */
export const idsOf = (group: Group, runs: readonly Run[]): string[] =>
  group.members.map(place => runs[place]!.id);

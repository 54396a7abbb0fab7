// Where the trials of a sweep stand in a plot as wide as its card: the drawing's edges, and scales for parameters and metrics. Pure; no sweep.
import type { Sweep, Trial } from '../data/types';
import { isFraction, lower } from '../ui/format';

export const HEIGHT = 190;
export const LEFT = 46;
export const BOTTOM = 26;
export const TOP = 10;
export const RIGHT = 10;

/** What the form calls a parameter: at the head of something, and within a sentence or a table. */
export const headOf = (sweep: Sweep, name: string): string => sweep.titles[name] ?? name;
export const titleOf = (sweep: Sweep, name: string): string => lower(headOf(sweep, name));

export type Done = Trial & { value: number };
export const doneOf = (sweep: Sweep): Done[] =>
  sweep.trials.filter((trial): trial is Done => trial.value != null);

/** From one standard deviation below a trial's mean to one above it, within what the metric can be. */
export const spreadOf = (sweep: Sweep, { value, deviation }: Done): [number, number] => {
  const [low, high] = [value - (deviation ?? 0), value + (deviation ?? 0)];
  return isFraction(sweep.metric) ? [Math.max(0, low), Math.min(1, high)] : [low, high];
};

/** A place across a drawing of that width, px. */
export const x = (fraction: number, width: number): number =>
  LEFT + 6 + fraction * (width - LEFT - RIGHT - 12);
export const y = (fraction: number): number => HEIGHT - BOTTOM - 6 - fraction * (HEIGHT - BOTTOM - TOP - 12);

/** Places values of one parameter or metric along an axis, 0..1: numbers over orders of magnitude where they span
 * some, anything that is no number by its rank. */
export function scaleOf(values: unknown[]): { at: (value: unknown) => number; ends: [unknown, unknown] } {
  const numbers = values.filter((v): v is number => typeof v === 'number');
  if (numbers.length < values.length || numbers.length === 0) {
    const order = [...new Set(values.map(String))].sort();
    const at = (value: unknown) =>
      order.length > 1 ? order.indexOf(String(value)) / (order.length - 1) : 0.5;
    return { at, ends: [order[0], order[order.length - 1]] };
  }
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const log = low > 0 && high / low > 20;
  const along = (value: number) => (log ? Math.log10(value) : value);
  const span = along(high) - along(low);
  return {
    at: value => (span > 0 && typeof value === 'number' ? (along(value) - along(low)) / span : 0.5),
    ends: [low, high],
  };
}

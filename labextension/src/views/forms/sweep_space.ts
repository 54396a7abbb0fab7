// The space of a sweep as one types it: values, or a range, for each setting. Pure; no view.
import type { Choices, Range } from '../data/types';

export type Item = Choices | Range;

const KINDS: Record<string, string> = {
  number: 'a number',
  string: 'a word',
  boolean: 'true or false',
  null: 'None',
};

/** What a setting takes, as far as its schema, or else its present value, says: kinds of JSON values. */
export function kindsOf(property: Property | undefined, here: unknown): string[] | null {
  if (!property) return typeof here === 'number' || typeof here === 'boolean' ? [typeof here] : null;
  const kinds = [property, ...(property.anyOf ?? [])].map(part =>
    part.type === 'integer' ? 'number' : part.type,
  );
  const known = kinds.filter(kind => kind !== undefined);
  return known.length === 0 || known.includes('array') ? null : known;
}

export interface Property {
  type?: string;
  anyOf?: { type?: string }[];
}

/**
 * `1e-4, 1e-3` as values; `1e-5 .. 1e-2 log` or `1 .. 8` as a range.
 * kinds: of the values that the setting takes; null: any.
 */
export function itemOf(text: string, kinds: string[] | null = null): { item?: Item; problem?: string } {
  if (/[[\]{}]/.test(text))
    return { problem: 'A sweep takes no lists and no mappings, but numbers and words.' };
  const range = /^\s*(\S+)\s*(?:\.\.|…)\s*(\S+)(\s+log)?(?:\s+step\s+(\S+))?\s*$/.exec(text);
  if (range) {
    const [low, high, step] = [range[1], range[2], range[4]].map(part =>
      part === undefined ? null : Number(part),
    ) as [number, number, number | null];
    if (!Number.isFinite(low) || !Number.isFinite(high) || (step !== null && !(step > 0)))
      return { problem: 'Write a range as 1e-5 .. 1e-2 log, or 1 .. 8.' };
    if (low >= high) return { problem: 'The range must rise.' };
    if (step !== null && (high - low) / step >= 1e9)
      return { problem: 'The step is too small for this range.' };
    if (kinds && !kinds.includes('number')) return { problem: 'This setting takes no numbers.' };
    const whole = [range[1]!, range[2]!].every(part => /^[+-]?\d+$/.test(part));
    return { item: { low, high, log: Boolean(range[3]), whole, step } };
  }
  const parts = text
    .split(',')
    .map(part => part.trim())
    .filter(Boolean);
  if (parts.length === 0)
    return { problem: 'Write values, such as 1e-4, 1e-3, or a range, such as 1e-5 .. 1e-2 log.' };
  const values = parts.map(part => {
    if (part === 'true' || part === 'True') return true;
    if (part === 'false' || part === 'False') return false;
    if (part === 'None' || part === 'null') return null;
    const number = Number(part);
    return Number.isFinite(number) ? number : part;
  });
  const wrong = values.find(value => kinds && !kinds.includes(value === null ? 'null' : typeof value));
  if (wrong !== undefined)
    return {
      problem: `“${String(wrong)}” cannot be read as ${kinds!.map(kind => KINDS[kind] ?? kind).join(' or ')}.`,
    };
  if (new Set(values).size < values.length) return { problem: 'The same value stands there twice.' };
  return { item: { values } };
}

/** Cells of a grid; null where a range has no step. */
export function cellsOf(items: Item[]): number | null {
  let product = 1;
  for (const item of items) {
    if ('values' in item) product *= item.values.length;
    else if (item.step || item.whole) product *= Math.floor((item.high - item.low) / (item.step ?? 1)) + 1;
    else return null;
  }
  return product;
}

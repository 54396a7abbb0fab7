// Which digit key relabels an image as which class. Pure.
import type { Evaluation } from '../data/types';

/** A key and the class that it stands for. */
export interface ClassKey {
  key: string;
  name: string;
}

const DIGITS = ['1', '2', '3', '4', '5', '6', '7', '8', '9'];

/**
 * The digit keys, with their classes. Classes that are named by a digit have that key. Up to nine classes have the
 * keys in their order. Of more classes the keys stand for those that `label` is most often taken for, and `predicted`.
 */
export function classKeys(
  view: Pick<Evaluation, 'class_names' | 'classes'>,
  label?: string,
  predicted?: string | null,
): ClassKey[] {
  const { class_names: names } = view;
  const digits = names.filter(name => /^\d$/.test(name));
  if (digits.length > 0) return digits.sort().map(name => ({ key: name, name }));
  const chosen =
    names.length <= DIGITS.length
      ? names
      : [
          ...new Set([
            ...(predicted ? [predicted] : []),
            ...(view.classes.find(row => row.name === label)?.taken_for.map(cell => cell.predicted) ?? []),
          ]),
        ].filter(name => name !== label);
  return chosen.slice(0, DIGITS.length).map((name, i) => ({ key: DIGITS[i]!, name }));
}

/** The classes whose name holds what was typed; those that begin with it first, an exact one before all. */
export function found(names: readonly string[], text: string): string[] {
  const wanted = text.trim().toLowerCase();
  const rank = (name: string): number => {
    const lower = name.toLowerCase();
    if (lower === wanted) return 0;
    if (lower.startsWith(wanted)) return 1;
    return lower.includes(wanted) ? 2 : 3;
  };
  return names
    .map((name, i) => ({ name, i, rank: rank(name) }))
    .filter(item => item.rank < 3)
    .sort((a, b) => a.rank - b.rank || a.i - b.i)
    .map(item => item.name);
}

// A comparison for elsewhere: its table as CSV, and the Python that asks for the same. Pure; no view.
import type { Run } from '../data/types';
import type { Fact } from './facts';

/** A cell that a spreadsheet takes as text or number, never as a formula. */
const cell = (value: unknown): string => {
  const text = value === null || value === undefined ? '' : String(value);
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

/** A row a run: id, name, state, then each fact with its exact value. */
export function csvOf(runs: readonly Run[], facts: readonly Fact[]): string {
  const rows = [
    ['run', 'name', 'state', ...facts.map(fact => fact.title)],
    ...runs.map((run, place) => [run.id, run.name, run.state, ...facts.map(fact => fact.values[place])]),
  ];
  return `${rows.map(row => row.map(cell).join(',')).join('\n')}\n`;
}

/** What gives the same comparison in a notebook. */
export const pythonOf = (ids: readonly string[]): string =>
  `import imgcls_lab as lab\n\nlab.compare(${JSON.stringify(ids).replaceAll(',', ', ')})\n`;

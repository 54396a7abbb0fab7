// The sortable columns that tables of classes share: the metrics of a class, the worst F1 first. It draws the heads only.
import type { ClassFigures } from '../data/types';
import { percent } from './format';
import './table.css';

type Column = keyof ClassFigures;
export interface ClassSort {
  by: Column;
  down: boolean;
}

export const WORST_FIRST: ClassSort = { by: 'f1', down: false };
const COLUMNS: [Column, string][] = [
  ['name', 'class'],
  ['images', 'images'],
  ['precision', 'precision'],
  ['recall', 'recall'],
  ['f1', 'F1'],
];

export const inPercent = (value: number | null): string => (value == null ? '–' : percent(value));

/** The classes in an order; a metric that is not defined counts as less than 0. */
export function sortedClasses<T extends ClassFigures>(rows: readonly T[], { by, down }: ClassSort): T[] {
  const sign = down ? -1 : 1;
  return [...rows].sort((a, b) =>
    by === 'name'
      ? sign * a.name.localeCompare(b.name, undefined, { numeric: true })
      : sign * ((a[by] ?? -1) - (b[by] ?? -1)),
  );
}

/** The heads of the columns; one that is pressed sorts, and pressed again the other way. */
export function ClassHeads({ sort, onSort }: { sort: ClassSort; onSort: (sort: ClassSort) => void }) {
  return COLUMNS.map(([by, title]) => (
    <th key={by} aria-sort={sort.by === by ? (sort.down ? 'descending' : 'ascending') : 'none'}>
      <button
        type="button"
        className="imgcls-sort"
        onClick={() => onSort({ by, down: sort.by === by && !sort.down })}
      >
        {title}
        {sort.by === by ? (sort.down ? ' ↓' : ' ↑') : ''}
      </button>
    </th>
  ));
}

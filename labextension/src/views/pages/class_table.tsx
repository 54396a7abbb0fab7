// The metrics of each class, the worst F1 first.
import { useMemo, useState } from 'react';
import type { ClassFigures, EpochReport } from '../data/types';
import { count, percent } from '../ui/format';
import '../ui/table.css';

type Column = keyof ClassFigures;
const inPercent = (value: number | null): string => (value == null ? '–' : percent(value));
const COLUMNS: [Column, string][] = [
  ['name', 'class'],
  ['images', 'images'],
  ['precision', 'precision'],
  ['recall', 'recall'],
  ['f1', 'F1'],
];

/** `most`: rows that are shown. */
export function ClassTable({ report, most = Infinity }: { report: EpochReport; most?: number }) {
  const [sort, setSort] = useState<{ by: Column; down: boolean }>({ by: 'f1', down: false });
  const rows = useMemo(() => {
    const value = (row: ClassFigures) => row[sort.by] ?? -1;
    const sign = sort.down ? -1 : 1;
    return [...report.classes].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      return (
        sign *
        (typeof x === 'string' ? x.localeCompare(String(y), undefined, { numeric: true }) : x - Number(y))
      );
    });
  }, [report, sort]);
  return (
    <table className="imgcls-table">
      <thead>
        <tr>
          {COLUMNS.map(([by, title]) => (
            <th key={by} aria-sort={sort.by === by ? (sort.down ? 'descending' : 'ascending') : 'none'}>
              <button
                type="button"
                className="imgcls-sort"
                onClick={() => setSort({ by, down: sort.by === by && !sort.down })}
              >
                {title}
                {sort.by === by ? (sort.down ? ' ↓' : ' ↑') : ''}
              </button>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.slice(0, most).map(row => (
          <tr key={row.name}>
            <td className="imgcls-clip" title={row.name}>
              {row.name}
            </td>
            <td>{count(row.images)}</td>
            <td>{inPercent(row.precision)}</td>
            <td>{inPercent(row.recall)}</td>
            <td>{inPercent(row.f1)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

// The metrics of each class, the worst F1 first.
import { useMemo, useState } from 'react';
import type { EpochReport } from '../data/types';
import { ClassHeads, WORST_FIRST, inPercent, sortedClasses } from '../ui/class_columns';
import { count } from '../ui/format';
import '../ui/table.css';

/** `most`: rows that are shown. */
export function ClassTable({ report, most = Infinity }: { report: EpochReport; most?: number }) {
  const [sort, setSort] = useState(WORST_FIRST);
  const rows = useMemo(() => sortedClasses(report.classes, sort), [report, sort]);
  return (
    <table className="imgcls-table">
      <thead>
        <tr>
          <ClassHeads sort={sort} onSort={setSort} />
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

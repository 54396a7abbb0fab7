// The classes of an evaluation: precision, recall, F1 as a bar with its trend, and what a class is taken for. A row
// filters the images.
import { useMemo, useState } from 'react';
import type { Evaluation } from '../data/types';
import { ClassHeads, WORST_FIRST, inPercent, sortedClasses } from '../ui/class_columns';
import { count, percent, plural } from '../ui/format';
import '../ui/table.css';
import '../ui/button.css';
import '../ui/sparkline.css';
import './class_rows.css';

const PAGE = 50;
const SEARCH_FROM = 20; // classes

/** Below these an F1 is bad, and middling. */
const toneOf = (f1: number): string => (f1 < 0.75 ? 'error' : f1 < 0.88 ? 'warn' : 'ok');

function F1({ value }: { value: number | null }) {
  if (value == null) return <>–</>;
  return (
    <span className="imgcls-f1">
      <i>
        <i style={{ width: `${value * 100}%`, background: `var(--imgcls-${toneOf(value)})` }} />
      </i>
      {percent(value)}
    </span>
  );
}

function Trend({ values }: { values: (number | null)[] }) {
  const known = values.flatMap((value, i) => (value == null ? [] : [[i, value] as const]));
  if (known.length < 2) return null;
  const points = known.map(
    ([i, value]) => `${((i / (values.length - 1)) * 46 + 1).toFixed(1)},${(15 - value * 14).toFixed(1)}`,
  );
  return (
    <svg
      className="imgcls-spark"
      viewBox="0 0 48 16"
      width="48"
      height="16"
      role="img"
      aria-label="F1 by epoch"
    >
      <polyline points={points.join(' ')} />
    </svg>
  );
}

interface Props {
  view: Evaluation;
  label: string | undefined;
  predicted: string | undefined;
  onClass: (label: string | undefined) => void;
  onCell: (label: string, predicted: string) => void;
}

export function ClassRows({ view, label, predicted, onClass, onCell }: Props) {
  const [sort, setSort] = useState(WORST_FIRST);
  const [shown, setShown] = useState(PAGE);
  const [text, setText] = useState('');
  const rows = useMemo(() => sortedClasses(view.classes, sort), [view.classes, sort]);
  const found = text ? rows.filter(row => row.name.toLowerCase().includes(text.toLowerCase())) : rows;
  const trends = view.classes.some(row => row.f1_by_epoch.length > 1);
  return (
    <div className="imgcls-class-rows">
      {view.classes.length > SEARCH_FROM && (
        <input
          type="search"
          placeholder={`Find among ${plural(view.classes.length, 'class', 'classes')}`}
          aria-label="Find a class"
          value={text}
          onChange={event => setText(event.target.value)}
        />
      )}
      <table className="imgcls-table">
        <thead>
          <tr>
            <ClassHeads sort={sort} onSort={setSort} />
            {trends && <th>by epoch</th>}
            <th className="imgcls-left">taken for</th>
          </tr>
        </thead>
        <tbody>
          {found.slice(0, shown).map(row => (
            <tr key={row.name} data-on={row.name === label || undefined}>
              <td className="imgcls-clip" title={row.name}>
                <button
                  type="button"
                  className="imgcls-class-link"
                  aria-pressed={row.name === label && predicted === undefined}
                  onClick={() =>
                    onClass(row.name === label && predicted === undefined ? undefined : row.name)
                  }
                >
                  {row.name}
                </button>
              </td>
              <td>{count(row.images)}</td>
              <td>{inPercent(row.precision)}</td>
              <td>{inPercent(row.recall)}</td>
              <td>
                <F1 value={row.f1} />
              </td>
              {trends && (
                <td>
                  <Trend values={row.f1_by_epoch} />
                </td>
              )}
              <td className="imgcls-left">
                {row.taken_for.length === 0 ? (
                  <span className="imgcls-muted">none</span>
                ) : (
                  row.taken_for.slice(0, 2).map(cell => (
                    <button
                      key={cell.predicted}
                      type="button"
                      className="imgcls-taken"
                      title={`The images of ${row.name} that are taken for ${cell.predicted}`}
                      onClick={() => onCell(row.name, cell.predicted)}
                    >
                      {cell.predicted} · {count(cell.images)}
                    </button>
                  ))
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {found.length > shown && (
        <button type="button" className="imgcls-plain" onClick={() => setShown(n => n + PAGE)}>
          {plural(found.length - shown, 'more class', 'more classes')} ↓
        </button>
      )}
      {found.length === 0 && <p className="imgcls-muted">No class has “{text}” in its name.</p>}
    </div>
  );
}

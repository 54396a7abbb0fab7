// A long list of rows of one height: only those in view are drawn.
import { useLayoutEffect, type KeyboardEvent, type ReactNode } from 'react';
import { useScrolledRows } from './scrolled_rows';
import './virtual_list.css';

const AHEAD = 4; // rows

interface Props {
  label: string;
  total: number;
  rowHeight: number;
  /** Columns of rows, filled row by row. */
  columns?: number;
  row: (index: number) => ReactNode;
  /** Rows that are in view, when that changed. */
  onView?: (first: number, end: number) => void;
  /** The row to keep in view. */
  active?: number;
  onKey?: (event: KeyboardEvent) => void;
  className?: string;
}

export function VirtualList(props: Props) {
  const { label, total, rowHeight, columns = 1, row, onView, active, onKey, className = '' } = props;
  const { box, first: from, end: until, measure, reveal } = useScrolledRows(rowHeight, AHEAD, total);
  const lines = Math.ceil(total / columns);
  useLayoutEffect(() => {
    if (active !== undefined && box.current!.clientHeight > 0) reveal(Math.floor(active / columns));
  }, [box, reveal, active, columns]);
  const [first, end] = [from * columns, Math.min(total, until * columns)];
  useLayoutEffect(() => {
    if (first < end) onView?.(first, end);
  }, [onView, first, end]);
  return (
    <div
      className={`imgcls-virtual ${className}`.trim()}
      role="list"
      aria-label={label}
      tabIndex={0}
      ref={box}
      onScroll={measure}
      onKeyDown={onKey}
    >
      <div className="imgcls-virtual-rows" role="presentation" style={{ height: lines * rowHeight }}>
        {Array.from({ length: Math.max(0, end - first) }, (_, i) => {
          const index = first + i;
          return (
            <div
              key={index}
              role="listitem"
              aria-setsize={total}
              aria-posinset={index + 1}
              aria-current={index === active || undefined}
              className="imgcls-virtual-row"
              style={{
                height: rowHeight,
                transform: `translateY(${Math.floor(index / columns) * rowHeight}px)`,
                left: `${((index % columns) / columns) * 100}%`,
                width: `${100 / columns}%`,
              }}
            >
              {row(index)}
            </div>
          );
        })}
      </div>
    </div>
  );
}

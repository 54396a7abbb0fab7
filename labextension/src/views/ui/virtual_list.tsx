// A long list of rows of one height: only those in view are drawn.
import { useCallback, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
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
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ first: 0, end: 24 });
  const lines = Math.ceil(total / columns);
  const measure = useCallback(() => {
    const { scrollTop, clientHeight } = box.current!;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - AHEAD);
    const end = Math.ceil((scrollTop + clientHeight) / rowHeight) + AHEAD;
    setView(was => (was.first === first && was.end === end ? was : { first, end }));
  }, [rowHeight]);
  useLayoutEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, [measure, total]);
  useLayoutEffect(() => {
    if (active === undefined) return;
    const top = Math.floor(active / columns) * rowHeight;
    const { scrollTop, clientHeight } = box.current!;
    if (clientHeight === 0) return;
    if (top < scrollTop) box.current!.scrollTop = top;
    else if (top + rowHeight > scrollTop + clientHeight)
      box.current!.scrollTop = top + rowHeight - clientHeight;
  }, [active, columns, rowHeight]);
  const [first, end] = [view.first * columns, Math.min(total, view.end * columns)];
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

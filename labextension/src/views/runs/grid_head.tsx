// The head of the table of runs: a click on a title sorts by it, another one the other way round.
import { useEffect, useRef, type KeyboardEvent } from 'react';
import type { Column } from './columns';
import type { GridSelection } from './run_selection';
import './run_grid.css';

export interface Sorting {
  sort: string;
  order: 'asc' | 'desc';
}

interface TitleProps {
  title: string;
  about?: string;
  sort: string | undefined;
  left?: boolean;
  /** Where Tab stops: at one title of all. */
  stop: boolean;
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
}

function Title({ title, about = title, sort, left, stop, sorting, onSort }: TitleProps) {
  const sorted = sort !== undefined && sorting.sort === sort;
  const down = sorting.order === 'desc';
  return (
    <div
      role="columnheader"
      className={left ? 'imgcls-runs-cell' : 'imgcls-runs-cell imgcls-right'}
      aria-sort={sorted ? (down ? 'descending' : 'ascending') : undefined}
    >
      {sort === undefined ? (
        <span title={about}>{title}</span>
      ) : (
        <button
          type="button"
          tabIndex={stop ? 0 : -1}
          className="imgcls-runs-sort"
          title={about}
          onClick={() => onSort({ sort, order: sorted && down ? 'asc' : 'desc' })}
        >
          {title}
          {sorted ? (down ? ' ↓' : ' ↑') : ''}
        </button>
      )}
    </div>
  );
}

/** Left and Right go from title to title; Enter sorts by one. */
function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const titles = [...event.currentTarget.querySelectorAll<HTMLElement>('.imgcls-runs-sort')];
  const at = titles.indexOf(event.target as HTMLElement);
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (at < 0 || !by) return;
  event.preventDefault();
  titles[(at + by + titles.length) % titles.length]!.focus();
}

interface HeadProps {
  columns: readonly Column[];
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  selection: GridSelection;
  total: number;
}

export function GridHead({ columns, sorting, onSort, selection, total }: HeadProps) {
  const box = useRef<HTMLInputElement>(null);
  const { size } = selection.chosen;
  useEffect(() => {
    box.current!.indeterminate = size > 0 && size < total;
  }, [size, total]);
  const among = columns.some(({ key, sortable }) => sortable && key === sorting.sort);
  return (
    <div role="rowgroup" className="imgcls-runs-head" onKeyDown={moveFocus}>
      <div role="row" aria-rowindex={1} className="imgcls-runs-row">
        <div role="columnheader" className="imgcls-runs-cell">
          <input
            ref={box}
            type="checkbox"
            aria-label="Choose all runs that match"
            title="Choose all that match (Ctrl+A)"
            tabIndex={-1}
            disabled={total === 0 || !selection.all}
            checked={size > 0 && size >= total}
            onChange={() => (size > 0 ? selection.clear?.() : selection.all?.())}
          />
        </div>
        <Title title="run" sort="name" left stop={!among} {...{ sorting, onSort }} />
        {columns.map(({ key, title, about, sortable, left }) => (
          <Title
            key={key}
            sort={sortable ? key : undefined}
            stop={key === sorting.sort}
            {...{ title, about, left, sorting, onSort }}
          />
        ))}
      </div>
    </div>
  );
}

// A grid of images of any number: only what is in view is drawn and asked for. By keys: arrows, Home, End and Page move,
// Space selects, Ctrl+A selects all, Enter opens. It knows no data set and no run: its caller says what an item shows.
import {
  useCallback,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
} from 'react';
import { onResize } from '../ui/on_resize';
import type { PictureOf } from '../data/asked';
import type { Pages } from '../data/use_pages';
import { Problem } from '../ui/messages';
import { GridCell } from './grid_cell';
import type { Selection } from './selection';
import './image_grid.css';

const AHEAD = 2; // rows that are drawn before they are in view
const PADDING = 4; // of a cell, as in its style
const GAP = 4;

/** What a grid shows of an item. Its functions are kept over redraws (useCallback), so that cells are not drawn anew. */
export interface GridItem<T> {
  idOf: (item: T) => string;
  /** What is read aloud. */
  nameOf: (item: T) => string;
  /** null: it has no picture, see `problem`. */
  picture: (item: T) => PictureOf | null;
  problem?: (item: T) => string | null | undefined;
  /** Below the picture; its height is `captionHeight`. */
  caption?: (item: T) => ReactNode;
  /** A class for the cell, such as that of an excluded image. */
  mark?: (item: T) => string | undefined;
}

interface Props<T> {
  label: string;
  pages: Pages<T>;
  item: GridItem<T>;
  selection?: Selection<T>;
  /** Enter or a double click. */
  onOpen?: (index: number) => void;
  /** A key on an image, before the grid takes it; it takes none that was prevented. */
  onKey?: (event: KeyboardEvent, index: number) => void;
  /** Width of a picture, CSS pixels. */
  edge?: number;
  captionHeight?: number;
  /** What is said if there is no image. */
  empty?: ReactNode;
}

interface View {
  columns: number;
  first: number; // row
  end: number;
}

/** Where a key leads from an image; undefined: not a key of the grid. */
export function stepOf(
  key: string,
  at: number,
  total: number,
  columns: number,
  rows: number,
): number | undefined {
  const to = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at - columns,
    ArrowDown: at + columns,
    PageUp: at - columns * rows,
    PageDown: at + columns * rows,
    Home: 0,
    End: total - 1,
  }[key];
  if (to === undefined) return undefined;
  const outside = to < 0 || to >= total;
  if (outside && (key === 'ArrowUp' || key === 'ArrowDown')) {
    const lastRow = Math.floor((total - 1) / columns) === Math.floor(at / columns);
    return key === 'ArrowDown' && !lastRow ? total - 1 : at;
  }
  if (outside && key === 'PageUp') return at % columns;
  return Math.min(Math.max(to, 0), total - 1);
}

export function ImageGrid<T>(props: Props<T>) {
  const { label, pages, item, selection, onOpen, onKey, edge = 112, captionHeight = 0, empty } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState<View>({ columns: 1, first: 0, end: 1 });
  const [active, setActive] = useState(0);
  const focusNext = useRef(false);
  const total = pages.total ?? 0;
  const { columns } = view;
  const rowHeight = edge + captionHeight + 2 * PADDING + GAP;
  const rows = Math.ceil(total / columns);

  const measure = useCallback(() => {
    const box = scroller.current;
    if (!box) return;
    const fits = Math.max(1, Math.floor((box.clientWidth + GAP) / (edge + 2 * PADDING + GAP)));
    const first = Math.max(0, Math.floor(box.scrollTop / rowHeight) - AHEAD);
    const end = Math.ceil((box.scrollTop + box.clientHeight) / rowHeight) + AHEAD;
    setView(was =>
      was.columns === fits && was.first === first && was.end === end ? was : { columns: fits, first, end },
    );
  }, [edge, rowHeight]);
  useLayoutEffect(() => {
    measure();
    return onResize(scroller.current!, measure);
  }, [measure, total]);
  useLayoutEffect(() => {
    if (scroller.current) scroller.current.scrollTop = 0;
    setActive(0);
    measure();
  }, [pages.list, measure]);

  const { need } = pages;
  const [first, end] = [view.first * columns, Math.min(total, view.end * columns)];
  useEffect(() => {
    if (first < end) need(first, end);
  }, [need, first, end]);

  /** Bring an image into view. */
  const reveal = useCallback(
    (index: number) => {
      const box = scroller.current!;
      const top = Math.floor(index / columns) * rowHeight;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + rowHeight > box.scrollTop + box.clientHeight)
        box.scrollTop = top + rowHeight - box.clientHeight;
      measure();
    },
    [columns, rowHeight, measure],
  );
  useLayoutEffect(() => {
    if (!focusNext.current) return;
    focusNext.current = false;
    scroller.current?.querySelector<HTMLElement>(`[data-index="${active}"]`)?.focus({ preventScroll: true });
  }, [active, view]);

  const keyDown = (event: KeyboardEvent) => {
    if (total === 0) return;
    onKey?.(event, active);
    if (event.defaultPrevented || event.altKey) return;
    const control = event.ctrlKey || event.metaKey;
    const page = Math.max(1, Math.floor(scroller.current!.clientHeight / rowHeight));
    const to = stepOf(event.key, active, total, columns, page);
    if (to !== undefined) {
      focusNext.current = true;
      setActive(to);
      reveal(to);
      if (event.shiftKey) selection?.extend(to);
    } else if (event.key === ' ') selection?.toggle(active);
    else if (event.key === 'a' && control) selection?.all();
    else if (event.key === 'Escape' && selection && selection.chosen.size > 0) selection.clear();
    else if (event.key === 'Enter' && onOpen) onOpen(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const click = (event: MouseEvent) => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>('[data-index]');
    if (!cell) return;
    const index = Number(cell.dataset.index);
    setActive(index);
    cell.focus({ preventScroll: true });
    if (event.detail > 1) onOpen?.(index);
    else if (event.shiftKey) selection?.extend(index);
    else if (event.ctrlKey || event.metaKey) selection?.toggle(index);
    else selection?.only(index);
  };

  const drawn = [];
  for (let row = Math.min(view.first, rows); row < Math.min(view.end, rows); row++) drawn.push(row);
  const activeRow = Math.floor(Math.min(active, Math.max(0, total - 1)) / columns);
  if (total > 0 && !drawn.includes(activeRow)) drawn.push(activeRow); // it holds the focus, or the place of Tab
  return (
    <>
      <Problem>{pages.error ?? selection?.error}</Problem>
      {pages.total === 0 && <p className="imgcls-muted">{empty ?? 'There is no image.'}</p>}
      <div
        className="imgcls-grid"
        role="grid"
        aria-label={label}
        aria-rowcount={rows}
        aria-colcount={columns}
        aria-multiselectable={selection ? true : undefined}
        aria-busy={pages.loading}
        data-total={pages.total}
        hidden={total === 0}
        ref={scroller}
        onScroll={measure}
        onKeyDown={keyDown}
        onClick={click}
        onMouseDown={event => event.shiftKey && event.preventDefault()}
      >
        <div className="imgcls-grid-rows" role="rowgroup" style={{ height: rows * rowHeight }}>
          {drawn.map(row => (
            <div
              key={row}
              role="row"
              aria-rowindex={row + 1}
              className="imgcls-grid-row"
              style={{
                transform: `translateY(${row * rowHeight}px)`,
                height: rowHeight - GAP,
                gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`,
              }}
            >
              {Array.from({ length: Math.min(columns, total - row * columns) }, (_, column) => {
                const index = row * columns + column;
                const shown = pages.at(index);
                const isChosen = shown !== undefined && selection?.chosen.has(item.idOf(shown));
                return (
                  <GridCell
                    key={index}
                    {...{ index, column, edge, captionHeight, item, shown }}
                    active={index === active}
                    chosen={selection ? isChosen === true : undefined}
                  />
                );
              })}
            </div>
          ))}
        </div>
      </div>
    </>
  );
}

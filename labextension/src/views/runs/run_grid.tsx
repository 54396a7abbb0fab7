// The table of runs: a head that stays, and of all rows those in view. By keys: arrows, Home, End and Page move, Space
// chooses, Shift chooses a stretch, Ctrl+A all that match, Enter opens, F2 renames, Left and Right fold, Shift+F10 opens
// the menu of a run.
import {
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useState,
  type KeyboardEvent,
  type MouseEvent,
} from 'react';
import type { RowPlace, RunRows } from '../data/run_rows';
import type { Run } from '../data/types';
import { useNavigate } from '../ui/navigation';
import type { Column } from './columns';
import { fitted } from './fitting';
import { GridHead, type Sorting } from './grid_head';
import { GridRow } from './grid_row';
import { markOf, type GridSelection } from './run_selection';
import { ROW, useNeeded, useRowsInView } from './rows_in_view';
import './run_grid.css';

interface Props {
  rows: RunRows;
  /** Newer than what a window has. */
  live: ReadonlyMap<string, Run>;
  now: number;
  columns: readonly Column[];
  /** Nobody has chosen the columns: those that have no room are left out. */
  flexible: boolean;
  /** Keys of the columns that have no room. */
  onLacking?: (keys: readonly string[]) => void;
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  selection: GridSelection;
  /** What is edited in place, a run and a column; a table without these is not edited. */
  editing?: { id: string; column: string } | null;
  onEdit?: (edit: { id: string; column: string } | null) => void;
  onSave?: (run: Run, column: string, value: string) => void;
}

const nothing = (): void => undefined;

/** Where a key leads from a row; undefined: not a key of the table. */
export function rowOf(key: string, at: number, total: number, page: number): number | undefined {
  const to = {
    ArrowUp: at - 1,
    ArrowDown: at + 1,
    PageUp: at - page,
    PageDown: at + page,
    Home: 0,
    End: total - 1,
  }[key];
  return to === undefined ? undefined : Math.min(Math.max(to, 0), total - 1);
}

export function RunGrid(props: Props) {
  const {
    rows,
    live,
    flexible,
    sorting,
    selection,
    editing = null,
    onEdit = nothing,
    onSave = nothing,
  } = props;
  const { onLacking = nothing } = props;
  const navigate = useNavigate();
  const { query, reply, loading, rows: count } = rows.current();
  const total = count ?? 0;
  const id = useId();
  const { box, width, first, end, page, drawn, measure, reveal } = useRowsInView(total);
  const grouped = (query.group ?? []).length > 0;
  const fit = useMemo(
    () => fitted(props.columns, { room: width, flexible, sorted: sorting.sort, grouped }),
    [props.columns, width, flexible, sorting.sort, grouped],
  );
  const { columns, lacking } = fit;
  useEffect(() => onLacking(lacking), [onLacking, lacking]);
  // the keys stay on the row that they stand on, wherever it moves
  const [active, setActive] = useState<RowPlace>({ index: 0, key: null });
  const at = Math.min(rows.find(active), Math.max(0, total - 1));
  useEffect(() => {
    const now = rows.place(at);
    if (active.key !== null && now.key !== null && (now.key !== active.key || now.index !== active.index))
      setActive(now);
  }, [rows, reply, at, active]);
  const { where, sort, order } = query;
  const runs = reply?.runs ?? 0;
  useLayoutEffect(() => {
    box.current!.scrollTop = 0;
    setActive({ index: 0, key: null });
    measure();
  }, [where, sort, order, box, measure]); // another list begins at its top
  useNeeded(rows.need, first, end);

  const open = useCallback((run: Run) => navigate({ view: 'run', id: run.id }), [navigate]);
  const go = (to: number, extend: boolean) => {
    setActive(rows.place(to));
    reveal(to);
    if (extend) selection.extend?.(to);
  };
  /** The context menu of a row, as a right click on its name opens it: keys reach the table, which is no run's. */
  const showMenu = (index: number) => {
    reveal(index);
    const row = box.current!.querySelector(`[data-index="${index}"]`);
    if (!row) return;
    const name = row.querySelector('.imgcls-runs-first') ?? row;
    const { left, bottom } = name.getBoundingClientRect();
    const at = { clientX: left + 22, clientY: bottom };
    name.dispatchEvent(new window.MouseEvent('contextmenu', { bubbles: true, cancelable: true, ...at }));
  };
  const keyDown = (event: KeyboardEvent) => {
    if (total === 0 || event.altKey || event.target !== box.current) return;
    const control = event.ctrlKey || event.metaKey;
    const to = rowOf(event.key, at, total, page());
    const row = rows.at(at);
    if (to !== undefined) go(to, event.shiftKey);
    else if (event.key === ' ') selection.toggle(at);
    else if (event.key.toLowerCase() === 'a' && control) selection.all?.();
    else if (event.key === 'Escape' && selection.chosen.size > 0) selection.clear?.();
    else if (event.key === 'Enter' && row?.run) open(row.run);
    else if (event.key === 'Enter' && row?.group) rows.fold(row.group, !row.unfolded);
    else if (event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey)) showMenu(at);
    else if (event.key === 'F2' && row?.run?.may_change) onEdit({ id: row.run.id, column: 'name' });
    else if (event.key === 'ArrowRight' && row?.group) rows.fold(row.group, true);
    else if (event.key === 'ArrowLeft' && row?.group) rows.fold(row.group, false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const click = (event: MouseEvent) => {
    const target = event.target as HTMLElement;
    const cell = target.closest<HTMLElement>('[data-index]');
    if (!cell || target.closest('input:not([type=checkbox]), textarea')) return;
    const index = Number(cell.dataset.index);
    setActive(rows.place(index));
    if (event.shiftKey && selection.extend) selection.extend(index);
    else if (target.closest('.imgcls-check') || event.ctrlKey || event.metaKey) selection.toggle(index);
    box.current!.focus({ preventScroll: true }); // not on a button: its row becomes another's when the table scrolls
  };
  const finish = useCallback(() => {
    onEdit(null);
    box.current?.focus({ preventScroll: true });
  }, [onEdit, box]);

  return (
    <div
      className="imgcls-runs"
      role="treegrid"
      aria-label="Runs"
      aria-rowcount={total + 1}
      aria-colcount={columns.length + 2}
      aria-multiselectable
      aria-busy={loading}
      data-runs={runs}
      aria-activedescendant={total > 0 ? `${id}-${at}` : undefined}
      tabIndex={0}
      ref={box}
      onScroll={measure}
      onFocus={event => event.currentTarget.contains(event.relatedTarget) || setActive(rows.place(at))}
      onKeyDown={keyDown}
      onClick={click}
      onMouseDown={event => event.shiftKey && event.preventDefault()}
    >
      <div
        className="imgcls-runs-inner"
        role="presentation"
        style={{ minWidth: fit.least, '--imgcls-columns': fit.template } as React.CSSProperties}
      >
        <GridHead
          columns={columns}
          sorting={sorting}
          onSort={props.onSort}
          selection={selection}
          total={runs}
        />
        <div className="imgcls-runs-rows" role="rowgroup" style={{ height: total * ROW }}>
          {drawn(at).map(({ index, key }) => {
            const row = rows.at(index);
            const run = row?.run ? newer(row.run, live) : undefined;
            return (
              <GridRow
                key={key}
                id={`${id}-${index}`}
                index={index}
                run={run}
                known={row !== undefined}
                group={row?.group ?? null}
                where={row?.group && !run ? rows.queryOf(row.group).where : undefined}
                child={row?.of != null}
                unfolded={row?.unfolded ?? false}
                active={index === at}
                chosen={row ? markOf(row, selection) : 'none'}
                now={run?.running_since == null ? minuteOf(props.now) : props.now}
                columns={columns}
                tight={fit.tight}
                editing={editing !== null && editing.id === run?.id ? editing.column : null}
                onOpen={open}
                onFold={rows.fold}
                onEdit={onEdit}
                onSave={onSave}
                onDone={finish}
              />
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** Ages change by the minute: a row of a run that does not run is not drawn anew each second. */
const minuteOf = (now: number): number => Math.floor(now / 60) * 60;

const merged = new WeakMap<Run, [seen: Run, both: Run]>();

/** A run as the stream has brought it, where that is newer: the same object while nothing is new. */
function newer(run: Run, live: ReadonlyMap<string, Run>): Run {
  const seen = live.get(run.id);
  if (!seen || seen.revision <= run.revision) return run;
  const known = merged.get(run);
  if (known?.[0] === seen) return known[1];
  const both = { ...run, ...seen };
  merged.set(run, [seen, both]);
  return both;
}

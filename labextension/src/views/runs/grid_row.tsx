// One row of the table of runs. It is drawn anew only where something of it changed.
import { memo, type ReactNode } from 'react';
import { isActive, type Run } from '../data/types';
import { MiddleText } from '../ui/middle_text';
import { State, progressOf } from '../ui/run_state';
import type { Column } from './columns';
import { InlineEdit } from './inline_edit';
import './run_grid.css';

export const ROW = 20; // CSS pixels, as in the style

interface Props {
  id: string;
  index: number;
  /** undefined: its window is on the way. */
  run: Run | undefined;
  group: string | null;
  unfolded: boolean;
  active: boolean;
  chosen: boolean;
  now: number;
  columns: readonly Column[];
  /** The column that is edited in place. */
  editing: string | null;
  onOpen: (run: Run) => void;
  onFold: (run: Run, unfolded: boolean) => void;
  onEdit: (edit: { id: string; column: string }) => void;
  onSave: (run: Run, column: string, value: string) => void;
  onDone: () => void;
}

/** Columns that are edited in place: what an edit starts with. */
export const EDITED: Record<string, (run: Run) => string> = {
  name: run => run.name,
  notes: run => run.notes,
  tag: run => (run.tags ?? []).join(', '),
};

const EDIT_NAMES: Record<string, string> = { name: 'Name', notes: 'Notes', tag: 'Tags' };

function cellOf(column: Column, run: Run, now: number): ReactNode {
  if (column.key === 'state')
    return (
      <>
        <State state={run.state} unreachable={run.unreachable} />
        {isActive(run.state) && run.total_steps ? ` ${Math.round(progressOf(run) * 100)} %` : ''}
      </>
    );
  const text = column.show(run, now);
  return column.path ? <MiddleText text={text} /> : text;
}

function Name({ run, onOpen }: { run: Run; onOpen: (run: Run) => void }) {
  return (
    <button
      type="button"
      tabIndex={-1}
      className="imgcls-runs-name"
      title={run.name}
      onClick={() => onOpen(run)}
    >
      <MiddleText text={run.name} />
    </button>
  );
}

export const GridRow = memo(function GridRow(props: Props) {
  const { id, index, run, group, active, chosen, now, columns, editing, onOpen, onEdit, onSave, onDone } =
    props;
  const names = ['imgcls-runs-row', active && 'imgcls-runs-active', group && 'imgcls-runs-child'];
  const edit = (column: string): ReactNode =>
    run && (
      <InlineEdit
        label={`${EDIT_NAMES[column]} of ${run.name}`}
        value={EDITED[column]!(run)}
        onSave={value => onSave(run, column, value)}
        onDone={onDone}
      />
    );
  return (
    <div
      role="row"
      id={id}
      aria-rowindex={index + 2}
      aria-level={group ? 2 : 1}
      aria-selected={chosen}
      aria-busy={run === undefined || undefined}
      data-index={index}
      data-run={run?.id}
      className={names.filter(Boolean).join(' ')}
      style={{ transform: `translateY(${index * ROW}px)` }}
    >
      <div role="gridcell" className="imgcls-runs-cell imgcls-check">
        {run && (
          <input
            type="checkbox"
            tabIndex={-1}
            aria-label={`Choose ${run.name}`}
            checked={chosen}
            onChange={() => undefined}
          />
        )}
      </div>
      <div
        role="gridcell"
        className="imgcls-runs-cell"
        onDoubleClick={event => {
          if (run?.may_change && event.target === event.currentTarget) onEdit({ id: run.id, column: 'name' });
        }}
      >
        {run && (editing === 'name' ? edit('name') : <Name run={run} onOpen={onOpen} />)}
      </div>
      {columns.map(column => (
        <div
          key={column.key}
          role="gridcell"
          className={column.left ? 'imgcls-runs-cell' : 'imgcls-runs-cell imgcls-right'}
          title={run && (column.whole?.(run) || undefined)}
          onDoubleClick={
            run?.may_change && column.key in EDITED
              ? () => onEdit({ id: run.id, column: column.key })
              : undefined
          }
        >
          {run &&
            (editing === column.key && column.key in EDITED ? edit(column.key) : cellOf(column, run, now))}
        </div>
      ))}
    </div>
  );
});

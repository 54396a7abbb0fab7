// One row of the table of runs. It is drawn anew only where something of it changed.
import { memo, type ReactNode } from 'react';
import type { Trend } from '../data/trend';
import { CURVE, isActive, type Run, type RunGroup } from '../data/types';
import { MiddleText } from '../ui/middle_text';
import { State, progressOf } from '../ui/run_state';
import { Sparkline } from '../ui/sparkline';
import type { Column } from './columns';
import { groupCell, kindOf, wholeOfGroup } from './group_cells';
import { InlineEdit } from './inline_edit';
import { ROW } from './rows_in_view';
import type { Mark } from './run_selection';
import './run_grid.css';

interface Props {
  id: string;
  index: number;
  /** Its window is there. */
  known: boolean;
  run: Run | undefined;
  /** It is the row of a group, with its head as `run`. */
  group: RunGroup | null;
  /** The query of the runs of a group that has no head: the host's menu acts on them. */
  where: string | undefined;
  /** It stands below the row of its group. */
  child: boolean;
  unfolded: boolean;
  active: boolean;
  chosen: Mark;
  now: number;
  columns: readonly Column[];
  /** The names have less room than most need. */
  tight: boolean;
  /** The column that is edited in place. */
  editing: string | null;
  onOpen: (run: Run) => void;
  onFold: (group: RunGroup, unfolded: boolean) => void;
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

/** The values that a list brings, an epoch a point. */
const trendOf = (run: Run): Trend => ({
  metric: run.best?.metric ?? '',
  points: (run.curve ?? []).map((value, epoch) => ({ epoch, value })),
});

function cellOf(column: Column, run: Run, now: number): ReactNode {
  if (column.key === 'state')
    return (
      <>
        <State state={run.state} unreachable={run.unreachable} />
        {isActive(run.state) && run.total_steps ? ` ${Math.round(progressOf(run) * 100)} %` : ''}
      </>
    );
  if (column.key === CURVE)
    return run.curve && run.curve.length > 1 ? <Sparkline trend={trendOf(run)} /> : '';
  const text = column.show(run, now);
  return column.path ? <MiddleText text={text} /> : text;
}

function Name({ run, onOpen }: { run: Run; onOpen: (run: Run) => void }) {
  return (
    <button
      type="button"
      tabIndex={-1}
      className="imgcls-runs-name"
      aria-label={run.name}
      title={run.name}
      onClick={() => onOpen(run)}
    >
      <MiddleText named text={run.name} />
    </button>
  );
}

/** A group's name leads to its head; where there is none, it unfolds. */
function GroupName({ group, run, unfolded, tight, onOpen, onFold }: Props & { group: RunGroup }) {
  const fold = () => onFold(group, !unfolded);
  return (
    <span className="imgcls-runs-group">
      <span className="imgcls-runs-group-name">
        <button
          type="button"
          tabIndex={-1}
          className="imgcls-runs-fold"
          aria-label={`${unfolded ? 'Fold' : 'Unfold'} ${group.name}`}
          onClick={fold}
        >
          <span aria-hidden="true">{unfolded ? '▾' : '▸'}</span>
        </button>
        <button
          type="button"
          tabIndex={-1}
          className="imgcls-runs-name"
          aria-label={group.name}
          title={`${group.name}, ${kindOf(group)}`}
          onClick={() => (run ? onOpen(run) : fold())}
        >
          <b>
            <MiddleText named text={group.name} />
          </b>
        </button>
      </span>
      <span className="imgcls-muted">{kindOf(group, tight)}</span>
    </span>
  );
}

const mixed = (box: HTMLInputElement | null): void => void (box && (box.indeterminate = true));
const whole = (box: HTMLInputElement | null): void => void (box && (box.indeterminate = false));

/** The box that chooses a row. A click anywhere in its cell does. */
const Choose = ({ name, chosen }: { name: string; chosen: Mark }) => (
  <input
    type="checkbox"
    tabIndex={-1}
    aria-label={`Choose ${name}`}
    ref={chosen === 'some' ? mixed : whole}
    checked={chosen === 'all'}
    onChange={() => undefined}
  />
);

/** A cell of a column, which may be edited where it stands. No component: a table in view has some hundred. */
function cell(column: Column, props: Props): ReactNode {
  const { run, group, now, editing, onEdit, onSave, onDone } = props;
  const edited = run !== undefined && group === null && column.key in EDITED;
  let content: ReactNode = '';
  if (group) content = groupCell(column, group, now);
  else if (edited && editing === column.key)
    content = <Edit key={run.id} run={run} column={column.key} onSave={onSave} onDone={onDone} />;
  else if (run) content = cellOf(column, run, now);
  return (
    <div
      key={column.key}
      role="gridcell"
      className={column.left ? 'imgcls-runs-cell' : 'imgcls-runs-cell imgcls-right'}
      title={group ? wholeOfGroup(column, group) : (run && column.whole?.(run)) || undefined}
      onDoubleClick={edited && run.may_change ? () => onEdit({ id: run.id, column: column.key }) : undefined}
    >
      {content}
    </div>
  );
}

type EditProps = Pick<Props, 'onSave' | 'onDone'> & { run: Run; column: string };
const Edit = ({ run, column, onSave, onDone }: EditProps) => (
  <InlineEdit
    label={`${EDIT_NAMES[column]} of ${run.name}`}
    value={EDITED[column]!(run)}
    onSave={value => onSave(run, column, value)}
    onDone={onDone}
  />
);

function NameCell(props: Props) {
  const { run, group, editing, onOpen, onEdit, onSave, onDone } = props;
  let content: ReactNode = '';
  if (run && editing === 'name')
    content = <Edit key={run.id} run={run} column="name" onSave={onSave} onDone={onDone} />;
  else if (group) content = <GroupName {...props} group={group} />;
  else if (run) content = <Name run={run} onOpen={onOpen} />;
  return (
    <div
      role="gridcell"
      className="imgcls-runs-cell imgcls-runs-first"
      onDoubleClick={event => {
        if (run?.may_change && event.target === event.currentTarget) onEdit({ id: run.id, column: 'name' });
      }}
    >
      {content}
    </div>
  );
}

export const GridRow = memo(function GridRow(props: Props) {
  const { id, index, known, run, group, where, child, unfolded, active, chosen, columns } = props;
  const names = [
    'imgcls-runs-row',
    active && 'imgcls-runs-active',
    child && 'imgcls-runs-child',
    group && 'imgcls-runs-head-row',
  ];
  const name = group?.name ?? run?.name;
  return (
    <div
      role="row"
      id={id}
      aria-rowindex={index + 2}
      aria-level={child ? 2 : 1}
      aria-expanded={group ? unfolded : undefined}
      aria-selected={chosen === 'all'}
      aria-busy={!known || undefined}
      data-index={index}
      data-run={run?.id}
      data-group={group?.kind}
      data-where={where}
      className={names.filter(Boolean).join(' ')}
      style={{ transform: `translateY(${index * ROW}px)` }}
    >
      <div role="gridcell" className="imgcls-runs-cell imgcls-check">
        {name !== undefined && <Choose name={name} chosen={chosen} />}
      </div>
      <NameCell {...props} />
      {columns.map(column => cell(column, props))}
    </div>
  );
});

// The cells of a group's row: the trials of a sweep, runs that differ in their seeds alone, the children of a run.
import type { ReactNode } from 'react';
import {
  FRACTION_METRICS,
  RUN_STATES,
  isActive,
  isUnderWay,
  type RunGroup,
  type RunState,
} from '../data/types';
import { ago, bytes, count, leaf, metric, percent, plural } from '../ui/format';
import { Dot } from '../ui/run_state';
import { settingText, type Column } from './columns';

const countOf = (group: RunGroup, test: (state: RunState) => boolean): number =>
  RUN_STATES.filter(test).reduce((sum, state) => sum + (group.states[state] ?? 0), 0);

/** "sweep, 8 runs", "5 seeds"; in little room what the row's other cells do not say. */
export function kindOf({ kind, runs }: RunGroup, short = false): string {
  if (kind === 'sweep') return short ? 'sweep' : `sweep, ${plural(runs, 'run')}`;
  return kind === 'seeds' ? plural(runs, 'seed') : plural(runs, 'child', 'children');
}

/** What of the group runs; else the state that most of its runs are in. */
function States({ group }: { group: RunGroup }) {
  const live = countOf(group, isUnderWay);
  const most = [...RUN_STATES].sort((a, b) => (group.states[b] ?? 0) - (group.states[a] ?? 0))[0]!;
  const state = live > 0 ? 'running' : most;
  const many = live > 0 ? live : (group.states[most] ?? 0);
  return (
    <span className="imgcls-state">
      <Dot state={state} />
      {live > 0 || many < group.runs ? `${count(many)} ${state}` : state}
    </span>
  );
}

const FRACTIONS = new Set<string>(FRACTION_METRICS);

/** The best of a sweep, mean and deviation of seeds, or of the best trial of a sweep with replicates. `bare`: the head of the column has the unit. */
function Best({ group, bare }: { group: RunGroup; bare: boolean }): ReactNode {
  const name = group.metric ?? '';
  const text = (value: number) =>
    FRACTIONS.has(name) ? (bare ? (value * 100).toFixed(1) : percent(value)) : metric(name, value);
  const seeds = group.kind === 'seeds';
  const [value, deviation] = seeds ? [group.mean, group.deviation] : [group.best, group.best_deviation];
  if (value == null) return '–';
  const spread = deviation == null ? '' : `± ${text(deviation)}`;
  return (
    <>
      <b>{text(value)}</b> <span className="imgcls-muted">{seeds || spread ? spread : 'best'}</span>
    </>
  );
}

/** The lowest and the highest learning rate; `short`: in the width of the column, whatever a search has drawn. */
const rates = ({ lr }: RunGroup, short = false): string => {
  const ends = ((lr ?? []) as number[]).map(rate => (short ? Number(rate.toPrecision(2)) : rate));
  return [...new Set(ends.map(settingText))].join('–');
};

/** The whole of what a column shows of a group, where its cell may be too narrow for it. */
export const wholeOfGroup = ({ key }: Column, group: RunGroup): string | undefined =>
  (key === 'lr' ? rates(group) : key === 'model' ? group.models.join(', ') : '') || undefined;

/** What a column shows of a group. */
export function groupCell(column: Column, group: RunGroup, now: number): ReactNode {
  switch (column.key) {
    case 'state':
      return <States group={group} />;
    case 'model':
      return group.models.map(leaf).join(', ');
    case 'lr':
      return rates(group, true) || '–';
    case 'best':
      return <Best group={group} bare={column.title.endsWith('%')} />;
    case 'epoch':
      return (
        <span className="imgcls-muted">
          {count(countOf(group, state => !isActive(state)))} of {count(group.runs)}
        </span>
      );
    case 'size':
      return bytes(group.size);
    case 'created':
      return ago(group.created_at, now);
    default:
      return '';
  }
}

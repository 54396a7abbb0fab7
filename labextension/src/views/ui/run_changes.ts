// Settings of a run that people change while it trains: in words, as marks on its curves, and what they leave of its config.
import { useMemo } from 'react';
import type { Axis, TrainConfig } from '../data/asked';
import { CHANGEABLE_FIELDS, isActive, type Run, type RunChange, type RunDetail } from '../data/types';
import { count } from './format';
import type { Mark } from './plot_marks';

const FIELDS: Partial<Record<string, { title: string; empty: string }>> = CHANGEABLE_FIELDS;
const NONE: Mark[] = [];

/** A number as it is, to four digits: 3e-4 stays short. */
export function numberText(value: number): string {
  const rounded = Number(value.toPrecision(4));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
}

/** "Learning rate 0.0003 → 0.0001". */
export function changeText({ field, old, new: now }: RunChange): string {
  const text = (value: number | null) =>
    value === null ? (FIELDS[field]?.empty ?? 'none') : numberText(value);
  return `${FIELDS[field]?.title ?? field} ${text(old)} → ${text(now)}`;
}

/** Since when a change counts, or why it does not yet. */
export function sinceText(run: Pick<Run, 'state'>, change: RunChange): string {
  if (change.step != null) return `from step ${count(change.step + 1)} on`;
  return isActive(run.state) ? 'at its next step' : 'not obeyed: the run had ended';
}

/** The changes that were obeyed, as marks. timeAt: when the run was at a step, in seconds of its training. */
export function marksOf(
  changes: readonly RunChange[],
  axis: Axis,
  timeAt: (step: number) => number | undefined,
): Mark[] {
  return changes.flatMap(change => {
    if (change.step == null) return [];
    const x = axis === 'step' ? change.step : axis === 'epoch' ? change.epoch : timeAt(change.step);
    return x == null ? [] : [{ x, text: changeText(change) }];
  });
}

/** The marks of a run, the same objects as long as they say the same. */
export function useMarks(run: RunDetail, axis: Axis, timeAt: (step: number) => number | undefined): Mark[] {
  const text = JSON.stringify(marksOf(run.changes ?? [], axis, timeAt));
  return useMemo(() => {
    const marks = JSON.parse(text) as Mark[];
    return marks.length > 0 ? marks : NONE;
  }, [text]);
}

/** The changes that a run trains with: obeyed, or at its next step. */
export const changesInForce = (run: RunDetail): RunChange[] =>
  (run.changes ?? []).filter(change => change.step != null || isActive(run.state));

/** A run's config with the changes in force. */
export const configInForce = (run: RunDetail): TrainConfig => ({
  ...run.config,
  ...Object.fromEntries(changesInForce(run).map(({ field, new: now }) => [field, now])),
});

/** A run's config with what was changed: until a step, or with all that was asked for. */
export function configAfter(run: RunDetail, step = Infinity): TrainConfig {
  const known = (run.changes ?? []).filter(
    change => step === Infinity || (change.step != null && change.step < step),
  );
  return { ...(run.config as TrainConfig), ...Object.fromEntries(known.map(item => [item.field, item.new])) };
}

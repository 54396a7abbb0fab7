// Which images of an evaluation a page shows, in which order, and which evaluation it is. Pure; views keep the state.
import type { Params } from '../data/source';
import type { EvaluatedQuery, Evaluation, Run } from '../data/types';

/** The best epoch on val/, another epoch on val/, or the best model on test/. */
export type Choice = 'best' | 'test' | number;

export type Show = Exclude<NonNullable<EvaluatedQuery['show']>, 'right'>;
export type Sort = 'loss' | 'confidence';

export interface ImageFilter {
  show: Show;
  /** True class; undefined: any. */
  label?: string;
  predicted?: string;
  /** Confidence between these. */
  low: number;
  high: number;
  sort: Sort;
  order: 'asc' | 'desc';
}

/** What stays as it is while another tab of the run is open. */
export interface EvaluationState {
  choice: Choice;
  filter: ImageFilter;
  /** Confidence from which on the model answers; null: the threshold that is in force, or 0.5. */
  threshold: number | null;
  /** The image that is open, by its place in the list. */
  open: number | null;
}

export const ALL_MISTAKES: ImageFilter = { show: 'mistakes', low: 0, high: 1, sort: 'loss', order: 'desc' };

export const FIRST_STATE: EvaluationState = {
  choice: 'best',
  filter: ALL_MISTAKES,
  threshold: null,
  open: null,
};

/** The evaluation that a choice means, as queries name it. */
export const ofChoice = (choice: Choice): { split: 'val' | 'test'; epoch?: number } =>
  choice === 'test'
    ? { split: 'test' }
    : choice === 'best'
      ? { split: 'val' }
      : { split: 'val', epoch: choice };

/** The images of one cell of the matrix; a cell of the diagonal has no mistakes. */
export const ofCell = (filter: ImageFilter, label: string, predicted: string): ImageFilter => ({
  ...filter,
  show: label === predicted ? 'all' : 'mistakes',
  label,
  predicted,
  low: 0,
  high: 1,
});

/** What the chips of a filter show, each with the filter without it. */
export function chipsOf(filter: ImageFilter): { text: string; without: ImageFilter }[] {
  const { label, predicted, low, high } = filter;
  const chips: { text: string; without: ImageFilter }[] = [];
  const named = [label !== undefined && `true ${label}`, predicted !== undefined && `predicted ${predicted}`];
  if (named.some(Boolean))
    chips.push({
      text: named.filter(Boolean).join(', '),
      without: { ...filter, label: undefined, predicted: undefined },
    });
  if (low > 0 || high < 1)
    chips.push({
      text: `confidence ${Math.round(low * 100)} to ${Math.round(high * 100)} %`,
      without: { ...filter, low: 0, high: 1 },
    });
  return chips;
}

/** The query for the images of a filter, but for the page. */
export function queryOf(
  id: string,
  choice: Choice,
  filter: ImageFilter,
): Omit<Params['evaluated'], 'offset' | 'limit'> {
  const { show, label, predicted, low, high, sort, order } = filter;
  return {
    id,
    ...ofChoice(choice),
    show,
    ...(label !== undefined && { label }),
    ...(predicted !== undefined && { predicted }),
    ...(low > 0 && { low }),
    ...(high < 1 && { high }),
    sort,
    order,
  };
}

/** The row of a class by its name. */
export const classOf = (view: Evaluation, name: string | undefined) =>
  name === undefined ? undefined : view.classes.find(row => row.name === name);

/** What changes when a run has evaluated again. */
export const evaluatedMark = (run: Run): string =>
  ['loss/val', 'metric/accuracy', 'metric/macro_f1', 'test/accuracy']
    .map(tag => run.latest[tag] ?? '')
    .join(' ');

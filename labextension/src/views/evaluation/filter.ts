// Which images of an evaluation a page shows, in which order, and which evaluation it is. Pure; views keep the state.
import type { Params } from '../data/requests';
import type { EvaluatedQuery, Evaluation, Run } from '../data/types';

/** The best epoch on val/, another epoch on val/, or the best model on test/. */
export type Evaluated = 'best' | 'test' | number;
/** An evaluation, or the training images as the steps saw them. */
export type Choice = Evaluated | 'train';

export type Show = Exclude<NonNullable<EvaluatedQuery['show']>, 'right'>;
export type Sort = 'loss' | 'confidence';
/** By the mean or the spread of the label's probability over the epochs, or by the loss in the last. */
export type TrainingSort = 'mean' | 'spread' | 'loss';

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

export type LearningGroup = NonNullable<EvaluatedQuery['group']>;

/** Which training images are shown. */
export interface TrainingFilter {
  /** undefined: all, those too that fewer than two epochs saw. */
  group?: LearningGroup;
  label?: string;
  sort: TrainingSort;
  order: 'asc' | 'desc';
}

/** What stays as it is while another tab of the run is open. */
export interface EvaluationState {
  choice: Choice;
  filter: ImageFilter;
  training: TrainingFilter;
  /** Confidence from which on the model answers; null: the threshold that is in force, or 0.5. */
  threshold: number | null;
  /** The image that is open, by its place in the list. */
  open: number | null;
}

export const ALL_MISTAKES: ImageFilter = { show: 'mistakes', low: 0, high: 1, sort: 'loss', order: 'desc' };

export const FIRST_STATE: EvaluationState = {
  choice: 'best',
  filter: ALL_MISTAKES,
  training: { sort: 'mean', order: 'asc' }, // what the steps believed least comes first
  threshold: null,
  open: null,
};

/** The evaluation beside a choice: training images have none, and stand beside the best. */
export const evaluatedOf = (choice: Choice): Evaluated => (choice === 'train' ? 'best' : choice);

/** The evaluation that a choice means, as queries name it. */
export const ofChoice = (choice: Evaluated): { split: 'val' | 'test'; epoch?: number } =>
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
  choice: Evaluated,
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

/** The query for training images, but for the page. */
export const trainingQueryOf = (
  id: string,
  { group, label, sort, order }: TrainingFilter,
): Omit<Params['evaluated'], 'offset' | 'limit'> => ({
  id,
  split: 'train',
  show: 'all',
  ...(group !== undefined && { group }),
  ...(label !== undefined && { label }),
  sort,
  order,
});

/** The row of a class by its name. */
export const classOf = (view: Evaluation, name: string | undefined) =>
  name === undefined ? undefined : view.classes.find(row => row.name === name);

/** What changes when a run has evaluated again. */
export const evaluatedMark = (run: Run): string =>
  ['loss/val', 'metric/accuracy', 'metric/macro_f1', 'test/accuracy']
    .map(tag => run.latest[tag] ?? '')
    .join(' ');

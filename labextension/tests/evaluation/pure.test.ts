// What the evaluation page computes without a page: pairs, shades, keys of classes, thresholds, biographies, filters.
import { describe, expect, it } from 'vitest';
import { pathOf } from '../../src/views/ui/fraction_plot';
import { curvesOf, epochTicks, storyOf, stretchesOf, turnsOf } from '../../src/views/evaluation/biography';
import { classKeys, found } from '../../src/views/evaluation/class_keys';
import { matrixOf, pairsOf, rightAndWrong, shadeOf } from '../../src/views/evaluation/confusion';
import { clamped } from '../../src/views/evaluation/confusion_canvas';
import { placeAfter } from '../../src/views/evaluation/confusion_table';
import { ALL_MISTAKES, chipsOf, ofCell, queryOf } from '../../src/views/evaluation/filter';
import { placeOf } from '../../src/views/evaluation/threshold';
import type { EpochOfImage } from '../../src/views/data/types';
import { anEvaluation } from './made';

const view = anEvaluation();

describe('the confusion matrix', () => {
  it('agrees with the classes on what is right and wrong, and lists pairs by their mistakes', () => {
    expect(rightAndWrong(view)).toEqual({ right: 24, wrong: 6 });
    expect(pairsOf(view.cells).map(pair => `${pair.label}>${pair.predicted} ${pair.images}`)).toEqual([
      'dog>cat 3',
      'cat>dog 2',
      'dog>owl 1',
    ]);
    const rare = rightAndWrong(anEvaluation({ cells: view.cells.slice(0, 1), cells_left_out: 5 }));
    expect(rare).toEqual({ right: 24, wrong: 6 }); // although cells are left out
  });

  it('shades a cell by its fraction of the true class, and an empty one not at all', () => {
    const matrix = matrixOf(view);
    expect(shadeOf(matrix, 'cat', 'owl')).toBe(0);
    expect(shadeOf(matrix, 'dog', 'cat')).toBeGreaterThan(shadeOf(matrix, 'dog', 'owl'));
    expect(shadeOf(matrix, 'owl', 'owl')).toBeGreaterThan(shadeOf(matrix, 'dog', 'dog'));
  });

  it('is walked by keys and does not leave its ends', () => {
    expect(placeAfter('ArrowRight', [1, 1], 3)).toEqual([1, 2]);
    expect(placeAfter('ArrowDown', [2, 0], 3)).toEqual([2, 0]);
    expect(placeAfter('End', [1, 0], 3)).toEqual([1, 2]);
    expect(placeAfter('x', [1, 0], 3)).toBeUndefined();
  });

  it('zooms no further than some classes and moves no further than its edge', () => {
    expect(clamped({ row: 190, column: -5, span: 40 }, 200)).toEqual({ row: 160, column: 0, span: 40 });
    expect(clamped({ row: 0, column: 0, span: 1 }, 200).span).toBe(8);
    expect(clamped({ row: 0, column: 0, span: 900 }, 200).span).toBe(200);
  });
});

it('takes the numbers at a threshold from the first one that is not below it', () => {
  expect([0, 0.3, 0.5, 0.51, 1].map(at => placeOf(view.thresholds, at))).toEqual([0, 1, 1, 2, 2]);
});

describe('the keys of the classes', () => {
  it('are the digits that name them, or their order', () => {
    const digits = anEvaluation({ class_names: ['0', '1', '5'] });
    expect(classKeys(digits).map(({ key, name }) => key + name)).toEqual(['00', '11', '55']);
    expect(classKeys(view).map(({ key, name }) => key + name)).toEqual(['1cat', '2dog', '3owl']);
  });

  it('are of many classes those that the image may be', () => {
    const many = anEvaluation({
      class_names: ['cat', 'dog', 'owl', ...Array.from({ length: 50 }, (_, i) => `c${i}`)],
    });
    expect(classKeys(many, 'dog', 'owl').map(({ key, name }) => key + name)).toEqual(['1owl', '2cat']);
  });

  it('find a class by typing, an exact name first', () => {
    expect(found(['bobcat', 'cattle', 'cat', 'dog'], 'CAT')).toEqual(['cat', 'cattle', 'bobcat']);
  });
});

describe('the biography of an image', () => {
  const entry = (run_id: string, epoch: number, correct: boolean | null): EpochOfImage => ({
    run_id,
    epoch,
    correct,
    label_prob: epoch / 10,
    loss: 1,
    predicted: 'cat',
  });
  const biography = [entry('p', 1, false), entry('p', 2, true), entry('r', 1, true), entry('r', 2, false)];

  it('says when it was learnt and lost', () => {
    expect(turnsOf(biography).map(turn => [turn.at, turn.epoch, turn.right])).toEqual([
      [1, 2, true],
      [3, 2, false],
    ]);
    expect(storyOf(biography)).toBe('changed 2 times, wrong since epoch 2');
    expect(storyOf(biography.slice(1, 3))).toBe('right in every epoch');
    expect(stretchesOf(biography).map(({ from, to }) => [from, to])).toEqual([
      [0, 0.5],
      [0.5, 2.5],
      [2.5, 3],
    ]);
  });

  it("draws the parent's line up to where this run's begins", () => {
    const [parent, child] = curvesOf(biography, 'r');
    expect([parent!.x, child!.x]).toEqual([
      [0, 1],
      [1, 2, 3],
    ]);
    expect(epochTicks(biography).map(tick => tick.text)).toEqual(['1', '2', '1', '2']);
    expect(epochTicks(Array.from({ length: 100 }, (_, i) => entry('r', i + 1, true))).length).toBeLessThan(9);
  });
});

describe('the filter', () => {
  it('of a cell asks for its mistakes alone, and of the diagonal for all', () => {
    const cell = ofCell({ ...ALL_MISTAKES, low: 0.4 }, 'dog', 'cat');
    expect(queryOf('r1', 'best', cell)).toEqual({
      id: 'r1',
      split: 'val',
      show: 'mistakes',
      label: 'dog',
      predicted: 'cat',
      sort: 'loss',
      order: 'desc',
    });
    expect(ofCell(ALL_MISTAKES, 'dog', 'dog').show).toBe('all');
    expect(queryOf('r1', 3, ALL_MISTAKES)).toMatchObject({ split: 'val', epoch: 3 });
    expect(queryOf('r1', 'test', ALL_MISTAKES)).toMatchObject({ split: 'test' });
  });

  it('has a chip for each thing that can be taken away', () => {
    const [cell, range] = chipsOf({ ...ofCell(ALL_MISTAKES, 'dog', 'cat'), low: 0.5 });
    expect([cell!.text, range!.text]).toEqual(['true dog, predicted cat', 'confidence 50 to 100 %']);
    expect(cell!.without).toMatchObject({ label: undefined, predicted: undefined, low: 0.5 });
  });
});

it('breaks a line where a value is not known', () => {
  expect(pathOf({ x: [0, 1, 2, 3], y: [0, null, 1, 0.5] }, [0, 4])).toBe('M0.0 1000.0M500.0 0.0L750.0 500.0');
});

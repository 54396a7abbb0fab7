import { describe, expect, it } from 'vitest';
import { cellsOf, itemOf, kindsOf } from '../../src/views/forms/new_sweep';
import { unreached, valueOf } from '../../src/views/forms/new_notebook_run';
import { ranks } from '../../src/views/live/sweep_results';
import { scaleOf } from '../../src/views/live/sweep_plots';
import type { Parameter, Sweep, Trial } from '../../src/views/data/types';

const parameter = (kind: Parameter['kind'], optional = false): Parameter => ({
  name: 'p',
  kind,
  optional,
  default: null,
  source: 'None',
  help: '',
});

describe('a parameter of a notebook', () => {
  it('takes values of its kind', () => {
    expect(valueOf(parameter('int'), '3')).toEqual({ value: 3 });
    expect(valueOf(parameter('float'), '1e-4')).toEqual({ value: 1e-4 });
    expect(valueOf(parameter('bool'), 'True')).toEqual({ value: true });
    expect(valueOf(parameter('str'), '12')).toEqual({ value: '12' });
    expect(valueOf(parameter('dict'), '{"lr": 1}')).toEqual({ value: { lr: 1 } });
    expect(valueOf(parameter('any'), 'plain words')).toEqual({ value: 'plain words' });
    expect(valueOf(parameter('int', true), 'None')).toEqual({ value: null });
  });

  it('stays the notebook’s where nothing was typed', () => {
    expect(valueOf(parameter('int'), ' ')).toEqual({});
  });

  it('says what it must be', () => {
    expect(valueOf(parameter('int'), '3.5').problem).toBe('This must be a whole number.');
    expect(valueOf(parameter('float'), 'fast').problem).toBe('This must be a number.');
    expect(valueOf(parameter('int'), 'None').problem).toBeDefined();
    expect(valueOf(parameter('list'), '{"a": 1}').problem).toContain('a list');
  });
});

describe('what the parameters cell computes', () => {
  const epochs = { ...parameter('int'), name: 'epochs', default: 3 };
  const derived = [{ name: 'steps', sources: ['epochs'], sentence: 'It uses the default.' }];
  const notebook = { parameters: [epochs], derived };

  it('is said as soon as it would not reach a value that is typed', () => {
    expect(unreached(notebook, { epochs: 7 })).toEqual(['It uses the default.']);
    expect(unreached(notebook, { epochs: 3 })).toEqual([]);
    expect(unreached(notebook, { epochs: 7, steps: 70 })).toEqual([]);
    expect(unreached(notebook, {})).toEqual([]);
  });
});

describe('the space of a sweep', () => {
  it('reads values and ranges', () => {
    expect(itemOf('1e-4, 1e-3').item).toEqual({ values: [1e-4, 1e-3] });
    expect(itemOf('adamw, sgd, None, true').item).toEqual({ values: ['adamw', 'sgd', null, true] });
    expect(itemOf('1e-5 .. 1e-2 log').item).toEqual({
      low: 1e-5,
      high: 1e-2,
      log: true,
      whole: false,
      step: null,
    });
    expect(itemOf('1 .. 8').item).toMatchObject({ low: 1, high: 8, whole: true });
    expect(itemOf('0 .. 0.4 step 0.2').item).toMatchObject({ step: 0.2, whole: false });
  });

  it('refuses what cannot be searched', () => {
    for (const text of ['', '2 .. 1', '1, 1', 'a .. b']) expect(itemOf(text).problem, text).toBeDefined();
  });

  it('says at once what the setting cannot take', () => {
    expect(itemOf('1e-4, abc', ['number']).problem).toBe('“abc” cannot be read as a number.');
    expect(itemOf('1e-4, None', ['number', 'null']).item).toEqual({ values: [1e-4, null] });
    expect(itemOf('1 .. 8', ['string']).problem).toBeDefined();
    expect(itemOf('[0.9, 0.999], [0.9, 0.99]').problem).toContain('no lists');
    expect(itemOf('0 .. 1 step 5e-324').problem).toContain('too small');
    expect(kindsOf({ anyOf: [{ type: 'integer' }, { type: 'null' }] }, 3)).toEqual(['number', 'null']);
    expect(kindsOf(undefined, 3)).toEqual(['number']);
    expect(kindsOf(undefined, 'adamw')).toBeNull();
  });

  it('counts the cells of a grid', () => {
    expect(cellsOf([itemOf('1, 2')!.item!, itemOf('1 .. 3').item!])).toBe(6);
    expect(cellsOf([itemOf('0.1 .. 0.5').item!])).toBeNull();
  });
});

describe('the results of a sweep', () => {
  const trial = (number: number, value: number | null) => ({ number, value }) as Trial;

  it('are ranked by what is better', () => {
    const view = { trials: [trial(0, 0.2), trial(1, 0.6), trial(2, null)], higher_is_better: true };
    expect([...ranks(view as Sweep)]).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect([...ranks({ ...view, higher_is_better: false } as Sweep)][0]).toEqual([0, 1]);
  });

  it('stand along orders of magnitude, and words by rank', () => {
    const rates = scaleOf([1e-4, 1e-3, 1e-2]);
    expect(rates.at(1e-3)).toBeCloseTo(0.5);
    expect(rates.ends).toEqual([1e-4, 1e-2]);
    expect(scaleOf(['b', 'a', null]).at('b')).toBe(0.5);
    expect(scaleOf([5, 5]).at(5)).toBe(0.5);
  });
});

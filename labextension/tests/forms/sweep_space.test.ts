import { describe, expect, it } from 'vitest';
import { cellsOf, itemOf, kindsOf } from '../../src/views/forms/sweep_space';

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

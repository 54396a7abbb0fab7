import { expect, it } from 'vitest';
import { distinct } from '../../src/views/pages/compare';
import { differences } from '../../src/views/pages/compare_table';

it('names two runs of one name apart, and finds what sets configs apart', () => {
  const names = distinct([
    { id: 'aaa111111', name: 'x' },
    { id: 'bbb222222', name: 'x' },
    { id: 'ccc333333', name: 'y' },
  ]);
  expect(new Set(names.values()).size).toBe(3);
  expect(names.get('ccc333333')).toBe('y');
  expect(
    differences([
      { lr: 1e-3, epochs: 5, ema: null },
      { lr: 1e-4, epochs: 5, ema: null },
    ]),
  ).toEqual([['lr', ['0.001', '1e-4']]]);
});

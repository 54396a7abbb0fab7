import { expect, it } from 'vitest';
import { ago, bytes, duration, formatNumber, metric, ranFor, ticks, usage } from '../../src/views/ui/format';
import { aRun } from '../fake';

it('writes every metric but the loss in per cent', () => {
  const names = ['accuracy', 'metric/macro_f1', 'auroc', 'test/top5', 'loss/val'];
  expect(names.map(name => metric(name, 1))).toEqual(['100.0 %', '100.0 %', '100.0 %', '100.0 %', '1']);
});

it('counts what a run ran: its pauses not, its living attempt up to now', () => {
  expect(ranFor(aRun({ started_at: null, running_since: null }))).toBeNull();
  expect(ranFor(aRun({ ran: 5400, running_since: null, ended_at: 99_999 }))).toBe(5400);
  expect(ranFor(aRun({ ran: 5400, running_since: 90_000 }), 91_800)).toBe(7200);
  expect(ranFor(aRun({ ran: 60, running_since: 1000, unreachable: true, updated_at: 1010 }), 9000)).toBe(70);
});

it('writes numbers as a reader wants them', () => {
  expect([0.2143, 12.34, 1412, 3e-5, 0, null].map(formatNumber)).toEqual([
    '0.214',
    '12.3',
    '1,412',
    '3e-5',
    '0',
    '–',
  ]);
  expect([5, 45, 700, 12_000, 200_000].map(duration)).toEqual([
    '5.0 s',
    '45 s',
    '12 min',
    '3 h 20 min',
    '2 d',
  ]);
  expect([ago(1000, 1010), ago(1000, 4599), ago(1000, 4601)]).toEqual(['now', '59 min', '1 h']);
  expect([bytes(512), bytes(1_234_000), usage(9.1e9, 80e9)]).toEqual(['512 B', '1.2 MB', '9.1 / 80 GB']);
  expect(ticks([0, 0.5, 1])).toEqual(['0', '0.5', '1.0']);
  expect(ticks([0.6, 0.7, 0.8], true)).toEqual(['60 %', '70 %', '80 %']);
});

it('gives the ticks of per cent the decimals that their distance has', () => {
  expect(ticks([0.9, 0.925, 0.95], true)).toEqual(['90.0 %', '92.5 %', '95.0 %']);
  expect(ticks([0.9, 0.95, 1], true)).toEqual(['90 %', '95 %', '100 %']);
});

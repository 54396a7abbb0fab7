// A row of a group is chosen, not, or in part.
import { expect, it } from 'vitest';
import type { RunGroup } from '../../src/views/data/types';
import { chosenOfGroups, markOf } from '../../src/views/runs/run_selection';
import { aRun } from '../fake';

const group = (part: Partial<RunGroup>): RunGroup => ({
  key: 'sweep:s',
  kind: 'sweep',
  name: 'a sweep',
  head: 's',
  where: 'parent=s',
  runs: 2,
  states: {},
  lr: null,
  models: [],
  size: null,
  created_at: 1,
  ...part,
});
const head = aRun({ id: 's', kind: 'sweep' });
const trials = ['a', 'b'].map(id => aRun({ id, parent_id: 's', repetition: id }));
const seeds = ['x', 'y', 'z'].map(id => aRun({ id, repetition: 'same' }));

function mark(of: RunGroup, run: typeof head | null, ...chosen: (typeof head)[]) {
  const row = { group: of, run, of: null, unfolded: false };
  return markOf(row, {
    chosen: new Set(chosen.map(({ id }) => id)),
    groups: chosenOfGroups(chosen),
    toggle: () => undefined,
  });
}

it('is chosen with all its runs and its head, and in part with some of them', () => {
  expect(mark(group({}), head)).toBe('none');
  expect(mark(group({}), head, trials[0]!)).toBe('some');
  expect(mark(group({}), head, head)).toBe('some');
  expect(mark(group({}), head, ...trials)).toBe('some'); // the head is a run of its own
  expect(mark(group({}), head, head, ...trials)).toBe('all');
  expect(mark(group({}), null, ...trials)).toBe('all'); // its head is deleted
});

it('counts repetitions by what they share', () => {
  const of = group({ key: 'seeds:same', kind: 'seeds', head: null, runs: 3 });
  expect([0, 1, 2, 3].map(n => mark(of, null, ...seeds.slice(0, n)))).toEqual([
    'none',
    'some',
    'some',
    'all',
  ]);
  expect(mark(of, null, ...trials)).toBe('none');
});

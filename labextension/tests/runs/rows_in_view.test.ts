import { expect, it } from 'vitest';
import { drawnRows } from '../../src/views/runs/rows_in_view';

const keysOf = (first: number, end: number, at: number, moves = false) =>
  new Map(
    drawnRows({ first, end, slots: 10 }, 100, at, moves).map(({ index, key }) => [index, key] as const),
  );

it('keeps the element of each row that stays in view, and gives those of the others to the rows that come', () => {
  const [before, after] = [keysOf(20, 30, 22), keysOf(23, 33, 25)];
  for (let index = 23; index < 30; index++) expect(after.get(index)).toBe(before.get(index));
  expect([30, 31, 32].map(index => after.get(index))).toEqual([20, 21, 22].map(index => before.get(index)));
  expect(new Set(after.values()).size).toBe(10);
});

it('moves no element while the table scrolls, and puts them into the order of the rows afterwards', () => {
  const keys = (first: number, moves: boolean) => [...keysOf(first, first + 10, first, moves).values()];
  expect(keys(37, true)).toEqual(keys(20, true));
  expect([...keysOf(37, 47, 40).keys()]).toEqual(Array.from({ length: 10 }, (_, i) => 37 + i));
});

it('draws the row that the keys stand on wherever the table is, in an element of its own', () => {
  expect(keysOf(20, 30, 90).get(90)).toBe('active');
  expect(keysOf(20, 30, 25).size).toBe(10);
});

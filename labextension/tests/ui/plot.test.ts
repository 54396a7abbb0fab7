import { describe, expect, it } from 'vitest';
import { prepare, fractionRange } from '../../src/views/ui/plot';
import { markNear, rowsOf } from '../../src/views/ui/plot_marks';
import { within } from '../../src/views/ui/decimate';
import { moved } from '../../src/views/ui/zoom';

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

describe('a window of the axis', () => {
  it('cuts a line to it and one point more at each side, so that it runs to the edges', () => {
    const points = { x: [0, 1, 2, 3, 4, 5], y: [0, 1, 2, 3, 4, 5] };
    expect(within(points, [1.5, 3.5]).x).toEqual([1, 2, 3, 4]);
    expect(within(points, [2, 3]).y).toEqual([1, 2, 3, 4]);
    expect(within(points, [-9, 9]).x).toEqual(points.x);
    expect(within(points, [7, 9]).x).toEqual([5]);
  });

  it('shows points that the whole view thins away, and smooths as before', () => {
    const x = range(100_000);
    const line = { label: 'a', colour: 0, x, y: x.map(i => i % 7) };
    const detail = prepare([line], 300, 0, false, [50_000, 50_100]).data[0];
    expect(detail).toEqual(range(103).map(i => i + 49_999));
    const all = prepare([line], 300, 0.9, false).data.at(-1)!;
    const part = prepare([line], 300, 0.9, false, [99_990, 99_999]).data.at(-1)!;
    expect(part.at(-1)).toBe(all.at(-1));
  });

  it('is moved by keys, never beyond the curve, and Escape shows all', () => {
    const whole = [0, 100] as const;
    const press = (...keys: string[]) =>
      keys.reduce<ReturnType<typeof moved>>((now, key) => moved(now ?? null, whole, key), null);
    expect(press('+')).toEqual([25, 75]);
    expect(press('+', '+')).toEqual([37.5, 62.5]);
    expect(press('+', '-')).toBeNull();
    expect(press('+', 'ArrowRight')).toEqual([35, 85]);
    expect(press('+', ...range(9).map(() => 'ArrowLeft'))).toEqual([0, 50]);
    expect(press('+', 'Escape')).toBeNull();
    expect(moved(null, whole, 'Escape')).toBeUndefined(); // belongs to the page
    expect(moved(null, whole, 'a')).toBeUndefined();
  });
});

describe('the axis of shares', () => {
  it('ends at 100 %, whatever is drawn', () => {
    for (const low of [0, 0.25, 0.99, 1]) expect(fractionRange(low, 1)[1]).toBe(1);
    expect(fractionRange(1, 1)[0]).toBe(0);
    expect(fractionRange(0.4, 0.999)[1]).toBe(1);
  });

  it('begins at 0 or above, and shows a run that has nothing right', () => {
    expect(fractionRange(0, 0)).toEqual([0, 1]);
    expect(fractionRange(0.01, 0.6)[0]).toBe(0);
    expect(fractionRange(null, null)).toEqual([0, 1]);
  });

  it('is close to values that lie close together', () => {
    const [low, high] = fractionRange(0.91, 0.93);
    expect(low).toBeGreaterThan(0.8);
    expect(high).toBeLessThan(0.97);
  });
});

describe('what is drawn', () => {
  it('joins runs of different steps over one axis', () => {
    const line = (label: string, x: number[], colour: number) => ({ label, colour, x, y: x });
    const { data, lines } = prepare([line('a', [0, 2], 0), line('b', [1, 2], 1)], 300, 0, false);
    expect(data[0]).toEqual([0, 1, 2]);
    expect(lines.map(({ line: { label } }) => label)).toEqual(['a', 'b']);
    expect(data[1]![1]).toBeUndefined(); // no point of a at 1: its line goes on
  });

  it('has no zero on a log axis', () => {
    expect(prepare([{ label: 'a', colour: 0, x: [0, 1], y: [0, 1] }], 300, 0, true).data[1]).toEqual([
      null,
      1,
    ]);
  });
});

it('puts the texts of marks into rows where they do not cover each other, and leaves out those without room', () => {
  const places = [0, 10, 20, 200].map(left => ({ left, width: 100 }));
  expect(rowsOf(places, 2)).toEqual([0, 1, null, 0]);
});

it('finds the mark that is close to the pointer', () => {
  const marks = [
    { x: 10, text: 'a' },
    { x: 14, text: 'b' },
  ];
  expect([11, 13, 30].map(x => markNear(marks, x, 3)?.text)).toEqual(['a', 'b', undefined]);
});

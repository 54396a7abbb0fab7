import { describe, expect, it } from 'vitest';
import { prepare, shareEnds } from '../../src/views/ui/plot';
import { decimate, smooth, within } from '../../src/views/ui/decimate';
import { lineOf } from '../../src/views/live/live_run';
import { SeriesStore } from '../../src/views/data/series_store';
import { moved } from '../../src/views/ui/zoom';
import { aSeries } from '../fake';

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

describe('decimation', () => {
  it('keeps every point that the pixels can show', () => {
    const points = { x: range(100), y: range(100) };
    expect(decimate(points, 100)).toBe(points);
  });

  it('keeps the one spike of a million points, first and last', () => {
    const x = range(1_000_000);
    const y: number[] = x.map(() => 0);
    y[345_678] = 9;
    y[765_432] = -4;
    const thin = decimate({ x, y }, 500);
    expect(thin.x.length).toBeLessThan(1600);
    expect(thin.x[0]).toBe(0);
    expect(thin.x.at(-1)).toBe(999_999);
    expect(Math.max(...(thin.y as number[]))).toBe(9);
    expect(thin.x[thin.y.indexOf(9)]).toBe(345_678);
    expect(Math.min(...(thin.y as number[]))).toBe(-4);
  });

  it('keeps x ascending and a gap a gap', () => {
    const x = range(10_000);
    const y = x.map(i => (i === 5_000 ? null : Math.sin(i)));
    const thin = decimate({ x, y }, 100);
    expect(thin.x).toEqual([...thin.x].sort((a, b) => a - b));
    expect(new Set(thin.x).size).toBe(thin.x.length);
    expect(thin.y).toContain(null);
  });
});

describe('smoothing', () => {
  it('leaves a constant as it is, from the first point on', () => {
    expect(smooth({ x: [0, 1, 2], y: [5, 5, 5] }, 0.9).y.map(v => Math.round(v! * 1e9) / 1e9)).toEqual([
      5, 5, 5,
    ]);
  });

  it('does not spread a gap', () => {
    expect(smooth({ x: [0, 1, 2], y: [1, null, 1] }, 0.5).y).toEqual([1, null, 1]);
  });
});

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

it('has one time for all series of a run, as the wire gives it', () => {
  const store = new SeriesStore();
  const early = { ...aSeries('loss/train', [1, 2]), time: [3, 4] };
  const late = { ...aSeries('metric/accuracy', [2]), time: [5] };
  store.reset({ series: [early, late], cursors: {} });
  const times = (tag: string) => lineOf(store, 'r1', tag, 'time', { label: tag, colour: 0 }).x;
  expect([times('loss/train'), times('metric/accuracy')]).toEqual([[3, 4], [5]]);
});

describe('the axis of shares', () => {
  it('ends at 100 %, whatever is drawn', () => {
    for (const low of [0, 0.25, 0.99, 1]) expect(shareEnds(low, 1)[1]).toBe(1);
    expect(shareEnds(1, 1)[0]).toBe(0);
    expect(shareEnds(0.4, 0.999)[1]).toBe(1);
  });

  it('begins at 0 or above, and shows a run that has nothing right', () => {
    expect(shareEnds(0, 0)).toEqual([0, 1]);
    expect(shareEnds(0.01, 0.6)[0]).toBe(0);
    expect(shareEnds(null, null)).toEqual([0, 1]);
  });

  it('is close to values that lie close together', () => {
    const [low, high] = shareEnds(0.91, 0.93);
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

describe('points as they come in', () => {
  it('adds new ones and skips those that the query had', () => {
    const store = new SeriesStore();
    store.reset({ series: [aSeries('loss/train', [1, 2])], cursors: { r1: { attempt: 1, seq: 2 } } });
    store.add({
      kind: 'metrics',
      series: [aSeries('loss/train', [2, 3])],
      cursors: { r1: { attempt: 1, seq: 3 } },
    });
    expect(store.get('r1', 'loss/train')?.step).toEqual([1, 2, 3]);
    expect(store.cursors.r1).toEqual({ attempt: 1, seq: 3 });
  });

  it('takes away what a resume went back over', () => {
    const store = new SeriesStore();
    store.reset({ series: [aSeries('loss/train', [1, 2, 3, 4]), aSeries('lr', [1, 2, 3, 4])], cursors: {} });
    const again = aSeries('loss/train', [3], [30]);
    store.add({ kind: 'metrics', series: [again], cursors: {}, superseded: { r1: 2 } });
    expect(store.get('r1', 'loss/train')?.value).toEqual([1, 2, 30]);
    expect(store.get('r1', 'lr')?.step).toEqual([1, 2]);
  });

  it('does not change the batch that it was given', () => {
    const store = new SeriesStore();
    const first = aSeries('lr', [1]);
    store.add({ kind: 'metrics', series: [first], cursors: {} });
    store.add({ kind: 'metrics', series: [aSeries('lr', [2])], cursors: {} });
    expect(first.step).toEqual([1]);
  });

  it('stays bounded in a tab that is open for days', () => {
    const store = new SeriesStore();
    for (let i = 0; i < 60; i++) {
      const step = range(1000).map(n => i * 1000 + n);
      store.add({ kind: 'metrics', series: [aSeries('lr', step)], cursors: {} });
    }
    const kept = store.get('r1', 'lr')!;
    expect(kept.step.length).toBeLessThan(21_000);
    expect(kept.step[0]).toBe(0);
    expect(kept.step.at(-1)).toBe(59_999);
  });
});

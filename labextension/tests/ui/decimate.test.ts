import { describe, expect, it } from 'vitest';
import { decimate, smooth } from '../../src/views/ui/decimate';

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
